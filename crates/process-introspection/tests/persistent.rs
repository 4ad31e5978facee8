//! Persistent memory that is mapped directly (DAX): what the library says of
//! each page, against where the file system, sysfs and the block device's own
//! bytes have it. Needs a machine with persistent memory; says so where there is
//! none.

use std::fs::File;
use std::ops::{ControlFlow, Range};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt};

use process_introspection::{
    owners, Backing, ExtentBacking, OwnerEvent, PassOptions, PhysAddr, PhysRange, PhysicalRegion,
    Process,
};
use testkit::machine::{has_page_scan, is_root_or_skip};
use testkit::memory::{self, huge, page};
use testkit::persistent::{self, FileSystem};
use testkit::target::Target;

const READ_WRITE: i32 = libc::PROT_READ | libc::PROT_WRITE;

/// What must be behind a page.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Expected {
    /// Persistent memory at this address.
    Persistent(u64),
    /// RAM that is a private copy.
    Copied,
    /// The zero page; of the huge one so many bytes further on.
    Zero(u64),
    /// Nothing.
    NotPresent,
}

use Expected::{Copied, NotPresent, Persistent, Zero};

/// The physical addresses that `/proc/iomem` has under this name.
fn resources(name: &str) -> Vec<Range<u64>> {
    let text = std::fs::read_to_string("/proc/iomem").expect("iomem");
    let lines = text.lines().filter_map(|line| {
        let (range, kind) = line.trim_start().split_once(" : ")?;
        let (first, last) = range.split_once('-')?;
        let hex = |text| u64::from_str_radix(text, 16).expect("a number");
        kind.starts_with(name).then(|| hex(first)..hex(last) + 1)
    });
    lines.collect()
}

fn is_within(ranges: &[Range<u64>], address: u64) -> bool {
    ranges.iter().any(|range| range.contains(&address))
}

/// The file system, whose memory no other test has given another use; prints
/// that the test is skipped without one.
fn file_system_or_skip(test: &str) -> Option<FileSystem> {
    if !is_root_or_skip(test) {
        return None;
    }
    let system = persistent::file_system_or_skip(test)?;
    let known = resources("Persistent Memory");
    assert!(is_within(&known, system.range.start), "{system:x?}");
    assert!(is_within(&known, system.range.end - 1), "{system:x?}");
    Some(system)
}

/// The bytes of a page of a file.
fn pattern(file: u8, page: u64) -> [u8; 4096] {
    let word = (u64::from(file) << 56 | (page + 1)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut bytes = [0; 4096];
    for (index, part) in bytes.chunks_exact_mut(8).enumerate() {
        part.copy_from_slice(&(word ^ index as u64).to_ne_bytes());
    }
    bytes
}

/// A file of that many pages, each with its pattern.
fn written(system: &FileSystem, name: &str, number: u8, size: u64) -> File {
    let file = system.create(name, size);
    // In as few pieces as can be.
    // SAFETY: takes no memory.
    let allocated = unsafe { libc::fallocate(file.as_raw_fd(), 0, 0, size as libc::off_t) };
    assert_eq!(allocated, 0, "{}", std::io::Error::last_os_error());
    for index in 0..size / page() {
        let bytes = pattern(number, index);
        file.write_all_at(&bytes, index * page()).expect("a page");
    }
    file.sync_all().expect("written");
    file
}

/// Maps a file, at an address with the same place in a huge page as the file.
fn map(file: &File, size: u64, flags: i32, protection: i32) -> u64 {
    let place = memory::aligned(size, huge());
    memory::map_at(place, size, protection, flags, file.as_raw_fd(), 0)
}

fn regions(process: &Process, at: u64, size: u64) -> Vec<PhysicalRegion> {
    let regions = process.physical_regions(at..at + size).expect("a walk");
    regions.map(|region| region.expect("a region")).collect()
}

/// What a backing is, if it is one that can be expected. `zero` is where the
/// zeros began of the page before, if that was one.
fn found(backing: Backing, anonymous: bool, start_of_zeros: u64) -> Option<Expected> {
    match backing {
        Backing::Device(address) => (!anonymous).then_some(Persistent(address.as_u64())),
        Backing::Ram(_) => anonymous.then_some(Copied),
        Backing::Zero(address) => Some(Zero(address.as_u64() - start_of_zeros)),
        Backing::NotPresent => Some(NotPresent),
        _ => None,
    }
}

/// Compares each page of a target's mapping with what is expected, by each way
/// to ask; gives the sizes of the leaf entries of what is backed.
fn check(
    target: &Target,
    at: u64,
    size: u64,
    object: Option<&File>,
    expected: impl Fn(u64) -> Expected,
) -> Vec<u64> {
    let ram = resources("System RAM");
    let process = Process::open(target.pid()).unwrap();
    let walk = regions(&process, at, size);
    let mut next = at;
    for region in &walk {
        assert_eq!(region.virt.start().as_u64(), next, "{walk:x?}");
        next = region.virt.end().as_u64();
        if let Some(file) = object {
            // An object's own, of copies too.
            let inode = file.metadata().expect("metadata").ino();
            assert_eq!(region.mapping.inode, inode, "{region:x?}");
        }
        for offset in (0..region.size()).step_by(page() as usize) {
            let index = (region.virt.start().as_u64() - at + offset) / page();
            let backing = region.backing.further(offset);
            let begin = match (expected(index), backing) {
                (Zero(0), Backing::Zero(address)) => address.as_u64(),
                // A huge one begins at its own alignment.
                (Zero(_), Backing::Zero(address)) => address.as_u64() & !(huge() - 1),
                _ => 0,
            };
            let what = found(backing, region.anonymous, begin);
            assert_eq!(what, Some(expected(index)), "page {index} of {region:x?}");
            if let Backing::Ram(address) = backing {
                assert!(is_within(&ram, address.as_u64()), "{region:x?}");
            }
        }
    }
    assert_eq!(next, at + size, "{walk:x?}");
    check_extents(&process, at, size, &walk);
    page_sizes(&process, at, size, &walk)
}

/// Extents are merged from the same answer; only RAM counts as RAM.
fn check_extents(process: &Process, at: u64, size: u64, walk: &[PhysicalRegion]) {
    for extent in process.extents(at..at + size).expect("a walk") {
        let extent = extent.expect("an extent");
        let start = extent.virt.start().as_u64();
        let mut regions = walk.iter();
        let region = regions
            .find(|it| it.virt.contains(extent.virt.start()))
            .expect("a region");
        let backing = region.backing.further(start - region.virt.start().as_u64());
        let same = match extent.backing {
            ExtentBacking::Ram(address) => backing == Backing::Ram(address),
            ExtentBacking::Device(address) => backing == Backing::Device(address),
            ExtentBacking::Zero(address) => backing == Backing::Zero(address),
            ExtentBacking::Missing(other) => backing == other,
            _ => false,
        };
        assert!(same, "{extent:x?} of {region:x?}");
    }
}

/// The leaf entries say the same; gives the sizes of those that are backed.
fn page_sizes(process: &Process, at: u64, size: u64, walk: &[PhysicalRegion]) -> Vec<u64> {
    let mut sizes = Vec::new();
    for entry in process.page_table(at..at + size).expect("a walk") {
        let entry = entry.expect("an entry");
        let start = entry.virt.start();
        let region = walk.iter().find(|region| region.virt.contains(start));
        let region = region.expect("a region");
        let offset = start.as_u64() - region.virt.start().as_u64();
        assert_eq!(entry.backing, region.backing.further(offset), "{entry:x?}");
        if entry.backing.is_backed() {
            sizes.push(entry.virt.size());
        }
    }
    sizes
}

/// The bytes at the address of each page of a file are the file's.
fn check_bytes(system: &FileSystem, file: &File, number: u8, pages: u64) {
    for index in 0..pages {
        let address = system.address(file, index * page()).expect("no hole");
        assert_eq!(system.bytes(address), pattern(number, index), "{index}");
    }
}

fn is_huge(sizes: &[u64]) -> bool {
    // Without the scan the kernel does not tell.
    !has_page_scan() || sizes.iter().all(|&size| size == huge())
}

/// Small enough that no huge page fits.
const PAGES: u64 = 24;

#[test]
fn shared_pages_of_a_file_lie_where_its_extents_are() {
    let Some(system) = file_system_or_skip("shared pages of persistent memory") else {
        return;
    };
    let size = PAGES * page();
    let file = written(&system, "shared", 1, size);
    check_bytes(&system, &file, 1, PAGES);
    for protection in [libc::PROT_READ, READ_WRITE] {
        let target = Target::spawn(|| {
            let at = map(&file, size, libc::MAP_SHARED, protection);
            memory::read(at, PAGES / 2);
            if protection == READ_WRITE {
                memory::touch(at, PAGES / 2, 2);
            }
            vec![at]
        });
        let at = target.addresses()[0];
        let is_writable = protection == READ_WRITE;
        let is_touched = |index| index < PAGES / 2 || (is_writable && index % 2 == 0);
        let sizes = check(&target, at, size, Some(&file), |index| {
            match is_touched(index) {
                true => Persistent(system.address(&file, index * page()).expect("no hole")),
                false => NotPresent,
            }
        });
        assert!(sizes.iter().all(|&size| size == page()), "{sizes:?}");
    }
}

#[test]
fn private_pages_that_were_only_read_are_the_files() {
    let Some(system) = file_system_or_skip("private pages of persistent memory") else {
        return;
    };
    let size = PAGES * page();
    let file = written(&system, "private", 2, size);
    let target = Target::spawn(|| {
        let at = map(&file, size, libc::MAP_PRIVATE, READ_WRITE);
        memory::read(at, PAGES);
        vec![at]
    });
    check_bytes(&system, &file, 2, PAGES);
    check(&target, target.addresses()[0], size, Some(&file), |index| {
        Persistent(system.address(&file, index * page()).expect("no hole"))
    });
}

#[test]
fn private_copies_are_ram_and_their_neighbours_are_not() {
    let Some(system) = file_system_or_skip("private copies of persistent memory") else {
        return;
    };
    let size = PAGES * page();
    let file = written(&system, "copies", 3, size);
    let is_copied = |index| index % 3 == 1;
    let target = Target::spawn(|| {
        let at = map(&file, size, libc::MAP_PRIVATE, READ_WRITE);
        memory::read(at, PAGES - 2);
        memory::touch(at + page(), PAGES / 3, 3);
        vec![at]
    });
    // What was written is nowhere in the file.
    check_bytes(&system, &file, 3, PAGES);
    check(
        &target,
        target.addresses()[0],
        size,
        Some(&file),
        |index| match () {
            () if is_copied(index) => Copied,
            () if index >= PAGES - 2 => NotPresent,
            () => Persistent(system.address(&file, index * page()).expect("no hole")),
        },
    );
}

#[test]
fn holes_that_were_read_are_the_zero_page() {
    let Some(system) = file_system_or_skip("holes in persistent memory") else {
        return;
    };
    let size = PAGES * page();
    for (flags, name) in [
        (libc::MAP_SHARED, "holes"),
        (libc::MAP_PRIVATE, "own-holes"),
    ] {
        let file = system.create(name, size);
        let target = Target::spawn(|| {
            let at = map(&file, size, flags, READ_WRITE);
            memory::read(at, PAGES);
            memory::touch(at, PAGES / 4, 4);
            vec![at]
        });
        check(
            &target,
            target.addresses()[0],
            size,
            Some(&file),
            |index| match index % 4 {
                0 if flags == libc::MAP_PRIVATE => Copied,
                0 => Persistent(system.address(&file, index * page()).expect("no hole")),
                _ => Zero(0),
            },
        );
    }
}

#[test]
fn huge_pages_of_a_file_and_of_a_hole_are_told_apart() {
    let Some(system) = file_system_or_skip("huge pages of persistent memory") else {
        return;
    };
    let (size, pages) = (2 * huge(), 2 * huge() / page());
    let file = written(&system, "huge", 4, size);
    let extents = system.extents(&file);
    assert!(
        extents.len() == 1 && extents[0].address % huge() == 0,
        "no huge page of the file lies in one: {extents:x?}"
    );
    check_bytes(&system, &file, 4, pages);
    let of_file = |index: u64| Persistent(extents[0].address + index * page());
    for (flags, protection) in [
        (libc::MAP_SHARED, READ_WRITE),
        (libc::MAP_SHARED, libc::PROT_READ),
        (libc::MAP_PRIVATE, READ_WRITE),
    ] {
        let target = Target::spawn(|| {
            let at = map(&file, size, flags, protection);
            memory::read(at, pages);
            vec![at]
        });
        let sizes = check(&target, target.addresses()[0], size, Some(&file), of_file);
        assert!(is_huge(&sizes), "{flags} {protection}: {sizes:?}");
    }

    // A copy takes the huge entry away; what is read again is a small page.
    let target = Target::spawn(|| {
        let at = map(&file, size, libc::MAP_PRIVATE, READ_WRITE);
        memory::read(at, pages);
        memory::touch(at + 3 * page(), 1, 1);
        memory::read(at, pages / 4);
        vec![at]
    });
    check(
        &target,
        target.addresses()[0],
        size,
        Some(&file),
        |index| match index {
            3 => Copied,
            _ if index < pages / 4 || index >= pages / 2 => of_file(index),
            _ => NotPresent,
        },
    );

    // The huge zero page, for as long as nobody writes.
    let hole = system.create("huge-hole", size);
    for flags in [libc::MAP_SHARED, libc::MAP_PRIVATE] {
        let target = Target::spawn(|| {
            let at = map(&hole, size, flags, READ_WRITE);
            memory::read(at, pages);
            vec![at]
        });
        let at = target.addresses()[0];
        let place = |index: u64| Zero(index * page() % huge());
        let sizes = check(&target, at, size, Some(&hole), place);
        assert!(is_huge(&sizes), "{flags}: {sizes:?}");
    }
}

#[test]
fn the_owner_of_persistent_memory_is_who_maps_it() {
    const TEST: &str = "the owner of persistent memory";
    let Some(system) = file_system_or_skip(TEST) else {
        return;
    };
    let size = PAGES * page();
    let file = written(&system, "owned", 5, size);
    let target = Target::spawn(|| {
        let at = map(&file, size, libc::MAP_PRIVATE, READ_WRITE);
        memory::read(at, PAGES);
        memory::touch(at, 1, 1);
        vec![at]
    });
    let at = target.addresses()[0];
    let first = system.address(&file, 0).expect("no hole");
    let range = PhysRange::new(PhysAddr::new(first), PhysAddr::new(first + size));
    let mut found = Vec::new();
    let coverage = owners(&[range.expect("a range")], PassOptions::new(), |event| {
        if let OwnerEvent::Owner(owner) = event {
            let region = &owner.region;
            let mapped = (region.virt.start().as_u64(), region.size(), region.backing);
            found.push((owner.process.pid, mapped));
        }
        ControlFlow::Continue(())
    });
    coverage.expect("a pass");
    // The copy of the first page lies elsewhere.
    let address = PhysAddr::new(first + page());
    let mapped = (at + page(), size - page(), Backing::Device(address));
    assert_eq!(found, [(target.pid(), mapped)]);
}

#[test]
fn a_dax_device_lies_where_its_resource_is() {
    const TEST: &str = "devices of persistent memory";
    if !is_root_or_skip(TEST) {
        return;
    }
    for device in persistent::devices_or_skip(TEST) {
        let known = resources("Persistent Memory");
        assert!(is_within(&known, device.range.start), "{device:x?}");
        let mut options = File::options();
        let file = options.read(true).write(true).open(&device.path);
        let file = file.unwrap_or_else(|error| panic!("{device:x?}: {error}"));
        let (size, pages) = (2 * huge(), 2 * huge() / page());
        // All of the second huge page, and a part of the first.
        let (read, write) = (pages / 2, pages / 4);
        let target = Target::spawn(|| {
            let at = map(&file, size, libc::MAP_SHARED, READ_WRITE);
            memory::touch(at, write, 1);
            memory::read(at + huge(), read);
            vec![at]
        });
        let at = target.addresses()[0];
        let is_small = device.page == page();
        let sizes = check(&target, at, size, Some(&file), |index| {
            match is_small && index >= write && index < pages / 2 {
                // No fault came there: nothing that the page map lists.
                true => NotPresent,
                false => Persistent(device.range.start + index * page()),
            }
        });
        let expected = if is_small { page() } else { huge() };
        assert!(
            !has_page_scan() || sizes.iter().all(|&size| size == expected),
            "{device:x?}: {sizes:?}"
        );
    }
}
