//! Tracer that reads the registers of one thread: a child process that shares the memory of
//! its parent, so that it costs the same however large that is. It is no thread of the
//! caller's process, so it can trace threads of that too, and no SIGCHLD and no ordinary wait
//! of the program sees the stop, or its own end. x86-64 and arm64 only: a child on a stack
//! of its own begins in assembly.
//!
//! The child ends after a limited time, whatever the thread does, and the kernel then ends
//! the trace: a thread that was stopped goes on, a request to stop is withdrawn, and a
//! signal that was about to be delivered is delivered (kernel/ptrace.c `__ptrace_unlink`,
//! kernel/signal.c `ptrace_stop`, Linux 5.10 to 6.18).

use core::arch::asm;
use core::sync::atomic::{AtomicU32, Ordering};

use linux_raw_sys::general as k;
use syscalls::{syscall, Sysno};

use super::child::{set_signal_mask, PR_SET_PDEATHSIG};
use super::{check, reap, retry, Sys, KERNEL_SIGSET_SIZE};
use crate::error::Errno;

/// Size of a set of registers: the largest is that of floating-point registers on arm64.
pub(crate) const SET: usize = 528;

/// Set of registers as the kernel has it.
#[derive(Copy, Clone)]
#[repr(C, align(16))]
pub(crate) struct RegisterSet {
    pub(crate) bytes: [u8; SET],
    /// Number of bytes, or the negative error number.
    pub(crate) result: i32,
}

impl RegisterSet {
    pub(crate) const NONE: Self = Self {
        bytes: [0; SET],
        result: -(k_errno::ENODATA as i32),
    };
}

use linux_raw_sys::errno as k_errno;

/// Time after which the child ends: some 20,000 times what a trace takes.
const PATIENCE_SECONDS: i64 = 1;

/// Size of the mapping that the child's stack and the results lie in. The child needs less
/// than 2 KiB of stack in a release build, and handles no signals.
const MAPPING: usize = 64 << 10;

/// Memory at the beginning of the mapping, which both processes use.
#[repr(C)]
struct Shared {
    tid: u32,
    parent: i32,
    /// 1 as soon as the child may begin.
    may_begin: AtomicU32,
    /// 1 as soon as `error`, `general` and `floating` are stored.
    is_done: AtomicU32,
    /// Error number, or 0.
    error: u32,
    general: RegisterSet,
    floating: RegisterSet,
}

/// Reads the general and the floating-point registers of a thread. With `permitting`, for a
/// thread of the calling process, the Yama security module is told that the child may
/// trace this process (`PR_SET_PTRACER`), which replaces what the program has told it.
///
/// # Errors
/// EPERM, ESRCH; ETIMEDOUT if the thread did not stop in time; EAGAIN, ENOMEM.
pub(crate) fn registers(tid: u32, permitting: bool) -> Sys<(RegisterSet, RegisterSet)> {
    let mapping = map()?;
    let read = registers_by(mapping, tid, permitting);
    // SAFETY: exactly what was mapped; the child, which used it, has ended.
    let _ = unsafe { syscall!(Sysno::munmap, mapping, MAPPING) };
    read
}

fn map() -> Sys<*mut u8> {
    let (access, flags) = (
        k::PROT_READ | k::PROT_WRITE,
        k::MAP_PRIVATE | k::MAP_ANONYMOUS,
    );
    // SAFETY: a new mapping at an address of the kernel's choice disturbs nobody.
    let at = check(unsafe { syscall!(Sysno::mmap, 0, MAPPING, access, flags, -1isize, 0) })?;
    Ok(at as *mut u8)
}

fn registers_by(mapping: *mut u8, tid: u32, permitting: bool) -> Sys<(RegisterSet, RegisterSet)> {
    let shared = mapping.cast::<Shared>();
    // SAFETY: takes no memory.
    let parent = check(unsafe { syscall!(Sysno::getpid) })? as i32;
    let new = Shared {
        tid,
        parent,
        may_begin: AtomicU32::new(u32::from(!permitting)),
        is_done: AtomicU32::new(0),
        error: 0,
        general: RegisterSet::NONE,
        floating: RegisterSet::NONE,
    };
    // SAFETY: the new mapping is aligned, writable and larger; nobody else knows it.
    unsafe { shared.write(new) };
    let before = set_signal_mask(u64::MAX);
    // SAFETY: the end of the mapping is aligned and the stack of nobody else; the child
    // uses nothing but `Shared`, which stays mapped until it is reaped.
    let child = unsafe { start(mapping.wrapping_add(MAPPING), shared) };
    set_signal_mask(before);
    let child = child?;
    if permitting {
        permit(child);
        // SAFETY: the child only reads the field, which is atomic.
        let may_begin = unsafe { &(*shared).may_begin };
        may_begin.store(1, Ordering::Release);
        futex(may_begin, k::FUTEX_WAKE, 1);
    }
    reap(child, true);
    // SAFETY: the child, the only other user, has ended.
    let shared = unsafe { &*shared };
    match (shared.is_done.load(Ordering::Acquire), shared.error) {
        (0, _) => Err(Errno::ETIMEDOUT),
        (_, 0) => Ok((shared.general, shared.floating)),
        (_, error) => Err(Errno::from_raw(error as u16)),
    }
}

/// `PR_SET_PTRACER`, include/uapi/linux/prctl.h.
const PR_SET_PTRACER: u32 = 0x5961_6d61;

fn permit(child: i32) {
    // SAFETY: takes no memory. The kernel forgets the child when that has ended; without
    // Yama the call fails, and nothing is needed.
    let _ = unsafe { syscall!(Sysno::prctl, PR_SET_PTRACER, child, 0, 0, 0) };
}

fn futex(word: &AtomicU32, operation: u32, value: u32) {
    // Not private: both processes have the same memory, but that is not what a private
    // futex requires of them to know.
    // SAFETY: the kernel reads a live word.
    let _ = unsafe { syscall!(Sysno::futex, word.as_ptr(), operation, value, 0, 0, 0) };
}

/// Starts the child.
///
/// # Safety
/// `stack` is the aligned end of memory that only the child uses as long as it lives.
unsafe fn start(stack: *mut u8, shared: *mut Shared) -> Sys<i32> {
    // Untraced: a tracer of the caller must not delay it. No signal at its end.
    let flags = k::CLONE_VM | k::CLONE_FS | k::CLONE_FILES | k::CLONE_UNTRACED;
    let result: isize;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the parent goes on behind the label with all registers but the clobbered ones.
    // The child has its own stack, on which it calls a function that does not return.
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r13",
            "call r12",
            "ud2",
            "2:",
            inlateout("rax") Sysno::clone as usize => result,
            in("rdi") flags as usize,
            in("rsi") stack,
            in("rdx") 0usize,
            in("r10") 0usize,
            in("r8") 0usize,
            in("r12") child_main as unsafe extern "C" fn(*mut Shared) -> !,
            in("r13") shared,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above. The system call keeps all registers but that of the result.
    unsafe {
        asm!(
            "svc #0",
            "cbnz x0, 2f",
            "mov x29, xzr",
            "mov x30, xzr",
            "mov x0, x10",
            "blr x9",
            "brk #1",
            "2:",
            in("x8") Sysno::clone as usize,
            inlateout("x0") flags as usize => result,
            in("x1") stack,
            in("x2") 0usize,
            in("x3") 0usize,
            in("x4") 0usize,
            in("x9") child_main as unsafe extern "C" fn(*mut Shared) -> !,
            in("x10") shared,
        );
    }
    match result {
        child @ 1.. => Ok(child as i32),
        error => Err(Errno::from_raw(error.unsigned_abs() as u16)),
    }
}

/// The child.
///
/// # Safety
/// `shared` stays mapped, and the parent only uses its atomic fields until the end of this
/// process.
unsafe extern "C" fn child_main(shared: *mut Shared) -> ! {
    // SAFETY: this function's contract.
    let shared = unsafe { &mut *shared };
    if limit_life(shared.parent) {
        while shared.may_begin.load(Ordering::Acquire) == 0 {
            futex(&shared.may_begin, k::FUTEX_WAIT, 0);
        }
        let read = trace(shared.tid as i32, &mut shared.general, &mut shared.floating);
        shared.error = read.map_or_else(|errno| errno.raw().into(), |()| 0);
        shared.is_done.store(1, Ordering::Release);
    }
    loop {
        // SAFETY: takes no memory, and does not return.
        let _ = unsafe { syscall!(Sysno::exit_group, 0) };
    }
}

/// Makes this process end with the thread that started it, and after a time. Returns false
/// if that thread has ended by now, or the time cannot be limited.
fn limit_life(parent: i32) -> bool {
    // In a session of its own, signals to the groups of the caller and of its terminal, such
    // as SIGSTOP, do not reach it.
    // SAFETY: takes no memory.
    let _ = unsafe { syscall!(Sysno::setsid) };
    // SAFETY: takes no memory.
    let still = unsafe {
        let _ = syscall!(Sysno::prctl, PR_SET_PDEATHSIG, k::SIGKILL, 0, 0, 0);
        syscall!(Sysno::getppid)
    };
    // `struct sigaction` of the kernel, of the default action; longer than any.
    let default = [0u64; 8];
    // SAFETY: the kernel reads a live array. The actions are this process's own.
    let reset = check(unsafe {
        let action = default.as_ptr();
        syscall!(
            Sysno::rt_sigaction,
            k::SIGALRM,
            action,
            0,
            KERNEL_SIGSET_SIZE
        )
    });
    let time = [0, 0, PATIENCE_SECONDS, 0];
    // SAFETY: the kernel reads a live `struct itimerval` of four 64-bit words.
    let limited = check(unsafe { syscall!(Sysno::setitimer, k::ITIMER_REAL, time.as_ptr(), 0) });
    set_signal_mask(!(1 << (k::SIGALRM - 1)));
    check(still) == Ok(parent as usize) && reset.is_ok() && limited.is_ok()
}

const PTRACE_DETACH: u32 = 17;
const PTRACE_GETREGSET: u32 = 0x4204;
const PTRACE_SEIZE: u32 = 0x4206;
const PTRACE_INTERRUPT: u32 = 0x4207;
const NT_PRSTATUS: usize = 1;
const NT_PRFPREG: usize = 2;

/// Stops the thread, reads its registers, and lets it go on.
fn trace(tid: i32, general: &mut RegisterSet, floating: &mut RegisterSet) -> Sys<()> {
    ptrace(PTRACE_SEIZE, tid, 0)?;
    // A thread that is ending cannot be interrupted; the wait sees its end.
    let _ = ptrace(PTRACE_INTERRUPT, tid, 0);
    let signal = wait_for_stop(tid)?;
    read_set(tid, NT_PRSTATUS, general);
    read_set(tid, NT_PRFPREG, floating);
    // The thread receives the signal with which it stopped. If it was killed meanwhile,
    // nothing is left to detach from.
    ptrace(PTRACE_DETACH, tid, signal as usize)
}

fn ptrace(request: u32, tid: i32, data: usize) -> Sys<()> {
    // SAFETY: the data of these requests is a number.
    check(unsafe { syscall!(Sysno::ptrace, request, tid, 0, data) })?;
    Ok(())
}

fn read_set(tid: i32, which: usize, set: &mut RegisterSet) {
    // `struct iovec`: an address and a length, which the kernel replaces.
    let mut vector = [set.bytes.as_mut_ptr() as usize, SET];
    // SAFETY: the kernel writes at most `SET` bytes to a live, exclusive array, and a length
    // to the vector.
    let read = check(unsafe {
        let vector = vector.as_mut_ptr();
        syscall!(Sysno::ptrace, PTRACE_GETREGSET, tid, which, vector)
    });
    set.result = match read {
        Ok(_) => vector[1] as i32,
        Err(errno) => -i32::from(errno.raw()),
    };
}

/// Size of the kernel's `siginfo_t`, in 32-bit words.
const SIGNAL_INFORMATION: usize = 128 / 4;

/// Waits until the thread has stopped; returns the signal whose delivery has stopped it, 0
/// for another stop. The stop is not taken from the kernel: if this process ends before it
/// detaches, the kernel delivers the signal.
fn wait_for_stop(tid: i32) -> Sys<u32> {
    let options = k::WSTOPPED | k::WEXITED | k::WNOWAIT | k::__WALL | k::__WNOTHREAD;
    let mut information = [0u32; SIGNAL_INFORMATION];
    let to = information.as_mut_ptr();
    // SAFETY: the kernel writes one `siginfo_t` to a live, exclusive array of its size.
    retry(|| check(unsafe { syscall!(Sysno::waitid, k::P_PID, tid, to, options, 0) }))?;
    // si_code; and si_status, behind si_pid and si_uid, which are aligned to 8 bytes.
    let (code, status) = (information[2], information[6]);
    match code {
        CLD_TRAPPED | CLD_STOPPED if status >> 8 == 0 => Ok(status & 0xff),
        // PTRACE_EVENT_STOP: interrupted, or stopped by job control.
        CLD_TRAPPED | CLD_STOPPED => Ok(0),
        _ => Err(Errno::ESRCH),
    }
}

const CLD_TRAPPED: u32 = 4;
const CLD_STOPPED: u32 = 5;

const _: () = assert!(size_of::<Shared>() < MAPPING / 4);
