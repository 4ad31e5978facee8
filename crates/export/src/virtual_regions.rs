//! The record of a mapping.

use process_introspection::{Mapping, PageSize};
use serde::Serialize;

use crate::delimited::Fields;
use crate::name::Name;
use crate::number::{DeviceNumber, Hex};
use crate::record::{protection_name, Column, Layout, Record};
use crate::table::Cells;

/// A mapping, whole.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VirtualRecord<'a> {
    /// Its first virtual address.
    pub vaddr: Hex,
    /// That address, in base pages.
    pub vpn: u64,
    /// In bytes.
    pub size: u64,
    /// `rwx`, with `-` for what is not allowed.
    pub prot: &'static str,
    /// Mapped shared, not private.
    pub shared: bool,
    /// The kind of mapping.
    pub kind: &'static str,
    /// The size of its pages, in bytes, greater than the base page for
    /// hugetlb; none where the kernel does not tell.
    pub page_size: Option<u64>,
    /// Where its first byte lies in the mapped object; 0 without one.
    pub offset: Hex,
    /// The device that holds the object; 0 without one.
    pub dev: DeviceNumber,
    /// The object's inode; 0 without one.
    pub ino: u64,
    /// Its name.
    #[serde(flatten)]
    pub path: Name<'a>,
    /// QNX's flags.
    pub flags: Hex,
}

impl<'a> VirtualRecord<'a> {
    /// The record of a mapping. `base` is the base page size.
    pub fn new(mapping: &'a Mapping, base: PageSize) -> Self {
        let vaddr = mapping.range.start();
        Self {
            vaddr: vaddr.into(),
            vpn: vaddr.as_u64() >> base.shift(),
            size: mapping.range.size(),
            prot: protection_name(mapping.protection),
            shared: mapping.shared,
            kind: mapping.kind().name(),
            page_size: mapping.page_size.map(PageSize::bytes),
            offset: Hex(mapping.offset),
            dev: mapping.device.into(),
            ino: mapping.inode,
            path: Name(mapping.name().as_bytes()),
            flags: Hex(u64::from(mapping.flags())),
        }
    }
}

impl Record for VirtualRecord<'_> {
    const LAYOUT: Layout = Layout {
        fields: &[
            "vaddr",
            "vpn",
            "size",
            "prot",
            "shared",
            "kind",
            "page_size",
            "offset",
            "dev",
            "ino",
            "path",
            "path_hex",
            "flags",
        ],
        columns: &[
            Column::number("VADDR", 12),
            Column::number("SIZE", 7),
            Column::text("PROT", 4),
            Column::text("KIND", 7),
            Column::number("OFFSET", 8),
            Column::text("DEV", 5),
            Column::number("INO", 9),
            Column::text("PATH", 0),
        ],
    };

    fn fields(&self, fields: &mut Fields) {
        fields
            .hex(self.vaddr)
            .number(self.vpn)
            .number(self.size)
            .text(self.prot)
            .truth(self.shared)
            .text(self.kind)
            .number(self.page_size)
            .hex(self.offset)
            .device(self.dev)
            .number(self.ino)
            .name(self.path)
            .hex(self.flags);
    }

    fn cells(&self, cells: &mut Cells<'_>) {
        cells
            .hex(self.vaddr)
            .size(self.size)
            .protection(self.prot, self.shared)
            .text(self.kind)
            .hex(self.offset)
            .device(self.dev)
            .number(self.ino)
            .name(self.path);
    }
}
