//! The measured code: the C path and the Rust path.

use std::hint::black_box;
use std::ops::ControlFlow;

use process_introspection::{AddrRange, Backing, NotedEntries, PageFacts, Process};
use testkit::memory::page;

use crate::library::{CLibrary, Record};
use crate::targets::Memory;

/// Opens the target, walks the range, stores the records, closes.
pub(crate) fn c_path(library: &CLibrary, memory: &Memory, records: &mut [Record]) {
    let (start, end) = (memory.start, memory.end());
    black_box(library.physical(memory.pid(), start, end, records));
}

/// Opens the target and walks the range in Rust; the records are visited and dropped.
pub(crate) fn rust_path(memory: &Memory) {
    rust_walk(memory.pid(), memory.start, memory.end());
}

/// The Rust path by its iterator, which returns owned regions.
pub(crate) fn rust_iterator(memory: &Memory) {
    let process = Process::open(memory.pid()).expect("the target");
    let regions = process.physical_regions(memory.start..memory.end());
    for region in regions.expect("a walk") {
        black_box(region.expect("a region"));
    }
}

/// The Rust path with two threads.
pub(crate) fn rust_two_threads(memory: &Memory) {
    two_threads(memory.pid(), memory.start, memory.end());
}

/// The Rust path with two threads over the whole process.
pub(crate) fn rust_two_threads_everywhere(memory: &Memory) {
    two_threads(memory.pid(), 0, u64::MAX);
}

fn two_threads(pid: u32, start: u64, end: u64) {
    let process = Process::open(pid).expect("the target");
    let each = |region: &_| {
        black_box(region);
        ControlFlow::Continue(())
    };
    process
        .walk(start..end)
        .threads(2)
        .for_each(each)
        .expect("a walk");
}

/// A region, with the flags of its entries from the walk.
pub(crate) type Noted = (AddrRange, Backing, Option<NotedEntries>);

/// Number of regions whose facts are read at a time, as walks do it.
const BATCH: usize = 1 << 15;

/// Walks the range and reads the facts of its pages.
pub(crate) fn rust_details(memory: &Memory) {
    let process = Process::open(memory.pid()).expect("the target");
    let mut pages = 0;
    let walk = process.walk(memory.start..memory.end()).details();
    let walked = walk.for_each(|region| {
        pages += facts_of(region.facts.as_ref().expect("facts"));
        ControlFlow::Continue(())
    });
    walked.expect("a walk");
    assert_eq!(pages, memory.size / page(), "every page has facts");
}

/// Returns the number of pages of which there are facts.
fn facts_of(facts: &PageFacts) -> u64 {
    let facts = black_box(facts);
    assert_eq!(facts.entries(), facts.frames(), "all are in memory");
    facts.frames()
}

/// Walks the range by one thread.
pub(crate) fn regions_noted(process: &Process, memory: &Memory, mut each: impl FnMut(Noted)) {
    let walk = process.walk(memory.start..memory.end()).entry_flags();
    let walked = walk.for_each(|region| {
        each((region.virt, region.backing, region.entries.clone()));
        ControlFlow::Continue(())
    });
    walked.expect("a walk");
}

/// Reads the page facts of regions of an earlier walk.
pub(crate) fn rust_details_of(process: &Process, memory: &Memory, regions: &[Noted]) {
    let mut reader = process.page_facts().expect("root's files");
    let mut pages = 0;
    for batch in regions.chunks(BATCH) {
        for (virt, backing, noted) in batch {
            reader.add(*virt, *backing, noted.clone());
        }
        let facts = reader.read().expect("facts");
        pages += facts.map(|facts| facts_of(&facts)).sum::<u64>();
    }
    assert_eq!(pages, memory.size / page(), "every page has facts");
}

/// The Rust path over the whole process.
pub(crate) fn rust_path_everywhere(memory: &Memory) {
    rust_walk(memory.pid(), 0, u64::MAX);
}

/// The Rust path with a process that stays open.
pub(crate) fn rust_kept(process: &Process, memory: &Memory) {
    walk(process, memory.start, memory.end());
}

fn rust_walk(pid: u32, start: u64, end: u64) {
    walk(&Process::open(pid).expect("the target"), start, end);
}

fn walk(process: &Process, start: u64, end: u64) {
    let walked = process.walk(start..end).for_each(|region| {
        black_box(region);
        ControlFlow::Continue(())
    });
    walked.expect("a walk");
}

/// Returns the number of records of the range, and checks that they tile it.
pub(crate) fn count(library: &CLibrary, memory: &Memory, records: &mut [Record]) -> usize {
    let count = library.physical(memory.pid(), memory.start, memory.end(), records);
    assert!(count <= records.len(), "{count} records");
    let size: u64 = records[..count].iter().map(|record| record.size).sum();
    assert_eq!(size, memory.size, "the records tile the range");
    count
}
