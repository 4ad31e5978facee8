//! Record of the object mapped at an address.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use process_introspection::{BuildId, Object};

use crate::field::{record, Fields};
use crate::name::Name;
use crate::number::{DeviceNumber, Hex, SignedHex};
use crate::page::protection_name;
use crate::record::{Layout, Record};
use crate::words::{mapping_kinds, PROTECTION};

record! {
    /// Object that is mapped at one address, and the place of the address in it. The array
    /// has one record.
    #[derive(Copy)]
    pub struct ObjectRecord<'a> {
        /// Address of the query.
        pub vaddr: Hex,
        /// Address to which the byte was linked.
        pub linked_vaddr: Option<Hex>
            = null("if the object is no executable or library that could be read"),
        /// Distance by which the file was moved when it was loaded: vaddr less
        /// linked_vaddr, equal in every mapping of one loaded file. In hexadecimal, with a
        /// sign if it was moved down.
        pub relocation: Option<SignedHex> = null("as for linked_vaddr"),
        /// Protection of the mapping: read, write, execute, with - for what is not allowed.
        pub prot: &'static str = pattern(PROTECTION),
        /// Whether the mapping is shared, not private.
        pub shared: bool,
        /// Kind of the mapping.
        pub kind: &'static str = one_of(mapping_kinds),
        /// Offset of the byte in the object.
        pub offset: Hex,
        /// Device of the object's file system, major and minor number in hexadecimal;
        /// 00:00 without an object.
        pub dev: DeviceNumber,
        /// Inode number of the object; 0 without an object.
        pub ino: u64,
        /// Build ID, by which the linker distinguishes the file from others of its name;
        /// read from the mapped file itself.
        pub build_id: Option<BuildId>
            = null("if it has none, or is no executable or library that could be read"),
        /// Whether the path by which it was mapped no longer leads to it.
        pub deleted: bool,
        /// Name of the mapping: the path of its object, or a name of the kernel's in
        /// brackets. Bytes that are not UTF-8 are replaced.
        pub path: Name<'a> = null("if it has no name"),
        /// Path by which the process itself reaches the object, from its own root.
        pub target_path: Name<'a>
            = null("if the object never had a path, or is outside that root"),
        /// Path by which the caller reaches the mapped object, tried when this was written:
        /// its name, or one below /proc/PID/root or /proc/PID/map_files.
        pub open_path: Name<'a> = null("if none leads to it"),
    }
}

impl<'a> ObjectRecord<'a> {
    /// Returns the record of an object.
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
            target_path: path(object.target_path()),
            open_path: path(object.open_path()),
        }
    }
}

impl Record for ObjectRecord<'_> {
    // A line for each field: a table of one row would be twice as wide as a terminal.
    const LAYOUT: Layout = Layout {
        table: &[],
        ..Layout::of(Self::FIELDS)
    };

    fn picture(&self, _width: Option<usize>) -> String {
        let hex = |number: Hex| format!("{:#x}", number.0);
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
            ("dev", Some(self.dev.0.to_string())),
            ("ino", Some(self.ino.to_string())),
            ("build_id", self.build_id.map(|id| id.to_string())),
            ("deleted", self.deleted.then(|| "yes".to_owned())),
            ("path", Some(self.path.printable())),
            ("target_path", self.elsewhere(self.target_path)),
            ("open_path", self.elsewhere(self.open_path)),
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
    /// Returns the text of a path that is not the object's name.
    fn elsewhere(&self, path: Name<'a>) -> Option<String> {
        (!path.0.is_empty() && path != self.path).then(|| path.printable())
    }
}
