//! The record of a region that is in memory, or not, without an address.

use process_introspection::{PageSize, ResidentRegion};
use serde::Serialize;

use crate::delimited::Fields;
use crate::name::Name;
use crate::number::{DeviceNumber, Hex};
use crate::record::{protection_name, Column, Layout, Record};
use crate::state::State;
use crate::table::Cells;

/// Whole pages of one mapping that are in memory, or not for one reason.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ResidentRecord<'a> {
    /// Its first virtual address.
    pub vaddr: Hex,
    /// That address, in base pages.
    pub vpn: u64,
    /// In bytes.
    pub size: u64,
    /// What is behind it.
    pub state: State,
    /// Mapped by huge pages; none where the kernel does not tell.
    pub huge: Option<bool>,
    /// `rwx`, with `-` for what is not allowed.
    pub prot: &'static str,
    /// Mapped shared, not private.
    pub shared: bool,
    /// The kind of mapping.
    pub kind: &'static str,
    /// Where its first byte lies in the mapped object; 0 without one.
    pub offset: Hex,
    /// The device that holds the object; 0 without one.
    pub dev: DeviceNumber,
    /// The object's inode; 0 without one.
    pub ino: u64,
    /// The mapping's name.
    #[serde(flatten)]
    pub path: Name<'a>,
}

impl<'a> ResidentRecord<'a> {
    /// The record of a region. `base` is the base page size.
    pub fn new(region: &'a ResidentRegion, base: PageSize) -> Self {
        let mapping = &*region.mapping;
        let vaddr = region.virt.start();
        let into_mapping = vaddr
            .as_u64()
            .saturating_sub(mapping.range.start().as_u64());
        let offset = if mapping.has_object() {
            mapping.offset + into_mapping
        } else {
            0
        };
        Self {
            vaddr: vaddr.into(),
            vpn: vaddr.as_u64() >> base.shift(),
            size: region.virt.size(),
            state: region.backing.into(),
            huge: region.huge,
            prot: protection_name(mapping.protection),
            shared: mapping.shared,
            kind: mapping.kind().name(),
            offset: Hex(offset),
            dev: mapping.device.into(),
            ino: mapping.inode,
            path: Name(mapping.name().as_bytes()),
        }
    }
}

impl Record for ResidentRecord<'_> {
    const LAYOUT: Layout = Layout {
        fields: &[
            "vaddr", "vpn", "size", "state", "huge", "prot", "shared", "kind", "offset", "dev",
            "ino", "path", "path_hex",
        ],
        columns: &[
            Column::number("VADDR", 12),
            Column::number("SIZE", 7),
            Column::text("STATE", 11),
            Column::text("HUGE", 4),
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
            .text(self.state.name())
            .truth(self.huge)
            .text(self.prot)
            .truth(self.shared)
            .text(self.kind)
            .hex(self.offset)
            .device(self.dev)
            .number(self.ino)
            .name(self.path);
    }

    fn cells(&self, cells: &mut Cells<'_>) {
        cells
            .hex(self.vaddr)
            .size(self.size)
            .text(self.state.name())
            .truth(self.huge)
            .protection(self.prot, self.shared)
            .text(self.kind)
            .name(self.path);
    }
}
