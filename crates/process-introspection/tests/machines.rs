//! What only some machines have: NUMA nodes, huge pages of a gibibyte, more
//! than 47 bits of addresses, swap, devices' memory, a kernel wider than the
//! program. Each says when it is skipped; `cargo xtask vmtest` has a machine
//! for each.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use process_introspection::{Backing, PhysicalMap, PhysicalRegion, Process, UnknownReason};
use testkit::machine::{
    free_huge_pages, has_area_query_or_skip, has_page_scan_or_skip, is_root_or_skip, HugePages,
};
use testkit::memory::{self, page};
use testkit::oracle::{self, Pagemap, State};
use testkit::target::Target;

fn regions(process: &Process, start: u64, end: u64) -> Vec<PhysicalRegion> {
    let regions = process.physical_regions(start..end).expect("a walk");
    regions.map(|region| region.expect("a region")).collect()
}

/// The physical address of each page of a range, where there is one.
fn addresses(process: &Process, start: u64, end: u64) -> BTreeMap<u64, u64> {
    let mut pages = BTreeMap::new();
    for region in regions(process, start, end) {
        let (low, high) = (region.virt.start().as_u64(), region.virt.end().as_u64());
        for at in (low..high).step_by(page() as usize) {
            if let Some(address) = region.backing.further(at - low).address() {
                pages.insert(at, address.as_u64());
            }
        }
    }
    pages
}

/// The frames of each node's zones, from `/proc/zoneinfo`: first and past the
/// last. Zones have no frame in common.
fn zones() -> Vec<(u32, std::ops::Range<u64>)> {
    let text = fs::read_to_string("/proc/zoneinfo").unwrap_or_default();
    let (mut node, mut spanned, mut zones) = (0, 0, Vec::new());
    for line in text.lines() {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        match words[..] {
            ["Node", number, "zone", _] => node = number.trim_end_matches(',').parse().unwrap(),
            ["spanned", pages] => spanned = pages.parse().unwrap(),
            ["start_pfn:", first] => {
                let first: u64 = first.parse().unwrap();
                zones.push((node, first..first + spanned));
            }
            _ => {}
        }
    }
    zones
}

/// The node of a physical address.
fn node_of(zones: &[(u32, std::ops::Range<u64>)], address: u64) -> Option<u32> {
    let mut zones = zones.iter();
    let zone = zones.find(|(_, frames)| frames.contains(&(address / page())));
    zone.map(|(node, _)| *node)
}

fn nodes_or_skip(test: &str) -> Option<Vec<u32>> {
    let entries = fs::read_dir("/sys/devices/system/node")
        .into_iter()
        .flatten();
    let names = entries.flatten().map(|entry| entry.file_name());
    let numbers = names.filter_map(|name| name.to_str()?.strip_prefix("node")?.parse().ok());
    let mut nodes: Vec<u32> = numbers.collect();
    nodes.sort_unstable();
    if nodes.len() < 2 {
        eprintln!("SKIPPED {test}: one NUMA node");
        return None;
    }
    Some(nodes)
}

/// Gives the memory of a range to one node; what is there already is not moved.
fn bind(at: u64, size: u64, node: u32) {
    const MPOL_BIND: libc::c_int = 2;
    let mask: libc::c_ulong = 1 << node;
    // SAFETY: the range is the caller's own; the mask is live and as long as said.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mbind,
            at as *mut libc::c_void,
            size as usize,
            MPOL_BIND,
            &raw const mask,
            libc::c_ulong::BITS as usize,
            0,
        )
    };
    assert_eq!(result, 0, "mbind: {}", std::io::Error::last_os_error());
}

/// Moves a page of another process to a node.
fn move_page(pid: u32, at: u64, node: u32) {
    assert!(try_move_page(pid, at, node));
}

/// The same; false if the node has no room or the page is in use just now.
fn try_move_page(pid: u32, at: u64, node: u32) -> bool {
    const MPOL_MF_MOVE: libc::c_int = 2;
    let (pages, nodes, mut status) = ([at as usize], [node as libc::c_int], [-1; 1]);
    // SAFETY: live arrays of one element.
    let result = unsafe {
        libc::syscall(
            libc::SYS_move_pages,
            pid,
            1usize,
            pages.as_ptr(),
            nodes.as_ptr(),
            status.as_mut_ptr(),
            MPOL_MF_MOVE,
        )
    };
    (result, status) == (0, [node as libc::c_int])
}

#[test]
fn memory_of_each_node_is_reported_where_that_node_is() {
    if !is_root_or_skip("memory of nodes") {
        return;
    }
    let Some(nodes) = nodes_or_skip("memory of nodes") else {
        return;
    };
    let (count, zones) = (500, zones());
    let size = count * page();
    // The nodes' parts are neighbours: no border of a node ends a region.
    let target = Target::spawn(|| {
        let at = memory::anonymous(nodes.len() as u64 * size);
        for (index, &node) in nodes.iter().enumerate() {
            bind(at + index as u64 * size, size, node);
        }
        memory::touch(at, nodes.len() as u64 * count, 1);
        vec![at]
    });
    let at = target.addresses()[0];
    let process = Process::open(target.pid()).unwrap();
    for (index, &node) in nodes.iter().enumerate() {
        let start = at + index as u64 * size;
        let given = addresses(&process, start, start + size);
        assert_eq!(given.len() as u64, count);
        for (page, address) in given {
            assert_eq!(
                node_of(&zones, address),
                Some(node),
                "{page:#x} at {address:#x}"
            );
        }
    }
}

#[test]
fn a_summary_has_the_memory_of_each_kind_by_node() {
    let test = "a_summary_has_the_memory_of_each_kind_by_node";
    if !is_root_or_skip(test) {
        return;
    }
    let Some(nodes) = nodes_or_skip(test) else {
        return;
    };
    // Anonymous memory on each node in turn, more on each; shared memory on the last.
    let size_on = |index: usize| (index as u64 + 1) * 100 * page();
    let last = *nodes.last().unwrap();
    let target = Target::spawn(|| {
        let all: u64 = (0..nodes.len()).map(size_on).sum();
        let shared = memory::map(50 * page(), libc::MAP_SHARED, memory::memfd(50 * page()));
        bind(shared, 50 * page(), last);
        memory::touch(shared, 50, 1);
        let start = memory::anonymous(all);
        let mut at = start;
        for (index, &node) in nodes.iter().enumerate() {
            bind(at, size_on(index), node);
            memory::touch(at, size_on(index) / page(), 1);
            at += size_on(index);
        }
        vec![start, all, shared]
    });
    let [start, all, shared] = *target.addresses() else {
        panic!("three numbers");
    };
    let process = Process::open(target.pid()).unwrap();
    let map = PhysicalMap::read().unwrap();
    assert!(map.has_several_nodes());
    let of = |range: std::ops::Range<u64>, kind: &str| {
        let summary = process.summary(range, &map).unwrap();
        let mut kinds = summary.kinds.iter();
        let place = kinds.position(|(found, _)| found.name() == kind).unwrap();
        summary.nodes_of_kinds.unwrap()[place].clone()
    };
    let each = nodes.iter().enumerate();
    let expected = each.map(|(index, &node)| (Some(node), size_on(index)));
    assert_eq!(of(start..start + all, "anon"), expected.collect());
    let on_last = [(Some(last), 50 * page())];
    assert_eq!(of(shared..shared + 50 * page(), "shm"), on_last.into());
}

#[test]
fn a_page_that_is_moved_to_another_node_is_reported_there() {
    if !is_root_or_skip("a page that is moved") {
        return;
    }
    let Some(nodes) = nodes_or_skip("a page that is moved") else {
        return;
    };
    let zones = zones();
    let target = Target::spawn(|| {
        let at = memory::anonymous(8 * page());
        memory::touch(at, 8, 1);
        vec![at]
    });
    let at = target.addresses()[0];
    let process = Process::open(target.pid()).unwrap();
    for &node in nodes.iter().rev().chain(&nodes) {
        let moved = at + 3 * page();
        let before = addresses(&process, at, at + 8 * page());
        move_page(target.pid(), moved, node);
        let mut after = addresses(&process, at, at + 8 * page());
        assert_eq!(node_of(&zones, after[&moved]), Some(node));
        let expected = Pagemap::open(target.pid()).entry(moved) & ((1 << 55) - 1);
        assert_eq!(after[&moved], expected * page());
        // The others stay where they are.
        after.insert(moved, before[&moved]);
        assert_eq!(after, before);
    }
}

/// The page map shows nothing of an entry in migration. Before it is one, there
/// is no entry for a moment, and the scan takes no lock (fs/proc/task_mmu.c
/// `pagemap_scan_hugetlb_entry`, Linux 6.12): a page that is moved without pause
/// is seen so by two scans in one of some 20,000 walks (by one in one of 1,000).
#[test]
fn hugetlb_in_migration_is_not_called_not_present() {
    let test = "hugetlb in migration";
    if !is_root_or_skip(test) || !has_page_scan_or_skip(test) {
        return;
    }
    let Some(nodes) = nodes_or_skip(test) else {
        return;
    };
    // On each node some.
    let Some(pages) = HugePages::reserve(8 * nodes.len() as u64, test) else {
        return;
    };
    let huge = pages.size();
    let target = Target::spawn(|| {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_HUGETLB;
        let at = memory::map(2 * huge, flags, -1);
        memory::touch(at, 2, huge / page());
        vec![at]
    });
    let (pid, at) = (target.pid(), target.addresses()[0]);
    let until = Instant::now() + Duration::from_secs(3);
    let (mut moved, mut unknown, mut walks, mut empty) = (0, 0, 0u32, 0);
    std::thread::scope(|scope| {
        let mover = scope.spawn(|| {
            let mut moved = 0;
            while Instant::now() < until {
                for &node in &nodes {
                    moved += u64::from(try_move_page(pid, at, node));
                }
            }
            moved
        });
        let process = Process::open(pid).unwrap();
        while Instant::now() < until {
            walks += 1;
            for region in regions(&process, at, at + 2 * huge) {
                match region.backing {
                    Backing::Ram(address) => assert_eq!(address.as_u64() % page(), 0),
                    Backing::Unknown(UnknownReason::HugePage) => unknown += 1,
                    Backing::NotPresent => empty += 1,
                    other => panic!("{other:?} after {walks} walks"),
                }
            }
        }
        moved = mover.join().unwrap();
    });
    println!("{moved} moves, {walks} walks, {unknown} times in migration, {empty} empty");
    assert!(empty <= 1 + walks / 2000, "{empty} of {walks}");
    assert!(moved > 0, "nothing was moved");
}

#[test]
fn hugetlb_pages_of_a_gibibyte_are_one_leaf_entry_each() {
    if !is_root_or_skip("pages of a gibibyte") {
        return;
    }
    const GIB: u64 = 1 << 30;
    const MAP_HUGE_1GB: i32 = 30 << 26;
    if free_huge_pages(GIB) == 0 {
        eprintln!("SKIPPED pages of a gibibyte: none is set aside");
        return;
    }
    let target = Target::spawn(|| {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_HUGETLB | MAP_HUGE_1GB;
        let at = memory::map(GIB, flags, -1);
        memory::touch(at, 1, 1);
        vec![at]
    });
    let at = target.addresses()[0];
    let process = Process::open(target.pid()).unwrap();
    let frame = Pagemap::open(target.pid()).entry(at) & ((1 << 55) - 1);
    assert_eq!(frame * page() % GIB, 0);
    for (no_query, no_scan) in [(false, false), (true, false), (false, true), (true, true)] {
        process.as_core().disable_features(no_query, no_scan);
        let given = regions(&process, at, at + GIB);
        let [region] = &given[..] else {
            panic!("{given:x?}");
        };
        assert!(
            matches!(region.backing, Backing::Ram(address) if address.as_u64() == frame * page())
        );
        assert_eq!(region.size(), GIB);
        // Anywhere in it.
        for into in [0, 4096, GIB / 2 + 5, GIB - 1] {
            let address = process.physical_address(at + into).unwrap();
            assert_eq!(
                address.map(|address| address.as_u64()),
                Some(frame * page() + into)
            );
        }
    }
    if has_area_query_or_skip("the leaf entry of a page of a gibibyte") {
        let process = Process::open(target.pid()).unwrap();
        let leaves: Vec<_> = process.page_table(at + 5..at + 6).unwrap().collect();
        let [Ok(leaf)] = &leaves[..] else {
            panic!("{leaves:x?}");
        };
        assert_eq!(
            (leaf.page_size.bytes(), leaf.virt.start().as_u64()),
            (GIB, at)
        );
    }
}

#[test]
fn memory_above_the_lower_47_bits_is_reported() {
    if !is_root_or_skip("memory above 47 bits") {
        return;
    }
    let pages = 300;
    let target = Target::spawn(|| {
        // Only a hint above the lower half makes x86 give such an address.
        let hint = usize::try_from(1u64 << 54).unwrap_or(0);
        // SAFETY: a new mapping where the kernel finds room disturbs nobody.
        let at = unsafe {
            libc::mmap(
                hint as *mut libc::c_void,
                (pages * page()) as usize,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        assert_ne!(at, libc::MAP_FAILED);
        let at = at as usize as u64;
        memory::advise(at, pages * page(), libc::MADV_NOHUGEPAGE);
        memory::touch(at, pages / 2, 2);
        vec![at]
    });
    let at = target.addresses()[0];
    if at < 1 << 48 {
        eprintln!("SKIPPED memory above 47 bits: the kernel gives none");
        return;
    }
    let expected = oracle::runs(target.pid(), at, at + pages * page());
    for (no_query, no_scan) in [(false, false), (true, false), (false, true), (true, true)] {
        let process = Process::open(target.pid()).unwrap();
        process.as_core().disable_features(no_query, no_scan);
        let given = regions(&process, at, at + pages * page());
        assert_eq!(given.len(), expected.len());
        for (region, run) in given.iter().zip(&expected) {
            assert_eq!(
                (region.virt.start().as_u64(), region.size()),
                (run.start, run.end - run.start)
            );
            match run.state {
                State::Memory(address) => {
                    assert_eq!(region.backing.address().unwrap().as_u64(), address)
                }
                _ => assert_eq!(region.backing, Backing::NotPresent),
            }
        }
        // The whole of the process: also what lies beyond the lower half.
        let found = process.physical_regions(..).unwrap();
        let high = found
            .map(Result::unwrap)
            .filter(|region| region.virt.start().as_u64() >= at);
        assert!(high.filter(|region| region.backing.is_backed()).count() >= given.len() / 2);
    }
}

/// The areas of swap that are in use.
fn swaps() -> usize {
    let text = fs::read_to_string("/proc/swaps").unwrap_or_default();
    text.lines().skip(1).count()
}

#[test]
fn swapped_pages_are_told_with_their_place() {
    if !is_root_or_skip("swapped pages") {
        return;
    }
    if swaps() == 0 {
        eprintln!("SKIPPED swapped pages: no swap space");
        return;
    }
    let pages = 200;
    let target = Target::spawn(|| {
        let at = memory::anonymous(pages * page());
        memory::touch(at, 100, 1);
        // Asked for, not promised: some may be in use just now.
        for _ in 0..100 {
            assert!(memory::advise(at, 100 * page(), libc::MADV_PAGEOUT));
            let pagemap = Pagemap::open(std::process::id());
            if (0..100).all(|index| pagemap.entry(at + index * page()) >> 62 & 1 == 1) {
                break;
            }
        }
        // Some come back.
        memory::read(at + 20 * page(), 5);
        vec![at]
    });
    let at = target.addresses()[0];
    let expected = oracle::runs(target.pid(), at, at + pages * page());
    let is_swap = |state: State| matches!(state, State::Other(_));
    assert!(
        expected.iter().any(|run| is_swap(run.state)),
        "{expected:x?}"
    );
    for (no_query, no_scan) in [(false, false), (true, false), (false, true), (true, true)] {
        let process = Process::open(target.pid()).unwrap();
        process.as_core().disable_features(no_query, no_scan);
        let given = regions(&process, at, at + pages * page());
        assert_eq!(given.len(), expected.len(), "{given:x?}\n{expected:x?}");
        for (region, run) in given.iter().zip(&expected) {
            let place = (region.virt.start().as_u64(), region.virt.end().as_u64());
            assert_eq!(place, (run.start, run.end));
            match (region.backing, run.state) {
                (Backing::Swapped(Some(place)), State::Other(entry)) => {
                    let (area, offset) = (entry & 31, (entry & ((1 << 55) - 1)) >> 5);
                    assert_eq!((u64::from(place.area), place.offset), (area, offset));
                    assert!(region.anonymous);
                }
                (Backing::Ram(address), State::Memory(expected)) => {
                    assert_eq!(address.as_u64(), expected);
                }
                (Backing::NotPresent, State::Nothing) => {}
                _ => panic!("{region:x?}\n{run:x?}"),
            }
        }
        // Each page-table record has its own page's place.
        let pagemap = Pagemap::open(target.pid());
        for entry in process.page_table(at..at + pages * page()).unwrap() {
            let entry = entry.unwrap();
            let raw = pagemap.entry(entry.virt.start().as_u64());
            if let Backing::Swapped(place) = entry.backing {
                let place = place.map(|place| u64::from(place.area) | place.offset << 5);
                assert_eq!(place, Some(raw & ((1 << 55) - 1)), "{entry:x?}");
            } else {
                assert_eq!(raw >> 62 & 1, 0, "{entry:x?}");
            }
        }
        // Layout without addresses tells swap, too.
        let resident = process.resident_regions(at..at + pages * page()).unwrap();
        let swapped = resident
            .map(Result::unwrap)
            .filter(|region| matches!(region.backing, Backing::Swapped(_)));
        let bytes: u64 = swapped.map(|region| region.virt.size()).sum();
        let runs = expected.iter().filter(|run| is_swap(run.state));
        assert_eq!(bytes, runs.map(|run| run.end - run.start).sum::<u64>());
    }
}

/// The memory of PCI devices that a program can map, as files.
fn device_files() -> Vec<std::path::PathBuf> {
    let devices = fs::read_dir("/sys/bus/pci/devices").into_iter().flatten();
    let mut files = Vec::new();
    for device in devices.flatten() {
        for number in 0..6 {
            let file = device.path().join(format!("resource{number}"));
            if fs::metadata(&file).is_ok_and(|metadata| metadata.len() >= page()) {
                files.push(file);
            }
        }
    }
    files
}

#[test]
fn device_memory_is_never_told_to_be_absent_or_ram() {
    if !is_root_or_skip("device memory") {
        return;
    }
    let files = device_files();
    let target = Target::spawn(|| {
        let mut mapped = Vec::new();
        for file in &files {
            let fd = memory::open(file.to_str().unwrap());
            // Ports have such files, too, and cannot be mapped.
            let protection = libc::PROT_READ | libc::PROT_WRITE;
            if let Ok(at) = memory::try_map(page(), protection, libc::MAP_SHARED, fd, 0) {
                mapped.push(at);
            }
        }
        mapped
    });
    if target.addresses().is_empty() {
        eprintln!("SKIPPED device memory: no device's memory can be mapped");
        return;
    }
    for (no_query, no_scan) in [(false, false), (true, false), (false, true), (true, true)] {
        let process = Process::open(target.pid()).unwrap();
        process.as_core().disable_features(no_query, no_scan);
        for &at in target.addresses() {
            let given = regions(&process, at, at + page());
            let [region] = &given[..] else {
                panic!("{given:x?}");
            };
            assert!(
                matches!(region.backing, Backing::Unknown(_) | Backing::Device(_)),
                "{region:x?}"
            );
            let address = process.physical_address(at).unwrap();
            assert_eq!(address, region.backing.address());
        }
    }
}

#[test]
fn a_64_bit_process_is_seen_whole_by_a_32_bit_program() {
    if !is_root_or_skip("a 64-bit process") {
        return;
    }
    if usize::BITS != 32 {
        eprintln!(
            "SKIPPED a 64-bit process: this program has {} bits",
            usize::BITS
        );
        return;
    }
    // In a virtual machine the first process waits for this one.
    let areas = oracle::areas(1);
    if areas.iter().all(|area| area.end <= 1 << 32) {
        eprintln!("SKIPPED a 64-bit process: process 1 has only 32-bit addresses");
        return;
    }
    for (no_query, no_scan) in [(false, false), (true, false), (false, true), (true, true)] {
        let process = Process::open(1).unwrap();
        process.as_core().disable_features(no_query, no_scan);
        let mappings = process.virtual_regions(..).unwrap().map(Result::unwrap);
        let given: Vec<_> = mappings
            .map(|mapping| (mapping.range.start().as_u64(), mapping.range.end().as_u64()))
            .collect();
        let expected: Vec<_> = areas.iter().map(|area| (area.start, area.end)).collect();
        assert_eq!(given, expected);
        // Its code stays where it is.
        let code = areas
            .iter()
            .find(|area| area.permissions == "r-xp" && area.inode != 0);
        let code = code.expect("a program has code");
        let runs = oracle::runs(1, code.start, code.end);
        let given = regions(&process, code.start, code.end);
        assert!(given.iter().any(|region| region.backing.is_backed()));
        assert_eq!(given.len(), runs.len());
        for (region, run) in given.iter().zip(&runs) {
            assert_eq!(region.virt.start().as_u64(), run.start);
            if let State::Memory(address) = run.state {
                assert_eq!(region.backing.address().unwrap().as_u64(), address);
            }
        }
    }
}
