//! How many system calls each walk makes: what makes it fast, held without a
//! clock. Every number here has its reason beside it.

use process_introspection::{Backing, Process};
use process_introspection_core as core;
use testkit::machine::{
    has_addresses_or_skip, has_area_query_or_skip, has_page_scan_or_skip, is_root_or_skip,
};
use testkit::memory::{self, page};
use testkit::scale::scaled;
use testkit::trace::{self, Calls};

const ENTRIES: u64 = 256;

/// Walks a range of the calling process with the core's cursor, as C does.
fn walk(process: &core::ProcessHandle, start: u64, end: u64) {
    let range = core::AddrRange::new(start, end).unwrap();
    let access = core::process::Access::Frames;
    let mut cursor = core::physical::PhysicalCursor::new(
        process,
        range,
        access,
        [0u8; 192],
        [0u64; ENTRIES as usize],
    )
    .unwrap();
    let each = |_: &_, _: &_| std::ops::ControlFlow::Continue(());
    while cursor.walk_area(process, each).unwrap().is_continue() {}
}

fn own() -> core::ProcessHandle {
    core::ProcessHandle::open(core::Target::Caller, core::process::Access::Frames).unwrap()
}

/// The calls of a walk over `size` bytes that `make` has made.
fn calls_of(size: u64, make: impl FnOnce() -> u64) -> Calls {
    trace::count(
        || (own(), make()),
        |(process, at)| walk(process, *at, at + size),
    )
}

#[test]
fn one_address_of_oneself_takes_no_call_too_many() {
    if !is_root_or_skip("calls for one address") || !has_area_query_or_skip("calls for one address")
    {
        return;
    }
    let calls = trace::count(
        || {
            let at = memory::anonymous(page());
            memory::touch(at, 1, 1);
            at
        },
        |&at| walk(&own(), at, at + page()),
    );
    // The directory, maps, pagemap; closed again.
    assert_eq!(calls.of(libc::SYS_openat), 3);
    assert_eq!(calls.of(libc::SYS_close), 3);
    // Whose thread this is: /proc/self shows the first one's files.
    assert_eq!(calls.of(libc::SYS_getpid) + calls.of(libc::SYS_gettid), 2);
    // Pages of our own, to see whether frames are shown; the page asked for.
    assert_eq!(calls.of(libc::SYS_pread64), 2);
    // The area.
    assert_eq!(calls.of(libc::SYS_ioctl), 1);
    // The page size, where there are several: by the first of this process.
    let page_size = calls.of(libc::SYS_msync);
    assert!(page_size <= 3, "{calls:?}");
    // A thread that is not the first looks whether that one still lives.
    let other_thread = calls.total() - 11 - page_size;
    assert!(other_thread == 0 || other_thread == 3, "{calls:?}");
}

#[test]
fn one_address_with_a_kept_handle_is_one_read() {
    if !is_root_or_skip("calls with a kept handle") {
        return;
    }
    let calls = trace::count(
        || {
            let at = memory::anonymous(page());
            memory::touch(at, 1, 1);
            (Process::current().unwrap(), at)
        },
        |(process, at)| assert!(process.physical_address(*at).unwrap().is_some()),
    );
    assert_eq!((calls.of(libc::SYS_pread64), calls.total()), (1, 1));
}

#[test]
fn one_region_with_its_kind_is_one_look_behind_it_more() {
    if !is_root_or_skip("calls for one region") || !has_area_query_or_skip("calls for one region") {
        return;
    }
    let calls = trace::count(
        || {
            let at = memory::anonymous(3 * page());
            memory::unmap(at, page());
            memory::touch(at + page(), 1, 1);
            (Process::current().unwrap(), at + page())
        },
        |(process, at)| {
            let regions = process.physical_regions(*at..at + page()).unwrap();
            assert_eq!(regions.count(), 1);
        },
    );
    // The area, and what lies before it, whose .bss it could be. C does not ask.
    assert_eq!(calls.of(libc::SYS_ioctl), 2);
    assert_eq!(calls.of(libc::SYS_pread64), 1);
}

#[test]
fn dense_memory_is_read_once_and_never_scanned() {
    if !is_root_or_skip("calls for dense memory")
        || !has_area_query_or_skip("calls for dense memory")
    {
        return;
    }
    let pages = 100 * ENTRIES;
    let calls = calls_of(pages * page(), || {
        let at = memory::anonymous(pages * page());
        // Backwards, so that no window looks like a huge page.
        for index in (0..pages).rev() {
            memory::touch(at + index * page(), 1, 1);
        }
        at
    });
    assert_eq!(calls.of(libc::SYS_pread64), pages / ENTRIES);
    // The area, and that there is no other.
    assert!(calls.of(libc::SYS_ioctl) <= 2, "{calls:?}");
}

#[test]
fn a_reservation_costs_scans_and_no_reads() {
    let tib = scaled(1 << 40);
    if !is_root_or_skip("calls for a reservation")
        || !has_page_scan_or_skip("calls for a reservation")
        || !has_addresses_or_skip(tib, "calls for a reservation")
    {
        return;
    }
    let calls = calls_of(tib, || memory::anonymous(tib));
    // The beginning is read; then spans of 256 MiB up to 2 GiB are scanned, as
    // fast as the machine is: no call is to hold the target's lock for long.
    assert_eq!(calls.of(libc::SYS_pread64), 1);
    let scans = calls.of(libc::SYS_ioctl);
    let (fewest, most) = ((tib >> 31) * 9 / 10, (tib >> 28) + 8);
    assert!((fewest..most).contains(&scans), "{calls:?}");
}

/// Holes are counted by arithmetic; without a scan a page at a time, but never
/// more of them than there are records to be given.
#[test]
fn page_table_records_of_a_hole_cost_no_more_than_is_asked_for() {
    let size = scaled(64 << 30);
    if !is_root_or_skip("calls for records of a hole")
        || !has_addresses_or_skip(size, "calls for records of a hole")
    {
        return;
    }
    let records = 1000;
    for no_scan in [false, true] {
        let calls = trace::count(
            || {
                let process = Process::current().unwrap();
                process.as_core().disable_features(false, no_scan);
                (process, memory::anonymous(size))
            },
            |(process, at)| {
                let entries = process.page_table(*at..at + size).unwrap();
                let mut next = *at;
                for entry in entries.take(records) {
                    let entry = entry.unwrap();
                    assert_eq!(entry.virt.start().as_u64(), next);
                    assert_eq!(entry.backing, Backing::NotPresent);
                    next = entry.virt.end().as_u64();
                }
                assert_eq!(next, at + records as u64 * page());
            },
        );
        // No read is of fewer entries than this.
        let reads = records as u64 / ENTRIES + 1;
        assert!(calls.of(libc::SYS_pread64) <= reads, "{no_scan}: {calls:?}");
        assert!(calls.of(libc::SYS_ioctl) <= 4, "{no_scan}: {calls:?}");
    }
}

#[test]
fn scattered_pages_cost_a_read_each_and_a_scan_for_many() {
    let (count, distance) = (scaled(1024).max(256), 64 << 20);
    if !is_root_or_skip("calls for scattered pages")
        || !has_page_scan_or_skip("calls for scattered pages")
        || !has_addresses_or_skip(count * distance, "calls for scattered pages")
    {
        return;
    }
    let calls = calls_of(count * distance, || {
        let at = memory::anonymous(count * distance);
        memory::touch(at, count, distance / page());
        at
    });
    assert!(calls.of(libc::SYS_pread64) <= count + 4, "{calls:?}");
    // 16 for a call, but for the 256 MiB that a slow machine scans at once.
    assert!(calls.of(libc::SYS_ioctl) <= count / 4 + 16, "{calls:?}");
}

#[test]
fn huge_pages_cost_half_a_read_each() {
    if !is_root_or_skip("calls for huge pages") || !has_page_scan_or_skip("calls for huge pages") {
        return;
    }
    let (count, huge) = (memory::many_huge(), memory::huge());
    let calls = calls_of(count * huge, || {
        let at = memory::aligned(count * huge, huge);
        memory::advise(at, count * huge, libc::MADV_HUGEPAGE);
        memory::touch(at, count, huge / page());
        at
    });
    // A window to see what it is like, then two huge pages a read.
    assert!(calls.of(libc::SYS_pread64) <= count / 2 + 4, "{calls:?}");
    // For each batch a scan before and one after.
    assert!(calls.of(libc::SYS_ioctl) <= 12, "{calls:?}");
}

#[test]
fn small_neighbouring_areas_are_read_together_and_taken_from_the_text() {
    if !is_root_or_skip("calls for small areas") || !has_area_query_or_skip("calls for small areas")
    {
        return;
    }
    let pages = scaled(20_000).max(4000);
    let make = || {
        let at = memory::anonymous(pages * page());
        memory::touch(at, pages, 1);
        for index in (0..pages).step_by(2) {
            memory::protect(at + index * page(), page(), libc::PROT_READ);
        }
        at
    };
    let calls = calls_of(pages * page(), make);
    assert!(
        calls.of(libc::SYS_pread64) <= pages / ENTRIES + 8,
        "{calls:?}"
    );
    // By the ioctl at first, then lines of some fifty bytes, 512 bytes a read.
    assert!(calls.of(libc::SYS_ioctl) <= 300, "{calls:?}");
    assert!(calls.of(libc::SYS_read) <= pages / 8 + 200, "{calls:?}");

    // One address in the middle of them costs what one among few does.
    let calls = trace::count(
        || (own(), make()),
        |(process, at)| {
            let middle = at + pages / 2 * page();
            walk(process, middle, middle + page());
        },
    );
    assert_eq!(calls.of(libc::SYS_ioctl), 1);
    assert_eq!(
        (calls.of(libc::SYS_pread64), calls.of(libc::SYS_read)),
        (1, 0)
    );
}
