//! Walks physical regions by several threads and gives them in order: starts
//! and ends the threads, and hands out what they found. Knows no addresses.
//!
//! The range is cut while it is walked, by work and not by address: areas are
//! enumerated once, in order, by whoever needs more to walk ([`plan`]); whoever
//! is free takes the lowest piece that nobody walks, and gives back what it did
//! not get done in its time ([`queue`], [`piece`]); runs that were cut at a
//! border of pieces are made one again ([`joiner`]). What waits for the caller is
//! kept small ([`packed`]).

mod joiner;
mod packed;
mod piece;
mod plan;
mod queue;

use std::ops::{ControlFlow, RangeBounds};
use std::thread;
use std::time::Duration;

use process_introspection_core::AddrRange;

use crate::error::Error;
use crate::facts::page_facts::EntryNotes;
use crate::process::Process;
use crate::walk::regions::{Lent, PhysicalRegion};
use joiner::Joiner;
use piece::{Walked, Walker};
use plan::Plan;
use queue::{Queue, StopOnDrop, Task};

/// Threads are started when walking alone has taken this long and there is
/// more. A thread costs about 0.1 ms, but on a busy machine as long as others
/// keep it waiting, so small targets must never pay for one.
const ALONE: Duration = Duration::from_millis(2);
/// Or when walking alone has taken this long, and what is known to be left will
/// take as long as [`ALONE`] if it goes on as it did.
const FIRST_LOOK: Duration = Duration::from_micros(100);
/// More threads than this never help when the caller does not say how many:
/// one caller takes what they find.
const MOST_BY_DEFAULT: usize = 8;
const MOST: usize = 64;
/// Enough for system calls and a few frames. Little, so that no huge page
/// is behind it.
const STACK: usize = 256 << 10;

impl Process {
    /// The physical regions of `range` as [`Process::physical_regions`] gives
    /// them, in the same order, found by several threads. `each` gets them on
    /// the calling thread and can break off. Constant memory: walking stops
    /// when it is some thousand regions ahead of `each`.
    ///
    /// `threads` is how many walk, the calling one included: 1 is an ordinary
    /// walk, 0 means what helps on this machine, and more than 64 are 64.
    /// They are started only when there is enough to walk.
    ///
    /// ```
    /// use std::ops::ControlFlow;
    /// use process_introspection::Process;
    ///
    /// let process = Process::current()?;
    /// let mut resident = 0;
    /// let walked = process.physical_regions_parallel(.., 0, |region| {
    ///     if region.backing.is_backed() {
    ///         resident += region.size();
    ///     }
    ///     ControlFlow::Continue(())
    /// });
    /// match walked {
    ///     Ok(()) => assert!(resident > 0),
    ///     Err(error) => assert!(error.is_permission_denied(), "{error}"),
    /// }
    /// # Ok::<(), process_introspection::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Process::physical_regions`] and its iterator: the first in the
    /// order of addresses, after all regions before it were given.
    pub fn physical_regions_parallel(
        &self,
        range: impl RangeBounds<u64>,
        threads: usize,
        mut each: impl FnMut(&PhysicalRegion) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let range = AddrRange::from_bounds(range).ok_or_else(Error::argument)?;
        walk(self, range, threads, false, |region, _| each(region))
    }

    /// The same, and with each region what the walk has read of its pages'
    /// entries beside what a region says, for [`PageFactsReader::add`]:
    /// facts of pages do not read them a second time then. The region's own are
    /// [`EntryNotes::of`] its addresses, or those of a part of it.
    ///
    /// ```
    /// use std::ops::ControlFlow;
    /// use process_introspection::{EntryFlags, Process};
    ///
    /// let process = Process::current()?;
    /// let mut kept = Vec::new();
    /// let walked = process.physical_regions_noting(.., 0, |region, notes| {
    ///     kept.push((region.virt, region.backing, notes.of(region.virt, process.page_size())));
    ///     ControlFlow::Continue(())
    /// });
    /// match walked.and_then(|()| process.page_facts()) {
    ///     Ok(mut reader) => {
    ///         for (virt, backing, noted) in kept {
    ///             reader.add(virt, backing, noted);
    ///         }
    ///         let facts = reader.read()?;
    ///         let own = facts.map(|facts| facts.entries_with(EntryFlags::MMAP_EXCLUSIVE));
    ///         assert!(own.sum::<u64>() > 0);
    ///     }
    ///     Err(error) => {
    ///         assert!(error.is_permission_denied() || error.is_unsupported(), "{error}");
    ///     }
    /// }
    /// # Ok::<(), process_introspection::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Process::physical_regions_parallel`].
    ///
    /// [`PageFactsReader::add`]: crate::PageFactsReader::add
    pub fn physical_regions_noting(
        &self,
        range: impl RangeBounds<u64>,
        threads: usize,
        each: impl FnMut(&PhysicalRegion, &EntryNotes) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let range = AddrRange::from_bounds(range).ok_or_else(Error::argument)?;
        walk(self, range, threads, true, each)
    }
}

/// The calling thread's part: it walks as the others do, but first of all it
/// gives what is next in order.
fn walk(
    process: &Process,
    range: AddrRange,
    threads: usize,
    noting: bool,
    each: impl FnMut(&PhysicalRegion, &EntryNotes) -> ControlFlow<()>,
) -> Result<(), Error> {
    let core = process.as_core();
    let mut plan = Plan::new(core, range).map_err(|error| process.error(error))?;
    if process.skips_file_contents() {
        plan.skip_file_contents();
    }
    let queue = Queue::new(plan);
    let mut giver = Giver {
        joiner: Joiner::new(),
        each,
        lent: Lent::default(),
        notes: EntryNotes::default(),
    };
    thread::scope(|scope| {
        // Also when `each` panics.
        let _stop = StopOnDrop::always(&queue);
        let mut walker = Walker::new(core, noting);
        let mut alone = (threads != 1).then_some(Duration::ZERO);
        let pays = |so_far: Duration| {
            (so_far >= ALONE && queue.has_more())
                || (so_far >= FIRST_LOOK && queue.expected() >= ALONE)
        };
        loop {
            process.beat();
            match queue.next_for_caller(core) {
                Task::Give(walked) => {
                    if giver.give(&walked).is_break() {
                        return Ok(());
                    }
                    if let Some(error) = walked.error {
                        return Err(process.error(error));
                    }
                    queue.recycle(walked);
                }
                Task::Walk(piece) => {
                    let took = queue.walk(&mut walker, core, piece);
                    alone = alone.map(|so_far| so_far + took);
                    if alone.is_some_and(pays) {
                        alone = None;
                        start(scope, process, &queue, threads, noting);
                    }
                }
                Task::End => return Ok(()),
            }
        }
    })
}

/// Starts the other threads. If the system does not let it, fewer.
fn start<'scope, 'env>(
    scope: &'scope thread::Scope<'scope, 'env>,
    process: &'env Process,
    queue: &'env Queue,
    threads: usize,
    noting: bool,
) {
    let threads = match threads {
        0 => thread::available_parallelism().map_or(1, |cpus| cpus.get().min(MOST_BY_DEFAULT)),
        threads => threads.min(MOST),
    };
    for _ in 1..threads {
        let builder = thread::Builder::new()
            .name("walk".to_owned())
            .stack_size(STACK);
        let others = move || {
            let _stop = StopOnDrop::on_panic(queue);
            let core = process.as_core();
            let mut walker = Walker::new(core, noting);
            while let Task::Walk(piece) = queue.next(core) {
                process.beat();
                queue.walk(&mut walker, core, piece);
            }
        };
        if builder.spawn_scoped(scope, others).is_err() {
            return;
        }
        queue.add_walker();
    }
}

/// Hands regions to the caller.
struct Giver<F> {
    joiner: Joiner,
    each: F,
    lent: Lent,
    /// Of the regions that are given, and of what goes on with them.
    notes: EntryNotes,
}

impl<F: FnMut(&PhysicalRegion, &EntryNotes) -> ControlFlow<()>> Giver<F> {
    fn give(&mut self, walked: &Walked) -> ControlFlow<()> {
        let Self {
            joiner,
            each,
            lent,
            notes,
        } = self;
        notes.forget_below(joiner.open_from().unwrap_or(u64::MAX));
        notes.append(&walked.notes);
        for (stretch, runs) in walked.stretches() {
            let region = lent.of(&stretch.mapping);
            joiner.join(runs, stretch.complete, &mut |run| {
                each(region.set(run), notes)
            })?;
        }
        ControlFlow::Continue(())
    }
}
