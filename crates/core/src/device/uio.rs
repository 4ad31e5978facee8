//! Mappings of `/dev/uioN`: `/sys/class/uio/uioN/maps/mapM` contains the address of each
//! of the device's maps. Owns the rule that finds the map of a VMA.
//!
//! A program passes M pages as the offset to map M from its beginning, and the kernel
//! keeps that offset (drivers/uio/uio.c, `uio_mmap_physical`, Linux 5.10 to 7.2). So the
//! offset does not distinguish map 1 from the rest of map 0 after its first page is
//! unmapped.

use super::{sysfs, DeviceMemory, Found, UnknownReason};
use crate::addr::PhysAddr;
use crate::error::Result;
use crate::process::{PathBuffer, ProcessHandle};
use crate::vma::{Vma, VmaName};

/// Maximum number of maps: `MAX_UIO_MAPS`, include/linux/uio_driver.h.
const MAPS: u64 = 5;

/// Map of a device, as sysfs describes it.
#[derive(Copy, Clone, Debug)]
struct Map {
    address: u64,
    size: u64,
}

/// Returns the memory of a VMA of the character device with this number; the reason is
/// [`UnknownReason::Driver`] if that is no UIO device.
#[inline(never)]
pub(super) fn of_device(
    process: &ProcessHandle,
    vma: &Vma,
    name: VmaName<'_>,
    major: u32,
    minor: u32,
) -> Result<Found> {
    if !has_subsystem(process, major, minor, b"/sys/class/uio")? {
        return Ok(Err(UnknownReason::Driver));
    }
    // Another device can have the number of a removed one, whose node in /dev is deleted
    // then.
    if !name.complete || name.bytes.ends_with(b" (deleted)") {
        return Ok(Err(UnknownReason::Unconfirmed));
    }
    let mut maps = [None; MAPS as usize];
    for (number, map) in (0..).zip(&mut maps) {
        *map = read_map(process, major, minor, number)?;
    }
    let page = process.page_size().bytes();
    Ok(place(&maps, vma.offset / page, vma.range.size(), page))
}

/// Returns whether the character device with this number belongs to a class.
pub(super) fn has_subsystem(
    process: &ProcessHandle,
    major: u32,
    minor: u32,
    class: &[u8],
) -> Result<bool> {
    let own = sysfs::inode(process, device_directory(major, minor).push(b"/subsystem"))?;
    let wanted = match own {
        Some(_) => sysfs::inode(process, PathBuffer::new().push(class))?,
        None => None,
    };
    Ok(own.is_some() && own == wanted)
}

/// Returns the path of the device's directory, `/sys/dev/char/` and its numbers.
pub(super) fn device_directory(major: u32, minor: u32) -> PathBuffer {
    let mut path = PathBuffer::new();
    path.push(b"/sys/dev/char/").push_decimal(major.into());
    path.push(b":").push_decimal(minor.into());
    path
}

#[inline(never)]
fn read_map(process: &ProcessHandle, major: u32, minor: u32, number: u64) -> Result<Option<Map>> {
    let field = |name: &[u8]| {
        let mut path = device_directory(major, minor);
        path.push(b"/maps/map").push_decimal(number).push(name);
        sysfs::read_hex(process, &mut path)
    };
    let Some(address) = field(b"/addr")? else {
        return Ok(None);
    };
    Ok(field(b"/size")?.map(|size| Map { address, size }))
}

/// Returns the place of a VMA of `size` bytes with an offset of `first` pages. Every map
/// that is large enough is a candidate.
fn place(maps: &[Option<Map>], first: u64, size: u64, page: u64) -> Found {
    let mut found = Err(UnknownReason::Unconfirmed);
    for (number, map) in (0..).zip(maps) {
        let (Some(map), Some(skipped)) = (map, first.checked_sub(number)) else {
            continue;
        };
        let into = skipped.saturating_mul(page);
        let length = (map.address % page)
            .saturating_add(map.size)
            .div_ceil(page)
            .saturating_mul(page);
        if into.saturating_add(size) > length {
            continue;
        }
        if found != Err(UnknownReason::Unconfirmed) {
            return Err(UnknownReason::Ambiguous);
        }
        found = match map.address.checked_add(into) {
            Some(address) if is_physical(map.address, page) => Ok(DeviceMemory {
                start: PhysAddr::new(address),
                // The driver chooses it, and sysfs does not report it.
                memory_type: None,
            }),
            _ => Err(UnknownReason::Driver),
        };
    }
    found
}

/// Returns whether the address of a map is a physical one. For memory that the driver has
/// allocated it is the kernel's virtual address, which sysfs does not show
/// (`UIO_MEM_LOGICAL`, `_VIRTUAL`, `_DMA_COHERENT`); a physical address that is not page
/// aligned cannot be mapped.
fn is_physical(address: u64, page: u64) -> bool {
    // The lowest possible start of the kernel's half of the addresses: with 32 bits
    // CONFIG_VMSPLIT_1G, with 64 past the end of all physical addresses.
    let kernel = if cfg!(target_pointer_width = "64") {
        1 << 52
    } else {
        1 << 30
    };
    address % page == 0 && address < kernel
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: u64 = 4096;

    fn map(address: u64, pages: u64) -> Option<Map> {
        let size = pages * PAGE;
        Some(Map { address, size })
    }

    fn address(maps: &[Option<Map>], first: u64, pages: u64) -> Found<u64> {
        place(maps, first, pages * PAGE, PAGE).map(|memory| memory.start.as_u64())
    }

    #[test]
    fn a_map_is_found_by_its_number_and_what_is_left_of_it() {
        let maps = [map(0x3e00_0000, 4)];
        assert_eq!(address(&maps, 0, 4), Ok(0x3e00_0000));
        assert_eq!(address(&maps, 0, 1), Ok(0x3e00_0000));
        assert_eq!(address(&maps, 3, 1), Ok(0x3e00_3000));
        assert_eq!(address(&maps, 1, 4), Err(UnknownReason::Unconfirmed));
        assert_eq!(address(&[], 0, 1), Err(UnknownReason::Unconfirmed));
    }

    #[test]
    fn what_can_be_of_two_maps_is_of_none() {
        let maps = [map(0x3e00_0000, 2), map(0x3d00_0000, 2)];
        assert_eq!(address(&maps, 0, 2), Ok(0x3e00_0000));
        // The VMA can be map 1, or the second page of map 0.
        assert_eq!(address(&maps, 1, 1), Err(UnknownReason::Ambiguous));
        assert_eq!(address(&maps, 1, 2), Ok(0x3d00_0000));
        assert_eq!(address(&maps, 2, 1), Ok(0x3d00_1000));
        let kernel = [map(0x3e00_0000, 2), map(0x7 << 60, 2)];
        assert_eq!(address(&kernel, 1, 1), Err(UnknownReason::Ambiguous));
    }

    #[test]
    fn an_address_of_the_kernels_own_is_not_physical() {
        let maps = [map(0xffff_8880_0123_4000, 4)];
        assert_eq!(address(&maps, 0, 1), Err(UnknownReason::Driver));
        let unaligned = [Some(Map {
            address: 0x3e00_0100,
            size: 0x100,
        })];
        assert_eq!(address(&unaligned, 0, 1), Err(UnknownReason::Driver));
    }
}
