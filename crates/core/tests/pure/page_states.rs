//! States of pages: the backing that an entry, its mapping and its frame's flags prove.

use process_introspection_core::backing::{Backing, UnknownReason};
use process_introspection_core::entry::Entry;
use process_introspection_core::mapping::PageSource;
use process_introspection_core::pure::PageContext;
use process_introspection_core::{Pfn, PhysAddr};

use crate::{
    ANON, ANONYMOUS, EXCLUSIVE, FILE, HWPOISON, LOCKED, NOPAGE, OF_DEV_ZERO, PRESENT, PRIVATE_FILE,
    RESERVED, SHARED_FILE, SWAP, ZERO_PAGE,
};

const PMD: u64 = 2 << 20;
/// Flag of RAM of a driver or of the page cache.
const MMAP: u64 = 1 << 11;

const PRIVATE_DAX: PageContext = PageContext {
    source: PageSource::Persistent,
    ..PRIVATE_FILE
};
const SHARED_DAX: PageContext = PageContext {
    private: false,
    ..PRIVATE_DAX
};

fn on_old_kernel(context: PageContext) -> PageContext {
    PageContext {
        huge_file_bit: false,
        ..context
    }
}

fn present(frame: u64) -> u64 {
    PRESENT | frame
}

fn address(frame: u64) -> PhysAddr {
    PhysAddr::new(frame << 12)
}

/// Returns the backing and whether it is anonymous, at an address where a PMD begins.
fn state(context: &PageContext, entry: u64, flags: Option<u64>) -> (Backing, bool) {
    let mut of_frame = |_: Pfn, to: &mut [u64]| {
        to.fill(flags.unwrap_or_default());
        flags.is_some()
    };
    let state = context.state(7 * PMD, Entry::from_raw(entry), &mut of_frame);
    (state.backing, state.anonymous)
}

/// Returns the state of a page whose flags must not be read.
fn state_without_flags(context: &PageContext, entry: u64) -> (Backing, bool) {
    let mut never = |_: Pfn, _: &mut [u64]| unreachable!("the entry says it");
    let state = context.state(7 * PMD, Entry::from_raw(entry), &mut never);
    (state.backing, state.anonymous)
}

#[test]
fn the_huge_zero_page_is_zero_in_every_anonymous_vma() {
    let entry = present(512) | FILE;
    let zero = Backing::Zero(address(512));
    assert_eq!(state_without_flags(&ANONYMOUS, entry), (zero, true));
    assert_eq!(state_without_flags(&OF_DEV_ZERO, entry), (zero, false));
    // The page of a regular file, whatever the file's name.
    assert_eq!(
        state_without_flags(&PRIVATE_FILE, entry),
        (Backing::Ram(address(512)), false)
    );
    let unseen = PageContext {
        source: PageSource::Unseen,
        ..OF_DEV_ZERO
    };
    assert_eq!(state(&unseen, entry, Some(ZERO_PAGE)), (zero, false));
    assert_eq!(
        state(&unseen, entry, Some(MMAP)),
        (Backing::Ram(address(512)), false)
    );
}

#[test]
fn the_huge_zero_page_is_zero_where_the_kernel_leaves_out_bit_61() {
    let zero = Backing::Zero(address(512));
    for context in [ANONYMOUS, OF_DEV_ZERO] {
        let old = on_old_kernel(context);
        let anonymous = !context.has_object;
        assert_eq!(
            state(&old, present(512), Some(ZERO_PAGE)),
            (zero, anonymous)
        );
        let ram = (Backing::Ram(address(512)), true);
        assert_eq!(state(&old, present(512), Some(ANON | MMAP)), ram);
        // The page is mapped once, or not where a PMD would map it: no flags are
        // read.
        assert_eq!(state_without_flags(&old, present(512) | EXCLUSIVE), ram);
        assert_eq!(
            state_without_flags(&old, present(513)),
            (Backing::Ram(address(513)), true)
        );
        let unknown = Backing::Unknown(UnknownReason::Frame);
        assert_eq!(state(&old, present(512), None).0, unknown);
    }
}

#[test]
fn the_zero_page_is_asked_for_where_its_frame_is_unknown() {
    let context = PageContext {
        zero: None,
        ..ANONYMOUS
    };
    let zero = (Backing::Zero(address(100)), true);
    assert_eq!(state(&context, present(100), Some(ZERO_PAGE)), zero);
    let ram = (Backing::Ram(address(100)), true);
    assert_eq!(state(&context, present(100), Some(ANON)), ram);
    assert_eq!(state_without_flags(&context, present(100) | EXCLUSIVE), ram);
}

/// Tests entries as 5.10, 6.1 and 6.12 report them (`devmap`: no bit 61, except for
/// PMDs of 6.11 and later), as 6.15 and later do (bit 61 for all), and flags as all
/// do.
#[test]
fn persistent_memory_is_no_ram_and_its_private_copies_are() {
    let device = (Backing::Device(address(512)), false);
    for context in [PRIVATE_DAX, SHARED_DAX, on_old_kernel(PRIVATE_DAX)] {
        for entry in [present(512), present(512) | FILE] {
            for no_page in [0, NOPAGE, RESERVED | MMAP] {
                assert_eq!(state(&context, entry, Some(no_page)), device);
            }
            let zero = (Backing::Zero(address(512)), false);
            assert_eq!(state(&context, entry, Some(ZERO_PAGE)), zero);
            // Neither kind, or unreadable flags.
            let unknown = (Backing::Unknown(UnknownReason::Frame), false);
            assert_eq!(state(&context, entry, Some(MMAP)), unknown);
            assert_eq!(state(&context, entry, None), unknown);
        }
        // A hole is the zero page.
        let hole = (Backing::Zero(address(100)), false);
        assert_eq!(state_without_flags(&context, present(100)), hole);
    }
    assert_eq!(
        state(&PRIVATE_DAX, present(512), Some(ANON | MMAP)),
        (Backing::Ram(address(512)), true)
    );
}

#[test]
fn memory_of_a_driver_is_ram_only_if_the_kernel_has_it_as_ram() {
    let shared = PageContext {
        source: PageSource::Driver,
        ..SHARED_FILE
    };
    let (ram, device) = (Backing::Ram(address(512)), Backing::Device(address(512)));
    let listed = present(512) | FILE;
    assert_eq!(state(&shared, listed, Some(MMAP)), (ram, false));
    assert_eq!(state(&shared, listed, Some(NOPAGE)), (device, false));
    assert_eq!(state(&shared, listed, Some(0)), (device, false));
    // The frame alone identifies it.
    assert_eq!(state(&shared, present(512), Some(MMAP)), (device, false));
    let private = PageContext {
        private: true,
        ..shared
    };
    assert_eq!(state(&private, present(512), Some(ANON)), (ram, true));
    assert_eq!(state(&private, present(512), Some(NOPAGE)), (device, false));
}

#[test]
fn a_shared_page_without_bit_61_is_a_devices_or_a_huge_page_of_an_old_kernel() {
    let (ram, device) = (
        (Backing::Ram(address(512)), false),
        (Backing::Device(address(512)), false),
    );
    assert_eq!(state_without_flags(&SHARED_FILE, present(512) | FILE), ram);
    assert_eq!(state(&SHARED_FILE, present(512), Some(NOPAGE)), device);
    assert_eq!(state(&SHARED_FILE, present(512), None), device);
    let old = on_old_kernel(SHARED_FILE);
    assert_eq!(state(&old, present(512), Some(MMAP)), ram);
    let unknown = (Backing::Unknown(UnknownReason::Frame), false);
    assert_eq!(state(&old, present(512), None), unknown);
    // In a private mapping this page is not a private copy.
    let old = on_old_kernel(PRIVATE_FILE);
    assert_eq!(state(&old, present(512), Some(MMAP)), ram);
    let copy = (Backing::Ram(address(512)), true);
    assert_eq!(state(&old, present(512), Some(ANON)), copy);
    assert_eq!(state_without_flags(&PRIVATE_FILE, present(512)), copy);
}

#[test]
fn an_empty_entry_of_hugetlb_does_not_say_that_nothing_is_there() {
    let hugetlb = PageContext {
        hugetlb: true,
        ..PRIVATE_FILE
    };
    let unknown = (Backing::Unknown(UnknownReason::HugePage), false);
    assert_eq!(state_without_flags(&hugetlb, 0), unknown);
    // Bit 57: a marker, or a page in migration that is write-protected.
    assert_eq!(state_without_flags(&hugetlb, 1 << 57), unknown);
    assert_eq!(hugetlb.empty().backing, Backing::NotPresent);
    // Its bit 61 is right on every kernel.
    let old = on_old_kernel(hugetlb);
    assert_eq!(
        state_without_flags(&old, present(512)),
        (Backing::Ram(address(512)), true)
    );
}

#[test]
fn a_frame_that_is_named_without_being_present_is_what_its_flags_say() {
    let unknown = Backing::Unknown(UnknownReason::Frame);
    let named = |flags| state(&ANONYMOUS, SWAP | 77 << 5 | 25, flags).0;
    assert_eq!(named(Some(HWPOISON | ANON)), Backing::Poisoned);
    assert_eq!(named(Some(LOCKED | ANON)), Backing::Migrating);
    // Exclusive to a device; in a device's private memory; flags unreadable.
    assert_eq!(named(Some(ANON | MMAP)), unknown);
    for flags in [Some(0), Some(NOPAGE), None] {
        assert_eq!(named(flags), unknown);
    }
}

#[test]
fn the_kernels_own_pages_are_ram() {
    let kernel = PageContext {
        source: PageSource::Kernel,
        ..ANONYMOUS
    };
    let ram = (Backing::Ram(address(512)), true);
    assert_eq!(state_without_flags(&kernel, present(512) | FILE), ram);
}
