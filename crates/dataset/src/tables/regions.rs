//! Table of physical regions, by far the largest.

use std::sync::Arc;

use process_introspection::{
    AddrRange, Attributed, Backing, Mapping, MemoryType, PageSize, Pfn, PhysicalRegion, SwapPlace,
    UnknownReason,
};
use process_introspection_export::{record, words, Details, Extra, Hex, State};

record! {
    /// Physical region: a maximal run of pages of one mapping that are physically
    /// consecutive and mapped by page-table entries of one size, or unbacked for one reason.
    pub struct RegionRow: Readable {
        /// Process.
        pub unique_pid: u64,
        /// Virtual page number: the first virtual address divided by the base page size.
        pub vpn: u64 = pages(),
        /// First virtual address of its mapping.
        pub mapping_vaddr: Hex,
        /// Number of base pages.
        pub pages: u64 = pages().least(1),
        /// Page frame number of the first page.
        pub pfn: Option<u64> = pages()
            .null("if no physical memory is there, or its address is unknown"),
        /// State of the memory.
        pub state: State = one_of(words::mapped_states),
        /// Reason for which the state is unknown.
        pub reason: Option<&'static str> = one_of(words::unknown_reasons)
            .null("for every other state"),
        /// Number of the swap area of the first page.
        pub swap_area: Option<u8> = most(31)
            .null("if it is not in swap, or its place is unknown"),
        /// Slot of the first page in the swap area.
        pub swap_slot: Option<u64> = pages().null("as for swap_area"),
        /// Size in bytes that each page-table entry maps.
        pub page_size: Option<u64> = bytes().least(1)
            .null("if there are no entries, entries of several sizes, or it is unknown"),
        /// NUMA node of the memory.
        pub node: Option<u32> = null("if it is unknown, or the memory is on several nodes"),
        /// Cache mode of the memory.
        pub cache: Option<&'static str> = one_of(words::memory_types).null("if it is unknown"),
        /// Whether it is anonymous memory: of a mapping without an object, or a private copy
        /// of an object's page.
        pub anonymous: bool,
        /// Facts of the pages. Only with --details.
        pub details: Option<Box<Details>> = null("without --details").extra(Extra::Details),
    }
}

impl RegionRow {
    /// Returns the row of a region of this process. `base` is the base page size.
    pub fn new(
        unique_pid: u64,
        region: &Attributed<PhysicalRegion>,
        details: Option<Details>,
        base: PageSize,
    ) -> Self {
        let swap = match region.backing {
            Backing::Swapped(place) => place,
            _ => None,
        };
        let reason = match region.backing {
            Backing::Unknown(reason) => Some(reason.name()),
            _ => None,
        };
        let address = region.backing.address();
        Self {
            unique_pid,
            vpn: region.virt.start().as_u64() >> base.shift(),
            mapping_vaddr: region.mapping.range.start().into(),
            pages: region.virt.size() >> base.shift(),
            pfn: address.map(|address| address.pfn(base).as_u64()),
            state: region.backing.into(),
            reason,
            swap_area: swap.map(|place| place.area),
            swap_slot: swap.map(|place| place.offset),
            page_size: region.page_size.map(PageSize::bytes),
            node: region.node,
            cache: region.memory_type.map(MemoryType::name),
            anonymous: region.anonymous,
            details: details.map(Box::new),
        }
    }

    /// Returns its virtual addresses; `None` if there are no such.
    pub fn virt(&self, base: PageSize) -> Option<AddrRange> {
        let bytes = |pages: u64| pages.checked_mul(base.bytes());
        let start = bytes(self.vpn)?;
        AddrRange::new(start, start.checked_add(bytes(self.pages)?)?)
    }

    /// Returns the backing; `None` if the values contradict each other.
    pub fn backing(&self, base: PageSize) -> Option<Backing> {
        let address = self.pfn.map(|pfn| Pfn::new(pfn).address(base));
        let swap = self.swap_area.zip(self.swap_slot);
        let swap = swap.map(|(area, offset)| SwapPlace { area, offset });
        Some(match self.state {
            State::Ram => Backing::Ram(address?),
            State::Device => Backing::Device(address?),
            State::Zero => Backing::Zero(address?),
            State::Resident => Backing::Resident,
            State::NotPresent => Backing::NotPresent,
            State::Swapped => Backing::Swapped(swap),
            State::Guard => Backing::Guard,
            State::Poisoned => Backing::Poisoned,
            State::Migrating => Backing::Migrating,
            State::Marker => Backing::Marker,
            State::Unknown => Backing::Unknown(UnknownReason::from_name(self.reason?.as_bytes())?),
            _ => return None,
        })
    }

    /// Returns the region of this mapping; `None` if a value is none that a region can have.
    pub fn region(
        &self,
        mapping: &Arc<Mapping>,
        base: PageSize,
    ) -> Option<Attributed<PhysicalRegion>> {
        let (virt, backing) = (self.virt(base)?, self.backing(base)?);
        let mapping = Arc::clone(mapping);
        let region = PhysicalRegion::new(virt, backing, self.anonymous, mapping);
        let mut region = Attributed::new(region);
        region.node = self.node;
        region.memory_type = match self.cache {
            Some(name) => Some(MemoryType::from_name(name.as_bytes())?),
            None => None,
        };
        region.page_size = match self.page_size {
            Some(bytes) => Some(PageSize::from_bytes(bytes)?),
            None => None,
        };
        Some(region)
    }
}
