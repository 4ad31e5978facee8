//! The record of a leaf entry of a page table.

use process_introspection::{MemoryType, PageSize, PageTableEntry};
use serde::Serialize;

use crate::delimited::Fields;
use crate::name::Name;
use crate::number::{DeviceNumber, Hex};
use crate::physical::PhysicalRecord;
use crate::record::{
    byte_of, note_byte, protection_name, unknown_reason, with_memory_type, Column, Layout, Record,
    Swap,
};
use crate::state::State;
use crate::table::{Cells, Notes};

/// A leaf entry, or a base page that has none. The fields are those of a
/// [`PhysicalRecord`].
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PageTableRecord<'a> {
    /// The first virtual address that the entry maps.
    pub vaddr: Hex,
    /// That address, in base pages.
    pub vpn: u64,
    /// What the entry maps, in bytes.
    pub size: u64,
    /// The physical address; none if unbacked.
    pub paddr: Option<Hex>,
    /// That address, in base pages.
    pub pfn: Option<u64>,
    /// What is behind it; [`State::Unmapped`] for the first page of a range
    /// that begins in no mapping.
    pub state: State,
    /// Why that is unknown, if it is.
    pub reason: Option<&'static str>,
    /// Where it is in swap, if it is there.
    pub swap: Option<Swap>,
    /// `rwx`, with `-` for what is not allowed.
    pub prot: &'static str,
    /// Mapped shared, not private.
    pub shared: bool,
    /// The kind of mapping; none without one.
    pub kind: Option<&'static str>,
    /// The same as the size.
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
    /// The NUMA node that the memory belongs to, if that was looked up.
    pub node: Option<u32>,
    /// How the memory is cached, if that follows from what is mapped.
    pub cache: Option<&'static str>,
    /// QNX's flags; 0 without a mapping.
    pub flags: Hex,
    /// The physical address of a byte in it, by its virtual address. Only tables
    /// show it.
    #[serde(skip)]
    pub byte: Option<(Hex, Hex)>,
}

impl<'a> PageTableRecord<'a> {
    /// The record of an entry. `base` is the base page size. The node is left
    /// unknown.
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
            page_size: Some(entry.page_size.bytes()),
            offset: Hex(entry.offset()),
            dev: mapping.map_or(DeviceNumber::default(), |mapping| mapping.device.into()),
            ino: mapping.map_or(0, |mapping| mapping.inode),
            path: Name(mapping.map_or(b"", |mapping| mapping.name().as_bytes())),
            node: None,
            cache: entry.memory_type().map(MemoryType::name),
            flags: Hex(u64::from(entry.flags())),
            byte: None,
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

impl Record for PageTableRecord<'_> {
    const LAYOUT: Layout = Layout {
        fields: PhysicalRecord::LAYOUT.fields,
        columns: &[
            Column::number("VADDR", 12),
            Column::number("SIZE", 4),
            Column::number("PADDR", 11),
            Column::text("STATE", 11),
            Column::text("PROT", 4),
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
            .text(self.kind.unwrap_or_default())
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
        cells
            .hex(self.vaddr)
            .size(self.size)
            .place_or_reason(self.paddr, self.swap, self.reason)
            .text(self.state.name());
        match self.kind {
            Some(kind) => cells.protection(self.prot, self.shared).text(kind),
            None => cells.text("-").text("-"),
        }
        .name(self.path);
    }

    fn notes(&self, notes: &mut Notes<'_>) {
        note_byte(self.byte, notes);
    }
}
