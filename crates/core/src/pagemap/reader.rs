//! Reads the populated parts of the page map and skips holes: dense memory in bulk,
//! emptiness by scanning as soon as it appears. Returns entries and holes; knows nothing
//! of their meaning.

use core::ops::Range;

use super::pace::{self, Pace};
use super::scan::{Found, Ranges, Span, HUGE, HUGE_PAGES, NOT_EMPTY, RANGES};
use crate::addr::PageSize;
use crate::entry::Entry;
use crate::error::{CoreError, Errno, Operation, Result};
use crate::lock_time::timed;
use crate::process::{process_error, ProcessHandle};
use crate::sys;

/// Number of empty entries at the end of a read that start a scan, if at least as many
/// pages are left.
const EMPTY_TAIL: usize = 64;
/// Maximum size in pages of a hole between two populated ranges that is read with them
/// rather than skipped.
const SMALL_GAP: u64 = 128;

/// Number of pages below which a VMA is read together with VMAs that follow closely.
const SMALL_VMA: usize = 64;
/// Maximum number of windows that are read before the next check whether pages that are
/// physically consecutive are huge pages.
const MOST_PATIENCE: u32 = 64;

/// Contents of the pages from an address on.
#[derive(Debug)]
pub(crate) enum NextPages<'a> {
    /// Entries of the pages, at least one.
    Entries(&'a [u64]),
    /// Empty up to this address.
    EmptyTo(u64),
    /// Huge pages that are physically consecutive.
    Huge {
        /// The entry of the first page, as if it were a base page.
        first: u64,
        /// End address of the run.
        to: u64,
    },
}

/// Part of one VMA to be read, in whole pages.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Part {
    /// Start address.
    pub(crate) at: u64,
    /// End address.
    pub(crate) end: u64,
    /// Limit up to which entries may be read, where the next VMAs are near.
    pub(crate) ahead: u64,
    /// Size of the huge pages that can be here, where that is known.
    pub(crate) leaf: Option<PageSize>,
    /// True if all pages have that size (hugetlb whose page size is known).
    pub(crate) only_huge: bool,
    /// True for hugetlb, where an empty entry does not prove a hole: only a scan's empty
    /// range is a hole.
    pub(crate) hugetlb: bool,
}

/// Position in a page map, with the entries that were read around it. `E` is the storage
/// for them; larger storage needs fewer reads.
#[derive(Debug)]
pub(crate) struct PageReader<E> {
    page: PageSize,
    /// Entries that were read last, of neighbouring pages of `stride` bytes each, from
    /// `window` on.
    entries: E,
    window: u64,
    count: usize,
    stride: PageSize,
    /// Ranges that a scan found, valid for addresses below its end.
    ranges: Ranges<RANGES>,
    span: Span,
    scanning: bool,
    /// Number of windows to be read before the next check for huge pages, and the number
    /// after a failed check.
    wait: u32,
    patience: u32,
    /// Address below which pages are read one by one, since a huge page has been split.
    no_huge_below: u64,
    pace: Pace,
}

impl<E: AsRef<[u64]> + AsMut<[u64]>> PageReader<E> {
    // Inline for the same reason as `PhysicalCursor::start`.
    #[inline(always)]
    pub(crate) fn new(page: PageSize, entries: E) -> Self {
        Self {
            page,
            entries,
            window: 0,
            count: 0,
            stride: page,
            ranges: Ranges::new(),
            span: Span::new(),
            scanning: false,
            wait: 0,
            patience: 1,
            no_huge_below: 0,
            pace: Pace::default(),
        }
    }

    /// Discards the entries, so that the next part can be at any address.
    pub(crate) fn forget(&mut self) {
        (self.window, self.count, self.stride) = (0, 0, self.page);
        self.ranges = Ranges::new();
        self.scanning = false;
        self.no_huge_below = 0;
    }

    fn window_end(&self) -> u64 {
        self.window + ((self.count as u64) << self.stride.shift())
    }

    /// Returns the known contents of a part from its beginning on. The beginning never
    /// decreases from call to call.
    pub(crate) fn next(&mut self, process: &ProcessHandle, part: &Part) -> Result<NextPages<'_>> {
        debug_assert!(part.at < part.end && part.end <= part.ahead);
        // Entries that were read with those of the VMA before need a scan, too.
        let unscanned =
            part.hugetlb && part.at >= self.ranges.end() && process.features().pagemap_scan();
        if unscanned || part.at < self.window || part.at >= self.window_end() {
            if let Some(empty_to) = self.find_hole(process, part)? {
                return Ok(NextPages::EmptyTo(empty_to));
            }
            self.read_next(process, part)?;
        }
        if self.stride != self.page {
            return Ok(self.huge_run(part));
        }
        let from = ((part.at - self.window) >> self.page.shift()) as usize;
        let to = self
            .count
            .min(from.saturating_add(self.pages(part.end - part.at)));
        Ok(NextPages::Entries(&self.entries.as_ref()[from..to]))
    }

    fn pages(&self, bytes: u64) -> usize {
        usize::try_from(bytes >> self.page.shift()).unwrap_or(usize::MAX)
    }

    /// Returns the end of a hole at the part's beginning, if a scan knows or finds one.
    fn find_hole(&mut self, process: &ProcessHandle, part: &Part) -> Result<Option<u64>> {
        let at = part.at;
        if at >= self.ranges.end() {
            let follows_window = self.count > 0 && at == self.window_end();
            if !follows_window && at != self.ranges.end() {
                // Another VMA, elsewhere: its kind is not known.
                self.scanning = false;
            }
            self.scanning |= part.hugetlb
                || (follows_window && (self.has_empty_tail() || self.may_be_huge(part)));
            let is_small = self.pages(part.end - at) < EMPTY_TAIL;
            if !self.scanning || is_small && !part.hugetlb {
                return Ok(None);
            }
            let query = match part.leaf {
                Some(leaf) if part.only_huge => {
                    NOT_EMPTY.up_to(self.pages(leaf.bytes()) as u64 * 128)
                }
                Some(_) if follows_window && self.stride != self.page => {
                    NOT_EMPTY.up_to(HUGE_PAGES)
                }
                _ => NOT_EMPTY,
            };
            self.pace.before(pace::SCAN);
            let scanned = self
                .ranges
                .scan(process, &query, &mut self.span, at, part.end)?;
            self.pace.after(pace::SCAN);
            if !scanned {
                self.scanning = false;
                return Ok(None);
            }
            self.scanning = !self.ranges.is_dense();
        }
        let hole = self.hole_at(part);
        if !part.hugetlb || hole.is_none() {
            return Ok(hole);
        }
        // A page whose migration begins has no entry for a moment, and the scan takes no
        // lock (fs/proc/task_mmu.c `pagemap_scan_hugetlb_entry`, Linux 6.12): only pages
        // that are empty twice are a hole.
        let (query, end) = (NOT_EMPTY.up_to(HUGE_PAGES), part.end);
        if !self.ranges.scan(process, &query, &mut self.span, at, end)? {
            return Ok(None);
        }
        Ok(hole
            .zip(self.hole_at(part))
            .map(|(one, other)| one.min(other)))
    }

    /// Returns the end of the hole at the part's beginning, limited to the last scan.
    fn hole_at(&mut self, part: &Part) -> Option<u64> {
        let known = self.ranges.end().min(part.end);
        match self.ranges.from(part.at) {
            Some(found) if found.start <= part.at => None,
            Some(found) => Some(found.start.min(known)),
            None => Some(known),
        }
    }

    fn has_empty_tail(&self) -> bool {
        self.stride == self.page
            && self.count >= EMPTY_TAIL
            && self.entries.as_ref()[self.count - EMPTY_TAIL..self.count]
                .iter()
                .all(|&entry| Entry::from_raw(entry).is_empty())
    }

    /// Returns whether the window can be part of a huge page: consecutive frames at the
    /// same distance from an aligned one as the pages. Each failed check delays the next
    /// one.
    fn may_be_huge(&mut self, part: &Part) -> bool {
        let Some(leaf) = part.leaf else {
            return false;
        };
        if self.stride != self.page {
            return true;
        }
        let Some(tail) = self.tail_in_one_leaf(leaf) else {
            return false;
        };
        let [first, .., last] = self.entries.as_ref()[tail.clone()] else {
            return false;
        };
        let distance = tail.len() as u64 - 1;
        let mask = Entry::PRESENT | Entry::FRAME;
        let pages_in_leaf = leaf.bytes() >> self.page.shift();
        let first_page = (self.window >> self.page.shift()) + tail.start as u64;
        let phase = first.wrapping_sub(first_page) & (pages_in_leaf - 1);
        if first & Entry::PRESENT == 0 || (first & mask) + distance != last & mask || phase != 0 {
            return false;
        }
        if self.wait > 0 {
            self.wait -= 1;
            return false;
        }
        self.wait = self.patience;
        self.patience = (self.patience * 2).min(MOST_PATIENCE);
        true
    }

    /// Returns the last entries of the window that one huge page would contain, if they
    /// are enough for a decision.
    fn tail_in_one_leaf(&self, leaf: PageSize) -> Option<Range<usize>> {
        let pages_in_leaf = leaf.bytes() >> self.page.shift();
        let page_past_window = (self.window >> self.page.shift()) + self.count as u64;
        let in_last = usize::try_from(page_past_window & (pages_in_leaf - 1)).ok()?;
        let (end, most) = match in_last {
            EMPTY_TAIL.. => (self.count, in_last),
            // Too few entries of the last one: those of the one before it.
            few => (
                self.count.checked_sub(few)?,
                usize::try_from(pages_in_leaf).ok()?,
            ),
        };
        let tail = end.saturating_sub(most)..end;
        (tail.len() >= EMPTY_TAIL).then_some(tail)
    }

    /// Reads the entries at the part's beginning: one for each huge page where a scan has
    /// found some, else as many entries as are useful.
    fn read_next(&mut self, process: &ProcessHandle, part: &Part) -> Result<()> {
        let found = match self.ranges.from(part.at) {
            Some(found) if part.at < self.ranges.end() => Some(found),
            _ => None,
        };
        let end = match found {
            Some(found) if found.huge && part.at >= self.no_huge_below => {
                if self.read_huge(process, part, found.end.min(part.end))? {
                    return Ok(());
                }
                found.end.min(part.end)
            }
            // A scan knows the populated range: the read ends there.
            Some(found) if part.hugetlb => found.end.min(part.end),
            Some(found) => self.cluster_end(found, part.end),
            // Small VMAs that follow closely are read with this one.
            None if self.pages(part.end - part.at) < SMALL_VMA => part.ahead,
            None => part.end,
        };
        self.read(process, part.at, end)
    }

    /// Returns the end of a read that covers ranges with small gaps between them.
    fn cluster_end(&self, found: Found, end: u64) -> u64 {
        let gap = SMALL_GAP << self.page.shift();
        let mut cluster = found.end;
        for next in self.ranges.remaining() {
            if next.huge || next.start > cluster.saturating_add(gap) {
                break;
            }
            cluster = next.end;
        }
        cluster.min(end)
    }

    fn read(&mut self, process: &ProcessHandle, at: u64, end: u64) -> Result<()> {
        let pages = self.pages(end - at).min(self.entries.as_ref().len());
        // The window stays empty until the read has succeeded.
        (self.window, self.count, self.stride) = (at, 0, self.page);
        self.pace.before(pages);
        self.count = read_entries(process, self.page, at, &mut self.entries.as_mut()[..pages])?;
        self.pace.after(pages);
        Ok(())
    }
}

/// Returns the entry of the page that contains an address; `None` past the end of the
/// address space of processes.
pub(crate) fn entry_at(
    process: &ProcessHandle,
    page: PageSize,
    address: u64,
) -> Result<Option<Entry>> {
    let mut entries = [0];
    for _ in 0..2 {
        match read_entries(process, page, address, &mut entries) {
            Ok(_) => return Ok(Some(Entry::from_raw(entries[0]))),
            // No entry was read: either the memory has gone away, or the address is
            // outside the address space. Then another address has an entry, and this one
            // still has none.
            Err(error) if error.errno() == Errno::ESRCH => {
                read_entries(process, page, 0, &mut entries)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Reads the entries of the pages from that of address `at` on and returns their number,
/// at least one. `page` is the base page size. The entries are the kernel's 64 bits, for
/// [`Entry::from_raw`].
///
/// # Errors
/// ESRCH when the memory has gone away, and where the address space of processes
/// has ended; EPERM when the page map was refused.
pub fn read_entries(
    process: &ProcessHandle,
    page: PageSize,
    at: u64,
    entries: &mut [u64],
) -> Result<usize> {
    let offset = (at >> page.shift()) * size_of::<u64>() as u64;
    let pagemap = process.pagemap()?;
    let count = timed(|| sys::pread_u64(pagemap, entries, offset))
        .map_err(|errno| process_error(errno, Operation::ReadPagemap))?;
    if count == 0 {
        // The kernel returns no bytes for a memory that has gone away.
        return Err(CoreError::new(Errno::ESRCH, Operation::ReadPagemap));
    }
    Ok(count)
}

/// Huge pages: one entry describes all pages of a huge page, until it is split.
impl<E: AsRef<[u64]> + AsMut<[u64]>> PageReader<E> {
    /// Reads one entry for each huge page from the part's beginning to `end`, and then
    /// scans again: only pages that still are huge, with correctly aligned frames, are
    /// accepted. (Those of hugetlb are never split.) Returns false if not even the first
    /// page is accepted: it must be read page by page.
    fn read_huge(&mut self, process: &ProcessHandle, part: &Part, end: u64) -> Result<bool> {
        let Some(leaf) = part.leaf else {
            return Ok(false);
        };
        let size = leaf.bytes();
        let first = part.at & !(size - 1);
        let most = self.entries.as_ref().len();
        let leaves = (end - first).div_ceil(size).min(most as u64) as usize;
        (self.window, self.count, self.stride) = (first, 0, leaf);
        let mut count = 0;
        while count < leaves {
            let start = first + count as u64 * size;
            // The last page of one and the first page of the next are neighbours in the
            // file: one read for two.
            let pair = count + 1 < leaves;
            let at = if pair {
                start + size - self.page.bytes()
            } else {
                start.max(part.at)
            };
            let mut entries = [0; 2];
            let wanted = 1 + usize::from(pair);
            let read = read_entries(process, self.page, at, &mut entries[..wanted])?;
            let into = (at - start) >> self.page.shift();
            for (index, (&entry, into)) in entries[..read].iter().zip([into, 0]).enumerate() {
                let Some(first_entry) = self.first_entry(entry, into, leaf) else {
                    break;
                };
                self.entries.as_mut()[count + index] = first_entry;
                self.count = count + index + 1;
            }
            count += wanted;
            if self.count < count {
                break;
            }
        }
        if !part.only_huge {
            self.count = self.still_huge(process, part.at, leaf)?;
        }
        if self.count == 0 {
            self.stride = self.page;
            self.no_huge_below = (first + size).min(end);
            return Ok(false);
        }
        self.patience = 1;
        Ok(true)
    }

    /// Returns the entry of a huge page's first page, computed from that of another.
    fn first_entry(&self, entry: u64, pages_into: u64, leaf: PageSize) -> Option<u64> {
        let frame = (entry & Entry::FRAME).checked_sub(pages_into)?;
        let aligned = frame & ((leaf.bytes() >> self.page.shift()) - 1) == 0;
        let believable = entry & Entry::PRESENT != 0 && aligned;
        believable.then_some(entry & !Entry::FRAME | frame)
    }

    /// Returns the number of the huge pages in the window that are still huge.
    fn still_huge(&self, process: &ProcessHandle, at: u64, leaf: PageSize) -> Result<usize> {
        if self.count == 0 {
            return Ok(0);
        }
        let end = self.window_end();
        let mut again = Ranges::<2>::new();
        let mut known = at;
        while known < end {
            if !again.scan(process, &HUGE, &mut Span::new(), known, end)? {
                return Ok(0);
            }
            match again.from(known) {
                Some(found) if found.start <= known => known = found.end,
                _ => break,
            }
        }
        let whole = known.min(end).saturating_sub(self.window) >> leaf.shift();
        Ok(whole as usize)
    }

    /// Returns the run of consecutive huge pages in the window from the part's beginning
    /// on.
    fn huge_run(&self, part: &Part) -> NextPages<'_> {
        let leaf = self.stride;
        let mask = Entry::PRESENT | Entry::FILE | Entry::EXCLUSIVE | Entry::FRAME;
        let pages = leaf.bytes() >> self.page.shift();
        let index = ((part.at - self.window) >> leaf.shift()) as usize;
        let leaves = &self.entries.as_ref()[index..self.count];
        let equal = leaves
            .windows(2)
            .take_while(|pair| (pair[0] & mask) + pages == pair[1] & mask)
            .count();
        let start = self.window + ((index as u64) << leaf.shift());
        let to = start + ((equal as u64 + 1) << leaf.shift());
        let into = (part.at - start) >> self.page.shift();
        NextPages::Huge {
            first: leaves[0] + into,
            to: to.min(part.end),
        }
    }
}
