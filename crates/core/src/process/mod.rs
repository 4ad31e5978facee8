//! Opens a target so that all its files belong to one process and one memory, and checks
//! whether frame numbers are visible. Owns the file descriptors of a walk; knows nothing
//! of the contents of `maps` and `pagemap`.
//!
//! The steps are: PID, pidfd, the process's number in this `/proc` mount, directory
//! descriptor, files. Afterwards the process must still exist, and the files are opened
//! between two equal readings of the mark that an exec changes.

mod directory;
mod frames;
mod identity;
mod program;

use crate::addr::{PageSize, Pfn};
use crate::descriptor::{BorrowedFd, OwnedFd};
use crate::error::{At, CoreError, Errno, Operation, Result};
use crate::features::Features;
use crate::sys;

pub use directory::ProcessDirectory;
pub use frames::VisibleFrames;
use identity::ExecMark;
pub(crate) use identity::{each_entry, PathBuffer};
pub use identity::{unique_pid, unique_pid_of_directory, Target};
pub(crate) use program::ProgramHeaders;
pub use program::WordSize;

/// Access that a handle is opened with. Lower access is cheaper and needs less privilege.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Layout of the address space only: `maps`.
    Layout,
    /// Page entries too, whether or not frame numbers are visible.
    Pages,
    /// Page entries and frame numbers; opening fails with EPERM when these are hidden.
    Frames,
}

/// Open target: one process, one memory.
///
/// The handle keeps referring to the same memory: after an exec or the exit of the target
/// its calls return ESRCH, and never a successor's memory.
#[derive(Debug)]
pub struct ProcessHandle {
    /// Directory `/proc/N`, or `/proc/N/task/T` where the first thread has ended. O_PATH.
    dir: OwnedFd,
    maps: OwnedFd,
    pagemap: Result<OwnedFd>,
    frames: Result<VisibleFrames>,
    /// Mark that an exec changes; `None` for the caller, whose handle does not outlive
    /// one.
    mark: Option<ExecMark>,
    has_memory: bool,
    keeps_images: bool,
    /// Mount of sysfs in which devices are looked up instead of `/sys`.
    sysfs: Option<OwnedFd>,
    leaves_servers_alone: bool,
    features: Features,
}

impl ProcessHandle {
    /// Opens a target.
    ///
    /// # Errors
    /// ESRCH: no such process (also for a thread's ID). EPERM: access is refused, the
    /// process is hidden, or, with [`Access::Frames`], frame numbers are. ENOSYS: no
    /// `/proc` that contains this caller is mounted.
    pub fn open(target: Target, access: Access) -> Result<Self> {
        match target {
            Target::Caller => Self::open_caller(access),
            Target::Pid(pid) => Self::open_pidfd(identity::pidfd(pid)?.borrow(), None, access),
            Target::Unique { pid, mark } => {
                Self::open_pidfd(identity::pidfd(pid)?.borrow(), Some(mark), access)
            }
        }
    }

    /// Opens the process of a pidfd. The pidfd is not kept.
    ///
    /// # Errors
    /// Those of [`ProcessHandle::open`]; EBADF if the descriptor is no pidfd.
    pub fn from_pidfd(pidfd: BorrowedFd<'_>, access: Access) -> Result<Self> {
        Self::open_pidfd(pidfd, None, access)
    }

    fn open_caller(access: Access) -> Result<Self> {
        let open = |path| {
            sys::openat(sys::CWD, path, sys::O_PATH | sys::O_DIRECTORY)
                .map_err(no_proc)
                .at(Operation::OwnProc)
        };
        let mut dir = open(b"/proc/self\0")?;
        // After the first thread has ended, /proc/self shows a process without memory.
        if !sys::is_main_thread() && !shows_memory(&dir)? {
            dir = open(b"/proc/thread-self\0")?;
        }
        let maps = open_maps(&dir)?;
        let pagemap = open_pagemap(&dir, access)?;
        let frames = pagemap.as_ref().map_err(|&error| error);
        let frames = frames.and_then(frames::look);
        Self::assemble(dir, maps, pagemap, frames, None, true, access)
    }

    fn open_pidfd(pidfd: BorrowedFd<'_>, unique: Option<u32>, access: Access) -> Result<Self> {
        let dir = directory::directory_of(pidfd, unique)?;
        let process = Self::from_proc_dir(dir, access);
        // The number certainly belongs to the process only while it is not reaped.
        if !exists(pidfd)? {
            return Err(CoreError::new(Errno::ESRCH, Operation::FindProcess));
        }
        match process {
            // A mount with hidepid=2 denies that the directory has any files.
            Err(error) if error == NO_SUCH_FILES => {
                Err(CoreError::new(Errno::EPERM, Operation::OpenProcess))
            }
            process => process,
        }
    }

    /// Opens the process of a `/proc/PID` directory, in any proc mount.
    ///
    /// # Errors
    /// Those of [`ProcessHandle::open`].
    pub fn from_proc_dir(dir: OwnedFd, access: Access) -> Result<Self> {
        let mark = match ExecMark::read_settled(&dir) {
            // A process that is not dumpable, as after setuid(), cannot open some of its
            // own files. It needs no mark of itself.
            Err(error) if error.errno() == Errno::EPERM && is_callers(&dir) => {
                return Self::open_caller(access);
            }
            mark => mark?,
        };
        let (dir, mark) = match mark {
            Some(mark) => (dir, Some(mark)),
            None => match identity::thread_with_memory(&dir)? {
                Some((thread, mark)) => (thread, Some(mark)),
                None => (dir, None),
            },
        };
        let Some(mut mark) = mark else {
            // A zombie or a kernel thread. Its maps file opens and is empty; the
            // behaviour of pagemap differs between kernels and does not matter.
            let maps = open_maps(&dir)?;
            let none = Err(CoreError::new(Errno::ESRCH, Operation::OpenMemory));
            return Self::assemble(dir, maps, none, none_frames(access), None, false, access);
        };
        // An exec between two opens would pair the files of two memories. Two execs in a
        // row within these microseconds are no accident; the attempts end then.
        for _ in 0..8 {
            let maps = open_maps(&dir)?;
            let pagemap = open_pagemap(&dir, access)?;
            match ExecMark::read_settled(&dir)? {
                Some(now) if now == mark => {
                    let frames = match &pagemap {
                        Ok(_) => frames::look_at_own(),
                        Err(error) => Err(*error),
                    };
                    return Self::assemble(dir, maps, pagemap, frames, Some(mark), true, access);
                }
                Some(now) => mark = now,
                None => break,
            }
        }
        Err(CoreError::new(Errno::ESRCH, Operation::OpenMemory))
    }

    fn assemble(
        dir: OwnedFd,
        maps: OwnedFd,
        pagemap: Result<OwnedFd>,
        frames: Result<VisibleFrames>,
        mark: Option<ExecMark>,
        has_memory: bool,
        access: Access,
    ) -> Result<Self> {
        if let (Access::Frames, Err(error)) = (access, frames) {
            return Err(error);
        }
        Ok(Self {
            dir,
            maps,
            pagemap,
            frames,
            mark,
            has_memory,
            keeps_images: false,
            sysfs: None,
            leaves_servers_alone: false,
            features: Features::new(),
        })
    }

    /// Makes cursors keep each executable or shared library that they open, until it is
    /// taken from them or the next one is opened.
    pub fn keeping_images(mut self) -> Self {
        self.keeps_images = true;
        self
    }

    /// Makes the handle look up devices in this sysfs, by the descriptor of the directory
    /// that it is mounted on, instead of in `/sys`.
    pub fn with_sysfs(mut self, sysfs: OwnedFd) -> Self {
        self.sysfs = Some(sysfs);
        self
    }

    /// Returns the descriptor of the sysfs to use, if it is not `/sys`.
    pub(crate) fn sysfs(&self) -> Option<BorrowedFd<'_>> {
        self.sysfs.as_ref().map(OwnedFd::borrow)
    }

    /// Returns whether cursors keep the images that they open.
    pub(crate) fn keeps_images(&self) -> bool {
        self.keeps_images
    }

    /// Disables requests to servers in user space (FUSE) about mapped files: a server
    /// could keep the caller waiting for ever, so that not even a signal ends it. An
    /// executable or a shared library is recognised by its part that is resident in the
    /// process, if that can be read; else by its path. Costs a fork for each such file.
    pub fn leaving_servers_alone(mut self) -> Self {
        self.leaves_servers_alone = true;
        self
    }

    /// Returns whether requests to servers are disabled.
    pub(crate) fn leaves_servers_alone(&self) -> bool {
        self.leaves_servers_alone
    }

    /// Returns whether the process has memory at all; a zombie and a kernel thread have
    /// none.
    pub fn has_memory(&self) -> bool {
        self.has_memory
    }

    /// Returns the facts about visible frames.
    ///
    /// # Errors
    /// EPERM when frame numbers are hidden: the caller lacks CAP_SYS_ADMIN in the initial
    /// user namespace.
    pub fn frames(&self) -> Result<VisibleFrames> {
        self.frames
    }

    /// Fails unless page entries can be read.
    ///
    /// # Errors
    /// EPERM if that is refused.
    pub fn check_pages(&self) -> Result<()> {
        match (&self.pagemap, self.has_memory) {
            (Err(error), true) => Err(*error),
            _ => Ok(()),
        }
    }

    /// Returns the frame of the zero page, where that is known.
    pub fn zero_frame(&self) -> Option<Pfn> {
        self.frames.ok().and_then(|frames| frames.zero)
    }

    /// Returns the base page size of the kernel.
    pub fn page_size(&self) -> PageSize {
        PageSize::base()
    }

    /// Returns the descriptor of the process's directory under `/proc`, for opening other
    /// files below it; where the first thread has ended, that of another thread. Opened
    /// with O_PATH, and open for as long as this handle exists.
    pub fn directory(&self) -> BorrowedFd<'_> {
        self.dir.borrow()
    }

    pub(crate) fn maps(&self) -> BorrowedFd<'_> {
        self.maps.borrow()
    }

    pub(crate) fn pagemap(&self) -> Result<BorrowedFd<'_>> {
        self.pagemap
            .as_ref()
            .map(OwnedFd::borrow)
            .map_err(|&error| error)
    }

    pub(crate) fn features(&self) -> &Features {
        &self.features
    }

    /// Returns whether this is the calling process, which can be a child of the one that
    /// opened the handle.
    pub(crate) fn is_callers(&self) -> bool {
        is_callers(&self.dir)
    }

    /// Fails with ESRCH unless the process still has the memory that this handle was
    /// opened for.
    ///
    /// # Errors
    /// ESRCH.
    pub fn check_same_memory(&self) -> Result<()> {
        match &self.mark {
            None => Ok(()),
            Some(mark) if ExecMark::read_in_parts(&self.dir)?.as_ref() == Some(mark) => Ok(()),
            Some(_) => Err(CoreError::new(Errno::ESRCH, Operation::ReadMaps)),
        }
    }

    /// Opens the text of `maps` at its beginning, for one reader.
    pub(crate) fn open_maps_text(&self) -> Result<OwnedFd> {
        let maps = open_maps(&self.dir)?;
        self.check_same_memory()?;
        Ok(maps)
    }

    /// Returns whether the kernel reports which entries are huge (`PAGEMAP_SCAN`, Linux 6.7);
    /// true until a scan was tried.
    pub fn reports_huge_entries(&self) -> bool {
        self.features.pagemap_scan()
    }

    /// Treats this kernel as one that lacks the two ioctls of newer kernels. For tests and
    /// benchmarks, which compare both ways.
    pub fn disable_features(&self, procmap_query: bool, pagemap_scan: bool) {
        if procmap_query {
            self.features.without_procmap_query(false);
        }
        if pagemap_scan {
            self.features.without_pagemap_scan();
        }
    }
}

/// Returns whether `/proc/self`, the directory of the caller, shows memory, which it does
/// not after the first thread has ended.
fn shows_memory(dir: &OwnedFd) -> Result<bool> {
    match ExecMark::read(dir) {
        // The process is not dumpable. `maps` stays open to it (fs/proc/base.c: mode
        // 0444, and kernel/ptrace.c, `__ptrace_may_access` of the same thread group), and
        // is empty where there is no memory.
        Err(error) if error.errno() == Errno::EPERM => {
            let maps = open_maps(dir)?;
            let read = sys::pread(maps.borrow(), &mut [0; 8], 0).at(Operation::OpenMemory)?;
            Ok(read > 0)
        }
        mark => Ok(mark?.is_some()),
    }
}

/// Returns whether a directory is the calling process's under the caller's `/proc`, or
/// that of one of its threads. One process has one directory in one mount, which keeps
/// its inode while it is held open.
#[inline(never)]
fn is_callers(dir: &OwnedFd) -> bool {
    let status = |dir: BorrowedFd<'_>, path| {
        let opened = sys::openat(dir, path, sys::O_PATH | sys::O_DIRECTORY).ok()?;
        let status = sys::status(opened.borrow()).ok()?;
        Some((status.dev, status.ino))
    };
    let own = status(sys::CWD, b"/proc/self\0");
    // The directory of a thread: `/proc/N/task/T`.
    own.is_some()
        && [&b".\0"[..], b"../..\0"]
            .iter()
            .any(|path| status(dir.borrow(), path) == own)
}

/// Error for a directory without files: its process has ended, or is hidden.
const NO_SUCH_FILES: CoreError = CoreError::new(Errno::ESRCH, Operation::OpenProcess);

fn open_maps(dir: &OwnedFd) -> Result<OwnedFd> {
    sys::openat(dir.borrow(), b"maps\0", 0).map_err(|errno| match errno {
        Errno::ENOENT => NO_SUCH_FILES,
        other => process_error(other, Operation::OpenMemory),
    })
}

/// Opens the page map. The outer error is one that no weaker access tolerates.
fn open_pagemap(dir: &OwnedFd, access: Access) -> Result<Result<OwnedFd>> {
    if access == Access::Layout {
        return Ok(Err(CoreError::new(Errno::EINVAL, Operation::OpenMemory)));
    }
    match sys::openat(dir.borrow(), b"pagemap\0", 0) {
        Ok(pagemap) => Ok(Ok(pagemap)),
        // The directory and maps exist, pagemap does not: a kernel without
        // CONFIG_PROC_PAGE_MONITOR, unless the process ended just now.
        Err(Errno::ENOENT) => {
            open_maps(dir)?;
            Ok(Err(CoreError::new(Errno::ENOSYS, Operation::OpenMemory)))
        }
        Err(errno @ (Errno::EACCES | Errno::EPERM)) => {
            Ok(Err(process_error(errno, Operation::OpenMemory)))
        }
        Err(errno) => Err(process_error(errno, Operation::OpenMemory)),
    }
}

/// Returns the facts about frames for a target without memory. Frame numbers then matter
/// only to callers that insist on them, who get an error if they are hidden.
fn none_frames(access: Access) -> Result<VisibleFrames> {
    match access {
        Access::Layout => Err(CoreError::new(Errno::EINVAL, Operation::CheckFrames)),
        Access::Pages | Access::Frames => frames::look_at_own(),
    }
}

/// Returns whether a pidfd's process has not been reaped yet: by a signal or, where that
/// is not allowed, by the pidfd's own entry under `/proc`.
fn exists(pidfd: BorrowedFd<'_>) -> Result<bool> {
    if let Some(exists) = sys::pidfd_exists(pidfd) {
        return Ok(exists);
    }
    match identity::number_in_proc(pidfd) {
        Ok(_) => Ok(true),
        Err(error) if error.errno() == Errno::ESRCH => Ok(false),
        Err(error) => Err(error),
    }
}

/// Returns the contract's error for a failure to open or read a file of a process.
pub(crate) fn process_error(errno: Errno, operation: Operation) -> CoreError {
    let errno = match errno {
        Errno::EACCES => Errno::EPERM,
        Errno::ENOENT => Errno::ESRCH,
        // The contract's ENXIO means that no object is mapped there.
        Errno::ENXIO => Errno::EIO,
        other => other,
    };
    CoreError::new(errno, operation)
}

/// Returns the contract's errno for a failure to open a file of the caller's own.
pub(crate) fn no_proc(errno: Errno) -> Errno {
    match errno {
        Errno::EACCES => Errno::EPERM,
        Errno::ENOENT | Errno::ENOTDIR => Errno::ENOSYS,
        Errno::ENXIO => Errno::EIO,
        other => other,
    }
}
