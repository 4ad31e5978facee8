//! Reads the page map where there is something, skips it where there is
//! nothing: dense memory in bulk, emptiness by scanning as soon as it is seen.
//! Gives entries and holes; knows nothing of what they mean.

use super::scan::{Ranges, Span, NOT_EMPTY, RANGES};
use super::Entry;
use crate::addr::PageSize;
use crate::error::{Errno, Error, Operation, Result};
use crate::process::{gone_or_refused, Process};
use crate::sys;

/// Entries read at once. The kernel's cost per entry is nearly the same from
/// here on up; the C library's 6 KiB of stack have no room for more.
const ENTRIES: usize = 256;
/// So many empty entries at the end of what was read call for a scan, if so
/// many pages at least are left.
const EMPTY_TAIL: usize = 64;
/// A hole up to this many pages between two populated ranges is read over
/// rather than read around.
const SMALL_GAP: u64 = 128;

/// What is known of the pages from an address on.
#[derive(Debug)]
pub(crate) enum Known<'a> {
    /// Their entries, of at least one page.
    Entries(&'a [u64]),
    /// Nothing is there up to this address.
    EmptyTo(u64),
}

/// A position in a page map, with what was read around it.
#[derive(Debug)]
pub(crate) struct PageReader {
    page: PageSize,
    /// The entries read last, of the pages from `window` on.
    entries: [u64; ENTRIES],
    window: u64,
    count: usize,
    /// What a scan found, valid for addresses below its end.
    ranges: Ranges<RANGES>,
    span: Span,
    scanning: bool,
}

impl PageReader {
    pub(crate) fn new(page: PageSize) -> Self {
        Self {
            page,
            entries: [0; ENTRIES],
            window: 0,
            count: 0,
            ranges: Ranges::new(),
            span: Span::new(),
            scanning: false,
        }
    }

    fn window_end(&self) -> u64 {
        self.window + self.count as u64 * self.page.bytes()
    }

    /// What is known of the pages from `at` on, up to `end` at most, both page
    /// aligned and within one area. `at` never decreases. Entries may be read
    /// up to `ahead`, where the next areas are near.
    pub(crate) fn next(
        &mut self,
        process: &Process,
        at: u64,
        end: u64,
        ahead: u64,
    ) -> Result<Known<'_>> {
        debug_assert!(at < end && end <= ahead);
        if at < self.window || at >= self.window_end() {
            if let Some(empty_to) = self.look_ahead(process, at, end)? {
                return Ok(Known::EmptyTo(empty_to));
            }
            let end = match self.ranges.from(at) {
                // A scan knows what is populated: read no further than that.
                Some((_, range_end)) if at < self.ranges.end() => self.cluster_end(range_end, end),
                // Small areas that follow closely are read with this one.
                _ if end - at < self.bytes(ENTRIES / 4) => ahead,
                _ => end,
            };
            self.read(process, at, end)?;
        }
        let from = ((at - self.window) >> self.page.shift()) as usize;
        let pages = ((end - at) >> self.page.shift()).min(ENTRIES as u64) as usize;
        let to = self.count.min(from + pages);
        Ok(Known::Entries(&self.entries[from..to]))
    }

    fn bytes(&self, pages: usize) -> u64 {
        pages as u64 * self.page.bytes()
    }

    /// The end of a hole at `at`, if a scan knows or finds one.
    fn look_ahead(&mut self, process: &Process, at: u64, end: u64) -> Result<Option<u64>> {
        if at >= self.ranges.end() {
            let follows_window = self.count > 0 && at == self.window_end();
            if follows_window {
                self.scanning |= self.has_empty_tail();
            } else if at != self.ranges.end() {
                // Another area, elsewhere: nothing is known of its kind.
                self.scanning = false;
            }
            if !self.scanning || end - at < self.bytes(EMPTY_TAIL) {
                return Ok(None);
            }
            if !self
                .ranges
                .scan(process, &NOT_EMPTY, &mut self.span, at, end)?
            {
                self.scanning = false;
                return Ok(None);
            }
            self.scanning = !self.ranges.is_dense();
        }
        let known = self.ranges.end().min(end);
        Ok(match self.ranges.from(at) {
            Some((start, _)) if start <= at => None,
            Some((start, _)) => Some(start.min(known)),
            None => Some(known),
        })
    }

    fn has_empty_tail(&self) -> bool {
        self.count >= EMPTY_TAIL
            && self.entries[self.count - EMPTY_TAIL..self.count]
                .iter()
                .all(|&entry| Entry::from_raw(entry).is_empty())
    }

    /// Where to stop reading so that ranges with small gaps share a read.
    fn cluster_end(&self, range_end: u64, end: u64) -> u64 {
        let gap = SMALL_GAP * self.page.bytes();
        let mut cluster = range_end;
        for (start, range_end) in self.ranges.remaining() {
            if start > cluster.saturating_add(gap) {
                break;
            }
            cluster = range_end;
        }
        cluster.min(end)
    }

    fn read(&mut self, process: &Process, at: u64, end: u64) -> Result<()> {
        let pages = ((end - at) >> self.page.shift()).min(ENTRIES as u64) as usize;
        let offset = (at >> self.page.shift()) * size_of::<u64>() as u64;
        // Until the read has succeeded nothing is known.
        self.count = 0;
        let count = sys::pread_u64(process.pagemap()?, &mut self.entries[..pages], offset)
            .map_err(|errno| Error::new(gone_or_refused(errno), Operation::ReadPagemap))?;
        if count == 0 {
            // Of a memory that has gone away the kernel reads nothing.
            return Err(Error::new(Errno::ESRCH, Operation::ReadPagemap));
        }
        (self.window, self.count) = (at, count);
        Ok(())
    }
}
