//! Lists of processes: all that the caller's `/proc` shows, and the children of one. Knows
//! nothing else of a process than its numbers.

use core::ops::ControlFlow;

use crate::descriptor::{BorrowedFd, OwnedFd};
use crate::error::{At, CoreError, Errno, Operation, Result};
use crate::proc_text::{number, Stat};
use crate::process::ProcessDirectory;
use crate::process::{each_entry, no_proc, process_error, unique_pid, PathBuffer};
use crate::sys;

/// Entry of a list: a process that existed when its directory was read.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct ListedPid(u32);

impl ListedPid {
    /// Returns the PID.
    pub fn pid(self) -> u32 {
        self.0
    }

    /// Returns the unique PID; `None` if the process has ended meanwhile, or if its start
    /// time is needed (before Linux 6.9) and hidden.
    ///
    /// # Errors
    /// EPERM if pidfds are refused; errors for lack of descriptors.
    pub fn unique_pid(self) -> Result<Option<i64>> {
        let is_of_process = |error: &CoreError| {
            matches!(
                error.operation(),
                Operation::FindProcess | Operation::OpenProcess
            )
        };
        match unique_pid(self.0) {
            Ok(unique) => Ok(Some(unique)),
            Err(error) if error.errno() == Errno::ESRCH => Ok(None),
            Err(error) if error.errno() == Errno::EPERM && is_of_process(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Calls `each` with every process of the caller's PID namespace in ascending order,
/// zombies included. Not at one instant: a process that begins meanwhile may be missing.
/// Processes that the mount hides (`hidepid`) are missing.
///
/// # Errors
/// ENOSYS without `/proc`; EPERM if it is that of another PID namespace.
pub fn each_process(each: impl FnMut(ListedPid) -> Result<ControlFlow<()>>) -> Result<()> {
    each_number(&open_proc()?, each)
}

/// Calls `each` with every child of a process, by the parent in each process's `stat`.
///
/// The list of `children` in proc (`CONFIG_PROC_CHILDREN`) is not used: it can omit a child
/// while another one ends (fs/proc/array.c, `get_children_pid`, Linux 3.5 to 6.18).
///
/// # Errors
/// Those of [`each_process`]; ESRCH if the parent was reaped.
pub fn each_child(
    parent: &ProcessDirectory,
    mut each: impl FnMut(ListedPid) -> Result<ControlFlow<()>>,
) -> Result<()> {
    let proc = open_proc()?;
    each_number(&proc, |listed| match parent_of(proc.borrow(), listed.0)? {
        Some(found) if found == parent.pid() => each(listed),
        _ => Ok(ControlFlow::Continue(())),
    })?;
    parent.check_exists()
}

/// Opens `/proc`, which must show the caller's PID namespace.
fn open_proc() -> Result<OwnedFd> {
    let proc = sys::openat(sys::CWD, b"/proc\0", sys::O_DIRECTORY)
        .map_err(no_proc)
        .at(Operation::OwnProc)?;
    let mut target = [0u8; 16];
    let len = sys::readlinkat(proc.borrow(), b"self\0", &mut target)
        .map_err(no_proc)
        .at(Operation::OwnProc)?;
    match number::<u32>(&target[..len]) {
        Some(pid) if pid == sys::own_pid() => Ok(proc),
        _ => Err(CoreError::new(Errno::EPERM, Operation::FindProcess)),
    }
}

#[inline(never)]
fn each_number(
    proc: &OwnedFd,
    mut each: impl FnMut(ListedPid) -> Result<ControlFlow<()>>,
) -> Result<()> {
    let ended = each_entry(proc.borrow(), &mut [0; 1024], |name| {
        let Some(pid) = name.strip_suffix(b"\0").and_then(number) else {
            return ControlFlow::Continue(());
        };
        match each(ListedPid(pid)) {
            Ok(ControlFlow::Continue(())) => ControlFlow::Continue(()),
            Ok(ControlFlow::Break(())) => ControlFlow::Break(Ok(())),
            Err(error) => ControlFlow::Break(Err(error)),
        }
    });
    ended.map_err(failed)?.unwrap_or(Ok(()))
}

/// Returns the parent of a process; `None` if the process has ended, or is hidden.
#[inline(never)]
fn parent_of(proc: BorrowedFd<'_>, pid: u32) -> Result<Option<u32>> {
    let mut path = PathBuffer::new();
    path.push_decimal(pid.into()).push(b"/stat\0");
    let mut text = [0u8; 256];
    let read = sys::openat(proc, path.as_bytes(), 0)
        .and_then(|stat| sys::pread_all(stat.borrow(), &mut text, 0));
    match read {
        Ok(len) => Ok(Stat::parse(&text[..len]).and_then(|stat| stat.parent())),
        Err(Errno::ENOENT | Errno::ESRCH | Errno::EPERM | Errno::EACCES) => Ok(None),
        Err(errno) => Err(failed(errno)),
    }
}

fn failed(errno: Errno) -> CoreError {
    process_error(errno, Operation::ListProcesses)
}
