//! khugepaged and the sizes of transparent huge pages: settings, and statistics since boot, in
//! `/sys/kernel/mm/transparent_hugepage` and `/proc/vmstat`. Reads files; decides nothing.

use std::fs;
use std::path::Path;

use crate::machine::huge_pages::{chosen, DIRECTORY};
use crate::process::mounts::Mounts;
use crate::text_files::number_in;

/// Settings and statistics of transparent huge pages of the machine, beside
/// [`HugePageSettings`](crate::HugePageSettings). Numbers that cannot be
/// read are `None` or missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HugePageActivity {
    /// Settings and statistics of khugepaged.
    pub khugepaged: Khugepaged,
    /// Sizes that the kernel has, in ascending order (Linux 6.8).
    pub sizes: Vec<HugePageSize>,
    /// Counters of `/proc/vmstat` whose names begin with `thp_`, in its order: events since
    /// boot. Their names depend on the version.
    pub events: Vec<(String, u64)>,
}

/// Settings and statistics of khugepaged, which makes huge pages of small ones (Linux 2.6.38):
/// the files in `khugepaged`.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Khugepaged {
    /// True if it reclaims and compacts memory to allocate huge pages (`defrag`).
    pub defrag: Option<bool>,
    /// Number of base pages that it examines at a time (`pages_to_scan`).
    pub pages_to_scan: Option<u64>,
    /// Pause between two times, in milliseconds (`scan_sleep_millisecs`).
    pub scan_sleep_ms: Option<u64>,
    /// Pause after an allocation failed, in milliseconds (`alloc_sleep_millisecs`).
    pub alloc_sleep_ms: Option<u64>,
    /// Number of huge pages that it made since boot (`pages_collapsed`).
    pub pages_collapsed: Option<u64>,
    /// Number of times that it examined all memory (`full_scans`).
    pub full_scans: Option<u64>,
}

/// One size of transparent huge pages: the directory `hugepages-SIZEkB` (Linux 6.8).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HugePageSize {
    /// Size in bytes.
    pub size: u64,
    /// Chosen word of `enabled` for anonymous memory; `inherit` is the setting of all sizes.
    pub enabled: Option<String>,
    /// Chosen word of `shmem_enabled` for shared memory (Linux 6.11).
    pub shmem_enabled: Option<String>,
    /// Files in `stats` with their numbers, by name (Linux 6.10): events since boot, and
    /// `nr_` of pages that exist now. Their names depend on the version.
    pub statistics: Vec<(String, u64)>,
}

impl HugePageActivity {
    /// Reads the files of this machine.
    pub fn read() -> Self {
        Self::read_in(&Mounts::new())
    }

    /// Reads the files below other mounts of proc and sysfs.
    pub fn read_in(mounts: &Mounts) -> Self {
        let vmstat = mounts.proc().join("vmstat");
        Self::read_from(&mounts.sys().join(DIRECTORY), &vmstat)
    }

    /// Reads a directory and a file with the kernel's layout, such as copies from another
    /// machine.
    pub fn read_from(directory: &Path, vmstat: &Path) -> Self {
        let number = |name: &str| number_in(&directory.join("khugepaged").join(name));
        let khugepaged = Khugepaged {
            defrag: number("defrag").map(|number| number != 0),
            pages_to_scan: number("pages_to_scan"),
            scan_sleep_ms: number("scan_sleep_millisecs"),
            alloc_sleep_ms: number("alloc_sleep_millisecs"),
            pages_collapsed: number("pages_collapsed"),
            full_scans: number("full_scans"),
        };
        let sizes = names(directory).into_iter().filter_map(|name| {
            let kib = name.strip_prefix("hugepages-")?.strip_suffix("kB")?;
            let kib: u64 = kib.parse().ok()?;
            Some(HugePageSize::read(
                kib.checked_mul(1024)?,
                &directory.join(&name),
            ))
        });
        let mut sizes: Vec<_> = sizes.collect();
        sizes.sort_by_key(|size| size.size);
        let vmstat = fs::read_to_string(vmstat).unwrap_or_default();
        let events = vmstat.lines().filter_map(|line| {
            let (name, number) = line.split_once(' ')?;
            let is_of_huge_pages = name.starts_with("thp_");
            Some((name.to_owned(), number.trim().parse().ok()?)).filter(|_| is_of_huge_pages)
        });
        Self {
            khugepaged,
            sizes,
            events: events.collect(),
        }
    }
}

impl HugePageSize {
    fn read(size: u64, directory: &Path) -> Self {
        let word = |name: &str| {
            let text = fs::read_to_string(directory.join(name)).ok()?;
            chosen(&text).map(str::to_owned)
        };
        let folder = directory.join("stats");
        let statistics = names(&folder).into_iter().filter_map(|name| {
            let value = number_in(&folder.join(&name))?;
            Some((name, value))
        });
        Self {
            size,
            enabled: word("enabled"),
            shmem_enabled: word("shmem_enabled"),
            statistics: statistics.collect(),
        }
    }
}

/// Returns the names in a directory, sorted; none if it cannot be read.
fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    names
}
