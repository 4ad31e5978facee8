//! Record of a region that is in memory or not, without an address.

use process_introspection::{PageSize, ResidentRegion};

use crate::field::{record, Extra, Show};
use crate::name::Name;
use crate::number::{DeviceNumber, Hex};
use crate::page::protection_name;
use crate::process::ProcessIdentity;
use crate::record::Record;
use crate::state::State;
use crate::words::{mapping_kinds, states_of_presence, PROTECTION};

record! {
    /// Pages of one mapping that are in memory, or not for one reason.
    #[derive(Copy)]
    pub struct ResidentRecord<'a> {
        /// Process, in lists of several.
        pub process: Option<ProcessIdentity<'a>> = flat().optional().extra(Extra::Process),
        /// First virtual address.
        pub vaddr: Hex = number(3, "VADDR", 12),
        /// Virtual page number: the first virtual address divided by the base page size.
        pub vpn: u64 = pages(),
        /// Size in bytes.
        pub size: u64 = bytes().least(1).number(4, "SIZE", 7),
        /// State of the memory. Shared memory in swap is not-present: page tables have no
        /// entry of it.
        pub state: State = one_of(states_of_presence).text(5, "STATE", 11),
        /// Whether huge page-table entries map it.
        pub huge: Option<bool> = text(6, "HUGE", 4).null("if the kernel does not export it"),
        /// Protection of the mapping: read, write, execute, with - for what is not allowed.
        pub prot: &'static str = pattern(PROTECTION).text(7, "PROT", 4),
        /// Whether the mapping is shared, not private.
        pub shared: bool = also(7, Show::Sharing),
        /// Kind of the mapping.
        pub kind: &'static str = one_of(mapping_kinds).text(8, "KIND", 7),
        /// Offset of the first byte in the mapped object; 0x0 without an object.
        pub offset: Hex,
        /// Device of the object's file system, major and minor number in hexadecimal;
        /// 00:00 without an object.
        pub dev: DeviceNumber,
        /// Inode number of the object; 0 without an object.
        pub ino: u64,
        /// Name of the mapping: the path of its object, or a name of the kernel's in
        /// brackets. Bytes that are not UTF-8 are replaced.
        pub path: Name<'a> = text(9, "PATH", 0).null("if it has no name"),
    }
}

impl<'a> ResidentRecord<'a> {
    /// Returns the record of a region. `base` is the base page size.
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
            process: None,
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

impl Record for ResidentRecord<'_> {}
