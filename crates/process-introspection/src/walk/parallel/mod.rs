//! Walks physical regions with several threads and returns them in order: starts and
//! ends the threads. This module does not know addresses.
//!
//! The range is cut while it is walked, by work and not by address: the thread that
//! needs more work enumerates the VMAs, once and in order ([`plan`]). A thread takes
//! the lowest free piece ([`crate::handover`]) and puts back the rest after some time
//! ([`piece`], [`pace`]). Runs that were cut at the border of two pieces are joined
//! again ([`joiner`]). Runs that wait for the caller are packed ([`packed`]).

mod joiner;
mod pace;
mod packed;
mod piece;
mod plan;

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use process_introspection_core::AddrRange;

use crate::error::Error;
use crate::facts::page_facts::EntryNotes;
use crate::handover::{crew, Handover, Next};
use crate::process::Process;
use crate::walk::attributed::Attributed;
use crate::walk::regions::{PhysicalRegion, Reused};
use joiner::Joiner;
use pace::Pace;
use piece::{Piece, Walked, Walker};
use plan::Plan;

/// Time of a walk with one thread after which others are started, if work is left. A
/// thread costs about 0.1 ms, but on a busy machine as long as others keep it waiting,
/// so small targets must never pay for one.
const ALONE: Duration = Duration::from_millis(2);
/// Time after which other threads are started too, if the known rest will take one
/// thread as long as [`ALONE`].
const FIRST_LOOK: Duration = Duration::from_micros(100);

/// Number of threads of this program that walk.
static WALKING: AtomicUsize = AtomicUsize::new(0);

/// Thread that walks, from its start to its end.
struct Walking;

impl Walking {
    /// Counts a thread, unless `most` are walking.
    fn begin(most: usize) -> Option<Self> {
        let more = |walking| (walking < most).then(|| walking + 1);
        let began = WALKING.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        // Not made and dropped if the thread was not counted.
        began.ok().map(|_| Self)
    }
}

impl Drop for Walking {
    fn drop(&mut self) {
        WALKING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Walks with up to `threads` threads, 0 for the number that helps, and passes the
/// regions to `each` on the calling thread, in order. The calling thread walks as the
/// others do, but first hands over what is next in order. If `with_notes`, `each`
/// receives the flags of the entries that were read for the region.
pub(super) fn walk(
    process: &Process,
    range: AddrRange,
    threads: usize,
    with_notes: bool,
    each: impl FnMut(&mut Attributed<PhysicalRegion>, &EntryNotes) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, Error> {
    let pace = Pace::new();
    let plan = Plan::new(process.as_core(), &pace, range);
    let mut plan = plan.map_err(|error| process.error(error))?;
    if process.skips_file_contents() {
        plan.skip_file_contents();
    }
    let pieces = Handover::new(plan);
    let walk = Walk {
        process,
        with_notes,
        pace: &pace,
        pieces: &pieces,
        spare: Mutex::default(),
    };
    let mut output = Output {
        joiner: Joiner::new(),
        each,
        reused: Reused::default(),
        notes: EntryNotes::default(),
    };
    thread::scope(|scope| {
        // Runs also if `each` panics.
        let _stop = pieces.stop_on_drop();
        let _walking = Walking::begin(usize::MAX);
        let mut walker = walk.walker();
        let mut alone = (threads != 1).then_some(Duration::ZERO);
        let mut most = None;
        loop {
            process.beat();
            match pieces.next(true, None) {
                Next::Output(walked) => {
                    if output.hand_over(&walked).is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                    if let Some(error) = walked.error {
                        return Err(process.error(error));
                    }
                    walk.recycle(walked);
                }
                Next::Work(piece) => {
                    let start = piece.start();
                    let (walked, rest, (bytes, took)) = walk.walk(&mut walker, piece);
                    pieces.finish(start, Some(walked), rest);
                    alone = alone.map(|so_far| so_far + took);
                    if alone.is_some_and(|so_far| walk.pays(so_far, bytes, took)) {
                        let most = *most.get_or_insert_with(|| crew::size(threads));
                        if walk.start(scope, most, threads == 0) {
                            alone = None;
                        }
                    }
                }
                Next::End | Next::Nothing => return Ok(ControlFlow::Continue(())),
            }
        }
    })
}

/// State that the threads of a walk share.
struct Walk<'a, 'p> {
    process: &'a Process,
    with_notes: bool,
    pace: &'a Pace,
    pieces: &'a Handover<'p, Piece>,
    /// Storage for reuse.
    spare: Mutex<Vec<Walked>>,
}

impl Walk<'_, '_> {
    fn walker(&self) -> Walker {
        Walker::new(self.process.as_core(), self.with_notes)
    }

    /// Walks the first part of a piece. Returns its runs, the rest, the number of bytes
    /// walked, and the time.
    fn walk(
        &self,
        walker: &mut Walker,
        mut piece: Piece,
    ) -> (Walked, Option<Piece>, (u64, Duration)) {
        let others = piece.split_off(self.pace.share_of(piece.size()));
        if !others.is_empty() {
            self.pieces.add(others);
        }
        let size = piece.size();
        let mut walked = self.spare().pop().unwrap_or_default();
        let took = walker.walk(self.process.as_core(), &mut piece, &mut walked);
        let covered = size - piece.size();
        let rest = (!piece.is_empty()).then_some(piece);
        self.pace.adapt(took, covered, rest.is_some());
        (walked, rest, (covered, took))
    }

    fn spare(&self) -> MutexGuard<'_, Vec<Walked>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps storage for reuse.
    fn recycle(&self, mut walked: Walked) {
        walked.clear();
        let mut spare = self.spare();
        if spare.len() as u64 <= self.pace.walkers() {
            spare.push(walked);
        }
    }

    /// Returns true if more threads are worth their cost, after one thread has walked
    /// for `so_far`, and the last `bytes` in `took`.
    fn pays(&self, so_far: Duration, bytes: u64, took: Duration) -> bool {
        if so_far < FIRST_LOOK {
            return false;
        }
        let left = self.pieces.left(Piece::size);
        let seconds = took.as_secs_f64() * (left.unwrap_or(0) as f64 / bytes.max(1) as f64);
        (so_far >= ALONE && left.is_some()) || seconds >= ALONE.as_secs_f64()
    }

    /// Starts the other threads; fewer if the system does not allow more. If all walks of this
    /// program share the CPUs, returns false as long as others occupy some: more threads may
    /// help later.
    fn start<'scope, 'env>(
        &'env self,
        scope: &'scope thread::Scope<'scope, 'env>,
        most: usize,
        shares: bool,
    ) -> bool {
        while self.pace.walkers() < most as u64 {
            let Some(walking) = Walking::begin(if shares { most } else { usize::MAX }) else {
                return false;
            };
            let builder = thread::Builder::new()
                .name("walk".to_owned())
                .stack_size(crew::STACK);
            let others = move || {
                let _walking = walking;
                let mut walker = self.walker();
                self.pieces.work(None, |piece, _| {
                    self.process.beat();
                    let (walked, rest, _) = self.walk(&mut walker, piece);
                    (Some(walked), rest)
                });
            };
            if builder.spawn_scoped(scope, others).is_err() {
                return true;
            }
            self.pace.add_walker();
        }
        true
    }
}

/// Output of regions to the caller.
struct Output<F> {
    joiner: Joiner,
    each: F,
    reused: Reused,
    /// Notes of the regions that are handed over, and of runs that continue them.
    notes: EntryNotes,
}

impl<F> Output<F>
where
    F: FnMut(&mut Attributed<PhysicalRegion>, &EntryNotes) -> ControlFlow<()>,
{
    fn hand_over(&mut self, walked: &Walked) -> ControlFlow<()> {
        let Self {
            joiner,
            each,
            reused,
            notes,
        } = self;
        notes.forget_below(joiner.open_from().unwrap_or(u64::MAX));
        notes.append(&walked.notes);
        for (stretch, runs) in walked.stretches() {
            let record = reused.of(&stretch.mapping);
            joiner.join(runs, stretch.complete, &mut |run| {
                each(record.set(run), notes)
            })?;
        }
        ControlFlow::Continue(())
    }
}
