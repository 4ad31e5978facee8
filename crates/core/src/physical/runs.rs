//! From entries to runs: what a single entry means in its mapping, how far a
//! run of alike, consecutive pages goes, and when two runs are one. Pure.
//!
//! A run ends where the next page is not physically next, where backed turns
//! into unbacked or into another unbacked state, a file's page into a private
//! copy, the zero page into other memory, and nowhere else.

use core::ops::ControlFlow;

use super::Backing;
use crate::addr::{PageSize, Pfn};
use crate::device::UnknownReason;
use crate::pagemap::{alike, consecutive, Entry, NonPresent};

/// What the meaning of an entry depends on: its mapping and the caller.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct PageContext {
    /// The base page size.
    pub page: PageSize,
    /// Mapped private: pages can be private copies.
    pub private: bool,
    /// The mapping has an object.
    pub has_object: bool,
    /// The kernel maps frames of its own or of a device here, which the page
    /// map leaves out: what is not present is unknown, for this reason.
    pub unlisted: Option<UnknownReason>,
    /// A special mapping of the kernel's (`[vdso]`): no object, yet its pages
    /// count as a file's.
    pub special: bool,
    /// Frame numbers are visible and wanted.
    pub frames: bool,
    /// The frame of the zero page, where known.
    pub zero: Option<Pfn>,
}

/// What a page is: its backing, and whether it is anonymous memory.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct PageState {
    /// What is behind it.
    pub backing: Backing,
    /// Anonymous memory, see [`super::PhysicalRegion::anonymous`].
    pub anonymous: bool,
}

/// A run that has been found, of whole pages.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The address of its first page.
    pub start: u64,
    /// The address past its last page.
    pub end: u64,
    /// The state of its first page.
    pub state: PageState,
}

impl Run {
    /// Whether `next`, which begins where this ends, goes on with it.
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
    /// The state of a page that has nothing.
    pub const fn empty(&self) -> PageState {
        PageState {
            backing: match self.unlisted {
                Some(reason) => Backing::Unknown(reason),
                None => Backing::NotPresent,
            },
            anonymous: !self.has_object,
        }
    }

    /// What one entry means. `of_frame` says what an entry is that names a
    /// frame without being present.
    pub fn state(&self, entry: Entry, of_frame: impl FnOnce(Pfn) -> Backing) -> PageState {
        let anonymous = !self.has_object;
        let Some(non_present) = entry.non_present() else {
            return self.present(entry);
        };
        let swapped = |place| PageState {
            backing: Backing::Swapped(place),
            anonymous: anonymous || self.private,
        };
        let backing = match non_present {
            NonPresent::Empty => return self.empty(),
            // Without frames the kernel tells no place, and no kind either.
            NonPresent::Swap(place) => return swapped(self.frames.then_some(place)),
            NonPresent::Guard => Backing::Guard,
            NonPresent::Poisoned => Backing::Poisoned,
            NonPresent::Marker(_) => Backing::Marker,
            NonPresent::Frame(frame) => of_frame(frame),
        };
        PageState { backing, anonymous }
    }

    fn present(&self, entry: Entry) -> PageState {
        let of_object = self.has_object && (entry.is_file() || !self.private);
        let frame = entry.raw() & Entry::FRAME;
        if !self.frames {
            return PageState {
                backing: Backing::Resident,
                anonymous: !of_object,
            };
        }
        let address = Pfn::new(frame).address(self.page);
        if self.is_zero(entry) {
            // No private copy of anything yet.
            return PageState {
                backing: Backing::Zero(address),
                anonymous: !self.has_object,
            };
        }
        // In a shared mapping only frames that are no ordinary memory lack the
        // bit (`vm_normal_page` gives none: mm/memory.c, Linux 6.12).
        let ordinary = self.private || entry.is_file() || !self.has_object;
        PageState {
            backing: if ordinary {
                Backing::Ram(address)
            } else {
                Backing::Device(address)
            },
            anonymous: !of_object,
        }
    }

    /// The zero page is one frame, known by its number. The huge zero page is
    /// no anonymous page, yet the only such one in a mapping without an object
    /// (fs/proc/task_mmu.c, `pagemap_pmd_range`: the file bit is set).
    fn is_zero(&self, entry: Entry) -> bool {
        let frame = Pfn::new(entry.raw() & Entry::FRAME);
        self.zero == Some(frame)
            || (self.private && !self.has_object && !self.special && entry.is_file())
    }

    /// How many of `entries`, at least 1, are certainly one run with the first,
    /// which is in `state`.
    fn run_length(
        &self,
        entries: &[u64],
        state: PageState,
        mut of_frame: impl FnMut(Pfn) -> Backing,
    ) -> usize {
        let Some((&first, rest)) = entries.split_first() else {
            return 0;
        };
        match state.backing {
            Backing::Ram(_) | Backing::Zero(_) | Backing::Device(_) => {
                let relevant = Entry::PRESENT | Entry::FRAME | self.kind_bit();
                let limit = self.frames_before_zero(first, rest.len());
                1 + consecutive(&rest[..limit], first & relevant, relevant)
            }
            Backing::Resident => {
                let relevant = Entry::PRESENT | self.kind_bit();
                1 + alike(rest, first & relevant, relevant)
            }
            Backing::NotPresent => 1 + alike(rest, 0, Entry::PRESENT | Entry::SWAP),
            _ => {
                let run = Run {
                    start: 0,
                    end: 0,
                    state,
                };
                let alike = rest.iter().take_while(|&&entry| {
                    run.continues_with(&self.state(Entry::from_raw(entry), &mut of_frame))
                });
                1 + alike.count()
            }
        }
    }

    /// The bit by which pages of a private mapping differ: private copies from
    /// the file's, the huge zero page from memory. It means nothing elsewhere
    /// but ordinary or not in a shared mapping of an object.
    const fn kind_bit(&self) -> u64 {
        if self.private || self.has_object {
            Entry::FILE
        } else {
            0
        }
    }

    /// How many entries behind `first` can go on with it before the next frame
    /// would be the zero page's, or, from the zero page, at all.
    fn frames_before_zero(&self, first: u64, rest: usize) -> usize {
        let Some(zero) = self.zero else { return rest };
        let ahead = zero.as_u64().wrapping_sub(first & Entry::FRAME);
        match ahead {
            0 => 0,
            _ => rest.min(usize::try_from(ahead - 1).unwrap_or(usize::MAX)),
        }
    }
}

/// Merges what is known of pages into runs, and gives each when it is complete.
#[derive(Debug, Default)]
pub struct Merger {
    pending: Option<Run>,
    each_place: bool,
}

impl Merger {
    /// Nothing pending.
    pub const fn new() -> Self {
        Self::start(false)
    }

    /// The same; with `each_place` pages in swap are runs of their own, each
    /// with its place.
    pub(crate) const fn start(each_place: bool) -> Self {
        Self {
            pending: None,
            each_place,
        }
    }

    /// Whether a page in this state is never merged with others.
    const fn is_apart(&self, state: &PageState) -> bool {
        self.each_place && matches!(state.backing, Backing::Swapped(_))
    }

    /// The run that is not complete yet.
    pub fn pending(&self) -> Option<&Run> {
        self.pending.as_ref()
    }

    /// Ends the run that is pending: at the border of a mapping.
    pub fn take(&mut self) -> Option<Run> {
        self.pending.take()
    }

    /// Takes in pages of one state, physically consecutive if that has an
    /// address; `give` gets the run that they complete.
    pub fn push(
        &mut self,
        run: Run,
        give: &mut impl FnMut(&Run) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let apart = self.is_apart(&run.state);
        match &mut self.pending {
            Some(pending)
                if pending.end == run.start && pending.continues_with(&run.state) && !apart =>
            {
                pending.end = run.end;
                ControlFlow::Continue(())
            }
            pending => match pending.replace(run) {
                Some(complete) => give(&complete),
                None => ControlFlow::Continue(()),
            },
        }
    }

    /// Takes in the entries of the pages from `at` on until `give` has enough;
    /// says how many were taken in.
    pub fn feed(
        &mut self,
        context: &PageContext,
        at: u64,
        entries: &[u64],
        mut of_frame: impl FnMut(Pfn) -> Backing,
        give: &mut impl FnMut(&Run) -> ControlFlow<()>,
    ) -> (usize, ControlFlow<()>) {
        let mut taken = 0;
        while let Some(&first) = entries.get(taken) {
            let state = context.state(Entry::from_raw(first), &mut of_frame);
            let start = at + ((taken as u64) << context.page.shift());
            let rest = &entries[taken..];
            let (len, flow) = match state.backing {
                Backing::Ram(_) => self.feed_ram(context, start, rest, state.anonymous, give),
                _ => {
                    let len = match self.is_apart(&state) {
                        true => 1,
                        false => context.run_length(rest, state, &mut of_frame),
                    };
                    let end = start + ((len as u64) << context.page.shift());
                    (len, self.push(Run { start, end, state }, give))
                }
            };
            taken += len;
            if flow.is_break() {
                return (taken, flow);
            }
        }
        (taken, ControlFlow::Continue(()))
    }

    /// The same for entries that begin with memory, as long as they are
    /// memory of the same sort: where only the frames differ, nothing else has
    /// to be found out again.
    #[inline]
    fn feed_ram(
        &mut self,
        context: &PageContext,
        at: u64,
        entries: &[u64],
        anonymous: bool,
        give: &mut impl FnMut(&Run) -> ControlFlow<()>,
    ) -> (usize, ControlFlow<()>) {
        let sort = Entry::PRESENT | context.kind_bit();
        let relevant = sort | Entry::FRAME;
        let zero = context.zero.map_or(u64::MAX, Pfn::as_u64);
        let shift = context.page.shift();
        // The run that begins with entry `from`, and its length in pages.
        let run_from = |from: usize, first: u64| {
            let frame = first & Entry::FRAME;
            let ahead = consecutive(&entries[from + 1..], first & relevant, relevant);
            let to_zero = usize::try_from(zero.wrapping_sub(frame)).unwrap_or(usize::MAX);
            let len = (1 + ahead).min(to_zero);
            let start = at + ((from as u64) << shift);
            let backing = Backing::Ram(Pfn::new(frame).address(context.page));
            let run = Run {
                start,
                end: start + ((len as u64) << shift),
                state: PageState { backing, anonymous },
            };
            (run, len)
        };
        let Some(&first) = entries.first() else {
            return (0, ControlFlow::Continue(()));
        };
        // Only the first can go on with what is pending.
        let (run, mut taken) = run_from(0, first);
        let mut flow = self.push(run, give);
        let Some(mut pending) = self.pending.take() else {
            return (taken, flow);
        };
        while flow.is_continue() {
            match entries.get(taken) {
                Some(&next) if (next ^ first) & sort == 0 && next & Entry::FRAME != zero => {
                    let (run, len) = run_from(taken, next);
                    flow = give(&pending);
                    pending = run;
                    taken += len;
                }
                _ => break,
            }
        }
        self.pending = Some(pending);
        (taken, flow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::PhysAddr;
    use std::vec::Vec;

    const ANONYMOUS: PageContext = PageContext {
        page: PageSize::SIZE_4K,
        private: true,
        has_object: false,
        unlisted: None,
        special: false,
        frames: true,
        zero: Some(Pfn::new(100)),
    };
    const PRIVATE_FILE: PageContext = PageContext {
        has_object: true,
        ..ANONYMOUS
    };
    const SHARED_FILE: PageContext = PageContext {
        private: false,
        ..PRIVATE_FILE
    };

    fn ram(frame: u64) -> u64 {
        Entry::PRESENT | frame
    }

    fn cached(frame: u64) -> u64 {
        Entry::PRESENT | Entry::FILE | frame
    }

    fn swapped(offset: u64) -> u64 {
        Entry::SWAP | offset << 5
    }

    fn runs(context: &PageContext, entries: &[u64]) -> Vec<(usize, Backing, bool)> {
        let unknown = |_| Backing::Unknown(UnknownReason::Frame);
        let mut runs: Vec<(usize, Backing, bool)> = Vec::new();
        let mut rest = entries;
        while let Some(&first) = rest.first() {
            let state = context.state(Entry::from_raw(first), unknown);
            let len = context.run_length(rest, state, unknown);
            runs.push((len, state.backing, state.anonymous));
            rest = &rest[len..];
        }
        runs
    }

    fn at(frame: u64) -> PhysAddr {
        PhysAddr::new(frame << 12)
    }

    #[test]
    fn consecutive_frames_are_one_run() {
        assert_eq!(
            runs(&ANONYMOUS, &[ram(5), ram(6), ram(7), ram(9), ram(8)]),
            [
                (3, Backing::Ram(at(5)), true),
                (1, Backing::Ram(at(9)), true),
                (1, Backing::Ram(at(8)), true)
            ]
        );
    }

    #[test]
    fn bits_that_are_not_the_contracts_end_no_run() {
        let others = 1 << 55 | 1 << 56 | 1 << 57;
        assert_eq!(
            runs(&ANONYMOUS, &[ram(5), ram(6) | others, ram(7)]).len(),
            1
        );
        assert_eq!(
            runs(&SHARED_FILE, &[cached(5), cached(6) | others]).len(),
            1
        );
    }

    #[test]
    fn a_private_copy_ends_the_run_of_the_files_pages() {
        assert_eq!(
            runs(&PRIVATE_FILE, &[cached(5), ram(6), ram(7), cached(8)]),
            [
                (1, Backing::Ram(at(5)), false),
                (2, Backing::Ram(at(6)), true),
                (1, Backing::Ram(at(8)), false)
            ]
        );
    }

    #[test]
    fn the_zero_page_is_a_record_a_page() {
        assert_eq!(
            runs(
                &ANONYMOUS,
                &[ram(99), ram(100), ram(101), ram(100), ram(100)]
            ),
            [
                (1, Backing::Ram(at(99)), true),
                (1, Backing::Zero(at(100)), true),
                (1, Backing::Ram(at(101)), true),
                (1, Backing::Zero(at(100)), true),
                (1, Backing::Zero(at(100)), true)
            ]
        );
    }

    #[test]
    fn the_huge_zero_page_is_one_run_a_time() {
        let entries: Vec<u64> = (512..1024).chain(512..1024).map(cached).collect();
        assert_eq!(
            runs(&ANONYMOUS, &entries),
            [
                (512, Backing::Zero(at(512)), true),
                (512, Backing::Zero(at(512)), true)
            ]
        );
    }

    #[test]
    fn the_place_in_swap_ends_no_run() {
        assert_eq!(
            runs(&PRIVATE_FILE, &[swapped(9), swapped(3), 0, swapped(4)]),
            [
                (
                    2,
                    Backing::Swapped(Some(crate::pagemap::SwapPlace { area: 0, offset: 9 })),
                    true
                ),
                (1, Backing::NotPresent, false),
                (
                    1,
                    Backing::Swapped(Some(crate::pagemap::SwapPlace { area: 0, offset: 4 })),
                    true
                )
            ]
        );
    }

    #[test]
    fn each_page_in_swap_has_its_place_where_that_is_asked_for() {
        let mut given = Vec::new();
        let mut merger = Merger::start(true);
        let entries = [swapped(9), swapped(10), ram(5), ram(6), swapped(4), 0, 0];
        let unknown = |_| Backing::Unknown(UnknownReason::Frame);
        let (taken, _) = merger.feed(&ANONYMOUS, 0, &entries, unknown, &mut |run| {
            given.push(*run);
            ControlFlow::Continue(())
        });
        assert_eq!(taken, entries.len());
        given.extend(merger.take());
        let place = |offset| Backing::Swapped(Some(crate::pagemap::SwapPlace { area: 0, offset }));
        let given: Vec<_> = given
            .iter()
            .map(|run| ((run.end - run.start) >> 12, run.state.backing))
            .collect();
        assert_eq!(
            given,
            [
                (1, place(9)),
                (1, place(10)),
                (2, Backing::Ram(at(5))),
                (1, place(4)),
                (2, Backing::NotPresent)
            ]
        );
    }

    #[test]
    fn what_is_mapped_but_not_listed_is_unknown() {
        let device = PageContext {
            unlisted: Some(UnknownReason::Driver),
            ..SHARED_FILE
        };
        assert_eq!(
            runs(&device, &[0, 0]),
            [(2, Backing::Unknown(UnknownReason::Driver), false)]
        );
        assert_eq!(
            runs(&SHARED_FILE, &[ram(5)]),
            [(1, Backing::Device(at(5)), false)]
        );
    }

    #[test]
    fn hidden_frames_merge_by_residence_alone() {
        let hidden = PageContext {
            frames: false,
            zero: None,
            ..PRIVATE_FILE
        };
        let file = Entry::PRESENT | Entry::FILE;
        assert_eq!(
            runs(&hidden, &[file, file, Entry::PRESENT, 0, Entry::SWAP]),
            [
                (2, Backing::Resident, false),
                (1, Backing::Resident, true),
                (1, Backing::NotPresent, false),
                (1, Backing::Swapped(None), true)
            ]
        );
    }
}
