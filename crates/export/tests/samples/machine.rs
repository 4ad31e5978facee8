//! Samples of records of the machine.

use process_introspection_export::{
    BlockRecord, BlockUseRecord, FrameChangeRecord, FrameGroupRecord, FrameUseRecord, FreeRecord,
    Hex, MachineNodeRecord, MachineRecord, NameBuf, PayerRecord, Real, Time, UnflaggedRecord,
    ZoneRecord,
};

/// A use that the kernel counts, and one that it does not.
pub(crate) fn frame_uses() -> [FrameUseRecord; 2] {
    let counted = FrameUseRecord {
        r#use: "anonymous",
        bytes: 700 << 20,
        counter: Some("AnonPages"),
        counter_bytes: Some(711 << 20),
        counter_after: Some(712 << 20),
        counted: Some(700 << 20),
        active: 600 << 20,
        inactive: 90 << 20,
        unevictable: 10 << 20,
        dirty: 1 << 20,
        writeback: 4096,
    };
    let uncounted = FrameUseRecord {
        r#use: "unflagged",
        bytes: 16 << 30,
        counter: None,
        counter_bytes: None,
        counter_after: None,
        counted: None,
        active: 0,
        inactive: 0,
        unevictable: 0,
        dirty: 0,
        writeback: 0,
    };
    [counted, uncounted]
}

/// Frames that were freed, and memory that was added.
pub(crate) fn frame_changes() -> [FrameChangeRecord; 2] {
    let freed = FrameChangeRecord {
        before_at: Time(1_790_000_000_000_000),
        after_at: Time(1_790_000_002_000_000),
        use_before: "anonymous",
        use_after: "free",
        bytes: 3 << 30,
        runs: 70_000,
        largest_paddr: Hex(0x11c183000),
        largest_bytes: 4 << 20,
    };
    let added = FrameChangeRecord {
        use_before: "absent",
        ..freed
    };
    [freed, added]
}

/// A cgroup, and a zone of a node.
pub(crate) fn frame_groups(name: &[u8]) -> [FrameGroupRecord; 2] {
    let cgroup = FrameGroupRecord {
        group: "cgroup",
        name: NameBuf(name.to_vec()),
        node: None,
        bytes: 3 << 30,
        anonymous: 1 << 30,
        shmem: 512 << 20,
        page_cache: 256 << 20,
        hugetlb: 1 << 30,
        page_table: 128 << 20,
        kernel: 64 << 20,
        free: 64 << 20,
    };
    let zone = FrameGroupRecord {
        group: "zone",
        name: NameBuf(b"Normal".to_vec()),
        node: Some(1),
        ..cgroup.clone()
    };
    [cgroup, zone]
}

/// A machine; `whole` with cgroups and all counters.
pub(crate) fn machine(name: &[u8], whole: bool) -> MachineRecord {
    let payer = |payer, name: &[u8], unit: Option<&str>, container: Option<&str>| PayerRecord {
        payer,
        cgroup: NameBuf(name.to_vec()),
        unit: unit.map(str::to_owned),
        container: container.map(str::to_owned),
        bytes: 3 << 30,
    };
    MachineRecord {
        present: 17 << 30,
        counted: 17 << 30,
        mem_total: whole.then_some(16 << 30),
        uses: frame_uses().to_vec(),
        unflagged: vec![UnflaggedRecord {
            part: "not-initialized",
            bytes: 15 << 30,
        }],
        unexplained: match whole {
            true => Real::from(1u64 << 30),
            false => Real::from(-4096i64),
        },
        payers: whole.then(|| {
            vec![
                payer("cgroup", name, Some("a.service"), Some("0123abcd")),
                payer("cgroup", b"", None, None),
                payer("kernel", b"", None, None),
            ]
        }),
        nodes: vec![MachineNodeRecord {
            node: 0,
            present: 17 << 30,
            managed: 16 << 30,
            free: 1 << 30,
        }],
        zones: vec![ZoneRecord {
            node: 0,
            zone: "Normal".to_owned(),
            present: 17 << 30,
            managed: 16 << 30,
            free: 1 << 30,
            per_cpu: 1 << 20,
        }],
        free: vec![FreeRecord {
            node: 0,
            zone: "Normal".to_owned(),
            page_order: 10,
            size: 4 << 20,
            blocks: 256,
        }],
        contiguity: vec![BlockRecord {
            size: 2 << 20,
            blocks: 8704,
            free: 300,
            free_share: whole.then_some(Real::ratio(6, 8)).flatten(),
            unmovable: 20,
            unflagged: 7680,
            uses: vec![BlockUseRecord {
                r#use: "slab",
                blocks: 17,
                prevented: 15,
            }],
        }],
    }
}
