//! Runs packed to a third of their size: another thread reads them from the caches of
//! this one, and waiting runs are most of a walk's memory. Pure.

use process_introspection_core::backing::Backing;
use process_introspection_core::physical::{PageState, Run};
use process_introspection_core::PhysAddr;

/// Stretches of runs. Within a stretch, each run begins at the end of the one before.
#[derive(Debug, Default)]
pub(super) struct PackedRuns {
    runs: Vec<Packed>,
    /// States that do not fit into a word: few, and mostly equal.
    states: Vec<PageState>,
}

/// A packed run. It ends at a page border, so the low bits of its end are free for the
/// meaning of `word`.
#[derive(Copy, Clone, Debug)]
struct Packed {
    end_and_kind: u64,
    word: u64,
}

/// Mask of the bits for the meaning of `word`; the smallest page of any architecture
/// has more bits.
const KIND: u64 = 7;
/// Meaning of `word`: the address of memory.
const RAM: u64 = 0;
/// Meaning of `word`: the address of anonymous memory.
const ANONYMOUS_RAM: u64 = 1;
/// Meaning of `word`: an index of `states`.
const STATE: u64 = 2;

impl PackedRuns {
    /// Adds a run that begins at the end of the last one, or begins a stretch.
    pub(super) fn push(&mut self, run: &Run) {
        let (kind, word) = match run.state.backing {
            Backing::Ram(address) if run.state.anonymous => (ANONYMOUS_RAM, address.as_u64()),
            Backing::Ram(address) => (RAM, address.as_u64()),
            _ => (STATE, self.index_of(run.state)),
        };
        self.runs.push(Packed {
            end_and_kind: run.end | kind,
            word,
        });
    }

    #[inline(never)]
    fn index_of(&mut self, state: PageState) -> u64 {
        if self.states.last() != Some(&state) {
            self.states.push(state);
        }
        self.states.len() as u64 - 1
    }

    /// Returns the number of runs.
    pub(super) fn len(&self) -> usize {
        self.runs.len()
    }

    /// Removes all runs; the storage is kept.
    pub(super) fn clear(&mut self) {
        self.runs.clear();
        self.states.clear();
    }

    /// Returns the runs with the indices `from..to`, a stretch that begins at the
    /// address `start`.
    pub(super) fn stretch(
        &self,
        from: usize,
        to: usize,
        mut start: u64,
    ) -> impl Iterator<Item = Run> + '_ {
        self.runs[from..to].iter().map(move |packed| {
            let ram = |anonymous| PageState {
                backing: Backing::Ram(PhysAddr::new(packed.word)),
                anonymous,
            };
            let end = packed.end_and_kind & !KIND;
            let run = Run {
                start,
                end,
                state: match packed.end_and_kind & KIND {
                    RAM => ram(false),
                    ANONYMOUS_RAM => ram(true),
                    _ => self.states[packed.word as usize],
                },
            };
            start = end;
            run
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use process_introspection_core::backing::{SwapPlace, UnknownReason};

    #[test]
    fn every_run_comes_out_as_it_went_in() {
        let address = PhysAddr::new(0xf_ffff_ffff_f000);
        let place = |offset| SwapPlace { area: 22, offset };
        let backings = [
            Backing::Ram(PhysAddr::new(0)),
            Backing::Ram(address),
            Backing::NotPresent,
            Backing::NotPresent,
            Backing::Zero(address),
            Backing::Device(address),
            Backing::Swapped(Some(place(u64::MAX >> 14))),
            Backing::Swapped(Some(place(5))),
            Backing::Guard,
            Backing::Poisoned,
            Backing::Unknown(UnknownReason::Frame),
        ];
        let mut start = 0x7fff_ffff_0000;
        let mut runs = Vec::new();
        for anonymous in [false, true] {
            for (backing, pages) in backings.into_iter().zip(1..) {
                let end = start + pages * 0x1000;
                let state = PageState { backing, anonymous };
                runs.push(Run { start, end, state });
                start = end;
            }
        }
        let mut packed = PackedRuns::default();
        // The second pass reuses the storage of the first.
        for _ in 0..2 {
            packed.clear();
            runs.iter().for_each(|run| packed.push(run));
            assert_eq!(packed.len(), runs.len());
            let (first, rest) = (runs[0].start, runs[7].start);
            let out: Vec<_> = packed.stretch(0, 7, first).collect();
            assert_eq!(out, runs[..7]);
            let out: Vec<_> = packed.stretch(7, runs.len(), rest).collect();
            assert_eq!(out, runs[7..]);
        }
    }

    #[test]
    fn a_run_is_two_words() {
        assert_eq!(size_of::<Packed>(), 16);
    }
}
