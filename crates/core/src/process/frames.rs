//! Checks whether this caller can see frame numbers, by pages of its own. No page of a
//! target proves it: the kernel reports frame 0 for every page, without an error, to
//! callers without CAP_SYS_ADMIN in the initial user namespace (fs/proc/task_mmu.c,
//! `pagemap_read`: `show_pfn`).

use super::no_proc;
use crate::addr::Pfn;
use crate::descriptor::OwnedFd;
use crate::entry::Entry;
use crate::error::{At, CoreError, Errno, Operation, Result};
use crate::sys;

/// Facts that the caller's own page entries revealed.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VisibleFrames {
    /// Frame of the zero page, where it could be found.
    pub zero: Option<Pfn>,
}

/// Opens the caller's own page map and reads entries of the caller's own pages.
pub(super) fn look_at_own() -> Result<VisibleFrames> {
    let own = sys::openat(sys::CWD, b"/proc/thread-self/pagemap\0", 0);
    look(&own.map_err(no_proc).at(Operation::OpenOwnPagemap)?)
}

/// Reads entries of the caller's own pages.
pub(super) fn look(own: &OwnedFd) -> Result<VisibleFrames> {
    // Two neighbouring pages that were only ever read. Reclaim can take them away in
    // between, so this is tried several times.
    for _ in 0..4 {
        let [first, second] = entries(own, sys::touch_never_written())?;
        let (Some(first), Some(second)) = (first.frame(), second.frame()) else {
            continue;
        };
        if first == Pfn::new(0) {
            return Err(CoreError::new(Errno::EPERM, Operation::CheckFrames));
        }
        // One frame for both can only be the zero page. If there are two frames, this
        // process locks, and so populates, its mappings; a page that it cannot write is
        // used instead.
        let zero = if first == second {
            Some(first)
        } else {
            fresh_zero_frame(own)
        };
        return Ok(VisibleFrames { zero });
    }
    Err(CoreError::new(Errno::EPERM, Operation::CheckFrames))
}

fn fresh_zero_frame(own: &OwnedFd) -> Option<Pfn> {
    sys::with_fresh_zero_page(|address| {
        let [entry, _] = entries(own, address).ok()?;
        entry.frame()
    })
    .flatten()
}

fn entries(own: &OwnedFd, address: u64) -> Result<[Entry; 2]> {
    let mut words = [0u64; 2];
    let offset = (address >> sys::base_page_shift()) * size_of::<u64>() as u64;
    // Entries that were not read count as not present.
    sys::pread_u64(own.borrow(), &mut words, offset).at(Operation::ReadPagemap)?;
    Ok(words.map(Entry::from_raw))
}
