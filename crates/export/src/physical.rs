//! The record of a physical region.

use process_introspection::{MemoryType, PageSize, PhysicalRegion};
use serde::Serialize;

use crate::delimited::Fields;
use crate::name::Name;
use crate::number::{size, DeviceNumber, Hex, SIZE};
use crate::record::{
    byte_of, inserted, note_byte, protection_name, unknown_reason, with_memory_type, Column,
    Layout, Record, Swap,
};
use crate::state::State;
use crate::table::{Cells, Notes};

/// A physical region: whole pages of one mapping that are physically
/// consecutive, or unbacked for one reason.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PhysicalRecord<'a> {
    /// Its first virtual address.
    pub vaddr: Hex,
    /// That address, in base pages.
    pub vpn: u64,
    /// In bytes.
    pub size: u64,
    /// Its first physical address; none if unbacked.
    pub paddr: Option<Hex>,
    /// That address, in base pages.
    pub pfn: Option<u64>,
    /// What is behind it.
    pub state: State,
    /// Why that is unknown, if it is.
    pub reason: Option<&'static str>,
    /// Where its first page is in swap, if it is there.
    pub swap: Option<Swap>,
    /// `rwx`, with `-` for what is not allowed.
    pub prot: &'static str,
    /// Mapped shared, not private.
    pub shared: bool,
    /// The kind of mapping.
    pub kind: &'static str,
    /// What each page-table entry of it maps, in bytes; none if unbacked,
    /// mixed or unknown.
    pub page_size: Option<u64>,
    /// Where its first byte lies in the mapped object; 0 without one.
    pub offset: Hex,
    /// The device that holds the object; 0 without one.
    pub dev: DeviceNumber,
    /// The object's inode; 0 without one.
    pub ino: u64,
    /// The mapping's name.
    #[serde(flatten)]
    pub path: Name<'a>,
    /// The NUMA node that the memory belongs to, if all of it is of one and it
    /// was looked up.
    pub node: Option<u32>,
    /// How the memory is cached, if that is known.
    pub cache: Option<&'static str>,
    /// QNX's flags.
    pub flags: Hex,
    /// The physical address of a byte in it, by its virtual address. Only tables
    /// show it.
    #[serde(skip)]
    pub byte: Option<(Hex, Hex)>,
    /// Records that the row of a table stands for. Other formats have none.
    #[serde(skip)]
    pub folded: Option<Folded>,
}

/// Records of one mapping that follow each other, in one row of a table: of the
/// zero page, or absent. Sizes are in bytes.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Default)]
pub struct Folded {
    /// How many there are.
    pub records: u64,
    /// Of all of them.
    pub size: u64,
    /// Of those that are not present.
    pub not_present: u64,
    /// Of those that are in swap.
    pub swapped: u64,
    /// Of those that are guards.
    pub guard: u64,
}

impl Folded {
    /// Each state that is absent, with its bytes.
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
    /// The record of a region. `page_size` is what was found out for it, `base`
    /// the base page size. The node is left unknown; how the memory is cached is
    /// what follows from what is mapped, see [`Self::set_memory_type`].
    pub fn new(region: &'a PhysicalRegion, page_size: Option<PageSize>, base: PageSize) -> Self {
        let mapping = &*region.mapping;
        let (vaddr, paddr) = (region.virt.start(), region.backing.address());
        Self {
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
            flags: Hex(u64::from(region.flags())),
            byte: None,
            folded: None,
        }
    }

    /// Shows in tables where the byte at a virtual address is, if it is in the
    /// record and not its first.
    pub fn set_byte(&mut self, vaddr: u64) {
        self.byte = byte_of(self.vaddr, self.size, self.paddr, vaddr);
    }

    /// Says how the memory is cached, also in the flags.
    pub fn set_memory_type(&mut self, memory_type: Option<MemoryType>) {
        self.cache = memory_type.map(MemoryType::name);
        self.flags = with_memory_type(self.flags, memory_type);
    }
}

impl Record for PhysicalRecord<'_> {
    const LAYOUT: Layout = Layout {
        fields: &[
            "vaddr",
            "vpn",
            "size",
            "paddr",
            "pfn",
            "state",
            "reason",
            "swap_type",
            "swap_offset",
            "prot",
            "shared",
            "kind",
            "page_size",
            "offset",
            "dev",
            "ino",
            "path",
            "path_hex",
            "node",
            "cache",
            "flags",
        ],
        columns: &[
            Column::number("VADDR", 12),
            Column::number("SIZE", 7),
            Column::number("PADDR", 11),
            Column::text("STATE", 11),
            Column::text("PROT", 4),
            Column::number("PAGE", 4),
            Column::text("KIND", 7),
            Column::text("PATH", 0),
        ],
    };

    fn fields(&self, fields: &mut Fields) {
        fields
            .hex(self.vaddr)
            .number(self.vpn)
            .number(self.size)
            .hex(self.paddr)
            .number(self.pfn)
            .text(self.state.name())
            .text(self.reason.unwrap_or_default())
            .swap(self.swap)
            .text(self.prot)
            .truth(self.shared)
            .text(self.kind)
            .number(self.page_size)
            .hex(self.offset)
            .device(self.dev)
            .number(self.ino)
            .name(self.path)
            .number(self.node.map(u64::from))
            .text(self.cache.unwrap_or_default())
            .hex(self.flags);
    }

    fn cells(&self, cells: &mut Cells<'_>) {
        cells.hex(self.vaddr);
        match self.folded {
            None => cells
                .size(self.size)
                .place_or_reason(self.paddr, self.swap, self.reason)
                .text(self.state.name()),
            Some(folded) => {
                let name = match self.state {
                    State::Zero => self.state.name(),
                    _ => "absent",
                };
                cells
                    .size(folded.size)
                    .hex(self.paddr)
                    .text(&format!("{name} x{}", folded.records))
            }
        };
        if cells.is_next(NODE.title) {
            cells.optional(self.node.map(u64::from));
        }
        cells
            .protection(self.prot, self.shared)
            .size(self.page_size)
            .text(self.kind)
            .name(self.path);
    }

    fn notes(&self, notes: &mut Notes<'_>) {
        note_byte(self.byte, notes);
        for (state, bytes) in self.folded.iter().flat_map(Folded::absent) {
            let mut text = [0; SIZE];
            notes.phrase(&format!("{} {}", state.name(), size(bytes, &mut text)));
        }
    }
}

const NODE: Column = Column::number("NODE", 4);
/// Behind the state.
const WITH_NODE: [Column; 9] = inserted(PhysicalRecord::LAYOUT.columns, 4, &[NODE]);

/// The same, and a column for the NUMA node in the table.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct WithNode<'a>(pub PhysicalRecord<'a>);

impl Record for WithNode<'_> {
    const LAYOUT: Layout = Layout {
        fields: PhysicalRecord::LAYOUT.fields,
        columns: &WITH_NODE,
    };

    fn fields(&self, fields: &mut Fields) {
        self.0.fields(fields);
    }

    fn cells(&self, cells: &mut Cells<'_>) {
        self.0.cells(cells);
    }

    fn notes(&self, notes: &mut Notes<'_>) {
        self.0.notes(notes);
    }
}
