//! Physical regions: maximal runs of pages that are physically consecutive and
//! alike. `state` decides what a page is and [`runs`] merges entries (both pure),
//! [`AreaCursor`] enumerates what is to be
//! walked, [`AreaWalker`] walks it, [`PhysicalCursor`] joins the stages.

mod areas;
mod cursor;
pub mod runs;
mod state;
mod walker;

pub use areas::{Area, AreaCursor};
pub use cursor::{FewEntries, PhysicalCursor};
pub use walker::AreaWalker;

use crate::addr::{AddrRange, PhysAddr, VirtAddr};
use crate::device::{UnknownReason, Unlisted};
use crate::error::Result;
use crate::memtype::MemoryType;
use crate::object::{Mapping, MappingKind};
use crate::pagemap::entry_at;
pub use crate::pagemap::SwapPlace;
use crate::process::{Access, Process};
use crate::vma::Vma;

/// What is behind the pages of a region. Addresses are those of the first page.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Backing {
    /// Memory that belongs to the mapping or to its object.
    Ram(PhysAddr),
    /// The kernel's zero page, or its huge one.
    Zero(PhysAddr),
    /// A device's memory, or persistent memory (DAX): no System RAM.
    Device(PhysAddr),
    /// Memory, whose address this walk was not asked for.
    Resident,
    /// Nothing: never touched, or given up.
    NotPresent,
    /// Swapped out, to this place; `None` in a walk that was not asked for
    /// addresses, where the kernel does not tell it from pages in migration.
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

    /// Whether physical memory is mapped there.
    pub const fn is_backed(self) -> bool {
        matches!(
            self,
            Self::Ram(_) | Self::Zero(_) | Self::Device(_) | Self::Resident
        )
    }
}

/// A maximal run of pages: one mapping, physically consecutive or unbacked for
/// one reason.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PhysicalRegion {
    /// Its virtual addresses.
    pub virt: AddrRange,
    /// What is behind them.
    pub backing: Backing,
    /// Anonymous memory: of a mapping without an object, or a private copy of
    /// an object's page, in memory or in swap.
    pub anonymous: bool,
    /// The mapping that it is a part of.
    pub mapping: Mapping,
}

impl PhysicalRegion {
    /// Where its own first byte lies in the object; 0 without one.
    pub fn offset(&self) -> u64 {
        offset_at(&self.mapping.vma, self.virt.start())
    }
}

/// The physical address of one byte: one read of one entry, and only where that
/// is empty a look whether the memory of a device is mapped. `None` if nothing
/// is mapped there, or what is mapped is not in memory or cannot be known.
///
/// # Errors
/// EPERM if frame numbers are hidden, ESRCH when the process's memory has gone
/// away; EMFILE, ENFILE and ENOMEM.
pub fn address_of(process: &Process, address: VirtAddr) -> Result<Option<PhysAddr>> {
    process.frames()?;
    if !process.has_memory() {
        return Ok(None);
    }
    let (page, address) = (process.page_size(), address.as_u64());
    let Some(entry) = entry_at(process, page, address)? else {
        return Ok(None);
    };
    if entry.is_empty() {
        return device_address(process, address);
    }
    let into_page = address & (page.bytes() - 1);
    let frame = entry.frame();
    Ok(frame.and_then(|frame| frame.address(page).checked_add(into_page)))
}

#[cold]
fn device_address(process: &Process, address: u64) -> Result<Option<PhysAddr>> {
    let byte = AddrRange::new(address, address.saturating_add(1)).unwrap_or_default();
    let mut areas = AreaCursor::new(process, byte, Access::Frames, [0u8; 512])?;
    let area = areas.next(process)?;
    Ok(area.and_then(|area| device_memory_at(area.mapping(), address)))
}

/// What is behind an address of a mapping, if all of that is a device's memory
/// whose place is known.
fn device_memory_at(mapping: &Mapping, address: u64) -> Option<PhysAddr> {
    let into_area = address.checked_sub(mapping.vma.range.start().as_u64())?;
    let memory = mapping.unlisted.memory()?;
    memory.start.checked_add(into_area)
}

/// How the memory behind pages of a mapping is cached, as far as that follows
/// from what is mapped. Ordinary memory is mapped write-back; only a driver can
/// map it otherwise, which its mapping does not tell. Of device memory it is
/// what [`crate::device::DeviceMemory`] says.
pub fn memory_type(mapping: &Mapping, backing: Backing) -> Option<MemoryType> {
    match (mapping.unlisted, backing) {
        (Unlisted::Nothing, Backing::Ram(_) | Backing::Zero(_)) => {
            (mapping.kind != MappingKind::Special).then_some(MemoryType::WriteBack)
        }
        (Unlisted::At(memory), Backing::Device(_)) => memory.memory_type,
        _ => None,
    }
}

/// Where the byte at an address of an area lies in the area's object; 0
/// without one. (A page-table record of a huge page never begins below its area.)
pub fn offset_at(vma: &Vma, address: VirtAddr) -> u64 {
    if !vma.has_object() {
        return 0;
    }
    let into_area = address.as_u64().saturating_sub(vma.range.start().as_u64());
    vma.offset.saturating_add(into_area)
}
