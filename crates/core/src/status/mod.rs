//! Status of processes and threads, from the small text files below `/proc`. Owns the
//! reading of these files and the types that both have in common; knows no memory but the
//! mapping of a stack and of a program's header.
//!
//! Most of it every caller may read of every process. The rest needs the right to read or
//! to trace the process, and is `None` without it.

pub mod process;
pub mod thread;

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

use crate::descriptor::{BorrowedFd, OwnedFd};
use crate::error::{CoreError, Errno, Operation, Result};
use crate::proc_text::{number_of_base, LineStarts, Stat};
use crate::process::process_error;
use crate::sys;

/// State of a thread, or of a process by its first thread.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RunState {
    /// Runs, or waits for a CPU (`R`).
    Running,
    /// Waits, and a signal can end the wait (`S`).
    Sleeping,
    /// Waits, and no signal ends the wait (`D`).
    Uninterruptible,
    /// Idle thread of the kernel (`I`).
    Idle,
    /// Stopped by job control (`T`).
    Stopped,
    /// Stopped by a tracer (`t`).
    Traced,
    /// Has ended (`Z`, `X`).
    Ended,
    /// Another letter of the kernel's.
    Other(u8),
}

impl RunState {
    fn of(letter: u8) -> Self {
        match letter {
            b'R' => Self::Running,
            b'S' => Self::Sleeping,
            b'D' => Self::Uninterruptible,
            b'I' => Self::Idle,
            b'T' => Self::Stopped,
            b't' => Self::Traced,
            b'Z' | b'X' | b'x' => Self::Ended,
            other => Self::Other(other),
        }
    }
}

/// Scheduling policy (sched(7)).
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Policy {
    /// `SCHED_OTHER`.
    Other,
    /// `SCHED_FIFO`.
    Fifo,
    /// `SCHED_RR`.
    RoundRobin,
    /// `SCHED_BATCH`.
    Batch,
    /// `SCHED_IDLE`.
    Idle,
    /// `SCHED_DEADLINE`.
    Deadline,
    /// Another number of the kernel's.
    Unknown(u32),
}

/// Scheduling of a thread.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Scheduling {
    /// Policy of the thread.
    pub policy: Policy,
    /// Real-time priority of the thread itself, 1 to 99; 0 for policies without one.
    pub real_time_priority: u32,
    /// Real-time priority by which the thread is scheduled now, which it can have
    /// inherited through a mutex; 100 for a deadline; 0 for none.
    pub effective_real_time_priority: u32,
    /// CPU on which the thread runs or ran last.
    pub last_cpu: u32,
}

impl Scheduling {
    /// Fields 18, 39, 40 and 41. The kernel's priority is -1 less the real-time priority,
    /// -101 for a deadline, and not negative for others (fs/proc/array.c `do_task_stat`,
    /// kernel/sched/core.c `task_prio`).
    fn of(stat: &Stat<'_>) -> Option<Self> {
        let policy = match stat.number(41)? {
            0 => Policy::Other,
            1 => Policy::Fifo,
            2 => Policy::RoundRobin,
            3 => Policy::Batch,
            5 => Policy::Idle,
            6 => Policy::Deadline,
            other => Policy::Unknown(other),
        };
        let priority: i64 = stat.number(18)?;
        Some(Self {
            policy,
            real_time_priority: stat.number(40)?,
            effective_real_time_priority: u32::try_from(-1 - priority).unwrap_or(0),
            last_cpu: stat.number(39)?,
        })
    }
}

/// Set of signals: bit n - 1 stands for signal n, by this architecture's numbers.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct SignalSet(pub u64);

impl SignalSet {
    /// Returns whether a signal is in the set.
    pub const fn contains(self, signal: u32) -> bool {
        matches!(signal, 1..=64) && self.0 >> (signal - 1) & 1 != 0
    }

    fn of(digits: &[u8]) -> Option<Self> {
        number_of_base(digits, 16).map(Self)
    }
}

/// Flags of a task (`PF_*`, include/linux/sched.h, Linux 5.10 to 7.2).
const PF_EXITING: u64 = 0x4;
const PF_FORKNOEXEC: u64 = 0x40;
const PF_KTHREAD: u64 = 0x20_0000;

/// Duration of one clock tick in `stat`: a hundredth of a second on every architecture
/// (`USER_HZ`, include/asm-generic/param.h, Linux 5.10 to 7.2).
const TICK: Duration = Duration::from_millis(10);

/// Returns the duration of a number of ticks, in a field of `stat`.
fn ticks(stat: &Stat<'_>, field: usize) -> Option<Duration> {
    let ticks: u64 = stat.number(field)?;
    let (seconds, rest) = (ticks / 100, (ticks % 100) as u32);
    Some(Duration::from_secs(seconds) + TICK * rest)
}

/// Returns the time since the Epoch of a time since boot; `None` where the clocks cannot
/// be read.
fn since_epoch(since_boot: Duration) -> Option<Duration> {
    Some(Duration::from_nanos(boot_time()?) + since_boot)
}

/// Time of the boot that was computed last, 0 before; in nanoseconds since the Epoch.
static BOOT_TIME: AtomicU64 = AtomicU64::new(0);

/// Returns the nanoseconds from the Epoch to the boot. Two clocks are read one after the
/// other, so that each result is a little different: the first one is kept until it is
/// wrong by a tick, as after the clock was set. Threads may compute it at once.
fn boot_time() -> Option<u64> {
    let now = sys::boot_time_nanos()?;
    let known = BOOT_TIME.load(Ordering::Relaxed);
    if u128::from(known.abs_diff(now)) < TICK.as_nanos() {
        return Some(known);
    }
    BOOT_TIME.store(now, Ordering::Relaxed);
    Some(now)
}

/// Size of a buffer for all of `stat` that is needed: of 52 fields the first 41 fill fewer than 700 bytes
/// with the largest numbers and the longest name (64 bytes of a worker of the kernel).
const STAT: usize = 1024;

/// Reads a `stat` file into a buffer and returns its fields; ESRCH if the file was empty.
fn read_stat<'a>(dir: BorrowedFd<'_>, text: &'a mut [u8]) -> Result<Stat<'a>> {
    let file = open(dir, b"stat\0")?;
    let len = sys::pread_all(file.borrow(), text, 0).map_err(failed)?;
    Stat::parse(&text[..len]).ok_or(CUT)
}

/// Error of a text that lacks a field.
const CUT: CoreError = CoreError::new(Errno::ESRCH, Operation::ReadStatus);

/// Maximum length of a line's beginning that is needed of `status` and `timers`.
const LINE: usize = 80;

/// Calls `each` with the name and the value of each line of a file such as `status`. Lines
/// are cut: that of the groups can have 700,000 bytes.
fn each_line(dir: BorrowedFd<'_>, path: &[u8], mut each: impl FnMut(&[u8], &[u8])) -> Result<()> {
    let file = open(dir, path)?;
    let mut lines = LineStarts::<LINE>::new();
    let mut piece = [0; 512];
    let mut at = 0;
    loop {
        let len = sys::pread(file.borrow(), &mut piece, at).map_err(failed)?;
        if len == 0 {
            return Ok(());
        }
        at += len as u64;
        lines.push(&piece[..len], |line| {
            if let Some(colon) = line.iter().position(|&byte| byte == b':') {
                each(&line[..colon], line[colon + 1..].trim_ascii());
            }
        });
    }
}

fn open(dir: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd> {
    sys::openat(dir, path, 0).map_err(failed)
}

fn open_directory(dir: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd> {
    sys::openat(dir, path, sys::O_DIRECTORY).map_err(failed)
}

fn failed(errno: Errno) -> CoreError {
    process_error(errno, Operation::ReadStatus)
}

/// Returns the result of reading a file that need not be readable; `None` if it is not.
/// Errors for lack of descriptors or memory are returned.
fn if_permitted<T>(read: Result<T>) -> Result<Option<T>> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(error) if matches!(error.errno(), Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM) => {
            Err(error)
        }
        Err(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities_are_those_of_real_time_policies() {
        let of = |priority: i32, real_time: u32, policy: u32| {
            let zeros = "0 ".repeat(20);
            let text = std::format!(
                "7 (a) b) S 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 {priority} 0 1 0 99 {zeros}\
                 3 {real_time} {policy} 0 0\n"
            );
            let text = text.replace(&zeros, &"0 ".repeat(16));
            Scheduling::of(&Stat::parse(text.as_bytes()).unwrap()).unwrap()
        };
        let other = of(20, 0, 0);
        assert_eq!(other.policy, Policy::Other);
        assert_eq!(other.last_cpu, 3);
        assert_eq!(other.effective_real_time_priority, 0);
        // A thread of the lowest nice value is none of real time.
        assert_eq!(of(0, 0, 3).effective_real_time_priority, 0);
        let fifo = of(-51, 50, 1);
        assert_eq!(fifo.policy, Policy::Fifo);
        assert_eq!(
            (fifo.real_time_priority, fifo.effective_real_time_priority),
            (50, 50)
        );
        // Boosted by a mutex.
        let boosted = of(-91, 0, 0);
        assert_eq!(boosted.real_time_priority, 0);
        assert_eq!(boosted.effective_real_time_priority, 90);
        assert_eq!(of(-101, 0, 6).effective_real_time_priority, 100);
        assert_eq!(of(20, 0, 9).policy, Policy::Unknown(9));
    }

    #[test]
    fn a_set_of_signals_is_hexadecimal() {
        let set = SignalSet::of(b"8000000000000003").unwrap();
        assert!(set.contains(1) && set.contains(2) && set.contains(64));
        assert!(!set.contains(0) && !set.contains(3) && !set.contains(65));
        assert_eq!(SignalSet::of(b"x"), None);
    }
}
