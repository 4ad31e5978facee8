//! Layouts of registers: the kernel's and QNX's. Pure.

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
fn general_registers(kernel: &[u8]) -> [u8; GENERAL] {
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
fn general_registers(kernel: &[u8]) -> [u8; GENERAL] {
    let mut general = [0; GENERAL];
    for (to, from) in general.chunks_exact_mut(8).zip(ORDER) {
        to.copy_from_slice(&kernel[from * 8..from * 8 + 8]);
    }
    general
}
