//! Consecutive pages and their backing, independent of the type of the record.
//! Consumers of records need no more, so both a live walk and stored records can feed
//! them.

use process_introspection_core::backing::Backing;
use process_introspection_core::AddrRange;

use crate::walk::attributed::Attributed;
use crate::walk::page_table::PageTableEntry;
use crate::walk::regions::PhysicalRegion;

/// Consecutive pages that have consecutive frames, or are unbacked for one reason.
pub trait Backed {
    /// Returns the virtual addresses, whole pages.
    fn virt(&self) -> AddrRange;

    /// Returns their backing; addresses are those of the first page.
    fn backing(&self) -> Backing;
}

impl Backed for (AddrRange, Backing) {
    fn virt(&self) -> AddrRange {
        self.0
    }

    fn backing(&self) -> Backing {
        self.1
    }
}

impl Backed for PhysicalRegion {
    fn virt(&self) -> AddrRange {
        self.virt
    }

    fn backing(&self) -> Backing {
        self.backing
    }
}

impl Backed for PageTableEntry {
    fn virt(&self) -> AddrRange {
        self.virt
    }

    fn backing(&self) -> Backing {
        self.backing
    }
}

impl<P: Backed> Backed for Attributed<P> {
    fn virt(&self) -> AddrRange {
        self.pages.virt()
    }

    fn backing(&self) -> Backing {
        self.pages.backing()
    }
}
