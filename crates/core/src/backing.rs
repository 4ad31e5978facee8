//! Types for the backing of a mapping's pages, which all results consist of. Owns no rule
//! that finds it. Pure.

use crate::addr::PhysAddr;
use crate::memtype::MemoryType;

/// Backing of the pages of a region. Addresses are those of the first page.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Backing {
    /// Memory that belongs to the mapping or to its object.
    Ram(PhysAddr),
    /// The kernel's zero page or huge zero page.
    Zero(PhysAddr),
    /// Memory of a device, or persistent memory (DAX): no System RAM.
    Device(PhysAddr),
    /// Resident memory; the walk did not request its address.
    Resident,
    /// No memory: the page was never touched, or was dropped.
    NotPresent,
    /// Swapped out to this place; `None` in a walk that did not request addresses, where
    /// the kernel does not distinguish it from pages in migration.
    Swapped(Option<SwapPlace>),
    /// Guard region, where access is a fault.
    Guard,
    /// Page whose contents were lost to a memory error.
    Poisoned,
    /// Page that the kernel is moving to another frame.
    Migrating,
    /// Marker of the kernel without memory, such as userfaultfd's write-protection of a
    /// page that is not present.
    Marker,
    /// Unknown backing: a mapping of a device or of the kernel's own pages, which the
    /// page map leaves out, or device-private memory.
    Unknown(UnknownReason),
}

impl Backing {
    /// Returns the physical address of the first byte; `None` if unbacked or withheld.
    pub const fn address(self) -> Option<PhysAddr> {
        match self {
            Self::Ram(address) | Self::Zero(address) | Self::Device(address) => Some(address),
            _ => None,
        }
    }

    /// Returns the backing `bytes` higher in the same region.
    pub fn further(self, bytes: u64) -> Self {
        let further = |address: PhysAddr| PhysAddr::new(address.as_u64().wrapping_add(bytes));
        match self {
            Self::Ram(address) => Self::Ram(further(address)),
            Self::Zero(address) => Self::Zero(further(address)),
            Self::Device(address) => Self::Device(further(address)),
            other => other,
        }
    }

    /// Returns whether physical memory is mapped there.
    pub const fn is_backed(self) -> bool {
        matches!(
            self,
            Self::Ram(_) | Self::Zero(_) | Self::Device(_) | Self::Resident
        )
    }
}

/// Place of a page in swap. Both numbers are 0 for callers who cannot see frames.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct SwapPlace {
    /// The number of the swap area.
    pub area: u8,
    /// Slot of the page in it, in base pages.
    pub offset: u64,
}

/// Reason why the backing of a page is unknown.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UnknownReason {
    /// The walk did not request addresses, so the device was not looked up.
    NotAsked,
    /// The pages belong to the kernel itself (`[vvar]`), which does not report them.
    KernelPages,
    /// The device's driver has no known rule for the address.
    Driver,
    /// The mapping of a device is private. It can contain ordinary copies of the device's
    /// pages, and the page map does not show which pages are copies.
    PrivateMapping,
    /// More than one address would explain the kernel's report.
    Ambiguous,
    /// `/sys` cannot be read, or does not confirm the mapping.
    Unconfirmed,
    /// The page's entry names a frame whose flags cannot be read or do not identify its
    /// contents, such as a page that a device has exclusively.
    Frame,
    /// A hugetlb page is not present, and its entry is not known to be empty: the page
    /// can be poisoned, in migration or marked.
    HugePage,
}

impl UnknownReason {
    /// Returns whether the reason concerns the page's own entry, not a mapping whose
    /// pages the page map leaves out.
    pub const fn is_of_entry(self) -> bool {
        matches!(self, Self::Frame | Self::HugePage)
    }

    /// All reasons.
    pub const ALL: [Self; 8] = [
        Self::NotAsked,
        Self::KernelPages,
        Self::Driver,
        Self::PrivateMapping,
        Self::Ambiguous,
        Self::Unconfirmed,
        Self::Frame,
        Self::HugePage,
    ];

    /// Returns the reason's name, as the command prints it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotAsked => "not-asked",
            Self::KernelPages => "kernel",
            Self::Driver => "driver",
            Self::PrivateMapping => "private",
            Self::Ambiguous => "ambiguous",
            Self::Unconfirmed => "unconfirmed",
            Self::Frame => "frame",
            Self::HugePage => "hugetlb",
        }
    }

    /// Returns the reason with this name.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|reason| reason.name().as_bytes() == name)
    }
}

/// Knowledge about the pages of a mapping that the page map leaves out.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unlisted {
    /// No page is left out: a page that is not present does not exist.
    Nothing,
    /// The whole mapping is the memory that begins here.
    At(DeviceMemory),
    /// A page that is not present may nevertheless exist.
    Unknown(UnknownReason),
}

impl Unlisted {
    /// Returns the place of the memory, if it is known.
    pub const fn memory(&self) -> Option<&DeviceMemory> {
        match self {
            Self::At(memory) => Some(memory),
            _ => None,
        }
    }
}

/// Memory of a device that a mapping maps.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceMemory {
    /// Physical address of the mapping's first byte; the other bytes follow it.
    pub start: PhysAddr,
    /// Memory type that the mapping's file requests, where that is known. On x86 an
    /// earlier mapping of the same memory can have changed it to another uncached type.
    pub memory_type: Option<MemoryType>,
}

impl DeviceMemory {
    /// Makes the memory that begins at this address.
    pub const fn new(start: PhysAddr, memory_type: Option<MemoryType>) -> Self {
        Self { start, memory_type }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_back_to_its_reason() {
        for reason in UnknownReason::ALL {
            let name = reason.name().as_bytes();
            assert_eq!(UnknownReason::from_name(name), Some(reason));
        }
        assert_eq!(UnknownReason::from_name(b"broken"), None);
    }
}
