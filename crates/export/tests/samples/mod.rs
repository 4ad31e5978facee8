//! One record of each kind, with any name.

// Each test program uses a part of this.
#![allow(dead_code)]

use process_introspection::{BuildId, Device, FrameFlags};
use process_introspection_export::{
    DeviceNumber, ExtentRecord, FlagNames, Format, Hex, Name, NamedBy, ObjectRecord, OtherPath,
    OwnerKind, OwnerRecord, PageTableRecord, PhysicalRecord, Record, ResidentRecord, Searched,
    SignedHex, State, Swap, UsageRecord, VirtualRecord, Writer,
};

const DEVICE: DeviceNumber = DeviceNumber(Device {
    major: 0xfe,
    minor: 0,
});

pub(crate) fn physical(name: &[u8]) -> PhysicalRecord<'_> {
    PhysicalRecord {
        vaddr: Hex(0x7f44236fc000),
        vpn: 0x7f44236fc,
        size: 132 << 10,
        paddr: Some(Hex(0x11c183000)),
        pfn: Some(0x11c183),
        state: State::Ram,
        reason: None,
        swap: None,
        prot: "rw-",
        shared: false,
        kind: "file",
        page_size: Some(4096),
        offset: Hex(0x1000),
        dev: DEVICE,
        ino: 247030,
        path: Name(name),
        node: None,
        cache: None,
        flags: Hex(0x1700302),
        byte: None,
        folded: None,
    }
}

pub(crate) fn swapped(name: &[u8]) -> PhysicalRecord<'_> {
    PhysicalRecord {
        paddr: None,
        pfn: None,
        state: State::Swapped,
        swap: Some(Swap {
            area: 1,
            offset: 32,
        }),
        page_size: None,
        ..physical(name)
    }
}

pub(crate) fn unknown(name: &[u8]) -> PhysicalRecord<'_> {
    PhysicalRecord {
        paddr: None,
        pfn: None,
        state: State::Unknown,
        reason: Some("driver"),
        page_size: None,
        ..physical(name)
    }
}

pub(crate) fn page_table(name: &[u8]) -> PageTableRecord<'_> {
    let like = physical(name);
    PageTableRecord {
        vaddr: like.vaddr,
        vpn: like.vpn,
        size: 2 << 20,
        paddr: like.paddr,
        pfn: like.pfn,
        state: like.state,
        reason: like.reason,
        swap: None,
        prot: like.prot,
        shared: true,
        kind: Some(like.kind),
        page_size: Some(2 << 20),
        offset: like.offset,
        dev: like.dev,
        ino: like.ino,
        path: like.path,
        node: Some(1),
        cache: Some("write-back"),
        flags: like.flags,
        byte: None,
    }
}

pub(crate) fn virtual_region(name: &[u8]) -> VirtualRecord<'_> {
    let like = physical(name);
    VirtualRecord {
        vaddr: like.vaddr,
        vpn: like.vpn,
        size: like.size,
        prot: like.prot,
        shared: like.shared,
        kind: like.kind,
        page_size: like.page_size,
        offset: like.offset,
        dev: like.dev,
        ino: like.ino,
        path: like.path,
        flags: Hex(0x302),
    }
}

pub(crate) fn resident(name: &[u8]) -> ResidentRecord<'_> {
    let like = physical(name);
    ResidentRecord {
        vaddr: like.vaddr,
        vpn: like.vpn,
        size: like.size,
        state: State::Resident,
        huge: Some(false),
        prot: like.prot,
        shared: like.shared,
        kind: like.kind,
        offset: like.offset,
        dev: like.dev,
        ino: like.ino,
        path: like.path,
    }
}

pub(crate) fn extent() -> ExtentRecord {
    ExtentRecord {
        vaddr: Hex(0x7f44236fc010),
        size: 5000,
        paddr: Some(Hex(0x11c183010)),
        pfn: Some(0x11c183),
        state: State::Ram,
    }
}

pub(crate) fn object(name: &[u8]) -> ObjectRecord<'_> {
    ObjectRecord {
        vaddr: Hex(0x7f44236fc123),
        linked_vaddr: Some(Hex(0x1123)),
        relocation: Some(SignedHex(0x7f44236fb000)),
        prot: "r-x",
        shared: false,
        kind: "elf",
        offset: Hex(0x1123),
        dev: DEVICE,
        ino: 5,
        build_id: BuildId::from_bytes(&[0xab; 20]),
        deleted: false,
        path: Name(name),
        target_path: OtherPath::target(Name(name)),
        open_path: OtherPath::open(Name(name)),
    }
}

/// What is written for these records.
pub(crate) fn written<R: Record>(format: Format, width: Option<usize>, records: &[R]) -> String {
    let mut writer = Writer::begin(format, Vec::new(), &R::LAYOUT, width).unwrap();
    for record in records {
        writer.write(record).unwrap();
    }
    String::from_utf8(writer.finish().unwrap()).unwrap()
}

pub(crate) fn owner(name: &[u8]) -> OwnerRecord<'_> {
    OwnerRecord {
        record: OwnerKind::Mapped,
        paddr: Some(Hex(0x11c183000)),
        pfn: Some(0x11c183),
        size: Some(4096),
        page_use: Some("page-cache"),
        node: Some(0),
        mapcount_min: Some(1),
        mapcount_max: Some(2),
        flags: Some(FlagNames(FrameFlags::LRU | FrameFlags::MMAP)),
        pid: Some(4711),
        unique_pid: Some("3515005530021069".to_owned()),
        command: Some("x".to_owned()),
        command_hex: Some("78ff".to_owned()),
        vaddr: Some(Hex(0x7f44236fc000)),
        state: Some(State::Ram),
        prot: Some("r-x"),
        shared: Some(false),
        kind: Some("elf"),
        offset: Some(Hex(0x1000)),
        path: Name(name),
        moved_from: None,
        searched: None,
        unread_pid: None,
        unread_command: None,
        reason: None,
        log: None,
        log_line: None,
        log_form: None,
        log_lines: None,
    }
}

/// That lines of a log name.
pub(crate) fn named(name: &[u8]) -> OwnerRecord<'_> {
    owner(name).named_by(Some(NamedBy {
        log: "kern.log",
        line: 12,
        form: "memory-failure",
        lines: 3,
    }))
}

pub(crate) fn unmapped() -> OwnerRecord<'static> {
    let mapped = owner(b"");
    OwnerRecord {
        paddr: mapped.paddr,
        pfn: mapped.pfn,
        size: mapped.size,
        page_use: mapped.page_use,
        node: mapped.node,
        mapcount_min: mapped.mapcount_min,
        mapcount_max: mapped.mapcount_max,
        flags: mapped.flags,
        searched: Some(Searched::Some),
        ..OwnerRecord::empty(OwnerKind::Unmapped)
    }
}

/// Of a page that no process of this namespace maps.
pub(crate) fn not_found() -> OwnerRecord<'static> {
    OwnerRecord {
        record: OwnerKind::NotFound,
        searched: Some(Searched::Namespace),
        ..unmapped()
    }
}

pub(crate) fn unread() -> OwnerRecord<'static> {
    OwnerRecord {
        unread_pid: Some(7),
        unread_command: Some("x".to_owned()),
        reason: Some("it has ended".to_owned()),
        ..OwnerRecord::empty(OwnerKind::Unread)
    }
}

/// Of a page that was poisoned.
pub(crate) fn lost(name: &[u8]) -> OwnerRecord<'_> {
    OwnerRecord {
        record: OwnerKind::Lost,
        page_use: Some("poisoned"),
        mapcount_min: Some(0),
        mapcount_max: Some(0),
        state: Some(State::Poisoned),
        ..owner(name)
    }
}

/// Of a page that is in swap now.
pub(crate) fn gone(name: &[u8]) -> OwnerRecord<'_> {
    OwnerRecord {
        record: OwnerKind::Moved,
        paddr: None,
        pfn: None,
        page_use: None,
        node: None,
        mapcount_min: None,
        mapcount_max: None,
        flags: None,
        state: Some(State::Swapped),
        moved_from: Some(Hex(0x11c183000)),
        ..owner(name)
    }
}

/// What memory is made of; a part is unknown without privilege.
pub(crate) fn usage(known: bool) -> UsageRecord {
    UsageRecord {
        virt: 300 << 20,
        resident: 12 << 20,
        pss: known.then_some(9_437_513),
        uss: known.then_some(8 << 20),
        swap: 4096,
        zero: known.then_some(8192),
        hugetlb: 2 << 20,
    }
}
