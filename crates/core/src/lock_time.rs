//! Time of the system calls during which the kernel holds the mmap lock of a target. Counted
//! only on request; knows no call.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::sys;

static IS_COUNTED: AtomicBool = AtomicBool::new(false);
static CALLS: AtomicU64 = AtomicU64::new(0);
static NANOSECONDS: AtomicU64 = AtomicU64::new(0);

/// System calls that held the mmap lock of a target, for reading.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct LockTime {
    /// Number of calls.
    pub calls: u64,
    /// Their duration in nanoseconds: an upper bound of the time for which the lock was held,
    /// because a call also copies what it found. A call that reads many pages takes the lock
    /// for each part of them (fs/proc/task_mmu.c `pagemap_read`, 5.10 to 6.18).
    pub nanoseconds: u64,
}

/// Begins to count the time of such calls of all threads of this process: reads of `pagemap`,
/// `maps` and `smaps`, PAGEMAP_SCAN, and PROCMAP_QUERY.
pub fn count_lock_time() {
    IS_COUNTED.store(true, Ordering::Relaxed);
}

/// Returns what was counted until now, by all threads.
pub fn lock_time() -> LockTime {
    LockTime {
        calls: CALLS.load(Ordering::Relaxed),
        nanoseconds: NANOSECONDS.load(Ordering::Relaxed),
    }
}

/// Makes a call, and adds its time if it is counted.
#[inline]
pub fn timed<T>(call: impl FnOnce() -> T) -> T {
    let begun = match IS_COUNTED.load(Ordering::Relaxed) {
        true => begin(),
        false => 0,
    };
    let result = call();
    if begun > 0 {
        end(begun);
    }
    result
}

// Not inlined: their callers' stack frames stay as small as without them.
#[cold]
#[inline(never)]
fn begin() -> u64 {
    sys::monotonic_nanos()
}

#[cold]
#[inline(never)]
fn end(begun: u64) {
    let taken = sys::monotonic_nanos().saturating_sub(begun);
    CALLS.fetch_add(1, Ordering::Relaxed);
    NANOSECONDS.fetch_add(taken, Ordering::Relaxed);
}
