//! Runs code that can wait for a file system's server in a child process: if the server
//! does not answer, only the child waits. Knows nothing of the code.
//!
//! A thread cannot replace the process. A request that a FUSE server has taken is waited
//! for without limit, and a process with a thread in that wait cannot end, killed or not
//! (fs/fuse/dev.c `request_wait_answer`, Linux 6.12).

use core::sync::atomic::{AtomicI32, AtomicU64, Ordering};

use crate::descriptor::BorrowedFd;
use crate::sys;
use crate::vma::Device;

/// Maximum wait for a child, in milliseconds.
const PATIENCE_MS: u64 = 2000;
/// Time during which a server that did not answer gets no more requests, in seconds.
const SILENCE_SECONDS: u64 = 10;

/// Devices whose servers did not answer, in the high half, and the time until which they
/// get no more requests, in seconds, in the low half.
static SILENT: [AtomicU64; 8] = [const { AtomicU64::new(0) }; 8];
/// Children that did not end after they were killed.
static ABANDONED: [AtomicI32; 8] = [const { AtomicI32::new(0) }; 8];

/// Runs `what` in a child process, in which all descriptors are closed except `kept`.
/// Returns whether it finished in time. It is not started if the server of `device` did
/// not answer lately, or if no child can be created.
#[inline(never)] // Keeps its buffers out of its callers' stack frames.
pub(crate) fn run(device: Device, kept: &[BorrowedFd<'_>], what: &mut dyn FnMut()) -> bool {
    reap();
    let now = sys::monotonic_nanos() / 1_000_000;
    if is_silent(device, now / 1000) {
        return false;
    }
    let Ok((from, to)) = sys::pipe() else {
        return false;
    };
    let child = sys::fork(|| {
        sys::close_all_but(kept, to.borrow());
        what();
        let _ = sys::write(to.borrow(), b".");
    });
    let Ok(child) = child else {
        return false;
    };
    drop(to);
    let mut byte = [0];
    let done = sys::wait_readable(from.borrow(), now, PATIENCE_MS)
        && sys::read(from.borrow(), &mut byte) == Ok(1);
    if !done {
        sys::kill(child);
    }
    if !sys::reap(child, done) {
        abandon(child);
        keep_silent(device, now / 1000 + SILENCE_SECONDS);
    }
    done
}

/// Returns the number of a device, as 32 bits.
fn number(device: Device) -> u64 {
    u64::from(device.major << 20 | device.minor)
}

/// Returns whether the server did not answer lately.
fn is_silent(device: Device, now: u64) -> bool {
    SILENT.iter().any(|slot| {
        let slot = slot.load(Ordering::Relaxed);
        slot >> 32 == number(device) && slot & 0xffff_ffff > now
    })
}

fn keep_silent(device: Device, until: u64) {
    let entry = number(device) << 32 | until & 0xffff_ffff;
    let until = |slot: &&AtomicU64| slot.load(Ordering::Relaxed) & 0xffff_ffff;
    if let Some(slot) = SILENT.iter().min_by_key(until) {
        slot.store(entry, Ordering::Relaxed);
    }
}

/// Keeps a child to be reaped later. Without a free slot it stays a zombie until this
/// process ends.
fn abandon(child: i32) {
    let _ = ABANDONED.iter().find(|slot| {
        slot.compare_exchange(0, child, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    });
}

/// Reaps children that have ended meanwhile.
fn reap() {
    for slot in &ABANDONED {
        // The slot is emptied first, so that no other thread reaps the same child.
        let child = slot.swap(0, Ordering::Relaxed);
        if child != 0 && !sys::reap(child, false) {
            abandon(child);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::descriptor::OwnedFd;

    const DEVICE: Device = Device {
        major: 0,
        minor: 0xf_fffe,
    };

    #[test]
    fn a_child_has_no_descriptors_but_those_that_are_kept() {
        let open = || sys::openat(sys::CWD, b"/proc/self\0", sys::O_PATH).unwrap();
        let (kept, also_kept, other) = (open(), open(), open());
        let (from, to) = sys::pipe().unwrap();
        let fds = [kept.borrow(), to.borrow(), also_kept.borrow()];
        assert!(run(DEVICE, &fds, &mut || {
            let is_open = |fd: &OwnedFd| u8::from(sys::status(fd.borrow()).is_ok());
            let seen = [&kept, &also_kept, &other].map(is_open);
            sys::write(to.borrow(), &seen).unwrap();
        }));
        let mut seen = [9; 3];
        assert_eq!(sys::read(from.borrow(), &mut seen), Ok(3));
        assert_eq!(seen, [1, 1, 0]);
    }

    #[test]
    fn a_device_that_did_not_answer_is_not_asked_for_a_while() {
        let device = Device {
            minor: 0xf_fffd,
            ..DEVICE
        };
        keep_silent(device, 1000);
        assert!(is_silent(device, 999));
        assert!(!is_silent(device, 1000));
        assert!(!is_silent(DEVICE, 999));
    }
}
