//! Threads of a process and the status of each. Knows no registers but those that the
//! kernel shows of a thread that waits.

use core::ops::ControlFlow;
use core::time::Duration;

use super::{
    each_line, if_permitted, open_directory, read_stat, since_epoch, ticks, RunState, Scheduling,
    SignalSet, CUT, STAT,
};
use crate::addr::{AddrRange, VirtAddr};
use crate::descriptor::{BorrowedFd, OwnedFd};
use crate::error::{CoreError, Errno, Operation, Result};
use crate::proc_text::{number, Suspension};
use crate::process::{
    each_entry, Access, PathBuffer, ProcessDirectory, ProcessHandle, ProgramHeaders,
};
use crate::sys;
use crate::vma::VmaCursor;

/// Status of a thread, each fact as it was when its file was read.
#[derive(Copy, Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ThreadStatus {
    /// Thread ID, in the caller's PID namespace, or that of the `/proc` that was used.
    pub tid: u32,
    /// State of the thread.
    pub state: RunState,
    /// True if another process traces the thread.
    pub is_traced: bool,
    /// Reason of the wait of a sleeping thread; `None` if it does not wait, or without the
    /// right to attach to the process with ptrace.
    pub wait: Option<Wait>,
    /// Place of a thread that does not run; `None` if it was running, and without the right
    /// to attach to the process with ptrace.
    pub suspension: Option<Suspension>,
    /// Mapping that contains the stack pointer; `None` if that is unknown, or in none.
    pub stack: Option<AddrRange>,
    /// Scheduling of the thread.
    pub scheduling: Scheduling,
    /// Blocked signals.
    pub blocked_signals: SignalSet,
    /// Signals that wait for this thread.
    pub pending_signals: SignalSet,
    /// Time of the start since boot, suspended time included, exact to 10 ms.
    pub started: Duration,
    /// Time of the start since the Epoch; `None` where the clock cannot be read. Equal in all
    /// calls of one process, unless the clock was set.
    pub started_since_epoch: Option<Duration>,
    /// CPU time: exact where the kernel has `schedstat` (`CONFIG_SCHED_INFO`), else to
    /// 10 ms.
    pub cpu_time: Duration,
}

/// Reason why a thread sleeps, by its system call.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wait {
    /// For a time: `nanosleep`, `clock_nanosleep`.
    Time,
    /// For any signal: `pause`, `rt_sigsuspend`.
    Signal,
    /// For a signal that the call returns: `rt_sigtimedwait`.
    SignalInformation,
    /// For a lock with priority inheritance, at this address.
    InheritingLock(u64),
    /// At a futex, at this address: a lock, a condition, a semaphore, a thread's end,
    /// which cannot be distinguished.
    Futex(u64),
    /// In another call.
    Other,
}

/// Directory of a process's threads.
#[derive(Debug)]
pub struct Threads {
    tasks: OwnedFd,
}

impl Threads {
    /// Opens the directory.
    ///
    /// # Errors
    /// ESRCH if the process was reaped; EPERM if it is hidden.
    pub fn open(process: &ProcessDirectory) -> Result<Self> {
        let tasks = open_directory(process.borrow(), b"task\0")?;
        Ok(Self { tasks })
    }

    /// Returns the status of the thread with the lowest ID from `tid` on; `None` if there is
    /// none. Threads that have ended are skipped.
    ///
    /// # Errors
    /// ESRCH if the process was reaped.
    pub fn status_from(
        &self,
        process: &ProcessDirectory,
        tid: u32,
    ) -> Result<Option<ThreadStatus>> {
        let mut from = tid;
        while let Some(tid) = self.next_id(from)? {
            if let Some(status) = self.status_of(process, tid)? {
                return Ok(Some(status));
            }
            // It has ended.
            match tid.checked_add(1) {
                Some(next) => from = next,
                None => break,
            }
        }
        process.check_exists()?;
        Ok(None)
    }

    /// Returns the lowest thread ID from `from` on: the minimum of a whole pass over the
    /// directory, since the order of its entries is that in which threads were made, and
    /// a new thread can have a lower ID.
    #[inline(never)]
    pub fn next_id(&self, from: u32) -> Result<Option<u32>> {
        let mut lowest = None;
        self.each_id(|tid| {
            if tid >= from {
                lowest = Some(lowest.map_or(tid, |lowest: u32| lowest.min(tid)));
            }
        })?;
        Ok(lowest)
    }

    /// Calls `each` with the thread IDs of a whole pass over the directory, in no particular
    /// order. That of a first thread that has ended is among them.
    ///
    /// # Errors
    /// ESRCH if the process was reaped.
    pub fn each_id(&self, mut each: impl FnMut(u32)) -> Result<()> {
        // The position of a directory belongs to the descriptor.
        let tasks = sys::openat(self.tasks.borrow(), b".\0", sys::O_DIRECTORY).map_err(listing)?;
        let passed = each_entry(tasks.borrow(), &mut [0; 1024], |name| {
            if let Some(tid) = name.strip_suffix(b"\0").and_then(number) {
                each(tid);
            }
            ControlFlow::<()>::Continue(())
        });
        passed.map(|_| ()).map_err(listing)
    }

    /// Returns the status of one thread; `None` if it does not exist or has ended.
    ///
    /// # Errors
    /// ESRCH if the process was reaped.
    pub fn status_of(&self, process: &ProcessDirectory, tid: u32) -> Result<Option<ThreadStatus>> {
        match self.read(process, tid) {
            Ok(status) => Ok(status),
            Err(error) if error.errno() == Errno::ESRCH => {
                process.check_exists()?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn read(&self, process: &ProcessDirectory, tid: u32) -> Result<Option<ThreadStatus>> {
        let thread = self.open_thread(tid)?;
        let Some(mut status) = from_stat(thread.borrow(), tid)? else {
            return Ok(None);
        };
        read_lines(thread.borrow(), &mut status)?;
        if let Some(exact) = if_permitted(cpu_time(thread.borrow()))?.flatten() {
            status.cpu_time = exact;
        }
        // A running thread has no place.
        if status.state != RunState::Running {
            read_place(process, thread.borrow(), &mut status)?;
        }
        Ok(Some(status))
    }

    pub(crate) fn open_thread(&self, tid: u32) -> Result<OwnedFd> {
        let mut path = PathBuffer::new();
        path.push_decimal(tid.into()).push(b"\0");
        let flags = sys::O_PATH | sys::O_DIRECTORY;
        sys::openat(self.tasks.borrow(), path.as_bytes(), flags).map_err(listing)
    }
}

fn listing(errno: Errno) -> CoreError {
    crate::process::process_error(errno, Operation::ListProcesses)
}

#[inline(never)]
fn from_stat(thread: BorrowedFd<'_>, tid: u32) -> Result<Option<ThreadStatus>> {
    let mut text = [0; STAT];
    let stat = read_stat(thread, &mut text)?;
    let state = RunState::of(stat.state().ok_or(CUT)?);
    if state == RunState::Ended {
        return Ok(None);
    }
    let fields = || {
        Some(ThreadStatus {
            tid,
            state,
            is_traced: false,
            wait: None,
            suspension: None,
            stack: None,
            scheduling: Scheduling::of(&stat)?,
            blocked_signals: SignalSet::default(),
            pending_signals: SignalSet::default(),
            started: ticks(&stat, 22)?,
            started_since_epoch: None,
            cpu_time: ticks(&stat, 14)? + ticks(&stat, 15)?,
        })
    };
    fields().map(Some).ok_or(CUT)
}

#[inline(never)]
fn read_lines(thread: BorrowedFd<'_>, status: &mut ThreadStatus) -> Result<()> {
    let (mut blocked, mut pending) = (None, None);
    each_line(thread, b"status\0", |name, value| match name {
        b"TracerPid" => status.is_traced = number::<u32>(value).is_some_and(|tracer| tracer != 0),
        b"SigBlk" => blocked = SignalSet::of(value),
        b"SigPnd" => pending = SignalSet::of(value),
        _ => {}
    })?;
    status.blocked_signals = blocked.ok_or(CUT)?;
    status.pending_signals = pending.ok_or(CUT)?;
    status.started_since_epoch = since_epoch(status.started);
    Ok(())
}

/// Returns whether a thread has ended and was not waited for.
#[inline(never)]
pub(crate) fn has_ended(thread: BorrowedFd<'_>) -> Result<bool> {
    let mut text = [0; 128];
    let stat = read_stat(thread, &mut text)?;
    Ok(RunState::of(stat.state().ok_or(CUT)?) == RunState::Ended)
}

/// Returns whether another process traces a thread.
pub(crate) fn is_traced(thread: BorrowedFd<'_>) -> Result<bool> {
    let mut is_traced = false;
    each_line(thread, b"status\0", |name, value| {
        is_traced |= name == b"TracerPid" && number::<u32>(value).is_some_and(|pid| pid != 0);
    })?;
    Ok(is_traced)
}

/// Reads the nanoseconds that the thread has run (fs/proc/base.c, `proc_pid_schedstat`).
#[inline(never)]
fn cpu_time(thread: BorrowedFd<'_>) -> Result<Option<Duration>> {
    let file = super::open(thread, b"schedstat\0")?;
    let mut text = [0; 80];
    let len = sys::pread(file.borrow(), &mut text, 0).map_err(super::failed)?;
    let mut fields = text[..len].split(|&byte| byte == b' ');
    let nanos = fields.next().and_then(number);
    // The number is whole if another one follows.
    Ok(fields.next().and(nanos).map(Duration::from_nanos))
}

/// Reads where a thread waits, and finds the mapping of its stack.
#[inline(never)]
fn read_place(
    process: &ProcessDirectory,
    thread: BorrowedFd<'_>,
    status: &mut ThreadStatus,
) -> Result<()> {
    let opened = ProcessHandle::from_proc_dir(process.reopen()?, Access::Layout);
    let Some(handle) = if_permitted(opened)?.filter(ProcessHandle::has_memory) else {
        return Ok(());
    };
    let headers = if_permitted(ProgramHeaders::read(&handle))?.flatten();
    let Some(mut place) = if_permitted(suspension(thread))?.flatten() else {
        return Ok(());
    };
    let stack = if_permitted(mapping_of(&handle, place.stack_pointer))?.flatten();
    // An exec in between would pair the facts of two memories.
    if if_permitted(handle.check_same_memory())?.is_none() {
        return Ok(());
    }
    // There the number is that of a register which keeps its value outside of calls
    // (`syscall_get_nr`, arch/riscv/include/asm/syscall.h, Linux 6.12).
    if cfg!(target_arch = "riscv64") && status.state != RunState::Sleeping {
        place.system_call = None;
    }
    status.suspension = Some(place);
    status.stack = stack;
    // Numbers of calls depend on the program's word size.
    let is_own = headers.is_some_and(|headers| headers.word_size.is_own());
    let sleeps = matches!(status.state, RunState::Sleeping | RunState::Uninterruptible);
    if let (true, true, Some(call)) = (is_own, sleeps, place.system_call) {
        status.wait = Some(match sys::wait_of(call.number, &call.arguments) {
            sys::WaitCall::Time => Wait::Time,
            sys::WaitCall::Signal => Wait::Signal,
            sys::WaitCall::SignalInformation => Wait::SignalInformation,
            sys::WaitCall::InheritingLock => Wait::InheritingLock(call.arguments[0]),
            sys::WaitCall::Futex => Wait::Futex(call.arguments[0]),
            sys::WaitCall::Other => Wait::Other,
        });
    }
    Ok(())
}

#[inline(never)]
fn suspension(thread: BorrowedFd<'_>) -> Result<Option<Suspension>> {
    let file = super::open(thread, b"syscall\0")?;
    let mut text = [0; 256];
    let len = sys::pread(file.borrow(), &mut text, 0).map_err(super::failed)?;
    Ok(Suspension::parse(&text[..len]))
}

#[inline(never)]
fn mapping_of(process: &ProcessHandle, address: u64) -> Result<Option<AddrRange>> {
    let vma = VmaCursor::new([0u8; 0]).next_from(process, address)?;
    let range = vma.map(|vma| vma.range);
    Ok(range.filter(|range| range.contains(VirtAddr::new(address))))
}
