//! A walk of VMAs and entries alone: the core's own parts combined without those for
//! a mapping's kind, object or device. No page is skipped, so it suits resident
//! memory.

use std::hint::black_box;
use std::ops::ControlFlow;

use process_introspection_core::mapping::PageSource;
use process_introspection_core::pagemap::read_entries;
use process_introspection_core::physical::Run;
use process_introspection_core::process::Access;
use process_introspection_core::pure::{Merger, PageContext};
use process_introspection_core::vma::{Vma, VmaCursor};
use process_introspection_core::{PageSize, Pfn, ProcessHandle, Target};

use crate::targets::Memory;

/// Number of entries that the Rust library reads at once.
const ENTRIES: usize = 8192;

/// An open process and the storage for a walk.
pub(crate) struct PlainWalk {
    process: ProcessHandle,
    page: PageSize,
    start: u64,
    end: u64,
    /// The entries read last, from `window` on.
    entries: Vec<u64>,
    window: u64,
    count: usize,
}

impl PlainWalk {
    /// Opens the target of a range.
    pub(crate) fn new(memory: &Memory) -> Self {
        let process =
            ProcessHandle::open(Target::Pid(memory.pid()), Access::Frames).expect("the target");
        Self {
            page: process.page_size(),
            process,
            start: memory.start,
            end: memory.end(),
            entries: vec![0; ENTRIES],
            window: 0,
            count: 0,
        }
    }

    /// Walks the range, and returns the bytes of all runs.
    pub(crate) fn walk(&mut self) -> u64 {
        let mut areas = VmaCursor::new([0u8; 4096]);
        let (mut at, mut size) = (self.start, 0);
        (self.window, self.count) = (0, 0);
        while at < self.end {
            let area = areas.next_from(&self.process, at).expect("an area");
            let Some(area) = area.filter(|area| area.range.start().as_u64() < self.end) else {
                break;
            };
            at = area.range.end().as_u64().min(self.end);
            size += self.walk_area(&area, at);
        }
        size
    }

    fn walk_area(&mut self, area: &Vma, end: u64) -> u64 {
        let context = PageContext {
            page: self.page,
            private: !area.shared,
            has_object: area.has_object(),
            unlisted: None,
            source: match area.has_object() {
                true => PageSource::Cache,
                false => PageSource::Anonymous,
            },
            hugetlb: false,
            huge_file_bit: true,
            frames: true,
            zero: self.process.zero_frame(),
        };
        let mut size = 0;
        let mut give = |run: &Run| {
            size += black_box(run).end - run.start;
            ControlFlow::Continue(())
        };
        let mut merger = Merger::new();
        let mut at = area.range.start().as_u64().max(self.start);
        let shift = self.page.shift();
        while at < end {
            if at < self.window || at >= self.window + ((self.count as u64) << shift) {
                let pages = (((self.end - at) >> shift) as usize).min(ENTRIES);
                let entries = &mut self.entries[..pages];
                self.count = read_entries(&self.process, self.page, at, entries).expect("entries");
                self.window = at;
            }
            let mut no_flags = |_: Pfn, _: &mut [u64]| false;
            let from = ((at - self.window) >> shift) as usize;
            let to = self.count.min(from + ((end - at) >> shift) as usize);
            let entries = &self.entries[from..to];
            let (taken, _) = merger.feed(&context, at, entries, &mut no_flags, &mut give);
            at += (taken as u64) << shift;
        }
        if let Some(run) = merger.take() {
            let _ = give(&run);
        }
        size
    }
}
