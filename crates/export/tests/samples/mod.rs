//! One record of each kind, with any name.

use process_introspection::{BuildId, Device};
use process_introspection_export::{
    DeviceNumber, ExtentRecord, Format, Hex, Name, ObjectRecord, OtherPath, PageTableRecord,
    PhysicalRecord, Record, ResidentRecord, SignedHex, State, Swap, VirtualRecord, Writer,
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
