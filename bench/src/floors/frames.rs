//! `kpageflags` and `kpagecount` of a range's frames by bare `pread`s of sorted
//! runs, nothing decoded.

use std::fs::File;
use std::os::unix::fs::FileExt;

use testkit::memory::page;
use testkit::oracle::Pagemap;

use crate::targets::Memory;

/// Size of the pieces in which both files are read: the frames' structs are still
/// in the caches when the second file is read.
const BUFFER: usize = 16 << 10;

/// The frames of a range at the time of creation, in sorted runs.
pub(crate) struct SortedFrames {
    flags: File,
    counts: File,
    runs: Vec<(u64, u64)>,
    buffer: Vec<u8>,
}

impl SortedFrames {
    /// Opens both files and reads the frames of the range, all of which must be present.
    pub(crate) fn new(memory: &Memory) -> Self {
        let pagemap = Pagemap::open(memory.pid());
        let addresses = (memory.start..memory.end()).step_by(page() as usize);
        let mut frames: Vec<u64> = addresses
            .map(|address| {
                let entry = pagemap.entry(address);
                assert!(entry >> 63 == 1, "all pages are in memory");
                entry & ((1 << 55) - 1)
            })
            .collect();
        frames.sort_unstable();
        let mut runs: Vec<(u64, u64)> = Vec::new();
        for frame in frames {
            match runs.last_mut() {
                Some((_, end)) if *end == frame => *end += 1,
                _ => runs.push((frame, frame + 1)),
            }
        }
        Self {
            flags: File::open("/proc/kpageflags").expect("kpageflags"),
            counts: File::open("/proc/kpagecount").expect("kpagecount"),
            runs,
            buffer: vec![1; BUFFER],
        }
    }

    /// Returns the number of runs, for the row.
    pub(crate) fn note(&self) -> String {
        format!("{} runs of frames", self.runs.len())
    }

    /// Reads both files.
    pub(crate) fn read(&mut self) {
        for &(start, end) in &self.runs {
            let (mut at, end) = (start * 8, end * 8);
            while at < end {
                let size = BUFFER.min((end - at) as usize);
                for file in [&self.flags, &self.counts] {
                    file.read_exact_at(&mut self.buffer[..size], at)
                        .expect("words of frames");
                }
                at += size as u64;
            }
        }
    }
}
