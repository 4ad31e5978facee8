//! Pace of threads in the background: how long they must rest so that they stay below their part
//! of one CPU. Must not know what they do.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::time::{clock_gettime, ClockId};

/// Longest time for which unused CPU time can be used later.
const MEMORY: f64 = 10.0;

/// Part of the budget that is used, so that all together stay below it: a minute contains at
/// most 60 times this part, and what was saved up before.
const PART: f64 = 0.8;

/// Budget of CPU time that several threads share.
#[derive(Debug)]
pub(crate) struct Budget {
    pace: Mutex<Pace>,
    start: Instant,
}

impl Budget {
    /// Returns a budget of this part of one CPU, in thousandths, from `start` on.
    pub(crate) fn new(thousandths: u32, start: Instant) -> Self {
        Self {
            pace: Mutex::new(Pace::new(thousandths)),
            start,
        }
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in the CPU time used since the start, and returns the time to rest before further
    /// work.
    pub(crate) fn rest(&self, used: Duration) -> Duration {
        let mut pace = self.pace();
        pace.look(self.start.elapsed(), used);
        pace.rest()
    }

    /// Rests as [`Budget::rest`] demands, at most this long.
    pub(crate) fn pause(&self, used: Duration, longest: Duration) {
        let rest = self.rest(used).min(longest);
        if !rest.is_zero() {
            thread::sleep(rest);
        }
    }

    /// Returns the time between two pieces of work, as [`Pace::interval`].
    pub(crate) fn interval(&self, cost: Duration) -> Duration {
        self.pace().interval(cost)
    }
}

/// Returns the CPU time of this process.
pub(crate) fn cpu_time() -> Duration {
    time_of(ClockId::ProcessCPUTime)
}

/// Returns the CPU time of this thread.
pub(crate) fn thread_cpu_time() -> Duration {
    time_of(ClockId::ThreadCPUTime)
}

fn time_of(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec.max(0) as u64, time.tv_nsec.max(0) as u32)
}

/// Account of CPU time, in seconds. It begins with what [`MEMORY`] seconds allow.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    /// CPU seconds per second.
    rate: f64,
    credit: f64,
    /// Time and CPU time of the last look.
    last: (Duration, Duration),
}

impl Pace {
    /// Returns the pace of work that may use this part of one CPU, in thousandths.
    pub(crate) fn new(budget: u32) -> Self {
        let rate = f64::from(budget) / 1000.0 * PART;
        Self {
            rate,
            credit: rate * MEMORY,
            last: Default::default(),
        }
    }

    /// Takes in the time, and the CPU time of this process, both since its start.
    pub(crate) fn look(&mut self, now: Duration, used: Duration) {
        let passed = now.saturating_sub(self.last.0).as_secs_f64();
        let spent = used.saturating_sub(self.last.1).as_secs_f64();
        self.last = (now, used);
        self.credit = (self.credit + passed * self.rate - spent).min(self.rate * MEMORY);
    }

    /// Returns the time to rest before further work.
    pub(crate) fn rest(&self) -> Duration {
        Duration::from_secs_f64((-self.credit / self.rate).clamp(0.0, 3600.0))
    }

    /// Returns the time between two pieces of work that cost this much, if they may use half of
    /// the budget.
    pub(crate) fn interval(&self, cost: Duration) -> Duration {
        Duration::from_secs_f64((cost.as_secs_f64() * 2.0 / self.rate).min(3600.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Works and rests for a minute as a sampler does, and returns the CPU time that it used.
    fn minute(budget: u32, piece: Duration) -> Duration {
        let mut pace = Pace::new(budget);
        let (mut now, mut used) = (Duration::ZERO, Duration::ZERO);
        while now < Duration::from_secs(60) {
            now += piece;
            used += piece;
            pace.look(now, used);
            now += pace.rest();
        }
        used
    }

    #[test]
    fn a_minute_of_work_stays_below_the_budget() {
        for budget in [10, 50, 300] {
            for piece in [1, 10, 50] {
                let used = minute(budget, Duration::from_millis(piece));
                let most = Duration::from_secs(60) * budget / 1000;
                let piece = Duration::from_millis(piece);
                assert!(used < most + piece, "{budget} {piece:?}: {used:?}");
                assert!(used > most * 7 / 10, "{budget} {piece:?}: {used:?}");
            }
        }
    }

    #[test]
    fn a_long_piece_of_work_is_followed_by_a_long_rest() {
        let mut pace = Pace::new(50);
        pace.look(Duration::from_secs(2), Duration::from_secs(2));
        let rest = pace.rest().as_secs_f64();
        // What it began with and what two seconds allow is left out.
        assert!((rest - (2.0 - 0.4 - 0.08) / 0.04).abs() < 0.1, "{rest}");
        // Time that was not used counts for a while only.
        pace.look(Duration::from_secs(1000), Duration::from_secs(2));
        pace.look(Duration::from_secs(1001), Duration::from_secs(3));
        assert!(pace.rest() > Duration::from_secs(12));
        assert_eq!(pace.interval(Duration::from_millis(100)).as_secs(), 5);
    }
}
