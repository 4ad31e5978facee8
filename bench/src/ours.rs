//! The measured code: the C path and the Rust path.

use std::hint::black_box;
use std::ops::ControlFlow;

use process_introspection::{
    AddrRange, Backing, EntryNotes, NotedEntries, PageFactsReader, PhysicalRegion, Process,
};
use testkit::memory::page;

use crate::library::{CLibrary, Record};
use crate::targets::Memory;

/// Opens the target, walks the range, stores the records, closes.
pub(crate) fn c_path(library: &CLibrary, memory: &Memory, records: &mut [Record]) {
    let (start, end) = (memory.start, memory.end());
    black_box(library.physical(memory.pid(), start, end, records));
}

/// The same in Rust, where the records are visited and dropped.
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

/// The same over the whole process.
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
        .physical_regions_parallel(start..end, 2, each)
        .expect("a walk");
}

/// A region, with the flags of its entries from the walk.
pub(crate) type Noted = (AddrRange, Backing, Option<NotedEntries>);

/// Number of regions of a batch, as in the command.
const BATCH: usize = 1 << 15;

/// Reads the page facts of regions in batches.
struct Details<'a> {
    reader: PageFactsReader<'a>,
    added: usize,
    /// Number of pages with facts.
    pages: u64,
}

impl<'a> Details<'a> {
    fn of(process: &'a Process) -> Self {
        Self {
            reader: process.page_facts().expect("root's files"),
            added: 0,
            pages: 0,
        }
    }

    fn add(&mut self, (virt, backing, noted): Noted) {
        self.reader.add(virt, backing, noted);
        self.added += 1;
        if self.added == BATCH {
            self.read();
        }
    }

    fn read(&mut self) {
        self.added = 0;
        for facts in self.reader.read().expect("facts") {
            let facts = black_box(facts);
            assert_eq!(facts.entries(), facts.frames(), "all are in memory");
            self.pages += facts.frames();
        }
    }

    fn end(mut self, memory: &Memory) {
        self.read();
        assert_eq!(self.pages, memory.size / page(), "every page has facts");
    }
}

/// Walks the range and reads the facts of its pages.
pub(crate) fn rust_details(memory: &Memory) {
    let process = Process::open(memory.pid()).expect("the target");
    let mut details = Details::of(&process);
    regions_noted(&process, memory, |region| details.add(region));
    details.end(memory);
}

/// Walks the range by one thread.
pub(crate) fn regions_noted(process: &Process, memory: &Memory, mut each: impl FnMut(Noted)) {
    let noting = |region: &PhysicalRegion, notes: &EntryNotes| {
        let noted = notes.of(region.virt, process.page_size());
        each((region.virt, region.backing, noted));
        ControlFlow::Continue(())
    };
    process
        .physical_regions_noting(memory.start..memory.end(), 1, noting)
        .expect("a walk");
}

/// Reads the page facts of regions of an earlier walk.
pub(crate) fn rust_details_of(process: &Process, memory: &Memory, regions: &[Noted]) {
    let mut details = Details::of(process);
    regions
        .iter()
        .cloned()
        .for_each(|region| details.add(region));
    details.end(memory);
}

/// The Rust path over the whole process.
pub(crate) fn rust_path_everywhere(memory: &Memory) {
    rust_walk(memory.pid(), 0, u64::MAX);
}

/// The same with a process that stays open.
pub(crate) fn rust_kept(process: &Process, memory: &Memory) {
    walk(process, memory.start, memory.end());
}

fn rust_walk(pid: u32, start: u64, end: u64) {
    walk(&Process::open(pid).expect("the target"), start, end);
}

fn walk(process: &Process, start: u64, end: u64) {
    let regions = process.physical_regions(start..end).expect("a walk");
    let each = |region: &_| {
        black_box(region);
        ControlFlow::Continue(())
    };
    regions.visit(each).expect("a walk");
}

/// Returns the number of records of the range, and checks that they tile it.
pub(crate) fn count(library: &CLibrary, memory: &Memory, records: &mut [Record]) -> usize {
    let count = library.physical(memory.pid(), memory.start, memory.end(), records);
    assert!(count <= records.len(), "{count} records");
    let size: u64 = records[..count].iter().map(|record| record.size).sum();
    assert_eq!(size, memory.size, "the records tile the range");
    count
}
