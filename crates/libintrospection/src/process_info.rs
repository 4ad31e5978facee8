//! `debug_process_t`: the status of a process in QNX's layout, with QNX's flags. Pure, but for
//! the call itself.

use core::mem::offset_of;
use core::time::Duration;

use process_introspection_core::process::WordSize;
use process_introspection_core::status::process::ProcessStatus;
use process_introspection_core::status::{Policy, RunState, Scheduling};

use crate::output::Output;
use crate::{lists, Result};

/// `debug_process_t` of the header. What Linux cannot know is 0.
#[repr(C)]
#[derive(Copy, Clone, Debug, Default)]
pub(crate) struct DebugProcess {
    pid: i32,
    parent: i32,
    flags: u32,
    umask: u32,
    child: i32,
    sibling: i32,
    process_group: i32,
    session: i32,
    base_address: u64,
    initial_stack: u64,
    uid: u32,
    gid: u32,
    euid: u32,
    egid: u32,
    suid: u32,
    sgid: u32,
    sig_ignore: u64,
    sig_queue: u64,
    sig_pending: u64,
    num_chancons: u32,
    num_fdcons: u32,
    num_threads: u32,
    num_timers: u32,
    start_time: u64,
    utime: u64,
    stime: u64,
    cutime: u64,
    cstime: u64,
    priority: u8,
    crit_proc: u8,
    reserved2: [u8; 6],
    extsched: u64,
    pls: u64,
    sigstub: u64,
    canstub: u64,
    private_mem: u64,
    appid: u32,
    type_id: u32,
    reserved: [u64; 8],
}

const _: () = {
    assert!(size_of::<DebugProcess>() == SIZE);
    assert!(offset_of!(DebugProcess, base_address) == 32);
    assert!(offset_of!(DebugProcess, uid) == 48);
    assert!(offset_of!(DebugProcess, sig_ignore) == 72);
    assert!(offset_of!(DebugProcess, num_chancons) == 96);
    assert!(offset_of!(DebugProcess, start_time) == 112);
    assert!(offset_of!(DebugProcess, priority) == 152);
    assert!(offset_of!(DebugProcess, extsched) == 160);
    assert!(offset_of!(DebugProcess, private_mem) == 192);
    assert!(offset_of!(DebugProcess, reserved) == 208);
};

const SIZE: usize = 272;

/// `_NTO_PF_*` of QNX.
const TERMING: u32 = 0x4;
const ZOMBIE: u32 = 0x8;
const FORKED: u32 = 0x20;
const STOPPED: u32 = 0x80;
const DEBUG_STOPPED: u32 = 0x100;
const COREDUMP: u32 = 0x2000;
const SLEADER: u32 = 0x1_0000;
const ASLR: u32 = 0x100_0000;
const BITS_64: u32 = 0x800_0000;

impl DebugProcess {
    fn of(status: &ProcessStatus) -> Self {
        let nanos = |time: Duration| time.as_nanos() as u64;
        Self {
            pid: status.pid as i32,
            parent: status.parent as i32,
            flags: flags(status),
            umask: status.umask.unwrap_or(0),
            process_group: status.process_group as i32,
            session: status.session as i32,
            base_address: status.base_address.map_or(0, |at| at.as_u64()),
            initial_stack: status.initial_stack.map_or(0, |at| at.as_u64()),
            uid: status.users.real,
            gid: status.groups.real,
            euid: status.users.effective,
            egid: status.groups.effective,
            suid: status.users.saved,
            sgid: status.groups.saved,
            sig_ignore: status.ignored_signals.0,
            sig_pending: status.pending_signals.0,
            num_fdcons: status.descriptors.unwrap_or(0),
            num_threads: status.threads,
            num_timers: status.timers.unwrap_or(0),
            start_time: status.started_since_epoch.map_or(0, nanos),
            utime: nanos(status.user_time),
            stime: nanos(status.system_time),
            cutime: nanos(status.children_user_time),
            cstime: nanos(status.children_system_time),
            priority: base_priority(&status.scheduling),
            private_mem: status.private_memory.unwrap_or(0),
            ..Self::default()
        }
    }

    fn to_bytes(self) -> [u8; SIZE] {
        // SAFETY: the struct consists of integers without padding, as its size is the sum of
        // theirs, so every byte has a value.
        unsafe { core::mem::transmute(self) }
    }
}

fn flags(status: &ProcessStatus) -> u32 {
    let set = |is_set, flag| if is_set { flag } else { 0 };
    set(status.is_ending, TERMING)
        | set(status.is_zombie(), ZOMBIE)
        | set(status.has_not_executed, FORKED)
        | set(status.state == RunState::Stopped, STOPPED)
        | set(status.state == RunState::Traced, DEBUG_STOPPED)
        | set(status.is_dumping_core, COREDUMP)
        | set(status.session == status.pid, SLEADER)
        | set(status.has_random_addresses == Some(true), ASLR)
        | set(status.word_size == Some(WordSize::Bits64), BITS_64)
}

/// QNX's default priority, for policies that have none of real time.
const DEFAULT_PRIORITY: u32 = 10;

/// Returns a thread's own priority in QNX's range.
pub(crate) fn base_priority(scheduling: &Scheduling) -> u8 {
    match (scheduling.real_time_priority, scheduling.policy) {
        (0, Policy::Deadline) => 100,
        (0, _) => DEFAULT_PRIORITY as u8,
        (priority, _) => priority.min(255) as u8,
    }
}

/// Returns a thread's current priority in QNX's range.
pub(crate) fn effective_priority(scheduling: &Scheduling) -> u8 {
    match scheduling.effective_real_time_priority {
        0 => base_priority(scheduling),
        priority => priority.min(255) as u8,
    }
}

pub(crate) fn process_info(pid64: i64, output: Output) -> Result<u64> {
    let bytes = read(pid64)?.to_bytes();
    lists::store_all(output, &bytes)
}

#[inline(never)]
fn read(pid64: i64) -> Result<DebugProcess> {
    let process = lists::open(pid64)?;
    Ok(DebugProcess::of(&ProcessStatus::read(&process)?))
}
