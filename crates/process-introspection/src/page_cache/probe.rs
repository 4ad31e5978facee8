//! Counts the pages of one file in the page cache, in a child process of its own: it makes
//! system calls only, and neither allocates nor takes a lock. Opens regular files alone, and
//! without any effect on them.

use std::ffi::{CStr, CString};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    fstatfs, open, openat, statx, AtFlags, Mode, OFlags, Statx, StatxAttributes, StatxFlags, CWD,
};
use rustix::io::Errno;

use crate::sys::{self, FileHandle};

/// File to count, by the links that may lead to it.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    pub(super) links: Vec<CString>,
    /// Path that may lead to it, for callers who may not follow the links.
    pub(super) path: Option<CString>,
    /// Inode number, if it is known.
    pub(super) inode: Option<u64>,
    /// Inode numbers of files of its file system that have a lease, if its own is not known:
    /// the kernel names it in `fdinfo` since Linux 5.14.
    pub(super) leased: Vec<u64>,
}

/// Outcome of counting a file.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Its pages were counted.
    Counted,
    /// No link led to the file any more.
    Gone,
    /// It has no pages in the page cache: no regular file, or in persistent memory.
    NoCache,
    /// This caller may not open the file, or may not count its pages.
    Refused,
    /// Opening it would break a lease.
    Leased,
    /// It is too large to look at each page.
    TooLarge,
    /// Another error.
    Failed,
}

impl Outcome {
    const ALL: [Self; 7] = [
        Self::Counted,
        Self::Gone,
        Self::NoCache,
        Self::Refused,
        Self::Leased,
        Self::TooLarge,
        Self::Failed,
    ];

    fn of(errno: Errno) -> Self {
        match errno {
            Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::STALE => Self::Gone,
            Errno::ACCESS | Errno::PERM => Self::Refused,
            Errno::WOULDBLOCK => Self::Leased,
            Errno::NXIO | Errno::OPNOTSUPP => Self::NoCache,
            _ => Self::Failed,
        }
    }
}

/// Answer about one file, as it comes from the child: words, of which all values are valid.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct Answer {
    /// Index of the file; `u64::MAX` in a sign of life.
    pub(super) index: u64,
    outcome: u64,
    /// Device of the file, as `stat` reports it.
    pub(super) device: (u64, u64),
    pub(super) inode: u64,
    pub(super) size: u64,
    pub(super) links: u64,
    pub(super) modified: (u64, u64),
    /// Magic number of the file system.
    pub(super) magic: u64,
    /// Numbers of pages, see [`sys::cachestat`].
    counts: [u64; 5],
    /// 1 if only the first count is known.
    only_cached: u64,
    /// Handle, if the file's pages belong to another file; all zeros if unknown.
    pub(super) handle: FileHandle,
}

/// Number of words of an answer.
pub(super) const WORDS: usize = 16 + size_of::<FileHandle>() / 8;

impl Answer {
    pub(super) fn outcome(&self) -> Outcome {
        let at = usize::try_from(self.outcome).unwrap_or(usize::MAX);
        Outcome::ALL.get(at).copied().unwrap_or(Outcome::Failed)
    }

    /// Returns the number of pages in the page cache.
    pub(super) fn cached(&self) -> u64 {
        self.counts[0]
    }

    /// Returns the numbers of pages that are dirty, in writeback, and evicted, if they are
    /// known.
    pub(super) fn states(&self) -> Option<[u64; 3]> {
        (self.only_cached == 0).then_some([self.counts[1], self.counts[2], self.counts[3]])
    }

    pub(super) fn is_layered(&self) -> bool {
        self.magic == OVERLAY
    }

    pub(super) fn is_shared_memory(&self) -> bool {
        self.magic == TMPFS
    }

    pub(super) fn sign_of_life() -> Self {
        Self {
            index: u64::MAX,
            ..Self::default()
        }
    }

    pub(super) fn is_sign_of_life(&self) -> bool {
        self.index == u64::MAX
    }

    pub(super) fn words(&self) -> [u64; WORDS] {
        let mut words = [0; WORDS];
        let head = [
            self.index,
            self.outcome,
            self.device.0,
            self.device.1,
            self.inode,
            self.size,
            self.links,
            self.modified.0,
            self.modified.1,
            self.magic,
            self.only_cached,
        ];
        words[..11].copy_from_slice(&head);
        words[11..16].copy_from_slice(&self.counts);
        words[16..].copy_from_slice(&self.handle);
        words
    }

    pub(super) fn from_words(words: &[u64; WORDS]) -> Self {
        let mut answer = Self {
            index: words[0],
            outcome: words[1],
            device: (words[2], words[3]),
            inode: words[4],
            size: words[5],
            links: words[6],
            modified: (words[7], words[8]),
            magic: words[9],
            only_cached: words[10],
            ..Self::default()
        };
        answer.counts.copy_from_slice(&words[11..16]);
        answer.handle.copy_from_slice(&words[16..]);
        answer
    }
}

/// `OVERLAYFS_SUPER_MAGIC`, `TMPFS_MAGIC` of include/uapi/linux/magic.h.
const OVERLAY: u64 = 0x794c_7630;
const TMPFS: u64 = 0x0102_1994;

/// Bytes of which one call of `cachestat` counts the pages: 20 ms for each gigabyte of
/// cached base pages, so that a large file does not look like a server that is silent.
const PIECE: u64 = 16 << 30;
/// Largest file of which each page is looked at, in bytes: two seconds.
const LARGEST: u64 = 256 << 30;

/// Counter of pages, with what was found out about the file system.
pub(super) struct Prober<'a> {
    /// Magic number, once a file was opened.
    magic: Option<u64>,
    page: usize,
    /// Room for the results of `mincore`.
    resident: &'a mut [u8],
}

impl<'a> Prober<'a> {
    pub(super) fn new(page: usize, resident: &'a mut [u8]) -> Self {
        Self {
            magic: None,
            page,
            resident,
        }
    }

    /// Counts the pages of a file. `alive` is called a few times a second.
    pub(super) fn count(&mut self, index: u64, file: &Wanted, mut alive: impl FnMut()) -> Answer {
        let mut answer = Answer {
            index,
            ..Answer::default()
        };
        let mut outcome = Outcome::Gone;
        for link in &file.links {
            outcome = self.count_at(&mut answer, link, file, &mut alive);
            if !matches!(outcome, Outcome::Gone | Outcome::Refused) {
                break;
            }
        }
        // Not if the links lead nowhere: a path can cross other file systems, and mount some.
        if let (Outcome::Refused, Some(path)) = (outcome, &file.path) {
            outcome = self.count_at(&mut answer, path, file, &mut alive);
        }
        answer.outcome = outcome as u64;
        answer
    }

    fn count_at(
        &mut self,
        answer: &mut Answer,
        link: &CStr,
        file: &Wanted,
        alive: &mut dyn FnMut(),
    ) -> Outcome {
        let counted = self.try_count(answer, link, file, alive);
        counted.unwrap_or_else(Outcome::of)
    }

    fn try_count(
        &mut self,
        answer: &mut Answer,
        link: &CStr,
        wanted: &Wanted,
        alive: &mut dyn FnMut(),
    ) -> Result<Outcome, Errno> {
        // Opens nothing: the file's own operation is not called.
        let path_only = open(link, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        let status = status(path_only.as_fd())?;
        if u32::from(status.stx_mode) & libc::S_IFMT != libc::S_IFREG {
            return Ok(Outcome::NoCache);
        }
        if status.stx_attributes.contains(StatxAttributes::DAX) {
            return Ok(Outcome::NoCache);
        }
        let magic = match self.magic {
            Some(magic) => magic,
            // All files of a device have the same.
            None => *self.magic.insert(fstatfs(&path_only)?.f_type as u64),
        };
        answer.magic = magic;
        // For files of overlay file systems older kernels write the number of the layer's file
        // in `maps`.
        if magic != OVERLAY && wanted.inode.is_some_and(|inode| inode != status.stx_ino) {
            return Ok(Outcome::Gone);
        }
        if wanted.leased.contains(&status.stx_ino) {
            return Ok(Outcome::Leased);
        }
        answer.device = (
            u64::from(status.stx_dev_major),
            u64::from(status.stx_dev_minor),
        );
        answer.inode = status.stx_ino;
        answer.links = u64::from(status.stx_nlink);
        answer.modified = (
            status.stx_mtime.tv_sec as u64,
            u64::from(status.stx_mtime.tv_nsec),
        );
        let (file, is_owned) = reopen(path_only.as_fd())?;
        answer.size = status.stx_size;
        self.count_open(answer, file.as_fd(), is_owned, alive)
    }

    /// Counts the pages of an open file; `is_owned` if this caller may treat it as its owner
    /// may.
    fn count_open(
        &mut self,
        answer: &mut Answer,
        file: BorrowedFd<'_>,
        is_owned: bool,
        alive: &mut dyn FnMut(),
    ) -> Result<Outcome, Errno> {
        // The pages of an overlay's file are those of a file in one of its layers, which
        // `cachestat` does not count (fs/overlayfs/file.c: only a mapping has that file;
        // observed on 6.18).
        if answer.magic != OVERLAY {
            match by_cachestat(file, answer.size, alive) {
                Ok(counts) => {
                    answer.counts = counts;
                    return Ok(Outcome::Counted);
                }
                // hugetlbfs.
                Err(Errno::OPNOTSUPP) => return Ok(Outcome::NoCache),
                // Before Linux 6.5, or refused by a filter; or this caller may not know.
                Err(_) => {}
            }
        } else if let Ok(handle) = sys::file_handle(file) {
            answer.handle = handle;
        }
        // `mincore` says that every page is there to callers who may not know (mm/mincore.c
        // `can_do_mincore`, since 5.2). Owners may, and those who may ignore owners.
        if !is_owned {
            return Ok(Outcome::Refused);
        }
        if answer.size > LARGEST {
            return Ok(Outcome::TooLarge);
        }
        let cached = by_mincore(file, answer.size, self.page, self.resident, alive)?;
        (answer.counts, answer.only_cached) = ([cached, 0, 0, 0, 0], 1);
        Ok(Outcome::Counted)
    }
}

/// Reads attributes without a request to a server.
fn status(file: BorrowedFd<'_>) -> Result<Statx, Errno> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    statx(file, c"", flags, StatxFlags::BASIC_STATS)
}

/// Opens a regular file for reading, and returns whether this caller may treat it as its
/// owner may: only such callers may open it with O_NOATIME (fs/namei.c `may_open`).
fn reopen(path_only: BorrowedFd<'_>) -> Result<(OwnedFd, bool), Errno> {
    let mut path = [0u8; 32];
    // Room for the largest number, and a NUL behind it.
    write!(&mut path[..31], "/proc/self/fd/{}", path_only.as_raw_fd()).map_err(|_| Errno::INVAL)?;
    let path = CStr::from_bytes_until_nul(&path).map_err(|_| Errno::INVAL)?;
    // The open does not wait until a lease is broken.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    match openat(CWD, path, flags | OFlags::NOATIME, Mode::empty()) {
        Ok(file) => Ok((file, true)),
        Err(Errno::PERM) => openat(CWD, path, flags, Mode::empty()).map(|file| (file, false)),
        Err(errno) => Err(errno),
    }
}

/// Counts pages with `cachestat`, piece by piece; the last piece ends where the file does.
pub(super) fn by_cachestat(
    file: BorrowedFd<'_>,
    size: u64,
    alive: &mut dyn FnMut(),
) -> Result<[u64; 5], Errno> {
    let (mut sum, mut at) = ([0; 5], 0);
    loop {
        let is_last = size - at <= PIECE;
        let length = if is_last { 0 } else { PIECE };
        let counts = sys::cachestat(file, at, length).map_err(|error| errno_of(&error))?;
        for (sum, count) in sum.iter_mut().zip(counts) {
            *sum += count;
        }
        if is_last {
            return Ok(sum);
        }
        at += PIECE;
        alive();
    }
}

/// Counts pages with `mincore`, as many at a time as there are bytes in `resident`.
pub(super) fn by_mincore(
    file: BorrowedFd<'_>,
    size: u64,
    page: usize,
    resident: &mut [u8],
    alive: &mut dyn FnMut(),
) -> Result<u64, Errno> {
    let (mut cached, mut at) = (0, 0);
    let pages = size.div_ceil(page as u64);
    while at < pages {
        let count = (pages - at).min(resident.len() as u64);
        let resident = &mut resident[..count as usize];
        let made = sys::mincore(file, at * page as u64, page, resident);
        made.map_err(|error| errno_of(&error))?;
        let present = resident.iter().filter(|&&byte| byte & 1 != 0);
        cached += present.count() as u64;
        at += count;
        alive();
    }
    Ok(cached)
}

fn errno_of(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use process_introspection_core::PageSize;
    use rustix::fs::{fadvise, Advice};

    use super::*;

    #[test]
    fn both_ways_count_the_same_pages() {
        let page = PageSize::base().bytes() as usize;
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&vec![1; 100 * page + 5], 0).unwrap();
        file.sync_all().unwrap();
        fadvise(&file, 0, None, Advice::DontNeed).unwrap();
        fadvise(&file, 0, None, Advice::Random).unwrap();
        for at in [3, 40, 41, 100] {
            file.read_at(&mut [0; 5], (at * page) as u64).unwrap();
        }
        let size = file.metadata().unwrap().len();
        let mut alive = || {};
        let counts = |vector| {
            let mut resident = vec![0; vector];
            by_mincore(file.as_fd(), size, page, &mut resident, &mut || {})
        };
        let cached = counts(64);
        assert_eq!(counts(1), cached);
        match by_cachestat(file.as_fd(), size, &mut alive) {
            Ok([by_cachestat, ..]) => assert_eq!(Ok(by_cachestat), cached),
            Err(errno) => println!("SKIPPED: no cachestat (Linux 6.5): {errno}"),
        }
    }

    #[test]
    fn an_answer_comes_back_from_its_words() {
        let answer = Answer {
            index: 1,
            outcome: Outcome::Leased as u64,
            device: (2, 3),
            inode: 4,
            size: 5,
            links: 6,
            modified: (7, 8),
            magic: 9,
            counts: [10, 11, 12, 13, 14],
            only_cached: 0,
            handle: std::array::from_fn(|at| at as u64 + 15),
        };
        let same = Answer::from_words(&answer.words());
        assert_eq!(same, answer);
        assert_eq!(same.outcome(), Outcome::Leased);
        assert!(!same.is_sign_of_life() && Answer::sign_of_life().is_sign_of_life());
    }

    #[test]
    fn what_is_no_regular_file_is_not_opened() {
        let mut resident = [0; 8];
        let mut prober = Prober::new(4096, &mut resident);
        // An open would wait for a terminal, or fail without one.
        let mut outcome = |link: &CStr| {
            let file = Wanted {
                links: vec![link.to_owned()],
                // Only for what is refused.
                path: Some(c"/dev/null".to_owned()),
                inode: None,
                ..Wanted::default()
            };
            prober.count(0, &file, || {}).outcome()
        };
        for path in [c"/dev/tty", c"/proc", c"/dev/null"] {
            assert_eq!(outcome(path), Outcome::NoCache, "{path:?}");
        }
        assert_eq!(outcome(c"/nowhere"), Outcome::Gone);
    }
}
