//! Detection of walks that make no progress: a count that the walk increments, and a
//! watch of the count. This module does not know what is walked.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Sign of life of a walk, for a thread that waits for the walk: it beats whenever the
/// walk makes progress, a few times in a millisecond. A walk without a beat waits for
/// something, such as the target's mmap lock.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heartbeat(Arc<AtomicU64>);

impl Heartbeat {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn beat(&self) {
        self.0.store(self.count() + 1, Ordering::Relaxed);
    }
}

/// Watch of the time since the last heartbeat.
#[derive(Clone, Debug)]
pub(crate) struct HeartbeatWatch {
    heartbeat: Heartbeat,
    /// The count that was read last, and the time when it was first read.
    seen: u64,
    since: Instant,
}

impl HeartbeatWatch {
    /// Starts to watch now.
    pub(crate) fn new(heartbeat: &Heartbeat) -> Self {
        Self {
            heartbeat: heartbeat.clone(),
            seen: heartbeat.count(),
            since: Instant::now(),
        }
    }

    /// Returns true if the heart has not beaten for this long, as far as it was
    /// watched.
    pub(crate) fn is_silent(&mut self, patience: Duration) -> bool {
        let now = self.heartbeat.count();
        if now != self.seen {
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
    fn a_heart_is_silent_when_it_does_not_beat() {
        let heartbeat = Heartbeat::new();
        let mut watch = HeartbeatWatch::new(&heartbeat);
        let none = Duration::ZERO;
        assert!(!watch.is_silent(Duration::MAX));
        assert!(watch.is_silent(none));
        heartbeat.beat();
        assert!(!watch.is_silent(none));
        assert!(watch.is_silent(none));
    }
}
