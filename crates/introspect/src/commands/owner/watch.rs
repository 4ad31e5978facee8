//! `--watch`: follows pages at the virtual addresses where they were found.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use process_introspection::{
    Backing, Mounts, Owner, PageSize, PageUses, PhysAddr, PhysRange, PhysicalRegion, Process,
    UniquePid,
};
use process_introspection_export::OwnerRecord;

use crate::failure::{warn, Failure};
use crate::output::sink::Sink;

/// Largest number of pages that are followed.
const MAX_PAGES: u64 = 4096;
/// Time between two checks for signals.
const SIGNAL_INTERVAL: Duration = Duration::from_millis(50);

/// A followed page of a process.
#[derive(Debug)]
struct Followed {
    owner: Owner,
    /// Index of the process.
    process: usize,
}

/// Followed pages.
#[derive(Debug)]
pub(crate) struct Watch {
    interval: Duration,
    mounts: Mounts,
    processes: Vec<(UniquePid, Option<Process>)>,
    pages: Vec<Followed>,
}

impl Watch {
    pub(crate) fn new(interval: Duration, mounts: &Mounts) -> Self {
        Self {
            interval,
            mounts: mounts.clone(),
            processes: Vec::new(),
            pages: Vec::new(),
        }
    }

    /// Follows the pages of a mapping in which memory was found.
    pub(crate) fn add(&mut self, owner: &Owner) -> Result<(), Failure> {
        let Some(unique) = owner.process.unique_pid else {
            return Ok(());
        };
        let page = PageSize::base().bytes();
        if self.pages.len() as u64 + owner.region.size() / page > MAX_PAGES {
            return Err(Failure::Message(format!(
                "--watch follows {MAX_PAGES} pages at most, and more are mapped: name less memory"
            )));
        }
        // Owners are ordered by process.
        if self.processes.last().map(|(last, _)| *last) != Some(unique) {
            let process = match self.mounts.process(unique) {
                Ok(process) => Some(process),
                Err(error) if error.is_gone() => None,
                Err(error) => return Err(error.into()),
            };
            self.processes.push((unique, process));
        }
        for offset in (0..owner.region.size()).step_by(page as usize) {
            let mut followed = owner.clone();
            followed.region = page_of(&owner.region, offset, page);
            self.pages.push(Followed {
                owner: followed,
                process: self.processes.len() - 1,
            });
        }
        Ok(())
    }

    /// Looks at intervals, until all processes have ended or a signal arrives.
    pub(crate) fn run(mut self, uses: &mut PageUses, sink: &mut Sink) -> Result<(), Failure> {
        if self.processes.is_empty() {
            warn("no process was found to map it: there is nothing to watch");
        }
        while self.processes.iter().any(|(_, process)| process.is_some()) {
            let until = Instant::now() + self.interval;
            loop {
                sink.check()?;
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break;
                }
                thread::sleep(left.min(SIGNAL_INTERVAL));
            }
            for followed in &mut self.pages {
                let (_, process) = &mut self.processes[followed.process];
                if let Some(open) = process {
                    match look(open, followed, uses, sink) {
                        Err(Failure::Library(error)) if error.is_gone() => *process = None,
                        other => other?,
                    }
                }
            }
            sink.flush()?;
        }
        Ok(())
    }
}

/// Returns one page of a region.
fn page_of(region: &PhysicalRegion, offset: u64, page: u64) -> PhysicalRegion {
    let mut one = region.clone();
    let start = region.virt.start().as_u64() + offset;
    one.virt = process_introspection::AddrRange::new(start, start + page).unwrap_or_default();
    one.backing = region.backing.further(offset);
    one
}

/// Writes a record if a page has moved.
fn look(
    process: &Process,
    followed: &mut Followed,
    uses: &mut PageUses,
    sink: &mut Sink,
) -> Result<(), Failure> {
    let virt = followed.owner.region.virt;
    let range = virt.start().as_u64()..virt.end().as_u64();
    let now = process.physical_regions(range)?.next().transpose()?;
    let backing = now.as_ref().map_or(Backing::NotPresent, |now| now.backing);
    // The new address is seen the next time.
    if matches!(backing, Backing::Migrating) {
        return Ok(());
    }
    let before = followed.owner.region.backing;
    if backing.address() == before.address() && backing.is_backed() == before.is_backed() {
        return Ok(());
    }
    if let Some(now) = now {
        followed.owner.region.mapping = Arc::clone(&now.mapping);
    }
    followed.owner.region.backing = backing;
    let run = match backing.address() {
        Some(address) => first_run(address, uses)?,
        None => None,
    };
    let record = OwnerRecord::moved(
        &followed.owner,
        run.as_ref(),
        before.address(),
        PageSize::base(),
    );
    sink.write(&record)
}

fn first_run(
    address: PhysAddr,
    uses: &mut PageUses,
) -> Result<Option<process_introspection::PageRun>, Failure> {
    let mut first = None;
    let page = PhysRange::page_of(address, PageSize::base());
    uses.visit(page, |run| {
        first = Some(*run);
        ControlFlow::Break(())
    })?;
    Ok(first)
}
