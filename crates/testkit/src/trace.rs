//! Which system calls a piece of code makes: it runs in a child that this
//! process traces, so that a regression shows without a clock.

use std::collections::BTreeMap;

use crate::tracee::{self, Answer};

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
    let mut calls = Calls::default();
    let mut counting = false;
    let child = || {
        let prepared = prepare();
        mark();
        counted(&prepared);
        mark();
    };
    let ended = tracee::run(child, &mut |call: &tracee::Call| {
        if call.number == libc::SYS_getpgid && call.arguments[0] as libc::pid_t == NOBODY {
            counting = !counting;
        } else if counting {
            *calls.0.entry(call.number).or_default() += 1;
        }
        Answer::Make
    });
    ended.unwrap_or_else(|how| panic!("{how}"));
    calls
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
