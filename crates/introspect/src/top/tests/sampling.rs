//! Samplers against the library's summaries of known processes, and against the kernel's sums.

use std::ops::ControlFlow;
use std::time::Instant;

use process_introspection::{
    AddrRange, HugePageSettings, Mounts, PhysicalMap, Process, ProcessInfo,
};
use testkit::machine::is_root_or_skip;
use testkit::memory;
use testkit::target::Target;

use super::*;
use crate::grouping::Property;
use crate::top::model::{Interest, Shown};
use crate::top::sampling::process::{read, regions, Reading};
use crate::top::sampling::{Samplers, Settings};

/// Pages of the memory of the target that two of its mappings map.
const TWICE: u64 = 32;

/// Starts a target with dense, sparse and shared memory; the latter has two mappings.
fn target() -> Target {
    Target::spawn(|| {
        let page = memory::page();
        let dense = memory::anonymous(64 * page);
        memory::touch(dense, 64, 1);
        let sparse = memory::anonymous(64 * page);
        memory::touch(sparse, 8, 3);
        let file = memory::memfd(TWICE * page);
        let shared = memory::map(TWICE * page, libc::MAP_SHARED, file);
        memory::touch(shared, TWICE, 1);
        let again = memory::map(TWICE * page, libc::MAP_SHARED, file);
        memory::read(again, TWICE);
        vec![dense, sparse, shared, again]
    })
}

fn read_target(pid: u32) -> Reading {
    let process = Process::open(pid).unwrap();
    let map = PhysicalMap::read().unwrap();
    let settings = HugePageSettings::read(process.page_size().pmd().bytes());
    let check = || ControlFlow::Continue(());
    let found = read(process, &map, &settings, true, check).unwrap();
    found.expect("it was not broken off")
}

#[test]
fn a_reading_is_the_summary_and_the_sums_of_the_kernel() {
    let test = "a_reading_is_the_summary_and_the_sums_of_the_kernel";
    if !is_root_or_skip(test) {
        return;
    }
    let target = target();
    let process = Process::open(target.pid()).unwrap();
    let map = PhysicalMap::read().unwrap();
    let summarize = || {
        let summary = process.summary(.., &map).unwrap();
        let extents = summary.contiguity.as_ref().map(|one| one.extents());
        let huge = summary.coverage.map(|coverage| coverage.huge);
        (
            summary.total,
            extents,
            huge,
            process.memory_rollup().unwrap(),
        )
    };
    // Pages are shared with the parent and with other tests, and the kernel moves some: equal
    // summaries before and after a reading are those of the reading.
    let (
        summary,
        Reading {
            exact, mappings, ..
        },
    ) = loop {
        let before = summarize();
        let reading = read_target(target.pid());
        if summarize() == before {
            break (before, reading);
        }
    };
    let (total, extents, huge, rollup) = summary;
    assert_eq!(exact.virt, total.virt);
    assert_eq!(exact.resident, total.resident);
    assert_eq!(exact.pss, Some(total.proportional()));
    assert_eq!(exact.uss, Some(total.unique));
    assert_eq!((exact.swap, exact.hugetlb), (total.swap, total.hugetlb));
    assert_eq!((exact.extents, exact.huge), (extents, huge));
    assert_eq!(
        (exact.resident, exact.uss),
        (rollup.resident, Some(rollup.unique))
    );
    assert_eq!(exact.pss.unwrap() >> 10, rollup.proportional >> 10);
    let page = memory::page();
    let row = |index: usize| {
        let start = target.addresses()[index];
        let row = mappings
            .iter()
            .find(|row| (row.start..row.end).contains(&start));
        row.unwrap().exact
    };
    let whole = |pages: u64| (pages * page, Some(pages * page), Some(pages * page));
    let (dense, sparse) = (row(0), row(1));
    // The kernel may have made one mapping of both.
    if dense != sparse {
        assert_eq!((dense.resident, dense.pss, dense.uss), whole(64));
        assert_eq!((sparse.resident, sparse.pss, sparse.uss), whole(8));
    } else {
        assert_eq!((dense.resident, dense.pss, dense.uss), whole(72));
    }
    for index in [2, 3] {
        let shared = row(index);
        let half = Some(TWICE * page / 2);
        assert_eq!(
            (shared.resident, shared.pss, shared.uss),
            (TWICE * page, half, Some(0))
        );
    }
    // What two mappings of the process map is its own, yet not in USS.
    if let Some(memory) = exact.memory {
        assert!(memory >= (72 + TWICE) * page, "{exact:?}");
        assert!(memory <= exact.resident - TWICE * page, "{exact:?}");
    }
    let mut sum = Exact {
        pss: Some(0),
        uss: Some(0),
        huge: exact.huge.map(|_| 0),
        extents: Some(0),
        ..Exact::default()
    };
    mappings.iter().for_each(|row| sum.add(&row.exact));
    assert_eq!(
        (sum.virt, sum.resident, sum.uss),
        (exact.virt, exact.resident, exact.uss)
    );
    assert_eq!((sum.swap, sum.huge), (exact.swap, exact.huge));
}

#[test]
fn a_reading_that_is_broken_off_is_none() {
    let process = Process::current().unwrap();
    let map = PhysicalMap::read().unwrap();
    let settings = HugePageSettings::read(process.page_size().pmd().bytes());
    let check = || ControlFlow::Break(());
    assert!(read(process, &map, &settings, false, check)
        .unwrap()
        .is_none());
}

#[test]
fn regions_have_the_addresses_of_the_walk() {
    let test = "regions_have_the_addresses_of_the_walk";
    if !is_root_or_skip(test) {
        return;
    }
    let target = target();
    let process = Process::open(target.pid()).unwrap();
    let start = target.addresses()[1];
    let range = AddrRange::new(start, start + 64 * memory::page()).unwrap();
    let (rows, is_cut) = regions(&process, range, &PhysicalMap::read().unwrap()).unwrap();
    assert!(!is_cut);
    let size: u64 = rows.iter().map(|row| row.size).sum();
    assert_eq!(size, range.size());
    let resident = rows.iter().filter(|row| row.state == PageState::Ram);
    assert_eq!(
        resident.clone().map(|row| row.size).sum::<u64>(),
        8 * memory::page()
    );
    for row in resident {
        let address = process.physical_address(row.start).unwrap();
        assert_eq!(row.physical, address.map(|address| address.as_u64()));
    }
}

fn key_of(info: &ProcessInfo, pid: u32) -> Key {
    Key {
        pid,
        started: info.started,
    }
}

/// Starts samplers that read what is shown, and returns the first result that `wanted` takes.
fn first<T>(
    shown: impl Fn(Key) -> Shown,
    pid: u32,
    wanted: impl Fn(Key, Update) -> Option<T>,
) -> T {
    let info = Process::open(pid).unwrap().info().unwrap();
    let key = key_of(&info, pid);
    let interest = Interest {
        shown: shown(key),
        visible: vec![key],
    };
    let settings = Settings {
        mounts: Mounts::new(),
        interval: Duration::from_secs(2),
        budget: 1000,
        start: Instant::now(),
    };
    let samplers = Samplers::start(settings, interest).unwrap();
    loop {
        // The test is killed if nothing ever comes.
        for update in samplers.updates(Duration::from_secs(1)) {
            if let Update::Failed(_, why) = &update {
                panic!("{why}");
            }
            if let Some(found) = wanted(key, update) {
                return found;
            }
        }
    }
}

#[test]
fn samplers_deliver_what_is_shown() {
    let test = "samplers_deliver_what_is_shown";
    if !is_root_or_skip(test) {
        return;
    }
    let target = target();
    let pid = target.pid();
    let reading = read_target(pid);
    let counted = first(
        |_| Shown::Processes,
        pid,
        |key, update| match update {
            Update::Counted(all, _) => all.into_iter().find(|one| one.key == key),
            _ => None,
        },
    );
    assert_eq!(counted.virt, reading.exact.virt);
    let found = first(
        |_| Shown::Processes,
        pid,
        |wanted, update| match update {
            Update::Read(key, found, _) => (key == wanted).then_some(found),
            _ => None,
        },
    );
    let found = found.unwrap();
    let same = |exact: Exact| (exact.virt, exact.resident, exact.swap);
    assert_eq!(same(found), same(reading.exact));
    assert!(found.pss.is_some() && found.uss.is_some());
    let found = first(Shown::Mappings, pid, |_, update| match update {
        Update::Mappings(found) => Some(found),
        _ => None,
    });
    let sizes = |rows: &[MappingRow]| -> Vec<_> {
        let row = |row: &MappingRow| (row.start, row.end, row.name.clone(), row.exact.resident);
        rows.iter().map(row).collect()
    };
    assert_eq!(sizes(&found.rows), sizes(&reading.mappings));
    let start = target.addresses()[0];
    let end = start + 64 * memory::page();
    let found = first(
        |key| Shown::Regions(key, start, end),
        pid,
        |_, update| match update {
            Update::Regions(found) => Some(found),
            _ => None,
        },
    );
    assert_eq!(
        found.rows.iter().map(|row| row.size).sum::<u64>(),
        end - start
    );
}

#[test]
fn groups_are_complete_once_all_processes_were_read() {
    let test = "groups_are_complete_once_all_processes_were_read";
    if !is_root_or_skip(test) {
        return;
    }
    let target = target();
    let found = first(
        |_| Shown::Groups(Property::User),
        target.pid(),
        |_, update| match update {
            Update::Groups(found) => Some(found),
            _ => None,
        },
    );
    assert_eq!(found.property, Property::User);
    assert!(
        found.memory.contains_key(&b"0"[..]),
        "{:?}",
        found.memory.keys()
    );
}
