//! Uses of the pages of physical memory, whoever uses them: from the frames' flags and the
//! resources at their addresses. Knows no process.

use std::ops::{ControlFlow, Range};

use process_introspection_core::{PageSize, Pfn, PhysAddr};

use crate::error::Error;
use crate::machine::frames::{FrameFlags, Frames};
use crate::machine::physical_map::{PhysicalKind, PhysicalMap};
use crate::machine::range::PhysRange;
use crate::process::mounts::Mounts;

/// Use of a page.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PageUse {
    /// Free page of the buddy allocator.
    Free,
    /// Memory of the kernel for small objects.
    Slab,
    /// A page table.
    PageTable,
    /// Page of a file or of shared memory.
    PageCache,
    /// Anonymous memory or a private copy.
    Anonymous,
    /// Anonymous or shared memory that has a place in swap, and that no process maps now.
    SwapCache,
    /// Page shared by kernel samepage merging.
    Ksm,
    /// Zero page or huge zero page.
    Zero,
    /// hugetlb page, in use or not.
    Hugetlb,
    /// Page in which the hardware reported an error, and which the kernel does not use.
    Poisoned,
    /// Page that a driver removed: a balloon, hot-unplug.
    Offline,
    /// Memory of the kernel for another use; also pages that a driver maps into a process.
    Kernel,
    /// Memory of the kernel, or free in a list of one CPU: the kernel marks neither.
    KernelOrFree,
    /// Memory reserved at boot: the kernel's image, its first data, the firmware's.
    Reserved,
    /// Memory that the kernel does not manage as RAM, with its kind by `/proc/iomem`.
    NotRam(PhysicalKind),
    /// Unknown use, because the caller may not read it.
    Unknown,
}

impl PageUse {
    /// Returns the use that flags show. `kind` is called only where they do not: for frames
    /// of which the kernel reports nothing (`None`).
    ///
    /// The flags are those of fs/proc/page.c `stable_page_flags`, Linux 5.10 to 6.18.
    /// Before 6.10 some of a large folio's are on its first frame only, and another frame
    /// of it can be taken for the kernel's.
    pub fn of(flags: Option<FrameFlags>, kind: impl FnOnce() -> Option<PhysicalKind>) -> Self {
        use FrameFlags as F;
        // A frame without a `struct page` has NOPAGE, or no flag since 6.15.
        let flags = flags.unwrap_or(F::NOPAGE);
        if flags == F::default() || flags.contains(F::NOPAGE) {
            return match kind() {
                Some(PhysicalKind::SystemRam) if flags == F::default() => Self::KernelOrFree,
                Some(kind) => Self::NotRam(kind),
                None => Self::Unknown,
            };
        }
        let has = |flag| flags.contains(flag);
        const ORDER: [(FrameFlags, PageUse); 10] = [
            (F::HWPOISON, PageUse::Poisoned),
            (F::OFFLINE, PageUse::Offline),
            (F::BUDDY, PageUse::Free),
            (F::ZERO_PAGE, PageUse::Zero),
            (F::PGTABLE, PageUse::PageTable),
            (F::SLAB, PageUse::Slab),
            (F::HUGE, PageUse::Hugetlb),
            (F::KSM, PageUse::Ksm),
            (F::ANON, PageUse::Anonymous),
            (F::RESERVED, PageUse::Reserved),
        ];
        if let Some((_, page_use)) = ORDER.into_iter().find(|&(flag, _)| has(flag)) {
            return page_use;
        }
        if has(F::SWAPCACHE) {
            return Self::SwapCache;
        }
        // A page of the page cache is on the lists of reclaim, or on its way there with
        // valid contents. Pages that a driver maps are neither.
        if has(F::LRU) || has(F::THP) || has(F::UPTODATE) || has(F::UNEVICTABLE) {
            return Self::PageCache;
        }
        Self::Kernel
    }

    /// Returns all uses, with each kind of memory that is not RAM.
    pub fn all() -> impl Iterator<Item = Self> {
        let plain = [
            Self::Free,
            Self::Slab,
            Self::PageTable,
            Self::PageCache,
            Self::Anonymous,
            Self::SwapCache,
            Self::Ksm,
            Self::Zero,
            Self::Hugetlb,
            Self::Poisoned,
            Self::Offline,
            Self::Kernel,
            Self::KernelOrFree,
            Self::Reserved,
            Self::Unknown,
        ];
        let not_ram = PhysicalKind::ALL.into_iter().map(Self::NotRam);
        plain.into_iter().chain(not_ram)
    }

    /// Returns the name in every output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Slab => "slab",
            Self::PageTable => "page-table",
            Self::PageCache => "page-cache",
            Self::Anonymous => "anonymous",
            Self::SwapCache => "swap-cache",
            Self::Ksm => "ksm",
            Self::Zero => "zero",
            Self::Hugetlb => "hugetlb",
            Self::Poisoned => "poisoned",
            Self::Offline => "offline",
            Self::Kernel => "kernel",
            Self::KernelOrFree => "kernel-or-free",
            Self::Reserved => "reserved",
            Self::NotRam(PhysicalKind::SystemRam) => "not-managed",
            Self::NotRam(PhysicalKind::Reserved) => "firmware-reserved",
            Self::NotRam(kind) => kind.name(),
            Self::Unknown => "unknown",
        }
    }
}

/// Consecutive pages of one use.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PageRun {
    /// Addresses, whole pages.
    pub range: PhysRange,
    /// Use of all the pages.
    pub page_use: PageUse,
    /// NUMA node; `None` if the kernel does not manage it as RAM or the node is not known.
    pub node: Option<u32>,
    /// Flags that all of the frames have; `None` if the kernel reports none.
    pub flags: Option<FrameFlags>,
    /// Least and greatest mapcount of a frame, see [`Frames::read_mapcounts`]; `None` if
    /// the kernel reports none for one of them.
    pub mapcount: Option<(u64, u64)>,
    /// Memory cgroup that pays for all of the pages, by its inode number
    /// ([`crate::MemoryCgroups`]), in runs of [`PageUses::visit_with_payers`] and
    /// [`PageUses::visit_by_payer`]; `None` if no cgroup or several pay, and if the pages are
    /// not of the page cache.
    pub payer: Option<u64>,
}

/// Cgroups that pay for page cache, as far as a visit reads them.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Payers {
    /// Nothing.
    Unread,
    /// The cgroup that pays for a whole run.
    OfRuns,
    /// The cgroup that pays for each page; a run has one.
    OfPages,
}

/// Number of frames that one call reads.
const PIECE: usize = 2048;

/// Boundary: no run of memory that the kernel manages goes past a multiple of this.
const LONGEST: u64 = 1 << 30;

/// Reader of the uses of pages.
#[derive(Debug)]
pub struct PageUses {
    map: PhysicalMap,
    frames: Frames,
    page: PageSize,
    flags: Vec<FrameFlags>,
    counts: Vec<u64>,
    payers: Vec<u64>,
}

impl PageUses {
    /// Reads the map of physical memory, and opens the files that report facts of frames.
    ///
    /// # Errors
    /// As [`PhysicalMap::read`] and [`Frames::open`].
    pub fn open() -> Result<Self, Error> {
        Self::open_in(&Mounts::new())
    }

    /// Opens the files below other mounts of proc and sysfs.
    ///
    /// # Errors
    /// As [`PageUses::open`].
    pub fn open_in(mounts: &Mounts) -> Result<Self, Error> {
        Ok(Self {
            map: PhysicalMap::read_in(mounts)?,
            frames: Frames::open_in(mounts)?,
            page: PageSize::base(),
            flags: vec![FrameFlags::default(); PIECE],
            counts: vec![0; PIECE],
            payers: vec![0; PIECE],
        })
    }

    /// Returns the map of physical memory.
    pub fn map(&self) -> &PhysicalMap {
        &self.map
    }

    /// Passes the runs of a range, widened to whole pages, to `each`, which can break off.
    /// A run has one use, one node, and flags or none. Memory for which the kernel has
    /// frames is divided at multiples of 1 GiB too, so that no run takes long.
    ///
    /// ```
    /// use std::ops::ControlFlow;
    /// use process_introspection::{PageUses, PhysAddr, PhysRange};
    ///
    /// match PageUses::open() {
    ///     Ok(mut uses) => {
    ///         let first_mib = PhysRange::new(PhysAddr::new(0), PhysAddr::new(1 << 20)).unwrap();
    ///         let mut size = 0;
    ///         uses.visit(first_mib, |run| {
    ///             println!("{:?} {}", run.range, run.page_use.name());
    ///             size += run.range.size();
    ///             ControlFlow::Continue(())
    ///         })?;
    ///         assert_eq!(size, 1 << 20);
    ///     }
    ///     Err(error) => assert!(error.is_permission_denied() || error.is_unsupported(), "{error}"),
    /// }
    /// # Ok::<(), process_introspection::Error>(())
    /// ```
    ///
    /// # Errors
    /// Errors of the system.
    pub fn visit(
        &mut self,
        range: PhysRange,
        each: impl FnMut(&PageRun) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        self.visit_runs(range, Payers::Unread, each)
    }

    /// Passes the same runs as [`PageUses::visit`] with their payers, if they are of the page
    /// cache: memory that no process need map, so that nothing else shows whose it is.
    ///
    /// # Errors
    /// Errors of the system.
    pub fn visit_with_payers(
        &mut self,
        range: PhysRange,
        each: impl FnMut(&PageRun) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        self.visit_runs(range, Payers::OfRuns, each)
    }

    /// Passes runs as [`PageUses::visit`] does, of which each also has one payer, or none, if
    /// it is of the page cache. These can be many more.
    ///
    /// # Errors
    /// Errors of the system.
    pub fn visit_by_payer(
        &mut self,
        range: PhysRange,
        each: impl FnMut(&PageRun) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        self.visit_runs(range, Payers::OfPages, each)
    }

    fn visit_runs(
        &mut self,
        range: PhysRange,
        payers: Payers,
        mut each: impl FnMut(&PageRun) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let Some(last) = range.last() else {
            return Ok(());
        };
        let mut at = range.start().pfn(self.page).as_u64();
        let end = last.pfn(self.page).as_u64() + 1;
        let mut run: Option<PageRun> = None;
        let mut nodes = NodeCache::default();
        while at < end {
            let size = (end - at).min(PIECE as u64) as usize;
            let first = Pfn::new(at);
            let known = self.frames.read_flags(first, &mut self.flags[..size])?;
            let counted = self
                .frames
                .read_mapcounts(first, &mut self.counts[..known])?;
            // Number of payers that are read, once a page needs one.
            let mut paid = None;
            let mut done = 0;
            while done < size {
                let frame = at + done as u64;
                let flags = self.flags[..known].get(done).copied();
                let count = self.counts[..counted].get(done).copied();
                // Where the kernel has no frames, take all pages up to the next possible
                // change at once.
                let pages = match done < known {
                    true => 1,
                    false => self.map.uniform_pages_from(self.address(frame), self.page),
                };
                let frames = frame..frame.saturating_add(pages).min(end);
                let node = nodes.get(&self.map, self.address(frame));
                let mut page = self.page_run(&frames, node, flags, count);
                if payers == Payers::OfPages && page.page_use == PageUse::PageCache {
                    let paid = match paid {
                        Some(paid) => paid,
                        None => *paid.insert(self.read_payers(first, known)?),
                    };
                    let payer = self.payers[..paid].get(done).copied();
                    page.payer = payer.filter(|&inode| inode != 0);
                }
                done += (frames.end - frame) as usize;
                if run.as_mut().is_some_and(|run| run.join(&page)) {
                    continue;
                }
                if let Some(run) = run.replace(page) {
                    if each(&self.with_payer(run, payers)?).is_break() {
                        return Ok(());
                    }
                }
            }
            at += done as u64;
        }
        if let Some(run) = run {
            // This is the last run.
            let _ = each(&self.with_payer(run, payers)?);
        }
        Ok(())
    }

    /// Returns a run with the cgroup that pays for all of it, if that is wanted.
    fn with_payer(&mut self, run: PageRun, payers: Payers) -> Result<PageRun, Error> {
        if payers != Payers::OfRuns || run.page_use != PageUse::PageCache {
            return Ok(run);
        }
        let pages = run.range.size() >> self.page.shift();
        let (first, mut at, mut common) = (run.range.start().pfn(self.page), 0, None);
        while at < pages {
            // The first pages show of most runs that several pay.
            let most = if at == 0 { 16 } else { PIECE as u64 };
            let inodes = &mut self.payers[..(pages - at).min(most) as usize];
            let read = self
                .frames
                .read_cgroups(Pfn::new(first.as_u64() + at), inodes)?;
            if read != Some(inodes.len()) {
                return Ok(run);
            }
            let is_same = |&inode: &u64| *common.get_or_insert(inode) == inode;
            if !inodes.iter().all(is_same) {
                return Ok(run);
            }
            at += inodes.len() as u64;
        }
        let payer = common.filter(|&inode| inode != 0);
        Ok(PageRun { payer, ..run })
    }

    /// Reads the payers of frames, and returns of how many they are known.
    fn read_payers(&mut self, first: Pfn, count: usize) -> Result<usize, Error> {
        let payers = &mut self.payers[..count];
        Ok(self.frames.read_cgroups(first, payers)?.unwrap_or(0))
    }

    fn address(&self, frame: u64) -> PhysAddr {
        PhysRange::of_frames(&(frame..frame + 1), self.page).start()
    }

    fn page_run(
        &self,
        frames: &Range<u64>,
        node: Option<u32>,
        flags: Option<FrameFlags>,
        count: Option<u64>,
    ) -> PageRun {
        let range = PhysRange::of_frames(frames, self.page);
        let page_use = PageUse::of(flags, || self.map.at(range.start()).kind);
        let has_page = !matches!(page_use, PageUse::NotRam(_) | PageUse::Unknown);
        PageRun {
            range,
            page_use,
            node: node.filter(|_| has_page),
            flags: flags.filter(|_| has_page),
            // For a frame without a `struct page` the kernel reports 0.
            mapcount: count.filter(|_| has_page).map(|count| (count, count)),
            payer: None,
        }
    }
}

/// Node of consecutive addresses, which is looked up where it can change.
#[derive(Debug, Default)]
struct NodeCache {
    node: Option<u32>,
    range: PhysRange,
}

impl NodeCache {
    /// Returns the node of an address.
    fn get(&mut self, map: &PhysicalMap, address: PhysAddr) -> Option<u32> {
        if !(self.range.start()..self.range.end()).contains(&address) {
            let (node, size) = map.nodes_of(address, LONGEST).next().unwrap_or_default();
            let end = PhysAddr::new(address.as_u64().saturating_add(size));
            self.range = PhysRange::new(address, end).unwrap_or_default();
            self.node = node;
        }
        self.node
    }
}

impl PageRun {
    /// Returns the run of frames of RAM that all have these facts. Only page cache keeps its
    /// payer.
    pub fn of_ram(
        range: PhysRange,
        node: Option<u32>,
        flags: FrameFlags,
        mapcount: u64,
        payer: Option<u64>,
    ) -> Self {
        let page_use = PageUse::of(Some(flags), || Some(PhysicalKind::SystemRam));
        Self {
            range,
            page_use,
            node,
            flags: Some(flags),
            mapcount: Some((mapcount, mapcount)),
            payer: payer.filter(|_| page_use == PageUse::PageCache),
        }
    }

    /// Adds the next run, and returns true, if it has the same use, node and payer. No run of
    /// frames goes past a multiple of 1 GiB.
    pub fn join(&mut self, next: &Self) -> bool {
        let same = self.page_use == next.page_use
            && self.node == next.node
            && self.payer == next.payer
            && self.flags.is_some() == next.flags.is_some()
            && self.range.end() == next.range.start();
        let has_frames = self.flags.is_some();
        let is_border = next.range.start().as_u64() % LONGEST == 0;
        if !same || has_frames && is_border {
            return false;
        }
        self.range = PhysRange::new(self.range.start(), next.range.end()).unwrap_or(self.range);
        let common = |(one, other): (FrameFlags, FrameFlags)| {
            FrameFlags::from_bits(one.bits() & other.bits())
        };
        self.flags = self.flags.zip(next.flags).map(common);
        let both = self.mapcount.zip(next.mapcount);
        self.mapcount = both.map(|(one, other)| (one.0.min(other.0), one.1.max(other.1)));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use FrameFlags as F;

    #[test]
    fn a_run_keeps_what_all_of_its_pages_have() {
        let page = |frame: u64, flags, count| PageRun {
            range: PhysRange::of_frames(&(frame..frame + 1), PageSize::SIZE_4K),
            page_use: PageUse::Anonymous,
            node: Some(0),
            flags: Some(flags),
            mapcount: Some((count, count)),
            payer: Some(7),
        };
        let mut run = page(1, F::ANON | F::LRU, 1);
        assert!(run.join(&page(2, F::ANON | F::DIRTY, 3)));
        assert_eq!((run.flags, run.mapcount), (Some(F::ANON), Some((1, 3))));
        assert_eq!(run.range.size(), 0x2000);
        assert!(!run.join(&page(4, F::ANON, 1)));
        let other_node = PageRun {
            node: Some(1),
            ..page(3, F::ANON, 1)
        };
        assert!(!run.join(&other_node));
        let other_payer = PageRun {
            payer: None,
            ..page(3, F::ANON, 1)
        };
        assert!(!run.join(&other_payer));
    }
}
