//! Rows of the golden lakes. Those of a lake that was written never change.

use std::time::{Duration, SystemTime};

use process_introspection::Device;
use process_introspection_dataset::tables::frames::FrameRow;
use process_introspection_dataset::tables::mappings::MappingRow;
use process_introspection_dataset::tables::metrics::MetricRow;
use process_introspection_dataset::tables::processes::ProcessRow;
use process_introspection_dataset::tables::regions::RegionRow;
use process_introspection_dataset::tables::snapshots::{SnapshotHead, SnapshotRow};
use process_introspection_export::{
    AtLeastRecord, ContiguityRecord, Details, DeviceNumber, ExtentClassRecord, FlagCounts, Hex,
    KindRecord, NameBuf, NodeRecord, PagesRecord, Real, Span, State, Time, UsageRecord,
};

/// Host whose name is not UTF-8 and has characters that paths encode.
pub(crate) const HOST: &[u8] = b"mill/7\xff";
/// Time of the snapshot, in seconds.
pub(crate) const TAKEN: u64 = 1_790_000_000;
/// Mappings of the process that was read.
const ANONYMOUS: u64 = 0x7f00_0000_0000;
const DEVICE: u64 = 0x7f00_4000_0000;
const LIBRARY: u64 = 0x7f00_8000_0000;

/// Rows of a golden lake.
pub(crate) struct Rows {
    pub(crate) snapshot: SnapshotRow,
    pub(crate) processes: Vec<ProcessRow>,
    pub(crate) mappings: Vec<MappingRow>,
    pub(crate) regions: Vec<RegionRow>,
    pub(crate) frames: Vec<FrameRow>,
    pub(crate) metrics: Vec<MetricRow>,
}

/// Rows of the first lake: all states and reasons, nulls, details, names that are not UTF-8.
pub(crate) fn first() -> Rows {
    Rows {
        snapshot: snapshot(),
        processes: vec![unread(), process()],
        mappings: vec![anonymous(), device(), library()],
        regions: regions(),
        frames: Vec::new(),
        metrics: Vec::new(),
    }
}

/// Rows of the second lake: those of the first, and frames of the machine.
pub(crate) fn second() -> Rows {
    let free = FrameRow {
        pfn: 0x1000,
        pages: 512,
        page_use: "free",
        flags: Hex(1 << 10),
        mapcount: 0,
        cgroup_ino: None,
        cgroup: NameBuf::default(),
        node: Some(0),
        zone: Some("DMA32".to_owned()),
    };
    let paid = FrameRow {
        pfn: 0x1200,
        pages: 1,
        page_use: "page-cache-mapped",
        flags: Hex(1 << 63 | 1 << 5),
        mapcount: 3,
        cgroup_ino: Some(4242),
        cgroup: NameBuf(b"/mill\xff.service".to_vec()),
        node: None,
        zone: None,
    };
    let counter = MetricRow {
        name: "MemTotal_bytes".to_owned(),
        value: Some(Real::from(1u64 << 34)),
        kind: Some("before".to_owned()),
        node: None,
        zone: None,
        page_order: None,
        cgroup: None,
    };
    let blocks = MetricRow {
        name: "free_blocks_count".to_owned(),
        value: Some(Real::from(-7i64)),
        node: Some(1),
        zone: Some("Normal".to_owned()),
        page_order: Some(10),
        cgroup: Some("/mill.service".to_owned()),
        ..counter.clone()
    };
    let unknown = MetricRow {
        value: None,
        kind: None,
        ..counter.clone()
    };
    Rows {
        frames: vec![free, paid],
        metrics: vec![counter, blocks, unknown],
        ..first()
    }
}

fn snapshot() -> SnapshotRow {
    SnapshotRow {
        head: SnapshotHead {
            taken_at: Time::from(SystemTime::UNIX_EPOCH + Duration::from_secs(TAKEN)),
            duration: 1_234_567,
            schema_version: 1,
            kernel: "6.12.48".to_owned(),
            all_processes: true,
            details: true,
            processes_read: 1,
            unread_refused: 1,
            // Rows and bytes of the files, which compression determines, are compared apart.
            ..SnapshotHead::default()
        },
        tool_version: "0.1.0".to_owned(),
        boot_id: Some("0c6d5b4f-32a1-4d34-9a1c-6f54f1d8c2aa".to_owned()),
        arch: "x86_64".to_owned(),
        page_size: 4096,
        mem_total: Some(1 << 34),
        nodes: Some(2),
        booted_at: Some(Time(1_789_000_000_000_001)),
        has_frames: true,
        thp_enabled: Some("madvise".to_owned()),
        swappiness: Some(60),
        numa_balancing: Some(0),
        memory_some_avg10: Some(12),
        memory_some_total: Some(i64::MAX as u64),
        swap_areas: vec!["/swap file".to_owned(), "/dev/zram0".to_owned()],
        host_name: NameBuf(HOST.to_vec()),
        ..SnapshotRow::default()
    }
}

/// Process that could not be read.
fn unread() -> ProcessRow {
    ProcessRow {
        unique_pid: 41,
        pid: 4041,
        unread: Some("refused"),
        error: Some("permission denied".to_owned()),
        ..ProcessRow::default()
    }
}

fn process() -> ProcessRow {
    let usage = UsageRecord {
        virt: 98304,
        resident: 12288,
        pss: Some(8192),
        uss: None,
        swap: 8192,
        zero: Some(4096),
        hugetlb: 0,
    };
    let node = |node, bytes| NodeRecord { node, bytes };
    ProcessRow {
        // With the highest bit: negative in the file.
        unique_pid: (1 << 63) + 42,
        pid: 4042,
        ppid: Some(1),
        uid: Some(u32::MAX),
        started_at: Some(Time(1_789_999_999_000_000)),
        name: NameBuf("Mühle".into()),
        command: NameBuf(b"mill \xff\xfe".to_vec()),
        exe: NameBuf(b"/usr/bin/mill".to_vec()),
        cgroup: NameBuf(b"/system.slice/mill.service".to_vec()),
        unit: Some("mill.service".to_owned()),
        container: Some("a".repeat(64)),
        mappings: Some(3),
        virtual_size: Some(98304),
        resident: Some(12288),
        pss: Some(8192),
        swap: Some(8192),
        zero: Some(4096),
        hugetlb: Some(0),
        kinds: Some(vec![
            KindRecord {
                kind: "anon",
                usage,
                nodes: Some(vec![node(Some(1), 12288), node(None, 4096)]),
            },
            KindRecord {
                kind: "elf",
                usage: UsageRecord { pss: None, ..usage },
                nodes: None,
            },
        ]),
        page_sizes: Some(vec![PagesRecord {
            pages: "part",
            size: None,
            bytes: 12288,
        }]),
        contiguity: Some(ContiguityRecord {
            bytes: 16384,
            extents: 3,
            median: Some(4096),
            half_in: Some(8192),
            largest: vec![8192, 4096, 4096],
            at_least: vec![AtLeastRecord {
                size: 65536,
                bytes: 0,
            }],
            histogram: vec![ExtentClassRecord {
                least: 4096,
                count: 2,
                bytes: 8192,
            }],
        }),
        memory_by_node: Some(Vec::new()),
        ..ProcessRow::default()
    }
}

fn anonymous() -> MappingRow {
    MappingRow {
        unique_pid: process().unique_pid,
        vaddr: Hex(ANONYMOUS),
        size: 16 << 12,
        prot: "rw-",
        shared: false,
        kind: "anon",
        path: NameBuf(Vec::new()),
        dev: DeviceNumber::default(),
        ino: 0,
        file_offset: Hex(0),
        deleted: false,
        page_size: Some(4096),
        device_paddr: None,
        device_cache: None,
        unlisted: None,
        resident: Some(12288),
        pss: Some(8192),
        uss: None,
        swap: Some(8192),
        zero: Some(4096),
        hugetlb: Some(0),
        huge: Some(0),
        extents: Some(3),
        median_extent: Some(4096),
        largest_extent: Some(8192),
    }
}

/// Memory of a device that the page map leaves out.
fn device() -> MappingRow {
    MappingRow {
        vaddr: Hex(DEVICE),
        size: 4 << 12,
        shared: true,
        kind: "device",
        path: NameBuf(b"/dev/mem".to_vec()),
        dev: DeviceNumber(Device { major: 0, minor: 5 }),
        ino: 77,
        file_offset: Hex(0xfe00_0000),
        device_paddr: Some(Hex(0xfe00_0000)),
        device_cache: Some("uncached"),
        ..unmapped()
    }
}

/// Mapping without numbers, of a deleted file whose name is not UTF-8.
fn library() -> MappingRow {
    MappingRow {
        vaddr: Hex(LIBRARY),
        prot: "r-x",
        kind: "elf",
        path: NameBuf(b"/tmp/\xc3\x28.so (deleted)".to_vec()),
        dev: DeviceNumber(Device {
            major: 0xfe,
            minor: 0x12345,
        }),
        // Bits of an unsigned number.
        ino: u64::MAX,
        file_offset: Hex(0x1000),
        deleted: true,
        unlisted: Some("driver"),
        ..unmapped()
    }
}

/// Mapping whose numbers were not read.
fn unmapped() -> MappingRow {
    MappingRow {
        page_size: None,
        resident: None,
        pss: None,
        uss: None,
        swap: None,
        zero: None,
        hugetlb: None,
        huge: None,
        extents: None,
        median_extent: None,
        largest_extent: None,
        ..anonymous()
    }
}

fn regions() -> Vec<RegionRow> {
    let base = RegionRow {
        unique_pid: process().unique_pid,
        vpn: 0,
        mapping_vaddr: Hex(ANONYMOUS),
        pages: 1,
        pfn: None,
        state: State::NotPresent,
        reason: None,
        swap_area: None,
        swap_slot: None,
        page_size: None,
        node: None,
        cache: None,
        anonymous: true,
        details: None,
    };
    let states = [
        State::Ram,
        State::Zero,
        State::NotPresent,
        State::Swapped,
        State::Swapped,
        State::Guard,
        State::Poisoned,
        State::Migrating,
        State::Marker,
        State::Unknown,
    ];
    let mut rows: Vec<_> = states
        .into_iter()
        .zip(ANONYMOUS >> 12..)
        .map(|(state, vpn)| RegionRow {
            vpn,
            state,
            ..base.clone()
        })
        .collect();
    rows[0].pages = 1;
    rows[0].pfn = Some(0x11c183);
    rows[0].page_size = Some(4096);
    rows[0].node = Some(1);
    rows[0].cache = Some("write-back");
    rows[0].details = Some(Box::new(Details {
        pages: 1,
        frames: 1,
        flags: FlagCounts(vec![("uptodate".to_owned(), 1), ("bit63".to_owned(), 1)]),
        entries: FlagCounts(Vec::new()),
        mapcount: Some(Span { min: 1, max: 3 }),
        swap_area: None,
    }));
    rows[1].pfn = Some(0x42);
    (rows[3].swap_area, rows[3].swap_slot) = (Some(1), Some(1 << 40));
    rows[3].details = Some(Box::new(Details {
        pages: 1,
        frames: 0,
        flags: FlagCounts(Vec::new()),
        entries: FlagCounts(vec![("swap".to_owned(), 1)]),
        mapcount: None,
        swap_area: Some("/dev/zram0".to_owned()),
    }));
    rows[9].reason = Some("driver");
    rows.push(RegionRow {
        vpn: DEVICE >> 12,
        mapping_vaddr: Hex(DEVICE),
        pages: 4,
        pfn: Some(0xfe000),
        state: State::Device,
        cache: Some("uncached"),
        anonymous: false,
        ..base
    });
    rows
}
