//! Facts that the kernel reports of page frames, whoever uses them: flags and mapcounts.
//! Owns `/proc/kpageflags`, `/proc/kpagecount` and `/proc/kpagecgroup`; knows no process.

use std::fmt;
use std::fs::File;
use std::io;
use std::sync::OnceLock;

use process_introspection_core::{Operation, Pfn};
use rustix::io::{pread, Errno};

use crate::error::Error;
use crate::named::named_bits;
use crate::process::mounts::Mounts;
use crate::process::Process;
use crate::sys;

/// Flags of a page frame: the bits of `/proc/kpageflags`, including those without a name
/// here. Since Linux 6.10 most are those of the folio that contains the frame; before, some
/// were set on its first frame only.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Default)]
#[repr(transparent)]
pub struct FrameFlags(u64);

// include/uapi/linux/kernel-page-flags.h, and from 32 on the kernel's own, from
// include/linux/kernel-page-flags.h (5.10 to 6.18). Their meaning is documented in
// Documentation/admin-guide/mm/pagemap.rst and fs/proc/page.c.
named_bits! {
    impl FrameFlags {
        /// The folio is locked, for input or output for example. Not `mlock`.
        LOCKED = 0, "locked";
        /// A read or write failed; newer kernels never set it.
        ERROR = 1, "error";
        /// The folio was used since reclaim last checked it. (Use that the page tables record
        /// is not included.)
        REFERENCED = 2, "referenced";
        /// The contents are up to date.
        UPTODATE = 3, "uptodate";
        /// The folio has to be written back. (PTE-dirty and soft-dirty are other properties.)
        DIRTY = 4, "dirty";
        /// The folio is on one of the lists of reclaim.
        LRU = 5, "lru";
        /// The folio is on an active list.
        ACTIVE = 6, "active";
        /// The kernel uses the frame for small objects.
        SLAB = 7, "slab";
        /// The folio is being written back.
        WRITEBACK = 8, "writeback";
        /// The folio is to be reclaimed as soon as it is written back.
        RECLAIM = 9, "reclaim";
        /// Free memory.
        BUDDY = 10, "buddy";
        /// Some process maps the folio.
        MMAP = 11, "mmap";
        /// Anonymous memory, or a private copy.
        ANON = 12, "anon";
        /// The folio has a place in a swap area too.
        SWAPCACHE = 13, "swapcache";
        /// Reclaim moves the folio to swap: anonymous or shared memory.
        SWAPBACKED = 14, "swapbacked";
        /// First frame of a large folio or of another compound page.
        COMPOUND_HEAD = 15, "compound_head";
        /// Another frame of a compound page.
        COMPOUND_TAIL = 16, "compound_tail";
        /// hugetlb page.
        HUGE = 17, "huge";
        /// The folio is on the list of memory that is not reclaimed.
        UNEVICTABLE = 18, "unevictable";
        /// The hardware reported a memory error in the frame.
        HWPOISON = 19, "hwpoison";
        /// The frame has no `struct page`: a hole, or a device's memory. Newer kernels report
        /// no flag at all for such a frame instead (fs/proc/page.c `kpage_read`; observed on
        /// 6.18, with the flag on 6.12).
        NOPAGE = 20, "nopage";
        /// Kernel samepage merging shares the page. Contained only where the kernel reports it
        /// reliably, see [`Frames::tells_merged`].
        KSM = 21, "ksm";
        /// Part of a large folio that processes can map: a transparent huge page, or a smaller
        /// one where the kernel makes them. Not hugetlb.
        THP = 22, "thp";
        /// Memory that a driver removed: a balloon, hot-unplug.
        OFFLINE = 23, "offline";
        /// Zero page, or huge zero page.
        ZERO_PAGE = 24, "zero_page";
        /// Not used since it was marked idle in `/sys/kernel/mm/page_idle`.
        IDLE = 25, "idle";
        /// A page table.
        PGTABLE = 26, "pgtable";
        /// Reserved at boot.
        RESERVED = 32, "reserved";
        /// Kept resident by `mlock`.
        MLOCKED = 33, "mlocked";
        /// Flag that the page's owner defines. In anonymous memory: no other process has the
        /// page (PG_anon_exclusive, since 5.19). In older kernels "mapped to disk".
        OWNER_2 = 34, "owner_2";
        /// The file system keeps data of its own for the page.
        PRIVATE = 35, "private";
        /// The file system keeps further data for the page.
        PRIVATE_2 = 36, "private_2";
        /// Flag that the page's owner defines.
        OWNER_PRIVATE = 37, "owner_private";
        /// Flag that the architecture defines.
        ARCH = 38, "arch";
        /// The frame is mapped uncached.
        UNCACHED = 39, "uncached";
        /// Flag that has a number and is never set by the kernel.
        SOFTDIRTY = 40, "softdirty";
        /// Second flag that the architecture defines.
        ARCH_2 = 41, "arch_2";
        /// Third flag that the architecture defines.
        ARCH_3 = 42, "arch_3";
    }
    /// Returns the kernel's 64 bits.
    pub const fn bits;
    /// Returns the kernel's name for a bit, in lower case, without `KPF_`; `None`
    /// for bits without one.
    pub const fn name_of;
}

impl FrameFlags {
    /// Wraps the kernel's 64 bits.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Returns the numbers of the bits that are set, ascending.
    pub fn set_bits(self) -> impl Iterator<Item = u32> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let bit = (rest != 0).then(|| rest.trailing_zeros())?;
            rest &= rest - 1;
            Some(bit)
        })
    }
}

impl std::ops::BitOr for FrameFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Formats the names of the flags with `|` between them; `bitN` for bits without one.
impl fmt::Debug for FrameFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FrameFlags(")?;
        for (index, bit) in self.set_bits().enumerate() {
            if index > 0 {
                f.write_str("|")?;
            }
            match Self::name_of(bit) {
                Some(name) => f.write_str(name)?,
                None => write!(f, "bit{bit}")?,
            }
        }
        f.write_str(")")
    }
}

/// Open files that report facts of page frames.
#[derive(Debug)]
pub struct Frames {
    flags: File,
    counts: File,
    /// `None` if the kernel has no memory cgroups.
    cgroups: Option<File>,
    /// Result of [`Frames::tells_merged`], once it is needed.
    tells_merged: OnceLock<bool>,
}

impl Frames {
    /// Opens `/proc/kpageflags` and `/proc/kpagecount`, which are root's.
    ///
    /// ```
    /// use process_introspection::{FrameFlags, Frames, Pfn};
    ///
    /// match Frames::open() {
    ///     Ok(frames) => {
    ///         let mut flags = [FrameFlags::default()];
    ///         assert_eq!(frames.read_flags(Pfn::new(0), &mut flags)?, 1);
    ///         println!("{:?}", flags[0]);
    ///     }
    ///     Err(error) => assert!(error.is_permission_denied() || error.is_unsupported(), "{error}"),
    /// }
    /// # Ok::<(), process_introspection::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::is_permission_denied`] for callers who may not open root's files;
    /// [`Error::is_unsupported`] where the files are missing.
    pub fn open() -> Result<Self, Error> {
        Self::open_in(&Mounts::new())
    }

    /// Opens the files below another mount of proc.
    ///
    /// # Errors
    /// As [`Frames::open`].
    pub fn open_in(mounts: &Mounts) -> Result<Self, Error> {
        let open = |name| File::open(mounts.proc().join(name)).map_err(of_frames);
        Ok(Self {
            flags: open("kpageflags")?,
            counts: open("kpagecount")?,
            // Root's as well (fs/proc/page.c, 5.10 to 6.18).
            cgroups: File::open(mounts.proc().join("kpagecgroup")).ok(),
            tells_merged: OnceLock::new(),
        })
    }

    /// Returns whether [`FrameFlags::KSM`] is reliable. Kernels from 6.10 on set it for all
    /// anonymous memory: they test for one of two bits where both are needed
    /// (fs/proc/page.c `stable_page_flags`; observed on 6.12.117, and no longer on
    /// 6.18.44). A page of the caller reveals it, and then the flag is never returned,
    /// whether a page is merged or not. It is never returned either where this caller
    /// cannot see PFNs.
    pub fn tells_merged(&self) -> bool {
        *self.tells_merged.get_or_init(|| tells_merged(&self.flags))
    }

    /// Returns whether [`Frames::read_mapcounts`] reports the exact mapcount of each frame of
    /// a large folio, not the average over the folio (CONFIG_NO_PAGE_MAPCOUNT, Linux 6.15).
    /// A huge page of the caller's, of which one page is unmapped, reveals it; `None` where
    /// the kernel does not make one (MADV_COLLAPSE, Linux 6.1), and for callers who cannot
    /// see PFNs. Takes a huge page for less than a millisecond.
    pub fn counts_each_page(&self) -> Option<bool> {
        // The kernel can move or split the page meanwhile.
        (0..3).find_map(|_| self.try_huge_page())
    }

    fn try_huge_page(&self) -> Option<bool> {
        let process = Process::current().ok()?;
        let page = process.page_size();
        let size = page.pmd().bytes();
        // Of 64 KiB pages it would take 512 MiB.
        let size = usize::try_from(size)
            .ok()
            .filter(|&size| size <= 32 << 20)?;
        let huge_page = sys::OwnHugePage::new(size).ok()?;
        let start = huge_page.start();
        let head = || process.physical_address(start as *const u8).ok().flatten();
        let first = head()?;
        let last = first.pfn(page).as_u64() + (size >> page.shift()) as u64 - 1;
        huge_page.discard_from(size - page.bytes() as usize).ok()?;
        let (mut counts, mut flags) = ([0], [FrameFlags::default()]);
        let are_read = self.read_mapcounts(Pfn::new(last), &mut counts).ok()? == 1
            && self.read_flags(Pfn::new(last), &mut flags).ok()? == 1;
        let is_same = head()? == first && flags[0].contains(FrameFlags::COMPOUND_TAIL);
        (are_read && is_same).then_some(counts[0] == 0)
    }

    /// Reads the flags of consecutive frames from `first` on, and returns the number of
    /// frames read. The kernel reports no frame after the last one of its memory.
    ///
    /// # Errors
    /// Errors of the system.
    pub fn read_flags(&self, first: Pfn, flags: &mut [FrameFlags]) -> Result<usize, Error> {
        let mut words = vec![0; flags.len()];
        let read = self.read_flag_words(first, &mut words)?;
        for (flags, &word) in flags.iter_mut().zip(&words[..read]) {
            *flags = FrameFlags(word);
        }
        Ok(read)
    }

    /// Reads flags as words, without flags that are unreliable.
    pub(crate) fn read_flag_words(&self, first: Pfn, words: &mut [u64]) -> Result<usize, Error> {
        let read = read_words(&self.flags, first, words)?;
        if !self.tells_merged() {
            for word in &mut words[..read] {
                *word &= !FrameFlags::KSM.0;
            }
        }
        Ok(read)
    }

    /// Reads the mapcounts of consecutive frames from `first` on, the numbers of page table
    /// entries of all processes that map them, and returns the number of frames read.
    ///
    /// An entry for a huge page counts for each of its frames. For frames of large folios
    /// the number is exact up to Linux 6.14, and later if the kernel has
    /// CONFIG_PAGE_MAPCOUNT (the default); otherwise it is the average over the folio's
    /// frames, but at least 1 if any of them is mapped (fs/proc/page.c `get_kpage_count`,
    /// fs/proc/internal.h, 6.15 to 6.18). It is 0 for the zero page, and for frames without
    /// a `struct page`.
    ///
    /// # Errors
    /// Errors of the system.
    pub fn read_mapcounts(&self, first: Pfn, counts: &mut [u64]) -> Result<usize, Error> {
        read_words(&self.counts, first, counts)
    }

    /// Reads the memory cgroups that pay for consecutive frames from `first` on, as the inode
    /// numbers of their folders, and returns the number of frames read; `None` if the kernel
    /// has no memory cgroups (`/proc/kpagecgroup`, CONFIG_MEMCG, Linux 4.3).
    ///
    /// The number is 0 for a frame for which no cgroup pays: free, the kernel's, or of a
    /// folio that is not on the lists of reclaim. Slab pages have 0 since their objects are
    /// paid for one by one (5.9). For a cgroup that was removed the kernel reports its
    /// nearest ancestor that is online (mm/memcontrol.c `page_cgroup_ino`, 5.10 to 6.18).
    ///
    /// # Errors
    /// Errors of the system.
    pub fn read_cgroups(&self, first: Pfn, inodes: &mut [u64]) -> Result<Option<usize>, Error> {
        let file = self.cgroups.as_ref();
        file.map(|file| read_words(file, first, inodes)).transpose()
    }
}

impl Frames {
    /// Returns whether the kernel has memory cgroups.
    pub(crate) fn has_cgroups(&self) -> bool {
        self.cgroups.is_some()
    }
}

/// Finds out [`Frames::tells_merged`] with a page of the caller.
fn tells_merged(flags: &File) -> bool {
    let Ok(process) = Process::current() else {
        return false;
    };
    let page = process.page_size();
    let mut own = vec![0u8; 2 * page.bytes() as usize];
    // The page can be moved meanwhile, and another page be in its frame.
    for try_number in 1..=4 {
        // A page that was written just now is not merged.
        std::hint::black_box(&mut own).fill(try_number);
        let end = &raw const own[own.len() - 1];
        let Ok(Some(address)) = process.physical_address(end) else {
            return false;
        };
        let mut words = [0];
        let read = read_words(flags, address.pfn(page), &mut words);
        let seen = FrameFlags(words[0]);
        // No page passes where the flag is unreliable.
        let is_anonymous = matches!(read, Ok(1)) && seen.contains(FrameFlags::ANON);
        if is_anonymous && !seen.contains(FrameFlags::KSM) {
            return true;
        }
    }
    false
}

fn of_frames(error: io::Error) -> Error {
    Error::of_io(&error, Operation::ReadFrames)
}

/// Reads words from a file that has one for each frame, and returns the number of words
/// read.
fn read_words(file: &File, first: Pfn, words: &mut [u64]) -> Result<usize, Error> {
    let mut done = 0;
    while done < words.len() {
        let Some(at) = (first.as_u64().checked_add(done as u64)).and_then(|at| at.checked_mul(8))
        else {
            return Ok(done);
        };
        match pread(file, sys::bytes_of(&mut words[done..]), at) {
            Ok(0..8) => return Ok(done),
            Ok(read) => done += read / 8,
            Err(Errno::INTR) => continue,
            // The offset is beyond the maximum of a file.
            Err(Errno::INVAL) => return Ok(done),
            Err(error) => return Err(of_frames(error.into())),
        }
    }
    Ok(done)
}
