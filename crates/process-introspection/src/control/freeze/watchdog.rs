//! Process that releases another one when this process ends without a release. Knows the
//! method, not the stopped process.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::event::{poll, PollFd, PollFlags};
use rustix::io::Errno;
use rustix::process::{getpid, pidfd_open, setsid, waitpid, Pid, PidfdFlags, WaitOptions};

use super::stop_method::StopMethod;
use crate::sys;

const READY: u8 = b'+';
const DISMISSED: u8 = b'-';

/// Child of this process that waits for its end.
#[derive(Debug)]
pub(super) struct Watchdog {
    pid: Pid,
    line: UnixStream,
}

impl Watchdog {
    /// Starts a watchdog, and returns when it is ready.
    ///
    /// The watchdog waits for the end of its line, which also an exec closes, and for the
    /// end of this process: some other child, forked by another thread meanwhile, could
    /// keep the line open.
    pub(super) fn start(method: &StopMethod) -> io::Result<Self> {
        let (mut line, its_end) = UnixStream::pair()?;
        let parent = pidfd_open(getpid(), PidfdFlags::empty())?;
        let pid = sys::fork_unseen(|| guard(method, its_end.as_fd(), &parent))?;
        drop(its_end);
        let mut answer = [0];
        // Made before the check of the result: in every case the child is reaped.
        let result = line.read_exact(&mut answer);
        let watchdog = Self { pid, line };
        match result {
            Ok(()) if answer[0] == READY => Ok(watchdog),
            _ => {
                watchdog.dismiss();
                Err(io::Error::from_raw_os_error(libc::ECHILD))
            }
        }
    }

    /// Ends the watchdog: there is nothing to release any more.
    pub(super) fn dismiss(self) {
        // If it was killed, nobody reads the word.
        let _ = (&self.line).write_all(&[DISMISSED]);
        let all = WaitOptions::from_bits_retain(libc::__WALL as u32);
        while matches!(waitpid(Some(self.pid), all), Err(Errno::INTR)) {}
    }
}

/// Runs in the child until it ends. It allocates nothing.
fn guard(method: &StopMethod, line: BorrowedFd<'_>, parent: &OwnedFd) {
    // A session of its own protects it from the terminal's signals; they are blocked as
    // well.
    let _ = setsid();
    let _ = rustix::thread::set_name(c"introspect-free");
    // The closed ones include the line's other end, and pipes whose readers wait for the
    // last writer.
    sys::close_all_but([method.as_fd(), line, parent.as_fd()]);
    if rustix::io::write(line, &[READY]).is_err() {
        return;
    }
    loop {
        let mut events = [
            PollFd::new(&line, PollFlags::IN),
            PollFd::new(parent, PollFlags::IN),
        ];
        match poll(&mut events, None) {
            Err(Errno::INTR) => continue,
            Err(_) => break,
            Ok(_) => {}
        }
        // A word that was sent counts, even if its sender has ended since.
        if !events[0].revents().is_empty() {
            let mut word = [0];
            match rustix::io::read(line, &mut word) {
                Err(Errno::INTR) => continue,
                Ok(1) if word[0] == DISMISSED => return,
                _ => break,
            }
        }
        if !events[1].revents().is_empty() {
            break;
        }
    }
    method.release();
}
