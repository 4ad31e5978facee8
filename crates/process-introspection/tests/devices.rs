//! The memory of devices: the addresses of what is mapped, against what the
//! kernel says of the devices and against the memory itself. Needs a machine
//! with QEMU's `edu`, `pci-testdev` and `ivshmem`; says so where there is none.

mod device_mappings;

use std::ffi::CString;
use std::fs;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use device_mappings::{device_address, map, only, regions, try_map};
use process_introspection::{
    Backing, ExtentBacking, MappingKind, MemoryType, Process, UnknownReason,
};
use process_introspection_core::flags::QnxFlags;
use testkit::machine::is_root_or_skip;
use testkit::memory::{self, page};
use testkit::pci::{self, test_devices_or_skip};
use testkit::target::Target;

/// One test at a time maps what the devices have: on x86 the first mapping of
/// memory decides how all others are cached.
fn alone() -> MutexGuard<'static, ()> {
    static DEVICES: Mutex<()> = Mutex::new(());
    DEVICES.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn the_memory_of_pci_devices_lies_where_the_kernel_has_put_it() {
    let test = "the memory of PCI devices";
    let _alone = alone();
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
                assert_eq!(process.page_size_of(&region).unwrap(), None, "{context}");
                let kernels = process.vm_flags().unwrap();
                assert_eq!(
                    kernels.is_left_out(&region.mapping),
                    Some(true),
                    "{context}"
                );
                assert_eq!(
                    kernels.backing_of(&region.mapping, region.backing),
                    region.backing,
                    "{context}"
                );
                let expected = QnxFlags::PHYS | QnxFlags::PG_MASK | QnxFlags::SHARED;
                let seen = QnxFlags::PHYS
                    | QnxFlags::PG_MASK
                    | QnxFlags::TYPE
                    | QnxFlags::SYSRAM
                    | QnxFlags::ANON;
                assert_eq!(region.flags() & seen, expected, "{context}");
                if cfg!(target_arch = "x86_64") {
                    let memory_type = match combining {
                        true => MemoryType::WriteCombining,
                        false => MemoryType::UncachedMinus,
                    };
                    assert_eq!(region.memory_type(), Some(memory_type), "{context}");
                    assert!(region.flags().contains(QnxFlags::PROT_NOCACHE), "{context}");
                }
            }
        }
    }
}

#[test]
fn every_part_of_a_bar_that_is_mapped_by_itself_lies_in_its_place() {
    let test = "parts of BARs";
    let _alone = alone();
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
    let _alone = alone();
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
    let _alone = alone();
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

/// Maps a part of a PCI device's memory by its file in `/proc/bus/pci`, at the
/// offset that is its address.
fn map_by_proc(device: &pci::Device, start: u64, size: u64) -> std::io::Result<u64> {
    // `PCIIOC_MMAP_IS_MEM`, include/uapi/linux/pci.h; ports otherwise.
    const MAP_MEMORY: u64 = 0x5043_4902;
    let name = device.directory.file_name().unwrap().to_str().unwrap();
    let (bus, device) = name.strip_prefix("0000:").unwrap().split_once(':').unwrap();
    let path = format!("/proc/bus/pci/{bus}/{device}");
    let file = fs::OpenOptions::new().read(true).write(true).open(path)?;
    // SAFETY: a request without an argument.
    if unsafe { libc::ioctl(file.as_raw_fd(), MAP_MEMORY as libc::Ioctl, 0) } != 0 {
        return Err(std::io::Error::last_os_error());
    }
    let shared = libc::MAP_SHARED;
    memory::try_map(
        size,
        device_mappings::READ_WRITE,
        shared,
        file.as_raw_fd(),
        start,
    )
}

#[test]
fn the_memory_of_pci_devices_is_found_by_proc_too() {
    let test = "/proc/bus/pci";
    let _alone = alone();
    if !is_root_or_skip(test) {
        return;
    }
    let (devices, mut mapped) = (test_devices_or_skip(test), 0);
    // The kernel does not map what a driver has.
    for device in devices.iter().filter(|device| device.is_free()) {
        for bar in &device.bars {
            let first = bar.start / page() * page();
            let size = bar.size.next_multiple_of(page());
            // All of it, and its last page.
            for start in [first, first + size - page()] {
                let size = first + size - start;
                let target = Target::spawn(|| match map_by_proc(device, start, size) {
                    Ok(at) => vec![at],
                    Err(_) => Vec::new(),
                });
                let Some(&at) = target.addresses().first() else {
                    continue;
                };
                mapped += 1;
                let process = Process::open(target.pid()).unwrap();
                let region = only(&process, at, size);
                assert_eq!(device_address(&region), start, "{region:x?}");
                assert_eq!(region.mapping.kind(), MappingKind::Device);
                assert_eq!(region.memory_type(), None, "the caller can ask for either");
                let kernels = process.vm_flags().unwrap();
                assert_eq!(
                    kernels.is_left_out(&region.mapping),
                    Some(true),
                    "{region:x?}"
                );
                let middle = at + size / 2;
                let address = process.physical_address(middle).unwrap();
                let expected = Some(start + size / 2);
                assert_eq!(address.map(|address| address.as_u64()), expected);
            }
            if !device.is(pci::IVSHMEM) || bar.number != 2 {
                continue;
            }
            // A write there is visible in that BAR, at that place.
            let Ok(by_proc) = map_by_proc(device, first + page(), page()) else {
                continue;
            };
            let by_file = map(&bar.files[0].0, page(), page());
            // SAFETY: a page each, mapped just now.
            unsafe {
                (by_proc as *mut u64).write_volatile(0x1234_5678_9abc_def0);
                let read = (by_file as *const u64).read_volatile();
                assert_eq!(read, 0x1234_5678_9abc_def0);
            }
            memory::unmap(by_proc, page());
            memory::unmap(by_file, page());
        }
    }
    if mapped == 0 && !devices.is_empty() {
        eprintln!("SKIPPED {test}: the kernel maps none of their memory so");
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
    let _alone = alone();
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
        let pagemap = fs::File::open(format!("/proc/{}/pagemap", target.pid())).unwrap();
        let mut entry = [0; 8];
        std::os::unix::fs::FileExt::read_exact_at(&pagemap, &mut entry, (at / page() + 1) * 8)
            .unwrap();
        assert_eq!(
            u64::from_ne_bytes(entry) & 1 << 63,
            0,
            "the copy is not listed"
        );
        let process = Process::open(target.pid()).unwrap();
        let region = only(&process, at, 4 * page());
        let reason = UnknownReason::PrivateMapping;
        assert_eq!(region.backing, Backing::Unknown(reason), "{region:x?}");
        assert_eq!(process.physical_address(at).unwrap(), None);
    }
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

/// The types that the kernel's own list has for exactly these bytes.
fn listed_types(start: u64, size: u64) -> Option<Vec<String>> {
    let list = fs::read_to_string("/sys/kernel/debug/x86/pat_memtype_list").ok()?;
    let range = format!("[mem {start:#018x}-{:#018x}] ", start + size);
    let types = list.lines().filter_map(|line| line.split_once(&range));
    Some(types.map(|(_, name)| name.to_owned()).collect())
}

#[test]
fn the_kernels_own_list_tells_how_device_memory_is_cached() {
    let test = "the list of memory types";
    let _alone = alone();
    if !is_root_or_skip(test) {
        return;
    }
    if listed_types(0, 0).is_none() {
        eprintln!("SKIPPED {test}: no such file in debugfs");
        return;
    }
    let dev_mem = Path::new("/dev/mem").to_path_buf();
    let devices = test_devices_or_skip(test);
    let bars = devices.iter().flat_map(|device| &device.bars);
    for bar in bars.filter(|bar| bar.files.len() == 2 && bar.size >= 4 * page()) {
        // The last pages, which no other test maps by themselves: the kernel forgets
        // to drop entries of its list when a mapping was cut in parts.
        let size = 4 * page();
        let into = bar.size - size;
        let start = bar.start + into;
        let (plain, combining) = (&bar.files[0].0, &bar.files[1].0);
        // A size of its own for each, so that the list tells them apart.
        let make = |path: &Path, size, offset| Target::spawn(|| vec![map(path, size, offset)]);
        // With nothing mapped before, each gets what it asks for; then the first decides.
        let mut seen = Vec::new();
        for (paths, offset) in [
            ([plain, combining], into),
            ([combining, plain], into),
            ([&dev_mem, plain], start),
        ] {
            let first = make(paths[0], size, offset);
            let second = make(paths[1], size - page(), into);
            for (target, size) in [(&first, size), (&second, size - page())] {
                let process = Process::open(target.pid()).unwrap();
                let region = only(&process, target.addresses()[0], size);
                let listed = listed_types(start, size).unwrap();
                assert_eq!(listed.len(), 1, "{paths:?}: {listed:?}");
                let types = process_introspection::MemoryTypes::new();
                let pieces: Vec<_> = types.pieces(&region).collect();
                let [(piece, memory_type)] = &pieces[..] else {
                    panic!("{pieces:x?}")
                };
                assert_eq!(*piece, region);
                let name = memory_type.unwrap().name();
                println!(
                    "{paths:?}: the file says {:?}, the list {name}",
                    region.memory_type()
                );
                assert_eq!(name, listed[0], "{paths:?}");
                seen.push(memory_type.unwrap());
                let entry = process
                    .page_table(region.virt)
                    .unwrap()
                    .next()
                    .unwrap()
                    .unwrap();
                assert_eq!(types.of_entry(&entry), *memory_type);
            }
        }
        let (minus, gathered) = (MemoryType::UncachedMinus, MemoryType::WriteCombining);
        let [with_plain, with_combining] = [[minus; 2], [gathered; 2]];
        assert_eq!(
            seen[..4],
            [with_plain, with_combining].concat(),
            "the first decides"
        );
    }
}

#[test]
fn the_kernels_flags_confirm_what_is_told_from_the_mapped_files() {
    let test = "the kernel's flags of areas";
    if !is_root_or_skip(test) {
        return;
    }
    let target = Target::spawn(|| vec![memory::anonymous(4 * page())]);
    let process = Process::open(target.pid()).unwrap();
    let kernels = process.vm_flags().unwrap();
    let (mut left_out, mut listed) = (0, 0);
    for region in process.physical_regions(..).unwrap() {
        let region = region.unwrap();
        match (kernels.is_left_out(&region.mapping), region.backing) {
            (Some(true), backing) => {
                left_out += 1;
                assert!(
                    !matches!(backing, Backing::NotPresent | Backing::Ram(_)),
                    "{region:x?}"
                );
                assert_eq!(kernels.backing_of(&region.mapping, region.backing), backing);
            }
            (Some(false), Backing::Unknown(_)) => {
                let told = kernels.backing_of(&region.mapping, region.backing);
                assert_eq!(told, Backing::NotPresent, "{region:x?}");
            }
            (Some(false), backing) => {
                listed += 1;
                assert_eq!(kernels.backing_of(&region.mapping, region.backing), backing);
            }
            (None, _) => panic!("the target has stood still: {region:x?}"),
        }
    }
    // [vvar], unless it has ordinary pages (lib/vdso/datastore.c since 6a011a228293;
    // 7.2 on riscv64), and everything else.
    let smaps = fs::read_to_string(format!("/proc/{}/smaps", target.pid())).unwrap();
    let mut flags = smaps
        .lines()
        .filter_map(|line| line.strip_prefix("VmFlags:"));
    let has_some = flags.any(|flags| flags.split_whitespace().any(|flag| flag == "pf"));
    assert_eq!(left_out > 0, has_some, "{left_out}");
    assert!(listed > 3, "{listed}");
    // It says nothing of another memory.
    let own = Process::current().unwrap();
    let region = own.physical_regions(..).unwrap().last().unwrap().unwrap();
    let nothing = process_introspection::VmFlags::default();
    assert_eq!(nothing.is_left_out(&region.mapping), None);
    assert_eq!(
        nothing.backing_of(&region.mapping, region.backing),
        region.backing
    );
}
