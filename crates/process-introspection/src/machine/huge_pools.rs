//! Pools of hugetlb pages: `/sys/kernel/mm/hugepages` (Linux 2.6.27,
//! Documentation/admin-guide/mm/hugetlbpage.rst). Knows no process and no frame.

use std::fs;

use crate::process::mounts::Mounts;
use crate::text_files::number_in;

/// Pool of hugetlb pages of one size. All numbers are of pages.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HugePool {
    /// Size of a page in bytes.
    pub size: u64,
    /// Pages of the pool, used or not: `nr_hugepages`, which includes surplus pages.
    pub total: u64,
    /// Pages that nothing uses: `free_hugepages`.
    pub free: u64,
    /// Free pages that mappings have reserved and not touched yet: `resv_hugepages`.
    pub reserved: u64,
}

impl HugePool {
    /// Reads all pools of the machine, those of the smallest pages first. Without hugetlb, and
    /// where sysfs cannot be read, there are none.
    ///
    /// ```
    /// for pool in process_introspection::HugePool::read_all() {
    ///     assert!(pool.free <= pool.total);
    /// }
    /// ```
    pub fn read_all() -> Vec<Self> {
        Self::read_all_in(&Mounts::new())
    }

    /// Reads all pools below another mount of sysfs.
    pub fn read_all_in(mounts: &Mounts) -> Vec<Self> {
        let folder = mounts.sys().join("kernel/mm/hugepages");
        let pools = fs::read_dir(folder).into_iter().flatten().flatten();
        let pool = |entry: fs::DirEntry| {
            let name = entry.file_name();
            let size = name.to_str()?.strip_prefix("hugepages-")?;
            let size: u64 = size.strip_suffix("kB")?.parse().ok()?;
            let number = |name: &str| number_in(&entry.path().join(name));
            Some(Self {
                size: size.checked_mul(1024)?,
                total: number("nr_hugepages")?,
                free: number("free_hugepages")?,
                reserved: number("resv_hugepages")?,
            })
        };
        let mut pools: Vec<_> = pools.filter_map(pool).collect();
        pools.sort_by_key(|pool| pool.size);
        pools
    }
}
