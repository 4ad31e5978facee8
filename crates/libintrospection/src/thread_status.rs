//! `debug_thread_t`: the status of a thread in QNX's layout, with QNX's states, flags and
//! policies. Pure, but for the call itself.

use core::mem::offset_of;
use core::time::Duration;

use process_introspection_core::status::thread::{ThreadStatus, Threads, Wait};
use process_introspection_core::status::{Policy, RunState};
use process_introspection_core::{CoreError, Errno, Operation};

use crate::output::Output;
use crate::process_info::{base_priority, effective_priority};
use crate::{lists, Result};

/// `debug_thread_t` of the header. What Linux cannot know is 0.
#[repr(C)]
#[derive(Copy, Clone, Debug, Default)]
pub(crate) struct DebugThread {
    pid: i32,
    tid: u32,
    flags: u32,
    why: u16,
    what: u16,
    ip: u64,
    sp: u64,
    stkbase: u64,
    tls: u64,
    stksize: u32,
    tid_flags: u32,
    priority: u8,
    real_priority: u8,
    policy: u8,
    state: u8,
    syscall: i16,
    last_cpu: u16,
    timeout: u32,
    last_chid: u32,
    sig_blocked: u64,
    sig_pending: u64,
    info32: [u64; 5],
    /// `blocked.sync.id`, 0.
    blocked_id: u64,
    /// `blocked.sync.sync`.
    blocked_sync: u64,
    blocked_rest: [u64; 2],
    start_time: u64,
    sutime: u64,
    extsched: u64,
    nsec_since_block: u64,
    info: [u64; 6],
    reserved: [u64; 4],
}

const _: () = {
    assert!(size_of::<DebugThread>() == SIZE);
    assert!(offset_of!(DebugThread, ip) == 16);
    assert!(offset_of!(DebugThread, stksize) == 48);
    assert!(offset_of!(DebugThread, priority) == 56);
    assert!(offset_of!(DebugThread, syscall) == 60);
    assert!(offset_of!(DebugThread, sig_blocked) == 72);
    assert!(offset_of!(DebugThread, blocked_id) == 128);
    assert!(offset_of!(DebugThread, start_time) == 160);
    assert!(offset_of!(DebugThread, info) == 192);
    assert!(offset_of!(DebugThread, reserved) == 240);
};

const SIZE: usize = 272;

/// `_DEBUG_FLAG_*` of QNX.
const FLAG_STOPPED: u32 = 0x1;
const FLAG_ISTOP: u32 = 0x2;
const FLAG_IPINVAL: u32 = 0x10;

/// `_DEBUG_WHY_JOBCONTROL`.
const WHY_JOBCONTROL: u16 = 3;

impl DebugThread {
    fn of(pid: u32, status: &ThreadStatus) -> Self {
        let nanos = |time: Duration| time.as_nanos() as u64;
        let place = status.suspension;
        let stack = status.stack;
        let call = place.and_then(|place| place.system_call);
        Self {
            pid: pid as i32,
            tid: status.tid,
            flags: flags(status),
            why: match status.state {
                RunState::Stopped => WHY_JOBCONTROL,
                _ => 0,
            },
            ip: place.map_or(0, |place| place.instruction_pointer),
            sp: place.map_or(0, |place| place.stack_pointer),
            stkbase: stack.map_or(0, |stack| stack.start().as_u64()),
            stksize: stack.map_or(0, |stack| {
                u32::try_from(stack.end().as_u64() - stack.start().as_u64()).unwrap_or(u32::MAX)
            }),
            priority: effective_priority(&status.scheduling),
            real_priority: base_priority(&status.scheduling),
            policy: policy(status.scheduling.policy),
            state: state(status),
            syscall: call.map_or(-1, |call| i16::try_from(call.number).unwrap_or(i16::MAX)),
            last_cpu: status.scheduling.last_cpu as u16,
            sig_blocked: status.blocked_signals.0,
            sig_pending: status.pending_signals.0,
            blocked_sync: match status.wait {
                Some(Wait::InheritingLock(address) | Wait::Futex(address)) => address,
                _ => 0,
            },
            start_time: status.started_since_epoch.map_or(0, nanos),
            sutime: nanos(status.cpu_time),
            ..Self::default()
        }
    }

    fn to_bytes(self) -> [u8; SIZE] {
        // SAFETY: the struct consists of integers without padding, as its size is the sum of
        // theirs, so every byte has a value.
        unsafe { core::mem::transmute(self) }
    }
}

/// Callers take flags for the sign of a debugger, so there are none without one.
fn flags(status: &ThreadStatus) -> u32 {
    if !status.is_traced {
        return 0;
    }
    let stop = match status.state {
        RunState::Traced => FLAG_STOPPED | FLAG_ISTOP,
        RunState::Stopped => FLAG_STOPPED,
        _ => 0,
    };
    match status.suspension {
        Some(_) => stop,
        None => stop | FLAG_IPINVAL,
    }
}

/// QNX's numbers: FIFO 1, RR 2, OTHER 3, SPORADIC 4.
fn policy(policy: Policy) -> u8 {
    match policy {
        Policy::Fifo => 1,
        Policy::RoundRobin => 2,
        Policy::Deadline => 4,
        _ => 3,
    }
}

/// QNX's `STATE_*`.
fn state(status: &ThreadStatus) -> u8 {
    match status.state {
        RunState::Ended => 0,
        RunState::Running => 1,
        RunState::Stopped | RunState::Traced => 3,
        state => match status.wait {
            Some(Wait::Signal) => 10,
            Some(Wait::SignalInformation) => 11,
            Some(Wait::Time) => 12,
            Some(Wait::InheritingLock(_)) => 13,
            Some(Wait::Futex(_)) => 14,
            _ if state == RunState::Uninterruptible => 9,
            _ => 6,
        },
    }
}

pub(crate) fn thread_status(pid64: i64, tid: u32, output: Output) -> Result<u64> {
    let bytes = read(pid64, tid)?.to_bytes();
    lists::store_all(output, &bytes)
}

#[inline(never)]
fn read(pid64: i64, tid: u32) -> Result<DebugThread> {
    let process = lists::open(pid64)?;
    let status = Threads::open(&process)?.status_from(&process, tid)?;
    let status = status.ok_or(CoreError::new(Errno::ESRCH, Operation::ListProcesses))?;
    Ok(DebugThread::of(process.pid(), &status))
}
