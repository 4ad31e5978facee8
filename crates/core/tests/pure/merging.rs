//! Run merging: which page ends a run, and what the runs of known entries are.

use std::ops::ControlFlow;

use process_introspection_core::backing::{Backing, SwapPlace, UnknownReason};
use process_introspection_core::entry::Entry;
use process_introspection_core::mapping::PageSource;
use process_introspection_core::physical::Run;
use process_introspection_core::pure::{Merger, PageContext};
use process_introspection_core::{Pfn, PhysAddr};

use crate::{ANONYMOUS, FILE, PRESENT, PRIVATE_FILE, SHARED_FILE, SWAP};

fn ram(frame: u64) -> u64 {
    PRESENT | frame
}

fn cached(frame: u64) -> u64 {
    PRESENT | FILE | frame
}

fn swapped(offset: u64) -> u64 {
    SWAP | offset << 5
}

fn runs(context: &PageContext, entries: &[u64]) -> Vec<(usize, Backing, bool)> {
    runs_at(context, 0, entries, |_| None)
}

/// Returns the runs of pages from an address on, with the flags of frames.
fn runs_at(
    context: &PageContext,
    at: u64,
    entries: &[u64],
    flags: impl Fn(u64) -> Option<u64>,
) -> Vec<(usize, Backing, bool)> {
    let mut runs = Vec::new();
    let mut merger = Merger::new();
    let mut of_frames = |first: Pfn, to: &mut [u64]| {
        let frames = first.as_u64()..;
        to.iter_mut().zip(frames).all(|(to, frame)| {
            let known = flags(frame);
            *to = known.unwrap_or_default();
            known.is_some()
        })
    };
    let mut given = |run: &Run| {
        let pages = (run.end - run.start) >> context.page.shift();
        runs.push((pages as usize, run.state.backing, run.state.anonymous));
        ControlFlow::Continue(())
    };
    let (taken, _) = merger.feed(context, at, entries, &mut of_frames, &mut given);
    assert_eq!(taken, entries.len());
    merger.take().map(|run| given(&run));
    runs
}

fn at(frame: u64) -> PhysAddr {
    PhysAddr::new(frame << 12)
}

#[test]
fn consecutive_frames_are_one_run() {
    assert_eq!(
        runs(&ANONYMOUS, &[ram(5), ram(6), ram(7), ram(9), ram(8)]),
        [
            (3, Backing::Ram(at(5)), true),
            (1, Backing::Ram(at(9)), true),
            (1, Backing::Ram(at(8)), true)
        ]
    );
}

#[test]
fn bits_that_are_not_the_contracts_end_no_run() {
    let others = 1 << 55 | 1 << 56 | 1 << 57;
    assert_eq!(
        runs(&ANONYMOUS, &[ram(5), ram(6) | others, ram(7)]).len(),
        1
    );
    assert_eq!(
        runs(&SHARED_FILE, &[cached(5), cached(6) | others]).len(),
        1
    );
}

#[test]
fn a_private_copy_ends_the_run_of_the_files_pages() {
    assert_eq!(
        runs(&PRIVATE_FILE, &[cached(5), ram(6), ram(7), cached(8)]),
        [
            (1, Backing::Ram(at(5)), false),
            (2, Backing::Ram(at(6)), true),
            (1, Backing::Ram(at(8)), false)
        ]
    );
}

#[test]
fn the_zero_page_is_a_record_a_page() {
    assert_eq!(
        runs(
            &ANONYMOUS,
            &[ram(99), ram(100), ram(101), ram(100), ram(100)]
        ),
        [
            (1, Backing::Ram(at(99)), true),
            (1, Backing::Zero(at(100)), true),
            (1, Backing::Ram(at(101)), true),
            (1, Backing::Zero(at(100)), true),
            (1, Backing::Zero(at(100)), true)
        ]
    );
}

#[test]
fn the_huge_zero_page_is_one_run_a_time() {
    let entries: Vec<u64> = (512..1024).chain(512..1024).map(cached).collect();
    assert_eq!(
        runs(&ANONYMOUS, &entries),
        [
            (512, Backing::Zero(at(512)), true),
            (512, Backing::Zero(at(512)), true)
        ]
    );
}

/// Tests entries as kernels before 6.11 report them: memory of a child that its
/// parent maps too, followed by the huge zero page in the next frames.
#[test]
fn the_huge_zero_page_ends_a_run_also_without_a_bit_that_says_so() {
    let old = PageContext {
        huge_file_bit: false,
        ..ANONYMOUS
    };
    let entries: Vec<u64> = (512..2048).map(ram).collect();
    let flags = |frame| {
        Some(if (1024..1536).contains(&frame) {
            1 << 24
        } else {
            1 << 12
        })
    };
    for pages_before in [0, 1, 511] {
        // The frames lie in blocks where the addresses do.
        let start = (7 << 21) + (pages_before << 12);
        let first = pages_before as usize;
        assert_eq!(
            runs_at(&old, start, &entries[first..], flags),
            [
                (512 - first, Backing::Ram(at(512 + pages_before)), true),
                (512, Backing::Zero(at(1024)), true),
                (512, Backing::Ram(at(1536)), true)
            ]
        );
    }
    let mut merger = Merger::new();
    let mut given = Vec::new();
    let mut of_frames = |first: Pfn, to: &mut [u64]| {
        to.fill(flags(first.as_u64()).unwrap());
        true
    };
    let first = Entry::from_raw(ram(512));
    let whole = (7 << 21, 10 << 21);
    let mut give = |run: &Run| {
        given.push((run.start >> 21, run.state.backing));
        ControlFlow::Continue(())
    };
    let (to, _) = merger.feed_huge(&old, whole, first, &mut of_frames, &mut give);
    assert_eq!(to, 10 << 21);
    merger.take().map(|run| give(&run));
    assert_eq!(
        given,
        [
            (7, Backing::Ram(at(512))),
            (8, Backing::Zero(at(1024))),
            (9, Backing::Ram(at(1536)))
        ]
    );
}

#[test]
fn a_run_of_frames_that_are_asked_is_cut_where_their_flags_differ() {
    let dax = PageContext {
        source: PageSource::Persistent,
        ..PRIVATE_FILE
    };
    // 150 frames of RAM that are private copies, and the device's behind them.
    let entries: Vec<u64> = (1000..1300).map(ram).collect();
    let flags = |frame| Some(if frame < 1150 { 1 << 12 } else { 1 << 20 });
    assert_eq!(
        runs_at(&dax, 0x5000, &entries, flags),
        [
            (150, Backing::Ram(at(1000)), true),
            (150, Backing::Device(at(1150)), false)
        ]
    );
}

#[test]
fn the_place_in_swap_ends_no_run() {
    assert_eq!(
        runs(&PRIVATE_FILE, &[swapped(9), swapped(3), 0, swapped(4)]),
        [
            (
                2,
                Backing::Swapped(Some(SwapPlace { area: 0, offset: 9 })),
                true
            ),
            (1, Backing::NotPresent, false),
            (
                1,
                Backing::Swapped(Some(SwapPlace { area: 0, offset: 4 })),
                true
            )
        ]
    );
}

#[test]
fn each_page_in_swap_has_its_place_where_that_is_asked_for() {
    let mut given = Vec::new();
    let mut merger = Merger::start(true);
    let entries = [swapped(9), swapped(10), ram(5), ram(6), swapped(4), 0, 0];
    let mut unknown = |_: Pfn, _: &mut [u64]| false;
    let (taken, _) = merger.feed(&ANONYMOUS, 0, &entries, &mut unknown, &mut |run| {
        given.push(*run);
        ControlFlow::Continue(())
    });
    assert_eq!(taken, entries.len());
    given.extend(merger.take());
    let place = |offset| Backing::Swapped(Some(SwapPlace { area: 0, offset }));
    let given: Vec<_> = given
        .iter()
        .map(|run| ((run.end - run.start) >> 12, run.state.backing))
        .collect();
    assert_eq!(
        given,
        [
            (1, place(9)),
            (1, place(10)),
            (2, Backing::Ram(at(5))),
            (1, place(4)),
            (2, Backing::NotPresent)
        ]
    );
}

#[test]
fn what_is_mapped_but_not_listed_is_unknown() {
    let device = PageContext {
        unlisted: Some(UnknownReason::Driver),
        ..SHARED_FILE
    };
    assert_eq!(
        runs(&device, &[0, 0]),
        [(2, Backing::Unknown(UnknownReason::Driver), false)]
    );
    assert_eq!(
        runs(&SHARED_FILE, &[ram(5)]),
        [(1, Backing::Device(at(5)), false)]
    );
}

#[test]
fn hidden_frames_merge_by_residence_alone() {
    let hidden = PageContext {
        frames: false,
        zero: None,
        ..PRIVATE_FILE
    };
    let file = PRESENT | FILE;
    assert_eq!(
        runs(&hidden, &[file, file, PRESENT, 0, SWAP]),
        [
            (2, Backing::Resident, false),
            (1, Backing::Resident, true),
            (1, Backing::NotPresent, false),
            (1, Backing::Swapped(None), true)
        ]
    );
}
