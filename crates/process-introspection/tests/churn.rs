//! Targets that change while they are walked: regions stay in order, never
//! overlap, and memory that stays put is always reported where it is.

use std::ops::Range;
use std::time::{Duration, Instant};

use process_introspection::{Backing, MappingKind, PhysicalRegion, Process};
use testkit::machine::is_root_or_skip;
use testkit::memory::{self, page};
use testkit::oracle::Pagemap;
use testkit::random::Random;
use testkit::scale::scaled;
use testkit::storm;
use testkit::target::Target;

/// A target that maps, unmaps, protects and moves the pages around a locked
/// one for ever.
fn restless() -> Target {
    Target::spawn_reporting(|report| {
        let size = 256 * page();
        let at = memory::anonymous(size);
        let locked = at + 128 * page();
        memory::touch(locked, 1, 1);
        // SAFETY: the page was mapped just now.
        let result = unsafe { libc::mlock(locked as *const _, page() as usize) };
        assert_eq!(result, 0);
        report.send(&[at, locked]);
        let mut random = Random::new(3);
        loop {
            let first = random.below(256);
            let count = 1 + random.below(256 - first);
            let (low, high) = (at + first * page(), at + (first + count) * page());
            if low <= locked && locked < high {
                continue;
            }
            match random.below(4) {
                0 => memory::protect(low, high - low, libc::PROT_READ),
                1 => memory::protect(low, high - low, libc::PROT_READ | libc::PROT_WRITE),
                2 => {
                    memory::advise(low, high - low, libc::MADV_DONTNEED);
                }
                _ => {
                    memory::protect(low, high - low, libc::PROT_READ | libc::PROT_WRITE);
                    memory::touch(low, count, 1);
                }
            }
        }
    })
}

#[test]
fn order_holds_and_locked_memory_is_right_while_a_target_changes() {
    if !is_root_or_skip("a restless target") {
        return;
    }
    let target = restless();
    let [at, locked] = *target.addresses() else {
        panic!()
    };
    let end = at + 256 * page();
    let frame = Pagemap::open(target.pid()).entry(locked) & ((1 << 55) - 1);
    let until = Instant::now() + Duration::from_millis(1500);
    let mut walks = 0;
    while Instant::now() < until {
        for (no_query, no_scan) in [(false, false), (true, false), (false, true), (true, true)] {
            let process = Process::open(target.pid()).unwrap();
            process.as_core().disable_features(no_query, no_scan);
            let mut next = at;
            let mut seen = false;
            for region in process.physical_regions(at..end).unwrap() {
                let region = region.unwrap();
                // The area is never unmapped: what is reported tiles it.
                assert_eq!(region.virt.start().as_u64(), next);
                next = region.virt.end().as_u64();
                if region.virt.contains(locked.into()) {
                    let skipped = locked - region.virt.start().as_u64();
                    let address = region.backing.further(skipped).address();
                    assert_eq!(
                        address.map(|address| address.as_u64()),
                        Some(frame * page())
                    );
                    assert!(matches!(region.backing, Backing::Ram(_)));
                    seen = true;
                }
            }
            assert!(seen && next == end);
            let mut next = at;
            for mapping in process.virtual_regions(at..end).unwrap() {
                let mapping = mapping.unwrap();
                assert!(mapping.range.start().as_u64() >= next || next == at);
                next = mapping.range.end().as_u64();
            }
            walks += 1;
        }
    }
    assert!(walks >= 4);
}

fn regions(process: &Process, range: Range<u64>) -> Vec<PhysicalRegion> {
    let regions = process.physical_regions(range).expect("a walk");
    regions.map(|region| region.expect("a region")).collect()
}

#[test]
fn many_threads_may_walk_at_once_with_one_handle() {
    if !is_root_or_skip("many threads") {
        return;
    }
    let size = 2000 * page();
    let target = Target::spawn(|| {
        let at = memory::anonymous(size);
        memory::touch(at, 1000, 2);
        vec![at]
    });
    let at = target.addresses()[0];
    let process = Process::open(target.pid()).unwrap();
    for text in [false, true] {
        process.as_core().disable_features(text, false);
        let expected = regions(&process, at..at + size);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..10 {
                        assert_eq!(regions(&process, at..at + size), expected);
                    }
                });
            }
        });
    }
}

#[test]
fn no_descriptor_is_left() {
    let open_files = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    // Other tests open files meanwhile: a child of its own counts its own.
    let target = Target::spawn(|| {
        let before = open_files();
        for _ in 0..20 {
            let process = Process::current().unwrap();
            let _ = process.virtual_regions(..).unwrap().count();
            let _ = process.resident_regions(..).unwrap().count();
            let _ = process.physical_regions(..).map(Iterator::count);
            process.as_core().disable_features(true, true);
            let _ = process.virtual_regions(..).unwrap().take(3).count();
            let _ = Process::open(0x7fff_fff0);
            let _ = Process::open(1).map(|one| {
                one.physical_regions(..)
                    .map(|regions| regions.take(3).count())
            });
            let _ = process.object_at(std::process::id as fn() -> u32 as usize as u64);
            let _ = process.read_memory(0x1000, &mut [0]);
        }
        vec![before as u64, open_files() as u64]
    });
    assert_eq!(target.addresses()[0], target.addresses()[1]);
}

#[test]
fn a_huge_page_that_is_split_meanwhile_gives_no_wrong_address() {
    if !is_root_or_skip("huge pages that are split") {
        return;
    }
    let (huge, count) = (memory::huge(), memory::many_huge());
    let given_up = |index: u64| index * 8 % (huge / page()) * page();
    let mut target = Target::spawn_reporting(|report| {
        let at = memory::aligned(count * huge, huge);
        memory::advise(at, count * huge, libc::MADV_HUGEPAGE);
        memory::touch(at, count, huge / page());
        memory::keep_page_sizes();
        report.send(&[at]);
        report.wait();
        // One page of each is given up, which splits it, and comes back
        // elsewhere. The others stay where they are.
        for index in 0..count {
            let given_up = at + index * huge + given_up(index);
            memory::advise(given_up, page(), libc::MADV_DONTNEED);
            memory::touch(given_up, 1, 1);
        }
        std::thread::park();
    });
    let at = target.addresses()[0];
    let process = Process::open(target.pid()).unwrap();
    // The address that is behind the start of each huge page, from the first to
    // the last walk.
    let bases: Vec<u64> = (0..count)
        .map(|index| {
            process
                .physical_address(at + index * huge)
                .unwrap()
                .unwrap()
                .as_u64()
        })
        .collect();
    let pagemap = Pagemap::open(target.pid());
    let is_moved = |index: u64| {
        let entry = pagemap.entry(at + index * huge + given_up(index));
        let frame = entry & ((1 << 55) - 1);
        entry >> 63 == 1 && frame * page() != bases[index as usize] + given_up(index)
    };
    target.release();
    let mut moved = vec![false; count as usize];
    let until = Instant::now() + Duration::from_secs(20);
    while !moved.iter().all(|&moved| moved) {
        assert!(
            Instant::now() < until,
            "the target does not split its huge pages"
        );
        // What had moved before the walk must be where it is now.
        for (index, moved) in moved.iter_mut().enumerate() {
            *moved |= is_moved(index as u64);
        }
        for region in process.physical_regions(at..at + count * huge).unwrap() {
            let region = region.unwrap();
            for address in
                (region.virt.start().as_u64()..region.virt.end().as_u64()).step_by(page() as usize)
            {
                let (index, into) = ((address - at) / huge, (address - at) % huge);
                let skipped = address - region.virt.start().as_u64();
                let given = region
                    .backing
                    .further(skipped)
                    .address()
                    .map(|given| given.as_u64());
                let stayed = bases[index as usize] + into;
                if into == given_up(index) {
                    assert!(
                        !moved[index as usize] || given != Some(stayed),
                        "{address:#x}"
                    );
                } else {
                    assert_eq!(given, Some(stayed), "{address:#x}");
                }
            }
        }
    }
}

#[test]
fn a_process_in_the_middle_of_an_exec_is_waited_for() {
    let target = storm::executing();
    let mut whole = 0;
    for round in 0..scaled(3000) {
        let begun = Instant::now();
        let process = match Process::open(target.pid()) {
            Ok(process) => process,
            Err(error) => {
                assert_eq!(error.errno(), libc::ESRCH);
                continue;
            }
        };
        // Not for ever: 300 times 20 µs at least.
        if begun.elapsed() >= Duration::from_millis(6) {
            continue;
        }
        process.as_core().disable_features(round % 2 == 0, false);
        let listed: Result<Vec<_>, _> = process.virtual_regions(..).unwrap().collect();
        match listed {
            Ok(listed) => {
                let mut kinds = listed.iter().map(|mapping| mapping.kind());
                // Before the end of an exec there is none, or nothing else.
                assert!(
                    listed.len() > 1 && kinds.any(|kind| kind == MappingKind::Stack),
                    "{listed:?}"
                );
                whole += 1;
            }
            Err(error) => assert_eq!(error.errno(), libc::ESRCH),
        }
    }
    assert!(whole > 0);
}
