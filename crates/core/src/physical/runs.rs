//! Runs of pages: the rule for joining two runs, and the number of entries that certainly
//! belong to one run. Pure.
//!
//! A run ends where the next page is not physically next, where backed changes into
//! unbacked or into another unbacked state, a file's page into a private copy, the zero
//! page into other memory, and nowhere else.

use super::state::{FrameFlagSource, PageContext, PageState};
use crate::addr::{PageSize, Pfn};
use crate::backing::Backing;
use crate::entry::Entry;
use crate::pagemap::{count_consecutive, count_equal};

/// Run of whole pages.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Address of the first page.
    pub start: u64,
    /// Address past the last page.
    pub end: u64,
    /// State of the first page.
    pub state: PageState,
}

impl Run {
    /// Returns whether `next`, which begins where this run ends, continues it.
    pub fn continues_with(&self, next: &PageState) -> bool {
        let size = self.end - self.start;
        self.state.anonymous == next.anonymous
            && match (self.state.backing, next.backing) {
                (Backing::Ram(this), Backing::Ram(next))
                | (Backing::Zero(this), Backing::Zero(next))
                | (Backing::Device(this), Backing::Device(next)) => {
                    this.checked_add(size) == Some(next)
                }
                (Backing::Swapped(_), Backing::Swapped(_)) => true,
                (this, next) => this == next && this.address().is_none(),
            }
    }
}

impl PageContext {
    /// Returns how many of `entries`, at least 1, certainly belong to one run with the
    /// first, which is in `state` and whose page is at address `at`.
    pub(super) fn run_length(
        &self,
        at: u64,
        entries: &[u64],
        state: PageState,
        flags: &mut impl FrameFlagSource,
    ) -> usize {
        let Some((&first, rest)) = entries.split_first() else {
            return 0;
        };
        match state.backing {
            Backing::Ram(_) | Backing::Zero(_) | Backing::Device(_) => {
                1 + self.consecutive(first, rest)
            }
            Backing::Resident => {
                let relevant = Entry::PRESENT | self.kind_bit(self.has_borders());
                1 + count_equal(rest, first & relevant, relevant)
            }
            Backing::NotPresent => 1 + count_equal(rest, 0, Entry::PRESENT | Entry::SWAP),
            _ => {
                let run = Run {
                    start: 0,
                    end: 0,
                    state,
                };
                let mut at = at;
                let equal = rest.iter().take_while(|&&entry| {
                    at += self.page.bytes();
                    run.continues_with(&self.state(at, Entry::from_raw(entry), flags))
                });
                1 + equal.count()
            }
        }
    }

    /// Returns how many of `rest` continue the frame of `first`, with the same bits.
    pub(super) fn consecutive(&self, first: u64, rest: &[u64]) -> usize {
        let relevant = Entry::PRESENT | Entry::FRAME | self.kind_bit(self.has_borders());
        let limit = self.frames_before_zero(first, rest.len());
        count_consecutive(&rest[..limit], first & relevant, relevant)
    }

    /// Returns the bit by which pages of a private mapping differ: private copies from
    /// the file's pages, the huge zero page from memory. Elsewhere it only distinguishes
    /// ordinary memory in a shared mapping of an object.
    pub(super) fn kind_bit(&self, has_borders: bool) -> u64 {
        let file = if self.private || self.has_object {
            Entry::FILE
        } else {
            0
        };
        // Where that bit can be missing, it determines whether a page's flags are needed.
        match has_borders {
            true => file | Entry::EXCLUSIVE,
            false => file,
        }
    }

    /// Returns the number of entries behind `first` that can continue it before the next
    /// frame would be the zero page's; none from the zero page.
    fn frames_before_zero(&self, first: u64, rest: usize) -> usize {
        let Some(zero) = self.zero else { return rest };
        let ahead = zero.as_u64().wrapping_sub(first & Entry::FRAME);
        match ahead {
            0 => 0,
            _ => rest.min(usize::try_from(ahead - 1).unwrap_or(usize::MAX)),
        }
    }
}

/// Properties that the runs of one read share: memory of one sort.
pub(super) struct RunsOfRead {
    /// Mask of the bits that decide whether an entry continues a run, in which only the
    /// frames differ then.
    pub(super) relevant: u64,
    pub(super) zero: u64,
    pub(super) page: PageSize,
    pub(super) anonymous: bool,
    /// Address of the first entry's page.
    pub(super) at: u64,
}

impl RunsOfRead {
    /// Returns the run that begins with entry `from`, which is `first`, and its length in
    /// pages.
    // Inlined into both of its callers; otherwise a walk that takes run after run costs a
    // tenth more.
    #[inline(always)]
    pub(super) fn run_from(&self, entries: &[u64], from: usize, first: u64) -> (Run, usize) {
        let frame = first & Entry::FRAME;
        let ahead = count_consecutive(&entries[from + 1..], first & self.relevant, self.relevant);
        let to_zero = usize::try_from(self.zero.wrapping_sub(frame)).unwrap_or(usize::MAX);
        let len = (1 + ahead).min(to_zero);
        let start = self.at + ((from as u64) << self.page.shift());
        let backing = Backing::Ram(Pfn::new(frame).address(self.page));
        let anonymous = self.anonymous;
        let run = Run {
            start,
            end: start + ((len as u64) << self.page.shift()),
            state: PageState { backing, anonymous },
        };
        (run, len)
    }
}
