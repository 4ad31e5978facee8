//! Finds the physical addresses of device memory that a process maps. The page map leaves
//! such mappings out (`VM_PFNMAP`: mm/pagewalk.c, `walk_page_test`, Linux 5.10 to 7.2,
//! skips them): every page reads as not present. The address follows from the mapped
//! object: `pci`, `uio`, `vfio`, and `/dev/mem` here. Opens files below `/sys` and never
//! a device's own; if any source disagrees, the result is a reason instead of an address.

mod pci;
pub(crate) mod sysfs;
mod uio;
mod vfio;

use crate::addr::PhysAddr;
use crate::backing::{DeviceMemory, UnknownReason, Unlisted};
use crate::error::Result;
use crate::object::OpenObject;
use crate::process::ProcessHandle;
use crate::uapi;
use crate::vma::{Device, Vma, VmaName};

/// Looks up the memory of devices, and remembers the last object without memory to be
/// found, which neighbouring VMAs share.
#[derive(Debug, Default)]
pub(crate) struct DeviceCache {
    without_rule: Option<((Device, u64), Option<Unlisted>)>,
}

impl DeviceCache {
    /// Returns the memory of a mapping of a device; `None` for persistent memory, which
    /// the page map contains completely.
    ///
    /// # Errors
    /// EMFILE, ENFILE and ENOMEM.
    #[inline(never)] // Keeps its buffers out of its callers' stack frames.
    pub(crate) fn locate(
        &mut self,
        process: &ProcessHandle,
        vma: &Vma,
        name: VmaName<'_>,
    ) -> Result<Option<Unlisted>> {
        if !vma.shared {
            return Ok(Some(Unlisted::Unknown(UnknownReason::PrivateMapping)));
        }
        let object = (vma.device, vma.inode);
        if let Some((_, known)) = self.without_rule.filter(|(known, _)| *known == object) {
            return Ok(known);
        }
        let found = if name.bytes == b"anon_inode:[vfio-device]" {
            vfio::of_any_device(process, vma)?
        } else {
            by_file(process, vma, name)?
        };
        if found == Err(UnknownReason::Driver) {
            let unlisted = match is_persistent(process, vma, name)? {
                true => None,
                false => Some(Unlisted::Unknown(UnknownReason::Driver)),
            };
            self.without_rule = Some((object, unlisted));
            return Ok(unlisted);
        }
        Ok(Some(match found {
            // Memory that would extend past the last physical address is rejected.
            Ok(memory) if memory.start.checked_add(vma.range.size()).is_some() => {
                Unlisted::At(memory)
            }
            Ok(_) => Unlisted::Unknown(UnknownReason::Unconfirmed),
            Err(reason) => Unlisted::Unknown(reason),
        }))
    }
}

/// Returns whether it is a DAX device (drivers/dax/device.c), which belongs to a bus of
/// that name since Linux 5.1, or to the class before.
#[inline(never)]
fn is_persistent(process: &ProcessHandle, vma: &Vma, name: VmaName<'_>) -> Result<bool> {
    let Some((Some((major, minor)), _)) = look(process, vma, name)? else {
        return Ok(false);
    };
    for subsystem in [&b"/sys/bus/dax"[..], b"/sys/class/dax"] {
        if has_dynamic_number(major) && uio::has_subsystem(process, major, minor, subsystem)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn by_file(process: &ProcessHandle, vma: &Vma, name: VmaName<'_>) -> Result<Found> {
    let Some((numbers, file_system)) = look(process, vma, name)? else {
        return Ok(Err(UnknownReason::Unconfirmed));
    };
    match (numbers, file_system) {
        (Some((1, 1)), _) => Ok(Ok(dev_mem(vma))),
        (Some((major, minor)), _) if has_dynamic_number(major) => {
            match uio::of_device(process, vma, name, major, minor)? {
                Err(UnknownReason::Driver) => vfio::of_device(process, vma, major, minor),
                found => Ok(found),
            }
        }
        (None, Some(uapi::SYSFS_MAGIC)) => match pci::ResourceFile::parse(name.bytes) {
            Some(file) => file.memory(process, vma),
            None => Ok(Err(UnknownReason::Driver)),
        },
        (None, Some(uapi::PROC_SUPER_MAGIC)) => match pci::ProcFile::parse(name.bytes) {
            Some(file) => file.memory(process, vma),
            None => Ok(Err(UnknownReason::Driver)),
        },
        (Some(_), _) => Ok(Err(UnknownReason::Driver)),
        (None, _) => Ok(Err(UnknownReason::Unconfirmed)),
    }
}

/// Major and minor number of a character device.
type Numbers = (u32, u32);

/// Returns the numbers of a mapped character device, and the file system of the object.
#[inline(never)]
fn look(
    process: &ProcessHandle,
    vma: &Vma,
    name: VmaName<'_>,
) -> Result<Option<(Option<Numbers>, Option<u32>)>> {
    let object = OpenObject::open(process, vma, name)?;
    object
        .map(|object| Ok((object.char_device(), object.file_system()?)))
        .transpose()
}

/// Result of a search, or the reason for its failure.
type Found<T = DeviceMemory> = core::result::Result<T, UnknownReason>;

/// Returns memory mapped through `/dev/mem`, where the offset is the address
/// (drivers/char/mem.c, `mmap_mem`, Linux 5.10 to 7.2). The type depends on O_SYNC and on
/// the memory type range registers.
fn dev_mem(vma: &Vma) -> DeviceMemory {
    DeviceMemory {
        start: PhysAddr::new(vma.offset),
        memory_type: None,
    }
}

/// Returns whether the kernel assigns this major number dynamically (fs/char_dev.c,
/// `find_dynamic_major`). Devices with other numbers are not looked up in `/sys`.
fn has_dynamic_number(major: u32) -> bool {
    matches!(major, 234..=254 | 384..=511)
}

/// Parses a hexadecimal number with `0x`.
fn hex(text: &[u8]) -> Option<u64> {
    let digits = core::str::from_utf8(text).ok()?.trim_ascii();
    u64::from_str_radix(digits.strip_prefix("0x")?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_the_kernel_writes_them() {
        assert_eq!(hex(b"0x00000000febf0000\n"), Some(0xfebf_0000));
        assert_eq!(hex(b"0x0"), Some(0));
        assert_eq!(hex(b"febf0000"), None);
        assert_eq!(hex(b"0x1ffffffffffffffff"), None);
        assert_eq!(hex(b""), None);
    }
}
