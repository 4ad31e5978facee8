//! Walks by several threads: the same regions, in the same order, in bounded
//! memory, and an end that leaves no thread behind.

mod threads;

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use process_introspection::{Backing, Error, PhysicalRegion, Process};
use testkit::machine::{has_addresses_or_skip, has_page_scan_or_skip, is_root_or_skip, HugePages};
use testkit::memory::{self, page};
use testkit::oracle::{self, Pagemap};
use testkit::random::Random;
use testkit::scale::{one_case_in, scaled};
use testkit::target::Target;

const HUGE: u64 = 2 << 20;
const THREADS: [usize; 5] = [0, 1, 2, 3, 8];

/// All of them, or where the machine is emulated 0 and 3.
fn thread_counts() -> impl Iterator<Item = usize> {
    THREADS.into_iter().step_by(one_case_in().min(3))
}

/// Without the query ioctl, without the scan ioctl.
const PATHS: [(bool, bool); 4] = [(false, false), (true, false), (false, true), (true, true)];

fn open(pid: u32, (no_query, no_scan): (bool, bool)) -> Process {
    let process = Process::open(pid).expect("the target");
    process.as_core().disable_features(no_query, no_scan);
    process
}

fn parallel(
    process: &Process,
    start: u64,
    end: u64,
    threads: usize,
) -> (Vec<PhysicalRegion>, Result<(), Error>) {
    let mut regions = Vec::new();
    let result = process
        .walk(start..end)
        .threads(threads)
        .for_each(|region| {
            regions.push(region.pages.clone());
            ControlFlow::Continue(())
        });
    (regions, result)
}

fn serial(process: &Process, start: u64, end: u64) -> Vec<PhysicalRegion> {
    let regions = process.physical_regions(start..end).expect("a walk");
    regions.map(|region| region.expect("a region")).collect()
}

/// What `walk` gives, between two ordinary walks that agree: the kernel may move
/// pages at any time, to make room for huge ones.
fn while_nothing_moves<T>(
    process: &Process,
    start: u64,
    end: u64,
    mut walk: impl FnMut() -> T,
) -> (Vec<PhysicalRegion>, T) {
    let mut before = serial(process, start, end);
    for _ in 0..100 {
        let given = walk();
        let after = serial(process, start, end);
        if before == after {
            return (after, given);
        }
        before = after;
    }
    panic!("pages never come to rest");
}

/// Walks `start..end` in each of these ways, with every number of threads.
fn check_paths(pid: u32, start: u64, end: u64, paths: &[(bool, bool)]) {
    for &path in paths {
        let process = open(pid, path);
        for threads in thread_counts() {
            let walk = || parallel(&process, start, end, threads);
            let (expected, (given, result)) = while_nothing_moves(&process, start, end, walk);
            assert!(!expected.is_empty());
            result.expect("a walk");
            // Not assert_eq: nobody could read it.
            let same = given
                .iter()
                .zip(&expected)
                .take_while(|(a, b)| a == b)
                .count();
            assert!(
                same == expected.len() && same == given.len(),
                "{path:?}, {threads} threads: {} and {} regions, {same} the same; then {:x?} and {:x?}",
                given.len(),
                expected.len(),
                given.get(same),
                expected.get(same)
            );
        }
    }
}

fn check(pid: u32, start: u64, end: u64) {
    check_paths(pid, start, end, &PATHS);
}

/// Memory of which hardly two neighbouring pages are neighbours physically.
fn fragmented(size: u64) -> u64 {
    let at = memory::anonymous(size);
    let mut order: Vec<u64> = (0..size / page()).collect();
    let mut random = Random::new(size);
    for index in (1..order.len()).rev() {
        order.swap(index, random.below(index as u64 + 1) as usize);
    }
    for index in order {
        memory::touch(at + index * page(), 1, 1);
    }
    at
}

#[test]
fn fragmented_memory_comes_out_as_in_an_ordinary_walk() {
    if !is_root_or_skip("fragmented memory") {
        return;
    }
    let size = scaled(65_536) * page();
    let target = Target::spawn(|| vec![fragmented(size)]);
    let at = target.addresses()[0];
    check(target.pid(), at, at + size);
    // Parts of it: neither end on a border.
    let mut random = Random::new(11);
    let process = open(target.pid(), (false, false));
    for threads in [1, 2, 3, 8] {
        let low = at + random.below(size / 4);
        let high = at + size - random.below(size / 4);
        let walk = || parallel(&process, low, high, threads);
        let (expected, (given, result)) = while_nothing_moves(&process, low, high, walk);
        result.expect("a walk");
        assert!(given == expected, "{low:x}-{high:x}");
    }
}

#[test]
fn dense_memory_and_holes_of_every_size_come_out_as_in_an_ordinary_walk() {
    if !is_root_or_skip("dense memory and holes") {
        return;
    }
    let pages = scaled(100_000);
    let target = Target::spawn(|| {
        let at = memory::anonymous(pages * page());
        memory::touch(at, pages / 4, 1);
        let mut random = Random::new(5);
        let mut next = pages / 4;
        while next < pages {
            let (longest, widest) = (random.below(11), random.below(15));
            let run = 1 + random.below(1 << longest);
            memory::touch(at + next * page(), run.min(pages - next), 1);
            next += run + random.below(1 << widest);
        }
        // The zero page, which never joins with itself.
        memory::read(at + pages / 2 * page(), pages / 32);
        vec![at]
    });
    let at = target.addresses()[0];
    check(target.pid(), at, at + pages * page());
}

#[test]
fn a_reservation_of_a_terabyte_comes_out_as_in_an_ordinary_walk() {
    let (size, touched) = (scaled(1 << 40), scaled(4096));
    if !is_root_or_skip("a reservation") || !has_addresses_or_skip(size, "a reservation") {
        return;
    }
    let target = Target::spawn(|| {
        let at = memory::anonymous(size);
        memory::touch(at, touched, size / touched / page());
        vec![at]
    });
    let at = target.addresses()[0];
    // Without a scan a thousandth of it is all that can be read in a while.
    check(target.pid(), at, at + scaled(4 << 30));
    if has_page_scan_or_skip("the whole of a reservation") {
        check_paths(
            target.pid(),
            at,
            at + size,
            &[(false, false), (true, false)],
        );
    }
}

#[test]
fn huge_pages_come_out_as_in_an_ordinary_walk() {
    if !is_root_or_skip("huge pages") {
        return;
    }
    let size = 64 * HUGE;
    let target = Target::spawn(|| {
        let at = memory::aligned(size, HUGE);
        memory::advise(at, size, libc::MADV_HUGEPAGE);
        memory::touch(at, 20, HUGE / page());
        // Huge zero pages, and one that is split.
        for index in 20..40 {
            memory::read(at + index * HUGE, 1);
        }
        memory::touch(at + 44 * HUGE, 20, HUGE / page());
        memory::advise(at + 50 * HUGE + 7 * page(), page(), libc::MADV_DONTNEED);
        vec![at]
    });
    let at = target.addresses()[0];
    check(target.pid(), at, at + size);
    check(target.pid(), at + 3 * page(), at + size - 5 * page());
}

#[test]
fn hugetlb_pages_come_out_as_in_an_ordinary_walk() {
    if !is_root_or_skip("hugetlb") {
        return;
    }
    let Some(pages) = HugePages::reserve(8, "hugetlb") else {
        return;
    };
    let huge = pages.size();
    let target = Target::spawn(|| {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_HUGETLB;
        let at = memory::map(8 * huge, flags, -1);
        memory::touch(at, 6, huge / page());
        vec![at]
    });
    let at = target.addresses()[0];
    check(target.pid(), at, at + 8 * huge);
    check(target.pid(), at + 3 * page(), at + 7 * huge + 5 * page());
}

#[test]
fn many_small_areas_come_out_as_in_an_ordinary_walk() {
    if !is_root_or_skip("small areas") {
        return;
    }
    let pages = scaled(5000).max(1000);
    let target = Target::spawn(|| {
        let at = memory::anonymous(pages * page());
        memory::touch(at, pages, 1);
        for index in (0..pages).step_by(2) {
            memory::protect(at + index * page(), page(), libc::PROT_READ);
        }
        for index in (0..pages).step_by(50) {
            memory::unmap(at + index * page(), 7 * page());
        }
        vec![at]
    });
    let at = target.addresses()[0];
    check(target.pid(), at, at + pages * page());
}

#[test]
fn files_and_private_copies_come_out_as_in_an_ordinary_walk() {
    if !is_root_or_skip("files") {
        return;
    }
    let size = 12_288 * page();
    let target = Target::spawn(|| {
        let fd = memory::memfd(size);
        let shared = memory::map(size, libc::MAP_SHARED, fd);
        memory::touch(shared, size / page() / 2, 1);
        let private = memory::map(size, libc::MAP_PRIVATE, fd);
        memory::read(private, size / page() / 3);
        memory::touch(private + 5 * page(), 1000, 3);
        vec![private, shared]
    });
    for &at in target.addresses() {
        check(target.pid(), at, at + size);
    }
}

#[test]
fn the_whole_of_a_process_comes_out_as_in_an_ordinary_walk() {
    if !is_root_or_skip("a whole process") {
        return;
    }
    let target = Target::spawn(|| vec![0]);
    // Some test runtimes, as sanitizers, reserve what would take hours to read.
    let areas = oracle::areas(target.pid());
    let mapped: u64 = areas.iter().map(|area| area.end - area.start).sum();
    let with_scans = [(false, false), (true, false)];
    let paths = match mapped < 4 << 30 {
        true => &PATHS[..],
        false => &with_scans,
    };
    if mapped < 4 << 30 || has_page_scan_or_skip("a whole process") {
        check_paths(target.pid(), 0, u64::MAX, paths);
    }
    // Nothing is there: no region and no error.
    let (given, result) = parallel(&open(target.pid(), (false, false)), 0, 0x1000, 2);
    assert!(given.is_empty() && result.is_ok());
}

#[test]
fn a_walk_ends_when_its_caller_has_enough() {
    if !is_root_or_skip("a caller that has enough") {
        return;
    }
    let size = scaled(32_768) * page();
    let target = Target::spawn(|| vec![fragmented(size)]);
    let at = target.addresses()[0];
    let process = open(target.pid(), (false, false));
    let all = serial(&process, at, at + size).len();
    for threads in thread_counts() {
        for enough in [1, all / 3, all - 1, all] {
            let walk = || {
                let mut given = Vec::new();
                let result = process
                    .walk(at..at + size)
                    .threads(threads)
                    .for_each(|region| {
                        given.push(region.pages.clone());
                        match given.len() {
                            len if len < enough => ControlFlow::Continue(()),
                            _ => ControlFlow::Break(()),
                        }
                    });
                assert!(result.is_ok());
                given
            };
            let (expected, given) = while_nothing_moves(&process, at, at + size, walk);
            let enough = enough.min(expected.len());
            assert!(given == expected[..enough], "{threads} threads, {enough}");
        }
    }
}

#[test]
fn a_target_that_exits_meanwhile_is_an_error_and_never_a_shortened_list() {
    if !is_root_or_skip("a target that exits") {
        return;
    }
    // Many more regions than are ever found in advance.
    let size = 40_960 * page();
    let ways = [
        (8, (false, false)),
        (1, (false, false)),
        (2, (true, true)),
        (2, (false, false)),
    ];
    for (threads, path) in ways.into_iter().step_by(one_case_in().min(2)) {
        let target = Target::spawn(|| vec![fragmented(size)]);
        let at = target.addresses()[0];
        let process = open(target.pid(), path);
        let expected = serial(&process, at, at + size);
        let (mut given, mut end) = (0, at);
        let result = process
            .walk(at..at + size)
            .threads(threads)
            .for_each(|region| {
                if given == 0 {
                    target.kill();
                }
                assert_eq!(region.virt.start().as_u64(), end);
                end = region.virt.end().as_u64();
                given += 1;
                ControlFlow::Continue(())
            });
        let error = result.expect_err("never a shortened list");
        assert!(error.is_gone(), "{error}");
        assert!(given > 0 && given < expected.len(), "{given}");
    }
}

#[test]
fn order_and_tiling_hold_while_a_target_changes() {
    if !is_root_or_skip("a restless target") {
        return;
    }
    let pages = scaled(131_072);
    let size = pages * page();
    let target = Target::spawn_reporting(|report| {
        let at = memory::anonymous(size);
        let locked = at + pages / 2 * page();
        memory::touch(locked, 1, 1);
        // SAFETY: the page was mapped just now.
        let result = unsafe { libc::mlock(locked as *const _, page() as usize) };
        assert_eq!(result, 0);
        report.send(&[at, locked]);
        let mut random = Random::new(3);
        loop {
            let first = random.below(pages);
            let count = 1 + random.below((pages - first).min(2000));
            let (low, high) = (at + first * page(), at + (first + count) * page());
            if low <= locked && locked < high {
                continue;
            }
            match random.below(6) {
                0 => memory::protect(low, high - low, libc::PROT_READ),
                1 => memory::protect(low, high - low, libc::PROT_READ | libc::PROT_WRITE),
                2 | 3 => {
                    memory::advise(low, high - low, libc::MADV_DONTNEED);
                }
                _ => {
                    memory::protect(low, high - low, libc::PROT_READ | libc::PROT_WRITE);
                    memory::touch(low, count.div_ceil(2).min(300), 2);
                }
            }
        }
    });
    let [at, locked] = *target.addresses() else {
        panic!()
    };
    let frame = Pagemap::open(target.pid()).entry(locked) & ((1 << 55) - 1);
    let until = Instant::now() + Duration::from_millis(1500);
    let mut walks = 0;
    while walks < 4 || Instant::now() < until {
        for path in PATHS {
            let process = open(target.pid(), path);
            let mut next = at;
            let mut seen = false;
            let walked = process.walk(at..at + size).threads(3).for_each(|region| {
                // The area is never unmapped: what is reported tiles it.
                assert_eq!(region.virt.start().as_u64(), next);
                next = region.virt.end().as_u64();
                if region.virt.contains(locked.into()) {
                    let into = locked - region.virt.start().as_u64();
                    let address = region.backing.further(into).address();
                    let expected = Some(frame * page());
                    assert_eq!(address.map(|address| address.as_u64()), expected);
                    assert!(matches!(region.backing, Backing::Ram(_)));
                    seen = true;
                }
                ControlFlow::Continue(())
            });
            walked.expect("a walk");
            assert!(seen && next == at + size, "{path:?}: {next:x}");
            walks += 1;
        }
    }
}

#[test]
fn what_cannot_be_walked_is_refused_as_in_an_ordinary_walk() {
    let own = Process::current().unwrap();
    let (start, end) = (20u64, 10u64);
    let (given, result) = parallel(&own, start, end, 2);
    assert!(given.is_empty() && result.unwrap_err().is_invalid_argument());
    if !is_root_or_skip("giving up privileges") {
        return;
    }
    let unprivileged = Target::spawn(|| {
        // SAFETY: takes no memory; this child has one thread.
        unsafe {
            assert_eq!(libc::setgroups(0, std::ptr::null()), 0);
            assert_eq!(libc::setgid(65534), 0);
            assert_eq!(libc::setuid(65534), 0);
            assert_eq!(libc::prctl(libc::PR_SET_DUMPABLE, 1), 0);
        }
        let (given, result) = parallel(&Process::current().unwrap(), 0, u64::MAX, 2);
        let hidden = result.is_err_and(|error| error.is_frames_hidden());
        vec![u64::from(hidden), given.len() as u64]
    });
    assert_eq!(unprivileged.addresses(), [1, 0]);
}
