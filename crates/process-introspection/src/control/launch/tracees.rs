//! Waits for the threads that the calling thread traces, and for nothing else of this
//! process. Knows the tracees, not the purpose of the trace.
//!
//! A wait for any child would suffice for a thread that has none of its own. But when a
//! thread ends, its children become another's (`forget_original_parent`, Linux 6.18,
//! kernel/exit.c), which can be this one, and code that is called here can start some.
//! Therefore a change is examined first (WNOWAIT), and taken only if it is a tracee's.
//!
//! A stop at the delivery of a signal is never taken, only ended: a tracee whose tracer
//! ends before continues with the signal that it stopped with (`exit_code`, which a wait
//! without WNOWAIT clears: `wait_task_stopped`). Thus no signal is lost whenever this
//! process ends. Other stops are taken: after an exec by another than the first thread no
//! request to the tracee works before (`looks_like_a_spurious_pid`, kernel/ptrace.c, since
//! Linux 5.13).

use std::collections::HashSet;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use process_introspection_core::proc_text::{number, value_of};
use rustix::io::Errno;
use rustix::process::{waitpid, Pid, WaitOptions};

use crate::sys::{peek_change, Change};

/// Interval at which tracees are polled one by one, while another child has ended and
/// nobody has waited for it.
const PAUSE: Duration = Duration::from_millis(1);

/// Event of a tracee.
#[derive(Copy, Clone, Debug)]
pub(super) enum Event {
    Stopped(Stop),
    /// The thread has ended and is reaped.
    Ended(ExitStatus),
}

/// Reason of a stop of a traced thread.
#[derive(Copy, Clone, Debug)]
pub(super) struct Stop {
    pub(super) signal: i32,
    /// PTRACE_EVENT, or 0 for the delivery of the signal.
    pub(super) event: i32,
}

impl Stop {
    /// Decodes `si_status`, or `status >> 8` of the status that other waits return.
    pub(super) fn of(code: i32) -> Self {
        Self {
            signal: code & 0xff,
            event: code >> 8,
        }
    }
}

/// Threads that the calling thread traces.
#[derive(Debug)]
pub(super) struct Tracees {
    /// Threads that are not reaped, as far as they are known.
    known: HashSet<i32>,
    tracer: i32,
}

impl Tracees {
    /// Returns the tracees of the calling thread when it has one.
    pub(super) fn of(first: i32) -> Self {
        Self {
            known: HashSet::from([first]),
            tracer: rustix::thread::gettid().as_raw_nonzero().get(),
        }
    }

    /// Adds a new thread, unless it is no longer traced.
    pub(super) fn add(&mut self, thread: i32) {
        self.is_known(thread);
    }

    /// Removes a thread that is no longer traced.
    pub(super) fn forget(&mut self, thread: i32) {
        self.known.remove(&thread);
    }

    /// Removes all threads but this one, after an exec, which reaps the others.
    pub(super) fn forget_all_but(&mut self, thread: i32) {
        self.known = HashSet::from([thread]);
    }

    /// Waits for the next event of a tracee.
    pub(super) fn next(&mut self) -> io::Result<(i32, Event)> {
        loop {
            let change = match peek_change(None) {
                Ok(Some(change)) => change,
                Ok(None) => continue,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if self.is_known(change.thread) {
                if let Some(event) = self.take(change)? {
                    return Ok((change.thread, event));
                }
            } else if let Some(found) = self.next_beside(change.thread)? {
                return Ok(found);
            }
        }
    }

    /// Waits as [`Tracees::next`] does while a wait for all would return only this child,
    /// which is no tracee; `None` when it no longer does.
    fn next_beside(&mut self, child: i32) -> io::Result<Option<(i32, Event)>> {
        loop {
            for thread in self.known.clone() {
                if let Ok(Some(change)) = peek_change(Some(thread)) {
                    if let Some(event) = self.take(change)? {
                        return Ok(Some((thread, event)));
                    }
                }
            }
            if !matches!(peek_change(Some(child)), Ok(Some(_))) {
                return Ok(None);
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Takes an event of a tracee; `None` if it is no longer there.
    fn take(&mut self, change: Change) -> io::Result<Option<Event>> {
        let is_stop = matches!(change.code, libc::CLD_TRAPPED | libc::CLD_STOPPED);
        let stop = is_stop.then(|| Stop::of(change.status));
        if let Some(stop) = stop.filter(|stop| stop.event == 0) {
            return Ok(Some(Event::Stopped(stop)));
        }
        let options = WaitOptions::NOHANG
            | WaitOptions::from_bits_retain((libc::__WALL | libc::__WNOTHREAD) as u32);
        let status = loop {
            match waitpid(Pid::from_raw(change.thread), options) {
                Ok(Some((_, status))) => break status,
                Ok(None) => return Ok(None),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        };
        if status.stopped() {
            return Ok(Some(Event::Stopped(Stop::of(status.as_raw() >> 8))));
        }
        self.known.remove(&change.thread);
        Ok(Some(Event::Ended(ExitStatus::from_raw(status.as_raw()))))
    }

    /// Returns whether a thread is a tracee. A new one can stop, or end, before the stop of
    /// the thread that has made it.
    fn is_known(&mut self, thread: i32) -> bool {
        if self.known.contains(&thread) {
            return true;
        }
        let status = std::fs::read(format!("/proc/{thread}/status")).unwrap_or_default();
        if value_of(&status, b"TracerPid:").and_then(number) != Some(self.tracer) {
            return false;
        }
        self.known.insert(thread);
        true
    }
}
