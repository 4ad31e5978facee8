//! Mappings of VFIO devices: BARs of PCI devices that a program drives itself. Owns the
//! meaning of their offsets.
//!
//! Up to Linux 6.9 the kernel makes the offset the physical address; since 6.10 it keeps
//! the program's: the region's number from bit 40 on and the offset in the region below
//! (drivers/vfio/pci/vfio_pci_core.c, `vfio_pci_core_mmap`, seen in 6.1, 6.12 and 7.2). A
//! mapping through a group does not identify its device, so all devices of VFIO are
//! examined.

use core::ops::ControlFlow;

use super::{pci, sysfs, uio, DeviceMemory, Found, UnknownReason};
use crate::addr::PhysAddr;
use crate::error::Result;
use crate::memtype;
use crate::process::{each_entry, PathBuffer, ProcessHandle};
use crate::sys;
use crate::vma::Vma;

/// Bit position of the region's number: `VFIO_PCI_OFFSET_SHIFT`,
/// include/linux/vfio_pci_core.h. The first regions are the BARs.
const REGION: u32 = 40;
/// Directory of all devices of VFIO, since Linux 6.1.
const CLASS: &[u8] = b"/sys/class/vfio-dev";

/// Returns the memory of a VMA of the character device with this number; the reason is
/// [`UnknownReason::Driver`] if that is no VFIO device.
#[inline(never)]
pub(super) fn of_device(
    process: &ProcessHandle,
    vma: &Vma,
    major: u32,
    minor: u32,
) -> Result<Found> {
    if !uio::has_subsystem(process, major, minor, CLASS)? {
        return Ok(Err(UnknownReason::Driver));
    }
    let mut only = Candidates::default();
    only.add_device(
        process,
        uio::device_directory(major, minor).push(b"/device"),
        vma,
    )?;
    Ok(only.found())
}

/// Returns the memory of a VMA whose name does not identify the device.
#[inline(never)]
pub(super) fn of_any_device(process: &ProcessHandle, vma: &Vma) -> Result<Found> {
    let Some(class) = sysfs::open(process, PathBuffer::new().push(CLASS), sys::O_DIRECTORY)? else {
        return Ok(Err(UnknownReason::Driver));
    };
    let mut candidates = Candidates::default();
    // Names are `vfio` and a number: four of them fit.
    let failed = each_entry(class.borrow(), &mut [0; 128], |name| {
        let name = &name[..name.len() - 1];
        if name.starts_with(b".") {
            return ControlFlow::Continue(());
        }
        let mut device = PathBuffer::new();
        device.push(CLASS).push(b"/").push(name).push(b"/device");
        match candidates.add_device(process, &mut device, vma) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    });
    match failed {
        Ok(None) => Ok(candidates.found()),
        Ok(Some(error)) => Err(error),
        Err(_) => Ok(Err(UnknownReason::Unconfirmed)),
    }
}

/// Places where a VMA can lie.
#[derive(Default)]
struct Candidates {
    first: Option<u64>,
    more: bool,
}

impl Candidates {
    /// Adds the places in one device, by its directory in sysfs.
    fn add_device(
        &mut self,
        process: &ProcessHandle,
        device: &mut PathBuffer,
        vma: &Vma,
    ) -> Result<()> {
        match pci::Resources::open(process, device)? {
            Some(resources) => {
                for number in 0..pci::BARS {
                    if let Some(bar) = resources.bar(number) {
                        self.add_bar(number, bar, vma.offset, vma.range.size());
                    }
                }
            }
            // Not a PCI device: its regions can lie anywhere.
            None => self.more = true,
        }
        Ok(())
    }

    fn add_bar(&mut self, number: usize, bar: pci::Bar, offset: u64, size: u64) {
        if bar.holds(offset, size) {
            self.add(offset);
        }
        let (region, into) = (offset >> REGION, offset & ((1 << REGION) - 1));
        let fits = into.checked_add(size).is_some_and(|end| end <= bar.size());
        if region == number as u64 && fits {
            self.add(bar.first + into);
        }
    }

    fn add(&mut self, address: u64) {
        self.more |= self.first.is_some_and(|first| first != address);
        self.first = Some(address);
    }

    fn found(&self) -> Found {
        match self.first {
            _ if self.more => Err(UnknownReason::Ambiguous),
            None => Err(UnknownReason::Unconfirmed),
            Some(address) => Ok(DeviceMemory {
                start: PhysAddr::new(address),
                memory_type: memtype::UNCACHED,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(first: u64, size: u64) -> Option<pci::Bar> {
        let last = first + size - 1;
        Some(pci::Bar { first, last })
    }

    fn address(devices: &[[Option<pci::Bar>; 2]], offset: u64, size: u64) -> Found<u64> {
        let mut candidates = Candidates::default();
        for (number, bar) in devices.iter().flat_map(|bars| bars.iter().enumerate()) {
            if let Some(bar) = *bar {
                candidates.add_bar(number, bar, offset, size);
            }
        }
        candidates.found().map(|memory| memory.start.as_u64())
    }

    #[test]
    fn an_offset_is_an_address_or_a_region_and_what_is_before_it_there() {
        let device = [bar(0xfe00_0000, 0x4000), bar(0x80_0000_0000, 0x10_0000)];
        assert_eq!(address(&[device], 0xfe00_1000, 0x3000), Ok(0xfe00_1000));
        assert_eq!(address(&[device], 0x1000, 0x3000), Ok(0xfe00_1000));
        assert_eq!(
            address(&[device], 1 << 40 | 0x2000, 0x1000),
            Ok(0x80_0000_2000)
        );
        for nowhere in [0xfe00_2000, 0x2000, 2 << 40, !0xfff] {
            let found = address(&[device], nowhere, 0x3000);
            assert_eq!(found, Err(UnknownReason::Unconfirmed), "{nowhere:#x}");
        }
    }

    #[test]
    fn what_can_be_of_two_devices_is_of_none() {
        let devices = [
            [bar(0xfe00_0000, 0x4000), None],
            [bar(0xfd00_0000, 0x2000), None],
        ];
        assert_eq!(address(&devices, 0, 0x1000), Err(UnknownReason::Ambiguous));
        assert_eq!(address(&devices, 0x1000, 0x2000), Ok(0xfe00_1000));
        // The number is an address in one device, and a region of the other.
        let high = [
            [bar(1 << 40, 0x1000), None],
            [None, bar(0xfd00_0000, 0x1000)],
        ];
        assert_eq!(
            address(&high, 1 << 40, 0x1000),
            Err(UnknownReason::Ambiguous)
        );
    }
}
