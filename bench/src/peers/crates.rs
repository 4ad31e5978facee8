//! The crates `procfs` and `pagemap`, used as their documentation shows.

use std::hint::black_box;

use testkit::memory::page;

use crate::targets::Memory;

/// `procfs`: all mappings, and for those in the range all their pages at once.
pub(crate) fn procfs_ranges(memory: &Memory) {
    let process = procfs::process::Process::new(memory.pid() as i32).expect("the target");
    let maps = process.maps().expect("maps");
    let mut pagemap = process.pagemap().expect("pagemap");
    let mut mappings = 0;
    for map in maps {
        let (start, end) = map.address;
        if start < memory.end() && end > memory.start {
            let from = start.max(memory.start) / page();
            let to = end.min(memory.end()) / page();
            let pages = pagemap.get_range_info(from as usize..to as usize);
            black_box(pages.expect("pages"));
            mappings += 1;
        }
    }
    assert!(mappings > 0);
}

/// `procfs`: all pages of all mappings of a process. Mappings that the page map does
/// not cover fail, and are skipped.
pub(crate) fn procfs_everything(memory: &Memory) {
    let process = procfs::process::Process::new(memory.pid() as i32).expect("the target");
    let maps = process.maps().expect("maps");
    let mut pagemap = process.pagemap().expect("pagemap");
    for map in maps {
        let (start, end) = map.address;
        let pages = (start / page()) as usize..(end / page()) as usize;
        let _ = black_box(pagemap.get_range_info(pages));
    }
}

/// `procfs`: page by page.
pub(crate) fn procfs_each_page(memory: &Memory) {
    let process = procfs::process::Process::new(memory.pid() as i32).expect("the target");
    black_box(process.maps().expect("maps"));
    let mut pagemap = process.pagemap().expect("pagemap");
    for index in memory.start / page()..memory.end() / page() {
        black_box(pagemap.get_info(index as usize).expect("a page"));
    }
}

/// `pagemap`: all mappings, and for those in the range all their pages.
pub(crate) fn pagemap_regions(memory: &Memory) {
    let mut pagemap = pagemap::PageMap::new(memory.pid().into()).expect("the target");
    let maps = pagemap.maps().expect("maps");
    let mut mappings = 0;
    for map in maps {
        let region = map.memory_region();
        if region.start_address() < memory.end() && region.last_address() > memory.start {
            black_box(pagemap.pagemap_region(&region).expect("pages"));
            mappings += 1;
        }
    }
    assert!(mappings > 0);
}
