//! What the machine allows: root, huge pages. A test that cannot run says so.

use std::fs;

/// Whether this is root with all capabilities, as far as the tests need to
/// know; prints that the test is skipped if not.
pub fn is_root_or_skip(test: &str) -> bool {
    // SAFETY: takes no memory.
    let root = unsafe { libc::geteuid() } == 0;
    if !root {
        eprintln!("SKIPPED {test}: needs root");
    }
    root
}

/// Whether the kernel has PAGEMAP_SCAN (Linux 6.7); prints that the test is
/// skipped if not.
pub fn has_page_scan_or_skip(test: &str) -> bool {
    // _IOWR('f', 16, struct pm_scan_arg): its size, and nothing to scan for.
    let argument = [
        size_of::<[u64; 12]>() as u64,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
    ];
    has_ioctl("/proc/self/pagemap", 0xc060_6610, argument, test)
}

/// Whether the kernel has PROCMAP_QUERY (Linux 6.11); prints that the test is
/// skipped if not.
pub fn has_area_query_or_skip(test: &str) -> bool {
    // _IOWR('f', 17, struct procmap_query): its size, and for the area at or
    // above address 0.
    const COVERING_OR_NEXT: u64 = 0x10;
    let size = size_of::<[u64; 13]>() as u64;
    let argument = [size, COVERING_OR_NEXT, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    has_ioctl("/proc/self/maps", 0xc068_6611, argument, test)
}

fn has_ioctl<const N: usize>(file: &str, request: u32, mut argument: [u64; N], test: &str) -> bool {
    let known = fs::File::open(file).is_ok_and(|file| {
        let fd = std::os::fd::AsRawFd::as_raw_fd(&file);
        // SAFETY: a live struct of the size that it states.
        unsafe { libc::ioctl(fd, request as libc::Ioctl, argument.as_mut_ptr()) >= 0 }
    });
    if !known {
        eprintln!("SKIPPED {test}: this kernel's {file} lacks the ioctl {request:#x}");
    }
    known
}

/// Sets huge pages of 2 MiB aside; gives them back when dropped.
#[derive(Debug)]
pub struct HugePages {
    before: u64,
}

const HUGE_PAGES: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";

impl HugePages {
    /// `count` more than there were; `None`, and said so, if the machine has
    /// none to give.
    pub fn reserve(count: u64, test: &str) -> Option<Self> {
        let read = || {
            fs::read_to_string(HUGE_PAGES)
                .ok()?
                .trim()
                .parse::<u64>()
                .ok()
        };
        let skip = |why: &str| {
            eprintln!("SKIPPED {test}: {why}");
            None
        };
        let Some(before) = read() else {
            return skip("the kernel has no 2 MiB huge pages");
        };
        let reserved = Self { before };
        if fs::write(HUGE_PAGES, (before + count).to_string()).is_err() {
            return skip("setting huge pages aside needs root");
        }
        if read() < Some(before + count) {
            drop(reserved);
            return skip("no memory for huge pages");
        }
        Some(reserved)
    }
}

impl Drop for HugePages {
    fn drop(&mut self) {
        let _ = fs::write(HUGE_PAGES, self.before.to_string());
    }
}
