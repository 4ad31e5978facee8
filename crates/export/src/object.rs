//! The record of the object mapped at an address.

use process_introspection::Object;
use serde::Serialize;

use crate::delimited::Fields;
use crate::name::Name;
use crate::number::{DeviceNumber, Hex};
use crate::record::{protection_name, Column, Layout, Record};
use crate::table::Cells;

/// The object at one address, and where in it that address lies.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ObjectRecord<'a> {
    /// The address that was asked for.
    pub vaddr: Hex,
    /// The address that the byte was linked to; none for objects that are no
    /// executables or libraries, or that could not be read.
    pub linked_vaddr: Option<Hex>,
    /// `rwx` of the mapping, with `-` for what is not allowed.
    pub prot: &'static str,
    /// Mapped shared, not private.
    pub shared: bool,
    /// The kind of mapping.
    pub kind: &'static str,
    /// Where the byte lies in the object.
    pub offset: Hex,
    /// The device that holds the object.
    pub dev: DeviceNumber,
    /// The object's inode.
    pub ino: u64,
    /// The object's path.
    #[serde(flatten)]
    pub path: Name<'a>,
}

impl<'a> ObjectRecord<'a> {
    /// The record of an object.
    pub fn new(object: &'a Object) -> Self {
        let mapping = &object.mapping;
        Self {
            vaddr: object.address.into(),
            linked_vaddr: object.linked_address.map(Hex::from),
            prot: protection_name(mapping.protection),
            shared: mapping.shared,
            kind: mapping.kind().name(),
            offset: Hex(object.offset()),
            dev: mapping.device.into(),
            ino: mapping.inode,
            path: Name(mapping.name().as_bytes()),
        }
    }
}

impl Record for ObjectRecord<'_> {
    const LAYOUT: Layout = Layout {
        fields: &[
            "vaddr",
            "linked_vaddr",
            "prot",
            "shared",
            "kind",
            "offset",
            "dev",
            "ino",
            "path",
            "path_hex",
        ],
        columns: &[
            Column::number("VADDR", 12),
            Column::number("LINKED", 8),
            Column::number("OFFSET", 8),
            Column::text("PROT", 4),
            Column::text("KIND", 7),
            Column::text("DEV", 5),
            Column::number("INO", 9),
            Column::text("PATH", 0),
        ],
    };

    fn fields(&self, fields: &mut Fields) {
        fields
            .hex(self.vaddr)
            .hex(self.linked_vaddr)
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
            .hex(self.linked_vaddr)
            .hex(self.offset)
            .protection(self.prot, self.shared)
            .text(self.kind)
            .device(self.dev)
            .number(self.ino)
            .name(self.path);
    }
}
