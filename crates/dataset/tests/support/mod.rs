//! Rows and snapshots for tests of lakes.

use std::path::Path;
use std::time::{Duration, SystemTime};

use process_introspection_dataset::lake::{Lake, Snapshot, SnapshotWriter, Start, When};
use process_introspection_dataset::tables::mappings::MappingRow;
use process_introspection_dataset::tables::processes::ProcessRow;
use process_introspection_dataset::tables::regions::RegionRow;
use process_introspection_dataset::tables::snapshots::{SnapshotHead, SnapshotRow};
use process_introspection_dataset::tables::SCHEMA_VERSION;
use process_introspection_export::{
    Hex, KindRecord, NameBuf, NodeRecord, State as PageState, Time, UsageRecord,
};

pub(crate) const HOST: &[u8] = b"mill-7";
pub(crate) const NOON: u64 = 1_790_000_000;

pub(crate) fn time(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

pub(crate) fn snapshot_row() -> SnapshotRow {
    SnapshotRow {
        head: SnapshotHead {
            taken_at: Time::from(time(NOON)),
            duration: 1234,
            schema_version: SCHEMA_VERSION,
            kernel: "6.12".to_owned(),
            all_processes: true,
            processes_read: 2,
            unread_refused: 1,
            ..SnapshotHead::default()
        },
        tool_version: "0.1.0".to_owned(),
        boot_id: Some("c0ffee".to_owned()),
        arch: "x86_64".to_owned(),
        page_size: 4096,
        mem_total: Some(1 << 34),
        nodes: Some(1),
        booted_at: Some(Time(-1)),
        has_frames: true,
        thp_enabled: Some("madvise".to_owned()),
        swappiness: Some(60),
        memory_some_avg10: Some(12),
        memory_some_total: Some(u64::MAX >> 1),
        swap_areas: vec!["/swap file".to_owned(), "/dev/zram0".to_owned()],
        host_name: NameBuf(HOST.to_vec()),
        ..SnapshotRow::default()
    }
}

pub(crate) fn process_row(unique_pid: u64) -> ProcessRow {
    ProcessRow {
        unique_pid,
        pid: unique_pid as u32,
        ppid: Some(1),
        uid: Some(0),
        started_at: Some(Time(5)),
        name: NameBuf(b"cat".to_vec()),
        // Bytes that are not UTF-8.
        command: NameBuf(b"cat \xff\xfe".to_vec()),
        cgroup: NameBuf(b"/system.slice".to_vec()),
        mappings: Some(1),
        virtual_size: Some(8192),
        resident: Some(4096),
        pss: Some(2048),
        swap: Some(0),
        hugetlb: Some(0),
        kinds: Some(vec![KindRecord {
            kind: "heap",
            usage: UsageRecord {
                virt: 8192,
                resident: 4096,
                pss: Some(2048),
                uss: None,
                swap: 0,
                zero: Some(0),
                hugetlb: 0,
            },
            nodes: Some(vec![
                NodeRecord {
                    node: Some(0),
                    bytes: 4096,
                },
                NodeRecord {
                    node: None,
                    bytes: 0,
                },
            ]),
        }]),
        memory_by_node: Some(Vec::new()),
        ..ProcessRow::default()
    }
}

pub(crate) fn mapping_row(unique_pid: u64, vaddr: u64, pages: u64) -> MappingRow {
    MappingRow {
        unique_pid,
        vaddr: Hex(vaddr),
        size: pages << 12,
        prot: "rw-",
        shared: false,
        kind: "anon",
        path: NameBuf(Vec::new()),
        dev: Default::default(),
        ino: 0,
        file_offset: Hex(0),
        deleted: false,
        page_size: Some(4096),
        device_paddr: None,
        device_cache: None,
        unlisted: None,
        resident: Some(4096),
        pss: None,
        uss: None,
        swap: Some(0),
        zero: None,
        hugetlb: Some(0),
        huge: None,
        extents: Some(1),
        median_extent: None,
        largest_extent: None,
    }
}

pub(crate) fn region_row(unique_pid: u64, vaddr: u64, at: u64, state: PageState) -> RegionRow {
    let address = matches!(state, PageState::Ram | PageState::Zero | PageState::Device);
    let is_swapped = state == PageState::Swapped;
    RegionRow {
        unique_pid,
        vpn: (vaddr >> 12) + at,
        mapping_vaddr: Hex(vaddr),
        pages: 1,
        pfn: address.then_some(0x11c183 + 7 * at),
        state,
        reason: (state == PageState::Unknown).then_some("driver"),
        swap_area: is_swapped.then_some(3),
        swap_slot: is_swapped.then_some(at << 20),
        page_size: address.then_some(4096),
        node: (at % 3 == 0).then_some(1),
        cache: address.then_some("write-back"),
        anonymous: at % 2 == 0,
        details: None,
    }
}

pub(crate) const MAPPED: [PageState; 10] = [
    PageState::Ram,
    PageState::Device,
    PageState::Zero,
    PageState::NotPresent,
    PageState::Swapped,
    PageState::Guard,
    PageState::Poisoned,
    PageState::Migrating,
    PageState::Marker,
    PageState::Unknown,
];

pub(crate) const ADDRESS: u64 = 0x7f00_0000_0000;

/// Regions of a process with one mapping, in all states.
pub(crate) fn region_rows(unique_pid: u64, count: u64) -> Vec<RegionRow> {
    let state = |at| MAPPED[at as usize % MAPPED.len()];
    (0..count)
        .map(|at| region_row(unique_pid, ADDRESS, at, state(at)))
        .collect()
}

pub(crate) fn begin(root: &Path, host: &[u8], seconds: u64, details: bool) -> SnapshotWriter {
    let start = Start {
        host: host.to_vec(),
        taken_at: time(seconds),
        details,
        frames: false,
        description: vec![("tool".to_owned(), "test".to_owned())],
    };
    SnapshotWriter::begin(root, start).expect("a writer")
}

pub(crate) fn add(writer: &mut SnapshotWriter, unique_pid: u64, regions: &[RegionRow]) {
    writer.process(&process_row(unique_pid)).unwrap();
    let pages = regions.len().max(1) as u64;
    let mapping = mapping_row(unique_pid, ADDRESS, pages);
    writer.mapping(&mapping).unwrap();
    regions.iter().for_each(|row| writer.region(row).unwrap());
}

pub(crate) fn select(root: &Path, when: When) -> Snapshot {
    let lake = Lake::open(root).unwrap();
    lake.select(when, None, HOST).expect("a snapshot")
}
