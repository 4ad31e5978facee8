//! Registers of a thread, read by a short stop of it, in the layouts of QNX. x86-64 and
//! arm64. Knows the layouts; `sys` knows how a thread is stopped.
//!
//! The thread is stopped by `PTRACE_SEIZE` and `PTRACE_INTERRUPT` (Linux 3.4) of a child
//! process, and goes on a moment later. The stop ends some waits of the thread with EINTR, as
//! a signal without a handler would (signal(7)). A thread that is stopped by job control stays
//! stopped.

use crate::descriptor::BorrowedFd;
use crate::error::{CoreError, Errno, Operation, Result};
use crate::process::ProcessDirectory;
use crate::status::thread::Threads;

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
    crate::sys::openat(thread.borrow(), b"stat\0", crate::sys::O_PATH)
        .map_err(|_| CoreError::new(Errno::ESRCH, Operation::ReadRegisters))?;
    Ok(registers)
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn traced(
    _: &ProcessDirectory,
    _: BorrowedFd<'_>,
    _: u32,
) -> core::result::Result<Registers, Errno> {
    Err(Errno::EOPNOTSUPP)
}

/// Maximum number of attempts at a thread whose registers other callers read, too; some 25 ms.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
const ATTEMPTS: u32 = 64;
/// Maximum number of looks at a traced thread, some 3 ms, before that is believed to stay so.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
const LOOKS: u32 = 32;

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn traced(
    process: &ProcessDirectory,
    thread: BorrowedFd<'_>,
    tid: u32,
) -> core::result::Result<Registers, Errno> {
    use crate::status::process::has_program;
    use crate::status::thread::{has_ended, is_traced};
    use crate::sys::{rest, tracer};
    let mut permitting = false;
    for attempt in 0..ATTEMPTS {
        match tracer::registers(tid, permitting) {
            Ok((general, floating_point)) => return layout::converted(&general, &floating_point),
            // It was killed at this moment.
            Err(Errno::EIO) => return Err(Errno::ESRCH),
            // The kernel has one number for a thread that has ended, one that is traced and
            // a missing right (kernel/ptrace.c, `ptrace_attach`).
            Err(Errno::EPERM) => {}
            Err(errno) => return Err(errno),
        }
        if has_ended(thread).map_err(CoreError::errno)? {
            return Err(Errno::ESRCH);
        }
        // Threads of the kernel are never traced. Opening the memory needs the same right
        // (fs/proc/base.c, `mem_open`).
        if !has_program(process).map_err(CoreError::errno)?
            || crate::sys::openat(thread, b"mem\0", 0).is_err()
        {
            return Err(Errno::EPERM);
        }
        let mut looks = 0;
        while is_traced(thread).map_err(CoreError::errno)? {
            looks += 1;
            if looks == LOOKS {
                return Err(Errno::EBUSY);
            }
            rest();
        }
        // Another caller has read its registers at that moment; or Yama, by which only
        // ancestors may trace by default, refuses the child.
        if let (0, Some(b'1')) = (attempt, yama_scope()) {
            if !process.is_callers() {
                return Err(Errno::EPERM);
            }
            permitting = true;
        }
    }
    Err(Errno::EBUSY)
}

/// Returns the setting of the Yama security module (Linux 3.4), if that is there.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn yama_scope() -> Option<u8> {
    use crate::sys;
    let path = b"/proc/sys/kernel/yama/ptrace_scope\0";
    let file = sys::openat(sys::CWD, path, 0).ok()?;
    let mut digit = [0];
    let read = sys::pread(file.borrow(), &mut digit, 0);
    (read == Ok(1)).then_some(digit[0])
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod layout {
    use super::{Registers, FLOATING_POINT, GENERAL};
    use crate::error::Errno;
    use crate::sys::tracer::RegisterSet;

    /// Size of the kernel's set of general registers: `struct user_regs_struct`, or `struct
    /// user_pt_regs`. A program with words of 32 bits has a smaller one.
    const KERNEL_GENERAL: usize = if cfg!(target_arch = "aarch64") {
        272
    } else {
        216
    };

    /// Converts the kernel's sets.
    pub(super) fn converted(
        general: &RegisterSet,
        floating_point: &RegisterSet,
    ) -> Result<Registers, Errno> {
        let general = match usize::try_from(general.result) {
            Ok(KERNEL_GENERAL) => general_registers(&general.bytes),
            Ok(_) => return Err(Errno::EOPNOTSUPP),
            Err(_) => return Err(Errno::from_raw(general.result.unsigned_abs() as u16)),
        };
        let has_all = usize::try_from(floating_point.result).is_ok_and(|len| len >= FLOATING_POINT);
        let floating_point = has_all.then(|| {
            let mut bytes = [0; FLOATING_POINT];
            bytes.copy_from_slice(&floating_point.bytes[..FLOATING_POINT]);
            bytes
        });
        Ok(Registers {
            general,
            floating_point,
        })
    }

    /// The layouts are the same.
    #[cfg(target_arch = "aarch64")]
    pub(super) fn general_registers(kernel: &[u8]) -> [u8; GENERAL] {
        let mut general = [0; GENERAL];
        general.copy_from_slice(&kernel[..GENERAL]);
        general
    }

    /// Index in `struct user_regs_struct` (arch/x86/include/asm/user_64.h) of each
    /// register in QNX's order. `cs` and `ss` have 4 bytes there, and 4 reserved ones,
    /// which are 0 here, too.
    #[cfg(target_arch = "x86_64")]
    const ORDER: [usize; GENERAL / 8] = [
        14, // rdi
        13, // rsi
        12, // rdx
        7,  // r10
        9,  // r8
        8,  // r9
        10, // rax
        5,  // rbx
        4,  // rbp
        11, // rcx
        6,  // r11
        3,  // r12
        2,  // r13
        1,  // r14
        0,  // r15
        16, // rip
        17, // cs
        18, // rflags
        19, // rsp
        20, // ss
    ];

    #[cfg(target_arch = "x86_64")]
    pub(super) fn general_registers(kernel: &[u8]) -> [u8; GENERAL] {
        let mut general = [0; GENERAL];
        for (to, from) in general.chunks_exact_mut(8).zip(ORDER) {
            to.copy_from_slice(&kernel[from * 8..from * 8 + 8]);
        }
        general
    }
}
