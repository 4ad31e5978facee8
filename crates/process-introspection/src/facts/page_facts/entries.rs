//! The flags of page-map entries, and notes of those that a walk has read. Pure.

use std::cell::Cell;
use std::fmt;

use process_introspection_core::pagemap::count_equal;
use process_introspection_core::{AddrRange, PageSize};

use super::counts::WordCounts;
use crate::named::named_bits;

/// Flags of an entry of `/proc/PID/pagemap`: its bits from 55 on, including those without a
/// name here. They describe the page's mapping in this process.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Default)]
#[repr(transparent)]
pub struct EntryFlags(u64);

named_bits! {
    impl EntryFlags {
        /// Page that was written since soft-dirty was last cleared, or mapped since then.
        /// Always clear on kernels without CONFIG_MEM_SOFT_DIRTY.
        SOFT_DIRTY = 55, "soft_dirty";
        /// Page that only this process maps (Linux 4.2).
        MMAP_EXCLUSIVE = 56, "mmap_exclusive";
        /// Page that userfaultfd write-protects (Linux 5.13).
        UFFD_WP = 57, "uffd_wp";
        /// Page of a guard region (Linux 6.15).
        GUARD_REGION = 58, "guard_region";
        /// Page of a file or of shared memory (Linux 3.5).
        FILE = 61, "file";
        /// Entry that is not present: a swap entry of any type.
        SWAP = 62, "swap";
        /// Page that is resident and mapped.
        PRESENT = 63, "present";
    }
    /// Returns the bits, at their positions in an entry.
    pub const fn bits;
    /// Returns the kernel's name for a bit of an entry, in lower case, without `PM_`
    /// (fs/proc/task_mmu.c, 5.10 to 6.18); `None` for bits without one.
    pub const fn name_of;
}

impl EntryFlags {
    /// Lowest bit that is a flag.
    const LOWEST: u32 = 55;
    /// All bits that are flags.
    const ALL: u64 = u64::MAX << Self::LOWEST;

    /// Returns the flags in an entry's 64 bits.
    pub const fn from_entry(entry: u64) -> Self {
        Self(entry & Self::ALL)
    }
}

impl fmt::Debug for EntryFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EntryFlags({:#x})", self.0)
    }
}

/// Consecutive pages whose entries have the same flags.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
struct Span {
    start: u64,
    end: u64,
    flags: u64,
}

/// Maximum number of spans that are kept; flags that are lost can be read again.
const MOST_SPANS: usize = 1 << 16;

/// Flags of the entries that a walk has read, by the address of the page. A walk that notes
/// them keeps those of the region that it returns, as far as it has read any: not of huge
/// pages, of which it reads one entry each, and not of pages that it has skipped.
#[derive(Clone, Debug, Default)]
pub(crate) struct EntryNotes {
    /// Spans, ascending, without overlap.
    spans: Vec<Span>,
    /// Index of the span that was found last: the next search often ends there, or in the next
    /// one.
    found: Cell<usize>,
}

impl EntryNotes {
    /// Notes entries of consecutive pages, the first at address `at`, which is above all
    /// noted pages.
    pub(crate) fn add(&mut self, at: u64, entries: &[u64], page: PageSize) {
        let mut rest = entries;
        let mut start = at;
        while let [first, ..] = rest {
            let flags = EntryFlags::from_entry(*first);
            let count = count_equal(rest, flags.bits(), EntryFlags::ALL);
            let end = start + ((count as u64) << page.shift());
            self.push(Span {
                start,
                end,
                flags: flags.bits(),
            });
            (start, rest) = (end, &rest[count..]);
        }
    }

    fn push(&mut self, span: Span) {
        match self.spans.last_mut() {
            Some(last) if last.end == span.start && last.flags == span.flags => last.end = span.end,
            _ => self.spans.push(span),
        }
    }

    /// Adds notes of pages above all noted ones.
    pub(crate) fn append(&mut self, further: &Self) {
        if self.spans.len() >= MOST_SPANS {
            self.spans.clear();
        }
        for &span in &further.spans {
            self.push(span);
        }
    }

    /// Removes the notes of pages below an address.
    pub(crate) fn forget_below(&mut self, address: u64) {
        let past = self.spans.partition_point(|span| span.end <= address);
        self.spans.drain(..past);
    }

    /// Removes all notes; the storage is kept.
    pub(crate) fn clear(&mut self) {
        self.spans.clear();
    }

    /// Returns the number of spans.
    pub(crate) fn len(&self) -> usize {
        self.spans.len()
    }

    /// Returns whether the entries of all pages of a range were noted and mark their mapping
    /// of the frame as the only one.
    pub(crate) fn are_exclusive(&self, range: AddrRange) -> bool {
        let (mut at, end) = (range.start().as_u64(), range.end().as_u64());
        for span in self.spans_from(at) {
            if at >= end || span.start > at || !is_exclusive(span.flags) {
                break;
            }
            at = span.end;
        }
        at >= end
    }

    /// Returns the spans that end above an address.
    fn spans_from(&self, at: u64) -> &[Span] {
        let contains = |&index: &usize| {
            let span = self.spans.get(index);
            span.is_some_and(|span| span.start <= at && at < span.end)
        };
        let last = self.found.get();
        let known = [last, last + 1].into_iter().find(contains);
        let first = known.unwrap_or_else(|| self.spans.partition_point(|span| span.end <= at));
        self.found.set(first);
        &self.spans[first..]
    }

    /// Returns the notes of a range; `None` unless all of its pages were noted.
    pub(crate) fn of(&self, range: AddrRange, page: PageSize) -> Option<NotedEntries> {
        let (mut at, end) = (range.start().as_u64(), range.end().as_u64());
        let mut counts = WordCounts::default();
        for span in self.spans_from(at) {
            if at >= end || span.start > at {
                break;
            }
            let to = span.end.min(end);
            counts.add_times(span.flags, (to - at) >> page.shift());
            at = to;
        }
        (at >= end).then_some(NotedEntries(counts))
    }
}

/// Flags of the entries of a region, as a walk read them, with numbers of pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotedEntries(pub(super) WordCounts);

impl NotedEntries {
    /// Returns these entries and `further` ones.
    pub(crate) fn and(mut self, further: &Self) -> Self {
        self.0.add_all(&further.0);
        self
    }

    /// Returns whether all entries mark their mapping of the frame as the only one.
    pub(crate) fn are_exclusive(&self) -> bool {
        let mut words = self.0.words();
        words.all(|(word, pages)| is_exclusive(word) || pages == 0)
    }
}

/// Returns whether an entry with these flags marks its mapping of the frame as the only one.
const fn is_exclusive(flags: u64) -> bool {
    const EXCLUSIVE: u64 = EntryFlags::PRESENT.0 | EntryFlags::MMAP_EXCLUSIVE.0;
    flags & EXCLUSIVE == EXCLUSIVE
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: PageSize = PageSize::SIZE_4K;

    fn noted(notes: &EntryNotes, start: u64, end: u64) -> Option<Vec<(u64, u64)>> {
        let range = AddrRange::new(start << 12, end << 12).unwrap();
        let noted = notes.of(range, PAGE)?;
        let mut words: Vec<_> = noted
            .0
            .words()
            .map(|(word, pages)| (word >> 55, pages))
            .collect();
        words.sort_unstable();
        Some(words)
    }

    fn entry(flags: u64, frame: u64) -> u64 {
        flags << 55 | frame
    }

    #[test]
    fn the_flags_of_every_page_are_found_again_whatever_the_frame() {
        let entries: Vec<u64> = (0..100).map(|at| entry(at / 37, at * 7)).collect();
        let mut notes = EntryNotes::default();
        notes.add(5 << 12, &entries[..30], PAGE);
        notes.add(35 << 12, &entries[30..], PAGE);
        assert_eq!(notes.len(), 3);
        assert_eq!(noted(&notes, 5, 105), Some(vec![(0, 37), (1, 37), (2, 26)]));
        assert_eq!(noted(&notes, 41, 43), Some(vec![(0, 1), (1, 1)]));
        notes.forget_below(42 << 12);
        assert_eq!(noted(&notes, 41, 43), None);
        assert_eq!(noted(&notes, 50, 51), Some(vec![(1, 1)]));
    }

    #[test]
    fn of_pages_that_were_not_all_noted_nothing_is_said() {
        let mut notes = EntryNotes::default();
        notes.add(2 << 12, &[entry(1, 1); 4], PAGE);
        let mut further = EntryNotes::default();
        further.add(8 << 12, &[entry(1, 1); 4], PAGE);
        notes.append(&further);
        for (start, end) in [(1, 3), (5, 7), (4, 9), (6, 8), (11, 13), (20, 21)] {
            assert_eq!(noted(&notes, start, end), None, "{start} {end}");
        }
        assert_eq!(noted(&notes, 8, 12), Some(vec![(1, 4)]));
    }

    #[test]
    fn a_range_is_exclusive_if_each_of_its_entries_was_noted_as_such() {
        let exclusive = (EntryFlags::PRESENT.0 | EntryFlags::MMAP_EXCLUSIVE.0) >> 55;
        let shared = EntryFlags::PRESENT.0 >> 55;
        let flags = [exclusive, exclusive | 1, exclusive, shared, exclusive];
        let mut notes = EntryNotes::default();
        notes.add(2 << 12, &flags.map(|flags| entry(flags, 9)), PAGE);
        for start in 1..8 {
            for end in start + 1..9 {
                let range = AddrRange::new(start << 12, end << 12).unwrap();
                let expected = notes
                    .of(range, PAGE)
                    .is_some_and(|noted| noted.are_exclusive());
                assert_eq!(notes.are_exclusive(range), expected, "{start} {end}");
            }
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut notes = EntryNotes::default();
        for at in 0..3 * MOST_SPANS as u64 {
            let mut further = EntryNotes::default();
            further.add(at << 12, &[entry(at & 1, 1)], PAGE);
            notes.append(&further);
            assert!(notes.len() <= MOST_SPANS);
        }
        let last = 3 * MOST_SPANS as u64 - 1;
        assert_eq!(noted(&notes, last, last + 1), Some(vec![(1, 1)]));
    }
}
