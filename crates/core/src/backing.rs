//! Types for what is behind the pages of a mapping, which all results consist of.
//! Owns no rule that finds it out. Pure.

use crate::addr::PhysAddr;
use crate::memtype::MemoryType;

/// Backing of the pages of a region. Addresses are those of the first page.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Backing {
    /// Memory that belongs to the mapping or to its object.
    Ram(PhysAddr),
    /// The kernel's zero page, or its huge one.
    Zero(PhysAddr),
    /// A device's memory, or persistent memory (DAX): no System RAM.
    Device(PhysAddr),
    /// Memory. The walk did not request its address.
    Resident,
    /// Nothing: the page was never touched, or was dropped.
    NotPresent,
    /// Swapped out, to this place; `None` in a walk that did not request
    /// addresses, where the kernel does not distinguish it from pages in migration.
    Swapped(Option<SwapPlace>),
    /// A guard region: access is a fault.
    Guard,
    /// Its contents were lost to a memory error.
    Poisoned,
    /// Being moved to another frame just now.
    Migrating,
    /// Nothing but a marker of the kernel's, such as userfaultfd's
    /// write-protection of a page that is not there.
    Marker,
    /// Something that cannot be known from here: the mapping of a device or of
    /// the kernel's own pages, which the page map leaves out, or
    /// device-private memory.
    Unknown(UnknownReason),
}

impl Backing {
    /// The physical address of the first byte; `None` if unbacked or withheld.
    pub const fn address(self) -> Option<PhysAddr> {
        match self {
            Self::Ram(address) | Self::Zero(address) | Self::Device(address) => Some(address),
            _ => None,
        }
    }

    /// The backing `bytes` further on in the same region.
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
    /// The page's slot in it, in base pages.
    pub offset: u64,
}

/// Reason why the backing of a page is unknown.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UnknownReason {
    /// The walk did not request addresses, so the device was not looked up.
    NotAsked,
    /// Pages of the kernel itself (`[vvar]`), which it does not report.
    KernelPages,
    /// A device whose driver has no known rule for the address.
    Driver,
    /// A private mapping of a device. It can hold ordinary copies of the
    /// device's pages, and the page map does not show which.
    PrivateMapping,
    /// More than one address would explain what the kernel reports.
    Ambiguous,
    /// `/sys` cannot be read, or does not confirm what is mapped.
    Unconfirmed,
    /// The page's entry names a frame, and the frame's flags do not say what is
    /// there or cannot be read: a page that a device has to itself, for one.
    Frame,
    /// A hugetlb page that is not present, and nothing says that its entry is
    /// empty: it can be poisoned, in migration or marked.
    HugePage,
}

impl UnknownReason {
    /// Returns whether the reason concerns the page's own entry, not a mapping whose pages
    /// the page map leaves out.
    pub const fn is_of_entry(self) -> bool {
        matches!(self, Self::Frame | Self::HugePage)
    }

    /// All of them.
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

    /// Its name, as the command prints it.
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
}

/// Knowledge about the pages of a mapping that the page map leaves out.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unlisted {
    /// No page is left out: a page that is not present does not exist.
    Nothing,
    /// All of the mapping is the memory that begins here.
    At(DeviceMemory),
    /// A page that is not present may exist all the same.
    Unknown(UnknownReason),
}

impl Unlisted {
    /// Returns where the memory lies, if that is known.
    pub const fn memory(&self) -> Option<&DeviceMemory> {
        match self {
            Self::At(memory) => Some(memory),
            _ => None,
        }
    }
}

/// Memory of a device, as a mapping has it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceMemory {
    /// Physical address of the mapping's first byte; the other bytes follow it.
    pub start: PhysAddr,
    /// The type that the mapping's file asks for, where that is known. On x86
    /// another mapping of the same memory that was there before can have made
    /// it another uncached one.
    pub memory_type: Option<MemoryType>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_have_names_of_their_own() {
        for (index, reason) in UnknownReason::ALL.iter().enumerate() {
            let others = &UnknownReason::ALL[index + 1..];
            assert!(others.iter().all(|other| other.name() != reason.name()));
        }
    }
}
