//! Child processes that create memory, report its addresses, and then sleep until they
//! are dropped.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};

/// A child process. Dropping kills and reaps it.
#[derive(Debug)]
pub struct Target {
    pid: libc::pid_t,
    addresses: Vec<u64>,
    /// Closing it resumes a child that waits for it.
    hold: Option<OwnedFd>,
}

fn pipe() -> (OwnedFd, OwnedFd) {
    let mut fds = [0; 2];
    // SAFETY: the kernel writes two descriptors into a live array; both are ours then.
    unsafe {
        assert_eq!(
            libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC),
            0,
            "{}",
            io::Error::last_os_error()
        );
        (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1]))
    }
}

/// Closes, in a forked child, the pipes of children of other threads. A reader of such a
/// pipe waits for all its writers, and this child runs long.
pub(crate) fn close_pipes_but(kept: &[&OwnedFd]) {
    // A process of tests has far fewer descriptors.
    for fd in 3..256 {
        if kept.iter().any(|kept| kept.as_raw_fd() == fd) {
            continue;
        }
        // SAFETY: a live structure; what is closed belongs to code that is not
        // run in this process.
        unsafe {
            let mut status = std::mem::zeroed::<libc::stat>();
            let is_open = libc::fstat(fd, &mut status) == 0;
            if is_open && status.st_mode & libc::S_IFMT == libc::S_IFIFO {
                libc::close(fd);
            }
        }
    }
}

/// Forks, in a target, a child that shares all of its memory, and returns the child's PID. The
/// child runs `act`, which makes system calls and accesses memory only, and then waits for the
/// end of its parent.
pub fn fork_sharer(act: impl FnOnce()) -> u32 {
    // SAFETY: the child goes on with system calls and its own memory alone.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork: {}", io::Error::last_os_error());
    if child == 0 {
        // SAFETY: takes no memory; it ends with its parent.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        act();
        loop {
            // SAFETY: takes no memory.
            unsafe { libc::pause() };
        }
    }
    child as u32
}

impl Target {
    /// Forks a child that runs `make`, reports the returned addresses, and then
    /// waits. `make` should use plain system calls only.
    pub fn spawn(make: impl FnOnce() -> Vec<u64>) -> Self {
        Self::spawn_then(make, || ())
    }

    /// As [`Target::spawn`]; when [`Target::release`] is called the child runs
    /// `then` and, should that return, exits.
    pub fn spawn_then(make: impl FnOnce() -> Vec<u64>, then: impl FnOnce()) -> Self {
        Self::spawn_reporting(|report| {
            let addresses = make();
            report.send(&addresses);
            report.wait();
            then();
        })
    }

    /// Forks a child that runs `run` and exits should that return. `run`
    /// reports by itself, from whichever thread.
    pub fn spawn_reporting(run: impl FnOnce(Report)) -> Self {
        let (report_from, report_to) = pipe();
        let (hold_from, hold_to) = pipe();
        // SAFETY: the child of a process with threads goes on with system calls
        // and what allocation glibc makes safe after fork; it never returns.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0, "fork: {}", io::Error::last_os_error());
        if pid == 0 {
            // SAFETY: takes no memory.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            // Closed below.
            let _ = (report_from.into_raw_fd(), hold_to.into_raw_fd());
            close_pipes_but(&[&report_to, &hold_from]);
            let report = Report {
                to: report_to,
                hold: hold_from,
            };
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(report)));
            // SAFETY: ends this process without running anything of the parent's.
            unsafe { libc::_exit(i32::from(result.is_err())) };
        }
        drop(report_to);
        let mut target = Self {
            pid,
            addresses: Vec::new(),
            hold: Some(hold_to),
        };
        let mut words = WordReader(report_from);
        let count = words
            .next()
            .unwrap_or_else(|| panic!("the target {pid} ended before it reported"));
        target
            .addresses
            .extend((0..count).map(|_| words.next().expect("a whole report")));
        target.settle();
        target
    }

    /// Waits until it sleeps: after its report it still touches pages of its own code. The
    /// wait is short for a child that never sleeps.
    fn settle(&self) {
        let is_busy = || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid));
            stat.is_ok_and(|stat| {
                let state = stat.rsplit(") ").next().unwrap_or_default();
                !state.starts_with(['S', 'Z', 'T', 't'])
            })
        };
        let until = std::time::Instant::now() + std::time::Duration::from_millis(100);
        while is_busy() && std::time::Instant::now() < until {
            std::thread::yield_now();
        }
    }

    /// Returns its PID.
    pub fn pid(&self) -> u32 {
        self.pid as u32
    }

    /// Returns the reported addresses.
    pub fn addresses(&self) -> &[u64] {
        &self.addresses
    }

    /// Resumes it.
    pub fn release(&mut self) {
        self.hold = None;
    }

    /// Stops it as a debugger does, and returns when it has stopped.
    pub fn stop(&self) {
        // SAFETY: the PID is our unreaped child's.
        unsafe { libc::kill(self.pid, libc::SIGSTOP) };
        self.wait_for(libc::WSTOPPED | libc::WEXITED);
    }

    /// Waits for a change of state, which stays to be waited for.
    fn wait_for(&self, states: i32) {
        // SAFETY: the PID is our unreaped child's; a live structure.
        unsafe {
            let mut info = std::mem::zeroed::<libc::siginfo_t>();
            let how = states | libc::WNOWAIT;
            libc::waitid(libc::P_PID, self.pid as u32, &mut info, how);
        }
    }

    /// Resumes it after [`Target::stop`].
    pub fn go_on(&self) {
        // SAFETY: the PID is our unreaped child's.
        unsafe {
            let mut status = 0;
            libc::waitpid(self.pid, &mut status, libc::WUNTRACED | libc::WNOHANG);
            libc::kill(self.pid, libc::SIGCONT);
        }
    }

    /// Kills it without reaping it, which makes it a zombie.
    pub fn kill(&self) {
        // SAFETY: the PID is our unreaped child's.
        unsafe { libc::kill(self.pid, libc::SIGKILL) };
        self.wait_for(libc::WEXITED);
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // SAFETY: the PID is our unreaped child's.
        unsafe {
            libc::kill(self.pid, libc::SIGKILL);
            libc::waitpid(self.pid, std::ptr::null_mut(), 0);
        }
    }
}

/// A child's end of the connection to its parent.
#[derive(Debug)]
pub struct Report {
    to: OwnedFd,
    hold: OwnedFd,
}

impl Report {
    /// Reports these addresses to the parent, when all memory exists.
    pub fn send(&self, addresses: &[u64]) {
        let words = std::iter::once(addresses.len() as u64).chain(addresses.iter().copied());
        let bytes: Vec<u8> = words.flat_map(u64::to_ne_bytes).collect();
        // SAFETY: a live buffer with its length. (A report fits a pipe.)
        unsafe { libc::write(self.to.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) };
    }

    /// Waits until the parent resumes this child.
    pub fn wait(&self) {
        let mut byte = 0u8;
        // SAFETY: a live byte; the read ends when the parent closes its end.
        unsafe { libc::read(self.hold.as_raw_fd(), (&raw mut byte).cast(), 1) };
    }
}

struct WordReader(OwnedFd);

impl WordReader {
    fn next(&mut self) -> Option<u64> {
        let mut bytes = [0u8; 8];
        let mut done = 0;
        while done < bytes.len() {
            let rest = &mut bytes[done..];
            // SAFETY: a live buffer with its length.
            let read =
                unsafe { libc::read(self.0.as_raw_fd(), rest.as_mut_ptr().cast(), rest.len()) };
            match read {
                1.. => done += read as usize,
                _ => return None,
            }
        }
        Some(u64::from_ne_bytes(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_keeps_no_pipe_of_others_open() {
        let (from, to) = pipe();
        let target = Target::spawn(|| vec![1, 2]);
        assert_eq!(target.addresses(), [1, 2]);
        drop(to);
        let mut poll = libc::pollfd {
            fd: from.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one live structure.
        let ready = unsafe { libc::poll(&mut poll, 1, 10_000) };
        assert_eq!((ready, poll.revents), (1, libc::POLLHUP));
    }
}
