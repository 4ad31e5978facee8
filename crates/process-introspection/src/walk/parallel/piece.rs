//! Pieces of a walk, and the walk of one piece. This module must not know other pieces.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use process_introspection_core as core;
use process_introspection_core::physical::{Run, VmaPart, VmaPartWalker};

use super::pace::TIME;
use super::packed::PackedRuns;
use crate::facts::page_facts::EntryNotes;
use crate::handover::Task;
use crate::process::mapping::{EntryStorage, Mapping};

/// Number of runs and notes at which the walk of a piece ends: they are kept until the
/// caller has taken those before.
const RUNS: usize = 2048;
/// Number of entries that one read returns. All runs of one read are kept, so this is
/// less than in a walk with one thread.
const ENTRIES: usize = 2048;
/// Steps after which the clock is read.
const STEPS: u32 = 16;
/// Size of a step after which the clock is read too.
const LARGE_STEP: u64 = 1 << 20;

/// A part of a VMA, with its mapping.
#[derive(Clone, Debug)]
pub(super) struct PlannedArea {
    pub(super) area: VmaPart,
    pub(super) mapping: Arc<Mapping>,
    /// True if the part ends where the VMA ends.
    pub(super) last: bool,
}

/// Consecutive VMAs, or parts of them.
#[derive(Debug, Default)]
pub(super) struct Piece {
    pub(super) areas: VecDeque<PlannedArea>,
    /// Error behind these VMAs; no others follow.
    pub(super) error: Option<core::CoreError>,
}

impl Task for Piece {
    /// The first address.
    type Key = u64;
    type Output = Walked;

    fn key(&self) -> u64 {
        self.start()
    }

    fn weight(walked: &Walked) -> usize {
        // The constant stands for mappings, and for room for more runs.
        128 + walked.len()
    }
}

impl Piece {
    pub(super) fn is_empty(&self) -> bool {
        self.areas.is_empty() && self.error.is_none()
    }

    /// Returns the first address that is left.
    pub(super) fn start(&self) -> u64 {
        let first = self.areas.front();
        first.map_or(u64::MAX, |first| first.area.left().start().as_u64())
    }

    fn end(&self) -> u64 {
        let last = self.areas.back();
        last.map_or(u64::MAX, |last| last.area.left().end().as_u64())
    }

    /// Returns the number of bytes of all VMAs.
    pub(super) fn size(&self) -> u64 {
        let sizes = self.areas.iter().map(|planned| planned.area.left().size());
        sizes.fold(0, u64::saturating_add)
    }

    /// Keeps about `bytes`, at least a page, and returns the rest.
    pub(super) fn split_off(&mut self, bytes: u64) -> Self {
        let mut kept = 0u64;
        for (index, planned) in self.areas.iter_mut().enumerate() {
            let size = planned.area.left().size();
            if kept + size < bytes {
                kept += size;
                continue;
            }
            let rest = planned.area.split_off(bytes - kept).map(|area| {
                let last = std::mem::replace(&mut planned.last, false);
                let mapping = Arc::clone(&planned.mapping);
                PlannedArea {
                    area,
                    mapping,
                    last,
                }
            });
            let mut areas = self.areas.split_off(index + 1);
            if let Some(rest) = rest {
                areas.push_front(rest);
            }
            return Self {
                areas,
                error: self.error.take(),
            };
        }
        Self::default()
    }
}

/// Runs that were found in a part of one VMA, from the end of the part before.
#[derive(Debug)]
pub(super) struct Stretch {
    pub(super) mapping: Arc<Mapping>,
    start: u64,
    runs_end: usize,
    /// True if it ends where the VMA ends.
    pub(super) complete: bool,
}

/// Runs that were found in the walked part of a piece.
#[derive(Debug, Default)]
pub(super) struct Walked {
    runs: PackedRuns,
    /// Flags of their entries, if requested.
    pub(super) notes: EntryNotes,
    stretches: Vec<Stretch>,
    /// Error that ends the walk behind these runs.
    pub(super) error: Option<core::CoreError>,
}

impl Walked {
    /// Returns the number of runs and notes.
    fn len(&self) -> usize {
        self.runs.len() + self.notes.len()
    }

    /// Removes everything; the storage is kept.
    pub(super) fn clear(&mut self) {
        self.runs.clear();
        self.notes.clear();
        self.stretches.clear();
        self.error = None;
    }

    /// Returns the parts of VMAs, in order, with their runs.
    pub(super) fn stretches(
        &self,
    ) -> impl Iterator<Item = (&Stretch, impl Iterator<Item = Run> + '_)> {
        let mut from = 0;
        self.stretches.iter().map(move |stretch| {
            let runs = self.runs.stretch(from, stretch.runs_end, stretch.start);
            from = stretch.runs_end;
            (stretch, runs)
        })
    }
}

/// Walker of pieces, one after the other, at any addresses.
#[derive(Debug)]
pub(super) struct Walker {
    areas: VmaPartWalker<EntryStorage>,
    noting: bool,
    /// End of the last piece: a piece that begins there continues with the known state.
    at: u64,
}

impl Walker {
    /// Returns a walker; with `noting`, it records the flags of entries.
    pub(super) fn new(process: &core::ProcessHandle, noting: bool) -> Self {
        Self {
            areas: VmaPartWalker::new(process, vec![0; ENTRIES].into_boxed_slice()),
            noting,
            at: 0,
        }
    }

    /// Walks a piece for a while. The runs go into `walked`; the rest stays in the
    /// piece.
    pub(super) fn walk(
        &mut self,
        process: &core::ProcessHandle,
        piece: &mut Piece,
        walked: &mut Walked,
    ) -> Duration {
        let began = Instant::now();
        if piece.start() != self.at {
            self.areas.forget();
        }
        let end = piece.end();
        let mut steps = 0;
        let mut enough = false;
        let (noting, page) = (self.noting, process.page_size());
        while !enough {
            let Some(planned) = piece.areas.front_mut() else {
                break;
            };
            let area = &mut planned.area;
            // The rest belongs to another thread.
            area.read_ahead_to(end);
            let start = area.left().start().as_u64();
            while !enough && !area.left().is_empty() {
                let before = area.left().start().as_u64();
                let mut push = |run: &Run, _: &core::mapping::ClassifiedVma| {
                    walked.runs.push(run);
                    ControlFlow::Continue(())
                };
                let mut note = |at, entries: &[u64]| {
                    if noting {
                        walked.notes.add(at, entries, page);
                    }
                };
                let stepped = self.areas.step_noting(process, area, &mut push, &mut note);
                if let Err(error) = stepped {
                    walked.error = Some(error);
                    break;
                }
                self.at = area.left().start().as_u64();
                steps += 1;
                enough = walked.len() >= RUNS;
                if steps % STEPS == 0 || self.at - before >= LARGE_STEP {
                    enough |= began.elapsed() >= TIME;
                }
            }
            // A run that was cut by an error is not returned, as in any walk.
            if let Some(run) = self.areas.take().filter(|_| walked.error.is_none()) {
                walked.runs.push(&run);
            }
            let done = area.left().is_empty();
            walked.stretches.push(Stretch {
                mapping: Arc::clone(&planned.mapping),
                start,
                runs_end: walked.runs.len(),
                complete: done && planned.last,
            });
            if walked.error.is_some() {
                *piece = Piece::default();
            } else if done {
                piece.areas.pop_front();
            }
        }
        if piece.areas.is_empty() && walked.error.is_none() {
            walked.error = piece.error.take();
        }
        began.elapsed()
    }
}
