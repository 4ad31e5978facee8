//! Processes that map physical memory: events of a pass become records.

use std::cell::OnceCell;
use std::ops::ControlFlow;
use std::time::Duration;

use process_introspection::{
    owners as pass, Cgroup, Error, Host, MemoryCgroups, Mounts, OwnerEvent, PageRun, PageSize,
    PageUses, PassOptions, PhysAddr, PhysRange, Process,
};
use process_introspection_dataset::description::of_machine;
use process_introspection_export::{OwnerRecord, Record, Searched};
use pyo3::prelude::*;

use crate::errors::{Class, Failure};
use crate::records::{Collector, Records};
use crate::signals::Signals;

/// Numbers of processes that a pass has read and has not read.
#[pyclass(frozen, get_all, module = "process_introspection")]
#[derive(Clone, Debug)]
pub(crate) struct Coverage {
    /// Processes whose memory was walked to its end.
    read: usize,
    /// Kernel threads, and processes that had ended.
    without_memory: usize,
    /// Processes that ended before they were read to the end.
    gone: usize,
    /// Processes to which access was refused.
    refused: usize,
    /// Processes that did not answer within the deadline.
    silent: usize,
    /// Processes that could not be read for another reason.
    failed: usize,
    /// Processes that started during the pass, which were not read.
    started: usize,
    /// Whether all processes of the machine are visible in this PID namespace.
    sees_all: bool,
    /// Whether every process was read.
    is_complete: bool,
}

#[pymethods]
impl Coverage {
    fn __repr__(&self) -> String {
        format!("<{self:?}>")
    }
}

impl From<process_introspection::Coverage> for Coverage {
    fn from(coverage: process_introspection::Coverage) -> Self {
        Self {
            read: coverage.read,
            without_memory: coverage.without_memory,
            gone: coverage.gone,
            refused: coverage.refused,
            silent: coverage.silent,
            failed: coverage.failed,
            started: coverage.started,
            sees_all: coverage.sees_all,
            is_complete: coverage.is_complete(),
        }
    }
}

/// Returns the processes that map physical memory, and the use of its pages, with how many
/// processes were read. Requires CAP_SYS_ADMIN, and the right to read each process.
///
/// ranges are pairs of physical addresses, the end not included; pages count as a whole.
/// deadline is the time in seconds that a process may keep the pass waiting. unread adds a row
/// for each process that could not be read.
#[pyfunction]
#[pyo3(signature = (ranges, *, threads=0, deadline=5.0, unread=false))]
pub(crate) fn owners(
    py: Python<'_>,
    ranges: Vec<(u64, u64)>,
    threads: u8,
    deadline: f64,
    unread: bool,
) -> Result<(Records, Coverage), Failure> {
    let invalid = |message: &str| Failure::Other(Class::Argument, message.to_owned());
    let ranges = ranges.iter().map(|&(start, end)| {
        let range = PhysRange::new(PhysAddr::new(start), PhysAddr::new(end));
        range.ok_or_else(|| invalid("the range's start is greater than its end"))
    });
    let ranges: Vec<_> = ranges.collect::<Result<_, _>>()?;
    let deadline = Duration::try_from_secs_f64(deadline)
        .map_err(|_| invalid("the deadline is no time in seconds"))?;
    py.detach(|| {
        let mounts = Mounts::new();
        let options = PassOptions::new()
            .threads(threads.into())
            .mounts(&mounts)
            .deadline(deadline);
        search(&mounts, &ranges, options, unread)
    })
}

fn search(
    mounts: &Mounts,
    ranges: &[PhysRange],
    options: PassOptions,
    unread: bool,
) -> Result<(Records, Coverage), Failure> {
    Process::current()?.require_frames()?;
    let facts = of_machine(Host::read_in(mounts), PageSize::base());
    let mut listing = Listing {
        records: Collector::new(&OwnerRecord::LAYOUT, facts),
        uses: PageUses::open_in(mounts)?,
        cgroups: Cgroups {
            mounts,
            read: OnceCell::new(),
        },
        unread,
    };
    let mut signals = Signals::new();
    let mut failed = None;
    let coverage = pass(ranges, options, |event| match listing.take(event) {
        Ok(()) => signals.look(),
        Err(error) => {
            failed = Some(error);
            ControlFlow::Break(())
        }
    })?;
    signals.finish()?;
    failed.map_or(Ok(()), Err)?;
    Ok((listing.records.finish(), coverage.into()))
}

/// Cgroups that pay for pages, which are read when the first is needed.
struct Cgroups<'a> {
    mounts: &'a Mounts,
    read: OnceCell<MemoryCgroups>,
}

impl Cgroups<'_> {
    fn get(&self, inode: Option<u64>) -> Option<Cgroup> {
        let read = || MemoryCgroups::read_in(self.mounts);
        self.read.get_or_init(read).get(inode?)
    }
}

/// List of owners while the pass goes on.
struct Listing<'a> {
    records: Collector,
    uses: PageUses,
    cgroups: Cgroups<'a>,
    /// Processes that could not be read are listed.
    unread: bool,
}

impl Listing<'_> {
    /// Adds the records of an event: one for each run of pages of one use.
    fn take(&mut self, event: OwnerEvent) -> Result<(), Error> {
        let base = PageSize::base();
        match event {
            OwnerEvent::Owner(owner) => {
                let first = owner.region.backing.address();
                let range = first.and_then(|first| of_size(first, owner.region.size()));
                let Some(range) = range else {
                    return Ok(());
                };
                self.each(range, |run| OwnerRecord::mapped(&owner, &run.into(), base))
            }
            OwnerEvent::Lost(owner, first) => {
                let range = of_size(first, owner.region.size()).unwrap_or_default();
                self.each(range, |run| OwnerRecord::lost(&owner, first, run, base))
            }
            OwnerEvent::Unread(process, error) if self.unread => {
                let record = OwnerRecord::unread(&process, reason(&error.to_string()));
                self.records.push(&record);
                Ok(())
            }
            OwnerEvent::Unmapped(range, coverage) => {
                let searched = Searched::from(coverage);
                let Self {
                    records,
                    uses,
                    cgroups,
                    ..
                } = self;
                uses.visit_with_payers(range, |run| {
                    let record = OwnerRecord::unmapped(run, searched, base);
                    records.push(&record.paid_by(cgroups.get(run.payer)));
                    ControlFlow::Continue(())
                })
            }
            _ => Ok(()),
        }
    }

    fn each<'a>(
        &mut self,
        range: PhysRange,
        record: impl Fn(&PageRun) -> OwnerRecord<'a>,
    ) -> Result<(), Error> {
        let Self { records, uses, .. } = self;
        uses.visit(range, |run| {
            records.push(&record(run));
            ControlFlow::Continue(())
        })
    }
}

fn of_size(first: PhysAddr, size: u64) -> Option<PhysRange> {
    PhysRange::new(first, first.checked_add(size)?)
}

/// Returns why a process could not be read, without its name, which the record has.
fn reason(text: &str) -> String {
    let at = text.find(": cannot ").map_or(0, |at| at + 2);
    text[at..].to_owned()
}
