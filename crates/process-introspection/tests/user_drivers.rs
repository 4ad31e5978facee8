//! The memory of devices that programs drive themselves: UIO and VFIO. Needs a
//! machine where such a driver has a device; says so where there is none.

mod device_mappings;

use std::ffi::CString;
use std::fs;
use std::os::fd::AsRawFd;
use std::path::Path;

use device_mappings::{device_address, map, only, regions, READ_WRITE};
use process_introspection::{Backing, MappingKind, Process, UnknownReason};
use testkit::machine::is_root_or_skip;
use testkit::memory::{self, page};
use testkit::target::Target;

/// The maps of the UIO devices there are: device, number, address, size.
fn uio_maps() -> Vec<(std::path::PathBuf, u64, u64, u64)> {
    let number = |file: &Path| {
        let text = fs::read_to_string(file).ok()?;
        u64::from_str_radix(text.trim().strip_prefix("0x")?, 16).ok()
    };
    let mut found = Vec::new();
    for device in fs::read_dir("/sys/class/uio").into_iter().flatten() {
        let device = device.unwrap();
        let node = Path::new("/dev").join(device.file_name());
        for map in 0..5 {
            let maps = device.path().join(format!("maps/map{map}"));
            if let (Some(at), Some(size)) = (number(&maps.join("addr")), number(&maps.join("size")))
            {
                found.push((node.clone(), map, at, size));
            }
        }
    }
    found
}

#[test]
fn the_maps_of_uio_devices_lie_where_sysfs_says() {
    let test = "UIO";
    if !is_root_or_skip(test) {
        return;
    }
    let maps = uio_maps();
    if maps.is_empty() {
        eprintln!("SKIPPED {test}: no such device");
    }
    for (node, number, start, size) in maps {
        let target = Target::spawn(|| {
            let at = map(&node, size, number * page());
            memory::protect(at + size / 2, page(), libc::PROT_READ);
            vec![at]
        });
        let at = target.addresses()[0];
        let process = Process::open(target.pid()).unwrap();
        let found = regions(&process, at, size);
        assert_eq!(found.len(), 3, "{found:x?}");
        for region in found {
            let into = region.virt.start().as_u64() - at;
            assert_eq!(device_address(&region), start + into, "{region:x?}");
        }
        let last = process.physical_address(at + size - 1).unwrap();
        assert_eq!(last.map(|address| address.as_u64()), Some(start + size - 1));
    }
}

/// Asks VFIO for the devices of the groups that it has, in a target: maps BAR 0
/// of each. No pages are pinned, nothing is programmed.
mod vfio {
    use super::*;
    use std::os::fd::{FromRawFd, OwnedFd};

    const GET_STATUS: u64 = 0x3b67;
    const SET_CONTAINER: u64 = 0x3b68;
    const GET_DEVICE_FD: u64 = 0x3b6a;
    const SET_IOMMU: u64 = 0x3b66;
    const TYPE1: u64 = 1;

    /// The group of a PCI device that a VFIO driver has.
    pub(super) fn devices() -> Vec<(String, std::path::PathBuf)> {
        let all = fs::read_dir("/sys/bus/pci/drivers/vfio-pci")
            .into_iter()
            .flatten();
        all.filter_map(|entry| {
            let entry = entry.ok()?;
            let group = fs::read_link(entry.path().join("iommu_group")).ok()?;
            let node = Path::new("/dev/vfio").join(group.file_name()?);
            Some((entry.file_name().into_string().ok()?, node))
        })
        .collect()
    }

    fn ioctl(fd: i32, request: u64, argument: u64) -> i32 {
        // SAFETY: each argument is a number or points to what the request wants.
        let result = unsafe { libc::ioctl(fd, request as libc::Ioctl, argument) };
        let error = std::io::Error::last_os_error();
        assert!(result >= 0, "ioctl {request:#x}: {error}");
        result
    }

    /// The descriptor of a device; the container's and the group's are kept open.
    pub(super) fn open(name: &str, group: &Path) -> OwnedFd {
        let container = memory::open("/dev/vfio/vfio");
        let group = memory::open(group.to_str().unwrap());
        let mut status = [8u32, 0];
        ioctl(group, GET_STATUS, &raw mut status as u64);
        assert_eq!(status[1] & 1, 1, "the group is viable");
        ioctl(group, SET_CONTAINER, &raw const container as u64);
        ioctl(container, SET_IOMMU, TYPE1);
        let name = CString::new(name).unwrap();
        let device = ioctl(group, GET_DEVICE_FD, name.as_ptr() as u64);
        // SAFETY: the call has made it for us.
        unsafe { OwnedFd::from_raw_fd(device) }
    }
}

#[test]
fn a_vfio_region_lies_in_its_bar() {
    let test = "VFIO";
    if !is_root_or_skip(test) {
        return;
    }
    let devices = vfio::devices();
    if devices.is_empty() {
        eprintln!("SKIPPED {test}: no such device");
    }
    for (name, group) in &devices {
        let resource = format!("/sys/bus/pci/devices/{name}/resource");
        let text = fs::read_to_string(resource).unwrap();
        let start = u64::from_str_radix(&text[2..18], 16).unwrap();
        let target = Target::spawn(|| {
            let device = vfio::open(name, group);
            let (fd, shared) = (device.as_raw_fd(), libc::MAP_SHARED);
            let at = memory::try_map(4 * page(), READ_WRITE, shared, fd, 2 * page()).unwrap();
            // Not mapped until it is read.
            memory::read(at, 1);
            vec![at]
        });
        let at = target.addresses()[0];
        let process = Process::open(target.pid()).unwrap();
        let region = only(&process, at, 4 * page());
        println!(
            "{name}: offset {:#x}: {:x?}",
            region.mapping.offset, region.backing
        );
        assert_eq!(region.mapping.kind(), MappingKind::Device);
        // Before Linux 6.10 the offset is the address; since then it tells the
        // place in the device, but not the device: one can only be this one.
        let is_address = region.mapping.offset == start + 2 * page();
        let expected = match devices.len() {
            1 => Backing::Device((start + 2 * page()).into()),
            _ if is_address => Backing::Device((start + 2 * page()).into()),
            _ => Backing::Unknown(UnknownReason::Ambiguous),
        };
        assert_eq!(region.backing, expected, "{region:x?}");
    }
}
