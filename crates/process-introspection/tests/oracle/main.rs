//! Records of real processes against the naive oracle, by every path through
//! the core: the ioctl or the text for areas, scanning or reading for pages.

mod states;

use std::ops::ControlFlow;

use process_introspection::{Backing, PhysicalRegion, Process, UnknownReason};
use process_introspection_core::vma::VmaCursor;
use testkit::machine::{
    has_addresses_or_skip, has_area_query_or_skip, has_page_scan_or_skip, is_root_or_skip,
    HugePages,
};
use testkit::memory::{self, page};
use testkit::oracle::{self, Run, State};
use testkit::random::Random;
use testkit::scale::scaled;
use testkit::target::Target;

/// The ways to walk: without the query ioctl, without the scan ioctl.
const PATHS: [(bool, bool); 4] = [(false, false), (true, false), (false, true), (true, true)];

fn open(target: &Target, (no_query, no_scan): (bool, bool)) -> Process {
    let process = Process::open(target.pid()).expect("the target");
    process.as_core().disable_features(no_query, no_scan);
    process
}

fn regions(process: &Process, start: u64, end: u64) -> Vec<PhysicalRegion> {
    let walk = process.physical_regions(start..end).expect("a walk");
    let given: Vec<_> = walk.map(|region| region.expect("a region")).collect();
    let mut lent = Vec::new();
    let walked = process.walk(start..end).for_each(|region| {
        lent.push(region.pages.clone());
        ControlFlow::Continue(())
    });
    walked.expect("a walk");
    assert_eq!(given, lent);
    let iterated = process.walk(start..end).iter().expect("a walk");
    let iterated = iterated.map(|region| region.expect("a region").pages);
    assert!(iterated.eq(given.iter().cloned()));
    given
}

fn assert_same(region: &PhysicalRegion, run: &Run) {
    let context = format!("{region:x?}\n{run:x?}");
    assert_eq!(
        (region.virt.start().as_u64(), region.virt.end().as_u64()),
        (run.start, run.end),
        "{context}"
    );
    match (region.backing, run.state) {
        (Backing::Ram(address), State::Memory(expected)) => {
            assert_eq!(address.as_u64(), expected, "{context}")
        }
        (Backing::Zero(address), State::Zero(expected)) => {
            assert_eq!(address.as_u64(), expected, "{context}")
        }
        (Backing::NotPresent, State::Nothing) => {}
        (Backing::Unknown(UnknownReason::HugePage), State::Hugetlb) => {}
        (Backing::Unknown(_), State::Nothing) => {
            assert!(run.area.name.starts_with("[vvar"), "{context}")
        }
        (Backing::Guard, State::Guard) => {}
        // Userfaultfd's marker, the last type.
        (Backing::Marker, State::Other(entry)) => assert_eq!(entry & 0xfff, 1 << 5 | 31),
        (Backing::Poisoned, State::Other(entry)) => assert_eq!(entry & 0xfff, 2 << 5 | 31),
        _ => panic!("{context}"),
    }
    assert_eq!(region.anonymous, run.anonymous, "{context}");
    assert_eq!(region.offset(), run.offset, "{context}");
    assert_eq!(region.mapping.inode, run.area.inode, "{context}");
    assert_eq!(
        (region.mapping.device.major, region.mapping.device.minor),
        run.area.device,
        "{context}"
    );
    assert_eq!(
        region.mapping.name().to_string_lossy(),
        run.area.name,
        "{context}"
    );
    assert_eq!(
        format!(
            "{}{}",
            region.mapping.protection,
            if region.mapping.shared { 's' } else { 'p' }
        ),
        run.area.permissions,
        "{context}"
    );
}

/// Compares all of `start..end`, and random parts of it, by every path. A
/// difference is excused, and all done again, only if the oracle itself has
/// another answer afterwards: the kernel moves pages to make room for huge ones.
fn check(target: &Target, start: u64, end: u64) {
    let both = || {
        let scanned = oracle::runs(target.pid(), start, end);
        (scanned, oracle::runs_without_scan(target.pid(), start, end))
    };
    for _ in 0..5 {
        let whole = both();
        let compare = || compare(target, start, end, &whole);
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(compare)) {
            Ok(()) => return,
            Err(_) if both() != whole => {}
            Err(difference) => std::panic::resume_unwind(difference),
        }
    }
    panic!("the target's pages do not stay where they are");
}

fn compare(target: &Target, start: u64, end: u64, whole: &(Vec<Run>, Vec<Run>)) {
    let mut random = Random::new(start ^ end);
    for path in PATHS {
        let process = open(target, path);
        let whole = if path.1 { &whole.1 } else { &whole.0 };
        let regions_of_all = regions(&process, start, end);
        for (region, run) in regions_of_all.iter().zip(whole) {
            assert_same(region, run);
        }
        assert_eq!(regions_of_all.len(), whole.len(), "{path:?}");
        let pages = (end - start) / page();
        for _ in 0..scaled(20).max(4) {
            let first = random.below(pages);
            let count = 1 + random.below((pages - first).min(700));
            let (low, high) = (start + first * page(), start + (first + count) * page());
            // Unaligned bounds mean the same pages.
            let part = regions(
                &process,
                low + random.below(page() / 2),
                high - random.below(page() / 2),
            );
            let expected = match path.1 {
                true => oracle::runs_without_scan(target.pid(), low, high),
                false => oracle::runs(target.pid(), low, high),
            };
            assert_eq!(part.len(), expected.len(), "{path:?} {low:x}-{high:x}");
            for (region, run) in part.iter().zip(&expected) {
                assert_same(region, run);
            }
        }
        check_page_table(&process, whole);
    }
}

/// Page-table records tile the same pages and give the same addresses: of
/// about a hundred runs, or fewer.
fn check_page_table(process: &Process, whole: &[Run]) {
    let about = scaled(100).max(10) as usize;
    for run in whole.iter().step_by(1 + whole.len() / about) {
        let mut next = run.start;
        for entry in process.page_table(run.start..run.end).expect("a walk") {
            let entry = entry.expect("an entry");
            let (start, size) = (entry.virt.start().as_u64(), entry.page_size.bytes());
            assert_eq!(entry.virt.size(), size);
            assert_eq!(start % size, 0, "{entry:x?}");
            assert!(
                start <= next && entry.virt.end().as_u64() > next,
                "{entry:x?} at {next:x}"
            );
            let expected = match run.state {
                State::Memory(address) | State::Zero(address) => Some(address + (next - run.start)),
                _ => None,
            };
            let given = entry
                .backing
                .address()
                .map(|address| address.as_u64() + (next - start));
            assert_eq!(given, expected, "{entry:x?}");
            next = entry.virt.end().as_u64();
        }
        assert!(next >= run.end);
    }
}

fn around(target: &Target, size: u64) -> (u64, u64) {
    let start = target.addresses()[0];
    (start - 16 * page(), start + size + 16 * page())
}

#[test]
fn touched_memory_is_reported_as_the_page_map_says() {
    if !is_root_or_skip("touched memory") {
        return;
    }
    let size = 3000 * page();
    let target = Target::spawn(|| {
        let at = memory::anonymous(size);
        memory::touch(at, 3000, 1);
        vec![at]
    });
    let (start, end) = around(&target, size);
    check(&target, start, end);
}

#[test]
fn holes_of_every_size_are_reported_as_the_page_map_says() {
    if !is_root_or_skip("holes") {
        return;
    }
    let pages = scaled(60_000);
    let size = pages * page();
    let target = Target::spawn(|| {
        let at = memory::anonymous(size);
        let mut random = Random::new(7);
        let mut next = 0;
        while next < pages {
            // Pages in runs of up to 2^k, holes of up to 2^j.
            let (longest, widest) = (random.below(11), random.below(13));
            let run = 1 + random.below(1 << longest);
            memory::touch(at + next * page(), run.min(pages - next), 1);
            next += run + random.below(1 << widest);
        }
        vec![at]
    });
    let (start, end) = around(&target, size);
    check(&target, start, end);
}

#[test]
fn the_whole_of_a_process_is_reported_as_the_page_map_says() {
    if !is_root_or_skip("a whole process") {
        return;
    }
    let target = Target::spawn(|| vec![0]);
    // Reservations of the test runtime would keep the oracle busy for hours.
    let areas = oracle::areas(target.pid());
    for area in areas.iter().filter(|area| area.end - area.start < 1 << 30) {
        let expected = oracle::runs(target.pid(), area.start, area.end);
        for path in PATHS {
            let process = open(&target, path);
            let given = regions(&process, area.start, area.end);
            assert_eq!(given.len(), expected.len(), "{area:?}");
            for (region, run) in given.iter().zip(&expected) {
                assert_same(region, run);
            }
        }
    }
}

#[test]
fn virtual_regions_are_the_lines_of_maps() {
    let target = Target::spawn(|| vec![0]);
    let areas = oracle::areas(target.pid());
    for path in PATHS {
        let process = open(&target, path);
        let given: Vec<_> = process
            .virtual_regions(..)
            .expect("a walk")
            .map(|mapping| mapping.expect("a mapping"))
            .collect();
        assert_eq!(given.len(), areas.len(), "{path:?}");
        for (mapping, area) in given.iter().zip(&areas) {
            assert_eq!(
                (mapping.range.start().as_u64(), mapping.range.end().as_u64()),
                (area.start, area.end)
            );
            assert_eq!(mapping.name().to_string_lossy(), area.name);
            assert_eq!((mapping.offset, mapping.inode), (area.offset, area.inode));
        }
    }
}

#[test]
fn the_text_leaves_out_vsyscall_whatever_storage_names_have() {
    let target = Target::spawn(|| vec![0]);
    let expected: Vec<_> = oracle::areas(target.pid())
        .iter()
        .map(|area| (area.start, area.end))
        .collect();
    let process = open(&target, (false, false));
    fn all<const N: usize>(process: &Process) -> Vec<(u64, u64)> {
        let (mut cursor, mut next) = (VmaCursor::from_text([0u8; N]), 0);
        let mut given = Vec::new();
        while let Some(vma) = cursor.next_from(process.as_core(), next).unwrap() {
            next = vma.range.end().as_u64();
            given.push((vma.range.start().as_u64(), next));
        }
        given
    }
    assert_eq!(all::<0>(&process), expected);
    assert_eq!(all::<1>(&process), expected);
    assert_eq!(all::<9>(&process), expected);
    assert_eq!(all::<10>(&process), expected);
    assert_eq!(all::<512>(&process), expected);
}

#[test]
fn private_copies_are_told_from_the_files_pages() {
    if !is_root_or_skip("private copies") {
        return;
    }
    let size = 600 * page();
    let target = Target::spawn(|| {
        let fd = memory::memfd(size);
        let shared = memory::map(size, libc::MAP_SHARED, fd);
        memory::touch(shared, 500, 1);
        let private = memory::map(size, libc::MAP_PRIVATE, fd);
        memory::read(private, 400);
        memory::touch(private + 5 * page(), 40, 3);
        vec![private, shared]
    });
    for &at in target.addresses() {
        check(&target, at, at + size);
    }
    let process = Process::open(target.pid()).unwrap();
    let private = target.addresses()[0];
    let kinds: Vec<bool> = regions(&process, private, private + size)
        .iter()
        .filter(|region| region.backing.is_backed())
        .map(|region| region.anonymous)
        .collect();
    assert_eq!(kinds.iter().filter(|&&copy| copy).count(), 40);
}

#[test]
fn zero_pages_are_backed_at_their_own_address_a_record_a_page() {
    if !is_root_or_skip("zero pages") {
        return;
    }
    let size = 64 * page();
    let target = Target::spawn(|| {
        let at = memory::anonymous(size);
        memory::read(at, 20);
        memory::touch(at + 5 * page(), 1, 1);
        vec![at]
    });
    let at = target.addresses()[0];
    check(&target, at, at + size);
    let process = Process::open(target.pid()).unwrap();
    let given = regions(&process, at, at + size);
    let zeros = given
        .iter()
        .filter(|region| matches!(region.backing, Backing::Zero(_)))
        .count();
    assert_eq!(zeros, 19);
}

#[test]
fn the_zero_page_is_known_to_a_caller_that_locks_all_its_memory() {
    if !is_root_or_skip("a caller that locks") {
        return;
    }
    let size = 4 * page();
    let read = Target::spawn(|| {
        let at = memory::anonymous(size);
        memory::read(at, 1);
        vec![at]
    });
    let (pid, at) = (read.pid(), read.addresses()[0]);
    let locker = Target::spawn(|| {
        // SAFETY: takes no memory.
        let locked = unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE) } == 0;
        let process = Process::open(pid).unwrap();
        let region = process
            .physical_regions(at..at + size)
            .unwrap()
            .next()
            .unwrap()
            .unwrap();
        vec![
            u64::from(locked),
            u64::from(matches!(region.backing, Backing::Zero(_))),
        ]
    });
    assert_eq!(locker.addresses(), [1, 1]);
}

#[test]
fn huge_pages_are_consecutive_and_their_leaf_entries_whole() {
    if !is_root_or_skip("huge pages") {
        return;
    }
    let huge = memory::huge();
    let size = 6 * huge;
    let target = Target::spawn(|| {
        let at = memory::aligned(size, huge);
        memory::advise(at, size, libc::MADV_HUGEPAGE);
        // Two by writing, one huge zero page by reading, one to be split.
        memory::touch(at, 2, huge / page());
        memory::read(at + 2 * huge, 1);
        memory::touch(at + 3 * huge, 1, 1);
        memory::advise(at + 3 * huge + 7 * page(), page(), libc::MADV_DONTNEED);
        memory::touch(at + 3 * huge + 7 * page(), 1, 1);
        memory::keep_page_sizes();
        vec![at]
    });
    let at = target.addresses()[0];
    check(&target, at, at + size);
    if !has_page_scan_or_skip("leaf entries of huge pages") {
        return;
    }
    let process = Process::open(target.pid()).unwrap();
    let leaves: Vec<_> = process
        .page_table(at..at + 2 * huge)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(leaves.len(), 2, "transparent huge pages: {leaves:?}");
    // The entry's own start, also for an address in its middle.
    let middle = at + huge + 5 * page();
    let leaf: Vec<_> = process
        .page_table(middle..=middle)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(leaf.len(), 1);
    assert_eq!(
        (leaf[0].virt.start().as_u64(), leaf[0].page_size.bytes()),
        (at + huge, huge)
    );
    let physical = process.physical_address(middle).unwrap().unwrap().as_u64();
    assert_eq!(
        leaf[0].backing.address().unwrap().as_u64() + 5 * page(),
        physical
    );
    let zero: Vec<_> = regions(&process, at + 2 * huge, at + 3 * huge);
    assert_eq!(zero.len(), 1);
    assert!(matches!(zero[0].backing, Backing::Zero(_)), "{zero:?}");
    let split: Vec<_> = process
        .page_table(at + 3 * huge..at + 4 * huge)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(split.len() as u64, huge / page());
}

#[test]
fn hugetlb_pages_have_their_size() {
    if !is_root_or_skip("hugetlb") {
        return;
    }
    let Some(pages) = HugePages::reserve(4, "hugetlb") else {
        return;
    };
    let huge = pages.size();
    for flags in [libc::MAP_PRIVATE, libc::MAP_SHARED] {
        let target = Target::spawn(|| {
            let at = memory::map(
                4 * huge,
                flags | libc::MAP_ANONYMOUS | libc::MAP_HUGETLB,
                -1,
            );
            memory::touch(at, 3, huge / page());
            vec![at]
        });
        let at = target.addresses()[0];
        check(&target, at, at + 4 * huge);
        if !has_area_query_or_skip("the size of hugetlb pages") {
            continue;
        }
        let process = Process::open(target.pid()).unwrap();
        let region = regions(&process, at, at + huge).remove(0);
        assert_eq!(region.mapping.kind().name(), "hugetlb");
        assert_eq!(
            process
                .page_size_of(&region)
                .unwrap()
                .map(|size| size.bytes()),
            Some(huge)
        );
        let leaves: Vec<_> = process
            .page_table(at..at + 4 * huge)
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(leaves.len() as u64, 3 + huge / page());
        // By the text an object's huge pages are of unknown size: base pages.
        process.as_core().disable_features(true, false);
        let by_text = process.page_table(at..at + huge).unwrap().count() as u64;
        assert_eq!(by_text, huge / page());
    }
}

#[test]
fn guards_are_told_from_swap_and_from_nothing() {
    if !is_root_or_skip("guards") {
        return;
    }
    let size = 200 * page();
    let target = Target::spawn(|| {
        let at = memory::anonymous(size);
        memory::touch(at, 100, 1);
        let known = memory::advise(at + 10 * page(), 30 * page(), memory::MADV_GUARD_INSTALL)
            && memory::advise(at + 150 * page(), 30 * page(), memory::MADV_GUARD_INSTALL);
        vec![at, u64::from(known)]
    });
    if target.addresses()[1] == 0 {
        eprintln!("SKIPPED guards: this kernel has no guard regions (Linux 6.13)");
        return;
    }
    let at = target.addresses()[0];
    check(&target, at, at + size);
    let process = Process::open(target.pid()).unwrap();
    let states: Vec<_> = regions(&process, at + 140 * page(), at + size)
        .iter()
        .map(|region| (region.backing, region.size() / page()))
        .collect();
    assert_eq!(
        states,
        [
            (Backing::NotPresent, 10),
            (Backing::Guard, 30),
            (Backing::NotPresent, 20)
        ]
    );
}

#[test]
fn many_small_areas_are_reported_as_the_page_map_says() {
    if !is_root_or_skip("small areas") {
        return;
    }
    let pages = scaled(3000).max(600);
    let size = pages * page();
    let target = Target::spawn(|| {
        let at = memory::anonymous(size);
        memory::touch(at, pages, 1);
        for index in (0..pages).step_by(2) {
            memory::protect(at + index * page(), page(), libc::PROT_READ);
        }
        for index in (0..pages).step_by(50) {
            memory::unmap(at + index * page(), 7 * page());
        }
        vec![at]
    });
    let (start, end) = around(&target, size);
    check(&target, start, end);
}

#[test]
fn memory_stays_present_without_any_protection() {
    if !is_root_or_skip("no protection") {
        return;
    }
    let target = Target::spawn(|| {
        let at = memory::anonymous(8 * page());
        memory::touch(at, 8, 1);
        memory::protect(at, 8 * page(), libc::PROT_NONE);
        vec![at]
    });
    let at = target.addresses()[0];
    check(&target, at, at + 8 * page());
    let process = Process::open(target.pid()).unwrap();
    assert!(regions(&process, at, at + 8 * page())
        .iter()
        .all(|region| region.backing.is_backed()));
}

#[test]
fn shared_anonymous_memory_has_an_inode_and_is_not_anonymous() {
    if !is_root_or_skip("shared anonymous memory") {
        return;
    }
    let target = Target::spawn(|| {
        let shared = memory::map(8 * page(), libc::MAP_SHARED | libc::MAP_ANONYMOUS, -1);
        memory::touch(shared, 5, 1);
        let zero = memory::open("/dev/zero");
        let private = memory::map(8 * page(), libc::MAP_PRIVATE, zero);
        memory::touch(private, 5, 1);
        vec![shared, private]
    });
    let [shared, private] = *target.addresses() else {
        panic!()
    };
    check(&target, shared, shared + 8 * page());
    check(&target, private, private + 8 * page());
    let process = Process::open(target.pid()).unwrap();
    let region = regions(&process, shared, shared + page()).remove(0);
    assert!(!region.anonymous && region.mapping.inode != 0);
    assert_eq!(region.mapping.kind().name(), "shm");
    let copy = regions(&process, private, private + page()).remove(0);
    assert!(copy.anonymous && copy.mapping.inode != 0);
}

#[test]
fn a_reservation_of_a_terabyte_is_skipped_not_read() {
    let size = 1u64 << 40;
    if !is_root_or_skip("a reservation")
        || !has_page_scan_or_skip("a reservation")
        || !has_addresses_or_skip(size, "a reservation")
    {
        return;
    }
    let target = Target::spawn(|| {
        let at = memory::anonymous(size);
        memory::touch(at, 64, (16 << 30) / page());
        vec![at]
    });
    let at = target.addresses()[0];
    let process = open(&target, (false, false));
    let given = regions(&process, at, at + size);
    let backed: Vec<u64> = given
        .iter()
        .filter(|region| region.backing.is_backed())
        .map(|region| region.virt.start().as_u64())
        .collect();
    assert_eq!(
        backed,
        (0..64)
            .map(|index| at + index * (16 << 30))
            .collect::<Vec<_>>()
    );
    let total: u64 = given.iter().map(PhysicalRegion::size).sum();
    assert_eq!(total, size, "regions tile the area");
    let pagemap = oracle::Pagemap::open(target.pid());
    for region in given.iter().filter(|region| region.backing.is_backed()) {
        let expected = (pagemap.entry(region.virt.start().as_u64()) & ((1 << 55) - 1)) * page();
        assert_eq!(
            region.backing.address().map(|address| address.as_u64()),
            Some(expected)
        );
    }
}
