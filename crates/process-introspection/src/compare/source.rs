//! Streams of regions in the order of addresses, lent one at a time. Must not know who
//! consumes them.

use crate::walk::attributed::Attributed;
use crate::walk::regions::PhysicalRegion;

/// Stream of regions in the order of addresses, which do not overlap. Each is lent until
/// the next, so that a source need not make new ones: a region shares its mapping, and to
/// count its users for each region costs more than to compare it.
pub trait RegionSource<E> {
    /// Returns the next region; `None` at the end.
    ///
    /// # Errors
    /// Those of the source. The stream must not be used afterwards.
    fn next_region(&mut self) -> Result<Option<&Attributed<PhysicalRegion>>, E>;
}

/// Stream of the regions of an iterator, such as [`Walk::iter`](crate::Walk::iter).
#[derive(Debug)]
pub struct IteratedRegions<I> {
    regions: I,
    current: Option<Attributed<PhysicalRegion>>,
}

impl<I> IteratedRegions<I> {
    /// Makes a stream of these regions.
    pub fn new(regions: I) -> Self {
        Self {
            regions,
            current: None,
        }
    }
}

impl<E, I: Iterator<Item = Result<Attributed<PhysicalRegion>, E>>> RegionSource<E>
    for IteratedRegions<I>
{
    fn next_region(&mut self) -> Result<Option<&Attributed<PhysicalRegion>>, E> {
        self.current = self.regions.next().transpose()?;
        Ok(self.current.as_ref())
    }
}

/// Stream without regions: that of a process that has not begun, or has ended.
#[derive(Copy, Clone, Debug, Default)]
pub struct NoRegions;

impl<E> RegionSource<E> for NoRegions {
    fn next_region(&mut self) -> Result<Option<&Attributed<PhysicalRegion>>, E> {
        Ok(None)
    }
}
