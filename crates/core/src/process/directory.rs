//! Process by its directory under `/proc` alone, without its memory: for what every
//! caller may read of every process. Knows nothing of the files in it.

use super::identity::{PathBuffer, Target};
use super::{exists, identity, no_proc, process_error, ProcessHandle, NO_SUCH_FILES};
use crate::descriptor::{BorrowedFd, OwnedFd};
use crate::error::{At, CoreError, Errno, Operation, Result};
use crate::proc_text::number;
use crate::sys;

/// Process whose files are read below one open directory.
///
/// The directory belongs to one process for good: after that has been reaped, its files
/// cannot be opened, also if another process has its PID. Zombies and kernel threads have
/// one, too.
#[derive(Debug)]
pub struct ProcessDirectory {
    /// Directory `/proc/N`. O_PATH.
    dir: OwnedFd,
    pid: u32,
    /// True if the numbers below the directory are those of the caller's PID namespace.
    has_own_numbers: bool,
}

impl ProcessDirectory {
    /// Opens the directory of a target.
    ///
    /// # Errors
    /// ESRCH: no such process (also for a thread's ID). EPERM: the process is hidden.
    /// ENOSYS: no `/proc` that contains this caller is mounted.
    pub fn open(target: Target) -> Result<Self> {
        let (pid, unique) = match target {
            Target::Caller => return Self::open_caller(),
            Target::Pid(pid) => (pid, None),
            Target::Unique { pid, mark } => (pid, Some(mark)),
        };
        let pidfd = identity::pidfd(pid)?;
        let dir = directory_of(pidfd.borrow(), unique)?;
        let process = Self {
            dir,
            pid,
            has_own_numbers: true,
        };
        let found = process.check_exists();
        // The number certainly belongs to the process only while it is not reaped.
        if !exists(pidfd.borrow())? {
            return Err(CoreError::new(Errno::ESRCH, Operation::FindProcess));
        }
        match found {
            // A mount with hidepid=2 denies that the directory has any files.
            Err(error) if error == NO_SUCH_FILES => {
                Err(CoreError::new(Errno::EPERM, Operation::OpenProcess))
            }
            found => found.map(|()| process),
        }
    }

    fn open_caller() -> Result<Self> {
        let dir = sys::openat(sys::CWD, b"/proc/self\0", sys::O_PATH | sys::O_DIRECTORY)
            .map_err(no_proc)
            .at(Operation::OwnProc)?;
        Ok(Self {
            dir,
            pid: sys::own_pid(),
            has_own_numbers: true,
        })
    }

    /// Opens the directory of the process of a handle.
    ///
    /// # Errors
    /// ESRCH if the process was reaped.
    pub fn of_handle(handle: &ProcessHandle) -> Result<Self> {
        let flags = sys::O_PATH | sys::O_DIRECTORY;
        let open = |path| sys::openat(handle.directory(), path, flags);
        // Only the directory of a process contains its threads.
        let dir = match open(b"task\0") {
            Ok(_) => open(b".\0"),
            // The handle's is that of a thread, since the first thread has ended.
            Err(Errno::ENOENT) => open(b"../..\0"),
            Err(errno) => Err(errno),
        };
        let dir = dir.map_err(|errno| process_error(errno, Operation::OpenProcess))?;
        let pid = number_of(&dir)?;
        let has_own_numbers = is_in_own_proc(&dir, pid);
        Ok(Self {
            dir,
            pid,
            has_own_numbers,
        })
    }

    /// Returns whether the numbers below the directory are those of the caller's PID
    /// namespace, as system calls take them.
    pub fn has_own_numbers(&self) -> bool {
        self.has_own_numbers
    }

    /// Returns the PID in the caller's namespace, or in the proc mount of the directory.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Returns the descriptor of the directory, opened with O_PATH.
    pub fn borrow(&self) -> BorrowedFd<'_> {
        self.dir.borrow()
    }

    /// Opens the directory a second time.
    pub(crate) fn reopen(&self) -> Result<OwnedFd> {
        sys::openat(self.dir.borrow(), b".\0", sys::O_PATH | sys::O_DIRECTORY)
            .map_err(|errno| process_error(errno, Operation::OpenProcess))
    }

    /// Returns whether this is the calling process.
    pub fn is_callers(&self) -> bool {
        super::is_callers(&self.dir)
    }

    /// Fails unless the process has not been reaped yet.
    ///
    /// # Errors
    /// ESRCH.
    pub fn check_exists(&self) -> Result<()> {
        match sys::openat(self.dir.borrow(), b"stat\0", sys::O_PATH) {
            Ok(_) => Ok(()),
            Err(Errno::ENOENT) => Err(NO_SUCH_FILES),
            Err(errno) => Err(process_error(errno, Operation::FindProcess)),
        }
    }
}

/// Opens the directory of a pidfd's process, which has this mark of a unique PID. The
/// directory belongs to the process if that still exists afterwards.
pub(super) fn directory_of(pidfd: BorrowedFd<'_>, unique: Option<u32>) -> Result<OwnedFd> {
    let number = identity::number_in_proc(pidfd)?;
    let mut path = PathBuffer::new();
    path.push(b"/proc/").push_decimal(number).push(b"\0");
    let dir = match sys::openat(sys::CWD, path.as_bytes(), sys::O_PATH | sys::O_DIRECTORY) {
        Ok(dir) => dir,
        // A mount with hidepid=4 denies that the directory exists.
        Err(Errno::ENOENT) if exists(pidfd)? => {
            return Err(CoreError::new(Errno::EPERM, Operation::OpenProcess));
        }
        Err(errno) => return Err(process_error(errno, Operation::OpenProcess)),
    };
    if let Some(mark) = unique {
        identity::check_unique(pidfd, &dir, mark)?;
    }
    Ok(dir)
}

/// Returns the number of a directory's process there, the first field of `stat`.
#[inline(never)]
fn number_of(dir: &OwnedFd) -> Result<u32> {
    let failed = |errno| process_error(errno, Operation::OpenProcess);
    let stat = sys::openat(dir.borrow(), b"stat\0", 0).map_err(failed)?;
    let mut text = [0; 16];
    let len = sys::pread(stat.borrow(), &mut text, 0).map_err(failed)?;
    let digits = text[..len].split(|&byte| byte == b' ').next();
    digits.and_then(number).ok_or(NO_SUCH_FILES)
}

/// Returns whether a directory is the one with this number below `/proc`, and that is of
/// the caller's PID namespace. A directory keeps its inode while it is held open.
#[inline(never)]
fn is_in_own_proc(dir: &OwnedFd, pid: u32) -> bool {
    let mut target = [0; 16];
    let this = sys::readlinkat(sys::CWD, b"/proc/self\0", &mut target);
    let is_own = this.is_ok_and(|len| number(&target[..len]) == Some(sys::own_pid()));
    let mut path = PathBuffer::new();
    path.push(b"/proc/").push_decimal(pid.into()).push(b"\0");
    let identity = |dir: BorrowedFd<'_>| {
        let status = sys::status(dir).ok()?;
        Some((status.dev, status.ino))
    };
    let same = || {
        let other = sys::openat(sys::CWD, path.as_bytes(), sys::O_PATH).ok()?;
        Some(identity(other.borrow())? == identity(dir.borrow())?)
    };
    is_own && same() == Some(true)
}
