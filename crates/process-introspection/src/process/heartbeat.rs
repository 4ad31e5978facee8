//! Whether a walk comes further: a count that it raises, and a watch on that.
//! Knows nothing of what is walked.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A sign of life of a walk, for whoever waits for it on another thread: it beats
/// whenever the walk comes further, a few times in a millisecond. A walk whose
/// heart does not beat waits for something, such as the target's mmap lock.
///
/// See [`crate::Process::with_heartbeat`].
#[derive(Clone, Debug, Default)]
pub struct Heartbeat(Arc<AtomicU64>);

/// The highest bit: nobody is to be worried about.
const PAUSED: u64 = 1 << 63;

impl Heartbeat {
    /// One that has not beaten yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// How often it has beaten.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed) & !PAUSED
    }

    pub(crate) fn beat(&self) {
        self.0.store(self.count() + 1, Ordering::Relaxed);
    }

    /// From now on until the next beat its silence says nothing.
    pub(crate) fn pause(&self) {
        self.0.store((self.count() + 1) | PAUSED, Ordering::Relaxed);
    }

    fn is_paused(&self) -> bool {
        self.0.load(Ordering::Relaxed) & PAUSED != 0
    }
}

/// Tells for how long a heart has not beaten.
#[derive(Clone, Debug)]
pub struct HeartbeatWatch {
    heartbeat: Heartbeat,
    /// What was seen last, and when for the first time.
    seen: u64,
    since: Instant,
}

impl HeartbeatWatch {
    /// Watches from now on.
    pub fn new(heartbeat: &Heartbeat) -> Self {
        Self {
            heartbeat: heartbeat.clone(),
            seen: heartbeat.count(),
            since: Instant::now(),
        }
    }

    /// Whether it has not beaten for so long, as far as was watched.
    pub fn is_silent(&mut self, patience: Duration) -> bool {
        let now = self.heartbeat.count();
        if now != self.seen || self.heartbeat.is_paused() {
            (self.seen, self.since) = (now, Instant::now());
            return false;
        }
        self.since.elapsed() >= patience
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heart_is_silent_when_it_neither_beats_nor_is_paused() {
        let heartbeat = Heartbeat::new();
        let mut watch = HeartbeatWatch::new(&heartbeat);
        let none = Duration::ZERO;
        assert!(!watch.is_silent(Duration::MAX));
        assert!(watch.is_silent(none));
        heartbeat.beat();
        assert!(!watch.is_silent(none));
        assert!(watch.is_silent(none));
        heartbeat.pause();
        assert!(!watch.is_silent(none));
        assert!(!watch.is_silent(none));
        heartbeat.beat();
        assert!(!watch.is_silent(none));
        assert!(watch.is_silent(none));
    }
}
