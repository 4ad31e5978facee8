//! States that a page's entry does not say by itself, or of which the page map shows
//! nothing: zero pages of mappings with an inode, markers, what hugetlb hides.

use process_introspection::{Backing, ExtentBacking, Process, UnknownReason};
use testkit::machine::{
    has_huge_zero_page_or_skip, has_page_scan_or_skip, is_root_or_skip, HugePages,
};
use testkit::memory::{self, page};
use testkit::target::Target;
use testkit::userfaultfd::{self, Userfaultfd};

use super::{check, open, regions, PATHS};

/// How many bytes of a range are memory, and how many the zero page.
fn ram_and_zero(process: &Process, start: u64, end: u64) -> (u64, u64) {
    let mut found = (0, 0);
    for region in regions(process, start, end) {
        match region.backing {
            Backing::Ram(_) => found.0 += region.size(),
            Backing::Zero(_) => found.1 += region.size(),
            _ => {}
        }
    }
    found
}

#[test]
fn zero_pages_of_dev_zero_are_no_memory_of_the_mapping() {
    if !is_root_or_skip("zero pages of /dev/zero") {
        return;
    }
    let size = 64 * page();
    let target = Target::spawn(|| {
        let at = memory::dev_zero(size, page());
        memory::advise(at, size, libc::MADV_NOHUGEPAGE);
        memory::read(at, 20);
        memory::touch(at + 5 * page(), 3, 1);
        let to = memory::anonymous(size);
        memory::move_to(at + 10 * page(), 20 * page(), to);
        vec![at, to]
    });
    let [at, to] = *target.addresses() else {
        panic!()
    };
    check(&target, at, at + 10 * page());
    check(&target, to, to + 20 * page());
    for path in PATHS {
        let process = open(&target, path);
        let left = ram_and_zero(&process, at, at + 10 * page());
        assert_eq!(left, (3 * page(), 7 * page()), "{path:?}");
        let moved = ram_and_zero(&process, to, to + 20 * page());
        assert_eq!(moved, (0, 10 * page()), "{path:?}");
    }
}

/// Four blocks of huge pages of a private mapping of `/dev/zero`: read; read and then
/// written to in one page; written to; read and moved, to the second address.
fn huge_of_dev_zero() -> [u64; 2] {
    let huge = memory::huge();
    let at = memory::dev_zero(4 * huge, huge);
    memory::advise(at, 4 * huge, libc::MADV_HUGEPAGE);
    for block in [0, 1, 3] {
        memory::read(at + block * huge, 1);
    }
    memory::touch(at + huge + 7 * page(), 1, 1);
    memory::touch(at + 2 * huge, 1, 1);
    let to = memory::aligned(huge, huge);
    memory::move_to(at + 3 * huge, huge, to);
    [at, to]
}

fn check_huge_of_dev_zero(target: &Target, [at, to]: [u64; 2]) {
    let huge = memory::huge();
    check(target, at, at + 3 * huge);
    check(target, to, to + huge);
    for path in PATHS {
        let process = open(target, path);
        for whole in [at, to] {
            let zero = (0, huge);
            let found = ram_and_zero(&process, whole, whole + huge);
            assert_eq!(found, zero, "{path:?}");
            // Any part of it, one page, too.
            let part = whole + 100 * page();
            let found = ram_and_zero(&process, part, part + page());
            assert_eq!(found, (0, page()), "{path:?}");
            let mut extents = process.extents(whole..whole + huge).unwrap();
            assert!(
                extents.all(|extent| { matches!(extent.unwrap().backing, ExtentBacking::Zero(_)) }),
                "{path:?}"
            );
            for leaf in process.page_table(whole..whole + huge).unwrap() {
                let backing = leaf.unwrap().backing;
                assert!(matches!(backing, Backing::Zero(_)), "{path:?}");
            }
        }
        // What was written is memory: a page, or all of a huge one.
        let (ram, zero) = ram_and_zero(&process, at + huge, at + 2 * huge);
        assert!(
            ram >= page() && ram + zero == huge,
            "{path:?}: {ram} {zero}"
        );
        let (ram, zero) = ram_and_zero(&process, at + 2 * huge, at + 3 * huge);
        assert!(ram >= page() && zero == 0, "{path:?}: {ram} {zero}");
    }
}

#[test]
fn the_huge_zero_page_of_dev_zero_is_no_memory_of_the_mapping() {
    let test = "the huge zero page of /dev/zero";
    if !is_root_or_skip(test) || !has_huge_zero_page_or_skip(test) {
        return;
    }
    let target = Target::spawn(|| {
        let addresses = huge_of_dev_zero().to_vec();
        memory::keep_page_sizes();
        addresses
    });
    let [at, to] = *target.addresses() else {
        panic!()
    };
    check_huge_of_dev_zero(&target, [at, to]);
}

#[test]
fn the_huge_zero_page_is_no_memory_of_a_child_that_inherits_it() {
    let test = "the huge zero page after fork";
    if !is_root_or_skip(test) || !has_huge_zero_page_or_skip(test) {
        return;
    }
    let huge = memory::huge();
    // The parent forks the child that is looked at and stays, so that all pages
    // are of both.
    let target = Target::spawn_reporting(|report| {
        let of_file = huge_of_dev_zero();
        let anonymous = memory::aligned(2 * huge, huge);
        memory::advise(anonymous, 2 * huge, libc::MADV_HUGEPAGE);
        memory::read(anonymous, 1);
        memory::touch(anonymous + huge, 1, 1);
        memory::keep_page_sizes();
        let child = Target::spawn(|| vec![of_file[0], of_file[1], anonymous]);
        let mut addresses = child.addresses().to_vec();
        addresses.push(child.pid().into());
        report.send(&addresses);
        report.wait();
    });
    let [at, to, anonymous, child] = *target.addresses() else {
        panic!()
    };
    check_huge_of_dev_zero(&target, [at, to]);
    let process = Process::open(child as u32).unwrap();
    for (no_query, no_scan) in PATHS {
        process.as_core().disable_features(no_query, no_scan);
        for (zero, memory) in [(at, at + 2 * huge), (anonymous, anonymous + huge)] {
            let found = ram_and_zero(&process, zero, zero + huge);
            assert_eq!(found, (0, huge), "{no_query} {no_scan}");
            let (ram, _) = ram_and_zero(&process, memory, memory + huge);
            assert!(ram >= page(), "{no_query} {no_scan}");
        }
    }
}

#[test]
fn a_page_that_is_marked_without_being_there_is_a_marker_or_poisoned() {
    if !is_root_or_skip("marked pages") {
        return;
    }
    let size = 64 * page();
    let target = Target::spawn(|| {
        let at = memory::anonymous(size);
        memory::touch(at, 10, 1);
        let features = userfaultfd::POISON | userfaultfd::WP_UNPOPULATED;
        let Some(faults) = Userfaultfd::open(features) else {
            return vec![at, 0];
        };
        let done = faults.register(at, size)
            && faults.poison(at + 20 * page(), 10 * page())
            && faults.write_protect(at + 40 * page(), 10 * page());
        faults.leak();
        vec![at, u64::from(done)]
    });
    let [at, done] = *target.addresses() else {
        panic!()
    };
    if done == 0 {
        eprintln!("SKIPPED marked pages: needs userfaultfd with poison (Linux 6.6)");
        return;
    }
    check(&target, at, at + size);
    for path in PATHS {
        let process = open(&target, path);
        let states: Vec<_> = regions(&process, at + 10 * page(), at + size)
            .iter()
            .map(|region| (region.backing, region.size() / page()))
            .collect();
        assert_eq!(
            states,
            [
                (Backing::NotPresent, 10),
                (Backing::Poisoned, 10),
                (Backing::NotPresent, 10),
                (Backing::Marker, 10),
                (Backing::NotPresent, 14)
            ],
            "{path:?}"
        );
    }
}

#[test]
fn a_hugetlb_page_that_is_marked_is_never_called_not_present() {
    let test = "marked hugetlb pages";
    if !is_root_or_skip(test) {
        return;
    }
    let Some(pages) = HugePages::reserve(4, test) else {
        return;
    };
    let huge = pages.size();
    for flags in [libc::MAP_PRIVATE, libc::MAP_SHARED] {
        let target = Target::spawn(|| {
            let flags = flags | libc::MAP_ANONYMOUS | libc::MAP_HUGETLB;
            let at = memory::map(4 * huge, flags, -1);
            memory::touch(at, 1, 1);
            let features = [
                userfaultfd::POISON,
                userfaultfd::WP_HUGETLBFS_SHMEM | userfaultfd::WP_UNPOPULATED,
            ];
            let [poison, write_protect] = features.map(|one| Userfaultfd::open(one).is_some());
            let mut done = [false; 2];
            let wanted = features.into_iter().zip([poison, write_protect]);
            let wanted = wanted.map(|(one, has)| if has { one } else { 0 }).sum();
            if let Some(faults) = Userfaultfd::open(wanted) {
                let registered = wanted != 0 && faults.register(at, 4 * huge);
                done[0] = registered && poison && faults.poison(at + huge, huge);
                done[1] = registered && write_protect && faults.write_protect(at + 2 * huge, huge);
                faults.leak();
            }
            vec![at, u64::from(done[0]), u64::from(done[1])]
        });
        let [at, poisoned, protected] = *target.addresses() else {
            panic!()
        };
        if poisoned + protected == 0 {
            eprintln!("SKIPPED {test}: needs userfaultfd for hugetlb (Linux 5.19)");
            return;
        }
        check(&target, at, at + 4 * huge);
        for path in PATHS {
            let process = open(&target, path);
            let state = |index: u64| {
                let start = at + index * huge;
                let found = regions(&process, start, start + huge);
                assert_eq!(found.len(), 1, "{path:?}");
                found[0].backing
            };
            let unknown = Backing::Unknown(UnknownReason::HugePage);
            assert!(matches!(state(0), Backing::Ram(_)), "{path:?}");
            for (index, marked) in [(1, poisoned), (2, protected)] {
                if marked == 1 {
                    assert_eq!(state(index), unknown, "{path:?}");
                }
            }
            // Never touched: known where there is a scan.
            let scanned = !path.1 && has_page_scan_or_skip("an empty hugetlb page");
            let empty = if scanned {
                Backing::NotPresent
            } else {
                unknown
            };
            assert_eq!(state(3), empty, "{path:?}");
            // The same to somebody who cannot see frames, and one base page.
            let resident: Vec<_> = process
                .resident_regions(at + huge..at + huge + page())
                .unwrap()
                .map(|region| region.unwrap().backing)
                .collect();
            let marked = poisoned == 1 || !scanned;
            assert_eq!(
                resident,
                [if marked { unknown } else { Backing::NotPresent }],
                "{path:?}"
            );
        }
    }
}
