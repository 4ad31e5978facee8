//! Child processes that count the pages of files, one for each file system, so that one
//! that does not answer delays no other: only its child waits. Knows no process that uses
//! the files.
//!
//! Threads cannot replace the children. A process with a thread that waits for a server
//! without limit cannot end, killed or not.

use std::io::{self, Read};
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use process_introspection_core::PageSize;
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::process::{
    kill_process, set_parent_process_death_signal, waitpid, Pid, Signal, WaitOptions,
};

use super::probe::{Answer, Prober, Wanted, WORDS};
use crate::sys;

/// Maximum number of children at a time.
const MOST: usize = 32;
/// Maximum time between two calls of `tick`.
const TICK: Duration = Duration::from_millis(50);
/// Time in which a killed child ends, unless it waits for a server without limit.
const KILLING: Duration = Duration::from_millis(20);
/// Number of pages that one call of `mincore` looks at.
const VECTOR: usize = 64 << 10;
/// Maximum number of files of one file system that are left out because they keep a child
/// waiting while the file system answers about others.
const MOST_SILENT: usize = 2;
/// Size of an answer in bytes.
const SIZE: usize = WORDS * 8;

/// Why files of a file system have no answer.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// All files have an answer.
    Complete,
    /// There was none for the length of the deadline.
    Silent,
    /// The child ended early, or none could be made.
    Failed,
}

/// Children that did not end after they were killed.
static ABANDONED: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// Child that counts the pages of the files of one file system.
struct Child {
    pid: Pid,
    answers: UnixStream,
    /// Index of the file system.
    index: usize,
    /// Index of the next file to be answered about.
    next: usize,
    has_answered: bool,
    /// Time of the last answer.
    since: Instant,
    /// Part of an answer.
    rest: Vec<u8>,
}

/// Counts the pages of the files of several file systems, and passes the answers with the
/// index of the file system to `each`. A file system that has not answered for `deadline` is
/// given up; if it has answered before, only the file is, which can keep a child waiting for
/// another reason: the mmap lock of the process whose link is followed.
///
/// Returns how each ended; `None` if `tick`, which is called about twenty times a second,
/// broke off.
pub(super) fn count(
    file_systems: &[Vec<Wanted>],
    deadline: Duration,
    mut each: impl FnMut(usize, &Answer),
    mut tick: impl FnMut() -> ControlFlow<()>,
) -> Option<Vec<Ended>> {
    reap_abandoned();
    let mut ended = vec![Ended::Failed; file_systems.len()];
    let mut children = Children(Vec::new());
    let mut silent = vec![0; file_systems.len()];
    let mut next = 0;
    loop {
        while children.0.len() < MOST && next < file_systems.len() {
            if let Ok(child) = Child::start(next, &file_systems[next], 0) {
                children.0.push(child);
            }
            next += 1;
        }
        if children.0.is_empty() {
            return Some(ended);
        }
        if tick().is_break() {
            return None;
        }
        wait(&children.0);
        let mut at = 0;
        while at < children.0.len() {
            let child = &mut children.0[at];
            let is_open = child.take(&mut each);
            let is_silent = is_open && child.since.elapsed() >= deadline;
            if is_open && !is_silent {
                at += 1;
                continue;
            }
            let child = children.0.swap_remove(at);
            let Child { index, next, .. } = child;
            let goes_on = is_silent && child.has_answered && silent[index] < MOST_SILENT;
            ended[index] = child.end(is_silent);
            if goes_on {
                silent[index] += 1;
                if let Ok(child) = Child::start(index, &file_systems[index], next + 1) {
                    children.0.push(child);
                }
            }
        }
    }
}

/// Children that are killed when they are no longer needed.
struct Children(Vec<Child>);

impl Drop for Children {
    fn drop(&mut self) {
        for child in self.0.drain(..) {
            child.end(true);
        }
    }
}

fn wait(children: &[Child]) {
    let events = |child| PollFd::new(child, PollFlags::IN);
    let mut events: Vec<_> = children
        .iter()
        .map(|child| &child.answers)
        .map(events)
        .collect();
    let timeout = Timespec::try_from(TICK).ok();
    // An error is like an early return: the caller calls again.
    let _ = poll(&mut events, timeout.as_ref());
}

impl Child {
    /// Starts a child for the files from this one on.
    fn start(index: usize, files: &[Wanted], from: usize) -> io::Result<Self> {
        let (answers, its_end) = UnixStream::pair()?;
        answers.set_nonblocking(true)?;
        // Written here, so that the child has the pages already.
        let mut resident = vec![1; VECTOR];
        let page = PageSize::base().bytes() as usize;
        let pid = sys::fork_unseen(|| {
            work(its_end.as_fd(), files, from, &mut resident, page);
        })?;
        Ok(Self {
            pid,
            answers,
            index,
            next: from,
            has_answered: false,
            since: Instant::now(),
            rest: Vec::new(),
        })
    }

    /// Passes the answers that have come to `each`, and returns whether more can come.
    fn take(&mut self, each: &mut impl FnMut(usize, &Answer)) -> bool {
        let mut buffer = [0; 16 * SIZE];
        loop {
            let read = match self.answers.read(&mut buffer) {
                Ok(0) => return false,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
            };
            self.since = Instant::now();
            self.rest.extend_from_slice(&buffer[..read]);
            let whole = self.rest.len() / SIZE * SIZE;
            for bytes in self.rest[..whole].chunks_exact(SIZE) {
                let mut words = [0u64; WORDS];
                sys::bytes_of(&mut words).copy_from_slice(bytes);
                let answer = Answer::from_words(&words);
                if !answer.is_sign_of_life() {
                    self.next += 1;
                    self.has_answered = true;
                    each(self.index, &answer);
                }
            }
            self.rest.drain(..whole);
        }
    }

    /// Reaps the child, or kills it if it is silent.
    fn end(self, is_silent: bool) -> Ended {
        let mut has_ended = !is_silent;
        if is_silent {
            // An error means that it has ended.
            let _ = kill_process(self.pid, Signal::KILL);
            // Its end of the line is closed when it ends.
            let mut events = [PollFd::new(&self.answers, PollFlags::empty())];
            let timeout = Timespec::try_from(KILLING).ok();
            has_ended = matches!(poll(&mut events, timeout.as_ref()), Ok(1..));
        }
        let status = reap(self.pid, has_ended);
        match (is_silent, status) {
            (true, status) => {
                if status.is_none() {
                    let mut abandoned = ABANDONED.lock().unwrap_or_else(PoisonError::into_inner);
                    abandoned.push(self.pid);
                }
                Ended::Silent
            }
            (false, Some(0)) => Ended::Complete,
            (false, _) => Ended::Failed,
        }
    }
}

/// Returns the status of a child that has ended.
fn reap(pid: Pid, waits: bool) -> Option<i32> {
    let mut options = WaitOptions::from_bits_retain(libc::__WALL as u32);
    if !waits {
        options |= WaitOptions::NOHANG;
    }
    loop {
        match waitpid(Some(pid), options) {
            Err(rustix::io::Errno::INTR) => continue,
            Ok(Some((_, status))) => return Some(status.as_raw()),
            Ok(None) => return None,
            // Reaped elsewhere: its status is unknown.
            Err(_) => return Some(-1),
        }
    }
}

fn reap_abandoned() {
    let mut abandoned = ABANDONED.lock().unwrap_or_else(PoisonError::into_inner);
    abandoned.retain(|&pid| reap(pid, false).is_none());
}

/// Runs in the child until all files are counted, or nobody takes the answers. It allocates
/// nothing.
fn work(answers: BorrowedFd<'_>, files: &[Wanted], from: usize, resident: &mut [u8], page: usize) {
    // If it is refused, a child that waits for a server outlives this process.
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    let _ = rustix::thread::set_name(c"introspect-file");
    sys::close_all_but([answers]);
    let send = |answer: &Answer| {
        let mut words = answer.words();
        let mut bytes = &*sys::bytes_of(&mut words);
        while !bytes.is_empty() {
            match rustix::io::write(answers, bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return false,
            }
        }
        true
    };
    let mut prober = Prober::new(page, resident);
    for (index, file) in files.iter().enumerate().skip(from) {
        let alive = || {
            send(&Answer::sign_of_life());
        };
        let answer = prober.count(index as u64, file, alive);
        if !send(&answer) {
            return;
        }
    }
}
