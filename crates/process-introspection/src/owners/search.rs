//! Search for the owners of wanted memory in regions of any source, live or stored. This
//! module must not know how processes are read.

use std::sync::Arc;

use process_introspection_core::{PageSize, PhysAddr};

use super::wanted::{Marks, WantedFrames, MOST_FRAMES};
use super::{Owner, PassedProcess};
use crate::error::Error;
use crate::machine::range::PhysRange;
use crate::walk::regions::PhysicalRegion;

/// Search for the processes that map physical memory: it finds the wanted parts of their
/// regions, and knows in the end what no process maps. [`owners`](crate::owners) does so
/// with live processes; for the same events, stored regions must be whole
/// ([`JoinedRegions`](crate::JoinedRegions), without memory types).
///
/// It takes one bit for each wanted page.
///
/// ```
/// use std::sync::Arc;
/// use process_introspection::{OwnerSearch, PageSize, PassedProcess, PhysRange, Process};
///
/// let process = Process::current()?;
/// let value = Box::new(5);
/// if let Ok(Some(address)) = process.physical_address(&raw const *value) {
///     let page = PageSize::base();
///     let mut search = OwnerSearch::new(&[PhysRange::page_of(address, page)], page)?;
///     let passed = Arc::new(PassedProcess::new(std::process::id(), None, "example"));
///     let mut owners = Vec::new();
///     for region in process.physical_regions(..)? {
///         owners.extend(search.owners_in(&passed, &region?));
///     }
///     assert!(!owners.is_empty() && search.unmapped().next().is_none());
/// }
/// # Ok::<(), process_introspection::Error>(())
/// ```
#[derive(Debug)]
pub struct OwnerSearch {
    marks: Marks,
    page: PageSize,
}

impl OwnerSearch {
    /// Starts a search for all pages that the ranges touch; `page` is the base page size.
    ///
    /// # Errors
    /// [`Error::is_invalid_argument`] for more than 2^27 pages (512 GiB of 4 KiB).
    pub fn new(ranges: &[PhysRange], page: PageSize) -> Result<Self, Error> {
        let wanted = WantedFrames::new(ranges, page);
        if wanted.count() > MOST_FRAMES {
            return Err(Error::too_many_frames());
        }
        let marks = Marks::new(wanted);
        Ok(Self { marks, page })
    }

    /// Returns the wanted parts of a region, in ascending order of virtual addresses.
    /// Memory that was lost to an error has no address in a region, and is not found.
    pub fn owners_in(
        &mut self,
        process: &Arc<PassedProcess>,
        region: &PhysicalRegion,
    ) -> Vec<Owner> {
        let parts = self.marks.wanted().parts_of(region);
        let owner = |(virt, _)| {
            Some(Owner {
                process: Arc::clone(process),
                region: region.within(virt)?,
            })
        };
        let owners: Vec<_> = parts.filter_map(owner).collect();
        for owner in &owners {
            self.found(owner, owner.region.backing.address());
        }
        owners
    }

    /// Marks the memory of an owner, from this address on, as found.
    pub(super) fn found(&mut self, owner: &Owner, address: Option<PhysAddr>) {
        if let Some(address) = address {
            let first = address.pfn(self.page).as_u64();
            let pages = owner.region.size() >> self.page.shift();
            self.marks.mark(first..first + pages);
        }
    }

    pub(super) fn wanted(&self) -> &WantedFrames {
        self.marks.wanted()
    }

    /// Returns the wanted memory of which no owner was found, in whole pages, ascending.
    pub fn unmapped(&self) -> impl Iterator<Item = PhysRange> + '_ {
        let runs = self.marks.unmarked();
        runs.map(|frames| PhysRange::of_frames(&frames, self.page))
    }
}
