//! Thread that follows a program by ptrace from before its first instruction to its end,
//! and stops it there. ptrace belongs to a thread, so this one makes all requests.
//!
//! PTRACE_EVENT_EXIT comes before a thread releases its memory: do_exit calls ptrace_event
//! before exit_mm (Linux 6.18, kernel/exit.c), also after SIGKILL. The memory goes with the
//! last thread, so the event of the last thread is the program's end; threads that end
//! before continue at once.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitStatus;
use std::str::from_utf8;
use std::sync::mpsc::{channel, Receiver, TryRecvError};
use std::time::Duration;

use process_introspection_core::proc_text::value_of;
use rustix::process::{waitid, Pid, WaitId, WaitIdOptions};

use super::tracees::{Event, Stop, Tracees};
use super::{pidfd_of, Moment, Report, StoppedAtExit};
use crate::control::freeze::{all_stand_still, wait_until};
use crate::sys::{event_message, ptrace, Request};

/// Options from the stop at the first exec on.
const OPTIONS: i32 =
    libc::PTRACE_O_TRACEEXIT | libc::PTRACE_O_TRACECLONE | libc::PTRACE_O_TRACEEXEC;

/// Traces the child at the other end of `line`. `report` receives its pidfd once it is
/// traced, or the reason why it cannot be; `executed` a word when the exec has worked, or
/// its end when it has not.
pub(super) fn run(
    mut line: UnixStream,
    report: &Report,
    executed: &Receiver<()>,
    ready: impl FnOnce(),
    mut notify: impl FnMut(Moment),
) {
    let mut number = [0; 4];
    // No child was forked.
    if line.read_exact(&mut number).is_err() {
        return;
    }
    let pid = i32::from_ne_bytes(number);
    let seized = ptrace(pid, Request::Seize(libc::PTRACE_O_TRACEEXEC));
    let refused = seized
        .as_ref()
        .err()
        .map_or(0, |error| error.raw_os_error().unwrap_or(libc::EPERM));
    if refused == 0 {
        ready();
    }
    // Sent before the child continues: its starter queries the result even after the child
    // has gone.
    let _ = report.send(seized.map(|()| pidfd_of(pid)));
    let _ = line.write_all(&refused.to_ne_bytes());
    if refused != 0 || !reaches_exec(pid, executed) {
        return;
    }
    let mut tracer = Tracer {
        pid,
        tracees: Tracees::of(pid),
        threads: HashSet::from([pid]),
        has_stood: false,
    };
    let status = tracer.follow(&mut notify);
    notify(Moment::Ended(status));
}

/// Lets the child at the other end of `line` execute, untraced, after a call of `ready`.
pub(super) fn let_go(mut line: UnixStream, report: &Report, ready: impl FnOnce()) {
    let mut number = [0; 4];
    // No child was forked.
    if line.read_exact(&mut number).is_err() {
        return;
    }
    ready();
    // The child is not yet reaped: the PID is its own.
    let _ = report.send(Ok(pidfd_of(i32::from_ne_bytes(number))));
    let _ = line.write_all(&0i32.to_ne_bytes());
}

/// Waits until the child is about to stop at its exec, and leaves that stop to be waited
/// for. If it ends before, its parent, the thread that started it, reaps it.
fn reaches_exec(pid: i32, executed: &Receiver<()>) -> bool {
    let Some(child) = Pid::from_raw(pid) else {
        return false;
    };
    let options = WaitIdOptions::STOPPED
        | WaitIdOptions::NOHANG
        | WaitIdOptions::NOWAIT
        | WaitIdOptions::from_bits_retain(libc::__WALL as u32);
    let mut has_executed = false;
    loop {
        if let Ok(Some(status)) = waitid(WaitId::Pid(child), options) {
            let Stop { signal, event } = Stop::of(status.trapping_signal().unwrap_or(0));
            if event == libc::PTRACE_EVENT_EXEC {
                return true;
            }
            // A signal that came before the exec, such as ^C.
            go_on(pid, if event == 0 { signal } else { 0 });
            continue;
        }
        match executed.try_recv() {
            Ok(()) => has_executed = true,
            // The stop is still to come, or the program was killed before it. The thread
            // that has started it no longer waits for it.
            Err(TryRecvError::Disconnected) if has_executed => return true,
            Err(TryRecvError::Disconnected) => return false,
            Err(TryRecvError::Empty) => {}
        }
        std::thread::sleep(Duration::from_micros(50));
    }
}

/// Continues a stopped thread. One that was killed meanwhile continues by itself.
fn go_on(thread: i32, signal: i32) {
    let _ = ptrace(thread, Request::Continue(signal));
}

struct Tracer {
    pid: i32,
    tracees: Tracees,
    /// Threads of the program that have not reached their end.
    threads: HashSet<i32>,
    has_stood: bool,
}

impl Tracer {
    fn follow(&mut self, notify: &mut impl FnMut(Moment)) -> io::Result<ExitStatus> {
        loop {
            match self.tracees.next()? {
                (thread, Event::Stopped(stop)) => self.stopped(thread, stop, notify),
                (thread, Event::Ended(status)) if thread == self.pid => return Ok(status),
                (thread, Event::Ended(_)) => {
                    self.threads.remove(&thread);
                }
            }
        }
    }

    fn stopped(&mut self, thread: i32, stop: Stop, notify: &mut impl FnMut(Moment)) {
        match stop.event {
            libc::PTRACE_EVENT_EXIT => {
                self.threads.remove(&thread);
                self.forget_those_without_a_stop();
                if self.threads.is_empty() && !self.has_stood {
                    self.has_stood = true;
                    self.await_others();
                    let (go_on, wait) = channel();
                    notify(Moment::AtExit(StoppedAtExit { _go_on: go_on }));
                    // Nothing is sent; the wait ends when the sender is dropped.
                    let _ = wait.recv();
                }
                go_on(thread, 0);
            }
            libc::PTRACE_EVENT_EXEC => self.executes(),
            libc::PTRACE_EVENT_CLONE => {
                if let Ok(new) = event_message(thread) {
                    self.tracees.add(new);
                }
                go_on(thread, 0);
            }
            libc::PTRACE_EVENT_STOP if is_stop(stop.signal) => {
                let _ = ptrace(thread, Request::Listen);
            }
            // A new thread, or the end of a stop. The result of clone may also be a process
            // of its own.
            libc::PTRACE_EVENT_STOP => match self.is_known(thread) {
                true => go_on(thread, 0),
                false => {
                    let _ = ptrace(thread, Request::Detach);
                    self.tracees.forget(thread);
                }
            },
            0 => {
                self.is_known(thread);
                go_on(thread, stop.signal);
            }
            _ => go_on(thread, 0),
        }
    }

    /// Removes threads that end without a stop at their end: a thread that ends by itself
    /// does not stop there, or its stop ends, when the process is killed meanwhile
    /// (kernel/signal.c, `ptrace_stop`, Linux 6.1 and 6.18). One thread that lives, or
    /// stops, suffices to show that this is not the last.
    fn forget_those_without_a_stop(&mut self) {
        while let Some(&other) = self.threads.iter().next() {
            let mut state = ThreadState::Killed;
            let mut was_killed = false;
            let known = wait_until(|| {
                state = ThreadState::of(self.pid, other);
                Ok(match state {
                    ThreadState::Stopped | ThreadState::Ended => true,
                    // SIGKILL can vanish from a thread that will not stop: seen on 6.18, 7.2.
                    ThreadState::Open => !was_killed,
                    ThreadState::Killed => {
                        was_killed = true;
                        false
                    }
                })
            });
            if known.is_err() || state != ThreadState::Ended {
                return;
            }
            self.threads.remove(&other);
        }
    }

    /// Waits until the threads that were continued have released their memory: a walk that
    /// reads a process through a thread that is about to release it, as the first may be,
    /// ends in the middle.
    fn await_others(&self) {
        if let Ok(dir) = File::open(format!("/proc/{}", self.pid)) {
            // If a thread takes very long, the process is examined nevertheless.
            let _ = wait_until(|| all_stand_still(&dir));
        }
    }

    /// Continues the process from the stop at its exec: its other threads have ended, and
    /// the one that continues has the first's ID.
    fn executes(&mut self) {
        self.threads = HashSet::from([self.pid]);
        self.tracees.forget_all_but(self.pid);
        let _ = ptrace(self.pid, Request::Options(OPTIONS));
        go_on(self.pid, 0);
    }

    /// Returns whether a thread is one of the program, and remembers it in this case.
    fn is_known(&mut self, thread: i32) -> bool {
        if self.threads.contains(&thread) {
            return true;
        }
        let is_own = Path::new(&format!("/proc/{}/task/{thread}", self.pid)).exists();
        if is_own {
            self.threads.insert(thread);
        }
        is_own
    }
}

/// State of a thread of the program.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum ThreadState {
    /// The thread lives.
    Open,
    /// It has stopped for its tracer.
    Stopped,
    /// SIGKILL is pending: the thread will stop at its end, unless it is past that.
    Killed,
    /// The thread has no memory any more.
    Ended,
}

impl ThreadState {
    fn of(process: i32, thread: i32) -> Self {
        match std::fs::read(format!("/proc/{process}/task/{thread}/status")) {
            Ok(status) => Self::of_status(&status),
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH)) => {
                Self::Ended
            }
            Err(_) => Self::Open,
        }
    }

    fn of_status(status: &[u8]) -> Self {
        match value_of(status, b"State:").and_then(<[u8]>::first) {
            Some(b'Z' | b'X') | None => return Self::Ended,
            Some(b't') => return Self::Stopped,
            Some(_) => {}
        }
        // It is past its stop, whatever signals are pending.
        if value_of(status, b"VmSize:").is_none() {
            return Self::Ended;
        }
        let pending = value_of(status, b"SigPnd:").and_then(|mask| from_utf8(mask).ok());
        let pending = pending.and_then(|mask| u64::from_str_radix(mask, 16).ok());
        match pending.unwrap_or(0) & 1 << (libc::SIGKILL - 1) {
            0 => Self::Open,
            _ => Self::Killed,
        }
    }
}

fn is_stop(signal: i32) -> bool {
    matches!(
        signal,
        libc::SIGSTOP | libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threads_status_tells_what_becomes_of_it() {
        const MEMORY: &str = "VmSize:\t    4096 kB\n";
        for (state, memory, pending, expected) in [
            ("S (sleeping)", MEMORY, "0", ThreadState::Open),
            ("R (running)", MEMORY, "10000", ThreadState::Open),
            ("R (running)", MEMORY, "100", ThreadState::Killed),
            ("R (running)", "", "100", ThreadState::Ended),
            ("R (running)", "", "0", ThreadState::Ended),
            ("t (tracing stop)", MEMORY, "0", ThreadState::Stopped),
            ("Z (zombie)", "", "100", ThreadState::Ended),
        ] {
            let pending = format!("{pending:0>16}");
            let status = format!("Name:\tState:\nState:\t{state}\n{memory}SigPnd:\t{pending}\n");
            assert_eq!(
                ThreadState::of_status(status.as_bytes()),
                expected,
                "{status}"
            );
        }
        assert_eq!(ThreadState::of_status(b""), ThreadState::Ended);
    }
}
