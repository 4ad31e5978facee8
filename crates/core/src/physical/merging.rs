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
    pub const fn start(each_place: bool) -> Self {
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
