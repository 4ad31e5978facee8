//! Readings of one process: its memory, its mappings, the regions of one of them. Must not know
//! when they are made.

use std::ops::ControlFlow;

use process_introspection::{
    AddrRange, AdviceReading, Error, GroupPart, GroupScope, HugePageSettings, MappingSummary,
    MemoryGroups, PageSize, PhysicalMap, Process, Summary, SummaryOptions, SummaryStep, Usage,
};
use process_introspection_export::{protection_name, State as PageState};

use crate::text::printable_bytes;
use crate::top::model::{Exact, MappingRow, RegionRow};

/// Largest number of regions of a mapping that are kept.
pub(crate) const MOST_REGIONS: usize = 20_000;

/// Memory of a process.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) exact: Exact,
    /// Part of a sum over groups.
    pub(crate) part: GroupPart,
    /// In the order of addresses; none unless requested.
    pub(crate) mappings: Vec<MappingRow>,
}

/// Reads the memory of a process. `check` is called often, and can break off: then there is no
/// reading.
pub(crate) fn read(
    process: Process,
    map: &PhysicalMap,
    settings: &HugePageSettings,
    with_mappings: bool,
    mut check: impl FnMut() -> ControlFlow<()>,
) -> Result<Option<Reading>, Error> {
    // Kinds are of no use without mappings.
    let process = match with_mappings {
        true => process,
        false => process.without_file_contents(),
    };
    // Advice is not read: that would hold mmap locks.
    let options = SummaryOptions::new(map)
        .settings(settings)
        .advice(AdviceReading::Never)
        .without_page_classes()
        .frames();
    let (mut mappings, mut is_complete) = (Vec::new(), true);
    let summary = process.summary_with(&[AddrRange::ALL], &options, |step| {
        match step {
            SummaryStep::Mapping(mapping) => mappings.push(mapping),
            // A check costs more than a region.
            SummaryStep::Region(_) => return ControlFlow::Continue(()),
            _ => {}
        }
        let checked = check();
        is_complete &= checked.is_continue();
        checked
    })?;
    if !is_complete {
        return Ok(None);
    }
    let rows = mappings.iter().filter(|_| with_mappings);
    let rows = rows.map(|mapping| mapping_row(&summary, mapping)).collect();
    let part = GroupPart::of_process(&summary, mappings);
    let mut exact = exact(&summary);
    if summary.knows_frames {
        exact.memory = own_memory(&process, part.clone(), map)?;
    } else if let Ok(rollup) = process.memory_rollup() {
        exact.pss = Some(rollup.proportional);
        exact.uss = Some(rollup.unique);
    }
    Ok(Some(Reading {
        exact,
        part,
        mappings: rows,
    }))
}

fn exact(summary: &Summary) -> Exact {
    Exact {
        huge: summary.coverage.map(|coverage| coverage.huge),
        extents: summary.contiguity.as_ref().map(|one| one.extents()),
        ..of_usage(&summary.total, summary)
    }
}

/// Returns the numbers of the usage of a process or of a mapping, and no others.
fn of_usage(usage: &Usage, summary: &Summary) -> Exact {
    Exact {
        virt: usage.virt,
        resident: usage.resident,
        pss: summary.knows_frames.then(|| usage.proportional()),
        uss: summary.knows_frames.then_some(usage.unique),
        memory: None,
        swap: usage.swap,
        hugetlb: usage.hugetlb,
        huge: None,
        extents: None,
    }
}

/// Returns the memory that the process maps and nobody else.
fn own_memory(process: &Process, part: GroupPart, map: &PhysicalMap) -> Result<Option<u64>, Error> {
    let mut groups = MemoryGroups::new();
    groups.add_process([((), part)]);
    let found = groups.finish(GroupScope::Rows, false, process.mounts(), map)?;
    Ok(found.total.frames.and_then(|frames| frames.own))
}

fn mapping_row(summary: &Summary, mapping: &MappingSummary) -> MappingRow {
    let of = &mapping.mapping;
    MappingRow {
        start: of.range.start().as_u64(),
        end: of.range.end().as_u64(),
        exact: Exact {
            huge: summary.coverage.map(|_| mapping.huge),
            extents: summary.knows_addresses.then_some(mapping.extents),
            ..of_usage(&mapping.usage, summary)
        },
        largest: mapping.largest.filter(|_| summary.knows_addresses),
        protection: protection_name(of.protection),
        kind: of.kind(),
        name: printable_bytes(of.name().as_bytes()),
    }
}

/// Reads the regions of a range, with addresses if this caller can see them, and returns whether
/// there are more than are kept.
pub(crate) fn regions(
    process: &Process,
    range: AddrRange,
    map: &PhysicalMap,
) -> Result<(Vec<RegionRow>, bool), Error> {
    let mut rows = Vec::new();
    if process.sees_frames() {
        let walk = process.walk(range).split_page_sizes().nodes(map);
        for region in walk.iter()? {
            let region = region?;
            if rows.len() == MOST_REGIONS {
                return Ok((rows, true));
            }
            rows.push(RegionRow {
                start: region.virt.start().as_u64(),
                size: region.size(),
                state: PageState::from(region.backing),
                physical: region.backing.address().map(|address| address.as_u64()),
                page: region.page_size.map(PageSize::bytes),
                node: region.node,
            });
        }
    } else {
        for region in process.resident_regions(range)? {
            let region = region?;
            if rows.len() == MOST_REGIONS {
                return Ok((rows, true));
            }
            rows.push(RegionRow {
                start: region.virt.start().as_u64(),
                size: region.virt.size(),
                state: PageState::from(region.backing),
                physical: None,
                page: None,
                node: None,
            });
        }
    }
    Ok((rows, false))
}
