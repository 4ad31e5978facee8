//! All entries of a range by bulk `pread`, nothing skipped, nothing decoded.

use std::fs::File;
use std::os::unix::fs::FileExt;

use testkit::memory::page;

use crate::measure;
use crate::targets::Memory;

const LEAST_BUFFER: usize = 4 << 10;
const MOST_BUFFER: usize = 1 << 20;
/// Part of the range on which the best buffer is determined.
const SAMPLE: u64 = 16 << 30;

/// An open page map, read through a buffer of the fastest size.
pub(crate) struct Bulk {
    file: File,
    buffer: Vec<u8>,
    size: usize,
    start: u64,
    end: u64,
}

impl Bulk {
    /// Opens the page map of a target and determines the best buffer from 4 KiB to 1 MiB.
    pub(crate) fn new(memory: &Memory) -> Self {
        let mut bulk = Self::of_size(memory, MOST_BUFFER);
        bulk.end = memory.start + memory.size.min(SAMPLE);
        let sizes = std::iter::successors(Some(LEAST_BUFFER), |size| Some(size * 4));
        let timed = sizes.take_while(|&size| size <= MOST_BUFFER).map(|size| {
            bulk.size = size;
            (measure::least_seconds(|| bulk.read()), size)
        });
        let best = timed.min_by(|one, other| one.0.total_cmp(&other.0));
        bulk.size = best.map_or(MOST_BUFFER, |(_, size)| size);
        bulk.end = memory.end();
        bulk
    }

    /// Bulk reads through a buffer of `size` bytes.
    pub(crate) fn of_size(memory: &Memory, size: usize) -> Self {
        Self {
            file: File::open(format!("/proc/{}/pagemap", memory.pid())).expect("pagemap"),
            buffer: vec![1; MOST_BUFFER.max(size)],
            size,
            start: memory.start,
            end: memory.end(),
        }
    }

    /// Two floors that read half of the range each, through buffers of the same size.
    pub(crate) fn halves(&self, memory: &Memory) -> [Self; 2] {
        let middle = memory.start + memory.size / page() / 2 * page();
        let mut halves = [
            Self::of_size(memory, self.size),
            Self::of_size(memory, self.size),
        ];
        (halves[0].end, halves[1].start) = (middle, middle);
        halves
    }

    /// Returns the buffer size, for the row.
    pub(crate) fn note(&self) -> String {
        format!("bulk reads of {} KiB were the fastest", self.size >> 10)
    }

    /// Reads all entries.
    pub(crate) fn read(&mut self) {
        read(
            &self.file,
            &mut self.buffer[..self.size],
            self.start,
            self.end,
        );
    }
}

/// Reads all entries of both, each in a thread of its own.
pub(crate) fn read_both([one, other]: &mut [Bulk; 2]) {
    std::thread::scope(|scope| {
        scope.spawn(|| other.read());
        one.read();
    });
}

/// Reads the entries of `start..end` through a buffer.
pub(super) fn read(file: &File, buffer: &mut [u8], start: u64, end: u64) {
    let (mut offset, end) = (start / page() * 8, end / page() * 8);
    while offset < end {
        let size = buffer.len().min((end - offset) as usize);
        let read = file.read_at(&mut buffer[..size], offset).expect("entries");
        assert!(read > 0, "the target has gone away");
        offset += read as u64;
    }
}
