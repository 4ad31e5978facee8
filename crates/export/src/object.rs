//! The record of the object mapped at an address.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use process_introspection::{BuildId, Object};
use serde::{Serialize, Serializer};

use crate::delimited::Fields;
use crate::name::{Name, OtherPath};
use crate::number::{DeviceNumber, Hex, SignedHex};
use crate::record::{protection_name, Layout, Record};
use crate::table::Cells;

/// The object at one address, and where in it that address lies.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ObjectRecord<'a> {
    /// The address that was asked for.
    pub vaddr: Hex,
    /// The address that the byte was linked to; none for objects that are no
    /// executables or libraries, or that could not be read.
    pub linked_vaddr: Option<Hex>,
    /// By how much the file was moved when it was loaded; none as above.
    pub relocation: Option<SignedHex>,
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
    /// What its linker noted to tell it from others; none as above.
    #[serde(serialize_with = "as_text")]
    pub build_id: Option<BuildId>,
    /// Whether its path leads to it no more.
    pub deleted: bool,
    /// The object's name, as the kernel gives it.
    #[serde(flatten)]
    pub path: Name<'a>,
    /// The path by which the process itself reaches it.
    #[serde(flatten)]
    pub target_path: OtherPath<'a>,
    /// A path by which the caller reaches it.
    #[serde(flatten)]
    pub open_path: OtherPath<'a>,
}

fn as_text<S: Serializer>(id: &Option<BuildId>, serializer: S) -> Result<S::Ok, S::Error> {
    match id {
        Some(id) => serializer.collect_str(id),
        None => serializer.serialize_none(),
    }
}

impl<'a> ObjectRecord<'a> {
    /// The record of an object.
    pub fn new(object: &'a Object) -> Self {
        let mapping = &object.mapping;
        let path = |path: Option<&'a Path>| {
            let path = path.map(Path::as_os_str).map(OsStr::as_bytes);
            Name(path.unwrap_or_default())
        };
        Self {
            vaddr: object.address.into(),
            linked_vaddr: object.linked_address.map(Hex::from),
            relocation: object.relocation().map(SignedHex),
            prot: protection_name(mapping.protection),
            shared: mapping.shared,
            kind: mapping.kind().name(),
            offset: Hex(object.offset()),
            dev: mapping.device.into(),
            ino: mapping.inode,
            build_id: object.build_id,
            deleted: object.is_deleted(),
            path: Name(mapping.name().as_bytes()),
            target_path: OtherPath::target(path(object.target_path())),
            open_path: OtherPath::open(path(object.open_path())),
        }
    }
}

impl Record for ObjectRecord<'_> {
    const LAYOUT: Layout = Layout {
        fields: &[
            "vaddr",
            "linked_vaddr",
            "relocation",
            "prot",
            "shared",
            "kind",
            "offset",
            "dev",
            "ino",
            "build_id",
            "deleted",
            "path",
            "path_hex",
            "target_path",
            "target_path_hex",
            "open_path",
            "open_path_hex",
        ],
        // A line for each field: a table of one row would be twice as wide as a
        // terminal.
        columns: &[],
    };

    fn fields(&self, fields: &mut Fields) {
        fields
            .hex(self.vaddr)
            .hex(self.linked_vaddr)
            .text(&self.relocation.map(SignedHex::text).unwrap_or_default())
            .text(self.prot)
            .truth(self.shared)
            .text(self.kind)
            .hex(self.offset)
            .device(self.dev)
            .number(self.ino)
            .text(&self.build_id.map(|id| id.to_string()).unwrap_or_default())
            .truth(self.deleted)
            .name(self.path)
            .name(self.target_path.path)
            .name(self.open_path.path);
    }

    fn cells(&self, _cells: &mut Cells<'_>) {}

    fn picture(&self, _width: Option<usize>) -> String {
        let hex = |number: Hex| format!("{:#x}", number.0);
        let path = |name: Name<'_>| {
            let mut text = Vec::new();
            name.push_printable(None, &mut text);
            String::from_utf8_lossy(&text).into_owned()
        };
        let sharing = if self.shared { "shared" } else { "private" };
        let lines = [
            ("vaddr", Some(hex(self.vaddr))),
            ("linked_vaddr", self.linked_vaddr.map(hex)),
            ("relocation", self.relocation.map(SignedHex::text)),
            ("offset", Some(hex(self.offset))),
            (
                "mapping",
                Some(format!("{} {sharing} {}", self.prot, self.kind)),
            ),
            ("dev", Some(self.dev.text(&mut [0; 18]).to_owned())),
            ("ino", Some(self.ino.to_string())),
            ("build_id", self.build_id.map(|id| id.to_string())),
            ("deleted", self.deleted.then(|| "yes".to_owned())),
            ("path", Some(path(self.path))),
            ("target_path", self.elsewhere(self.target_path).map(path)),
            ("open_path", self.elsewhere(self.open_path).map(path)),
        ];
        let mut text = String::new();
        for (name, value) in lines {
            if let Some(value) = value {
                text.push_str(format!("{name:<12}  {value}").trim_end());
                text.push('\n');
            }
        }
        text
    }
}

impl<'a> ObjectRecord<'a> {
    /// A path that says more than the object's name.
    fn elsewhere(&self, other: OtherPath<'a>) -> Option<Name<'a>> {
        let path = other.path;
        (!path.0.is_empty() && path != self.path).then_some(path)
    }
}
