//! Entries of the page map with any bits, decoded and merged into runs, against an
//! oracle that knows only the kernel's format and the contract and processes page by
//! page. Reads end anywhere, consumers stop at any time, and holes come as entries or
//! as holes.
#![no_main]

use std::ops::ControlFlow;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use process_introspection_core::backing::{Backing, SwapPlace, UnknownReason};
use process_introspection_core::entry::Entry;
use process_introspection_core::mapping::PageSource;
use process_introspection_core::physical::Run;
use process_introspection_core::pure::{Merger, PageContext};
use process_introspection_core::{PageSize, Pfn, PhysAddr};

#[derive(Arbitrary, Debug)]
struct Input {
    page: u8,
    private: bool,
    has_object: bool,
    unlisted: bool,
    source: u8,
    hugetlb: bool,
    huge_file_bit: bool,
    /// Whether the flags of frames can be read.
    flags: bool,
    frames: bool,
    zero: Option<u16>,
    /// Places at which reads end and consumers stop, repeated.
    windows: [u8; 4],
    enough: [u8; 4],
    parts: Vec<Part>,
}

#[derive(Arbitrary, Debug)]
enum Part {
    /// Any bits.
    One(u64),
    /// The same bits, repeated.
    Same(u64, u8),
    /// Consecutive frames, and the other bits.
    Frames(u16, u8, u8),
    /// A hole of this many pages, without entries.
    Hole(u8),
}

const PRESENT: u64 = 1 << 63;
const SWAP: u64 = 1 << 62;
const FILE: u64 = 1 << 61;
const GUARD: u64 = 1 << 58;
const UFFD_WP: u64 = 1 << 57;
const EXCLUSIVE: u64 = 1 << 56;
const LOW: u64 = (1 << 55) - 1;
/// Physical addresses have 52 bits at most, whatever the page size.
const MOST_FRAMES: u64 = 1 << 40;
/// Address of the first page: any but 0.
const START: u64 = 0x7f00_0000_0000;
const MOST_PAGES: usize = 3000;

/// A page as the kernel can report it: frames have no more bits than physical addresses.
fn possible(raw: u64) -> u64 {
    if raw & PRESENT != 0 {
        (raw & !LOW) | (raw % MOST_FRAMES)
    } else {
        raw
    }
}

/// Returns each page's entry; `None` in holes.
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

const LOCKED: u64 = 1 << 0;
const ANON: u64 = 1 << 12;
const HWPOISON: u64 = 1 << 19;
const NOPAGE: u64 = 1 << 20;
const ZERO_PAGE: u64 = 1 << 24;

/// Returns the flags of a frame: any, but always the same. The huge zero page is a
/// whole aligned block of frames.
fn flags_of(frame: u64, block: u64) -> u64 {
    match frame / block % 5 {
        0 => ZERO_PAGE,
        1 => ANON,
        _ => [0, NOPAGE, ANON, LOCKED | ANON, HWPOISON | ANON, 1 << 11][(frame % 6) as usize],
    }
}

/// Facts beside the entries.
struct Known {
    flags: bool,
    block: u64,
}

impl Known {
    fn of(&self, frame: u64) -> Option<u64> {
        self.flags.then(|| flags_of(frame, self.block))
    }

    fn store(&self, first: Pfn, to: &mut [u64]) -> bool {
        let frames = first.as_u64()..;
        to.iter_mut()
            .zip(frames)
            .for_each(|(to, frame)| *to = flags_of(frame, self.block));
        self.flags
    }
}

/// Returns the backing, and whether it is anonymous memory, by the contract's rules 5
/// and 6.
fn oracle(context: &PageContext, known: &Known, at: u64, entry: Option<u64>) -> (Backing, bool) {
    let of_none = !context.has_object;
    let Some(entry) = entry else {
        let backing = match context.unlisted {
            Some(reason) => Backing::Unknown(reason),
            None => Backing::NotPresent,
        };
        return (backing, of_none);
    };
    let low = entry & LOW;
    if entry & PRESENT != 0 {
        return present(context, known, at, entry);
    }
    if entry & SWAP == 0 && context.hugetlb {
        return (Backing::Unknown(UnknownReason::HugePage), of_none);
    }
    if entry & SWAP == 0 {
        return oracle(context, known, at, None);
    }
    let (area, offset) = (low % 32, low / 32);
    let backing = match (entry & GUARD != 0, area, offset) {
        (true, ..) => Backing::Guard,
        (_, 0..=21, _) => {
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
        (_, 30, 1) if entry & UFFD_WP != 0 => Backing::Marker,
        _ => match known.of(offset) {
            Some(flags) if flags & NOPAGE == 0 && flags & HWPOISON != 0 => Backing::Poisoned,
            Some(flags) if flags & NOPAGE == 0 && flags & LOCKED != 0 => Backing::Migrating,
            _ => Backing::Unknown(UnknownReason::Frame),
        },
    };
    (backing, of_none)
}

fn present(context: &PageContext, known: &Known, at: u64, entry: u64) -> (Backing, bool) {
    let of_none = !context.has_object;
    let frame = entry & LOW;
    let address = PhysAddr::new(frame * context.page.bytes());
    let is_file = entry & FILE != 0;
    let is_copy = context.private && context.has_object && !is_file;
    if !context.frames {
        return (Backing::Resident, of_none || is_copy);
    }
    let (zero, unknown) = (
        (Backing::Zero(address), of_none),
        (Backing::Unknown(UnknownReason::Frame), of_none),
    );
    if context.zero == Some(Pfn::new(frame)) {
        return zero;
    }
    let (ram, device) = (Backing::Ram(address), Backing::Device(address));
    let is_in_phase = (at / context.page.bytes()) % known.block == frame % known.block;
    let can_be_huge = !context.huge_file_bit && is_in_phase;
    let flags = known.of(frame);
    let is_zero = flags.is_some_and(|flags| flags & ZERO_PAGE != 0);
    let is_anon = flags.is_some_and(|flags| flags & ANON != 0);
    let no_ram = flags.is_some_and(|flags| flags == 0 || flags & NOPAGE != 0);
    match context.source {
        PageSource::Anonymous if is_file => zero,
        PageSource::Anonymous => {
            let can_be_zero = context.zero.is_none() || can_be_huge;
            match flags {
                _ if entry & EXCLUSIVE != 0 || !can_be_zero => (ram, true),
                None => unknown,
                Some(_) if is_zero => zero,
                Some(_) => (ram, true),
            }
        }
        PageSource::Cache if is_file => (ram, of_none),
        PageSource::Cache if context.private => match flags {
            _ if context.hugetlb || !can_be_huge => (ram, true),
            Some(_) if is_zero => zero,
            None => (ram, true),
            Some(_) => (ram, is_anon || no_ram),
        },
        PageSource::Cache => match flags {
            _ if context.hugetlb => (device, false),
            None if context.huge_file_bit => (device, false),
            None => unknown,
            Some(_) if is_zero => zero,
            Some(_) if no_ram => (device, false),
            Some(_) => (ram, false),
        },
        PageSource::Kernel => (ram, of_none || is_copy),
        _ => match flags {
            None => unknown,
            Some(_) if is_zero => zero,
            Some(_) if no_ram => (device, of_none),
            Some(_) if is_anon => (ram, context.private),
            Some(_) if context.source == PageSource::Persistent => unknown,
            Some(_) if context.source == PageSource::Driver && !is_file => (device, of_none),
            Some(_) => (ram, of_none),
        },
    }
}

/// Returns whether a page continues a run of `size` bytes, by rule 4.
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

fn naive(context: &PageContext, known: &Known, pages: &[Option<u64>]) -> Vec<NaiveRun> {
    let size = context.page.bytes();
    let mut runs: Vec<NaiveRun> = Vec::new();
    for (at, &page) in (START..).step_by(size as usize).zip(pages) {
        let state = oracle(context, known, at, page);
        match runs.last_mut() {
            Some((start, end, first)) if goes_on(*first, *end - *start, state) => *end += size,
            _ => runs.push((at, at + size, state)),
        }
    }
    runs
}

fn merged(
    context: &PageContext,
    known: &Known,
    pages: &[Option<u64>],
    input: &Input,
) -> Vec<NaiveRun> {
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
        let (taken, flow) = merger.feed(
            context,
            start,
            &entries,
            &mut |first: Pfn, to: &mut [u64]| known.store(first, to),
            &mut give,
        );
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

const OF_OBJECTS: [PageSource; 5] = [
    PageSource::Anonymous,
    PageSource::Cache,
    PageSource::Persistent,
    PageSource::Driver,
    PageSource::Unseen,
];

fuzz_target!(|input: Input| {
    let page = [4 << 10, 16 << 10, 64 << 10][usize::from(input.page % 3)];
    let page = PageSize::from_bytes(page).expect("a power of two");
    let known = Known {
        flags: input.flags,
        block: page.pmd().bytes() / page.bytes(),
    };
    let source = usize::from(input.source);
    let source = match input.has_object {
        true => OF_OBJECTS[source % OF_OBJECTS.len()],
        // Mappings without an object contain only memory and the kernel's own pages.
        false => [PageSource::Anonymous, PageSource::Kernel][source % 2],
    };
    let context = PageContext {
        page,
        // A shared mapping without a file is shared memory, with an object.
        private: input.private || !input.has_object || source == PageSource::Anonymous,
        has_object: input.has_object,
        unlisted: input.unlisted.then_some(UnknownReason::KernelPages),
        source,
        hugetlb: input.hugetlb,
        huge_file_bit: input.huge_file_bit,
        frames: input.frames,
        zero: input
            .zero
            .filter(|_| input.frames)
            .map(|frame| Pfn::new(frame.into())),
    };
    let pages = pages(&input.parts);
    for &entry in pages.iter().flatten() {
        let mut flags = |first: Pfn, to: &mut [u64]| known.store(first, to);
        let state = context.state(START, Entry::from_raw(entry), &mut flags);
        assert_eq!(
            (state.backing, state.anonymous),
            oracle(&context, &known, START, Some(entry)),
            "{entry:#x}"
        );
    }
    assert_eq!(
        merged(&context, &known, &pages, &input),
        naive(&context, &known, &pages),
        "{context:?}"
    );
});
