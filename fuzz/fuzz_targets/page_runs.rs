//! Entries of the page map, whatever their bits, decoded and merged into runs
//! against an oracle that knows the kernel's format and the contract only, and
//! takes page after page. Reads end anywhere, takers have enough at any time,
//! and holes come as entries or are told as what they are.
#![no_main]

use std::ops::ControlFlow;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use process_introspection_core::device::UnknownReason;
use process_introspection_core::pagemap::Entry;
use process_introspection_core::physical::runs::{Merger, PageContext, Run};
use process_introspection_core::physical::{Backing, SwapPlace};
use process_introspection_core::{PageSize, Pfn, PhysAddr};

#[derive(Arbitrary, Debug)]
struct Input {
    page: u8,
    private: bool,
    has_object: bool,
    unlisted: bool,
    special: bool,
    frames: bool,
    zero: Option<u16>,
    /// Where reads end and takers have enough, again and again.
    windows: [u8; 4],
    enough: [u8; 4],
    parts: Vec<Part>,
}

#[derive(Arbitrary, Debug)]
enum Part {
    /// Any bits.
    One(u64),
    /// The same bits again and again.
    Same(u64, u8),
    /// Frames that follow each other, and the bits beside.
    Frames(u16, u8, u8),
    /// Nothing, so many pages, told without entries.
    Hole(u8),
}

const PRESENT: u64 = 1 << 63;
const SWAP: u64 = 1 << 62;
const FILE: u64 = 1 << 61;
const GUARD: u64 = 1 << 58;
const LOW: u64 = (1 << 55) - 1;
/// Physical addresses have 52 bits at most, whatever the page size.
const MOST_FRAMES: u64 = 1 << 40;
/// The address of the first page: any that is not 0.
const START: u64 = 0x7f00_0000_0000;
const MOST_PAGES: usize = 3000;

/// A page as the kernel can report it: frames have no more bits than memory.
fn possible(raw: u64) -> u64 {
    if raw & PRESENT != 0 {
        (raw & !LOW) | (raw % MOST_FRAMES)
    } else {
        raw
    }
}

/// Each page's entry; `None` in holes.
fn pages(parts: &[Part]) -> Vec<Option<u64>> {
    let mut pages = Vec::new();
    for part in parts {
        match *part {
            Part::One(raw) => pages.push(Some(possible(raw))),
            Part::Same(raw, count) => {
                pages.extend(std::iter::repeat_n(Some(possible(raw)), count.into()));
            }
            Part::Frames(first, count, bits) => {
                let beside = PRESENT | u64::from(bits) << 55 & !SWAP;
                let frames = u64::from(first)..u64::from(first) + u64::from(count);
                pages.extend(frames.map(|frame| Some(beside | frame)));
            }
            Part::Hole(count) => pages.extend(std::iter::repeat_n(None, count.into())),
        }
    }
    pages.truncate(MOST_PAGES);
    pages
}

/// What frames that are named without being present are: anything, but always
/// the same.
fn of_frame(frame: Pfn) -> Backing {
    match frame.as_u64() % 3 {
        0 => Backing::Migrating,
        1 => Backing::Poisoned,
        _ => Backing::Unknown(UnknownReason::Frame),
    }
}

/// Backing and whether it is anonymous memory, by the contract's rules 5 and 6.
fn oracle(context: &PageContext, entry: Option<u64>) -> (Backing, bool) {
    let entry = entry.unwrap_or(0);
    let of_none = !context.has_object;
    let low = entry & LOW;
    if entry & PRESENT != 0 {
        let address = PhysAddr::new(low * context.page.bytes());
        let is_file = entry & FILE != 0;
        let is_copy = context.private && context.has_object && !is_file;
        if !context.frames {
            return (Backing::Resident, of_none || is_copy);
        }
        let is_huge_zero = of_none && context.private && is_file && !context.special;
        if context.zero == Some(Pfn::new(low)) || is_huge_zero {
            return (Backing::Zero(address), of_none);
        }
        if context.has_object && !context.private && !is_file {
            return (Backing::Device(address), false);
        }
        return (Backing::Ram(address), of_none || is_copy);
    }
    if entry & SWAP == 0 {
        let backing = match context.unlisted {
            Some(reason) => Backing::Unknown(reason),
            None => Backing::NotPresent,
        };
        return (backing, of_none);
    }
    let (area, offset) = (low % 32, low / 32);
    let backing = match (entry & GUARD != 0, area, offset) {
        (true, ..) => Backing::Guard,
        (_, 0..=22, _) => {
            let place = SwapPlace {
                area: area as u8,
                offset,
            };
            let place = context.frames.then_some(place);
            return (Backing::Swapped(place), of_none || context.private);
        }
        (_, 31, 0..=31) if offset & 2 != 0 => Backing::Poisoned,
        (_, 31, 0..=31) if offset & 4 != 0 => Backing::Guard,
        (_, 31, 0..=31) => Backing::Marker,
        _ => of_frame(Pfn::new(offset)),
    };
    (backing, of_none)
}

/// Rule 4: whether a page goes on with a run of so many bytes.
fn goes_on(first: (Backing, bool), size: u64, next: (Backing, bool)) -> bool {
    let follows = |a: PhysAddr, b: PhysAddr| a.as_u64() + size == b.as_u64();
    first.1 == next.1
        && match (first.0, next.0) {
            (Backing::Ram(a), Backing::Ram(b)) => follows(a, b),
            (Backing::Zero(a), Backing::Zero(b)) => follows(a, b),
            (Backing::Device(a), Backing::Device(b)) => follows(a, b),
            (Backing::Swapped(_), Backing::Swapped(_)) => true,
            (a, b) => a == b && a.address().is_none(),
        }
}

type NaiveRun = (u64, u64, (Backing, bool));

fn naive(context: &PageContext, pages: &[Option<u64>]) -> Vec<NaiveRun> {
    let size = context.page.bytes();
    let mut runs: Vec<NaiveRun> = Vec::new();
    for (at, &page) in (START..).step_by(size as usize).zip(pages) {
        let state = oracle(context, page);
        match runs.last_mut() {
            Some((start, end, first)) if goes_on(*first, *end - *start, state) => *end += size,
            _ => runs.push((at, at + size, state)),
        }
    }
    runs
}

fn merged(context: &PageContext, pages: &[Option<u64>], input: &Input) -> Vec<NaiveRun> {
    let size = context.page.bytes();
    let mut runs = Vec::new();
    let mut merger = Merger::new();
    let (mut windows, mut enoughs) = (input.windows.iter().cycle(), input.enough.iter().cycle());
    let mut next = || 1 + usize::from(*windows.next().expect("a cycle"));
    let mut left = 0;
    let mut give = |run: &Run| {
        runs.push((run.start, run.end, (run.state.backing, run.state.anonymous)));
        if left == 0 {
            left = usize::from(*enoughs.next().expect("a cycle"));
            return ControlFlow::Break(());
        }
        left -= 1;
        ControlFlow::Continue(())
    };
    let mut done = 0;
    while let Some(&page) = pages.get(done) {
        let start = START + done as u64 * size;
        let alike = pages[done..]
            .iter()
            .take_while(|other| other.is_none() == page.is_none());
        let count = alike.count().min(next());
        if page.is_none() {
            let (end, state) = (start + count as u64 * size, context.empty());
            let _ = merger.push(Run { start, end, state }, &mut give);
            done += count;
            continue;
        }
        let entries: Vec<u64> = pages[done..done + count]
            .iter()
            .flatten()
            .copied()
            .collect();
        let (taken, flow) = merger.feed(context, start, &entries, of_frame, &mut give);
        assert!((1..=count).contains(&taken) && (flow.is_break() || taken == count));
        let pending = merger.pending().expect("something is always pending");
        assert_eq!(pending.end, start + taken as u64 * size);
        done += taken;
    }
    if let Some(run) = merger.take() {
        let _ = give(&run);
    }
    assert_eq!(merger.take(), None);
    runs
}

fuzz_target!(|input: Input| {
    let page = [4 << 10, 16 << 10, 64 << 10][usize::from(input.page % 3)];
    let context = PageContext {
        page: PageSize::from_bytes(page).expect("a power of two"),
        private: input.private,
        has_object: input.has_object,
        unlisted: input.unlisted.then_some(UnknownReason::KernelPages),
        special: input.special,
        frames: input.frames,
        zero: input
            .zero
            .filter(|_| input.frames)
            .map(|frame| Pfn::new(frame.into())),
    };
    let pages = pages(&input.parts);
    for &entry in pages.iter().flatten() {
        let state = context.state(Entry::from_raw(entry), of_frame);
        assert_eq!(
            (state.backing, state.anonymous),
            oracle(&context, Some(entry)),
            "{entry:#x}"
        );
    }
    assert_eq!(
        merged(&context, &pages, &input),
        naive(&context, &pages),
        "{context:?}"
    );
});
