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
