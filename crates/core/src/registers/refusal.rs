//! Reasons why the kernel refuses to have a thread traced. It has one number for a thread
//! that has ended, one that is traced, and a missing right (kernel/ptrace.c,
//! `ptrace_attach`). Knows nothing of registers.

use crate::descriptor::BorrowedFd;
use crate::error::{CoreError, Errno};
use crate::process::ProcessDirectory;
use crate::status::process::has_program;
use crate::status::thread::{has_ended, is_traced};
use crate::sys;

/// Maximum number of attempts at a thread whose registers other callers read, too; some 25 ms.
const ATTEMPTS: u32 = 64;
/// Attempt after which a refusal by Yama is believed.
const ATTEMPTS_UNDER_YAMA: u32 = 8;
/// Maximum number of looks at a traced thread, some 3 ms, before that is believed to stay so.
const LOOKS: u32 = 32;

/// Refusals of one thread so far.
pub(super) struct Refusals {
    count: u32,
    /// Whether Yama lets only ancestors trace by default. The tracer, a child of the
    /// caller, is none of its parent.
    only_ancestors: bool,
    is_own: bool,
}

impl Refusals {
    pub(super) const fn new() -> Self {
        Self {
            count: 0,
            only_ancestors: false,
            is_own: false,
        }
    }

    /// Returns whether the calling process must permit its child to trace it.
    pub(super) fn permits(&self) -> bool {
        self.only_ancestors && self.is_own
    }

    /// Takes a refusal; returns if another attempt may succeed, since another caller has
    /// probably read the registers at that moment, and else the reason.
    pub(super) fn explain(
        &mut self,
        process: &ProcessDirectory,
        thread: BorrowedFd<'_>,
    ) -> Result<(), Errno> {
        if has_ended(thread).map_err(CoreError::errno)? {
            return Err(Errno::ESRCH);
        }
        // A thread of the kernel is never traced.
        if !has_program(process).map_err(CoreError::errno)? {
            return Err(Errno::EPERM);
        }
        // Opening the memory needs the same right (fs/proc/base.c, `mem_open`).
        match sys::openat(thread, b"mem\0", 0) {
            Ok(_) => {}
            Err(Errno::EACCES) => return Err(Errno::EPERM),
            Err(Errno::ENOENT) => return Err(Errno::ESRCH),
            Err(errno) => return Err(errno),
        }
        let mut looks = 0;
        while is_traced(thread).map_err(CoreError::errno)? {
            looks += 1;
            if looks == LOOKS {
                return Err(Errno::EBUSY);
            }
            sys::rest();
        }
        if self.count == 0 {
            self.only_ancestors = yama_scope() == Some(b'1');
            self.is_own = process.is_callers();
        }
        self.count += 1;
        match self.count {
            ATTEMPTS_UNDER_YAMA if self.only_ancestors && !self.is_own => Err(Errno::EPERM),
            ATTEMPTS => Err(Errno::EBUSY),
            _ => Ok(()),
        }
    }
}

/// Returns the setting of the Yama security module (Linux 3.4), if that is there.
fn yama_scope() -> Option<u8> {
    let path = b"/proc/sys/kernel/yama/ptrace_scope\0";
    let file = sys::openat(sys::CWD, path, 0).ok()?;
    let mut digit = [0];
    let read = sys::pread(file.borrow(), &mut digit, 0);
    (read == Ok(1)).then_some(digit[0])
}
