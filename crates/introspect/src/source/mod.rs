//! Sources of records: a live process, or one of a snapshot. Subcommands see one interface.
//! Must not know subcommands, nor how output is written.

mod extents;
pub(crate) mod stored;

use std::ops::ControlFlow;
use std::sync::Arc;

use process_introspection::{
    AddrRange, Attributed, ContiguityMetrics, ContiguityMetricsAccumulator, Extent, ExtentBacking,
    Mapping, Mounts, PageSize, PhysicalMap, PhysicalRegion, Process, ResidentOfPhysical,
    ResidentRegion,
};
use process_introspection_dataset::lake::{joined, StoredProcess};
use process_introspection_export::Details;

use crate::failure::Failure;
use crate::options::from::as_user;
use crate::options::selection::Selection;

/// Items of a source.
pub(crate) type Items<'a, T> = Box<dyn Iterator<Item = Result<T, Failure>> + 'a>;

/// Process whose memory is listed.
#[derive(Debug)]
pub(crate) enum Source<'a> {
    /// Live process.
    Live(&'a Process),
    /// Process of a snapshot.
    Stored(&'a StoredProcess<'a>),
}

impl<'a> Source<'a> {
    /// Returns the base page size.
    pub(crate) fn page_size(&self) -> PageSize {
        match self {
            Self::Live(process) => process.page_size(),
            Self::Stored(process) => process.page_size(),
        }
    }

    /// Returns whether it has memory of its own, which a kernel thread has not.
    pub(crate) fn has_memory(&self) -> bool {
        match self {
            Self::Live(process) => process.has_memory(),
            Self::Stored(process) => !process.mappings().is_empty(),
        }
    }

    /// Returns the selected addresses, see [`Selection::ranges_among`].
    pub(crate) fn ranges(&self, selection: &Selection<'_>) -> Result<Vec<AddrRange>, Failure> {
        selection.ranges_among(self.page_size(), |bounds| self.mappings(bounds))
    }

    /// Returns the selected addresses; none if it has no selected mapping.
    pub(crate) fn any_ranges(&self, selection: &Selection<'_>) -> Result<Vec<AddrRange>, Failure> {
        selection.any_ranges_among(self.page_size(), |bounds| self.mappings(bounds))
    }

    /// Returns the mappings that touch a range.
    pub(crate) fn mappings(&self, range: AddrRange) -> Result<Items<'a, Arc<Mapping>>, Failure> {
        Ok(match *self {
            Self::Live(process) => {
                let mappings = process.virtual_regions(range)?;
                Box::new(mappings.map(|mapping| mapping.map_err(Failure::from)))
            }
            Self::Stored(process) => {
                let range = range.widened(process.page_size());
                let mappings = process.mappings().iter().map(|(mapping, _)| mapping);
                let inside = mappings.filter(move |mapping| {
                    mapping
                        .range
                        .intersection(range)
                        .is_some_and(|part| !part.is_empty())
                });
                Box::new(inside.map(|mapping| Ok(Arc::clone(mapping))))
            }
        })
    }

    /// Returns the source of the nodes of its memory.
    pub(crate) fn nodes(&self) -> Result<Nodes, Failure> {
        Ok(match self {
            Self::Live(process) => Nodes::of_machine(process.mounts())?,
            Self::Stored(process) => Nodes::Stored(process.snapshot().row().nodes),
        })
    }

    /// Returns the extents of exactly the bytes of a range, and their nodes.
    pub(crate) fn extents<'b>(
        &self,
        range: AddrRange,
        nodes: &'b Nodes,
    ) -> Result<Items<'b, (Extent, Option<u32>)>, Failure>
    where
        'a: 'b,
    {
        Ok(match *self {
            Self::Live(process) => Box::new(process.extents(range)?.map(|extent| {
                let extent = extent?;
                Ok((extent, nodes.of_extent(&extent)))
            })),
            Self::Stored(process) => Box::new(extents::of_parts(range, parts(process, range)?)),
        })
    }

    /// Computes the metrics of contiguity of these ranges. `passed` receives the addresses
    /// that were passed, until it breaks. A snapshot does not have the flags of frames.
    pub(crate) fn contiguity_metrics(
        &self,
        ranges: &[AddrRange],
        mut passed: impl FnMut(AddrRange) -> ControlFlow<()>,
    ) -> Result<ContiguityMetrics, Failure> {
        let process = match self {
            Self::Live(process) => return Ok(process.contiguity_metrics(ranges, passed)?),
            Self::Stored(process) => process,
        };
        let mut metrics = ContiguityMetricsAccumulator::new(process.page_size());
        for &range in ranges {
            for part in parts(process, range)? {
                let part = part?;
                metrics.push(&part, None);
                if passed(part.virt).is_break() {
                    return Ok(metrics.finish());
                }
            }
        }
        Ok(metrics.finish())
    }

    /// Returns which pages of a range are in memory.
    pub(crate) fn resident(&self, range: AddrRange) -> Result<Items<'a, ResidentRegion>, Failure> {
        Ok(match *self {
            Self::Live(process) => {
                let regions = process.resident_regions(range)?;
                Box::new(regions.map(|region| region.map_err(Failure::from)))
            }
            Self::Stored(process) => {
                let parts = parts(process, range)?;
                Box::new(ResidentOfPhysical::new(parts, process.page_size()))
            }
        })
    }
}

/// Nodes of memory.
#[derive(Debug)]
pub(crate) enum Nodes {
    /// Those of this machine.
    Machine(PhysicalMap),
    /// Those that a snapshot has, of this many.
    Stored(Option<u32>),
}

impl Nodes {
    /// Returns those of the machine whose files these are.
    pub(crate) fn of_machine(mounts: &Mounts) -> Result<Self, Failure> {
        Ok(Self::Machine(PhysicalMap::read_in(mounts)?))
    }

    /// Returns whether there are several.
    pub(crate) fn are_several(&self) -> bool {
        match self {
            Self::Machine(map) => map.has_several_nodes(),
            Self::Stored(count) => count.is_some_and(|count| count > 1),
        }
    }

    /// Returns the node of an extent of this machine.
    fn of_extent(&self, extent: &Extent) -> Option<u32> {
        let Self::Machine(map) = self else {
            return None;
        };
        match extent.backing {
            // All of it is one page.
            ExtentBacking::Zero(start) => map.node_of(start, 1),
            _ => map.node_of(extent.phys()?, extent.len()),
        }
    }
}

/// Returns the regions of a stored process as they are stored: in pieces of one size of
/// page-table entries.
fn parts<'a>(
    process: &'a StoredProcess<'a>,
    range: AddrRange,
) -> Result<impl Iterator<Item = Result<Attributed<PhysicalRegion>, Failure>> + 'a, Failure> {
    let parts = as_user(|| process.parts(range, false))?;
    Ok(parts.map(|part| Ok(part?.0)))
}

/// Passes the physical regions of a stored process, with their details, to `each` until that
/// breaks.
pub(crate) fn for_each_stored(
    process: &StoredProcess<'_>,
    ranges: &[AddrRange],
    with_details: bool,
    mut each: impl FnMut(&Attributed<PhysicalRegion>, Option<Details>) -> ControlFlow<()>,
) -> Result<(), Failure> {
    for &range in ranges {
        for region in joined(as_user(|| process.parts(range, with_details))?) {
            let (region, details) = region?;
            if each(&region, details).is_break() {
                return Ok(());
            }
        }
    }
    Ok(())
}
