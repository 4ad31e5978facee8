//! Record of a leaf entry of a page table.

use process_introspection::{MemoryType, PageSize, PageTableEntry};

use crate::details::Details;
use crate::field::{record, Extra, Fields, Show};
use crate::name::Name;
use crate::number::{DeviceNumber, Hex};
use crate::page::{byte_of, note_byte, protection_name, unknown_reason, with_memory_type, Swap};
use crate::record::Record;
use crate::state::State;
use crate::table::{Notes, Row};
use crate::words::{mapping_kinds, memory_types, states_of_addresses, unknown_reasons, PROTECTION};

record! {
    /// Leaf entry of the page table, or a base page without one. The fields are those of
    /// physical regions.
    #[derive(Copy)]
    pub struct PageTableRecord<'a> {
        /// First virtual address that the entry maps.
        pub vaddr: Hex = number(0, "VADDR", 12),
        /// Virtual page number: the first virtual address divided by the base page size.
        pub vpn: u64 = pages(),
        /// Size in bytes that the entry maps.
        pub size: u64 = bytes().least(1).number(1, "SIZE", 4),
        /// First physical address.
        pub paddr: Option<Hex> = number(2, "PADDR", 11)
            .null("if no physical memory is there, or its address is unknown"),
        /// Page frame number: the first physical address divided by the base page size.
        pub pfn: Option<u64> = pages().null("as for paddr"),
        /// State of the memory; unmapped for the first page of a range that begins in no
        /// mapping. Shared memory in swap is not-present: page tables have no entry of it.
        pub state: State = one_of(states_of_addresses).text(3, "STATE", 11),
        /// Reason for which the state is unknown.
        pub reason: Option<&'static str> = one_of(unknown_reasons)
            .null("for every other state").also(2, Show::Left),
        /// Place of the page in swap.
        pub swap: Option<Swap> = null("if it is not in swap, or its place is unknown"),
        /// Protection of the mapping: read, write, execute, with - for what is not allowed.
        pub prot: &'static str = pattern(PROTECTION).text(4, "PROT", 4),
        /// Whether the mapping is shared, not private.
        pub shared: bool = also(4, Show::Sharing),
        /// Kind of the mapping.
        pub kind: Option<&'static str> = one_of(mapping_kinds).text(5, "KIND", 7)
            .null("without a mapping"),
        /// Size in bytes that the entry maps, as in size.
        pub page_size: u64 = bytes().least(1),
        /// Offset of the first byte in the mapped object; 0x0 without an object.
        pub offset: Hex,
        /// Device of the object's file system, major and minor number in hexadecimal;
        /// 00:00 without an object.
        pub dev: DeviceNumber,
        /// Inode number of the object; 0 without an object.
        pub ino: u64,
        /// Name of the mapping: the path of its object, or a name of the kernel's in
        /// brackets. Bytes that are not UTF-8 are replaced.
        pub path: Name<'a> = text(6, "PATH", 0).null("if it has no name"),
        /// NUMA node of the memory.
        pub node: Option<u32> = null("if it is unknown"),
        /// Cache mode of the memory.
        pub cache: Option<&'static str> = one_of(memory_types).null("if it is unknown"),
        /// Flags of QNX's struct _procfs_map_info; 0x0 without a mapping.
        pub flags: Hex,
        /// Facts of the pages. Only with --details.
        pub details: Option<&'a Details> = optional().extra(Extra::Details),
    }
    besides {
        /// Virtual and physical address of a byte in it. Only tables show it.
        pub byte: Option<(Hex, Hex)>,
    }
}

impl<'a> PageTableRecord<'a> {
    /// Returns the record of an entry. `base` is the base page size. The node is unknown.
    pub fn new(entry: &'a PageTableEntry, base: PageSize) -> Self {
        let (vaddr, paddr) = (entry.virt.start(), entry.backing.address());
        let mapping = entry.mapping.as_deref();
        let state = if mapping.is_some() {
            entry.backing.into()
        } else {
            State::Unmapped
        };
        Self {
            vaddr: vaddr.into(),
            vpn: vaddr.as_u64() >> base.shift(),
            size: entry.virt.size(),
            paddr: paddr.map(Hex::from),
            pfn: paddr.map(|address| address.pfn(base).as_u64()),
            state,
            reason: unknown_reason(entry.backing),
            swap: Swap::of(entry.backing),
            prot: mapping.map_or("---", |mapping| protection_name(mapping.protection)),
            shared: mapping.is_some_and(|mapping| mapping.shared),
            kind: mapping.map(|mapping| mapping.kind().name()),
            page_size: entry.page_size.bytes(),
            offset: Hex(entry.offset()),
            dev: mapping.map_or(DeviceNumber::default(), |mapping| mapping.device.into()),
            ino: mapping.map_or(0, |mapping| mapping.inode),
            path: Name(mapping.map_or(b"", |mapping| mapping.name().as_bytes())),
            node: None,
            cache: entry.memory_type().map(MemoryType::name),
            flags: Hex(u64::from(entry.flags().bits())),
            byte: None,
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

impl Record for PageTableRecord<'_> {
    fn row(&self, row: &mut Row<'_>) {
        self.visit(row);
        if let Some(swap) = self.swap {
            swap.show(row);
        }
        if self.kind.is_none() {
            row.set("PROT", "");
        }
    }

    fn notes(&self, notes: &mut Notes<'_>) {
        note_byte(self.byte, notes);
        if let Some(details) = self.details {
            details.note(notes);
        }
    }
}
