//! Reading `maps` to its end, and one bulk read for each VMA.

use std::fs::File;
use std::io::Read;
use std::ops::Range;

use testkit::oracle;

use super::bulk;
use crate::targets::Memory;

/// Reads the text to its end through one buffer, unparsed.
pub(crate) fn read_maps(pid: u32, buffer: &mut [u8]) {
    let mut file = File::open(format!("/proc/{pid}/maps")).expect("maps");
    let mut total = 0;
    loop {
        match file.read(buffer).expect("text") {
            0 => break,
            read => total += read,
        }
    }
    assert!(total > 0);
}

/// The VMAs of a range, known beforehand.
pub(crate) struct Areas {
    file: File,
    areas: Vec<Range<u64>>,
    buffer: Vec<u8>,
}

impl Areas {
    pub(crate) fn new(memory: &Memory) -> Self {
        let inside = memory.start..memory.end();
        let areas = oracle::areas(memory.pid());
        let areas = areas
            .iter()
            .filter(|area| inside.contains(&area.start))
            .map(|area| area.start..area.end)
            .collect();
        Self {
            file: File::open(format!("/proc/{}/pagemap", memory.pid())).expect("pagemap"),
            areas,
            buffer: vec![1; 64 << 10],
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.areas.len()
    }

    /// Makes one bulk read for each.
    pub(crate) fn read(&mut self) {
        for area in &self.areas {
            bulk::read(&self.file, &mut self.buffer, area.start, area.end);
        }
    }
}
