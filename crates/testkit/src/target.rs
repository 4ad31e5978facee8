//! Child processes that make some memory, tell where it is, and then hold
//! still until they are dropped.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// A child process. Dropping kills and reaps it.
#[derive(Debug)]
pub struct Target {
    pid: libc::pid_t,
    addresses: Vec<u64>,
    /// Closing it lets a child that waits for it go on.
    _hold: Option<OwnedFd>,
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

impl Target {
    /// Forks a child that runs `make`, reports the addresses it gives, and
    /// then waits. `make` should stay with plain system calls.
    pub fn spawn(make: impl FnOnce() -> Vec<u64>) -> Self {
        Self::spawn_then(make, || ())
    }

    /// As [`Target::spawn`]; when [`Target::release`] is called the child runs
    /// `then` and, should that return, exits.
    pub fn spawn_then(make: impl FnOnce() -> Vec<u64>, then: impl FnOnce()) -> Self {
        let (report_from, report_to) = pipe();
        let (hold_from, hold_to) = pipe();
        // SAFETY: the child of a process with threads goes on with system calls
        // and what allocation glibc makes safe after fork; it never returns.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0, "fork: {}", io::Error::last_os_error());
        if pid == 0 {
            drop(hold_to);
            // SAFETY: plain system calls; a parent that died already is noticed.
            unsafe {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            }
            let addresses = make();
            let bytes: Vec<u8> = addresses
                .iter()
                .flat_map(|address| address.to_ne_bytes())
                .collect();
            let count = (addresses.len() as u64).to_ne_bytes();
            // SAFETY: live buffers with their lengths; exits without unwinding.
            unsafe {
                libc::write(report_to.as_raw_fd(), count.as_ptr().cast(), count.len());
                libc::write(report_to.as_raw_fd(), bytes.as_ptr().cast(), bytes.len());
                libc::close(report_to.as_raw_fd());
                let mut byte = 0u8;
                libc::read(hold_from.as_raw_fd(), (&raw mut byte).cast(), 1);
                then();
                libc::_exit(0);
            }
        }
        drop(report_to);
        let mut target = Self {
            pid,
            addresses: Vec::new(),
            _hold: Some(hold_to),
        };
        let mut words = WordReader(report_from);
        let count = words
            .next()
            .unwrap_or_else(|| panic!("the target {pid} ended before it reported"));
        target
            .addresses
            .extend((0..count).map(|_| words.next().expect("a whole report")));
        target
    }

    /// Its PID.
    pub fn pid(&self) -> u32 {
        self.pid as u32
    }

    /// What it reported.
    pub fn addresses(&self) -> &[u64] {
        &self.addresses
    }

    /// Lets it go on.
    pub fn release(&mut self) {
        self._hold = None;
    }

    /// Kills it without reaping it: a zombie.
    pub fn kill(&self) {
        // SAFETY: the PID is our unreaped child's.
        unsafe {
            libc::kill(self.pid, libc::SIGKILL);
            let mut info = std::mem::zeroed::<libc::siginfo_t>();
            libc::waitid(
                libc::P_PID,
                self.pid as u32,
                &mut info,
                libc::WEXITED | libc::WNOWAIT,
            );
        }
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
