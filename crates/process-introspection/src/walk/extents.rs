//! Physical extents of exactly the requested bytes, merged across mappings.

use process_introspection_core::backing::Backing;
use process_introspection_core::{AddrRange, PhysAddr};

use crate::error::Error;
use crate::process::{Addresses, Process};
use crate::walk::backed::Backed;
use crate::walk::regions::PhysicalRegions;

/// Bytes that are consecutive in both address spaces, or bytes that are missing.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Extent {
    /// The virtual addresses, exact to the byte.
    pub virt: AddrRange,
    /// Their backing.
    pub backing: ExtentBacking,
}

/// Backing of an extent.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExtentBacking {
    /// RAM, from this address on.
    Ram(PhysAddr),
    /// Device memory, from this address on.
    Device(PhysAddr),
    /// The kernel's zero page: the bytes were read but never written, and nothing must
    /// be written there.
    Zero(PhysAddr),
    /// Mapped, but not resident for this reason.
    Missing(Backing),
    /// Not mapped.
    Unmapped,
}

impl Extent {
    /// Returns the physical address of its first byte, if it has memory of its own.
    pub fn phys(&self) -> Option<PhysAddr> {
        match self.backing {
            ExtentBacking::Ram(address) | ExtentBacking::Device(address) => Some(address),
            _ => None,
        }
    }

    /// Returns its length in bytes.
    #[allow(clippy::len_without_is_empty)] // No extent is empty.
    pub fn len(&self) -> u64 {
        self.virt.size()
    }

    /// Returns true if it is memory that a device can use.
    pub fn is_ram(&self) -> bool {
        matches!(self.backing, ExtentBacking::Ram(_))
    }

    fn continues_with(&self, next: &Self) -> bool {
        use ExtentBacking as B;
        self.virt.end() == next.virt.start()
            && match (self.backing, next.backing) {
                (B::Ram(this), B::Ram(next)) | (B::Device(this), B::Device(next)) => {
                    this.checked_add(self.len()) == Some(next)
                }
                (B::Missing(Backing::Swapped(_)), B::Missing(Backing::Swapped(_))) => true,
                (B::Missing(this), B::Missing(next)) => this == next,
                (B::Zero(_), B::Zero(_)) => true,
                (B::Unmapped, B::Unmapped) => true,
                _ => false,
            }
    }
}

/// The extents of a range, made of regions: they tile all of it, including its unmapped
/// parts. Memory use is constant.
#[derive(Debug)]
pub struct Extents<I> {
    regions: I,
    range: AddrRange,
    /// Address below which everything was processed.
    next: u64,
    pending: Option<Extent>,
    /// Region that was read but follows a gap, which is returned first.
    behind_gap: Option<Extent>,
}

impl<I, R, E> Extents<I>
where
    I: Iterator<Item = Result<R, E>>,
    R: Backed,
{
    /// Makes extents of exactly the bytes of `range` from the regions that touch it, in
    /// the order of addresses. [`Process::extents`] does so with a live walk.
    ///
    /// ```
    /// use process_introspection::{AddrRange, Backing, Error, ExtentBacking, Extents, PhysAddr};
    ///
    /// let ram = |address| Backing::Ram(PhysAddr::new(address));
    /// let range = |start, end| AddrRange::new(start, end).unwrap();
    /// let regions = [(range(0, 0x2000), ram(0x9000)), (range(0x2000, 0x3000), ram(0xb000))];
    /// let extents = Extents::new(range(0x1ff0, 0x2010), regions.into_iter().map(Ok::<_, Error>));
    /// let extents = extents.collect::<Result<Vec<_>, _>>()?;
    /// assert_eq!(extents.len(), 1);
    /// assert_eq!(extents[0].backing, ExtentBacking::Ram(PhysAddr::new(0xaff0)));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn new(range: AddrRange, regions: I) -> Self {
        Self {
            regions,
            range,
            next: range.start().as_u64(),
            pending: None,
            behind_gap: None,
        }
    }

    /// Returns the next extent before merging; `None` after the last.
    fn read(&mut self) -> Result<Option<Extent>, E> {
        let end = self.range.end().as_u64();
        if let Some(extent) = self.behind_gap.take() {
            self.next = extent.virt.end().as_u64();
            return Ok(Some(extent));
        }
        if self.next >= end {
            return Ok(None);
        }
        let region = self.regions.next().transpose()?;
        let exact = region.and_then(|region| {
            let virt = region.virt().intersection(self.range)?;
            let skipped = virt.start().as_u64() - region.virt().start().as_u64();
            Some(Extent {
                virt,
                backing: backing_of(region.backing().further(skipped)),
            })
        });
        let start = exact.map_or(end, |extent| extent.virt.start().as_u64());
        if start > self.next {
            let gap = AddrRange::new(self.next, start).unwrap_or_default();
            self.behind_gap = exact;
            self.next = start;
            return Ok(Some(Extent {
                virt: gap,
                backing: ExtentBacking::Unmapped,
            }));
        }
        if let Some(extent) = exact {
            self.next = extent.virt.end().as_u64();
        }
        Ok(exact)
    }
}

fn backing_of(backing: Backing) -> ExtentBacking {
    match backing {
        Backing::Ram(address) => ExtentBacking::Ram(address),
        Backing::Device(address) => ExtentBacking::Device(address),
        Backing::Zero(address) => ExtentBacking::Zero(address),
        missing => ExtentBacking::Missing(missing),
    }
}

impl<I, R, E> Iterator for Extents<I>
where
    I: Iterator<Item = Result<R, E>>,
    R: Backed,
{
    type Item = Result<Extent, E>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.read() {
                Err(error) => return Some(Err(error)),
                Ok(None) => return self.pending.take().map(Ok),
                Ok(Some(extent)) => match &mut self.pending {
                    Some(pending) if pending.continues_with(&extent) => {
                        let (start, end) =
                            (pending.virt.start().as_u64(), extent.virt.end().as_u64());
                        pending.virt = AddrRange::new(start, end).unwrap_or_default();
                    }
                    pending => {
                        if let Some(done) = pending.replace(extent) {
                            return Some(Ok(done));
                        }
                    }
                },
            }
        }
    }
}

impl Process {
    /// Returns the physical extents of exactly these bytes, merged across mappings: the
    /// contents of a device's scatter list, and what is missing for it.
    ///
    /// # Errors
    /// Those of [`Process::physical_regions`].
    pub fn extents(
        &self,
        range: impl Into<Addresses>,
    ) -> Result<Extents<PhysicalRegions<'_>>, Error> {
        let range = range.into().range()?;
        Ok(Extents::new(range, PhysicalRegions::new(self, range)?))
    }
}
