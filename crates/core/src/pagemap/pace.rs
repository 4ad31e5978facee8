//! Rests of a walk, which let the target's own threads take its mmap lock: threads that
//! map and unmap wait for it as writers, while the walk's calls take it as readers, one
//! right after the other. Knows nothing of the entries.
//!
//! A writer that has given up spinning is woken only after 4 ms (`RWSEM_WAIT_TIMEOUT`),
//! and comes too late at each release as long as the next call takes the lock again
//! within the 20 µs that waking it takes (kernel/locking/rwsem.c,
//! `rwsem_down_read_slowpath`, "Reader optimistic lock stealing"; seen by the events
//! `lock:contention_begin` and `sched_wakeup` on Linux 6.18). In the end the lock is
//! handed to the writer, and the reader has to sleep. So a walk that the kernel put to
//! sleep delays a writer.

use crate::sys;

/// Number of entries in a group: entries that the kernel computed, or other requests by
/// the time that they take (about 25 ns an entry).
const GROUP: usize = 8192;
/// Number of entries that take as long as a scan.
pub(super) const SCAN: usize = 1024;
/// Number of entries from which on a check for sleep is worth its cost.
const WORTH_A_LOOK: usize = GROUP / 4;
/// Number of groups without a sleep after which the walk delays nobody.
const RESTS: u32 = 64;

/// Counts the requests to the kernel, and rests when they delay other threads.
#[derive(Debug, Default)]
pub(super) struct Pace {
    asked: usize,
    /// Number of sleeps of this thread at the beginning of the group.
    slept: Option<isize>,
    rests: u32,
}

impl Pace {
    /// Prepares for a request: earlier sleeps have other reasons.
    #[inline]
    pub(super) fn before(&mut self, upcoming: usize) {
        if self.slept.is_none() && self.asked + upcoming >= WORTH_A_LOOK {
            self.slept = sys::voluntary_switches();
        }
    }

    /// Accounts for a finished request.
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
        let mut pace = Pace::default();
        assert!(!pace.must_rest(false));
        assert!(pace.must_rest(true));
        let rests = (0..1000).filter(|_| pace.must_rest(false)).count();
        assert_eq!(rests as u32, RESTS - 1);
    }

    #[test]
    fn a_few_entries_cost_no_look() {
        let mut pace = Pace::default();
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
