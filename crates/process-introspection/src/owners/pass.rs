//! The pass over processes: opens and walks them with several threads
//! ([`crate::passes`]). This module must not know what happens to the owners.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use process_introspection_core::backing::Backing;
use process_introspection_core::mapping::ClassifiedVma;
use process_introspection_core::physical::{Run, VmaPart, VmaPartCursor, VmaPartWalker};
use process_introspection_core::process::Access;
use process_introspection_core::vma::VmaName;
use process_introspection_core::{AddrRange, PhysAddr};

use super::wanted::WantedFrames;
use super::{lost, Coverage, Owner, PassedProcess};
use crate::error::Error;
use crate::handover::heartbeat::Heartbeat;
use crate::passes::{self, Parts, PassEvent, PassOptions};
use crate::process::mapping::{
    entry_storage, name_storage, EntryStorage, Mapping, MappingName, NameStorage,
};
use crate::process::mounts::Mounts;
use crate::process::Process;
use crate::walk::regions::PhysicalRegion;

/// Outcome of reading a process.
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

/// Wanted memory that was found in a process.
#[derive(Debug)]
pub(super) enum Found {
    /// Memory that the process maps.
    Maps(Owner),
    /// Memory that the process had, from this address on.
    Lost(Owner, PhysAddr),
}

/// Event of the pass.
#[derive(Debug)]
pub(super) enum Event {
    Found(Found),
    Done(Outcome),
    Progress { done: usize },
}

/// Maximum time between two checks whether the pass has ended.
const TIME: Duration = Duration::from_millis(20);
/// Approximate number of owners in a part.
const BATCH: usize = 32;
/// Maximum number of parts that wait.
const MOST_PARTS: usize = 128;

/// Part of what a process's thread reports.
enum Part {
    /// The first part: it identifies the process, also if it becomes silent later.
    Opened(Arc<PassedProcess>),
    Found(Vec<Found>),
}

/// Reads these processes and passes the results to `give` in their order. A process
/// that does not answer within the deadline is abandoned.
pub(super) fn over(
    pids: &[u32],
    wanted: &WantedFrames,
    options: &PassOptions,
    mut give: impl FnMut(Event) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let (all, mounts, wanted) = (pids.to_vec(), options.mounts.clone(), wanted.clone());
    let read = move |index: usize, heartbeat: &Heartbeat, parts: &mut Parts<'_, Part>| {
        Ok(match open(&mounts, all[index]) {
            Ok((_, process)) if !process.has_memory() => Outcome::WithoutMemory,
            Ok((passed, process)) => {
                let opened = parts.give(Part::Opened(Arc::clone(&passed)));
                let walked =
                    Walk::new(process, Arc::clone(&passed)).and_then(|mut walk| match opened {
                        ControlFlow::Continue(()) => walk.run(&wanted, heartbeat, parts),
                        ControlFlow::Break(()) => Ok(()),
                    });
                walked.map_or_else(|error| Outcome::Unread(passed, error), |()| Outcome::Read)
            }
            Err((passed, error)) => Outcome::Unread(passed, error),
        })
    };
    let (mut opened, mut done) = (None::<Arc<PassedProcess>>, 0);
    passes::over("owners", MOST_PARTS, pids, options, read, |event| {
        let outcome = match event {
            PassEvent::Waiting => return give(Event::Progress { done }),
            PassEvent::Part { part, .. } => {
                return match part {
                    Part::Opened(process) => {
                        opened = Some(process);
                        ControlFlow::Continue(())
                    }
                    Part::Found(found) => {
                        let mut found = found.into_iter().map(Event::Found);
                        found.try_for_each(&mut give)
                    }
                }
            }
            PassEvent::End { index, result } => result.unwrap_or_else(|silent| {
                let pid = pids[index];
                let process = opened.take().filter(|process| process.pid == pid);
                let process = process.unwrap_or_else(|| Arc::new(PassedProcess::of(pid)));
                Outcome::Unread(process, silent)
            }),
        };
        done += 1;
        give(Event::Done(outcome))?;
        give(Event::Progress { done })
    })
}

/// Opens a process; an error comes with the known facts of the process.
fn open(
    mounts: &Mounts,
    pid: u32,
) -> Result<(Arc<PassedProcess>, Process), (Arc<PassedProcess>, Error)> {
    let mut passed = PassedProcess::of(pid);
    let opened = mounts.unique_pid(pid).and_then(|unique| {
        passed.unique_pid = Some(unique);
        mounts.process(unique)
    });
    match opened {
        Ok(process) => {
            passed.command = process.comm();
            if process.has_memory() {
                passed.cgroup = process.cgroup();
            }
            Ok((Arc::new(passed), process))
        }
        Err(error) => Err((Arc::new(passed), error)),
    }
}

/// The walk of an open process. Kinds of mappings are determined for owners only, since
/// that can require reading a file.
#[derive(Debug)]
struct Walk {
    process: Process,
    passed: Arc<PassedProcess>,
    areas: VmaPartCursor<NameStorage>,
    walker: VmaPartWalker<EntryStorage>,
    /// The current VMA, and its mapping once there is an owner.
    area: Option<(VmaPart, Option<Arc<Mapping>>)>,
}

impl Walk {
    fn new(process: Process, passed: Arc<PassedProcess>) -> Result<Self, Error> {
        let core = process.as_core();
        let areas = VmaPartCursor::new(core, AddrRange::ALL, Access::Frames, name_storage());
        let mut areas = areas.map_err(|failed| process.error(failed))?;
        areas.skip_file_contents();
        let walker = VmaPartWalker::new(core, entry_storage());
        Ok(Self {
            process,
            passed,
            areas,
            walker,
            area: None,
        })
    }

    /// Walks, and hands over the owners in parts.
    fn run(
        &mut self,
        wanted: &WantedFrames,
        heartbeat: &Heartbeat,
        parts: &mut Parts<'_, Part>,
    ) -> Result<(), Error> {
        loop {
            let mut found = Vec::new();
            let walked = self.walk_for_a_while(wanted, heartbeat, &mut found);
            let flow = match found.is_empty() {
                true => parts.check(),
                false => parts.give(Part::Found(found)),
            };
            if walked? || flow.is_break() {
                return Ok(());
            }
        }
    }

    /// Continues the walk for a while, or until there are enough owners for a part.
    /// Returns true if the walk is complete.
    fn walk_for_a_while(
        &mut self,
        wanted: &WantedFrames,
        heartbeat: &Heartbeat,
        owners: &mut Vec<Found>,
    ) -> Result<bool, Error> {
        let began = Instant::now();
        let (process, core) = (&self.process, self.process.as_core());
        let error = |error| process.error(error);
        loop {
            heartbeat.beat();
            if owners.len() >= BATCH || began.elapsed() >= TIME {
                return Ok(false);
            }
            let (area, mapping) = match &mut self.area {
                Some(area) => area,
                none => match self.areas.next(core).map_err(error)? {
                    Some(area) => none.insert((area, None)),
                    None => return Ok(true),
                },
            };
            let mut finder = Finder {
                process,
                passed: &self.passed,
                wanted,
                area: *area,
                name: self.areas.name(),
                mapping,
                owners,
                failed: None,
            };
            let mut find = |run: &Run, _: &ClassifiedVma| {
                finder.find(run);
                match finder.failed {
                    None => ControlFlow::Continue(()),
                    Some(_) => ControlFlow::Break(()),
                }
            };
            let mut flow = ControlFlow::Continue(());
            if !area.left().is_empty() {
                flow = self.walker.step(core, area, &mut find).map_err(error)?;
            }
            let is_done = area.left().is_empty();
            if flow.is_continue() && is_done {
                if let Some(run) = self.walker.take() {
                    finder.find(&run);
                }
            }
            if let Some(failed) = finder.failed {
                return Err(failed);
            }
            if is_done {
                self.area = None;
            }
        }
    }
}

/// Finder of wanted frames in the runs of one VMA.
struct Finder<'a> {
    process: &'a Process,
    passed: &'a Arc<PassedProcess>,
    wanted: &'a WantedFrames,
    area: VmaPart,
    name: VmaName<'a>,
    mapping: &'a mut Option<Arc<Mapping>>,
    owners: &'a mut Vec<Found>,
    /// Error that ends the walk.
    failed: Option<Error>,
}

impl Finder<'_> {
    fn find(&mut self, run: &Run) {
        let virt = AddrRange::new(run.start, run.end).unwrap_or_default();
        if let Some(address) = run.state.backing.address() {
            self.find_frames(run, virt, address, true);
        } else if run.state.backing == Backing::Poisoned {
            let shift = self.process.page_size().shift();
            match lost::frames(self.process, virt) {
                Ok(runs) => runs.iter().for_each(|lost| {
                    let start = run.start + (lost.page << shift);
                    let virt = AddrRange::new(start, start + (lost.count << shift));
                    let address = PhysAddr::new(lost.first << shift);
                    self.find_frames(run, virt.unwrap_or_default(), address, false);
                }),
                Err(error) => self.failed = Some(error),
            }
        }
    }

    /// Finds the wanted frames among those from `address` on that pages of a run have,
    /// or had.
    fn find_frames(&mut self, run: &Run, virt: AddrRange, address: PhysAddr, has: bool) {
        for (virt, address) in self.wanted.parts(virt, address) {
            let into_run = virt.start().as_u64() - run.start;
            let owner = Owner {
                process: Arc::clone(self.passed),
                region: PhysicalRegion {
                    virt,
                    backing: run.state.backing.further(into_run),
                    anonymous: run.state.anonymous,
                    mapping: self.mapping(),
                },
            };
            self.owners.push(match has {
                true => Found::Maps(owner),
                false => Found::Lost(owner, address),
            });
        }
    }

    /// Returns the mapping, with the kind that every other walk reports.
    fn mapping(&mut self) -> Arc<Mapping> {
        let (process, area, name) = (self.process, &self.area, self.name);
        let mapping = self.mapping.get_or_insert_with(|| {
            let mut mapping = *area.mapping();
            let start = mapping.vma.range.start().as_u64();
            let regions = process.virtual_regions(start..=start);
            if let Some(Ok(region)) = regions.ok().and_then(|mut regions| regions.next()) {
                if region.core().vma == mapping.vma {
                    mapping.kind = region.kind();
                }
            }
            let name = MappingName::complete(process.as_core(), &mapping.vma, name);
            Arc::new(Mapping::new(mapping, name))
        });
        Arc::clone(mapping)
    }
}
