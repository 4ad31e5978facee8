//! Record of a physical region.

use process_introspection::{MemoryType, PageSize, PhysicalRegion};

use crate::details::Details;
use crate::field::{record, Extra, Fields, Show};
use crate::name::Name;
use crate::number::{ascii, size, DeviceNumber, Hex, SIZE};
use crate::page::{byte_of, note_byte, protection_name, unknown_reason, with_memory_type, Swap};
use crate::process::ProcessIdentity;
use crate::record::Record;
use crate::state::State;
use crate::table::{Notes, Row};
use crate::words::{mapped_states, mapping_kinds, memory_types, unknown_reasons, PROTECTION};

record! {
    /// Physical region: a maximal run of pages of one mapping that are physically
    /// consecutive, or unbacked for one reason.
    #[derive(Copy)]
    pub struct PhysicalRecord<'a> {
        /// Process, in lists of several.
        pub process: Option<ProcessIdentity<'a>> = flat().optional().extra(Extra::Process),
        /// First virtual address.
        pub vaddr: Hex = number(3, "VADDR", 12),
        /// Virtual page number: the first virtual address divided by the base page size.
        pub vpn: u64 = pages(),
        /// Size in bytes.
        pub size: u64 = bytes().least(1).number(4, "SIZE", 7),
        /// First physical address.
        pub paddr: Option<Hex> = number(5, "PADDR", 11)
            .null("if no physical memory is there, or its address is unknown"),
        /// Page frame number: the first physical address divided by the base page size.
        pub pfn: Option<u64> = pages().null("as for paddr"),
        /// State of the memory. Shared memory in swap is not-present: page tables have no
        /// entry of it.
        pub state: State = one_of(mapped_states).text(6, "STATE", 11),
        /// Reason for which the state is unknown.
        pub reason: Option<&'static str> = one_of(unknown_reasons)
            .null("for every other state").also(5, Show::Left),
        /// Place of the first page in swap.
        pub swap: Option<Swap> = null("if it is not in swap, or its place is unknown"),
        /// Protection of the mapping: read, write, execute, with - for what is not allowed.
        pub prot: &'static str = pattern(PROTECTION).text(8, "PROT", 4),
        /// Whether the mapping is shared, not private.
        pub shared: bool = also(8, Show::Sharing),
        /// Kind of the mapping.
        pub kind: &'static str = one_of(mapping_kinds).text(10, "KIND", 7),
        /// Size in bytes that each page-table entry maps.
        pub page_size: Option<u64> = bytes().least(1).number(9, "PAGE", 4)
            .null("if there are no entries, entries of several sizes, or it is unknown"),
        /// Offset of the first byte in the mapped object; 0x0 without an object.
        pub offset: Hex,
        /// Device of the object's file system, major and minor number in hexadecimal;
        /// 00:00 without an object.
        pub dev: DeviceNumber,
        /// Inode number of the object; 0 without an object.
        pub ino: u64,
        /// Name of the mapping: the path of its object, or a name of the kernel's in
        /// brackets. Bytes that are not UTF-8 are replaced.
        pub path: Name<'a> = text(11, "PATH", 0).null("if it has no name"),
        /// NUMA node of the memory.
        pub node: Option<u32> = number(7, "NODE", 4).column_extra(Extra::Node)
            .null("if it is unknown, or the memory is on several nodes"),
        /// Cache mode of the memory.
        pub cache: Option<&'static str> = one_of(memory_types).null("if it is unknown"),
        /// Flags of QNX's struct _procfs_map_info.
        pub flags: Hex,
        /// Facts of the pages. Only with --details.
        pub details: Option<&'a Details> = optional().extra(Extra::Details),
    }
    besides {
        /// Virtual and physical address of a byte in it. Only tables show it.
        pub byte: Option<(Hex, Hex)>,
        /// Records that the row of a table stands for. Other formats have none.
        pub folded: Option<Folded>,
    }
}

/// Consecutive records of one mapping in one row of a table: of the zero page, or without
/// memory. Sizes are in bytes.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Default)]
pub struct Folded {
    /// Number of records.
    pub records: u64,
    /// Size of all.
    pub size: u64,
    /// Size of those that are not present.
    pub not_present: u64,
    /// Size of those in swap.
    pub swapped: u64,
    /// Size of guard regions.
    pub guard: u64,
}

impl Folded {
    /// Returns each state without memory, with its bytes.
    fn absent(&self) -> impl Iterator<Item = (State, u64)> {
        [
            (State::NotPresent, self.not_present),
            (State::Swapped, self.swapped),
            (State::Guard, self.guard),
        ]
        .into_iter()
        .filter(|&(_, bytes)| bytes > 0)
    }
}

impl<'a> PhysicalRecord<'a> {
    /// Returns the record of a region. `page_size` is that of its entries, `base` the base
    /// page size. The node is unknown; the cache mode is that of the mapping, see
    /// [`Self::set_memory_type`].
    pub fn new(region: &'a PhysicalRegion, page_size: Option<PageSize>, base: PageSize) -> Self {
        let mapping = &*region.mapping;
        let (vaddr, paddr) = (region.virt.start(), region.backing.address());
        Self {
            process: None,
            vaddr: vaddr.into(),
            vpn: vaddr.as_u64() >> base.shift(),
            size: region.size(),
            paddr: paddr.map(Hex::from),
            pfn: paddr.map(|address| address.pfn(base).as_u64()),
            state: region.backing.into(),
            reason: unknown_reason(region.backing),
            swap: Swap::of(region.backing),
            prot: protection_name(mapping.protection),
            shared: mapping.shared,
            kind: mapping.kind().name(),
            page_size: page_size.map(PageSize::bytes),
            offset: Hex(region.offset()),
            dev: mapping.device.into(),
            ino: mapping.inode,
            path: Name(mapping.name().as_bytes()),
            node: None,
            cache: region.memory_type().map(MemoryType::name),
            flags: Hex(u64::from(region.flags().bits())),
            byte: None,
            folded: None,
            details: None,
        }
    }

    /// Adds the byte at a virtual address to tables, if it is in the record and not its
    /// first byte.
    pub fn set_byte(&mut self, vaddr: u64) {
        self.byte = byte_of(self.vaddr, self.size, self.paddr, vaddr);
    }

    /// Sets the cache mode, also in the flags.
    pub fn set_memory_type(&mut self, memory_type: Option<MemoryType>) {
        self.cache = memory_type.map(MemoryType::name);
        self.flags = with_memory_type(self.flags, memory_type);
    }
}

impl Record for PhysicalRecord<'_> {
    fn row(&self, row: &mut Row<'_>) {
        self.visit(row);
        if let Some(folded) = self.folded {
            let name = match self.state {
                State::Zero => self.state.name(),
                _ => "absent",
            };
            row.set("SIZE", size(folded.size, &mut [0; SIZE]));
            row.set("STATE", format!("{name} x{}", folded.records));
        } else if let Some(swap) = self.swap {
            swap.show(row);
        }
    }

    fn notes(&self, notes: &mut Notes<'_>) {
        note_byte(self.byte, notes);
        for (state, bytes) in self.folded.iter().flat_map(Folded::absent) {
            let mut text = [0; SIZE];
            let size = ascii(size(bytes, &mut text));
            notes.phrase(&format!("{} {size}", state.name()));
        }
        if let Some(details) = self.details {
            details.note(notes);
        }
    }
}
