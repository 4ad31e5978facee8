//! Memory of groups of processes: each frame once, to the page, and as a plain count of all
//! page-map entries says.

use std::collections::{BTreeMap, HashMap};
use std::ffi::CString;
use std::fs::{self, File};
use std::ops::{ControlFlow, Range};
use std::os::unix::fs::FileExt;

use process_introspection::{
    AddrRange, Frames, GroupFrames, GroupPart, GroupScope, GroupedMemory, HugePool, MappingSummary,
    MemoryGroups, Mounts, PhysicalMap, Process, Summary, SummaryOptions, SummaryStep,
};
use testkit::machine::{is_root_or_skip, HugePages};
use testkit::memory::{self, huge, page};
use testkit::oracle::{self, Pagemap};
use testkit::target::{fork_sharer, Target};

/// A part of a target's addresses.
type Place<'a> = (&'a Target, Range<u64>);

/// Walks a part of a process, and returns its summary and mappings.
fn walk(pid: u32, range: Range<u64>) -> (Summary, Vec<MappingSummary>) {
    let process = Process::open(pid).unwrap();
    let map = PhysicalMap::read().unwrap();
    let mut mappings = Vec::new();
    let range = AddrRange::new(range.start, range.end).unwrap();
    let options = SummaryOptions::new(&map).frames();
    let summary = process.summary_with(&[range], &options, |step| {
        if let SummaryStep::Mapping(mapping) = step {
            mappings.push(mapping);
        }
        ControlFlow::Continue(())
    });
    (summary.unwrap(), mappings)
}

fn add<K: Ord>(groups: &mut MemoryGroups<K>, row: K, (target, range): &Place<'_>) {
    let (summary, mappings) = walk(target.pid(), range.clone());
    groups.add_process([(row, GroupPart::of_process(&summary, mappings))]);
}

fn finish<K: Ord>(groups: MemoryGroups<K>, scope: GroupScope, all: bool) -> GroupedMemory<K> {
    let map = PhysicalMap::read().unwrap();
    let grouped = groups.finish(scope, all, &Mounts::new(), &map).unwrap();
    for memory in grouped
        .rows
        .iter()
        .map(|(_, memory)| memory)
        .chain([&grouped.total])
    {
        let frames = memory.frames.as_ref().unwrap();
        let once = frames.resident + frames.hugetlb;
        assert_eq!(frames.nodes.values().sum::<u64>(), once, "{frames:?}");
        if let Some((own, shared)) = frames.own.zip(frames.shared) {
            assert_eq!(own + shared, once, "{frames:?}");
        }
        let usage = &memory.usage;
        assert!(once <= usage.resident + usage.hugetlb, "{memory:?}");
    }
    grouped
}

/// Returns the memory of these parts as one group.
fn group(places: &[Place<'_>]) -> GroupFrames {
    let mut groups = MemoryGroups::new();
    places.iter().for_each(|place| add(&mut groups, (), place));
    let grouped = finish(groups, GroupScope::Rows, false);
    assert_eq!(grouped.rows[0].1, grouped.total);
    assert_eq!(grouped.total.processes, places.len() as u64);
    grouped.total.frames.unwrap()
}

/// Returns what a group has of its own, and shares, in pages.
fn pages(places: &[Place<'_>]) -> (u64, u64) {
    let frames = group(places);
    (
        frames.own.unwrap() / page(),
        frames.shared.unwrap() / page(),
    )
}

/// A process that maps these pages of a file, and writes to them.
fn writer(fd: i32, pages: Range<u64>) -> Target {
    Target::spawn(|| {
        memory::keep_page_sizes();
        let (count, access) = (pages.end - pages.start, libc::PROT_READ | libc::PROT_WRITE);
        let offset = pages.start * page();
        let at = memory::try_map(count * page(), access, libc::MAP_SHARED, fd, offset).unwrap();
        memory::touch(at, count, 1);
        vec![at, at + count * page()]
    })
}

/// The addresses that a target has reported first and second.
fn place(target: &Target) -> Place<'_> {
    (target, target.addresses()[0]..target.addresses()[1])
}

#[test]
fn pages_that_a_fork_shares_count_once() {
    if !is_root_or_skip("pages_that_a_fork_shares_count_once") {
        return;
    }
    const PAGES: u64 = 64;
    let parent = Target::spawn(|| {
        memory::keep_page_sizes();
        let at = memory::anonymous(PAGES * page());
        memory::touch(at, PAGES, 1);
        let child = fork_sharer(|| memory::touch(at, PAGES / 4, 1));
        vec![at, at + PAGES * page(), child.into()]
    });
    let (_, range) = place(&parent);
    let child = parent.addresses()[2] as u32;
    let copied = || walk(child, range.clone()).0.total.unique == PAGES / 4 * page();
    assert!((0..2000).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(1));
        copied()
    }));
    assert_eq!(pages(&[place(&parent)]), (PAGES / 4, PAGES * 3 / 4));
    let mut groups = MemoryGroups::new();
    for pid in [parent.pid(), child] {
        let (summary, mappings) = walk(pid, range.clone());
        groups.add_process([("both", GroupPart::of_process(&summary, mappings))]);
    }
    let total = finish(groups, GroupScope::Rows, false).total;
    assert_eq!((total.processes, total.mappings), (2, 2));
    assert_eq!(total.usage.resident, 2 * PAGES * page());
    let frames = total.frames.unwrap();
    let once = (PAGES + PAGES / 4) * page();
    assert_eq!((frames.own, frames.shared), (Some(once), Some(0)));
}

#[test]
fn shared_memory_is_the_groups_own_only_where_nobody_else_maps_it() {
    if !is_root_or_skip("shared_memory_is_the_groups_own_only_where_nobody_else_maps_it") {
        return;
    }
    let fd = memory::memfd(100 * page());
    let (one, other, outside) = (writer(fd, 0..40), writer(fd, 20..60), writer(fd, 50..70));
    assert_eq!(pages(&[place(&one)]), (20, 20));
    assert_eq!(pages(&[place(&one), place(&other)]), (50, 10));
    assert_eq!(
        pages(&[place(&one), place(&other), place(&outside)]),
        (70, 0)
    );
    assert_eq!(pages(&[place(&one), place(&outside)]), (30, 30));
    // Groups beside each other, and parts of one group.
    let by_row = |scope| {
        let mut groups = MemoryGroups::new();
        add(&mut groups, 1, &place(&one));
        add(&mut groups, 2, &place(&other));
        let grouped = finish(groups, scope, false);
        let own = |(row, memory): &(i32, process_introspection::GroupMemory)| {
            (*row, memory.frames.as_ref().unwrap().own.unwrap() / page())
        };
        assert_eq!(grouped.total.frames.unwrap().own, Some(50 * page()));
        grouped.rows.iter().map(own).collect::<Vec<_>>()
    };
    assert_eq!(by_row(GroupScope::Rows), [(1, 20), (2, 10)]);
    assert_eq!(by_row(GroupScope::Whole), [(1, 40), (2, 30)]);
    // SAFETY: this test's own descriptor.
    unsafe { libc::close(fd) };
}

#[test]
fn what_one_process_maps_twice_is_its_own_and_counts_once() {
    if !is_root_or_skip("what_one_process_maps_twice_is_its_own_and_counts_once") {
        return;
    }
    let target = Target::spawn(|| {
        memory::keep_page_sizes();
        let fd = memory::memfd(8 * page());
        let at = memory::anonymous(16 * page());
        let access = libc::PROT_READ | libc::PROT_WRITE;
        for place in [at, at + 8 * page()] {
            memory::map_at(place, 8 * page(), access, libc::MAP_SHARED, fd, 0);
            memory::touch(place, 8, 1);
        }
        vec![at, at + 16 * page()]
    });
    assert_eq!(pages(&[place(&target)]), (8, 0));
    let (target, range) = place(&target);
    let half = (target, range.start..range.start + 8 * page());
    // A part of the process: the other one maps the rest.
    assert_eq!(pages(&[half]), (0, 8));
}

#[test]
fn a_files_pages_count_once_and_private_copies_beside_them() {
    if !is_root_or_skip("a_files_pages_count_once_and_private_copies_beside_them") {
        return;
    }
    const PAGES: u64 = 30;
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), vec![1u8; (PAGES * page()) as usize]).unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    let reader = |copies: u64| {
        Target::spawn(|| {
            let fd = memory::open(&path);
            let at = memory::map(PAGES * page(), libc::MAP_PRIVATE, fd);
            memory::read(at, PAGES);
            memory::touch(at, copies, 1);
            vec![at, at + PAGES * page()]
        })
    };
    let (one, other) = (reader(0), reader(10));
    assert_eq!(pages(&[place(&one), place(&other)]), (PAGES + 10, 0));
    assert_eq!(pages(&[place(&one)]), (10, PAGES - 10));
    assert_eq!(pages(&[place(&other)]), (10, PAGES - 10));
}

/// An unnamed file of hugetlb pages of the default size.
fn hugetlb_file(size: u64) -> i32 {
    let name = CString::new("hugetlb").unwrap();
    // SAFETY: a NUL-terminated name; the descriptor is new.
    unsafe {
        let fd = libc::memfd_create(name.as_ptr(), libc::MFD_HUGETLB);
        assert!(fd >= 0 && libc::ftruncate(fd, size as libc::off_t) == 0);
        fd
    }
}

/// Each reservation sets the number of pages that it has found, so there is one at a time.
#[test]
fn hugetlb_pages_count_once() {
    let test = "hugetlb_pages_count_once";
    if !is_root_or_skip(test) {
        return;
    }
    // Targets of other tests can inherit the first file, and keep its three pages.
    if let Some(reserved) = HugePages::reserve(4, test) {
        check_hugetlb_pages(reserved.size());
        check_shared_page_tables(reserved.size());
    }
}

fn check_hugetlb_pages(size: u64) {
    let fd = hugetlb_file(3 * size);
    let of_pages = |pages: Range<u64>| {
        Target::spawn(|| {
            let (count, access) = (pages.end - pages.start, libc::PROT_READ | libc::PROT_WRITE);
            let offset = pages.start * size;
            let at = memory::try_map(count * size, access, libc::MAP_SHARED, fd, offset).unwrap();
            memory::touch(at, count, size / page());
            vec![at, at + count * size]
        })
    };
    let pool = |free: u64| {
        let pools = HugePool::read_all();
        let pool = pools.into_iter().find(|pool| pool.size == size).unwrap();
        assert!(pool.total >= 3 && pool.free >= free, "{pool:?}");
    };
    pool(3);
    let (one, other, outside) = (of_pages(0..2), of_pages(1..3), of_pages(2..3));
    let both = group(&[place(&one), place(&other)]);
    let (own, shared) = (Some(2 * size), Some(size));
    assert_eq!(
        (both.own, both.shared, both.hugetlb),
        (own, shared, 3 * size)
    );
    assert_eq!(both.resident, 0);
    let all = group(&[place(&one), place(&other), place(&outside)]);
    assert_eq!(
        (all.own, all.shared, all.hugetlb),
        (Some(3 * size), Some(0), 3 * size)
    );
    let alone = group(&[place(&one)]);
    assert_eq!(
        (alone.own, alone.shared, alone.hugetlb),
        (Some(size), Some(size), 2 * size)
    );
    drop((one, other, outside));
    // SAFETY: this test's own descriptor.
    unsafe { libc::close(fd) };
}

/// Checks that hugetlb whose page tables processes can share is unknown unless all of them
/// were read.
fn check_shared_page_tables(size: u64) {
    let block = huge() * (page() / 8);
    if size != huge() || block > 1 << 30 {
        return eprintln!("SKIPPED shared page tables: their size is another one");
    }
    let fd = hugetlb_file(block);
    let mapper = || {
        Target::spawn(|| {
            let at = memory::aligned(block, block);
            let flags = libc::MAP_SHARED | libc::MAP_NORESERVE;
            let access = libc::PROT_READ | libc::PROT_WRITE;
            memory::map_at(at, block, access, flags, fd, 0);
            memory::touch(at, 1, 1);
            vec![at, at + block]
        })
    };
    let (one, other) = (mapper(), mapper());
    let alone = group(&[place(&one)]);
    assert_eq!((alone.own, alone.shared, alone.hugetlb), (None, None, size));
    let mut groups = MemoryGroups::new();
    add(&mut groups, 1, &place(&one));
    add(&mut groups, 2, &place(&other));
    // As if these two were all processes.
    let grouped = finish(groups, GroupScope::Rows, true);
    let first = fs::read_link("/proc/self/ns/pid").unwrap();
    if first.as_os_str() == "pid:[4026531836]" {
        for (_, memory) in &grouped.rows {
            let frames = memory.frames.as_ref().unwrap();
            assert_eq!((frames.own, frames.shared), (Some(0), Some(size)));
        }
        assert_eq!(grouped.total.frames.unwrap().own, Some(size));
    } else {
        assert_eq!(grouped.total.frames.unwrap().own, None);
    }
    drop((one, other));
    // SAFETY: this test's own descriptor.
    unsafe { libc::close(fd) };
}

#[test]
fn a_huge_page_that_a_fork_shares_is_the_groups_own() {
    let test = "a_huge_page_that_a_fork_shares_is_the_groups_own";
    if !is_root_or_skip(test) {
        return;
    }
    const MADV_COLLAPSE: i32 = 25;
    let parent = Target::spawn(|| {
        let at = memory::aligned(huge(), huge());
        memory::touch(at, 1, 1);
        memory::advise(at, huge(), libc::MADV_HUGEPAGE);
        memory::touch(at, huge() / page(), 1);
        memory::advise(at, huge(), MADV_COLLAPSE);
        let child = fork_sharer(|| ());
        vec![at, at + huge(), child.into()]
    });
    let (_, range) = place(&parent);
    let child = parent.addresses()[2] as u32;
    let parts = [parent.pid(), child].map(|pid| walk(pid, range.clone()));
    if parts[0]
        .0
        .coverage
        .is_none_or(|coverage| coverage.huge == 0)
    {
        return eprintln!("SKIPPED {test}: no huge page to be had");
    }
    let alone = group(&[place(&parent)]);
    let is_exact = testkit::machine::kernel() < (6, 15)
        || Frames::open().unwrap().counts_each_page() == Some(true);
    let known = |bytes: u64| is_exact.then_some(bytes);
    assert_eq!((alone.own, alone.shared), (known(0), known(huge())));
    let mut groups = MemoryGroups::new();
    for (summary, mappings) in parts {
        groups.add_process([((), GroupPart::of_process(&summary, mappings))]);
    }
    let frames = finish(groups, GroupScope::Rows, false)
        .total
        .frames
        .unwrap();
    assert_eq!((frames.own, frames.shared), (known(huge()), known(0)));
    assert_eq!(frames.resident, huge());
}

#[test]
fn kernels_that_count_each_page_are_recognised() {
    let test = "kernels_that_count_each_page_are_recognised";
    if !is_root_or_skip(test) {
        return;
    }
    match Frames::open().unwrap().counts_each_page() {
        None => eprintln!("SKIPPED {test}: the kernel makes no huge page for it (Linux 6.1)"),
        // The option is experimental, and no distribution sets it.
        Some(exact) => assert!(exact || testkit::machine::kernel() >= (6, 15)),
    }
}

/// Returns what a group of whole processes has of its own and shares, in pages, from every
/// entry of the page map and the mapcount of every frame; without hugetlb and zero pages.
fn counted(pids: &[u32]) -> (u64, u64) {
    let mut times = HashMap::<u64, u64>::new();
    for &pid in pids {
        let pagemap = Pagemap::open(pid);
        for area in oracle::areas(pid) {
            for at in (area.start..area.end).step_by(page() as usize) {
                let entry = pagemap.entry(at);
                if entry >> 63 == 1 {
                    *times.entry(entry & ((1 << 55) - 1)).or_default() += 1;
                }
            }
        }
    }
    let [counts, flags] = ["/proc/kpagecount", "/proc/kpageflags"].map(|name| {
        let file = File::open(name).unwrap();
        move |frame: u64| {
            let mut word = [0; 8];
            file.read_exact_at(&mut word, frame * 8).unwrap();
            u64::from_ne_bytes(word)
        }
    });
    let (mut own, mut shared) = (0, 0);
    // NOPAGE, ZERO_PAGE: neither is memory of a process. The page of the vDSO is, though it is
    // reserved: every process of a 32-bit kernel calls it.
    const NONE: u64 = 1 << 20 | 1 << 24;
    for (frame, times) in times {
        let count = counts(frame);
        if flags(frame) & NONE != 0 || count == 0 {
            continue;
        }
        match times >= count {
            true => own += 1,
            false => shared += 1,
        }
    }
    (own, shared)
}

#[test]
fn whole_processes_have_what_a_count_of_every_entry_says() {
    let test = "whole_processes_have_what_a_count_of_every_entry_says";
    if !is_root_or_skip(test) {
        return;
    }
    let fd = memory::memfd(50 * page());
    let targets = [writer(fd, 0..30), writer(fd, 10..40), writer(fd, 35..50)];
    targets.iter().for_each(Target::stop);
    let whole = |target| (target, 0..u64::MAX);
    for chosen in [&[0][..], &[0, 1], &[1, 2], &[0, 1, 2]] {
        let pids: Vec<_> = chosen.iter().map(|&index| targets[index].pid()).collect();
        let places: Vec<_> = chosen.iter().map(|&index| whole(&targets[index])).collect();
        let mut seen = BTreeMap::new();
        // Pages of the C library come and go with other processes.
        let agrees = (0..50).any(|_| {
            let (before, ours, after) = (counted(&pids), pages(&places), counted(&pids));
            seen.insert(ours, before);
            before == after && ours == before
        });
        assert!(agrees, "{chosen:?}: {seen:?}");
    }
    // SAFETY: this test's own descriptor.
    unsafe { libc::close(fd) };
}
