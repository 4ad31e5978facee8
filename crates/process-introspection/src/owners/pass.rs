//! The pass over processes: threads that open and walk them. Knows what is
//! wanted, not what for.
//!
//! No thread is waited for: one that reads a process which does not answer is left
//! behind, and whatever it finds later is dropped.

use std::ffi::OsString;
use std::io::Read;
use std::ops::ControlFlow;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use process_introspection_core::physical::runs::Run;
use process_introspection_core::physical::{Area, AreaCursor, AreaWalker, Backing};
use process_introspection_core::process::Access;
use process_introspection_core::vma::VmaName;
use process_introspection_core::{object, AddrRange, PhysAddr};
use rustix::fs::{openat, Mode, OFlags};

use super::turns::{Next, StopOnDrop, Turns};
use super::wanted::Wanted;
use super::{lost, Coverage, Owner, OwnerOptions, PassedProcess, SILENCE};
use crate::error::Error;
use crate::process::heartbeat::{Heartbeat, HeartbeatWatch};
use crate::process::mapping::{entry_storage, name_storage, Mapping, MappingName};
use crate::process::mounts::Mounts;
use crate::process::Process;
use crate::sys;
use crate::walk::regions::PhysicalRegion;

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
            Self::Unread(_, error) if error.is_silent() => coverage.silent += 1,
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

/// What all threads of a pass share; one that is left behind keeps it alive.
#[derive(Debug)]
struct Shared {
    mounts: Mounts,
    pids: Vec<u32>,
    wanted: Wanted,
    turns: Turns<Item>,
    /// Who reads which process.
    running: Mutex<Vec<Reading>>,
    deadline: Duration,
    panicked: AtomicBool,
}

/// A process that is being read.
#[derive(Clone, Debug)]
struct Reading {
    index: usize,
    heartbeat: Heartbeat,
    watch: HeartbeatWatch,
    /// What is known of the process so far.
    process: Arc<Mutex<Arc<PassedProcess>>>,
}

impl Shared {
    fn running(&self) -> MutexGuard<'_, Vec<Reading>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives up processes whose readers have not come further for the deadline.
    /// Returns how many readers are lost.
    fn give_up_silent(&self) -> usize {
        let mut lost = 0;
        let is_silent = |reading: &mut Reading| reading.watch.is_silent(self.deadline);
        let silent: Vec<_> = {
            let mut running = self.running();
            let silent = running
                .iter_mut()
                .filter_map(|reading| is_silent(reading).then(|| reading.clone()));
            let silent: Vec<_> = silent.collect();
            running.retain(|reading| silent.iter().all(|other| other.index != reading.index));
            silent
        };
        for reading in silent {
            let process = reading
                .process
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let error = Error::silent(process.pid, self.deadline);
            let outcome = Outcome::Unread(Arc::clone(&process), error);
            lost += usize::from(self.turns.give_up(reading.index, Item::Done(outcome)));
        }
        lost
    }
}

/// Reads processes until none is left.
fn read_all(shared: &Shared) {
    while let Some(index) = shared.turns.begin() {
        let pid = shared.pids[index];
        let heartbeat = Heartbeat::new();
        let reading = Reading {
            index,
            watch: HeartbeatWatch::new(&heartbeat),
            heartbeat,
            process: Arc::new(Mutex::new(Arc::new(PassedProcess::of(pid)))),
        };
        shared.running().push(reading.clone());
        let outcome = read(shared, pid, &reading);
        reading.heartbeat.pause();
        shared.turns.give(index, Item::Done(outcome));
        shared.running().retain(|other| other.index != index);
        if !shared.turns.finish(index) {
            // Another thread has this one's place.
            return;
        }
    }
}

/// Starts a thread that reads; whether there is one.
fn start(shared: &Arc<Shared>) -> bool {
    let shared = Arc::clone(shared);
    let builder = thread::Builder::new()
        .name("owners".to_owned())
        .stack_size(STACK);
    let read = move || {
        let read = catch_unwind(AssertUnwindSafe(|| read_all(&shared)));
        if read.is_err() {
            // The others must not wait for it.
            shared.panicked.store(true, Ordering::Relaxed);
            shared.turns.stop();
        }
    };
    builder.spawn(read).is_ok()
}

/// Reads these processes; everything is given in their order. A process that does
/// not answer within the deadline is given up, and the thread that waits for it is
/// left behind. (Not where no thread can be had.)
pub(super) fn over(
    pids: &[u32],
    wanted: &Wanted,
    options: &OwnerOptions,
    mut give: impl FnMut(Event) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let shared = Arc::new(Shared {
        mounts: options.mounts.clone(),
        pids: pids.to_vec(),
        wanted: wanted.clone(),
        turns: Turns::new(pids.len()),
        running: Mutex::new(Vec::new()),
        deadline: options.deadline,
        panicked: AtomicBool::new(false),
    });
    let turns = &shared.turns;
    let _stop = StopOnDrop(turns);
    let threads = match options.threads {
        0 => thread::available_parallelism().map_or(1, |cpus| cpus.get().min(MOST_BY_DEFAULT)),
        threads => threads.min(MOST),
    };
    let mut readers = 0;
    for _ in 0..threads.min(pids.len()) {
        readers += usize::from(start(&shared));
    }
    let mut done = 0;
    let mut looked = Instant::now();
    loop {
        // Where not one thread can be had, this one reads.
        if readers == 0 {
            if let Some(index) = turns.begin() {
                let outcome = alone(&shared, pids[index], &mut give)?;
                turns.give(index, Item::Done(outcome));
                turns.finish(index);
            }
        }
        let next = turns.take(SILENCE);
        if looked.elapsed() >= SILENCE {
            looked = Instant::now();
            for _ in 0..shared.give_up_silent() {
                readers -= usize::from(!start(&shared));
            }
        }
        match next {
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
            Next::Nothing => {
                let panicked = shared.panicked.load(Ordering::Relaxed);
                assert!(!panicked, "a thread of the pass has panicked");
                give(Event::Progress { done })?;
            }
            Next::End => return ControlFlow::Continue(()),
        }
    }
}

/// Reads a process and hands its owners over.
fn read(shared: &Shared, pid: u32, reading: &Reading) -> Outcome {
    let (turns, heartbeat) = (&shared.turns, &reading.heartbeat);
    let mut batch = Vec::new();
    let mut looked = 0u32;
    // To wait for one's turn is not to wait for the process.
    let give = |batch: Vec<Found>| {
        heartbeat.pause();
        let is_taken = turns.give(reading.index, Item::Found(batch));
        heartbeat.beat();
        is_taken
    };
    let known = |process: &Arc<PassedProcess>| {
        let mut known = reading
            .process
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *known = Arc::clone(process);
    };
    let outcome = walk(shared, pid, heartbeat, known, |found| {
        // Whether the pass is over is looked at now and then.
        looked = looked.wrapping_add(1);
        if looked % 1024 == 0 && turns.is_stopped() {
            return ControlFlow::Break(());
        }
        let Some(found) = found else {
            return ControlFlow::Continue(());
        };
        batch.push(found);
        if batch.len() < BATCH || give(std::mem::take(&mut batch)) {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    });
    if !batch.is_empty() {
        give(batch);
    }
    outcome
}

/// Reads a process and gives its owners at once; breaks when `give` does.
fn alone(
    shared: &Shared,
    pid: u32,
    give: &mut impl FnMut(Event) -> ControlFlow<()>,
) -> ControlFlow<(), Outcome> {
    let mut broken = ControlFlow::Continue(());
    let outcome = walk(
        shared,
        pid,
        &Heartbeat::new(),
        |_| {},
        |found| {
            if let Some(found) = found {
                broken = give(Event::Found(found));
            }
            broken
        },
    );
    match broken {
        ControlFlow::Break(()) => ControlFlow::Break(()),
        ControlFlow::Continue(()) => ControlFlow::Continue(outcome),
    }
}

/// Walks all memory of a process. `each` gets what it maps of what is wanted, and
/// what it has lost, and `None` for each other run; `known` what is known of the
/// process as soon as it is.
fn walk(
    shared: &Shared,
    pid: u32,
    heartbeat: &Heartbeat,
    known: impl Fn(&Arc<PassedProcess>),
    mut each: impl FnMut(Option<Found>) -> ControlFlow<()>,
) -> Outcome {
    let mut passed = PassedProcess::of(pid);
    let opened = shared.mounts.unique_pid(pid).and_then(|unique| {
        passed.unique_pid = Some(unique);
        shared.mounts.process(unique)
    });
    let process = match opened {
        Ok(process) => process,
        Err(error) => return Outcome::Unread(Arc::new(passed), error),
    };
    passed.command = command(&process);
    let passed = Arc::new(passed);
    known(&passed);
    if !process.as_core().has_memory() {
        return Outcome::WithoutMemory;
    }
    match walk_areas(&process, &passed, &shared.wanted, heartbeat, &mut each) {
        Ok(()) => Outcome::Read,
        Err(error) => Outcome::Unread(passed, error),
    }
}

/// The walk of a process that is open. Kinds of mappings are found out only of
/// those that are given: to learn one can mean to read a file.
fn walk_areas(
    process: &Process,
    passed: &Arc<PassedProcess>,
    wanted: &Wanted,
    heartbeat: &Heartbeat,
    each: &mut impl FnMut(Option<Found>) -> ControlFlow<()>,
) -> Result<(), Error> {
    let core = process.as_core();
    let error = |error| process.error(error);
    let mut areas = AreaCursor::new(core, AddrRange::ALL, Access::Frames, name_storage());
    let areas = areas.as_mut().map_err(|&mut failed| error(failed))?;
    areas.skip_file_contents();
    let mut walker = AreaWalker::new(core, entry_storage());
    while let Some(mut area) = areas.next(core).map_err(error)? {
        heartbeat.beat();
        let mut found = Finder {
            process,
            passed,
            wanted,
            area,
            name: areas.name(),
            mapping: None,
            failed: None,
        };
        let mut give = |run: &Run, _: &object::Mapping| found.find(run, each);
        let mut flow = ControlFlow::Continue(());
        while flow.is_continue() && !area.left().is_empty() {
            flow = walker.step(core, &mut area, &mut give).map_err(error)?;
            heartbeat.beat();
        }
        if let (ControlFlow::Continue(()), Some(run)) = (flow, walker.take()) {
            flow = found.find(&run, each);
        }
        if let Some(failed) = found.failed {
            return Err(failed);
        }
        if flow.is_break() {
            break;
        }
    }
    Ok(())
}

/// Finds what is wanted among the runs of one area.
struct Finder<'a> {
    process: &'a Process,
    passed: &'a Arc<PassedProcess>,
    wanted: &'a Wanted,
    area: Area,
    name: VmaName<'a>,
    /// The mapping as owners have it, once there is one.
    mapping: Option<Arc<Mapping>>,
    /// Why something could not be read.
    failed: Option<Error>,
}

impl Finder<'_> {
    fn find(
        &mut self,
        run: &Run,
        each: &mut impl FnMut(Option<Found>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let shift = self.process.page_size().shift();
        if let Some(address) = run.state.backing.address() {
            let count = (run.end - run.start) >> shift;
            return self.of_frames(run, 0, address.as_u64() >> shift, count, true, each);
        }
        if run.state.backing != Backing::Poisoned {
            return each(None);
        }
        let virt = AddrRange::new(run.start, run.end).unwrap_or_default();
        match lost::frames(self.process, virt) {
            Ok(runs) => runs.iter().try_for_each(|lost| {
                self.of_frames(run, lost.page << shift, lost.first, lost.count, false, each)
            }),
            Err(error) => {
                self.failed = Some(error);
                ControlFlow::Break(())
            }
        }
    }

    /// Gives what is wanted of frames that the pages of a run have from a distance
    /// on, or had.
    fn of_frames(
        &mut self,
        run: &Run,
        from: u64,
        first: u64,
        count: u64,
        has: bool,
        each: &mut impl FnMut(Option<Found>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let shift = self.process.page_size().shift();
        let mut any = false;
        let wanted = self.wanted;
        for part in wanted.within(first..first.saturating_add(count)) {
            any = true;
            let region = PhysicalRegion {
                virt: AddrRange::new(run.start, run.end).unwrap_or_default(),
                backing: run.state.backing,
                anonymous: run.state.anonymous,
                mapping: self.mapping(),
            };
            let distance = |frame: u64| from + ((frame - first) << shift);
            let owner = Owner {
                process: Arc::clone(self.passed),
                region: part_of(&region, distance(part.start), distance(part.end)),
            };
            each(Some(match has {
                true => Found::Maps(owner),
                false => Found::Lost(owner, PhysAddr::new(part.start << shift)),
            }))?;
        }
        match any {
            true => ControlFlow::Continue(()),
            false => each(None),
        }
    }

    /// The mapping, with its kind as every other walk gives it.
    fn mapping(&mut self) -> Arc<Mapping> {
        let (process, area, name) = (self.process, &self.area, self.name);
        let mapping = self.mapping.get_or_insert_with(|| {
            let mut mapping = *area.mapping();
            let start = mapping.vma.range.start().as_u64();
            let told = process.virtual_regions(start..=start);
            if let Some(Ok(told)) = told.ok().and_then(|mut told| told.next()) {
                if told.core().vma == mapping.vma {
                    mapping.kind = told.kind();
                }
            }
            let name = MappingName::complete(process.as_core(), &mapping.vma, name);
            Arc::new(Mapping::new(mapping, name))
        });
        Arc::clone(mapping)
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
