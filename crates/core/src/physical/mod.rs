//! Physical regions: maximal runs of physically consecutive pages of one state. `state`
//! decides what a page is and `merging` merges entries into `runs` (all pure),
//! [`VmaPartCursor`] enumerates the parts of VMAs to be walked, [`VmaPartWalker`] walks
//! them, [`PhysicalCursor`] joins the stages.

mod cursor;
pub(crate) mod merging;
mod parts;
mod runs;
pub(crate) mod state;
mod walker;

pub use cursor::{FewEntries, PhysicalCursor};
pub use parts::{VmaPart, VmaPartCursor};
pub use runs::Run;
pub use state::PageState;
pub use walker::VmaPartWalker;

use crate::addr::{AddrRange, PhysAddr, VirtAddr};
use crate::backing::{Backing, Unlisted};
use crate::error::Result;
use crate::mapping::{ClassifiedVma, MappingKind};
use crate::memtype::MemoryType;
use crate::pagemap::entry_at;
use crate::process::{Access, ProcessHandle};
use crate::vma::Vma;

/// Returns the physical address of one byte: one read of one entry, and only where that
/// is empty a check for a mapped device. `None` if nothing is mapped there, or the mapped
/// memory is not resident or its place is unknown.
///
/// # Errors
/// EPERM if frame numbers are hidden, ESRCH when the process's memory has gone
/// away; EMFILE, ENFILE and ENOMEM.
pub fn address_of(process: &ProcessHandle, address: VirtAddr) -> Result<Option<PhysAddr>> {
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
fn device_address(process: &ProcessHandle, address: u64) -> Result<Option<PhysAddr>> {
    let byte = AddrRange::new(address, address.saturating_add(1)).unwrap_or_default();
    let mut parts_of_byte = VmaPartCursor::new(process, byte, Access::Frames, [0u8; 512])?;
    let part = parts_of_byte.next(process)?;
    Ok(part.and_then(|part| device_memory_at(part.mapping(), address)))
}

/// Returns the address behind an address of a mapping that consists of device memory in a
/// known place.
fn device_memory_at(mapping: &ClassifiedVma, address: u64) -> Option<PhysAddr> {
    let into_vma = address.checked_sub(mapping.vma.range.start().as_u64())?;
    let memory = mapping.unlisted.memory()?;
    memory.start.checked_add(into_vma)
}

/// Returns how the memory behind pages of a mapping is cached, as far as that follows
/// from the mapped object. Ordinary memory is mapped write-back; only a driver can map it
/// otherwise, which its mapping does not show. For device memory the type is that of
/// [`crate::backing::DeviceMemory`].
pub fn memory_type(mapping: &ClassifiedVma, backing: Backing) -> Option<MemoryType> {
    match (mapping.unlisted, backing) {
        (Unlisted::Nothing, Backing::Ram(_) | Backing::Zero(_)) => {
            (mapping.kind != MappingKind::Special).then_some(MemoryType::WriteBack)
        }
        (Unlisted::At(memory), Backing::Device(_)) => memory.memory_type,
        _ => None,
    }
}

/// Returns the offset in a VMA's object of the byte at an address of the VMA; 0 without
/// an object. (A page-table record of a huge page never begins below its VMA.)
pub fn offset_at(vma: &Vma, address: VirtAddr) -> u64 {
    if !vma.has_object() {
        return 0;
    }
    let into_vma = address.as_u64().saturating_sub(vma.range.start().as_u64());
    vma.offset.saturating_add(into_vma)
}
