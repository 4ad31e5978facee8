//! When a walk rests so that the target's own threads get its mmap lock: those
//! that map and unmap wait for it as writers, the walk's calls take it as
//! readers, one right after the other. Knows nothing of what is read.
//!
//! A writer that has given up spinning is woken only after 4 ms
//! (`RWSEM_WAIT_TIMEOUT`), and comes too late at each release as long as the
//! next call takes the lock again within the 20 µs that waking it takes
//! (kernel/locking/rwsem.c, `rwsem_down_read_slowpath`, "Reader optimistic lock
//! stealing"; seen by the events `lock:contention_begin` and `sched_wakeup` on
//! Linux 6.18). In the end the lock is handed to it, for which the reader has
//! to sleep. So a walk that was made to sleep by the kernel is in somebody's way.

use crate::sys;

/// What a walk has asked of the kernel, in entries computed or as long as those
/// take (about 25 ns each).
const GROUP: usize = 8192;
/// Number of entries that take as long as a scan.
pub(super) const SCAN: usize = 1024;
/// Number of entries from which on a check for sleep is worth its cost.
const WORTH_A_LOOK: usize = GROUP / 4;
/// Number of groups without a sleep after which the walk delays nobody.
const RESTS: u32 = 64;

/// Counts the requests to the kernel, and rests when they delay other threads.
#[derive(Debug)]
pub(super) struct Pace {
    asked: usize,
    /// How often this thread had slept when the group was begun.
    slept: Option<isize>,
    rests: u32,
}

impl Pace {
    pub(super) const fn new() -> Self {
        Self {
            asked: 0,
            slept: None,
            rests: 0,
        }
    }

    /// Called before a request: sleep before it has other reasons.
    #[inline]
    pub(super) fn before(&mut self, upcoming: usize) {
        if self.slept.is_none() && self.asked + upcoming >= WORTH_A_LOOK {
            self.slept = sys::voluntary_switches();
        }
    }

    /// Called after a request.
    #[inline]
    pub(super) fn after(&mut self, asked: usize) {
        self.asked += asked;
        if self.asked >= GROUP {
            self.end_group();
        }
    }

    #[cold]
    fn end_group(&mut self) {
        self.asked = 0;
        let Some(before) = self.slept.take() else {
            return;
        };
        let made_to_sleep = sys::voluntary_switches().is_some_and(|now| now != before);
        if self.must_rest(made_to_sleep) {
            sys::rest();
        }
    }

    fn must_rest(&mut self, made_to_sleep: bool) -> bool {
        self.rests = if made_to_sleep {
            RESTS
        } else {
            self.rests.saturating_sub(1)
        };
        self.rests > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_rests_only_after_it_was_made_to_sleep_and_not_for_ever() {
        let mut pace = Pace::new();
        assert!(!pace.must_rest(false));
        assert!(pace.must_rest(true));
        let rests = (0..1000).filter(|_| pace.must_rest(false)).count();
        assert_eq!(rests as u32, RESTS - 1);
    }

    #[test]
    fn a_few_entries_cost_no_look() {
        let mut pace = Pace::new();
        for _ in 0..10 {
            pace.before(1);
            pace.after(1);
        }
        assert_eq!(pace.slept, None);
        pace.before(GROUP);
        assert!(pace.slept.is_some());
        pace.after(GROUP);
        assert_eq!((pace.slept, pace.asked), (None, 0));
    }
}
