//! Which system calls a piece of code makes: it runs in a child that this
//! process traces, so that a regression shows without a clock.

use std::collections::BTreeMap;

/// How often each system call was made, by number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calls(BTreeMap<libc::c_long, u64>);

impl Calls {
    /// How often this one was made.
    pub fn of(&self, number: libc::c_long) -> u64 {
        self.0.get(&number).copied().unwrap_or(0)
    }

    /// Which were made at all.
    pub fn numbers(&self) -> impl Iterator<Item = libc::c_long> + '_ {
        self.0.keys().copied()
    }

    /// How many there were in all.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }
}

/// No process has this group: a call that marks where counting begins and ends.
const NOBODY: libc::pid_t = -7;

fn mark() {
    // SAFETY: takes no memory, and fails.
    unsafe { libc::syscall(libc::SYS_getpgid, NOBODY) };
}

/// Runs `prepare` and then `counted` on its result in a forked child, and
/// counts the system calls of the latter. A panic in either is one here.
pub fn count<T>(prepare: impl FnOnce() -> T, counted: impl FnOnce(&T)) -> Calls {
    // SAFETY: the child goes on with what is safe after fork and never returns.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork: {}", std::io::Error::last_os_error());
    if pid == 0 {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let prepared = prepare();
            // SAFETY: takes no memory; the parent goes on with us.
            unsafe {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0);
                libc::raise(libc::SIGSTOP);
            }
            mark();
            counted(&prepared);
            mark();
        }));
        // SAFETY: ends this process without running anything of the parent's.
        unsafe { libc::_exit(i32::from(result.is_err())) };
    }
    trace(pid)
}

/// Follows a stopped child from one system call stop to the next.
fn trace(pid: libc::pid_t) -> Calls {
    let mut calls = Calls::default();
    let mut counting = false;
    loop {
        let mut status = 0;
        // SAFETY: waits for our child; writes to a live integer.
        assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
        if libc::WIFEXITED(status) {
            assert_eq!(libc::WEXITSTATUS(status), 0, "the counted code has failed");
            return calls;
        }
        assert!(
            libc::WIFSTOPPED(status),
            "the child was killed: {status:#x}"
        );
        let signal = libc::WSTOPSIG(status);
        let mut deliver = 0;
        if signal == libc::SIGTRAP | 0x80 {
            match entered(pid) {
                Some((libc::SYS_getpgid, first)) if first as libc::pid_t == NOBODY => {
                    counting = !counting;
                }
                Some((number, _)) if counting => *calls.0.entry(number).or_default() += 1,
                _ => {}
            }
        } else if signal == libc::SIGSTOP {
            // SAFETY: our stopped child; no memory is passed.
            unsafe { libc::ptrace(libc::PTRACE_SETOPTIONS, pid, 0, libc::PTRACE_O_TRACESYSGOOD) };
        } else {
            deliver = signal;
        }
        // SAFETY: our stopped child; no memory is passed.
        unsafe { libc::ptrace(libc::PTRACE_SYSCALL, pid, 0, libc::c_long::from(deliver)) };
    }
}

/// The number and the first argument of the call that a child is about to
/// make; `None` if it has made one.
fn entered(pid: libc::pid_t) -> Option<(libc::c_long, u64)> {
    /// `struct ptrace_syscall_info` up to the first argument, on entry.
    #[repr(C)]
    #[derive(Default)]
    struct Entry {
        op: u8,
        pad: [u8; 3],
        arch: u32,
        instruction_pointer: u64,
        stack_pointer: u64,
        number: u64,
        arguments: [u64; 6],
    }
    const PTRACE_GET_SYSCALL_INFO: libc::c_uint = 0x420e;
    let mut entry = Entry::default();
    let (size, to) = (size_of::<Entry>(), &raw mut entry);
    // SAFETY: the kernel writes at most `size` bytes to a live struct.
    let written = unsafe { libc::ptrace(PTRACE_GET_SYSCALL_INFO, pid, size, to) };
    assert!(written > 0, "PTRACE_GET_SYSCALL_INFO (Linux 5.3)");
    const PTRACE_SYSCALL_INFO_ENTRY: u8 = 1;
    let entering = entry.op == PTRACE_SYSCALL_INFO_ENTRY;
    entering.then_some((entry.number as libc::c_long, entry.arguments[0]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_code_calls_is_counted_and_nothing_else() {
        let calls = count(
            || 3,
            |&times| {
                for _ in 0..times {
                    // SAFETY: takes no memory.
                    unsafe { libc::syscall(libc::SYS_getppid) };
                }
            },
        );
        assert_eq!((calls.of(libc::SYS_getppid), calls.total()), (3, 3));
    }
}
