//! What the kernel charges whoever asks for the same: bare system calls.

use std::fs::File;
use std::os::unix::fs::FileExt;

use testkit::memory::page;

/// An open page map.
pub struct Pagemap {
    file: File,
    buffer: Vec<u8>,
}

impl Pagemap {
    /// Opens that of a process.
    pub fn open(pid: u32) -> Self {
        let file = File::open(format!("/proc/{pid}/pagemap")).expect("pagemap");
        Self {
            file,
            buffer: vec![0; 1 << 20],
        }
    }

    /// One bulk read of all entries of a range, 1 MiB of entries a call.
    pub fn read(&mut self, start: u64, end: u64) {
        let (mut offset, end) = (start / page() * 8, end / page() * 8);
        while offset < end {
            let size = self.buffer.len().min((end - offset) as usize);
            let read = self
                .file
                .read_at(&mut self.buffer[..size], offset)
                .expect("entries");
            assert!(read > 0);
            offset += read as u64;
        }
    }
}

/// Reads `maps` to its end.
pub fn read_maps(pid: u32) {
    let text = std::fs::read(format!("/proc/{pid}/maps")).expect("maps");
    assert!(!text.is_empty());
}
