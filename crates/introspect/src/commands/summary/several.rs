//! `introspect summary` of several processes, or of all: a line for each, and the sum.

use std::cmp::Reverse;

use process_introspection::{
    for_each_process, AddrRange, AdviceReading, GroupPart, HugePageSettings, MemoryGroups, Mounts,
    PageSize, PassOptions, PhysicalMap, Process, SummaryOptions,
};
use process_introspection_export::{
    Extra, GroupRecord, HugePagesRecord, Layout, MappingUsageRecord, ProcessLine, Record,
    SummaryRecord, TotalLine, UsageRecord,
};
use process_introspection_picture::svg;

use super::groups::{self, By, GroupKey, Grouped};
use super::{summarize, write_mappings, Arguments, Found, Mappings};
use crate::commands::selected::Selected;
use crate::commands::summaries::{missing, rank};
use crate::commands::unread::Unread;
use crate::failure::{continue_unless, warn, Failure};
use crate::output::sink::Sink;
use crate::text::{processes, shortened};

/// Summaries of several processes.
#[derive(Default)]
pub(super) struct Summaries {
    pub(super) found: Vec<Found>,
    pub(super) unread: Unread,
    /// Memory of all of them by rows.
    groups: MemoryGroups<GroupKey>,
    /// Error that ended the walk early.
    failed: Option<Failure>,
}

impl Summaries {
    /// Adds the summary of a process, `None` if it has no memory. Returns an error that
    /// is not the process's own.
    fn add(&mut self, found: Result<Option<Summed>, Failure>) -> Result<(), Failure> {
        match found {
            Ok(Some(Summed { found, parts })) => {
                self.groups.add_process(parts);
                self.found.push(found);
            }
            Ok(None) => {}
            Err(failure) => self.unread.add(failure)?,
        }
        Ok(())
    }
}

/// Summary of a process, and the rows of groups in which its memory counts.
struct Summed {
    found: Found,
    parts: Vec<(GroupKey, GroupPart)>,
}

impl Summed {
    /// Sums a summary, if requested; its mappings are then gone.
    fn new(mut found: Found, process: &Process, by: Option<By>) -> Result<Self, Failure> {
        let mut parts = Vec::new();
        if let (Some(by), Mappings::Live(summary, mappings)) = (by, &mut found.mappings) {
            parts = by.parts(process, summary, std::mem::take(mappings))?;
        }
        Ok(Self { found, parts })
    }
}

/// `introspect summary --all`: a line for each process, and the sum.
pub(super) fn all(arguments: &Arguments, mounts: &Mounts) -> Result<(), Failure> {
    let processes = mounts.all_pids()?;
    let map = PhysicalMap::read_in(mounts)?;
    let settings = HugePageSettings::read_in(mounts, PageSize::base().pmd().bytes());
    let (is_table, by) = (arguments.output.is_table(), arguments.summed_by());
    let sink = Sink::open_for_processes(&arguments.output, &layout(arguments), None)?;
    let of_all = map.clone();
    let look = move |process: Process| {
        // Kernel threads, and processes that have ended.
        if process.virtual_regions(..)?.next().is_none() {
            return Ok(None);
        }
        // The table does not show kinds, nor do groups.
        let process = match is_table || by.is_some() {
            true => process.without_file_contents(),
            false => process,
        };
        // Advice is not read: that would hold mmap locks.
        let options = options(&map, by)
            .settings(&settings)
            .advice(AdviceReading::Never);
        let options = match is_table || by.is_some() {
            true => options.without_page_classes(),
            false => options,
        };
        let ranges = [AddrRange::ALL];
        let found = summarize(&process, &options, &ranges, by.is_some(), |_| Ok(()))?;
        Summed::new(found, &process, by).map(Some)
    };
    let options = PassOptions::new()
        .mounts(mounts)
        .deadline(arguments.deadline);
    let (mut summaries, mut done, count) = (Summaries::default(), 0, processes.len());
    sink.passed_processes(done, count);
    for_each_process(processes, &options, look, |found| {
        let added = match found {
            None => Ok(()),
            Some(found) => {
                done += 1;
                sink.passed_processes(done, count);
                summaries.add(found.map_err(Failure::from).and_then(|found| found))
            }
        };
        continue_unless(&mut summaries.failed, sink.check().and(added))
    });
    match summaries.failed {
        None => report(arguments, summaries, Some((mounts, &of_all)), sink),
        Some(failure) => Err(failure),
    }
}

/// Returns the options of a walk whose memory is summed.
fn options(map: &PhysicalMap, by: Option<By>) -> SummaryOptions<'_> {
    let options = SummaryOptions::new(map);
    match by {
        Some(_) => options.frames(),
        None => options,
    }
}

/// `introspect summary` of several processes: a line for each, and the sum; or a line for
/// each of their mappings. If a process that was named by its number fails, the processes
/// before it are shown.
pub(super) fn several(
    arguments: &Arguments,
    mounts: &Mounts,
    selected: &[Selected],
) -> Result<(), Failure> {
    if (arguments.output.is_table() || arguments.output.is_picture()) && arguments.vm_flags {
        return Err(Failure::Message(
            "--vm-flags is for one process, or for --format json, jsonl, csv or arrow: table and \
             picture of several do not show it"
                .to_owned(),
        ));
    }
    // An error of the first process is reported before the output is opened.
    if let Some(first) = selected.first().filter(|first| first.is_required()) {
        mounts.process(first.target())?;
    }
    let map = PhysicalMap::read_in(mounts)?;
    let sink = Sink::open_for_processes(&arguments.output, &layout(arguments), None)?;
    let summaries = summarize_each(arguments, mounts, selected, &map, &sink)?;
    report(arguments, summaries, Some((mounts, &map)), sink)
}

pub(super) fn layout(arguments: &Arguments) -> Layout {
    if arguments.by.is_some() {
        return GroupRecord::LAYOUT;
    }
    match (arguments.by_mapping, arguments.output.is_table()) {
        (true, _) => MappingUsageRecord::LAYOUT.with(&[Extra::Pid]),
        (false, true) => ProcessLine::LAYOUT,
        (false, false) => SummaryRecord::LAYOUT,
    }
}

/// Writes the summaries, and warns of processes that were not read. Live processes come with
/// the files below these mounts and the map.
pub(super) fn report(
    arguments: &Arguments,
    summaries: Summaries,
    live: Option<(&Mounts, &PhysicalMap)>,
    mut sink: Sink,
) -> Result<(), Failure> {
    let Summaries {
        mut found,
        unread,
        groups,
        failed,
    } = summaries;
    let grouped = match live.zip(arguments.summed_by()) {
        Some(((mounts, map), by)) => {
            let is_all = arguments.all;
            Some(groups::group(by, groups, is_all, &unread, mounts, map)?)
        }
        None => None,
    };
    sink.end_progress();
    found.sort_by_key(|found| (Reverse(rank(&found.record.total)), found.record.pid));
    let unknown = grouped.as_ref().and_then(Grouped::missing);
    let mut lacks: Vec<_> = unknown.map(str::to_owned).into_iter().collect();
    for what in found.iter().flat_map(|found| missing(&found.record)) {
        if !lacks.contains(&what) {
            lacks.push(what);
        }
    }
    match (&grouped, arguments.by) {
        (Some(grouped), Some(_)) => {
            let is_table = arguments.output.is_table();
            groups::write(grouped, &arguments.sorting, is_table, &mut sink)?;
        }
        _ if arguments.by_mapping => write_mappings(&found, &arguments.sorting, &mut sink)?,
        _ => write_processes(found, grouped.as_ref(), arguments, &mut sink)?,
    }
    if let Some(failure) = failed {
        return Err(failure);
    }
    sink.finish()?;
    unread.lines().iter().chain(&lacks).for_each(warn);
    Ok(())
}

fn summarize_each(
    arguments: &Arguments,
    mounts: &Mounts,
    selected: &[Selected],
    map: &PhysicalMap,
    sink: &Sink,
) -> Result<Summaries, Failure> {
    let mut summaries = Summaries::default();
    let (mut settings, by) = (None, arguments.summed_by());
    // The table does not show it.
    let shows_advice = !arguments.output.is_table();
    for (done, one) in selected.iter().enumerate() {
        sink.passed_processes(done, selected.len());
        sink.check()?;
        let summary = one
            .open(mounts, &arguments.freeze)
            .and_then(|(process, freeze)| {
                let pid = process.pid().unwrap_or_default();
                if summaries
                    .found
                    .iter()
                    .any(|before| before.record.pid == pid)
                {
                    return Ok(None);
                }
                // A kernel thread, or a process that has ended.
                if !one.is_required() && process.virtual_regions(..)?.next().is_none() {
                    return Ok(None);
                }
                let ranges = arguments.mapping.selection(None).ranges(&process)?;
                // Read once, because they are the machine's.
                let size = process.page_size().pmd().bytes();
                let settings =
                    settings.get_or_insert_with(|| HugePageSettings::read_in(mounts, size));
                let options = options(map, by)
                    .settings(settings)
                    .advice(arguments.advice(shows_advice));
                let keeps_mappings = arguments.by_mapping || by.is_some();
                let found = summarize(&process, &options, &ranges, keeps_mappings, |_| {
                    sink.check()
                });
                drop(freeze);
                Summed::new(found?, &process, by).map(Some)
            });
        match summary {
            Err(failure) if one.is_required() => {
                summaries.failed = Some(failure);
                break;
            }
            summary => summaries.add(summary)?,
        }
    }
    Ok(summaries)
}

/// Writes the summaries in the requested order, and the sum of all, also of those that are not
/// listed.
fn write_processes(
    all: Vec<Found>,
    grouped: Option<&Grouped>,
    arguments: &Arguments,
    sink: &mut Sink,
) -> Result<(), Failure> {
    let is_table = arguments.output.is_table();
    let records = all.into_iter().map(|found| {
        let mut record = found.record;
        if is_table {
            record.command = shortened(&record.command);
        }
        record
    });
    let mut records: Vec<_> = records.collect();
    let total = is_table.then(|| total(&records)).flatten();
    arguments.sorting.arrange(&mut records)?;
    if arguments.output.is_picture() {
        return sink.draw(&svg::summary::draw_several(&records));
    }
    for record in &records {
        match is_table {
            true => sink.write(&ProcessLine(record))?,
            false => sink.write(record)?,
        }
    }
    let Some(record) = total else {
        return Ok(());
    };
    let memory = grouped.map(|grouped| &grouped.memory.total);
    sink.write(&TotalLine {
        record: &record,
        memory,
    })?;
    let unused = grouped.into_iter().flat_map(|grouped| &grouped.unused);
    unused.into_iter().try_for_each(|row| sink.write(row))
}

/// Returns the sum of all processes, without the fields that have no sum.
fn total(records: &[SummaryRecord]) -> Option<SummaryRecord> {
    let mut records_left = records.iter();
    let mut sum = records_left.next()?.clone();
    sum.pid = 0;
    sum.command = processes(records.len() as u64);
    sum.command_hex = None;
    (sum.kinds, sum.page_sizes, sum.nodes) = (Vec::new(), None, None);
    for record in records_left {
        sum.mappings += record.mappings;
        add_usage(&mut sum.total, &record.total);
        let huge_pages = sum.huge_pages.take().zip(record.huge_pages.as_ref());
        sum.huge_pages = huge_pages.map(add_huge_pages);
        let both = sum.contiguity.take().zip(record.contiguity.as_ref());
        sum.contiguity = both.map(|(mut sum, other)| {
            sum.extents += other.extents;
            sum.bytes += other.bytes;
            sum
        });
    }
    if let Some(contiguity) = &mut sum.contiguity {
        // These do not follow from those of the parts.
        (contiguity.median, contiguity.half_in) = (None, None);
        contiguity.largest.clear();
        contiguity.at_least.clear();
        contiguity.histogram.clear();
    }
    Some(sum)
}

fn add_usage(sum: &mut UsageRecord, other: &UsageRecord) {
    let add = |sum: Option<u64>, other: Option<u64>| sum.zip(other).map(|(a, b)| a + b);
    sum.virt += other.virt;
    sum.resident += other.resident;
    sum.pss = add(sum.pss, other.pss);
    sum.uss = add(sum.uss, other.uss);
    sum.swap += other.swap;
    sum.zero = add(sum.zero, other.zero);
    sum.hugetlb += other.hugetlb;
}

/// Adds the huge pages that a line shows.
fn add_huge_pages((mut sum, other): (HugePagesRecord, &HugePagesRecord)) -> HugePagesRecord {
    sum.mapped += other.mapped;
    sum
}
