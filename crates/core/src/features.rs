//! Features of this kernel, detected by trying them and kept with the handle. Knows no
//! kernel versions: distributions backport, sandboxes forbid.

use core::sync::atomic::{AtomicBool, Ordering};

use crate::error::Errno;

/// Support of the two ioctls of newer kernels. Both are assumed to exist until a call
/// fails; every call has the same outcome, so the order does not matter.
#[derive(Debug)]
pub(crate) struct Features {
    procmap_query: AtomicBool,
    /// True only when it is known; until then the text of `maps` is read a line at a
    /// time.
    predates_procmap_query: AtomicBool,
    pagemap_scan: AtomicBool,
}

impl Features {
    pub(crate) const fn new() -> Self {
        Self {
            procmap_query: AtomicBool::new(true),
            predates_procmap_query: AtomicBool::new(false),
            pagemap_scan: AtomicBool::new(true),
        }
    }

    /// Returns whether `PROCMAP_QUERY` exists: Linux 6.11 (commit ed5d583a88a9).
    pub(crate) fn procmap_query(&self) -> bool {
        self.procmap_query.load(Ordering::Relaxed)
    }

    /// Records that the ioctl failed; `unknown` if the kernel lacks it, else it is
    /// forbidden.
    pub(crate) fn without_procmap_query(&self, unknown: bool) {
        self.predates_procmap_query
            .store(unknown, Ordering::Relaxed);
        self.procmap_query.store(false, Ordering::Relaxed);
    }

    /// Returns whether the kernel is known to be older than `PROCMAP_QUERY`.
    pub(crate) fn predates_procmap_query(&self) -> bool {
        self.predates_procmap_query.load(Ordering::Relaxed)
    }

    /// Returns whether `PAGEMAP_SCAN` exists: Linux 6.7 (commit 52526ca7fdb9).
    pub(crate) fn pagemap_scan(&self) -> bool {
        self.pagemap_scan.load(Ordering::Relaxed)
    }

    pub(crate) fn without_pagemap_scan(&self) {
        self.pagemap_scan.store(false, Ordering::Relaxed);
    }
}

/// Returns whether an ioctl's error means that the ioctl is unavailable: unknown to the
/// file (ENOTTY), to a later revision of it (EINVAL), or forbidden by a seccomp filter
/// (EPERM, EACCES, ENOSYS).
pub(crate) fn is_unavailable(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::ENOTTY | Errno::EINVAL | Errno::EPERM | Errno::EACCES | Errno::ENOSYS
    )
}
