//! Entry decoding and run merging, without any system call, in bytes of entries per
//! second.

use std::hint::black_box;
use std::ops::ControlFlow;

use criterion::{criterion_group, criterion_main, Criterion, Throughput};
use process_introspection_core::entry::Entry;
use process_introspection_core::mapping::PageSource;
use process_introspection_core::physical::Run;
use process_introspection_core::pure::{Merger, PageContext};
use process_introspection_core::{PageSize, Pfn};

/// Number of base pages of 1 GiB.
const PAGES: u64 = 262_144;
/// Number of entries that the walk reads at once.
const WINDOW: usize = 256;

const PRESENT: u64 = 1 << 63;
const SWAP: u64 = 1 << 62;

/// A source without flags of frames.
fn no_flags(_: Pfn, _: &mut [u64]) -> bool {
    false
}

/// Private anonymous memory.
const CONTEXT: PageContext = PageContext {
    page: PageSize::SIZE_4K,
    private: true,
    has_object: false,
    unlisted: None,
    source: PageSource::Anonymous,
    hugetlb: false,
    huge_file_bit: true,
    frames: true,
    zero: Some(Pfn::new(0x1234)),
};

/// Returns the number of runs, merged as in the walk: window by window.
fn merge(entries: &[u64]) -> usize {
    let mut merger = Merger::new();
    let mut count = 0;
    let mut at = 0;
    for window in entries.chunks(WINDOW) {
        let mut give = |run: &Run| {
            black_box(run);
            count += 1;
            ControlFlow::Continue(())
        };
        let (taken, _) = merger.feed(&CONTEXT, at, window, &mut no_flags, &mut give);
        at += taken as u64 * CONTEXT.page.bytes();
    }
    count + usize::from(merger.take().is_some())
}

/// Returns entries with runs of `length` pages, none physically next to another.
fn runs_of(length: u64) -> Vec<u64> {
    (0..PAGES)
        .map(|page| PRESENT | (0x10_0000 + page + page / length * 7))
        .collect()
}

/// Returns runs of 1 to 64 pages, with holes, swapped and guard pages between them.
fn mixed() -> Vec<u64> {
    let mut entries = Vec::new();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    while entries.len() < PAGES as usize {
        // Xorshift: the same sequence in every run.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let length = 1 + (state >> 8) % 64;
        let frame = 0x10_0000 + (state >> 16) % 0x100_0000;
        match state % 8 {
            0 => entries.extend((0..length).map(|_| 0)),
            1 => entries.extend((0..length).map(|page| SWAP | (frame + page) << 5)),
            2 => entries.extend((0..length).map(|_| SWAP | 1 << 58)),
            _ => entries.extend((0..length).map(|page| PRESENT | (frame + page))),
        }
    }
    entries.truncate(PAGES as usize);
    entries
}

fn run_merging(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("run merging");
    group.throughput(Throughput::Bytes(PAGES * size_of::<u64>() as u64));
    let shapes = [
        ("one run", runs_of(PAGES), Some(1)),
        ("runs of 32 pages", runs_of(32), Some(PAGES as usize / 32)),
        ("no two pages adjacent", runs_of(1), Some(PAGES as usize)),
        ("empty", vec![0; PAGES as usize], Some(1)),
        ("mixed", mixed(), None),
    ];
    for (name, entries, runs) in shapes {
        if let Some(runs) = runs {
            assert_eq!(merge(&entries), runs, "{name}");
        }
        group.bench_function(name, |bencher| bencher.iter(|| merge(black_box(&entries))));
    }
    group.finish();
}

fn decoding(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("entry decoding");
    group.throughput(Throughput::Bytes(PAGES * size_of::<u64>() as u64));
    for (name, entries) in [("present", runs_of(32)), ("mixed", mixed())] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                for &entry in black_box(&entries) {
                    black_box(CONTEXT.state(0, Entry::from_raw(entry), &mut no_flags));
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, run_merging, decoding);
criterion_main!(benches);
