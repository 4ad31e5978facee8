//! Method of stopping one process and releasing it: a handle, never a PID or a path, so
//! that it works in a forked child and cannot affect another process.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::process::{pidfd_send_signal, Signal};

/// Method of stopping a process. Its functions allocate nothing.
#[derive(Debug)]
pub(super) enum StopMethod {
    /// Signals through the process's directory below `/proc`, which serves as a pidfd.
    Signal(OwnedFd),
    /// File `cgroup.freeze` of a cgroup that contains only the process.
    Freezer(File),
}

impl StopMethod {
    pub(super) fn stop(&self) -> io::Result<()> {
        match self {
            Self::Signal(process) => pidfd_send_signal(process, Signal::STOP)?,
            Self::Freezer(switch) => rustix::io::pwrite(switch, b"1", 0).map(drop)?,
        }
        Ok(())
    }

    /// Releases the process. Fails only if the process, or its cgroup, has gone, and then
    /// there is nothing to release.
    pub(super) fn release(&self) {
        match self {
            Self::Signal(process) => drop(pidfd_send_signal(process, Signal::CONT)),
            Self::Freezer(switch) => drop(rustix::io::pwrite(switch, b"0", 0)),
        }
    }
}

impl AsFd for StopMethod {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Signal(process) => process.as_fd(),
            Self::Freezer(switch) => switch.as_fd(),
        }
    }
}
