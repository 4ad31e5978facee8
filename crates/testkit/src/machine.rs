//! Capabilities of the machine: root, huge pages. A test that cannot run prints that.

use std::fs;

/// Returns whether a test can run; prints that it is skipped, and why, if not.
pub(crate) fn or_skip(can_run: bool, test: &str, why: &str) -> bool {
    if !can_run {
        eprintln!("SKIPPED {test}: {why}");
    }
    can_run
}

/// Prints that a test is skipped, and why; returns `None`.
pub fn skip<T>(test: &str, why: &str) -> Option<T> {
    or_skip(false, test, why);
    None
}

/// Returns whether this is root with all capabilities that the tests need; prints
/// that the test is skipped if not.
pub fn is_root_or_skip(test: &str) -> bool {
    // SAFETY: takes no memory.
    or_skip(unsafe { libc::geteuid() } == 0, test, "needs root")
}

/// Returns whether this machine is a guest of `cargo xtask vmtest`, which ends with
/// its tests and may be damaged; prints that the test is skipped if not.
pub fn is_disposable_or_skip(test: &str) -> bool {
    let line = fs::read_to_string("/proc/cmdline").unwrap_or_default();
    let is = line.split_whitespace().any(|word| word == "vmtest.guest");
    let why = "it takes memory away from the machine, so it needs a guest";
    or_skip(is, test, why)
}

/// Returns the first two numbers of the kernel's release, for the few changes that
/// cannot be detected otherwise.
pub fn kernel() -> (u32, u32) {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("a release");
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    let mut number = || numbers.next().and_then(|number| number.parse().ok());
    number().zip(number()).expect("two numbers")
}

/// Returns whether the kernel has PAGEMAP_SCAN (Linux 6.7); prints that the test is
/// skipped if not.
pub fn has_page_scan_or_skip(test: &str) -> bool {
    or_skip(has_page_scan(), test, "needs PAGEMAP_SCAN (Linux 6.7)")
}

/// The same, quietly.
pub fn has_page_scan() -> bool {
    // _IOWR('f', 16, struct pm_scan_arg): its size, and nothing to scan for.
    let mut argument = [0; 12];
    argument[0] = size_of_val(&argument) as u64;
    has_ioctl("/proc/self/pagemap", 0xc060_6610, argument)
}

/// Returns whether the kernel has PROCMAP_QUERY (Linux 6.11); prints that the test is
/// skipped if not.
pub fn has_area_query_or_skip(test: &str) -> bool {
    or_skip(has_area_query(), test, "needs PROCMAP_QUERY (Linux 6.11)")
}

/// The same, quietly.
pub fn has_area_query() -> bool {
    // _IOWR('f', 17, struct procmap_query): its size, and a query for the VMA at or
    // above address 0.
    const COVERING_OR_NEXT: u64 = 0x10;
    let mut argument = [0; 13];
    (argument[0], argument[1]) = (size_of_val(&argument) as u64, COVERING_OR_NEXT);
    has_ioctl("/proc/self/maps", 0xc068_6611, argument)
}

fn has_ioctl<const N: usize>(file: &str, request: u32, mut argument: [u64; N]) -> bool {
    fs::File::open(file).is_ok_and(|file| {
        let fd = std::os::fd::AsRawFd::as_raw_fd(&file);
        // SAFETY: a live struct of the size that it states.
        unsafe { libc::ioctl(fd, request as libc::Ioctl, argument.as_mut_ptr()) >= 0 }
    })
}

/// Returns whether a mapping of this size fits this program's address space; prints
/// that the test is skipped if not.
pub fn has_addresses_or_skip(bytes: u64, test: &str) -> bool {
    // Half of 32 bits: the kernel and the program need some, too.
    let why = format!("addresses of {} bits", usize::BITS);
    or_skip(bytes <= usize::MAX as u64 / 2, test, &why)
}

/// Returns whether reading memory with advice for huge pages maps the huge zero page;
/// prints that the test is skipped if not.
pub fn has_huge_zero_page_or_skip(test: &str) -> bool {
    let setting = |name: &str| {
        let path = format!("/sys/kernel/mm/transparent_hugepage/{name}");
        fs::read_to_string(path).unwrap_or_default()
    };
    let enabled = setting("enabled");
    let may = ["[madvise]", "[always]"]
        .iter()
        .any(|one| enabled.contains(one));
    let has = may && setting("use_zero_page").trim() == "1";
    or_skip(has, test, "this kernel maps no huge zero page")
}

/// Reserved hugetlb pages of the machine's default size, released when dropped.
#[derive(Debug)]
pub struct HugePages {
    before: u64,
    size: u64,
}

/// Returns the default size of hugetlb pages.
fn default_huge_page() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Hugepagesize:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib << 10)
}

/// Returns the file of the number of hugetlb pages of this size.
fn number_of_huge_pages(size: u64) -> String {
    format!(
        "/sys/kernel/mm/hugepages/hugepages-{}kB/nr_hugepages",
        size >> 10
    )
}

/// Returns the number of free hugetlb pages of `size` bytes.
pub fn free_huge_pages(size: u64) -> u64 {
    let file = number_of_huge_pages(size).replace("nr_hugepages", "free_hugepages");
    let text = fs::read_to_string(file).unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

impl HugePages {
    /// Reserves `count` additional pages; `None`, with a message, if the machine has none
    /// free.
    pub fn reserve(count: u64, test: &str) -> Option<Self> {
        let Some(size) = default_huge_page() else {
            return skip(test, "the kernel has no huge pages");
        };
        let file = number_of_huge_pages(size);
        let read = || fs::read_to_string(&file).ok()?.trim().parse::<u64>().ok();
        let Some(before) = read() else {
            return skip(test, "the kernel does not tell the number of huge pages");
        };
        let reserved = Self { before, size };
        if fs::write(&file, (before + count).to_string()).is_err() {
            return skip(test, "setting huge pages aside needs root");
        }
        if read() < Some(before + count) {
            drop(reserved);
            return skip(test, "no memory for huge pages");
        }
        Some(reserved)
    }

    /// Returns the size of each, in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }
}

impl Drop for HugePages {
    fn drop(&mut self) {
        let _ = fs::write(number_of_huge_pages(self.size), self.before.to_string());
    }
}
