//! Child process that runs a little of this crate's code: fork, a pipe, and the end of
//! both. The child shares nothing that it could harm.

use linux_raw_sys::general as k;
use syscalls::{syscall, Sysno};

use super::{check, monotonic_nanos, retry, Sys, KERNEL_SIGSET_SIZE};
use crate::descriptor::{BorrowedFd, OwnedFd};
use crate::error::Errno;

pub(super) const PR_SET_PDEATHSIG: u32 = 1;

/// Makes a pipe: the reading end and the writing end. Close-on-exec.
pub(crate) fn pipe() -> Sys<(OwnedFd, OwnedFd)> {
    let mut ends = [0i32; 2];
    // SAFETY: the kernel writes two integers into a live, exclusive array.
    check(unsafe { syscall!(Sysno::pipe2, ends.as_mut_ptr(), k::O_CLOEXEC) })?;
    // SAFETY: just opened, so no other code owns them.
    Ok(unsafe { (OwnedFd::from_raw(ends[0]), OwnedFd::from_raw(ends[1])) })
}

/// Writes bytes with `write`; a short count is possible.
pub(crate) fn write(fd: BorrowedFd<'_>, bytes: &[u8]) -> Sys<usize> {
    // SAFETY: the kernel reads at most `bytes.len()` bytes of a live buffer.
    retry(|| check(unsafe { syscall!(Sysno::write, fd.raw(), bytes.as_ptr(), bytes.len()) }))
}

/// Sets the calling thread's signal mask and returns the one before.
pub(super) fn set_signal_mask(mask: u64) -> u64 {
    let mut before = 0u64;
    // SAFETY: the kernel reads one live mask and writes another.
    let _ = unsafe {
        syscall!(
            Sysno::rt_sigprocmask,
            k::SIG_SETMASK,
            &raw const mask,
            &raw mut before,
            KERNEL_SIGSET_SIZE
        )
    };
    before
}

/// Runs `run` in a child process and returns its PID. The child ends with `run`, and when
/// the calling thread ends; no signal reaches it except SIGKILL, and its end sends none:
/// the program's own handlers and waits do not notice it.
///
/// `run` must not rely on another thread, nor on a lock: neither exists in the child.
pub(crate) fn fork(run: impl FnOnce()) -> Sys<i32> {
    // SAFETY: takes no memory.
    let parent = unsafe { syscall!(Sysno::getpid) };
    let mask = set_signal_mask(u64::MAX);
    // No flag: a copy of the caller, on a copy of its stack. No signal at its end.
    // SAFETY: the child goes on here with memory of its own and never returns.
    let forked = check(unsafe { syscall!(Sysno::clone, 0, 0, 0, 0, 0) });
    if forked == Ok(0) {
        // SAFETY: takes no memory.
        let still = unsafe {
            let _ = syscall!(Sysno::prctl, PR_SET_PDEATHSIG, k::SIGKILL, 0, 0, 0);
            syscall!(Sysno::getppid)
        };
        if still == parent {
            run();
        }
        loop {
            // SAFETY: takes no memory, and does not return.
            let _ = unsafe { syscall!(Sysno::exit_group, 0) };
        }
    }
    set_signal_mask(mask);
    forked.map(|pid| pid as i32)
}

/// Closes all of the calling process's descriptors except these.
pub(crate) fn close_all_but(kept: &[BorrowedFd<'_>], also: BorrowedFd<'_>) {
    let mut first = 0;
    loop {
        let kept = kept.iter().copied().chain([also]).map(|fd| fd.raw() as u32);
        let next = kept.filter(|&fd| fd >= first).min();
        close_range(first, next.unwrap_or(u32::MAX));
        match next {
            Some(next) => first = next + 1,
            None => return,
        }
    }
}

/// Closes the descriptors from `first` to before `end`.
fn close_range(first: u32, end: u32) {
    if first >= end {
        return;
    }
    // Exists since 5.9.
    // SAFETY: closing touches no memory; this process is a child whose descriptors
    // nobody uses but the code that has named the others.
    let closed = check(unsafe { syscall!(Sysno::close_range, first, end - 1, 0) });
    // On an older kernel a child keeps descriptors with higher numbers.
    let end = end.min(if closed.is_ok() { 0 } else { 65_536 });
    for fd in first..end {
        // SAFETY: as above.
        let _ = unsafe { syscall!(Sysno::close, fd) };
    }
}

/// Makes an unnamed file in memory with `memfd_create`, since 3.17. Close-on-exec.
pub(crate) fn memory_file() -> Sys<OwnedFd> {
    let name = c"introspection".as_ptr();
    // SAFETY: a live string.
    let fd = check(unsafe { syscall!(Sysno::memfd_create, name, k::MFD_CLOEXEC) })?;
    // SAFETY: just opened, so no other code owns it.
    Ok(unsafe { OwnedFd::from_raw(fd as i32) })
}

/// Waits until data can be read or the other end is closed, at most until `millis`
/// milliseconds after `since`.
pub(crate) fn wait_readable(fd: BorrowedFd<'_>, since: u64, millis: u64) -> bool {
    let mut poll = k::pollfd {
        fd: fd.raw(),
        events: k::POLLIN as i16,
        revents: 0,
    };
    loop {
        let passed = (monotonic_nanos() / 1_000_000).saturating_sub(since);
        let Some(left) = millis.checked_sub(passed).filter(|&left| left > 0) else {
            return false;
        };
        let time = [(left / 1000) as i64, (left % 1000 * 1_000_000) as i64];
        #[cfg(target_pointer_width = "64")]
        let call = Sysno::ppoll;
        #[cfg(target_pointer_width = "32")]
        let call = Sysno::ppoll_time64;
        // SAFETY: the kernel reads a live time and writes a live structure.
        let polled = check(unsafe { syscall!(call, &raw mut poll, 1, time.as_ptr(), 0, 0) });
        match polled {
            Ok(count) => return count > 0,
            Err(Errno::EINTR) => {}
            Err(_) => return false,
        }
    }
}

/// Kills a child that was not reaped yet.
pub(crate) fn kill(child: i32) {
    // SAFETY: takes no memory; the number is the child's until it is reaped.
    let _ = unsafe { syscall!(Sysno::kill, child, k::SIGKILL) };
}

/// Reaps a child that ends by itself, or, without `waiting`, one that has ended by now.
/// Returns whether it no longer exists.
pub(crate) fn reap(child: i32, waiting: bool) -> bool {
    let flags = k::__WALL | if waiting { 0 } else { k::WNOHANG };
    // SAFETY: nothing is written without a pointer for the status.
    let reaped = retry(|| check(unsafe { syscall!(Sysno::wait4, child, 0, flags, 0) }));
    // ECHILD: other code has reaped it.
    reaped != Ok(0)
}
