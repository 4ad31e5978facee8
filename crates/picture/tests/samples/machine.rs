//! A machine of 16 GiB with a database in huge pages, page cache, and memory in pieces.

use std::collections::BTreeMap;

use process_introspection::FrameUse;
use process_introspection_export::{
    BlockRecord, BlockUseRecord, FrameUseRecord, FreeRecord, MachineNodeRecord, MachineRecord,
    NameBuf, PayerRecord, Real, UnflaggedRecord, ZoneRecord,
};
use process_introspection_picture::map::buckets::{Buckets, Square};

use super::Numbers;

const PAGE: u64 = 4096;
const GIB: u64 = (1 << 30) / PAGE;
const MIB: u64 = (1 << 20) / PAGE;

/// Returns all frames in runs of one use.
pub(crate) fn runs() -> Vec<(u64, u64, FrameUse)> {
    use FrameUse::{
        Anonymous, Free, HugetlbMapped, HugetlbUnmapped, Kernel, PageCacheMapped,
        PageCacheUnmapped, PageTable, Reserved, Shmem, Slab, Unflagged,
    };
    let mut numbers = Numbers::new();
    let mut runs = Vec::new();
    let mut fill = |from: u64, to: u64, longest: u64, uses: &[FrameUse]| {
        let mut at = from;
        while at < to {
            let pages = (1 + numbers.below(longest)).min(to - at);
            let one = uses[numbers.below(uses.len() as u64) as usize];
            runs.push((at, pages, one));
            at += pages;
        }
    };
    fill(0, MIB, 64, &[Reserved, Unflagged]);
    fill(MIB, 32 * MIB, 4096, &[Reserved, Kernel, Unflagged]);
    fill(32 * MIB, GIB, 512, &[Slab, PageCacheUnmapped, Kernel, Free]);
    fill(
        GIB,
        2 * GIB,
        3000,
        &[PageCacheUnmapped, PageCacheUnmapped, PageCacheMapped],
    );
    fill(
        2 * GIB,
        3 * GIB,
        700,
        &[Anonymous, Anonymous, Free, PageTable],
    );
    fill(4 * GIB, 8 * GIB, 32768, &[HugetlbMapped]);
    fill(8 * GIB, 9 * GIB, 32768, &[HugetlbUnmapped]);
    fill(
        9 * GIB,
        11 * GIB,
        512,
        &[Anonymous, Anonymous, PageCacheUnmapped, Slab],
    );
    fill(
        11 * GIB,
        12 * GIB,
        90,
        &[Shmem, Anonymous, PageTable, Unflagged],
    );
    fill(
        12 * GIB,
        15 * GIB,
        9000,
        &[PageCacheUnmapped, PageCacheMapped, Anonymous],
    );
    fill(15 * GIB, 17 * GIB, 60000, &[Free, Free, Free, Anonymous]);
    runs
}

/// Returns the square of the frames.
pub(crate) fn square() -> Square {
    let mut counts: Buckets = Square::counts(FrameUse::ALL.len());
    for (pfn, pages, one) in runs() {
        counts.add(pfn..pfn + pages, one as u8);
    }
    Square::new(&counts, PAGE)
}

/// Returns the record of the machine.
pub(crate) fn record() -> MachineRecord {
    let mut totals = BTreeMap::new();
    for (_, pages, one) in runs() {
        *totals.entry(one as u8).or_default() += pages * PAGE;
    }
    let of = |one: FrameUse| totals.get(&(one as u8)).copied().unwrap_or(0);
    let present: u64 = totals.values().sum();
    let uses = FrameUse::ALL.into_iter().filter(|&one| of(one) > 0);
    let uses = uses.map(|one| FrameUseRecord {
        r#use: one.name(),
        bytes: of(one),
        counter: None,
        counter_bytes: None,
        counter_after: None,
        counted: None,
        active: 0,
        inactive: 0,
        unevictable: 0,
        dirty: 0,
        writeback: 0,
    });
    let hidden = of(FrameUse::Kernel) + of(FrameUse::Unflagged);
    let parts = [
        ("not-initialized", hidden / 3),
        ("vmalloc", hidden / 5),
        ("percpu", hidden / 9),
        ("kernel-stacks", hidden / 11),
        ("per-cpu-lists", hidden / 40),
    ];
    let explained: u64 = parts.iter().map(|&(_, bytes)| bytes).sum();
    let free = of(FrameUse::Free);
    let payer = |payer, cgroup: &str, bytes| PayerRecord {
        payer,
        cgroup: NameBuf(cgroup.as_bytes().to_vec()),
        unit: None,
        container: None,
        bytes,
    };
    let paid = [
        payer("cgroup", "/system.slice/postgresql.service", 2 << 30),
        payer(
            "cgroup",
            "/user.slice/user-1000.slice/session-3.scope",
            900 << 20,
        ),
        payer("cgroup", "/system.slice/docker-5e1f0c.scope", 610 << 20),
        payer("cgroup", "/system.slice/systemd-journald.service", 88 << 20),
        payer("kernel", "", of(FrameUse::Slab) + hidden),
        payer("free", "", free),
    ];
    let sum: u64 = paid.iter().map(|one| one.bytes).sum();
    let mut payers: Vec<_> = paid.into_iter().collect();
    payers.push(payer("none", "", present - sum));
    payers.sort_by_key(|one| std::cmp::Reverse(one.bytes));
    let zone = |zone: &str, present, free| ZoneRecord {
        node: 0,
        zone: zone.to_owned(),
        present,
        managed: present - (16 << 20).min(present / 10),
        free,
        per_cpu: 1 << 20,
    };
    let low = of(FrameUse::Reserved).min(16 << 20);
    let zones = vec![
        zone("DMA", 16 << 20, low / 4),
        zone("DMA32", (3 << 30) - (16 << 20), 400 << 20),
        zone("Normal", present - (3 << 30), free - (401 << 20)),
    ];
    let sizes = (0..11).map(|order: u32| FreeRecord {
        node: 0,
        zone: "Normal".to_owned(),
        page_order: order,
        size: PAGE << order,
        blocks: [900, 800, 610, 500, 420, 300, 220, 140, 100, 90, 0][order as usize],
    });
    let mut sizes: Vec<_> = sizes.collect();
    let known: u64 = sizes.iter().map(|one| one.size * one.blocks).sum();
    sizes[10].blocks = free.saturating_sub(known) / sizes[10].size;
    let block = |size: u64, free, unmovable, unflagged| BlockRecord {
        size,
        blocks: present / size,
        free,
        free_share: Real::ratio(free * size, of(FrameUse::Free)),
        unmovable,
        unflagged,
        uses: vec![BlockUseRecord {
            r#use: "slab",
            blocks: unmovable,
            prevented: unmovable / 2,
        }],
    };
    let contiguity = vec![
        block(2 << 20, 900, 2400, 300),
        block(32 << 20, 40, 210, 20),
        block(1 << 30, 0, 11, 1),
    ];
    MachineRecord {
        present,
        counted: present,
        mem_total: Some(present - (300 << 20)),
        uses: uses.collect(),
        unflagged: parts
            .map(|(part, bytes)| UnflaggedRecord { part, bytes })
            .to_vec(),
        unexplained: Real::from(hidden - explained),
        payers: Some(payers),
        nodes: vec![MachineNodeRecord {
            node: 0,
            present,
            managed: present - (300 << 20),
            free,
        }],
        zones,
        free: sizes,
        contiguity,
    }
}
