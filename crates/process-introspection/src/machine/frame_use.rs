//! Uses of page frames as totals count them. Pure; knows no file and no address.

use crate::machine::frames::FrameFlags;
use crate::machine::page_use::PageUse;
use crate::machine::physical_map::PhysicalKind;
use crate::named::named_values;

named_values! {
    /// Use of a frame of the machine's RAM. Each frame has exactly one.
    #[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    #[non_exhaustive]
    pub enum FrameUse {
        /// Anonymous memory or a private copy, merged pages included.
        Anonymous = "anonymous",
        /// Shared memory: tmpfs, System V, memfd, shared anonymous mappings.
        Shmem = "shmem",
        /// Page of a file that some process maps.
        PageCacheMapped = "page-cache-mapped",
        /// Page of a file or of a file system that no process maps.
        PageCacheUnmapped = "page-cache-unmapped",
        /// Anonymous or shared memory that has a place in swap, and that no process maps.
        SwapCache = "swap-cache",
        /// Memory of the kernel for small objects.
        Slab = "slab",
        /// Page table.
        PageTable = "page-table",
        /// hugetlb page that some process maps.
        HugetlbMapped = "hugetlb-mapped",
        /// hugetlb page that no process maps: free, set aside, or of a file.
        HugetlbUnmapped = "hugetlb-unmapped",
        /// Zero page or huge zero page.
        Zero = "zero",
        /// Reserved at boot: the kernel's image, its first data, the array of all frames.
        Reserved = "reserved",
        /// Removed by a driver: a balloon, hot-unplug.
        Offline = "offline",
        /// Out of use because the hardware reported an error.
        Poisoned = "poisoned",
        /// Memory of the kernel or of a driver in large blocks, or that a process maps.
        Kernel = "kernel",
        /// Free in the page allocator.
        Free = "free",
        /// The kernel reports nothing of the frame: its own memory (stacks, modules, per-CPU
        /// data), free in a list of a CPU, or not initialized yet.
        Unflagged = "unflagged",
    }
    /// All uses, in the order of outputs.
    pub const ALL;
    /// Returns the name in every output.
    pub const fn name;
}

impl FrameUse {
    /// Returns the use that the flags and the mapcount of a frame of RAM show.
    ///
    /// The flags of a tail of a large folio must include those of its head: before Linux 6.10
    /// some are there only.
    pub fn of(flags: FrameFlags, mapcount: u64) -> Self {
        let is_mapped = mapcount > 0;
        match PageUse::of(Some(flags), || Some(PhysicalKind::SystemRam)) {
            PageUse::Anonymous | PageUse::Ksm => Self::Anonymous,
            PageUse::PageCache if flags.contains(FrameFlags::SWAPBACKED) => Self::Shmem,
            PageUse::PageCache if is_mapped => Self::PageCacheMapped,
            PageUse::PageCache => Self::PageCacheUnmapped,
            PageUse::SwapCache => Self::SwapCache,
            PageUse::Slab => Self::Slab,
            PageUse::PageTable => Self::PageTable,
            PageUse::Hugetlb if is_mapped => Self::HugetlbMapped,
            PageUse::Hugetlb => Self::HugetlbUnmapped,
            PageUse::Zero => Self::Zero,
            PageUse::Reserved => Self::Reserved,
            PageUse::Offline => Self::Offline,
            PageUse::Poisoned => Self::Poisoned,
            PageUse::Free => Self::Free,
            PageUse::Kernel => Self::Kernel,
            PageUse::NotRam(_) | PageUse::KernelOrFree | PageUse::Unknown => Self::Unflagged,
        }
    }
}

impl FrameUse {
    /// Returns whether the kernel can move the contents to another frame, as far as the use
    /// shows that: memory of processes, files and hugetlb, and free memory. `None` for unflagged
    /// memory, which can be free in a list of a CPU. Pinned pages are unknown to it.
    pub const fn is_movable(self) -> Option<bool> {
        match self {
            Self::Anonymous
            | Self::Shmem
            | Self::PageCacheMapped
            | Self::PageCacheUnmapped
            | Self::SwapCache
            | Self::HugetlbMapped
            | Self::HugetlbUnmapped
            | Self::Free => Some(true),
            Self::Slab
            | Self::PageTable
            | Self::Zero
            | Self::Reserved
            | Self::Offline
            | Self::Poisoned
            | Self::Kernel => Some(false),
            Self::Unflagged => None,
        }
    }
}

named_values! {
    /// State of a frame in reclaim. A frame can be in several.
    #[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
    #[non_exhaustive]
    pub enum FrameState {
        /// On a list of memory in use.
        Active = "active",
        /// On a list of memory that reclaim looks at first.
        Inactive = "inactive",
        /// Locked, or of a file system in memory: reclaim leaves it alone.
        Unevictable = "unevictable",
        /// Changed since it was written to its file or to swap.
        Dirty = "dirty",
        /// Being written.
        Writeback = "writeback",
    }
    /// All states, in the order of outputs.
    pub const ALL;
    /// Returns the name in every output.
    pub const fn name;
}

impl FrameState {
    /// Returns whether a frame with these flags is in the state.
    pub const fn is_of(self, flags: FrameFlags) -> bool {
        use FrameFlags as F;
        let is_listed = flags.contains(F::LRU) && !flags.contains(F::UNEVICTABLE);
        match self {
            Self::Active => is_listed && flags.contains(F::ACTIVE),
            Self::Inactive => is_listed && !flags.contains(F::ACTIVE),
            Self::Unevictable => flags.contains(F::UNEVICTABLE),
            Self::Dirty => flags.contains(F::DIRTY),
            Self::Writeback => flags.contains(F::WRITEBACK),
        }
    }
}
