//! The summary of a database server.

use process_introspection::{HugePolicy, MappingKind};
use process_introspection_export::{
    AtLeastRecord, ContiguityRecord, ExtentClassRecord, HugePagesRecord, HugeSettingsRecord,
    KindRecord, NodeRecord, PagesRecord, PolicyRecord, SummaryRecord, UsageRecord,
};

const MIB: u64 = 1 << 20;

fn usage(virt: u64, resident: u64, hugetlb: u64, swap: u64) -> UsageRecord {
    UsageRecord {
        virt,
        resident,
        pss: Some(resident / 3 * 2),
        uss: Some(resident / 2),
        swap,
        zero: Some(resident / 40),
        hugetlb,
    }
}

/// Returns the record of a process with this command line.
pub(crate) fn record(command: &str) -> SummaryRecord {
    let kinds: Vec<_> = MappingKind::ALL
        .iter()
        .zip(1..)
        .map(|(kind, number): (_, u64)| KindRecord {
            kind: kind.name(),
            usage: match kind.name() {
                "hugetlb" => usage(1024 * MIB, 0, 1024 * MIB, 0),
                _ => usage(number * 90 * MIB, number * 7 * MIB, 0, number % 3 * MIB),
            },
            nodes: None,
        })
        .collect();
    let sum = |of: fn(&UsageRecord) -> u64| kinds.iter().map(|kind| of(&kind.usage)).sum::<u64>();
    let resident = sum(|usage| usage.resident);
    let policies = [
        (HugePolicy::NotAdvised, "enabled=madvise", resident / 4),
        (HugePolicy::SharedNever, "shmem_enabled=never", resident / 9),
    ];
    let policies = policies.map(|(reason, setting, bytes)| PolicyRecord {
        reason,
        setting: Some(setting.to_owned()),
        bytes,
        eligible: bytes / 2,
        eligible_full: bytes / 3,
    });
    SummaryRecord {
        pid: 1234,
        command: command.to_owned(),
        command_hex: None,
        mappings: 311,
        total: UsageRecord {
            virt: sum(|usage| usage.virt),
            resident,
            pss: Some(resident / 3 * 2),
            uss: Some(resident / 2),
            swap: sum(|usage| usage.swap),
            zero: Some(resident / 40),
            hugetlb: 1024 * MIB,
        },
        kinds,
        page_sizes: Some(
            [
                ("base", Some(4096), resident / 3),
                ("folio", Some(65536), resident / 4),
                ("folio", Some(2 * MIB), resident / 8),
                ("part", None, resident / 9),
                ("hugetlb", Some(2 * MIB), 1024 * MIB),
            ]
            .map(|(pages, size, bytes)| PagesRecord { pages, size, bytes })
            .to_vec(),
        ),
        huge_pages: Some(HugePagesRecord {
            size: 2 * MIB,
            mapped: resident / 8,
            policy: resident / 4 + resident / 9,
            too_small: resident / 10,
            alignment: resident / 11,
            holes: resident / 12,
            fragmented: resident / 13,
            page_cache: resident / 14,
            small_entries: resident / 15,
            frames_hidden: 0,
            policies: policies.to_vec(),
            settings: HugeSettingsRecord {
                available: Some(true),
                enabled: Some("madvise"),
                shmem_enabled: Some("never"),
                defrag: None,
                use_zero_page: None,
                max_ptes_none: None,
                max_ptes_swap: None,
                max_ptes_shared: None,
                process_disabled: None,
                advice_read: true,
            },
        }),
        thp: None,
        contiguity: Some(ContiguityRecord {
            bytes: resident + 1024 * MIB,
            extents: 70_211,
            median: Some(4096),
            half_in: Some(2 * MIB),
            largest: vec![64 * MIB, 48 * MIB, 32 * MIB, 8 * MIB, 2 * MIB],
            at_least: [65536, 2 * MIB, 1024 * MIB]
                .map(|size| AtLeastRecord {
                    size,
                    bytes: if size > 2 * MIB { 0 } else { 1024 * MIB },
                })
                .to_vec(),
            histogram: (12..27)
                .map(|shift| ExtentClassRecord {
                    least: 1 << shift,
                    count: 1 << (27 - shift),
                    bytes: (resident + 1024 * MIB) / 15,
                })
                .collect(),
        }),
        nodes: Some(
            (0..2)
                .map(|node| NodeRecord {
                    node: Some(node),
                    bytes: (resident + 1024 * MIB) / 2,
                })
                .collect(),
        ),
    }
}
