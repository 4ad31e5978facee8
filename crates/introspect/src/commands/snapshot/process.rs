//! Rows of one process: its walk, its mappings and its summary. Runs on the thread that may
//! be left behind. Writes nothing.

use std::iter::Peekable;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::SystemTime;

use process_introspection::{
    AddrRange, AdviceReading, Error, HugePageSettings, Mapping, MappingSummary, Parts, PhysicalMap,
    Process, ProcessInfo, Summary, SummaryOptions, SummaryStep, UniquePid,
};
use process_introspection_dataset::tables::mappings::MappingRow;
use process_introspection_dataset::tables::processes::ProcessRow;
use process_introspection_dataset::tables::regions::RegionRow;
use process_introspection_export::{MappingUsageRecord, NameBuf, SummaryRecord, Time};

use crate::commands::details::Details;

/// Rows that are handed over at a time, less than a MiB.
const PART: usize = 2048;

/// Rows of one process.
#[derive(Debug)]
pub(super) enum Part {
    Regions(Vec<RegionRow>),
    Mappings(Vec<MappingRow>),
}

/// Reads processes.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    pub(super) map: Arc<PhysicalMap>,
    pub(super) settings: Arc<HugePageSettings>,
    pub(super) advice: AdviceReading,
    pub(super) details: bool,
}

impl Reader {
    /// Hands over the rows of a process, and returns its own; `None` if it has no memory.
    pub(super) fn read(
        &self,
        process: &Process,
        parts: &mut Parts<'_, Part>,
    ) -> Result<Option<ProcessRow>, Error> {
        if !process.has_memory() {
            return Ok(None);
        }
        let unique = process.unique_pid()?;
        let mut row = empty_row(unique);
        let command = process.command_line();
        row.command = NameBuf(command.as_bytes().to_vec());
        let mappings = self.regions(process, row.unique_pid, parts)?;
        let (summary, summaries) = self.summary(process)?;
        let base = process.page_size().bytes();
        let record = SummaryRecord::new(row.pid, &command, &summary, base);
        row.set_summary(record);
        let mut summaries = summaries.iter().peekable();
        for mappings in mappings.chunks(PART) {
            let rows = mappings.iter().map(|mapping| {
                let of_it = summary_of(mapping, &mut summaries);
                let usage = of_it.map(|of_it| MappingUsageRecord::new(row.pid, &summary, of_it));
                MappingRow::new(row.unique_pid, mapping, usage.as_ref())
            });
            if parts.give(Part::Mappings(rows.collect())).is_break() {
                break;
            }
        }
        Ok(Some(row))
    }

    /// Hands over the regions, and returns their mappings.
    fn regions(
        &self,
        process: &Process,
        unique_pid: u64,
        parts: &mut Parts<'_, Part>,
    ) -> Result<Vec<Arc<Mapping>>, Error> {
        let base = process.page_size();
        let details = Details::open(self.details, process)?;
        let mut mappings = Vec::<Arc<Mapping>>::new();
        let mut rows = Vec::with_capacity(PART);
        // Readers compute the memory of huge entries from parts that have one page size each.
        let mut walk = process
            .walk(..)
            .memory_types()
            .split_page_sizes()
            .nodes(&self.map);
        if self.details {
            walk = walk.details();
        }
        walk.threads(0).for_each(|region| {
            let mapping = &region.mapping;
            if !mappings
                .last()
                .is_some_and(|last| Arc::ptr_eq(last, mapping))
            {
                mappings.push(Arc::clone(mapping));
            }
            let facts = region.facts.as_ref();
            let details = facts.map(|facts| details.of(region.virt, region.backing, facts));
            rows.push(RegionRow::new(unique_pid, region, details, base));
            if rows.len() < PART {
                return ControlFlow::Continue(());
            }
            let full = std::mem::replace(&mut rows, Vec::with_capacity(PART));
            parts.give(Part::Regions(full))
        })?;
        // If nobody wants it, nobody wants the rest.
        let _ = parts.give(Part::Regions(rows));
        // Two mappings of one address are one that was changed during the walk.
        mappings.dedup_by_key(|mapping| mapping.range.start());
        Ok(mappings)
    }

    fn summary(&self, process: &Process) -> Result<(Summary, Vec<MappingSummary>), Error> {
        let options = SummaryOptions::new(&self.map)
            .settings(&self.settings)
            .advice(self.advice);
        let mut mappings = Vec::new();
        let summary = process.summary_with(&[AddrRange::ALL], &options, |step| {
            if let SummaryStep::Mapping(mapping) = step {
                mappings.push(mapping);
            }
            ControlFlow::Continue(())
        })?;
        Ok((summary, mappings))
    }
}

/// Returns the summary of a mapping, of those that ascend; `None` if it is not there any
/// more.
fn summary_of<'a>(
    mapping: &Mapping,
    summaries: &mut Peekable<impl Iterator<Item = &'a MappingSummary>>,
) -> Option<&'a MappingSummary> {
    let range = |summary: &MappingSummary| summary.mapping.range;
    while summaries
        .next_if(|summary| range(summary).start() < mapping.range.start())
        .is_some()
    {}
    summaries.next_if(|summary| range(summary) == mapping.range)
}

/// Returns the row of a process of which nothing is known but its identity.
pub(super) fn empty_row(unique: UniquePid) -> ProcessRow {
    ProcessRow {
        unique_pid: unique.as_i64() as u64,
        pid: unique.pid(),
        ..ProcessRow::default()
    }
}

/// Adds what is known of a process beside its memory.
pub(super) fn set_info(row: &mut ProcessRow, info: &ProcessInfo, boot_time: Option<SystemTime>) {
    let name = |name: &std::ffi::OsStr| NameBuf(name.as_bytes().to_vec());
    row.ppid = Some(info.parent);
    row.uid = Some(info.uid);
    let started_at = boot_time.and_then(|boot_time| info.started_at(boot_time));
    row.started_at = started_at.map(Time::from);
    row.name = name(&info.command);
    row.exe = info.exe.as_deref().map(name).unwrap_or_default();
    if let Some(cgroup) = &info.cgroup {
        row.cgroup = name(&cgroup.path);
        row.unit.clone_from(&cgroup.unit);
        row.container.clone_from(&cgroup.container);
    }
}
