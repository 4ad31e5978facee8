//! The memory of devices: the addresses of what is mapped, against what the
//! kernel says of the devices and against the memory itself. Needs a machine
//! with QEMU's `edu`, `pci-testdev` and `ivshmem`; says so where there is none.

use std::ffi::CString;
use std::fs;
use std::os::fd::AsRawFd;
use std::path::Path;

use process_introspection::{
    Backing, ExtentBacking, MappingKind, MemoryType, PhysicalRegion, Process, UnknownReason,
};
use process_introspection_core::flags;
use testkit::machine::is_root_or_skip;
use testkit::memory::{self, page};
use testkit::pci::{self, test_devices_or_skip};
use testkit::target::Target;

const READ_WRITE: i32 = libc::PROT_READ | libc::PROT_WRITE;

/// Opens a file and maps so much of it, or says why not.
fn try_map(path: &Path, size: u64, flags: i32, offset: u64) -> std::io::Result<u64> {
    let file = fs::OpenOptions::new().read(true).write(true).open(path)?;
    memory::try_map(size, READ_WRITE, flags, file.as_raw_fd(), offset)
}

fn map(path: &Path, size: u64, offset: u64) -> u64 {
    try_map(path, size, libc::MAP_SHARED, offset)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn regions(process: &Process, at: u64, size: u64) -> Vec<PhysicalRegion> {
    let regions = process.physical_regions(at..at + size).unwrap();
    regions.map(Result::unwrap).collect()
}

/// The one region of a mapping that is all of one piece.
fn only(process: &Process, at: u64, size: u64) -> PhysicalRegion {
    let found = regions(process, at, size);
    let [region] = &found[..] else {
        panic!("{found:x?}")
    };
    assert_eq!(
        (region.virt.start().as_u64(), region.size()),
        (at, size),
        "{region:x?}"
    );
    region.clone()
}

fn device_address(region: &PhysicalRegion) -> u64 {
    match region.backing {
        Backing::Device(address) => address.as_u64(),
        _ => panic!("{region:x?}"),
    }
}

#[test]
fn the_memory_of_pci_devices_lies_where_the_kernel_has_put_it() {
    let test = "the memory of PCI devices";
    if !is_root_or_skip(test) {
        return;
    }
    for device in test_devices_or_skip(test) {
        for bar in &device.bars {
            let size = bar.size.next_multiple_of(page());
            let first = bar.start / page() * page();
            for (file, combining) in &bar.files {
                let target = Target::spawn(|| vec![map(file, size, 0)]);
                let at = target.addresses()[0];
                let process = Process::open(target.pid()).unwrap();
                let region = only(&process, at, size);
                let context = format!("{}: {region:x?}", file.display());
                assert_eq!(device_address(&region), first, "{context}");
                assert_eq!(region.mapping.kind(), MappingKind::Device, "{context}");
                let expected = flags::PHYS | flags::PG_MASK | flags::SHARED;
                let seen = flags::PHYS | flags::PG_MASK | flags::TYPE | flags::SYSRAM | flags::ANON;
                assert_eq!(region.flags() & seen, expected, "{context}");
                if cfg!(target_arch = "x86_64") {
                    let memory_type = match combining {
                        true => MemoryType::WriteCombining,
                        false => MemoryType::UncachedMinus,
                    };
                    assert_eq!(region.memory_type(), Some(memory_type), "{context}");
                    assert_ne!(region.flags() & flags::PROT_NOCACHE, 0, "{context}");
                }
            }
        }
    }
}

#[test]
fn every_part_of_a_bar_that_is_mapped_by_itself_lies_in_its_place() {
    let test = "parts of BARs";
    if !is_root_or_skip(test) {
        return;
    }
    for device in test_devices_or_skip(test) {
        for bar in device.bars.iter().filter(|bar| bar.size >= 8 * page()) {
            let (file, _) = &bar.files[0];
            let target = Target::spawn(|| {
                let at = map(file, 6 * page(), 2 * page());
                // Three areas of one mapping, and a hole.
                memory::protect(at + page(), page(), libc::PROT_READ);
                memory::unmap(at + 3 * page(), page());
                vec![at]
            });
            let at = target.addresses()[0];
            let process = Process::open(target.pid()).unwrap();
            let found = regions(&process, at, 6 * page());
            let places: Vec<_> = found
                .iter()
                .map(|region| {
                    let into = region.virt.start().as_u64() - at;
                    (
                        into / page(),
                        region.size() / page(),
                        device_address(region),
                    )
                })
                .collect();
            let place = |first: u64, pages: u64| (first, pages, bar.start + (2 + first) * page());
            let expected = [place(0, 1), place(1, 1), place(2, 1), place(4, 2)];
            assert_eq!(places, expected, "{}", file.display());
            // Asked for a part only, from the middle on.
            let part = only(&process, at + 5 * page(), page());
            assert_eq!(device_address(&part), bar.start + 7 * page());
        }
    }
}

#[test]
fn every_way_to_ask_gives_the_same_address() {
    let test = "ways to ask for device memory";
    if !is_root_or_skip(test) {
        return;
    }
    for device in test_devices_or_skip(test) {
        for bar in device.bars.iter().filter(|bar| bar.size >= 4 * page()) {
            let target = Target::spawn(|| vec![map(&bar.files[0].0, 4 * page(), 0)]);
            let at = target.addresses()[0];
            let process = Process::open(target.pid()).unwrap();
            let region = only(&process, at, 4 * page());
            for offset in [0, 1, page() - 1, page(), 4 * page() - 1] {
                let address = process.physical_address(at + offset).unwrap();
                assert_eq!(
                    address.map(|address| address.as_u64()),
                    Some(bar.start + offset)
                );
            }
            let leaves: Vec<_> = process
                .page_table(at..at + 4 * page())
                .unwrap()
                .map(|leaf| leaf.unwrap().backing.address().unwrap().as_u64())
                .collect();
            let pages = (0..4).map(|index| bar.start + index * page());
            assert_eq!(leaves, pages.collect::<Vec<_>>());
            let extents: Vec<_> = process
                .extents(at + 3..at + page() + 5)
                .unwrap()
                .map(Result::unwrap)
                .collect();
            let [extent] = extents[..] else {
                panic!("{extents:x?}")
            };
            assert!(matches!(extent.backing, ExtentBacking::Device(address)
                if address.as_u64() == bar.start + 3));
            for (query, scan) in [(true, false), (false, true), (true, true)] {
                let process = Process::open(target.pid()).unwrap();
                process.as_core().disable_features(query, scan);
                assert_eq!(only(&process, at, 4 * page()).backing, region.backing);
            }
            let resident: Vec<_> = process
                .resident_regions(at..at + 4 * page())
                .unwrap()
                .map(|region| region.unwrap().backing)
                .collect();
            assert_eq!(resident, [Backing::Unknown(UnknownReason::NotAsked)]);
        }
    }
}

#[test]
fn what_is_written_through_a_mapping_is_at_its_address() {
    let test = "bytes of device memory";
    if !is_root_or_skip(test) {
        return;
    }
    for device in test_devices_or_skip(test) {
        // Its memory keeps what is written; no driver may mind.
        let Some(bar) = device.bars.iter().find(|bar| bar.number == 2) else {
            continue;
        };
        if !device.is(pci::IVSHMEM) || !device.is_free() {
            continue;
        }
        let pages = bar.size / page();
        let target = Target::spawn(|| vec![map(&bar.files[0].0, bar.size, 0)]);
        let at = target.addresses()[0];
        let process = Process::open(target.pid()).unwrap();
        let start = device_address(&only(&process, at, bar.size));
        // Each page gets its own address as it was found: who has the memory
        // from outside the machine can check that, too.
        let own = map(&bar.files[0].0, bar.size, 0);
        for index in 0..pages {
            let (to, address) = (own + index * page(), start + index * page());
            // SAFETY: within the mapping that was just made.
            unsafe { (to as *mut u64).write_volatile(address) };
        }
        println!(
            "pattern: {pages} pages from {start:#x}, BAR 2 at {:#x}",
            bar.start
        );
        let Ok(again) = try_map(Path::new("/dev/mem"), bar.size, libc::MAP_SHARED, start) else {
            eprintln!("SKIPPED {test}: /dev/mem does not map {start:#x}");
            return;
        };
        for index in 0..pages {
            let from = (again + index * page()) as *const u64;
            // SAFETY: within the mapping that was just made.
            let found = unsafe { from.read_volatile() };
            assert_eq!(found, start + index * page());
        }
        memory::unmap(own, bar.size);
        memory::unmap(again, bar.size);
    }
}

#[test]
fn dev_mem_is_mapped_at_its_offset_also_at_0() {
    let test = "/dev/mem";
    if !is_root_or_skip(test) {
        return;
    }
    // Firmware and what it leaves: every kernel lets that be mapped.
    for offset in [0, 0xf0000] {
        let read_only = |offset| {
            let file = fs::File::open("/dev/mem")?;
            let (protection, shared) = (libc::PROT_READ, libc::MAP_SHARED);
            memory::try_map(2 * page(), protection, shared, file.as_raw_fd(), offset)
        };
        if let Err(error) = read_only(offset).map(|at| memory::unmap(at, 2 * page())) {
            eprintln!("SKIPPED {test}: {offset:#x} cannot be mapped: {error}");
            continue;
        }
        let target = Target::spawn(|| vec![read_only(offset).unwrap()]);
        let at = target.addresses()[0];
        let process = Process::open(target.pid()).unwrap();
        assert_eq!(device_address(&only(&process, at, 2 * page())), offset);
        let second = process.physical_address(at + page() + 1).unwrap();
        assert_eq!(
            second.map(|address| address.as_u64()),
            Some(offset + page() + 1)
        );
    }
}

#[test]
fn a_private_mapping_of_a_device_is_unknown_because_it_can_hold_copies() {
    let test = "private mappings of devices";
    if !is_root_or_skip(test) {
        return;
    }
    for device in test_devices_or_skip(test)
        .iter()
        .filter(|device| device.is(pci::IVSHMEM))
    {
        let Some(bar) = device.bars.iter().find(|bar| bar.number == 2) else {
            continue;
        };
        let target = Target::spawn(|| {
            let at = try_map(&bar.files[0].0, 4 * page(), libc::MAP_PRIVATE, 0).unwrap();
            // Ordinary memory from now on, and the page map does not tell.
            memory::touch(at + page(), 1, 1);
            vec![at]
        });
        let at = target.addresses()[0];
        let process = Process::open(target.pid()).unwrap();
        let region = only(&process, at, 4 * page());
        let reason = UnknownReason::PrivateMapping;
        assert_eq!(region.backing, Backing::Unknown(reason), "{region:x?}");
        assert_eq!(process.physical_address(at).unwrap(), None);
    }
}

#[test]
fn a_device_without_a_rule_is_unknown_and_never_not_present() {
    let test = "devices without a rule";
    let hpet = Path::new("/dev/hpet");
    let read_only = || {
        let file = fs::File::open(hpet)?;
        memory::try_map(
            page(),
            libc::PROT_READ,
            libc::MAP_SHARED,
            file.as_raw_fd(),
            0,
        )
    };
    if !is_root_or_skip(test) {
        return;
    }
    // Opened by the target only: there are few timers, and what this process
    // has open is inherited by other tests' targets.
    let target = Target::spawn(|| match read_only() {
        Ok(at) => vec![at],
        Err(_) => Vec::new(),
    });
    let Some(&at) = target.addresses().first() else {
        eprintln!("SKIPPED {test}: no such device: {}", hpet.display());
        return;
    };
    let process = Process::open(target.pid()).unwrap();
    let region = only(&process, at, page());
    assert_eq!(region.backing, Backing::Unknown(UnknownReason::Driver));
    assert_eq!(region.flags() & flags::PHYS, flags::PHYS);
    assert_eq!(region.flags() & flags::PG_MASK, 0);
}

#[test]
fn a_file_that_only_has_the_path_of_a_device_is_not_believed() {
    let test = "false sysfs paths";
    if !is_root_or_skip(test) {
        return;
    }
    let directory = "/sys/devices/pci0000:00/0000:00:01.0";
    let target = Target::spawn(|| {
        let path = |text: &str| CString::new(text).unwrap();
        let (none, root, sys, kind) = (path("none"), path("/"), path("/sys"), path("tmpfs"));
        // SAFETY: NUL-terminated strings; the namespace is this child's own.
        unsafe {
            assert_eq!(libc::unshare(libc::CLONE_NEWNS), 0);
            let private = libc::MS_REC | libc::MS_PRIVATE;
            let nothing = std::ptr::null();
            let made = libc::mount(
                none.as_ptr(),
                root.as_ptr(),
                nothing,
                private,
                nothing.cast(),
            );
            assert_eq!(made, 0);
            let data = nothing.cast();
            let made = libc::mount(none.as_ptr(), sys.as_ptr(), kind.as_ptr(), 0, data);
            assert_eq!(made, 0);
        }
        fs::create_dir_all(directory).unwrap();
        let file = Path::new(directory).join("resource0");
        fs::write(&file, vec![7; 2 * page() as usize]).unwrap();
        let at = map(&file, 2 * page(), 0);
        memory::touch(at, 1, 1);
        vec![at]
    });
    let at = target.addresses()[0];
    let process = Process::open(target.pid()).unwrap();
    let found = regions(&process, at, 2 * page());
    assert_eq!(
        found[0].mapping.name().as_path(),
        Some(Path::new(directory).join("resource0").as_path())
    );
    assert!(matches!(found[0].backing, Backing::Ram(_)), "{found:x?}");
    for region in &found[1..] {
        // In memory, too, or not mapped yet: no address of a device's.
        let backing = region.backing;
        assert!(
            matches!(
                backing,
                Backing::Ram(_) | Backing::Unknown(UnknownReason::Unconfirmed)
            ),
            "{region:x?}"
        );
    }
}

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
