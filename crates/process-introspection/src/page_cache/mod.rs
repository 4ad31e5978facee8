//! Files whose pages are in the page cache, found by the processes that map them or have
//! them open.
//!
//! [`references`] reads what each process names, [`mount_table`] knows the file systems,
//! [`leases`] the files that must not be opened, [`apart`] runs a child process for each of them, in which [`probe`] opens and counts.
//! [`files`] puts both together. No module knows frames.

mod apart;
mod files;
mod leases;
mod mount_table;
mod probe;
mod references;

use std::ffi::OsString;
use std::fs;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use process_introspection_core::vma::Device;
use process_introspection_core::PageSize;

use crate::error::Error;
use crate::passes::{for_each_process, PassOptions};
use crate::process::mounts::Mounts;
use crate::process::UniquePid;
use crate::text_files::bytes_of_kib;
use files::Candidates;
use mount_table::MountTable;

/// Process that maps a file or has it open.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileUser {
    /// Its PID in the proc that was read.
    pub pid: u32,
    /// Its unique PID.
    pub unique_pid: UniquePid,
    /// Its `comm`.
    pub command: OsString,
}

/// File with its pages in the page cache.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CachedFile {
    /// Name as in `/proc/PID/maps`, with ` (deleted)` behind it if it was removed.
    pub path: OsString,
    /// Device, as `stat` reports it.
    pub device: Device,
    /// Inode number.
    pub inode: u64,
    /// True if no name leads to the file any more.
    pub is_deleted: bool,
    /// Type of the file system, such as `ext4`; `None` if it is mounted nowhere.
    pub file_system: Option<String>,
    /// True if the pages are shared memory (tmpfs, memfd, System V, shared anonymous), which
    /// is swapped, not written back.
    pub is_shared_memory: bool,
    /// Size of the file in bytes.
    pub size: u64,
    /// Number of its pages in the page cache.
    pub cached: u64,
    /// Numbers of pages in each state; `None` if they were counted with `mincore`.
    pub states: Option<CacheStates>,
    /// Processes that map it or have it open, in the order of their PIDs.
    pub users: Vec<Arc<FileUser>>,
}

/// Numbers of pages of a file in states that `cachestat` distinguishes.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CacheStates {
    /// Pages that have to be written back.
    pub dirty: u64,
    /// Pages that are being written back.
    pub writeback: u64,
    /// Pages that were removed and whose removal the kernel remembers; those of shared memory
    /// are in swap.
    pub evicted: u64,
}

/// Reason for which files were not counted.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum UncountedReason {
    /// Their file system did not answer within the deadline.
    Silent,
    /// A server in user space provides them (FUSE): opening a file can drop its pages
    /// (fs/fuse/file.c `fuse_open`, unless the server sets FOPEN_KEEP_CACHE).
    Served,
    /// It is not known what opening a file of this file system does.
    UnknownFileSystem,
    /// This caller may not open them, or may not count their pages.
    Refused,
    /// Opening them would break another process's lease.
    Leased,
    /// They are too large to look at each page, which is necessary where `cachestat` does
    /// not count: above 256 GiB.
    TooLarge,
    /// Another error.
    Failed,
}

/// Files of one file system that were not counted, for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UncountedFiles {
    /// Reason.
    pub reason: UncountedReason,
    /// Type of the file system; `None` if it is mounted nowhere.
    pub file_system: Option<String>,
    /// Mount point of the file system.
    pub mount_point: Option<OsString>,
    /// Number of files.
    pub count: usize,
    /// Name of one of them.
    pub example: OsString,
}

/// Memory of the page cache as the kernel counts it, in bytes (`/proc/meminfo`).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheCounters {
    /// Pages of files and of block devices: `Cached` and `Buffers`, less `Shmem`.
    pub files: u64,
    /// Pages of shared memory: `Shmem`.
    pub shared_memory: u64,
}

/// Page cache by file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PageCache {
    /// Files that were counted, each once, those with most pages first.
    pub files: Vec<CachedFile>,
    /// Files that were not counted.
    pub uncounted: Vec<UncountedFiles>,
    /// Processes that could not be read, by the errors.
    pub unread: Vec<Error>,
    /// Counters of the kernel; `None` if they cannot be read.
    pub counters: Option<CacheCounters>,
    /// False if two of the files may be the same pages: files of overlay file systems on
    /// kernels that do not identify the file in the layer (before Linux 6.6).
    pub is_each_once: bool,
}

impl PageCache {
    /// Returns the size in bytes of the machine's shared memory, or of its page cache without
    /// shared memory, that no counted file explains. `None` if the counters are unknown, if
    /// pages may have been counted twice, and if more was counted than the counters have:
    /// memory changes while it is counted.
    pub fn rest(&self, is_shared_memory: bool) -> Option<u64> {
        let counters = self.counters?;
        let whole = match is_shared_memory {
            true => counters.shared_memory,
            false if !self.is_each_once => return None,
            false => counters.files,
        };
        let files = self.files.iter();
        let counted = files.filter(|file| file.is_shared_memory == is_shared_memory);
        let pages: u64 = counted.map(|file| file.cached).sum();
        whole.checked_sub(pages * PageSize::base().bytes())
    }
}

/// Progress of [`page_cache`].
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PageCacheStep {
    /// Processes are read.
    Processes {
        /// Number of processes that are done.
        done: usize,
        /// Number of processes.
        of: usize,
    },
    /// Pages of files are counted.
    Files,
}

/// Counts the pages in the page cache of all files that processes map or have open.
///
/// Files are found in the mappings and descriptors of all processes that this caller may
/// read. They are opened for reading without any effect on them, and their pages counted with
/// `cachestat` (Linux 6.5), else, and for overlay file systems, with `mincore`. Pages of files that
/// no process maps or has open are not found; [`PageCache::counters`] shows how many there
/// are.
///
/// A child process opens the files of each file system. A file system that does not answer
/// for `deadline` delays nothing else: its files are in [`PageCache::uncounted`]. So are
/// files of FUSE, which are not opened. `step` is called about twenty times a second and can
/// break off; the result is `None` then.
///
/// ```
/// use std::ops::ControlFlow;
/// use std::time::Duration;
/// use process_introspection::{page_cache, PassOptions};
///
/// let second = Duration::from_secs(1);
/// let found = page_cache(PassOptions::new(), second, |_| ControlFlow::Continue(()))?;
/// for file in found.expect("was not broken off").files.iter().take(3) {
///     println!("{} pages of {:?}", file.cached, file.path);
/// }
/// # Ok::<(), process_introspection::Error>(())
/// ```
///
/// # Errors
/// [`Error::is_unsupported`] without `/proc`. Failures for one process or file are parts of
/// the result.
pub fn page_cache(
    options: PassOptions,
    deadline: Duration,
    mut step: impl FnMut(PageCacheStep) -> ControlFlow<()>,
) -> Result<Option<PageCache>, Error> {
    let mounts = options.mounts.clone();
    let table = Arc::new(Mutex::new(MountTable::default()));
    let (mut candidates, mut unread) = (Candidates::default(), Vec::new());
    let processes = mounts.all_pids()?;
    let (count, mut done, mut flow) = (processes.len(), 0, ControlFlow::Continue(()));
    let shared = Arc::clone(&table);
    let look = move |process: crate::process::Process| {
        if !process.has_memory() {
            return Ok(None);
        }
        let user = FileUser {
            pid: process.pid().unwrap_or_default(),
            unique_pid: process.unique_pid()?,
            command: process.comm(),
        };
        let found = references::of_process(&process, &shared)?;
        Ok(Some((user, found)))
    };
    for_each_process(processes, &options, look, |seen| {
        if let Some(seen) = seen {
            done += 1;
            match seen.and_then(|seen| seen) {
                Ok(Some((user, references))) => candidates.add(user, references),
                Ok(None) => {}
                Err(error) => unread.push(error),
            }
        }
        flow = step(PageCacheStep::Processes { done, of: count });
        flow
    });
    if flow.is_break() {
        return Ok(None);
    }
    let table = table.lock().unwrap_or_else(PoisonError::into_inner);
    let counted = candidates.count(&mounts, &table, deadline, || step(PageCacheStep::Files));
    Ok(counted.map(|counted| PageCache {
        files: counted.files,
        uncounted: counted.uncounted,
        unread,
        counters: counters(&mounts),
        is_each_once: counted.is_each_once,
    }))
}

fn counters(mounts: &Mounts) -> Option<CacheCounters> {
    let text = fs::read(mounts.proc().join("meminfo")).ok()?;
    let bytes = |name| bytes_of_kib(&text, name);
    let shared_memory = bytes("Shmem")?;
    let all = bytes("Cached")? + bytes("Buffers")?;
    Some(CacheCounters {
        files: all.checked_sub(shared_memory)?,
        shared_memory,
    })
}
