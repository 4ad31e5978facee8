//! Amounts of memory, as the kernel counts them. Pure; this module does not know
//! processes.

/// Amounts in bytes, as `smaps` and `smaps_rollup` count them (fs/proc/task_mmu.c
/// `smaps_account`, `smaps_pte_entry`, `smaps_hugetlb_range`: read in the sources of
/// 5.10, 6.1 and 6.12, compared on 6.18), with three exceptions. `swap` differs as
/// documented there. Pages that were lost to a memory error are no memory any more;
/// kernels count them as resident (6.1 and 6.12; seen with 6.12.117), 5.10 does not.
/// Device-private memory cannot be identified; kernels count it.
///
/// `resident` and the fields derived from it exclude hugetlb, the zero page, and frames
/// that have no `struct page` (device memory).
#[derive(Copy, Clone, Debug, PartialEq, Eq, Default)]
pub struct Usage {
    /// Mapped memory, resident or not.
    pub virt: u64,
    /// Resident memory (Rss).
    pub resident: u64,
    /// Resident memory of this process only, mapped once (USS: Private_Clean and
    /// Private_Dirty).
    pub unique: u64,
    /// Swapped memory, by entries of the page table. Unlike the kernel's Swap it
    /// excludes swapped pages of shared memory, which page tables do not contain.
    pub swap: u64,
    /// The zero page, or the huge one.
    pub zero: u64,
    /// hugetlb: huge pages that were set aside (Private_ and Shared_Hugetlb).
    pub hugetlb: u64,
    /// PSS in 4096ths of a byte: the kernel's PSS_SHIFT.
    pub(crate) shares: u64,
}

/// Number of fraction bits with which the kernel divides pages; it rounds each share
/// down.
pub(crate) const SHARE_SHIFT: u32 = 12;

impl Usage {
    /// Returns the sum of each resident page divided by its mapcount (PSS).
    pub fn proportional(&self) -> u64 {
        self.shares >> SHARE_SHIFT
    }

    /// Adds resident base pages with the mapcount `times`.
    pub(crate) fn add_mapped(&mut self, pages: u64, times: u64, page: u64) {
        self.resident += pages * page;
        if times < 2 {
            self.unique += pages * page;
        }
        self.shares += pages * ((page << SHARE_SHIFT) / times.max(1));
    }

    /// Adds migrating pages: they are resident, and their mapcount is not available.
    /// They count whole and as shared, as in 6.12; 5.10 and 6.1 count them as the
    /// process's own. This state lasts for moments.
    pub(crate) fn add_migrating(&mut self, bytes: u64) {
        self.resident += bytes;
        self.shares += bytes << SHARE_SHIFT;
    }

    /// Adds the amounts of another part.
    pub fn add(&mut self, other: &Self) {
        self.virt += other.virt;
        self.resident += other.resident;
        self.unique += other.unique;
        self.swap += other.swap;
        self.zero += other.zero;
        self.hugetlb += other.hugetlb;
        self.shares += other.shares;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::random::Random;

    #[test]
    fn shares_are_what_pages_give_one_by_one() {
        for seed in 0..1000 {
            let mut random = Random::new(seed);
            let mut usage = Usage::default();
            let (mut resident, mut unique, mut shares) = (0, 0, 0u64);
            for _ in 0..random.below(20) {
                let (pages, times) = (random.below(50), random.below(200));
                usage.add_mapped(pages, times, 4096);
                for _ in 0..pages {
                    resident += 4096;
                    // The algorithm of `smaps_account`.
                    let mut share = 4096u64 << 12;
                    if times >= 2 {
                        share /= times;
                    } else {
                        unique += 4096;
                    }
                    shares += share;
                }
            }
            assert_eq!(
                (usage.resident, usage.unique),
                (resident, unique),
                "seed {seed}"
            );
            assert_eq!(usage.proportional(), shares >> 12, "seed {seed}");
        }
    }
}
