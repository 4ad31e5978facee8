//! Size of the pieces of a walk: the address space that one thread walks in [`TIME`],
//! measured by all threads in the pieces before.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Approximate time of the walk of a piece; its rest then becomes another piece.
pub(super) const TIME: Duration = Duration::from_micros(500);

/// Minimum size of a piece, if its VMA is as large.
const LEAST: u64 = 4 << 20;

#[derive(Debug)]
pub(super) struct Pace {
    stride: AtomicU64,
    walkers: AtomicU64,
}

impl Pace {
    /// Returns the pace of a walk with one thread.
    pub(super) fn new() -> Self {
        Self {
            stride: AtomicU64::new(LEAST),
            walkers: AtomicU64::new(1),
        }
    }

    /// Returns the size of a piece, in bytes.
    pub(super) fn stride(&self) -> u64 {
        self.stride.load(Ordering::Relaxed)
    }

    /// Returns the bytes that a thread takes of a piece: fewer towards the end, so that
    /// all threads end at the same time.
    pub(super) fn share_of(&self, size: u64) -> u64 {
        let share = size / (2 * self.walkers());
        self.stride().min(share.max(LEAST))
    }

    /// Returns the number of threads that walk.
    pub(super) fn walkers(&self) -> u64 {
        self.walkers.load(Ordering::Relaxed)
    }

    /// Counts one more thread.
    pub(super) fn add_walker(&self) {
        self.walkers.fetch_add(1, Ordering::Relaxed);
    }

    /// Adapts the size after `covered` bytes of a piece were walked in `took`; `cut` is
    /// true if the piece has a rest. (If two threads do so at once, one may be
    /// ignored.)
    pub(super) fn adapt(&self, took: Duration, covered: u64, cut: bool) {
        let stride = self.stride();
        let adapted = match cut {
            true => covered.max(LEAST),
            false if took < TIME / 2 && covered >= stride => stride.saturating_mul(2),
            false => return,
        };
        self.stride.store(adapted, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_grow_while_they_are_quick_and_shrink_when_they_are_cut() {
        let pace = Pace::new();
        pace.adapt(TIME / 10, LEAST, false);
        assert_eq!(pace.stride(), 2 * LEAST);
        // A piece with less work than that is no evidence.
        pace.adapt(TIME / 10, LEAST, false);
        pace.adapt(TIME, 2 * LEAST, false);
        assert_eq!(pace.stride(), 2 * LEAST);
        pace.adapt(TIME / 10, 2 * LEAST, false);
        assert_eq!(pace.stride(), 4 * LEAST);
        pace.adapt(TIME, 3 * LEAST, true);
        assert_eq!(pace.stride(), 3 * LEAST);
        pace.adapt(TIME, 1, true);
        assert_eq!(pace.stride(), LEAST);
    }

    #[test]
    fn pieces_get_smaller_towards_the_end() {
        let pace = Pace::new();
        pace.add_walker();
        pace.adapt(TIME, 16 * LEAST, true);
        let shares = [64, 16, 8, 1].map(|size| pace.share_of(size * LEAST) / LEAST);
        assert_eq!(shares, [16, 4, 2, 1]);
    }
}
