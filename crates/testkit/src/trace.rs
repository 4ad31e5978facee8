//! System calls of a piece of code: it runs in a child that this process traces, so
//! that a regression is visible without a clock.

use std::collections::BTreeMap;

use crate::tracee::{self, Answer, Call, Decide, Waker};

/// Number of calls of each system call, by its number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calls(BTreeMap<libc::c_long, u64>);

impl Calls {
    /// Returns the number of calls of this one.
    pub fn of(&self, number: libc::c_long) -> u64 {
        self.0.get(&number).copied().unwrap_or(0)
    }

    /// Returns the system calls that were made.
    pub fn numbers(&self) -> impl Iterator<Item = libc::c_long> + '_ {
        self.0.keys().copied()
    }

    /// Returns the number of all calls.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }
}

/// Process group that does not exist, for the call that marks the end of counting.
const NOBODY: libc::pid_t = -7;

/// Counts between the child's wake and its mark, and sleeps before and after, because
/// the creation of the memory can take many calls.
#[derive(Default)]
struct Counter {
    calls: Calls,
    counting: bool,
}

impl Decide for Counter {
    fn decide(&mut self, call: &Call) -> Answer {
        if call.number == libc::SYS_getpgid && call.arguments[0] as libc::pid_t == NOBODY {
            self.counting = false;
        } else if self.counting {
            *self.calls.0.entry(call.number).or_default() += 1;
        }
        Answer::Make
    }

    fn is_asleep(&self) -> bool {
        !self.counting
    }

    fn woken(&mut self) {
        self.counting = true;
    }
}

/// Runs `prepare` and then `counted` on its result in a forked child, and
/// counts the system calls of the latter. A panic in either is one here.
pub fn count<T>(prepare: impl FnOnce() -> T, counted: impl FnOnce(&T)) -> Calls {
    let child = || {
        let waker = Waker::new();
        let prepared = prepare();
        waker.wake();
        counted(&prepared);
        // SAFETY: takes no memory, and fails.
        unsafe { libc::syscall(libc::SYS_getpgid, NOBODY) };
    };
    let mut counter = Counter::default();
    let ended = tracee::run(child, &mut counter);
    ended.unwrap_or_else(|how| panic!("{how}"));
    counter.calls
}
