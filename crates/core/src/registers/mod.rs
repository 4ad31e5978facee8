//! Registers of a thread, read by a short stop of it, in the layouts of QNX. x86-64 and
//! arm64. Knows the layouts; `sys` knows how a thread is stopped.
//!
//! The thread is stopped by `PTRACE_SEIZE` and `PTRACE_INTERRUPT` (Linux 3.4) of a child
//! process, and goes on a moment later. The stop ends some waits of the thread with EINTR, as
//! a signal without a handler would (signal(7)). A thread that is stopped by job control stays
//! stopped.

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod layout;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod refusal;

use crate::descriptor::BorrowedFd;
use crate::error::{CoreError, Errno, Operation, Result};
use crate::process::ProcessDirectory;
use crate::status::thread::Threads;
use crate::sys;

/// Size of the general registers in bytes: QNX's `X86_64_CPU_REGISTERS`, or
/// `AARCH64_CPU_REGISTERS`.
pub const GENERAL: usize = if cfg!(target_arch = "aarch64") {
    272
} else {
    160
};
/// Size of the floating-point registers in bytes: the image of `fxsave`, or 32 registers of 16
/// bytes, `fpsr` and `fpcr`.
pub const FLOATING_POINT: usize = if cfg!(target_arch = "aarch64") {
    520
} else {
    512
};

/// Registers of a thread in user mode, all of one moment.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Registers {
    /// General registers, in the layout of QNX for this processor. x86-64: `rdi`, `rsi`, `rdx`,
    /// `r10`, `r8`, `r9`, `rax`, `rbx`, `rbp`, `rcx`, `r11` to `r15`, `rip`, `cs`, `rflags`,
    /// `rsp`, `ss`, each in 8 bytes. arm64: `x0` to `x30`, `sp`, `pc`, `pstate`.
    pub general: [u8; GENERAL],
    /// Floating-point and vector registers. x86-64: the image of `fxsave`. arm64: `q0` to `q31`
    /// in 16 bytes each, `fpsr` and `fpcr` in 4. `None` if this kernel does not report them.
    pub floating_point: Option<[u8; FLOATING_POINT]>,
}

impl Registers {
    /// Returns the address of the next instruction.
    pub fn instruction_pointer(&self) -> u64 {
        self.word(if cfg!(target_arch = "aarch64") {
            256
        } else {
            120
        })
    }

    /// Returns the stack pointer.
    pub fn stack_pointer(&self) -> u64 {
        self.word(if cfg!(target_arch = "aarch64") {
            248
        } else {
            144
        })
    }

    fn word(&self, at: usize) -> u64 {
        let mut word = [0; 8];
        word.copy_from_slice(&self.general[at..at + 8]);
        u64::from_ne_bytes(word)
    }
}

/// Reads the registers of a thread of a process.
///
/// # Errors
/// ESRCH: no such thread in this process, or it has ended. EPERM: no right to attach to the process
/// with ptrace. EBUSY: another process traces it. ETIMEDOUT: it did not stop within a second,
/// as in an uninterruptible wait or a `vfork`. EOPNOTSUPP: another processor than x86-64 and
/// arm64, or a program of another word size. EAGAIN, ENOMEM: no child could be made. EINVAL:
/// the directory has the numbers of another PID namespace.
pub fn read(process: &ProcessDirectory, tid: u32) -> Result<Registers> {
    if !process.has_own_numbers() {
        return Err(CoreError::new(Errno::EINVAL, Operation::ReadRegisters));
    }
    let thread = Threads::open(process)?
        .open_thread(tid)
        .map_err(|error| CoreError::new(error.errno(), Operation::ReadRegisters))?;
    let registers = traced(process, thread.borrow(), tid)
        .map_err(|errno| CoreError::new(errno, Operation::ReadRegisters))?;
    // The ID certainly was that of this process's thread if it still is.
    sys::openat(thread.borrow(), b"stat\0", sys::O_PATH)
        .map_err(|_| CoreError::new(Errno::ESRCH, Operation::ReadRegisters))?;
    Ok(registers)
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn traced(
    process: &ProcessDirectory,
    thread: BorrowedFd<'_>,
    tid: u32,
) -> core::result::Result<Registers, Errno> {
    let mut refusals = refusal::Refusals::new();
    loop {
        match sys::tracer::registers(tid, refusals.permits()) {
            Ok((general, floating_point)) => return layout::converted(&general, &floating_point),
            // It was killed at this moment.
            Err(Errno::EIO) => return Err(Errno::ESRCH),
            Err(Errno::EPERM) => refusals.explain(process, thread)?,
            Err(errno) => return Err(errno),
        }
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn traced(
    _: &ProcessDirectory,
    _: BorrowedFd<'_>,
    _: u32,
) -> core::result::Result<Registers, Errno> {
    Err(Errno::EOPNOTSUPP)
}

#[cfg(all(test, any(target_arch = "x86_64", target_arch = "aarch64")))]
mod tests {
    use super::*;
    use crate::process::Target;

    /// Under Yama only: without it the permission changes nothing.
    #[test]
    fn a_child_that_is_permitted_to_trace_its_parent_reads_the_same_as_one_that_need_not_be() {
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let text = std::fs::read_link("/proc/thread-self").unwrap();
            let tid = text.file_name().unwrap().to_str().unwrap();
            tell.send(tid.parse::<u32>().unwrap()).unwrap();
            loop {
                std::thread::park();
            }
        });
        let tid = told.recv().unwrap();
        let process = ProcessDirectory::open(Target::Caller).unwrap();
        let read = || read(&process, tid).unwrap();
        // Until it waits.
        let mut before = read();
        loop {
            let now = read();
            if now == before {
                break;
            }
            before = now;
        }
        let (general, floating_point) = sys::tracer::registers(tid, true).unwrap();
        let permitted = layout::converted(&general, &floating_point).unwrap();
        assert_eq!(permitted, before);
    }
}
