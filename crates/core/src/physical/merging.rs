//! Merger of page entries into runs: takes entries in the order of addresses and passes
//! each run on when it is complete. Pure.

use core::ops::ControlFlow;

use super::runs::{Run, RunsOfRead};
use super::state::{FrameFlagSource, PageContext, PageState};
use crate::addr::Pfn;
use crate::backing::Backing;
use crate::entry::Entry;

/// Maximum number of frames whose flags are read at a time.
const ASKED: usize = 32;

/// Merges entries into runs, and calls back with each run when it is complete.
#[derive(Debug, Default)]
pub struct Merger {
    pending: Option<Run>,
    each_place: bool,
}

impl Merger {
    /// Makes a merger without a pending run.
    pub const fn new() -> Self {
        Self::start(false)
    }

    /// Makes a merger; with `each_place` pages in swap are separate runs, each with its
    /// place.
    pub(crate) const fn start(each_place: bool) -> Self {
        Self {
            pending: None,
            each_place,
        }
    }

    /// Returns whether a page in this state is never merged with others.
    const fn is_apart(&self, state: &PageState) -> bool {
        self.each_place && matches!(state.backing, Backing::Swapped(_))
    }

    /// Returns the run that is not complete yet.
    pub fn pending(&self) -> Option<&Run> {
        self.pending.as_ref()
    }

    /// Ends the pending run, at the border of a mapping.
    pub fn take(&mut self) -> Option<Run> {
        self.pending.take()
    }

    /// Adds pages of one state, physically consecutive if the state has an address;
    /// `give` gets the run that they complete.
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

    /// Adds the entries of the pages from `at` on until `give` breaks; returns how many
    /// were added. Ends early where `flags` fails.
    pub fn feed(
        &mut self,
        context: &PageContext,
        at: u64,
        entries: &[u64],
        flags: &mut impl FrameFlagSource,
        give: &mut impl FnMut(&Run) -> ControlFlow<()>,
    ) -> (usize, ControlFlow<()>) {
        let shift = context.page.shift();
        let has_borders = context.has_borders();
        let mut taken = 0;
        while let Some(&first) = entries.get(taken) {
            let start = at + ((taken as u64) << shift);
            let mut rest = &entries[taken..];
            if has_borders {
                let pages = (context.next_border(start) - start) >> shift;
                rest = &rest[..rest.len().min(usize::try_from(pages).unwrap_or(usize::MAX))];
            }
            let entry = Entry::from_raw(first);
            let is_present = entry.is_present();
            let (len, flow) = if is_present && context.asks(start, entry) {
                self.feed_asked(context, start, rest, flags, give)
            } else {
                let state = match is_present {
                    true => context.by_entry(entry),
                    false => context.state(start, entry, flags),
                };
                match state.backing {
                    Backing::Ram(_) => {
                        self.feed_ram(context, has_borders, start, rest, state.anonymous, give)
                    }
                    _ => {
                        let len = match self.is_apart(&state) {
                            true => 1,
                            false => context.run_length(start, rest, state, flags),
                        };
                        if flags.has_failed() {
                            return (taken, ControlFlow::Break(()));
                        }
                        let end = start + ((len as u64) << shift);
                        (len, self.push(Run { start, end, state }, give))
                    }
                }
            };
            taken += len;
            if flow.is_break() {
                return (taken, flow);
            }
        }
        (taken, ControlFlow::Continue(()))
    }

    /// Adds entries that begin with a page whose frame's flags are needed; at most as
    /// many as have their flags read at a time.
    #[inline(never)] // Keeps its flags out of its callers' stack frames.
    fn feed_asked(
        &mut self,
        context: &PageContext,
        at: u64,
        entries: &[u64],
        flags: &mut impl FrameFlagSource,
        give: &mut impl FnMut(&Run) -> ControlFlow<()>,
    ) -> (usize, ControlFlow<()>) {
        let Some((&first, rest)) = entries.split_first() else {
            return (0, ControlFlow::Continue(()));
        };
        let mut buffer = [0; ASKED];
        let most = match context.is_whole_block_asked() {
            true => 0,
            false => rest.len().min(ASKED - 1),
        };
        let len = 1 + context.consecutive(first, &rest[..most]);
        let asked = &mut buffer[..len];
        let known = flags.read(Entry::from_raw(first).frame_bits(), asked);
        if flags.has_failed() {
            return (0, ControlFlow::Break(()));
        }
        if context.is_whole_block_asked() {
            let state = context.by_flags(Entry::from_raw(first), known.then_some(asked[0]));
            let len = 1 + context.consecutive(first, rest);
            let end = at + ((len as u64) << context.page.shift());
            let start = at;
            return (len, self.push(Run { start, end, state }, give));
        }
        let mut start = at;
        for (index, (&entry, &flags)) in entries.iter().zip(asked.iter()).enumerate() {
            let end = start + context.page.bytes();
            let state = context.by_flags(Entry::from_raw(entry), known.then_some(flags));
            let flow = self.push(Run { start, end, state }, give);
            if flow.is_break() {
                return (index + 1, flow);
            }
            start = end;
        }
        (len, ControlFlow::Continue(()))
    }

    /// Adds pages from `start` to `end` that huge entries map to consecutive frames,
    /// `first` being the entry of the first page; returns the address up to which they
    /// were added. Ends early where `flags` fails.
    pub fn feed_huge(
        &mut self,
        context: &PageContext,
        (start, end): (u64, u64),
        first: Entry,
        flags: &mut impl FrameFlagSource,
        give: &mut impl FnMut(&Run) -> ControlFlow<()>,
    ) -> (u64, ControlFlow<()>) {
        let mut at = start;
        let block = context.page.pmd().bytes();
        loop {
            let entry = first.further((at - start) >> context.page.shift());
            let state = context.state(at, entry, flags);
            if flags.has_failed() {
                return (at, ControlFlow::Break(()));
            }
            // Where flags are needed, they are read once for each folio.
            let to = match context.asks(at, entry) {
                true => (at | (block - 1)).saturating_add(1).min(end),
                false => end,
            };
            let run = Run {
                start: at,
                end: to,
                state,
            };
            let flow = self.push(run, give);
            if flow.is_break() || to >= end {
                return (to, flow);
            }
            at = to;
        }
    }

    /// Adds entries that begin with memory, as long as they are memory of the same sort:
    /// where only the frames differ, nothing else is computed again.
    #[inline]
    fn feed_ram(
        &mut self,
        context: &PageContext,
        has_borders: bool,
        at: u64,
        entries: &[u64],
        anonymous: bool,
        give: &mut impl FnMut(&Run) -> ControlFlow<()>,
    ) -> (usize, ControlFlow<()>) {
        let frames = RunsOfRead {
            relevant: Entry::PRESENT | context.kind_bit(has_borders) | Entry::FRAME,
            zero: context.zero.map_or(u64::MAX, Pfn::as_u64),
            page: context.page,
            anonymous,
            at,
        };
        let sort = frames.relevant & !Entry::FRAME;
        let zero = frames.zero;
        let Some(&first) = entries.first() else {
            return (0, ControlFlow::Continue(()));
        };
        // Only the first run can continue the pending one.
        let (run, mut taken) = frames.run_from(entries, 0, first);
        let mut flow = self.push(run, give);
        let Some(mut pending) = self.pending.take() else {
            return (taken, flow);
        };
        // Where the next run may need flags, it is treated as a first run.
        while flow.is_continue() && !has_borders {
            match entries.get(taken) {
                Some(&next) if (next ^ first) & sort == 0 && next & Entry::FRAME != zero => {
                    let (run, len) = frames.run_from(entries, taken, next);
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
    use crate::addr::{PageSize, PhysAddr};
    use crate::backing::UnknownReason;
    use crate::mapping::PageSource;
    use std::vec::Vec;

    const ANONYMOUS: PageContext = PageContext {
        page: PageSize::SIZE_4K,
        private: true,
        has_object: false,
        unlisted: None,
        source: PageSource::Anonymous,
        hugetlb: false,
        huge_file_bit: true,
        frames: true,
        zero: Some(Pfn::new(100)),
    };
    const PRIVATE_FILE: PageContext = PageContext {
        has_object: true,
        source: PageSource::Cache,
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
        runs_at(context, 0, entries, |_| None)
    }

    /// Returns the runs of pages from an address on, with the flags of frames.
    fn runs_at(
        context: &PageContext,
        at: u64,
        entries: &[u64],
        flags: impl Fn(u64) -> Option<u64>,
    ) -> Vec<(usize, Backing, bool)> {
        let mut runs = Vec::new();
        let mut merger = Merger::new();
        let mut of_frames = |first: Pfn, to: &mut [u64]| {
            let frames = first.as_u64()..;
            to.iter_mut().zip(frames).all(|(to, frame)| {
                let known = flags(frame);
                *to = known.unwrap_or_default();
                known.is_some()
            })
        };
        let mut given = |run: &Run| {
            let pages = (run.end - run.start) >> context.page.shift();
            runs.push((pages as usize, run.state.backing, run.state.anonymous));
            ControlFlow::Continue(())
        };
        let (taken, _) = merger.feed(context, at, entries, &mut of_frames, &mut given);
        assert_eq!(taken, entries.len());
        merger.take().map(|run| given(&run));
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

    /// Tests entries as kernels before 6.11 report them: memory of a child that its
    /// parent maps too, followed by the huge zero page in the next frames.
    #[test]
    fn the_huge_zero_page_ends_a_run_also_without_a_bit_that_says_so() {
        let old = PageContext {
            huge_file_bit: false,
            ..ANONYMOUS
        };
        let entries: Vec<u64> = (512..2048).map(ram).collect();
        let flags = |frame| {
            Some(if (1024..1536).contains(&frame) {
                1 << 24
            } else {
                1 << 12
            })
        };
        for pages_before in [0, 1, 511] {
            // The frames lie in blocks where the addresses do.
            let start = (7 << 21) + (pages_before << 12);
            let first = pages_before as usize;
            assert_eq!(
                runs_at(&old, start, &entries[first..], flags),
                [
                    (512 - first, Backing::Ram(at(512 + pages_before)), true),
                    (512, Backing::Zero(at(1024)), true),
                    (512, Backing::Ram(at(1536)), true)
                ]
            );
        }
        let mut merger = Merger::new();
        let mut given = Vec::new();
        let mut of_frames = |first: Pfn, to: &mut [u64]| {
            to.fill(flags(first.as_u64()).unwrap());
            true
        };
        let first = Entry::from_raw(ram(512));
        let whole = (7 << 21, 10 << 21);
        let mut give = |run: &Run| {
            given.push((run.start >> 21, run.state.backing));
            ControlFlow::Continue(())
        };
        let (to, _) = merger.feed_huge(&old, whole, first, &mut of_frames, &mut give);
        assert_eq!(to, 10 << 21);
        merger.take().map(|run| give(&run));
        assert_eq!(
            given,
            [
                (7, Backing::Ram(at(512))),
                (8, Backing::Zero(at(1024))),
                (9, Backing::Ram(at(1536)))
            ]
        );
    }

    #[test]
    fn a_run_of_frames_that_are_asked_is_cut_where_their_flags_differ() {
        let dax = PageContext {
            source: PageSource::Persistent,
            ..PRIVATE_FILE
        };
        // 150 frames of RAM that are private copies, and the device's behind them.
        let entries: Vec<u64> = (1000..1300).map(ram).collect();
        let flags = |frame| Some(if frame < 1150 { 1 << 12 } else { 1 << 20 });
        assert_eq!(
            runs_at(&dax, 0x5000, &entries, flags),
            [
                (150, Backing::Ram(at(1000)), true),
                (150, Backing::Device(at(1150)), false)
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
                    Backing::Swapped(Some(crate::backing::SwapPlace { area: 0, offset: 9 })),
                    true
                ),
                (1, Backing::NotPresent, false),
                (
                    1,
                    Backing::Swapped(Some(crate::backing::SwapPlace { area: 0, offset: 4 })),
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
        let mut unknown = |_: Pfn, _: &mut [u64]| false;
        let (taken, _) = merger.feed(&ANONYMOUS, 0, &entries, &mut unknown, &mut |run| {
            given.push(*run);
            ControlFlow::Continue(())
        });
        assert_eq!(taken, entries.len());
        given.extend(merger.take());
        let place = |offset| Backing::Swapped(Some(crate::backing::SwapPlace { area: 0, offset }));
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
