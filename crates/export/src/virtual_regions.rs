//! Record of a mapping.

use process_introspection::{Mapping, PageSize};

use crate::field::{record, Extra, Show};
use crate::name::Name;
use crate::number::{DeviceNumber, Hex};
use crate::page::protection_name;
use crate::process::ProcessIdentity;
use crate::record::Record;
use crate::words::{mapping_kinds, PROTECTION};

record! {
    /// Whole mapping.
    #[derive(Copy)]
    pub struct VirtualRecord<'a> {
        /// Process, in lists of several.
        pub process: Option<ProcessIdentity<'a>> = flat().optional().extra(Extra::Process),
        /// First virtual address.
        pub vaddr: Hex = number(3, "VADDR", 12),
        /// Virtual page number: the first virtual address divided by the base page size.
        pub vpn: u64 = pages(),
        /// Size in bytes.
        pub size: u64 = bytes().least(1).number(4, "SIZE", 7),
        /// Protection: read, write, execute, with - for what is not allowed.
        pub prot: &'static str = pattern(PROTECTION).text(5, "PROT", 4),
        /// Whether it is shared, not private.
        pub shared: bool = also(5, Show::Sharing),
        /// Kind of the mapping.
        pub kind: &'static str = one_of(mapping_kinds).text(6, "KIND", 7),
        /// Size of the mapping's pages in bytes, greater than the base page for hugetlb.
        pub page_size: Option<u64> = bytes().least(1)
            .null("if the kernel does not export it"),
        /// Offset of the first byte in the mapped object; 0x0 without an object.
        pub offset: Hex = number(7, "OFFSET", 8),
        /// Device of the object's file system, major and minor number in hexadecimal;
        /// 00:00 without an object.
        pub dev: DeviceNumber = text(8, "DEV", 5),
        /// Inode number of the object; 0 without an object.
        pub ino: u64 = number(9, "INO", 9),
        /// Name of the mapping: the path of its object, or a name of the kernel's in
        /// brackets. Bytes that are not UTF-8 are replaced.
        pub path: Name<'a> = text(10, "PATH", 0).null("if it has no name"),
        /// Flags of QNX's struct _procfs_map_info.
        pub flags: Hex,
    }
}

impl<'a> VirtualRecord<'a> {
    /// Returns the record of a mapping. `base` is the base page size.
    pub fn new(mapping: &'a Mapping, base: PageSize) -> Self {
        let vaddr = mapping.range.start();
        Self {
            process: None,
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
            flags: Hex(u64::from(mapping.flags().bits())),
        }
    }
}

impl Record for VirtualRecord<'_> {}
