//! `PAGEMAP_SCAN`: ranges of pages by category, without their frames. Since Linux 6.7
//! (fs/proc/task_mmu.c, `do_pagemap_scan`). Owns the limits that keep the target's mmap
//! lock free: one call holds it until its vector or its number of matching pages is full,
//! but pages that do not match are not counted.

use crate::error::{CoreError, Errno, Operation, Result};
use crate::features;
use crate::lock_time;
use crate::process::ProcessHandle;
use crate::{sys, uapi};

/// Query for pages that are present or have any other entry: swap, guard, marker.
pub(crate) const NOT_EMPTY: Query = Query {
    all_of: 0,
    any_of: uapi::SCAN_PRESENT | uapi::SCAN_SWAPPED,
    most_pages: MOST_PAGES,
};

/// Query for present pages that an entry above the base level maps.
pub(crate) const HUGE: Query = Query {
    all_of: uapi::SCAN_PRESENT | uapi::SCAN_HUGE,
    any_of: 0,
    most_pages: HUGE_PAGES,
};

/// Categories of pages that a scan searches for, and the maximum number of pages in one
/// call.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Query {
    all_of: u64,
    any_of: u64,
    most_pages: u64,
}

impl Query {
    /// Returns the query with this maximum number of pages.
    pub(crate) const fn up_to(self, most_pages: u64) -> Self {
        Self { most_pages, ..self }
    }
}

/// Size of the address space that one call covers: small at first, larger while calls
/// stay short.
#[derive(Debug)]
pub(crate) struct Span(u64);

impl Span {
    const FIRST: u64 = 256 << 20;
    /// Maximum size. One call takes 17 µs for a terabyte that was never touched, and 0.6
    /// ms for a gigabyte of page tables that have been emptied, which cannot be
    /// distinguished here. This size cannot take much longer than 1 ms.
    const MOST: u64 = 2 << 30;
    const SHORT_NANOS: u64 = 200_000;
    const LONG_NANOS: u64 = 600_000;

    pub(crate) const fn new() -> Self {
        Self(Self::FIRST)
    }

    fn adapt(&mut self, nanos: u64) {
        if nanos < Self::SHORT_NANOS {
            self.0 = (self.0 * 2).min(Self::MOST);
        } else if nanos > Self::LONG_NANOS {
            self.0 = (self.0 / 2).max(Self::FIRST);
        }
    }
}

/// Maximum number of ranges that one call returns.
pub(crate) const RANGES: usize = 16;
/// Beyond 512, `walk_end` can lie before ranges that were returned (the kernel flushes
/// its own buffer of that size), and a call would hold the lock long.
const _: () = assert!(RANGES <= 512);
/// Maximum number of matching pages in one call where they may be base pages, at 10 ns
/// each: dense memory is read anyway.
const MOST_PAGES: u64 = 1024;
/// Maximum number of matching pages where huge entries are likely to map them. Each
/// entry costs little more than a base page.
pub(crate) const HUGE_PAGES: u64 = 65_536;

/// Range of pages of the same categories.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// Present pages that entries above the base level map.
    pub(crate) huge: bool,
}

impl Found {
    fn of(region: &uapi::page_region) -> Self {
        const PRESENT_HUGE: u64 = uapi::SCAN_PRESENT | uapi::SCAN_HUGE;
        Self {
            start: region.start,
            end: region.end,
            huge: region.categories & PRESENT_HUGE == PRESENT_HUGE,
        }
    }
}

/// Ranges that one call found, and the end of its search.
#[derive(Debug)]
pub(crate) struct Ranges<const N: usize> {
    found: [uapi::page_region; N],
    len: usize,
    next: usize,
    end: u64,
}

impl<const N: usize> Ranges<N> {
    pub(crate) const fn new() -> Self {
        const NOTHING: uapi::page_region = uapi::page_region {
            start: 0,
            end: 0,
            categories: 0,
        };
        Self {
            found: [NOTHING; N],
            len: 0,
            next: 0,
            end: 0,
        }
    }

    /// Returns the address up to which all matching pages are known.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// Returns the first range found that ends after `address`, which must not decrease
    /// between scans.
    pub(crate) fn from(&mut self, address: u64) -> Option<Found> {
        while self.next < self.len {
            let range = &self.found[self.next];
            if range.end > address {
                return Some(Found::of(range));
            }
            self.next += 1;
        }
        None
    }

    /// Returns the ranges from the one that [`Ranges::from`] returned last.
    pub(crate) fn remaining(&self) -> impl Iterator<Item = Found> + '_ {
        self.found[self.next..self.len].iter().map(Found::of)
    }

    /// Returns whether the call stopped because too many base pages matched in few
    /// ranges: the following pages should be read instead.
    pub(crate) fn is_dense(&self) -> bool {
        let base_pages = self.remaining().filter(|range| !range.huge);
        let size: u64 = base_pages.map(|range| range.end - range.start).sum();
        self.len <= N / 4 && size >> sys::base_page_shift() >= MOST_PAGES / 2
    }

    /// Scans from `start` towards `end`; returns false if the kernel has no scan.
    pub(crate) fn scan(
        &mut self,
        process: &ProcessHandle,
        query: &Query,
        span: &mut Span,
        start: u64,
        end: u64,
    ) -> Result<bool> {
        if !process.features().pagemap_scan() {
            return Ok(false);
        }
        let pagemap = process.pagemap()?;
        let end = end.min(start.saturating_add(span.0));
        // Only a long scan is worth reading the clock.
        let timed = end - start >= Span::FIRST;
        let before = if timed { sys::monotonic_nanos() } else { 0 };
        let mut arg = uapi::pm_scan_arg {
            size: 0,
            flags: 0,
            start,
            end,
            walk_end: 0,
            vec: 0,
            vec_len: 0,
            max_pages: query.most_pages,
            category_inverted: 0,
            category_mask: query.all_of,
            category_anyof_mask: query.any_of,
            return_mask: uapi::SCAN_PRESENT | uapi::SCAN_HUGE,
        };
        let len = loop {
            match lock_time::timed(|| sys::pagemap_scan(pagemap, &mut arg, &mut self.found)) {
                Ok(len) => break len,
                // Only a fatal signal interrupts the scan.
                Err(Errno::EINTR) => {}
                Err(errno) if features::is_unavailable(errno) => {
                    process.features().without_pagemap_scan();
                    return Ok(false);
                }
                Err(errno) => return Err(CoreError::new(errno, Operation::ReadPagemap)),
            }
        };
        if timed {
            span.adapt(sys::monotonic_nanos().saturating_sub(before));
        }
        self.len = len.min(N);
        self.next = 0;
        // With more ranges than 512, `walk_end` can lag behind them; never here, but the
        // ranges found have certainly been walked.
        let last = self.found[..self.len]
            .last()
            .map_or(start, |range| range.end);
        self.end = arg.walk_end.clamp(last, end);
        // A scan without progress has no result; the pages are then read.
        Ok(self.end > start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_covers_more_while_calls_stay_short_and_less_when_they_do_not() {
        let mut span = Span::new();
        assert_eq!(span.0, Span::FIRST);
        for _ in 0..40 {
            span.adapt(1_000);
        }
        assert_eq!(span.0, Span::MOST);
        // Empty page tables take 0.6 ms for each GiB; no call may take much longer, not
        // even the first behind a range that was never touched.
        let nanos_of = |span: &Span| (span.0 >> 20) * 600_000 / 1024;
        for _ in 0..40 {
            let nanos = nanos_of(&span);
            assert!(nanos <= 1_200_000, "{nanos}");
            span.adapt(nanos);
        }
        assert!(nanos_of(&span) <= 600_000);
    }
}
