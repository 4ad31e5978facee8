//! Mounts of proc and sysfs to read: the caller's own, or others, such as the host's as a
//! container sees them. Knows no process.

use std::io;
use std::path::{Path, PathBuf};

use process_introspection_core::descriptor::OwnedFd;
use process_introspection_core::proc_text::Stat;
use process_introspection_core::{CoreError, Target};
use rustix::fs::{open, statfs, FsWord, Mode, OFlags, PROC_SUPER_MAGIC};

use crate::error::Error;
use crate::sys;

/// `SYSFS_MAGIC` of include/uapi/linux/magic.h.
const SYSFS_MAGIC: FsWord = 0x6265_6572;

/// Link of the machine's first PID namespace, whose number never changes
/// (`PROC_PID_INIT_INO`, include/linux/proc_ns.h, since Linux 3.8).
const FIRST_PID_NAMESPACE: &str = "pid:[4026531836]";

/// Flag of a kernel thread (include/linux/sched.h, Linux 2.6.27 to 7.2).
pub(super) const PF_KTHREAD: u64 = 0x0020_0000;

/// Mounts of proc and sysfs to read: `/proc` and `/sys`, unless others are set.
///
/// PIDs are those of the proc that is read. PIDs of another proc than `/proc` are never
/// passed to a system call, because there they would mean other processes; and unique PIDs
/// are then made of start times.
///
/// The caller's own `/proc` must be mounted nevertheless: the caller's own pages reveal
/// whether it can see PFNs.
///
/// ```
/// use process_introspection::Mounts;
///
/// let mounts = Mounts::new().procfs("/proc")?;
/// let process = mounts.process(std::process::id())?;
/// assert!(process.virtual_regions(..)?.next().is_some());
/// assert!(Mounts::new().procfs("/").is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mounts {
    pub(super) proc: Option<PathBuf>,
    sys: Option<PathBuf>,
}

impl Mounts {
    /// Returns the mounts `/proc` and `/sys`.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets another proc, mounted on this directory.
    ///
    /// # Errors
    /// Errors of the system; [`io::ErrorKind::InvalidInput`] if the directory is not that
    /// of a proc file system.
    pub fn procfs(mut self, directory: impl Into<PathBuf>) -> io::Result<Self> {
        let directory = directory.into();
        check(&directory, PROC_SUPER_MAGIC, "proc")?;
        self.proc = Some(directory);
        Ok(self)
    }

    /// Sets another sysfs, mounted on this directory.
    ///
    /// # Errors
    /// Errors of the system; [`io::ErrorKind::InvalidInput`] if the directory is not that
    /// of a sysfs.
    pub fn sysfs(mut self, directory: impl Into<PathBuf>) -> io::Result<Self> {
        let directory = directory.into();
        check(&directory, SYSFS_MAGIC, "sysfs")?;
        self.sys = Some(directory);
        Ok(self)
    }

    /// Returns the directory of proc.
    pub fn proc(&self) -> &Path {
        self.proc.as_deref().unwrap_or(Path::new("/proc"))
    }

    /// Returns the directory of sysfs.
    pub fn sys(&self) -> &Path {
        self.sys.as_deref().unwrap_or(Path::new("/sys"))
    }

    /// Returns whether PIDs are those of the caller's own `/proc`.
    pub fn has_own_proc(&self) -> bool {
        self.proc.is_none()
    }

    /// Returns the caller's own PID in this proc; `None` if it has none there, because the
    /// proc is of a PID namespace that the caller is not in.
    pub fn own_number(&self) -> Option<u32> {
        match self.has_own_proc() {
            true => Some(std::process::id()),
            false => {
                let link = std::fs::read_link(self.proc().join("self")).ok()?;
                link.to_str()?.parse().ok()
            }
        }
    }

    /// Returns whether all of the machine's processes have a PID in this proc: whether it
    /// is of the machine's first PID namespace.
    pub(crate) fn sees_all(&self) -> bool {
        if self.has_own_proc() {
            let namespace = std::fs::read_link("/proc/self/ns/pid");
            return namespace.is_ok_and(|name| name.as_os_str() == FIRST_PID_NAMESPACE);
        }
        // The link of a proc's first process reveals the namespace of the proc, but only to
        // callers who may trace that process. Kernel threads, of which PID 2 starts all
        // others (init/main.c, `rest_init`), are in the first namespace alone.
        let stat = std::fs::read(self.proc().join("2/stat")).unwrap_or_default();
        let flags = Stat::parse(&stat).and_then(|stat| stat.flags());
        flags.is_some_and(|flags| flags & PF_KTHREAD != 0)
    }

    /// Returns the error about a process of this proc.
    pub(super) fn error(&self, error: CoreError, target: Option<Target>) -> Error {
        let error = Error::new(error, target);
        match self.has_own_proc() {
            true => error,
            false => error.in_other_proc(),
        }
    }

    /// Opens the directory of another sysfs.
    pub(crate) fn open_sysfs(&self) -> Result<Option<OwnedFd>, Error> {
        let sys = self.sys.as_deref();
        sys.map(|sys| directory(sys, OFlags::PATH)).transpose()
    }
}

/// Fails unless a file system of this type is mounted on a directory.
fn check(directory: &Path, magic: FsWord, name: &str) -> io::Result<()> {
    if statfs(directory)?.f_type == magic {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("no {name} file system is mounted there"),
    ))
}

pub(super) fn directory(path: &Path, flags: OFlags) -> Result<OwnedFd, Error> {
    let flags = flags | OFlags::DIRECTORY | OFlags::CLOEXEC;
    open(path, flags, Mode::empty())
        .map(sys::owned)
        .map_err(|error| Error::of_open(&error.into()))
}
