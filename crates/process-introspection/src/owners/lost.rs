//! Frames that a process had before memory errors took them away: the kernel leaves
//! their PFNs in the page table. This module knows one process.
//!
//! `memory_failure` unmaps the page and puts an entry of the type hwpoison with its PFN
//! in its place (mm/rmap.c `try_to_unmap_one`, include/linux/swapops.h
//! `make_hwpoison_entry`), which the page map shows to those who may see frames
//! (fs/proc/task_mmu.c `pte_to_pagemap_entry`; so in the sources of 6.1 and 6.12, and
//! in guests with 6.12.117 and 7.2.13). It leaves no such entry where the contents can
//! be read again, such as those of an unchanged file (mm/memory-failure.c
//! `hwpoison_user_mappings`), and the page map does not show those of hugetlb
//! (`pagemap_hugetlb_range`).

use process_introspection_core::entry::{Entry, NonPresent};
use process_introspection_core::pagemap::read_entries;
use process_introspection_core::{AddrRange, Pfn};

use crate::error::Error;
use crate::machine::frames::{FrameFlags, Frames};
use crate::process::Process;

/// Pages of a region that had consecutive frames.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// Index of the first page in the region.
    pub(super) page: u64,
    /// PFN of its frame.
    pub(super) first: u64,
    /// Number of pages.
    pub(super) count: u64,
}

/// Number of entries that are read at once.
const PIECE: usize = 512;

/// Returns the poisoned frames that the entries of a region still contain, in ascending
/// order of pages.
pub(super) fn frames(process: &Process, virt: AddrRange) -> Result<Vec<Run>, Error> {
    let page = process.page_size();
    let frames = Frames::open_in(process.mounts())?;
    let mut runs = Vec::new();
    let mut entries = [0; PIECE];
    let (start, pages) = (virt.start().as_u64(), virt.size() >> page.shift());
    let mut at = 0;
    while at < pages {
        let size = (pages - at).min(PIECE as u64) as usize;
        let entries = &mut entries[..size];
        let read = read_entries(
            process.as_core(),
            page,
            start + (at << page.shift()),
            entries,
        )
        .map_err(|error| process.error(error))?;
        for (page, &entry) in (at..).zip(&entries[..read]) {
            add(&mut runs, page, entry, |frame| is_poisoned(&frames, frame))?;
        }
        at += read as u64;
    }
    Ok(runs)
}

/// Adds the frame of an entry if the frame's flags say that it is poisoned: the entry of a
/// migrating page contains a frame in the same form.
fn add(
    runs: &mut Vec<Run>,
    page: u64,
    entry: u64,
    is_poisoned: impl FnOnce(Pfn) -> Result<bool, Error>,
) -> Result<(), Error> {
    let Some(NonPresent::Frame(frame)) = Entry::from_raw(entry).non_present() else {
        return Ok(());
    };
    if !is_poisoned(frame)? {
        return Ok(());
    }
    let frame = frame.as_u64();
    match runs.last_mut() {
        Some(last) if (last.page + last.count, last.first + last.count) == (page, frame) => {
            last.count += 1;
        }
        _ => runs.push(Run {
            page,
            first: frame,
            count: 1,
        }),
    }
    Ok(())
}

fn is_poisoned(frames: &Frames, frame: Pfn) -> Result<bool, Error> {
    let mut flags = [FrameFlags::default()];
    let count = frames.read_flags(frame, &mut flags)?;
    Ok(count == 1 && flags[0].contains(FrameFlags::HWPOISON))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns an entry of a type that contains a PFN.
    fn named(frame: u64) -> u64 {
        1 << 62 | frame << 5 | 30
    }

    #[test]
    fn entries_name_the_frames_that_were_there() {
        let present = 1 << 63 | 100;
        let marker = 1 << 62 | 2 << 5 | 31;
        let in_swap = 1 << 62 | 77 << 5;
        let entries = [
            named(0x305),
            named(0x306),
            named(0x900),
            present,
            marker,
            named(0x901),
            in_swap,
            0,
            named(0x307),
            named(0x400),
        ];
        let mut runs = Vec::new();
        for (page, &entry) in (0..).zip(&entries) {
            // The last page is migrating to another frame.
            add(&mut runs, page, entry, |frame| Ok(frame.as_u64() != 0x400)).unwrap();
        }
        let run = |page, first, count| Run { page, first, count };
        let expected = [run(0, 0x305, 2), run(2, 0x900, 1), run(5, 0x901, 1)];
        assert_eq!(runs[..3], expected);
        assert_eq!(runs[3..], [run(8, 0x307, 1)]);
    }
}
