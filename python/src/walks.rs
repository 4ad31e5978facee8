//! Walks of a process's memory: regions become records. Runs without the interpreter, which
//! it needs for signals only.

use std::ops::Bound;
use std::slice;

use process_introspection::{
    AddrRange, AdviceReading, Backing, Error, ExtentBacking, HugePageActivity, PageFacts,
    PhysicalMap, Process, SummaryOptions, SummaryStep, SwapAreas,
};
use process_introspection_dataset::description::of_machine;
use process_introspection_export::{
    Details, ExtentRecord, Extra, MappingUsageRecord, MetricRecord, PageTableRecord,
    PhysicalRecord, Record, ResidentRecord, SummaryRecord, VirtualRecord,
};

use crate::errors::{Class, Failure};
use crate::records::{Collector, Facts, Records};
use crate::signals::Signals;

/// What a walk of physical regions reads, beside addresses.
#[derive(Copy, Clone, Debug)]
pub(crate) struct PhysicalOptions {
    pub(crate) backed: bool,
    pub(crate) details: bool,
    pub(crate) vm_flags: bool,
    pub(crate) thread_stacks: bool,
    pub(crate) threads: usize,
}

/// Returns the addresses from `start` to `end`, or to the last one.
pub(crate) fn range(start: u64, end: Option<u64>) -> Result<AddrRange, Failure> {
    let end = end.map_or(Bound::Unbounded, Bound::Excluded);
    AddrRange::from_bounds((Bound::Included(start), end)).ok_or_else(|| {
        let message = "the range's start is greater than its end";
        Failure::Other(Class::Argument, message.to_owned())
    })
}

/// Returns the facts about records of a process.
fn facts(process: &Process) -> Facts {
    let host = process_introspection::Host::read_in(process.mounts());
    let mut facts = of_machine(host, process.page_size());
    let pid = process.pid().map(|pid| pid.to_string());
    let unique_pid = process.unique_pid().ok().map(|unique| unique.to_string());
    facts.extend(pid.map(|pid| ("pid", pid)));
    facts.extend(unique_pid.map(|unique| ("unique_pid", unique)));
    facts
}

pub(crate) fn virtual_regions(
    process: &Process,
    range: AddrRange,
    thread_stacks: bool,
) -> Result<Records, Failure> {
    let stacks = match thread_stacks {
        true => Some(process.thread_stacks()?),
        false => None,
    };
    let mut records = Collector::new(&VirtualRecord::LAYOUT, facts(process));
    let mut signals = Signals::new();
    for mapping in process.virtual_regions(range)? {
        let mapping = mapping?;
        let mapping = match &stacks {
            Some(stacks) => stacks.classify(&mapping),
            None => mapping,
        };
        records.push(&VirtualRecord::new(&mapping, process.page_size()));
        if signals.record().is_break() {
            break;
        }
    }
    signals.finish()?;
    Ok(records.finish())
}

pub(crate) fn physical_regions(
    process: &Process,
    range: AddrRange,
    options: PhysicalOptions,
) -> Result<Records, Failure> {
    process.require_frames()?;
    let map = PhysicalMap::read_in(process.mounts())?;
    let areas = areas(options.details, process)?;
    let walk = process.walk(range).threads(options.threads);
    let mut walk = walk.memory_types().page_sizes().nodes(&map);
    if options.details {
        walk = walk.details();
    }
    if options.vm_flags {
        walk = walk.vm_flags();
    }
    if options.thread_stacks {
        walk = walk.thread_stacks();
    }
    let layout = PhysicalRecord::LAYOUT.with(extra(options.details));
    let mut records = Collector::new(&layout, facts(process));
    let mut signals = Signals::new();
    walk.for_each(|region| {
        if !options.backed || region.backing.is_backed() {
            let mut record = PhysicalRecord::new(region, region.page_size, process.page_size());
            record.set_memory_type(region.memory_type);
            record.node = region.node;
            let facts = region.facts.as_ref();
            let details =
                facts.map(|facts| details(process, &areas, region.virt, region.backing, facts));
            record.details = details.as_ref();
            records.push(&record);
        }
        signals.record()
    })?;
    signals.finish()?;
    Ok(records.finish())
}

pub(crate) fn resident_regions(
    process: &Process,
    range: AddrRange,
    backed: bool,
) -> Result<Records, Failure> {
    let mut records = Collector::new(&ResidentRecord::LAYOUT, facts(process));
    let mut signals = Signals::new();
    for region in process.resident_regions(range)? {
        let region = region?;
        if !backed || region.backing.is_backed() {
            records.push(&ResidentRecord::new(&region, process.page_size()));
        }
        if signals.record().is_break() {
            break;
        }
    }
    signals.finish()?;
    Ok(records.finish())
}

pub(crate) fn page_table(
    process: &Process,
    range: AddrRange,
    backed: bool,
    with_details: bool,
) -> Result<Records, Failure> {
    process.require_frames()?;
    let map = PhysicalMap::read_in(process.mounts())?;
    let areas = areas(with_details, process)?;
    let mut walk = process.walk(range).memory_types().nodes(&map);
    if with_details {
        walk = walk.details();
    }
    let layout = PageTableRecord::LAYOUT.with(extra(with_details));
    let mut records = Collector::new(&layout, facts(process));
    let mut signals = Signals::new();
    for entry in walk.entries()? {
        let entry = entry?;
        if !backed || entry.backing.is_backed() {
            let mut record = PageTableRecord::new(&entry, process.page_size());
            record.set_memory_type(entry.memory_type);
            record.node = entry.node;
            let facts = entry.facts.as_ref();
            let details =
                facts.map(|facts| details(process, &areas, entry.virt, entry.backing, facts));
            record.details = details.as_ref();
            records.push(&record);
        }
        if signals.record().is_break() {
            break;
        }
    }
    signals.finish()?;
    Ok(records.finish())
}

pub(crate) fn extents(process: &Process, range: AddrRange) -> Result<Records, Failure> {
    process.require_frames()?;
    let map = PhysicalMap::read_in(process.mounts())?;
    let mut records = Collector::new(&ExtentRecord::LAYOUT, facts(process));
    let mut signals = Signals::new();
    for extent in process.extents(range)? {
        let extent = extent?;
        let mut record = ExtentRecord::new(&extent, process.page_size());
        record.node = match extent.backing {
            // All of it is one page.
            ExtentBacking::Zero(start) => map.node_of(start, 1),
            _ => extent
                .phys()
                .and_then(|start| map.node_of(start, extent.len())),
        };
        records.push(&record);
        if signals.record().is_break() {
            break;
        }
    }
    signals.finish()?;
    Ok(records.finish())
}

pub(crate) fn summary(process: &Process) -> Result<Records, Failure> {
    let map = PhysicalMap::read_in(process.mounts())?;
    let options = SummaryOptions::new(&map).advice(AdviceReading::WhereCheap);
    let facts = facts(process);
    let mut signals = Signals::new();
    let summary = process.summary_with(&[AddrRange::ALL], &options, |_| signals.record())?;
    signals.finish()?;
    let (pid, command) = (process.pid().unwrap_or_default(), process.command_line());
    let base = process.page_size().bytes();
    let mut record = SummaryRecord::new(pid, &command, &summary, base);
    record.thp = Some((&HugePageActivity::read_in(process.mounts())).into());
    Ok(Collector::all(
        &SummaryRecord::LAYOUT,
        facts,
        slice::from_ref(&record),
    ))
}

pub(crate) fn mapping_usage(process: &Process) -> Result<Records, Failure> {
    let map = PhysicalMap::read_in(process.mounts())?;
    let options = SummaryOptions::new(&map).advice(AdviceReading::Never);
    let facts = facts(process);
    let mut signals = Signals::new();
    let mut mappings = Vec::new();
    let summary = process.summary_with(&[AddrRange::ALL], &options, |step| {
        if let SummaryStep::Mapping(mapping) = step {
            mappings.push(mapping);
        }
        signals.record()
    })?;
    signals.finish()?;
    let pid = process.pid().unwrap_or_default();
    let mut records = Collector::new(&MappingUsageRecord::LAYOUT, facts);
    for mapping in &mappings {
        records.push(&MappingUsageRecord::new(pid, &summary, mapping));
    }
    Ok(records.finish())
}

pub(crate) fn contiguity_metrics(process: &Process) -> Result<Records, Failure> {
    let facts = facts(process);
    let mut signals = Signals::new();
    let metrics = process.contiguity_metrics(&[AddrRange::ALL], |_| signals.record())?;
    signals.finish()?;
    let metrics = MetricRecord::of_process(&metrics);
    Ok(Collector::all(&MetricRecord::LAYOUT, facts, &metrics))
}

/// Returns the extra columns of records with or without details.
fn extra(with_details: bool) -> &'static [Extra] {
    match with_details {
        true => &[Extra::Details],
        false => &[],
    }
}

/// Reads the swap areas that details name, and fails if this caller may not read facts of
/// pages.
fn areas(with_details: bool, process: &Process) -> Result<Option<SwapAreas>, Error> {
    if !with_details {
        return Ok(None);
    }
    process.page_facts()?;
    SwapAreas::read_in(process.mounts()).map(Some)
}

/// Returns the details of these pages.
fn details(
    process: &Process,
    areas: &Option<SwapAreas>,
    virt: AddrRange,
    backing: Backing,
    facts: &PageFacts,
) -> Details {
    let page = process.page_size();
    let area = match (backing, areas) {
        (Backing::Swapped(Some(place)), Some(areas)) => areas.area_of(place, page),
        _ => None,
    };
    let area = area.map(|area| area.path.clone());
    Details::new(virt.size() >> page.shift(), facts, area)
}
