//! Samples of every kind of record, with any name.

// Each test program uses a part of this.
#![allow(dead_code)]

pub(crate) mod machine;
mod owners;

use process_introspection::{BuildId, Device, FrameFlags, HugePolicy, PageSize};
use process_introspection_export::{
    AddressRecord, AtLeastRecord, ContiguityRecord, CounterRecord, Decimal, Details, DeviceNumber,
    ExtentClassRecord, ExtentRecord, Extra, FileKind, FileRecord, FlagCounts, FlagNames, Format,
    GroupRecord, Hex, HugePagesRecord, HugeSettingsRecord, KhugepagedRecord, KindRecord,
    MappingUsageRecord, Metric, MetricRecord, Name, NodeRecord, ObjectRecord, PageTableRecord,
    PagesRecord, PhysicalRecord, PolicyRecord, ProcessIdentity, Real, Record, ResidentRecord,
    SignedHex, SnapshotRecord, SnapshotState, Span, State, SummaryRecord, Swap, Text, ThpRecord,
    ThpSizeRecord, Time, UsageRecord, VirtualRecord, Writer,
};

const CONTAINER: &str = "9ec39b91f3d70e1beff50a308f77067065ea6be0d91a3378375056cd4422cf3d";

// Each test program uses a part of this.
#[allow(unused_imports)]
pub(crate) use owners::*;

const DEVICE: DeviceNumber = DeviceNumber(Device {
    major: 0xfe,
    minor: 0,
});

/// Process of a record in a list of several.
pub(crate) fn identity(name: &[u8]) -> ProcessIdentity<'_> {
    ProcessIdentity {
        pid: 12345,
        unique_pid: Decimal(3515005530021069),
        command: Name(name),
    }
}

pub(crate) fn physical(name: &[u8]) -> PhysicalRecord<'_> {
    PhysicalRecord {
        process: None,
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
        details: None,
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
        page_size: 2 << 20,
        offset: like.offset,
        dev: like.dev,
        ino: like.ino,
        path: like.path,
        node: Some(1),
        cache: Some("write-back"),
        flags: like.flags,
        byte: None,
        details: None,
    }
}

pub(crate) fn virtual_region(name: &[u8]) -> VirtualRecord<'_> {
    let like = physical(name);
    VirtualRecord {
        process: None,
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
        process: None,
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

/// A snapshot that is complete, and one that cannot be read.
pub(crate) fn snapshots(name: &[u8]) -> [SnapshotRecord<'_>; 2] {
    let complete = SnapshotRecord {
        snapshot_id: "01a216db-473c-71ed-ad6c-b7d25ccabc2b",
        taken_at: Time(1_790_000_000_123_456),
        host: Name(name),
        state: SnapshotState::Complete,
        error: None,
        duration: Some(1_234_567),
        kernel: Some(Text("6.12.43")),
        processes: Some(213),
        unread: Some(2),
        mappings: Some(20_004),
        regions: Some(262_144),
        frames: Some(301_002),
        size: Some(1 << 20),
        all_processes: Some(true),
        details: Some(false),
        redacted: Some(false),
    };
    let unreadable = SnapshotRecord {
        taken_at: Time(1_790_000_000_123_000),
        state: SnapshotState::Unreadable,
        error: Some(Text("lake/x is not usable: =\u{1b}")),
        duration: None,
        kernel: None,
        processes: None,
        unread: None,
        mappings: None,
        regions: None,
        frames: None,
        size: None,
        all_processes: None,
        details: None,
        redacted: None,
        ..complete
    };
    [complete, unreadable]
}

/// A file, shared memory that was counted with `mincore`, and what is not listed.
pub(crate) fn files(name: &[u8]) -> [FileRecord<'_>; 6] {
    let file = FileRecord {
        record: FileKind::File,
        cached: Some(3 << 20),
        dirty: Some(8192),
        writeback: Some(0),
        evicted: Some(4096),
        size: Some((3 << 20) + 17),
        files: Some(1),
        processes: Some(9),
        commands: Some(
            ["=x", "cat", "sh", "a", "b", "c", "d\u{1b}"]
                .map(str::to_owned)
                .to_vec(),
        ),
        pids: Some(vec![1, 22, 333]),
        file_system: Some("ext4".to_owned()),
        dev: Some(DeviceNumber(Device {
            major: 0xfe,
            minor: 1,
        })),
        ino: Some(77),
        deleted: Some(false),
        path: Name(name),
    };
    let shared = FileRecord {
        record: FileKind::Shared,
        dirty: None,
        writeback: None,
        evicted: None,
        processes: Some(1),
        commands: Some(vec!["cat".to_owned()]),
        pids: Some(vec![22]),
        file_system: None,
        ..file.clone()
    };
    let more = FileRecord::more(&[file.clone(), file.clone()], false);
    let more_shared = FileRecord::more(std::slice::from_ref(&shared), true);
    let rest = FileRecord::rest(Some(1 << 30), false);
    [
        file,
        shared,
        more,
        more_shared,
        rest,
        FileRecord::rest(None, true),
    ]
}

pub(crate) fn extent() -> ExtentRecord {
    ExtentRecord {
        vaddr: Hex(0x7f44236fc010),
        size: 5000,
        paddr: Some(Hex(0x11c183010)),
        pfn: Some(0x11c183),
        state: State::Ram,
        node: None,
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
        target_path: Name(name),
        open_path: Name(name),
    }
}

/// Returns the text of these records.
pub(crate) fn written<R: Record>(format: Format, width: Option<usize>, records: &[R]) -> String {
    written_with(&[], format, width, records)
}

/// Returns the text of these records with extra columns.
pub(crate) fn written_with<R: Record>(
    extra: &'static [Extra],
    format: Format,
    width: Option<usize>,
    records: &[R],
) -> String {
    let layout = R::LAYOUT.with(extra);
    let mut writer = Writer::begin(format, Vec::new(), &layout, width).unwrap();
    for record in records {
        writer.write(record).unwrap();
    }
    String::from_utf8(writer.finish().unwrap()).unwrap()
}

/// Amounts of memory; some are unknown without privilege.
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

pub(crate) fn mapping_usage(name: &[u8], known: bool) -> MappingUsageRecord<'_> {
    MappingUsageRecord {
        pid: 4711,
        vaddr: Hex(0x7f44236fc000),
        usage: usage(known),
        huge: known.then_some(2 << 20),
        extents: known.then_some(812),
        median: known.then_some(4096),
        largest: known.then_some(2 << 20),
        prot: "rw-",
        shared: false,
        kind: "file",
        path: Name(name),
    }
}

/// Group of processes, or of mappings of an object.
pub(crate) fn group(name: &[u8], known: bool) -> GroupRecord<'_> {
    let node = |node, bytes| NodeRecord { node, bytes };
    GroupRecord {
        group: Name(name),
        dev: known.then_some(DEVICE),
        ino: known.then_some(247030),
        processes: 12,
        mappings: 345,
        memory: known.then_some(10 << 20),
        shared: known.then_some(5 << 20),
        virt: 300 << 20,
        resident: 40 << 20,
        pss: known.then_some(9_437_513),
        uss: known.then_some(8 << 20),
        swap: 4096,
        hugetlb: known.then_some(2 << 20),
        huge: known.then_some(4 << 20),
        extents: known.then_some(812),
        nodes: known.then(|| vec![node(Some(0), 9 << 20), node(None, 6 << 20)]),
    }
}

pub(crate) fn address() -> AddressRecord {
    AddressRecord {
        paddr: Hex(0x1000123),
        pfn: 0x1000,
        kind: "system-ram",
        resources: vec!["System RAM".to_owned(), "Kernel code".to_owned()],
        first: Some(Hex(0x1000000)),
        last: Some(Hex(0x220bb07)),
        node: Some(0),
        flags: Some(FlagNames(
            FrameFlags::RESERVED | FrameFlags::from_bits(1 << 63),
        )),
        mapcount: Some(0),
    }
}

/// Address whose resources the caller may not see.
pub(crate) fn hidden_address() -> AddressRecord {
    AddressRecord {
        kind: "hidden",
        resources: Vec::new(),
        first: None,
        last: None,
        node: None,
        flags: None,
        mapcount: None,
        ..address()
    }
}

pub(crate) fn details(swap_area: Option<&str>) -> Details {
    let counts = |flags: &[(&str, u64)]| {
        FlagCounts(
            flags
                .iter()
                .map(|&(name, count)| (name.to_owned(), count))
                .collect(),
        )
    };
    Details {
        pages: 33,
        frames: 33,
        flags: counts(&[("anon", 33), ("lru", 20), ("bit63", 1)]),
        entries: counts(&[("soft_dirty", 2), ("present", 33)]),
        mapcount: Some(Span { min: 1, max: 2 }),
        swap_area: swap_area.map(str::to_owned),
    }
}

pub(crate) fn policy(reason: HugePolicy, setting: &str, bytes: u64, eligible: u64) -> PolicyRecord {
    PolicyRecord {
        reason,
        setting: (!setting.is_empty()).then(|| setting.to_owned()),
        bytes,
        eligible,
        eligible_full: eligible / 2,
    }
}

/// Settings and statistics of the machine's huge pages, with what some kernels do not have.
pub(crate) fn thp() -> ThpRecord {
    let counter = |name: &str, count| CounterRecord {
        name: name.to_owned(),
        count,
    };
    let size = |size, enabled: &str, shmem_enabled: Option<&str>| ThpSizeRecord {
        size,
        enabled: Some(enabled.to_owned()),
        shmem_enabled: shmem_enabled.map(str::to_owned),
        statistics: vec![counter("anon_fault_alloc", size >> 16)],
    };
    ThpRecord {
        khugepaged: KhugepagedRecord {
            defrag: Some(true),
            pages_to_scan: Some(4096),
            scan_sleep_ms: Some(10_000),
            alloc_sleep_ms: Some(60_000),
            pages_collapsed: Some(0),
            full_scans: None,
        },
        sizes: vec![
            size(16 << 10, "never", None),
            size(64 << 10, "always", Some("never")),
            size(2 << 20, "inherit", Some("advise")),
        ],
        events: vec![counter("thp_fault_alloc", 6)],
    }
}

/// Metrics of a process and of a zone.
pub(crate) fn metrics() -> Vec<MetricRecord<'static>> {
    let page = PageSize::SIZE_4K;
    let mut of_zone = MetricRecord::new(Metric::FragmentationIndex, Some(Real::thousandths(-1000)))
        .of_order(9, page);
    (of_zone.node, of_zone.zone) = (Some(1), Some("Normal".to_owned()));
    let mut blocks =
        MetricRecord::new(Metric::ContPte, Some((3u64 << 20).into())).of_order(4, page);
    blocks.kind = Some("anon");
    vec![
        MetricRecord::new(Metric::RmmRanges, Some(1540u64.into())),
        MetricRecord::new(Metric::RmmCoverage32, Real::ratio(1, 3)),
        MetricRecord::new(Metric::SpotOffsets, None),
        blocks,
        of_zone,
    ]
}

/// Summary with all privileges, or with none.
pub(crate) fn summary(known: bool) -> SummaryRecord {
    SummaryRecord {
        pid: 4711,
        command: "database --port 1".to_owned(),
        command_hex: None,
        mappings: 12,
        total: usage(known),
        kinds: vec![KindRecord {
            kind: "anon",
            usage: usage(known),
            nodes: known.then(|| {
                vec![NodeRecord {
                    node: Some(1),
                    bytes: 3 << 20,
                }]
            }),
        }],
        page_sizes: known.then(|| {
            let of = |pages, size, bytes| PagesRecord { pages, size, bytes };
            vec![
                of("base", Some(4096), 9 << 20),
                of("folio", Some(65536), 2 << 20),
                of("part", None, 1 << 20),
                of("hugetlb", Some(2 << 20), 2 << 20),
            ]
        }),
        huge_pages: known.then_some(HugePagesRecord {
            size: 2 << 20,
            mapped: 4 << 20,
            policy: 3 << 20,
            too_small: 0,
            alignment: 2 << 20,
            holes: 1 << 20,
            fragmented: 1 << 19,
            page_cache: 1 << 19,
            small_entries: 1 << 20,
            frames_hidden: 0,
            policies: vec![
                policy(HugePolicy::NotAdvised, "enabled=madvise", 1 << 18, 0),
                policy(
                    HugePolicy::SharedNever,
                    "shmem_enabled=never",
                    11 << 18,
                    10 << 18,
                ),
            ],
            settings: HugeSettingsRecord {
                available: Some(true),
                enabled: Some("madvise"),
                shmem_enabled: Some("never"),
                defrag: Some("defer".to_owned()),
                use_zero_page: Some(true),
                max_ptes_none: Some(511),
                max_ptes_swap: Some(64),
                max_ptes_shared: None,
                process_disabled: Some(false),
                advice_read: true,
            },
        }),
        thp: known.then(thp),
        contiguity: known.then(|| ContiguityRecord {
            bytes: 14 << 20,
            extents: 1540,
            median: Some(4096),
            half_in: Some(2 << 20),
            largest: vec![4 << 20, 4 << 20, 4096],
            at_least: vec![AtLeastRecord {
                size: 65536,
                bytes: 8 << 20,
            }],
            histogram: vec![
                ExtentClassRecord {
                    least: 4096,
                    count: 1538,
                    bytes: 6 << 20,
                },
                ExtentClassRecord {
                    least: 4 << 20,
                    count: 2,
                    bytes: 8 << 20,
                },
            ],
        }),
        nodes: known.then(|| {
            vec![
                NodeRecord {
                    node: None,
                    bytes: 4 << 20,
                },
                NodeRecord {
                    node: Some(1),
                    bytes: 10 << 20,
                },
            ]
        }),
    }
}
