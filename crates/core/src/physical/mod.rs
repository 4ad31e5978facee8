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
use crate::backing::Unlisted;
pub use crate::backing::{Backing, SwapPlace};
use crate::error::Result;
use crate::mapping::{Mapping, MappingKind};
use crate::memtype::MemoryType;
use crate::pagemap::entry_at;
use crate::process::{Access, Process};
use crate::vma::Vma;

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
