//! Opening of processes by their PIDs in the proc of [`Mounts`], which need not be the
//! caller's own.

use std::path::Path;

use process_introspection_core as core;
use process_introspection_core::error::{Errno, Operation};
use process_introspection_core::proc_text::{number, value_of};
use process_introspection_core::process::unique_pid_of_directory;
use process_introspection_core::Target;
use rustix::fs::OFlags;

use crate::error::Error;
use crate::process::mounts::{directory, Mounts};
use crate::process::{Process, UniquePid};

impl Mounts {
    /// Opens a process by its PID in this proc, by its [`UniquePid`], or by a [`Target`];
    /// the caller itself is `self` there.
    ///
    /// # Errors
    /// As [`Process::open`]. [`Error::is_gone`] also for a unique PID that was made of a
    /// pidfd, if this is another proc than `/proc`: nothing there shows that it is still
    /// the same process.
    pub fn process(&self, target: impl Into<Target>) -> Result<Process, Error> {
        let target = target.into();
        let process = match &self.proc {
            None => Process::open(target)?,
            Some(proc) => in_other_proc(proc, target).map_err(Error::in_other_proc)?,
        };
        process.with_mounts(self)
    }

    /// Returns the unique PID of the process that has this PID in this proc now.
    ///
    /// # Errors
    /// [`Error::is_gone`] if there is none.
    pub(crate) fn unique_pid(&self, pid: u32) -> Result<UniquePid, Error> {
        let Some(proc) = &self.proc else {
            return UniquePid::of(pid);
        };
        let target = Some(Target::Pid(pid));
        let directory = directory(&proc.join(pid.to_string()), OFlags::PATH)?;
        unique_pid_of_directory(&directory, pid)
            .map(UniquePid)
            .map_err(|error| Error::new(error, target))
    }
}

fn in_other_proc(proc: &Path, target: Target) -> Result<Process, Error> {
    let name = match target {
        Target::Caller => "self".to_owned(),
        Target::Pid(pid) | Target::Unique { pid, .. } => pid.to_string(),
    };
    let failed = |error: core::CoreError| Error::new(error, Some(target));
    let none = || failed(core::CoreError::new(Errno::ESRCH, Operation::FindProcess));
    let path = proc.join(name);
    let directory = directory(&path, OFlags::PATH)?;
    match target {
        Target::Caller => {}
        Target::Pid(pid) => {
            // A thread has a directory too, which is not listed.
            let status = std::fs::read(path.join("status")).unwrap_or_default();
            let process = value_of(&status, b"Tgid:").and_then(number::<u32>);
            if process.is_some_and(|process| process != pid) {
                return Err(none());
            }
        }
        Target::Unique { pid, mark } => {
            let actual = unique_pid_of_directory(&directory, pid).map_err(failed)?;
            if actual >> 32 != i64::from(mark) {
                return Err(none());
            }
        }
    }
    Process::of_directory(directory, Some(target))
}
