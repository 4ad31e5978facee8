//! One `pread` for each page, the usual implementation.

use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;

use testkit::memory::page;

use crate::targets::Memory;

pub(crate) fn read(memory: &Memory) {
    let file = File::open(format!("/proc/{}/pagemap", memory.pid())).expect("pagemap");
    let mut entry = [0; 8];
    for index in memory.start / page()..memory.end() / page() {
        file.read_exact_at(&mut entry, index * 8).expect("an entry");
        black_box(&entry);
    }
}
