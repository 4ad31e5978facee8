//! The pass over processes: threads that open and walk them. Knows what is
//! wanted, not what for.

use std::ffi::OsString;
use std::io::Read;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread;

use process_introspection_core::{AddrRange, PhysAddr};
use rustix::fs::{openat, Mode, OFlags};

use super::turns::{Next, StopOnDrop, Turns};
use super::wanted::Wanted;
use super::{lost, Coverage, Owner, PassedProcess, SILENCE};
use crate::{sys, Backing, Error, Mounts, PhysicalRegion, Process};

/// More threads than this do not help when the caller does not say how many.
const MOST_BY_DEFAULT: usize = 8;
const MOST: usize = 64;
/// Enough for system calls and a few frames.
const STACK: usize = 256 << 10;
/// So many owners are handed over at a time.
const BATCH: usize = 32;

/// What becomes of a process.
#[derive(Debug)]
pub(super) enum Outcome {
    Read,
    WithoutMemory,
    Unread(Arc<PassedProcess>, Error),
}

impl Outcome {
    pub(super) fn count(&self, coverage: &mut Coverage) {
        match self {
            Self::Read => coverage.read += 1,
            Self::WithoutMemory => coverage.without_memory += 1,
            Self::Unread(_, error) if error.is_gone() => coverage.gone += 1,
            Self::Unread(_, error) if error.is_permission_denied() => coverage.refused += 1,
            Self::Unread(..) => coverage.failed += 1,
        }
    }
}

/// What of a process has to do with what is wanted.
#[derive(Debug)]
pub(super) enum Found {
    /// It maps some.
    Maps(Owner),
    /// It had some, from this address on.
    Lost(Owner, PhysAddr),
}

/// What comes of the pass.
#[derive(Debug)]
pub(super) enum Event {
    Found(Found),
    Done(Outcome),
    Progress { done: usize },
}

/// What a thread hands over.
#[derive(Debug)]
enum Item {
    Found(Vec<Found>),
    Done(Outcome),
}

/// Reads these processes; everything is given in their order.
pub(super) fn over(
    mounts: &Mounts,
    pids: &[u32],
    wanted: &Wanted,
    threads: usize,
    mut give: impl FnMut(Event) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let turns = Turns::new(pids.len());
    let threads = match threads {
        0 => thread::available_parallelism().map_or(1, |cpus| cpus.get().min(MOST_BY_DEFAULT)),
        threads => threads.min(MOST),
    };
    thread::scope(|scope| {
        let _stop = StopOnDrop(&turns);
        let mut started = 0;
        for _ in 0..threads.min(pids.len()) {
            let builder = thread::Builder::new()
                .name("owners".to_owned())
                .stack_size(STACK);
            let read = || {
                // Also when this thread panics: the others must not wait for it.
                let stop = StopOnDrop(&turns);
                while let Some(index) = turns.begin() {
                    let outcome = read(mounts, pids[index], wanted, index, &turns);
                    turns.give(index, Item::Done(outcome));
                    turns.finish(index);
                }
                std::mem::forget(stop);
            };
            started += usize::from(builder.spawn_scoped(scope, read).is_ok());
        }
        let mut done = 0;
        loop {
            // Where not one thread can be had, this one reads.
            if started == 0 {
                if let Some(index) = turns.begin() {
                    let outcome = alone(mounts, pids[index], wanted, &mut give)?;
                    turns.give(index, Item::Done(outcome));
                    turns.finish(index);
                }
            }
            match turns.take(SILENCE) {
                Next::Item(Item::Found(batch)) => {
                    for found in batch {
                        give(Event::Found(found))?;
                    }
                }
                Next::Item(Item::Done(outcome)) => give(Event::Done(outcome))?,
                Next::Finished => {
                    done += 1;
                    give(Event::Progress { done })?;
                }
                // A thread that panicked finishes nothing; the scope tells of it.
                Next::Nothing if turns.is_stopped() => return ControlFlow::Break(()),
                Next::Nothing => give(Event::Progress { done })?,
                Next::End => return ControlFlow::Continue(()),
            }
        }
    })
}

/// Reads a process and hands its owners over.
fn read(mounts: &Mounts, pid: u32, wanted: &Wanted, index: usize, turns: &Turns<Item>) -> Outcome {
    let mut batch = Vec::new();
    let mut looked = 0u32;
    let outcome = walk(mounts, pid, wanted, |found| {
        // Whether the pass is over is looked at now and then.
        looked = looked.wrapping_add(1);
        if looked % 1024 == 0 && turns.is_stopped() {
            return ControlFlow::Break(());
        }
        let Some(found) = found else {
            return ControlFlow::Continue(());
        };
        batch.push(found);
        if batch.len() < BATCH || turns.give(index, Item::Found(std::mem::take(&mut batch))) {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    });
    if !batch.is_empty() {
        turns.give(index, Item::Found(batch));
    }
    outcome
}

/// Reads a process and gives its owners at once; breaks when `give` does.
fn alone(
    mounts: &Mounts,
    pid: u32,
    wanted: &Wanted,
    give: &mut impl FnMut(Event) -> ControlFlow<()>,
) -> ControlFlow<(), Outcome> {
    let mut broken = ControlFlow::Continue(());
    let outcome = walk(mounts, pid, wanted, |found| {
        if let Some(found) = found {
            broken = give(Event::Found(found));
        }
        broken
    });
    match broken {
        ControlFlow::Break(()) => ControlFlow::Break(()),
        ControlFlow::Continue(()) => ControlFlow::Continue(outcome),
    }
}

/// Walks all memory of a process. `each` gets what it maps of what is wanted, and
/// what it has lost, and `None` for each other run.
fn walk(
    mounts: &Mounts,
    pid: u32,
    wanted: &Wanted,
    mut each: impl FnMut(Option<Found>) -> ControlFlow<()>,
) -> Outcome {
    let mut passed = PassedProcess {
        pid,
        unique_pid: None,
        command: OsString::new(),
    };
    let opened = mounts.unique_pid(pid).and_then(|unique| {
        passed.unique_pid = Some(unique);
        mounts.process(unique)
    });
    let process = match opened {
        Ok(process) => process,
        Err(error) => return Outcome::Unread(Arc::new(passed), error),
    };
    passed.command = command(&process);
    let passed = Arc::new(passed);
    if !process.as_core().has_memory() {
        return Outcome::WithoutMemory;
    }
    let shift = process.page_size().shift();
    let mut failed = None;
    let walked = process.physical_regions(..).and_then(|regions| {
        regions.visit(|region| {
            let mut found = false;
            // Frames that the pages from a distance on have, or had.
            let mut of_frames = |from: u64, first: u64, count: u64, has: bool| {
                for part in wanted.within(first..first.saturating_add(count)) {
                    found = true;
                    let distance = |frame: u64| from + ((frame - first) << shift);
                    let owner = Owner {
                        process: Arc::clone(&passed),
                        region: part_of(region, distance(part.start), distance(part.end)),
                    };
                    each(Some(match has {
                        true => Found::Maps(owner),
                        false => Found::Lost(owner, PhysAddr::new(part.start << shift)),
                    }))?;
                }
                ControlFlow::Continue(())
            };
            if let Some(address) = region.backing.address() {
                of_frames(0, address.as_u64() >> shift, region.size() >> shift, true)?;
            } else if region.backing == Backing::Poisoned {
                match lost::frames(&process, region.virt) {
                    Ok(runs) => {
                        for run in runs {
                            of_frames(run.page << shift, run.first, run.count, false)?;
                        }
                    }
                    Err(error) => {
                        failed = Some(error);
                        return ControlFlow::Break(());
                    }
                }
            }
            match found {
                true => ControlFlow::Continue(()),
                false => each(None),
            }
        })
    });
    match walked.and(failed.map_or(Ok(()), Err)) {
        Ok(()) => Outcome::Read,
        Err(error) => Outcome::Unread(passed, error),
    }
}

/// The part of a region between two distances from its start, in bytes.
fn part_of(region: &PhysicalRegion, from: u64, to: u64) -> PhysicalRegion {
    let start = region.virt.start().as_u64();
    PhysicalRegion {
        virt: AddrRange::new(start + from, start + to).unwrap_or_default(),
        backing: region.backing.further(from),
        anonymous: region.anonymous,
        mapping: Arc::clone(&region.mapping),
    }
}

/// A process's `comm`; empty if it cannot be read.
fn command(process: &Process) -> OsString {
    use std::os::unix::ffi::OsStringExt;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let opened = openat(
        sys::directory(process.as_core()),
        c"comm",
        flags,
        Mode::empty(),
    );
    let mut name = Vec::new();
    if let Ok(file) = opened {
        // What cannot be read is left empty, as documented.
        let _ = std::fs::File::from(file).read_to_end(&mut name);
    }
    if name.last() == Some(&b'\n') {
        name.pop();
    }
    OsString::from_vec(name)
}
