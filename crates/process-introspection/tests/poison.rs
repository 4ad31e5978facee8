//! Memory that the kernel has given up because of a memory error, made by the
//! kernel's own injection (`madvise`): what the library says of it is never that
//! nothing is there, and never an address. Takes memory away from the machine, so
//! it needs a guest; says so where it is none.

use std::fs;

use process_introspection::{Backing, PhysicalRegion, Process, UnknownReason};
use testkit::machine::{free_huge_pages, is_disposable_or_skip, is_root_or_skip, HugePages};
use testkit::memory::{self, huge, page};
use testkit::oracle::Pagemap;
use testkit::target::Target;

/// `MADV_SOFT_OFFLINE` (include/uapi/asm-generic/mman-common.h).
const SOFT_OFFLINE: i32 = 101;

const PRESENT: u64 = 1 << 63;
const FRAME: u64 = (1 << 55) - 1;

/// KPF_HWPOISON, of `/proc/kpageflags`.
const HWPOISON: u64 = 1 << 19;

fn may_poison(test: &str) -> bool {
    is_root_or_skip(test) && is_disposable_or_skip(test)
}

/// The kernel tells a process that lost a page, which lives on if it listens.
fn listen() {
    extern "C" fn nothing(_: libc::c_int) {}
    let handler = nothing as extern "C" fn(libc::c_int);
    // SAFETY: the handler does nothing.
    unsafe { libc::signal(libc::SIGBUS, handler as libc::sighandler_t) };
}

fn own_frame(at: u64) -> u64 {
    let entry = Pagemap::open(std::process::id()).entry(at);
    assert!(entry & PRESENT != 0, "{entry:#x}");
    entry & FRAME
}

fn flags_of(frame: u64) -> u64 {
    use std::os::unix::fs::FileExt;
    let mut bytes = [0; 8];
    let file = fs::File::open("/proc/kpageflags").expect("kpageflags");
    file.read_exact_at(&mut bytes, frame * 8).expect("a frame");
    u64::from_ne_bytes(bytes)
}

/// Each page of a range, by the walk of physical regions; the page-table walk
/// and the question for one address say the same.
fn pages(process: &Process, at: u64, size: u64) -> Vec<Backing> {
    let regions = process.physical_regions(at..at + size).expect("a walk");
    let regions: Vec<PhysicalRegion> = regions.map(|region| region.expect("a region")).collect();
    let mut pages = Vec::new();
    for region in &regions {
        for offset in (0..region.size()).step_by(page() as usize) {
            pages.push(region.backing.further(offset));
        }
    }
    assert_eq!(pages.len() as u64, size / page(), "{regions:x?}");
    for entry in process.page_table(at..at + size).expect("a walk") {
        let entry = entry.expect("an entry");
        let index = (entry.virt.start().as_u64() - at) / page();
        assert_eq!(pages[index as usize], entry.backing, "{entry:x?}");
    }
    // Some of many.
    let step = (pages.len() / 512).max(1);
    for (index, backing) in pages.iter().enumerate().step_by(step) {
        let address = process.physical_address(at + index as u64 * page());
        assert_eq!(address.expect("an answer"), backing.address(), "{index}");
    }
    pages
}

/// By each way in which the library can find out.
fn in_each_way(target: &Target, at: u64, size: u64, mut check: impl FnMut(&[Backing])) {
    for (no_query, no_scan) in [(false, false), (true, false), (false, true), (true, true)] {
        let process = Process::open(target.pid()).unwrap();
        process.as_core().disable_features(no_query, no_scan);
        check(&pages(&process, at, size));
    }
}

/// Memory of which the page at `index` is poisoned: where it is, the frames of
/// `count` pages of `size` bytes before, and whether the kernel did it.
fn poisoned(count: u64, size: u64, index: u64, make: impl FnOnce() -> u64) -> Target {
    Target::spawn(|| {
        let at = make();
        let mut told = vec![at];
        told.extend((0..count).map(|index| own_frame(at + index * size)));
        listen();
        let done = memory::advise(at + index * page(), page(), libc::MADV_HWPOISON);
        told.push(u64::from(done));
        told
    })
}

/// The frames before, if the kernel poisons pages; prints that the test is
/// skipped if not.
fn frames_or_skip<'a>(target: &'a Target, test: &str) -> Option<(u64, &'a [u64])> {
    let [at, frames @ .., done] = target.addresses() else {
        panic!("{:?}", target.addresses());
    };
    if *done == 0 {
        eprintln!("SKIPPED {test}: this kernel poisons no such pages (CONFIG_MEMORY_FAILURE)");
        return None;
    }
    Some((*at, frames))
}

/// One page is poisoned, the others are where they were.
fn check_one(target: &Target, at: u64, frames: &[u64], lost: usize) {
    assert!(
        flags_of(frames[lost]) & HWPOISON != 0,
        "the test's own: it is poisoned"
    );
    in_each_way(target, at, frames.len() as u64 * page(), |pages| {
        for (index, (backing, frame)) in pages.iter().zip(frames).enumerate() {
            match backing {
                Backing::Poisoned => assert_eq!(index, lost),
                Backing::Ram(address) => {
                    assert_eq!((address.as_u64(), index == lost), (frame * page(), false));
                }
                _ => panic!("page {index} is {backing:?}"),
            }
        }
    });
}

#[test]
fn a_small_page_of_anonymous_memory_that_was_lost_is_poisoned() {
    const TEST: &str = "a poisoned small page";
    if !may_poison(TEST) {
        return;
    }
    let target = poisoned(6, page(), 2, || {
        let at = memory::anonymous(6 * page());
        memory::touch(at, 6, 1);
        at
    });
    if let Some((at, frames)) = frames_or_skip(&target, TEST) {
        check_one(&target, at, frames, 2);
    }
}

#[test]
fn a_page_of_a_transparent_huge_page_that_was_lost_is_poisoned_and_the_others_are_not() {
    const TEST: &str = "a poisoned page of a transparent huge page";
    if !may_poison(TEST) {
        return;
    }
    let count = huge() / page();
    let target = poisoned(count, page(), 7, || {
        let at = memory::aligned(huge(), huge());
        memory::advise(at, huge(), libc::MADV_HUGEPAGE);
        memory::touch(at, count, 1);
        at
    });
    let Some((at, frames)) = frames_or_skip(&target, TEST) else {
        return;
    };
    let is_huge = frames.windows(2).all(|pair| pair[0] + 1 == pair[1]);
    if !is_huge || frames[0] % count != 0 {
        return eprintln!("SKIPPED {TEST}: the kernel gave small pages");
    }
    check_one(&target, at, frames, 7);
}

#[test]
fn a_page_of_a_file_that_was_lost_is_poisoned() {
    const TEST: &str = "a poisoned page of a file";
    if !may_poison(TEST) {
        return;
    }
    for flags in [libc::MAP_SHARED, libc::MAP_PRIVATE] {
        // In memory: it cannot be read anew from anywhere.
        let target = poisoned(5, page(), 3, || {
            let file = memory::memfd(5 * page());
            let all = memory::map(5 * page(), libc::MAP_SHARED, file);
            memory::touch(all, 5, 1);
            memory::unmap(all, 5 * page());
            let at = memory::map(5 * page(), flags, file);
            memory::read(at, 5);
            at
        });
        if let Some((at, frames)) = frames_or_skip(&target, TEST) {
            check_one(&target, at, frames, 3);
        }
    }
}

/// What may be said of a hugetlb page whose entry says that there was one: the
/// page map does not tell what became of it.
fn is_lost_huge_page(backing: &Backing) -> bool {
    matches!(
        backing,
        Backing::Poisoned | Backing::Unknown(UnknownReason::HugePage)
    )
}

/// Of so many with `size` bytes each the first is lost.
fn check_hugetlb(test: &str, number: u64, size: u64) {
    let count = size / page();
    let target = poisoned(number, size, 5, || {
        let order = size.ilog2() as i32;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_HUGETLB;
        let at = memory::map(number * size, flags | order << libc::MAP_HUGE_SHIFT, -1);
        memory::touch(at, number, count);
        at
    });
    let Some((at, frames)) = frames_or_skip(&target, test) else {
        return;
    };
    in_each_way(&target, at, number * size, |pages| {
        let (lost, kept) = pages.split_at(count as usize);
        for (index, backing) in kept.iter().enumerate() {
            let frame = frames[1] + index as u64;
            let address = backing.address().map(|address| address.as_u64());
            assert_eq!(address, Some(frame * page()), "{index}");
        }
        let wrong = lost.iter().position(|backing| !is_lost_huge_page(backing));
        assert_eq!(wrong.map(|index| lost[index]), None, "{wrong:?}");
    });
}

#[test]
fn a_hugetlb_page_that_was_lost_is_never_reported_absent() {
    const TEST: &str = "a poisoned hugetlb page";
    if !may_poison(TEST) {
        return;
    }
    // One of them is lost to the machine.
    let Some(reserved) = HugePages::reserve(4, TEST) else {
        return;
    };
    check_hugetlb(TEST, 2, reserved.size());
}

#[test]
fn a_hugetlb_page_of_a_gibibyte_that_was_lost_is_never_reported_absent() {
    const TEST: &str = "a poisoned hugetlb page of a gibibyte";
    const GIB: u64 = 1 << 30;
    if !may_poison(TEST) {
        return;
    }
    if free_huge_pages(GIB) == 0 {
        return eprintln!("SKIPPED {TEST}: none is set aside");
    }
    check_hugetlb(TEST, 1, GIB);
}

#[test]
fn pages_that_were_taken_offline_softly_are_where_their_bytes_went() {
    const TEST: &str = "pages that were taken offline softly";
    if !may_poison(TEST) {
        return;
    }
    let Some(reserved) = HugePages::reserve(4, TEST) else {
        return;
    };
    for size in [page(), reserved.size()] {
        let target = Target::spawn(|| {
            let at = match size == page() {
                true => memory::anonymous(3 * size),
                false => {
                    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_HUGETLB;
                    memory::map(3 * size, flags, -1)
                }
            };
            memory::touch(at, 2, size / page());
            let before = own_frame(at + size);
            let done = memory::advise(at + size, page(), SOFT_OFFLINE);
            vec![at, before, u64::from(done)]
        });
        let &[at, before, done] = target.addresses() else {
            panic!("{:?}", target.addresses());
        };
        if done == 0 {
            return eprintln!("SKIPPED {TEST}: this kernel does not (CONFIG_MEMORY_FAILURE)");
        }
        // The page map shows where they are now.
        let now = Pagemap::open(target.pid()).entry(at + size);
        assert!(now & PRESENT != 0 && now & FRAME != before, "{now:#x}");
        in_each_way(&target, at, 2 * size, |pages| {
            let moved = pages[(size / page()) as usize];
            let address = moved.address().map(|address| address.as_u64());
            assert_eq!(address, Some((now & FRAME) * page()), "{moved:?}");
            assert!(matches!(moved, Backing::Ram(_)), "{moved:?}");
        });
    }
}
