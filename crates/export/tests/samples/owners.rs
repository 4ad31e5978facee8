//! Samples of records of owners.

use process_introspection::{Cgroup, FrameFlags};
use process_introspection_export::*;

use super::CONTAINER;

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
        unique_pid: Some(Decimal(3515005530021069)),
        command: Name(b"x"),
        cgroup: Name(name),
        unit: Some(Text("ssh.service")),
        container: Some(Text(CONTAINER)),
        vaddr: Some(Hex(0x7f44236fc000)),
        state: Some(State::Ram),
        prot: Some("r-x"),
        shared: Some(false),
        kind: Some("elf"),
        offset: Some(Hex(0x1000)),
        path: Name(name),
        moved_from: None,
        searched: None,
        payer: NameBuf(Vec::new()),
        payer_unit: None,
        payer_container: None,
        unread_pid: None,
        unread_command: None,
        reason: None,
        log: None,
        log_line: None,
        log_form: None,
        log_lines: None,
    }
}

/// Memory that lines of a log name.
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
        payer: NameBuf(b"/system.slice/a.service".to_vec()),
        payer_unit: Some("a.service".to_owned()),
        payer_container: None,
        ..OwnerRecord::empty(OwnerKind::Unmapped)
    }
}

/// Page that no process of this namespace maps.
pub(crate) fn not_found() -> OwnerRecord<'static> {
    OwnerRecord {
        record: OwnerKind::NotFound,
        searched: Some(Searched::Namespace),
        ..unmapped()
    }
}

/// Sums: a process, memory that none maps, and a process that was not read.
pub(crate) fn owner_totals(name: &[u8]) -> [OwnerTotalRecord<'_>; 3] {
    let process = OwnerTotalRecord {
        record: OwnerKind::Mapped,
        size: Some(9 << 20),
        lost: Some(4096),
        pid: Some(4711),
        unique_pid: Some(Decimal(3515005530021069)),
        command: Name(name),
        cgroup: Name(name),
        unit: Some(Text("ssh.service")),
        container: Some(Text(CONTAINER)),
        ..OwnerTotalRecord::default()
    };
    let payer = Cgroup::of_path("/system.slice/a.service");
    let (use_, size) = (Some("page-cache"), 5 << 20);
    let kind = OwnerKind::Unmapped;
    let unmapped = OwnerTotalRecord::unmapped(kind, use_, size, Searched::Some, Some(payer));
    let unread = OwnerTotalRecord {
        record: OwnerKind::Unread,
        unread_pid: Some(7),
        unread_command: Some("x".to_owned()),
        reason: Some("it has ended".to_owned()),
        ..OwnerTotalRecord::default()
    };
    [process, unmapped, unread]
}

pub(crate) fn unread() -> OwnerRecord<'static> {
    OwnerRecord {
        unread_pid: Some(7),
        unread_command: Some("x".to_owned()),
        reason: Some("it has ended".to_owned()),
        ..OwnerRecord::empty(OwnerKind::Unread)
    }
}

/// Page that was poisoned.
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

/// Page that is in swap now.
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
