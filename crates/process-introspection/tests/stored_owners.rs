//! A search for owners in stored regions has the results of one in live processes.

use std::ops::ControlFlow;
use std::sync::Arc;

use process_introspection::{
    owners, Attributed, Error, JoinedRegions, Mapping, Owner, OwnerEvent, OwnerSearch, PageSize,
    PassOptions, PassedProcess, PhysAddr, PhysRange, PhysicalRegion, Process, UniquePid,
};
use testkit::machine::is_root_or_skip;
use testkit::memory::{self, page};
use testkit::target::Target;
use testkit::varied::Varied;

/// Returns the owners among these processes, and what nobody maps, by a pass.
fn live(ranges: &[PhysRange], pids: &[u32]) -> (Vec<Owner>, Vec<PhysRange>) {
    let (mut found, mut unmapped) = (Vec::new(), Vec::new());
    let passed = owners(ranges, PassOptions::new(), |event| {
        match event {
            OwnerEvent::Owner(owner) if pids.contains(&owner.process.pid) => found.push(owner),
            OwnerEvent::Unmapped(range, _) => unmapped.push(range),
            _ => {}
        }
        ControlFlow::Continue(())
    });
    passed.expect("a pass");
    (found, unmapped)
}

/// Returns the same of regions that were taken apart, as if stored.
fn stored(ranges: &[PhysRange], pids: &[u32]) -> (Vec<Owner>, Vec<PhysRange>) {
    let mut search = OwnerSearch::new(ranges, PageSize::base()).unwrap();
    let mut found = Vec::new();
    for &pid in pids {
        let process = Process::open(pid).unwrap();
        let unique = UniquePid::of(pid).unwrap();
        let unique = UniquePid::from_i64(unique.as_i64()).unwrap();
        let info = process.info().unwrap();
        let passed = PassedProcess::new(pid, Some(unique), info.command);
        let passed = Arc::new(passed.with_cgroup(info.cgroup));
        let parts = process.walk(..).split_page_sizes().iter().unwrap();
        let parts = parts.map(|part| {
            let part = part?.pages;
            let mapping = Arc::new(Mapping::from_parts(part.mapping.parts()));
            let region = PhysicalRegion::new(part.virt, part.backing, part.anonymous, mapping);
            Ok::<_, Error>(Attributed::new(region))
        });
        for region in JoinedRegions::new(parts) {
            found.extend(search.owners_in(&passed, &region.unwrap()));
        }
    }
    (found, search.unmapped().collect())
}

#[test]
fn owners_in_stored_regions_are_those_of_a_pass() {
    if !is_root_or_skip("owners in stored regions") {
        return;
    }
    let file = memory::memfd(16 * page());
    let share = || {
        let at = memory::map(16 * page(), libc::MAP_SHARED, file);
        memory::touch(at, 16, 1);
        vec![at]
    };
    let (varied, places) = Varied::spawn();
    let shared = [Target::spawn(share), Target::spawn(share)];
    let mut pids = [varied.pid(), shared[0].pid(), shared[1].pid()];
    pids.sort_unstable();
    for target in [&varied, &shared[0], &shared[1]] {
        target.stop();
    }
    let mut results = Vec::new();
    for _ in 0..20 {
        // Page 0 is the firmware's, and no process maps it.
        let mut ranges = vec![PhysRange::page_of(PhysAddr::new(0), PageSize::base())];
        for (target, at, size) in [
            (&varied, places.dense, 700 * page()),
            (&varied, places.huge + page(), 3 * (2 << 20)),
            (&varied, places.file, 8 * page()),
            (&shared[0], shared[0].addresses()[0], 16 * page()),
        ] {
            let process = Process::open(target.pid()).unwrap();
            // Two of three pages: neighbours in memory are not wanted.
            for region in process.physical_regions(at..at + size).unwrap() {
                let region = region.unwrap();
                let Some(start) = region.backing.address() else {
                    continue;
                };
                for offset in (0..region.size()).step_by(3 * page() as usize) {
                    let start = start.as_u64() + offset;
                    let end = start + (region.size() - offset).min(2 * page());
                    ranges.extend(PhysRange::new(start.into(), end.into()));
                }
            }
        }
        let (live, stored) = (live(&ranges, &pids), stored(&ranges, &pids));
        assert!(live.0.len() > 100, "{} owners", live.0.len());
        assert!(!stored.1.is_empty(), "page 0 is mapped");
        // The kernel may have moved pages meanwhile.
        if live == stored {
            return;
        }
        results = vec![live, stored];
    }
    panic!("{results:x?}");
}

#[test]
fn a_search_for_more_pages_than_there_are_marks_for_is_refused() {
    let all = PhysRange::new(PhysAddr::new(0), PhysAddr::new(u64::MAX)).unwrap();
    let error = OwnerSearch::new(&[all], PageSize::base()).unwrap_err();
    assert!(error.is_invalid_argument());
}

#[test]
fn only_a_unique_pid_has_the_number_of_one() {
    let unique = UniquePid::of(std::process::id()).unwrap();
    assert_eq!(UniquePid::from_i64(unique.as_i64()), Some(unique));
    for number in [0, -1, 1, i64::from(std::process::id()), i64::MIN, 1 << 32] {
        assert_eq!(UniquePid::from_i64(number), None, "{number}");
    }
}
