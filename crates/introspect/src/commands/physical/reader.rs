//! Reading side of the list: the regions of a process with their details. Must not know how
//! they are written.

use std::ops::ControlFlow;

use process_introspection::{AddrRange, Attributed, PhysicalRegion, Walk};
use process_introspection_export as export;

use crate::commands::details::Details;
use crate::failure::Failure;
use crate::source::{for_each_stored, Nodes, Source};

/// Region of a list.
pub(super) type Region = Attributed<PhysicalRegion>;

/// Reader of the regions of processes.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) nodes: Nodes,
    pub(super) details: bool,
    pub(super) vm_flags: bool,
    pub(super) thread_stacks: bool,
    pub(super) threads: usize,
}

impl Reader {
    /// Fails if this caller may not read what the options request: before anything is written.
    pub(super) fn check(&self, process: &Source<'_>) -> Result<(), Failure> {
        if let Source::Live(process) = process {
            Details::open(self.details, process)?;
        }
        Ok(())
    }

    /// Passes the regions in these ranges to `each` until that breaks.
    pub(super) fn read(
        &self,
        process: &Source<'_>,
        ranges: Vec<AddrRange>,
        mut each: impl FnMut(&Region, Option<export::Details>) -> ControlFlow<()>,
    ) -> Result<(), Failure> {
        match process {
            Source::Live(process) => {
                let details = Details::open(self.details, process)?;
                let walk = self.describe(process.walk_ranges(ranges));
                walk.for_each(|region| {
                    let facts = region.facts.as_ref();
                    let details = facts.map(|facts| details.of(region.virt, region.backing, facts));
                    each(region, details)
                })?;
                Ok(())
            }
            Source::Stored(process) => for_each_stored(process, &ranges, self.details, each),
        }
    }

    /// Adds the options to a walk.
    fn describe<'a>(&'a self, walk: Walk<'a>) -> Walk<'a> {
        let mut walk = walk.threads(self.threads).memory_types().page_sizes();
        if let Nodes::Machine(map) = &self.nodes {
            walk = walk.nodes(map);
        }
        if self.details {
            walk = walk.details();
        }
        if self.vm_flags {
            walk = walk.vm_flags();
        }
        if self.thread_stacks {
            walk = walk.thread_stacks();
        }
        walk
    }
}
