//! All physical regions of a range at once, owned.

use std::ops::RangeBounds;
use std::time::SystemTime;

use process_introspection_core::AddrRange;

use crate::error::Error;
use crate::process::{bounds, Process};
use crate::walk::regions::{PhysicalRegion, PhysicalRegions};

/// The physical regions of a range, as they were read within a short time.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// When reading began.
    pub taken: SystemTime,
    /// The range that was asked for.
    pub range: AddrRange,
    /// The regions, in the order of addresses.
    pub regions: Vec<PhysicalRegion>,
}

impl Snapshot {
    pub(crate) fn take(process: &Process, range: AddrRange) -> Result<Self, Error> {
        let taken = SystemTime::now();
        let regions = PhysicalRegions::new(process, range)?.collect::<Result<_, _>>()?;
        Ok(Self {
            taken,
            range,
            regions,
        })
    }

    /// How many bytes are backed by physical memory.
    pub fn resident(&self) -> u64 {
        let backed = self
            .regions
            .iter()
            .filter(|region| region.backing.is_backed());
        backed.map(PhysicalRegion::size).sum()
    }
}

impl Process {
    /// The physical regions of `range`, all at once and owned.
    ///
    /// # Errors
    /// As [`Process::physical_regions`] and its iterator.
    pub fn snapshot(&self, range: impl RangeBounds<u64>) -> Result<Snapshot, Error> {
        Snapshot::take(self, bounds(range)?)
    }
}
