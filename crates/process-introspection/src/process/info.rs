//! Facts about a process that are no memory: its parent, its user, its start, its program
//! and its cgroup. They are read without its memory, so that no process can delay the call,
//! and also of processes that this caller must not open.

use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::time::{Duration, SystemTime};

use process_introspection_core::error::{CoreError, Errno, Operation};
use process_introspection_core::proc_text::{number, value_of, Stat};
use process_introspection_core::Target;
use rustix::fs::readlinkat;

use crate::error::{errno_of_process, Error};
use crate::process::cgroup::Cgroup;
use crate::process::mounts::{Mounts, PF_KTHREAD};
use crate::process::{Process, UniquePid};
use crate::sys;
use crate::text_files::{read_at, read_of};

/// Clock ticks per second in `/proc/PID/stat`: the same on every architecture that this
/// library supports (`USER_HZ`, include/asm-generic/param.h, Linux 5.10 to 7.2).
const TICKS_PER_SECOND: u64 = 100;

/// Returns the time of a start since boot, of field 22 of `stat`.
pub(super) fn started(ticks: u64) -> Duration {
    Duration::from_millis(ticks * (1000 / TICKS_PER_SECOND))
}

/// Facts about a process, from its files in proc.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProcessInfo {
    /// PID of the parent in the proc that was read; 0 if it has none there.
    pub parent: u32,
    /// Effective user ID, as `ps` and `top` show it, in the user namespace of this caller.
    pub uid: u32,
    /// Time of the start since boot, suspended time included, exact to 10 ms.
    pub started: Duration,
    /// True for a thread of the kernel, which has no memory of its own, nor a program.
    pub is_kernel_thread: bool,
    /// `comm`: the first 15 bytes of the name of its program, or the name that the process
    /// has set.
    pub command: OsString,
    /// Path of its program, as the kernel reports it: with ` (deleted)` behind it if the
    /// file is deleted. `None` without a program, and without the right to trace the
    /// process.
    pub exe: Option<OsString>,
    /// Its cgroup; `None` if the kernel has none or it cannot be read.
    pub cgroup: Option<Cgroup>,
}

impl ProcessInfo {
    /// Returns the time of the start; `boot_time` is [`Host::boot_time`](crate::Host), of
    /// which it has the precision, one second.
    pub fn started_at(&self, boot_time: SystemTime) -> Option<SystemTime> {
        boot_time.checked_add(self.started)
    }

    /// Reads the files in the directory of a process.
    fn read(directory: impl AsFd, mounts: &Mounts, target: Option<Target>) -> Result<Self, Error> {
        let directory = directory.as_fd();
        let failed = |errno| mounts.error(CoreError::new(errno, Operation::ReadProcess), target);
        let read = |name: &str| {
            let text = read_at(directory, name);
            text.map_err(|error| failed(errno_of_process(&error)))
        };
        let (stat, status) = (read("stat")?, read("status")?);
        let stat = Stat::parse(&stat);
        let uids = value_of(&status, b"Uid:").unwrap_or_default();
        let effective = uids.split(|&byte| byte == b'\t').nth(1);
        let facts = stat.and_then(|stat| Some((stat.parent()?, stat.flags()?, stat.start_time()?)));
        let (Some((parent, flags, ticks)), Some(uid)) = (facts, effective.and_then(number)) else {
            return Err(failed(Errno::EIO));
        };
        let mut command = read("comm")?;
        if command.last() == Some(&b'\n') {
            command.pop();
        }
        let exe = readlinkat(directory, "exe", Vec::new()).map(CString::into_bytes);
        let cgroup = read("cgroup").ok();
        Ok(Self {
            parent,
            uid,
            started: started(ticks),
            is_kernel_thread: flags & PF_KTHREAD != 0,
            command: OsString::from_vec(command),
            exe: exe.ok().map(OsString::from_vec),
            cgroup: cgroup.and_then(|text| Cgroup::parse(&text)),
        })
    }

    /// Returns its `comm`.
    pub fn command(&self) -> &OsStr {
        &self.command
    }
}

impl Process {
    /// Returns facts about the process that are no memory.
    ///
    /// ```
    /// use process_introspection::{Host, Process};
    ///
    /// let info = Process::current()?.info()?;
    /// assert_eq!(info.parent, std::os::unix::process::parent_id());
    /// if let Some(boot_time) = Host::read().boot_time {
    ///     assert!(info.started_at(boot_time).unwrap() > boot_time);
    /// }
    /// # Ok::<(), process_introspection::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::is_gone`]; [`Error::is_permission_denied`] if proc hides the process
    /// (`hidepid`).
    pub fn info(&self) -> Result<ProcessInfo, Error> {
        ProcessInfo::read(sys::directory(self.as_core()), &self.mounts, self.target)
    }

    /// Returns the cgroup; `None` if the kernel has none or it cannot be read.
    pub(crate) fn cgroup(&self) -> Option<Cgroup> {
        let text = read_of(self.as_core(), "cgroup").ok()?;
        Cgroup::parse(&text)
    }
}

impl Mounts {
    /// Returns the same as [`Process::info`] for a process that need not be opened: that
    /// this caller may not read, for instance.
    ///
    /// # Errors
    /// As [`Process::info`].
    pub fn process_info(&self, process: UniquePid) -> Result<ProcessInfo, Error> {
        let target = Some(Target::from(process));
        let none = CoreError::new(Errno::ESRCH, Operation::FindProcess);
        let directory = File::open(self.proc().join(process.pid().to_string()));
        let directory = directory.map_err(|error| Error::of_open(&error))?;
        // The PID is not used again until here if it is still the same process's.
        if self.unique_pid(process.pid())? != process {
            return Err(self.error(none, target));
        }
        ProcessInfo::read(&directory, self, target)
    }
}
