//! Generated input, against naive parts: run merging page by page, lines of `maps` split
//! at spaces.

use std::ops::ControlFlow;

use process_introspection_core::backing::{Backing, UnknownReason};
use process_introspection_core::mapping::PageSource;
use process_introspection_core::physical::{PageState, Run};
use process_introspection_core::pure::{self, Merger, PageContext};
use process_introspection_core::{PageSize, Pfn};
use testkit::random::Random;

use crate::{ANON, FILE, GUARD, HWPOISON, LOCKED, NOPAGE, PRESENT, SWAP, ZERO_PAGE};

const PAGE: u64 = 4096;

/// A stream in which everything that can follow something does.
fn entries(random: &mut Random) -> Vec<u64> {
    let count = 1 + random.below(3000);
    let mut entries = Vec::new();
    let far = [0, 512, 1024][random.below(3) as usize];
    let mut frame = far + 90 + random.below(30);
    while (entries.len() as u64) < count {
        let len = 1 + random.below(40);
        let ignored = random.next() & (7 << 55);
        let kind = random.below(9);
        if random.below(3) == 0 {
            frame = far + random.below(200) + random.below(2) * (entries.len() as u64 % 512);
        }
        for _ in 0..len {
            entries.push(match kind {
                0 => 0,
                1 | 2 => PRESENT | frame | ignored,
                3 | 4 => PRESENT | FILE | frame | ignored,
                5 => SWAP | random.below(1000) << 5 | random.below(22),
                6 => SWAP | random.below(8) << 5 | 31,
                7 => SWAP | GUARD,
                _ => SWAP | random.below(100) << 5 | (22 + random.below(9)),
            });
            if matches!(kind, 1..=4) {
                frame += 1;
            }
        }
    }
    entries
}

const SOURCES: [PageSource; 6] = [
    PageSource::Cache,
    PageSource::Persistent,
    PageSource::Driver,
    PageSource::Unseen,
    PageSource::Anonymous,
    PageSource::Kernel,
];

fn context(random: &mut Random) -> PageContext {
    let frames = random.below(4) > 0;
    let has_object = random.below(2) == 0;
    // Without an object there are only memory and the kernel's own pages.
    let sources = match has_object {
        true => &SOURCES[..5],
        false => &SOURCES[4..],
    };
    PageContext {
        page: PageSize::SIZE_4K,
        private: !has_object || random.below(2) == 0,
        has_object,
        unlisted: (random.below(8) == 0).then_some(UnknownReason::Driver),
        source: sources[random.below(sources.len() as u64) as usize],
        hugetlb: random.below(8) == 0,
        huge_file_bit: random.below(2) == 0,
        frames,
        zero: (frames && random.below(2) == 0).then_some(Pfn::new(100)),
    }
}

/// What `/proc/kpageflags` says of frames: always the same; of the first of them
/// nothing.
fn flags(first: Pfn, flags: &mut [u64]) -> bool {
    // The huge zero page is a whole aligned block of frames.
    let of_frame = |frame: u64| match frame / 512 % 7 {
        0 => [0, NOPAGE, ANON, LOCKED | ANON, HWPOISON | ANON, 1 << 11][frame as usize % 6],
        1 => ZERO_PAGE,
        _ => ANON | 1 << 11,
    };
    let frames = first.as_u64()..;
    flags
        .iter_mut()
        .zip(frames)
        .for_each(|(to, frame)| *to = of_frame(frame));
    true
}

/// Whether page `next` belongs to the run that begins with `first`, `pages`
/// pages before it: the contract's rule, word for word.
fn is_same_run(first: PageState, pages: u64, next: PageState) -> bool {
    if first.anonymous != next.anonymous {
        return false;
    }
    match (first.backing, next.backing) {
        (Backing::Ram(a), Backing::Ram(b)) => a.as_u64() + pages * PAGE == b.as_u64(),
        (Backing::Zero(a), Backing::Zero(b)) => a.as_u64() + pages * PAGE == b.as_u64(),
        (Backing::Device(a), Backing::Device(b)) => a.as_u64() + pages * PAGE == b.as_u64(),
        (Backing::Swapped(_), Backing::Swapped(_)) => true,
        (Backing::Ram(_) | Backing::Zero(_) | Backing::Device(_) | Backing::Swapped(_), _) => false,
        (a, b) => a == b,
    }
}

fn naive(context: &PageContext, entries: &[u64]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (index, &entry) in entries.iter().enumerate() {
        let state = context.state(index as u64 * PAGE, entry_of(entry), &mut flags);
        let at = index as u64 * PAGE;
        match runs.last_mut() {
            Some(run) if is_same_run(run.state, (at - run.start) / PAGE, state) => run.end += PAGE,
            _ => runs.push(Run {
                start: at,
                end: at + PAGE,
                state,
            }),
        }
    }
    runs
}

fn entry_of(raw: u64) -> process_introspection_core::entry::Entry {
    process_introspection_core::entry::Entry::from_raw(raw)
}

/// As the cursor does it, with reads that end anywhere, for a taker who has
/// enough at any time.
fn merged(context: &PageContext, entries: &[u64], random: &mut Random) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut merger = Merger::new();
    let mut at = 0;
    while at < entries.len() {
        let window = (at + 1 + random.below(500) as usize).min(entries.len());
        while at < window {
            let mut enough = 1 + random.below(20);
            let mut give = |run: &Run| {
                runs.push(*run);
                enough -= 1;
                match enough {
                    0 => ControlFlow::Break(()),
                    _ => ControlFlow::Continue(()),
                }
            };
            let (known, start) = (&entries[at..window], at as u64 * PAGE);
            let (taken, flow) = merger.feed(context, start, known, &mut flags, &mut give);
            assert!((1..=known.len()).contains(&taken));
            assert!(flow.is_break() || taken == known.len());
            at += taken;
        }
    }
    runs.extend(merger.take());
    runs
}

#[test]
fn runs_do_not_depend_on_where_reads_end() {
    let mut random = Random::new(20_260_101);
    for _ in 0..600 {
        let (context, entries) = (context(&mut random), entries(&mut random));
        let expected = naive(&context, &entries);
        for _ in 0..3 {
            assert_eq!(
                merged(&context, &entries, &mut random),
                expected,
                "{context:?}"
            );
        }
    }
}

#[test]
fn a_line_of_maps_is_parsed_as_it_was_printed() {
    let mut random = Random::new(5);
    for _ in 0..20_000 {
        let bits = |random: &mut Random, most: u64| {
            let bits = 1 + random.below(most);
            random.next() >> (64 - bits)
        };
        let start = bits(&mut random, 62);
        let end = start + 1 + bits(&mut random, 40);
        let flag =
            |random: &mut Random, letter: char| if random.below(2) == 0 { letter } else { '-' };
        let permissions: String = [
            flag(&mut random, 'r'),
            flag(&mut random, 'w'),
            flag(&mut random, 'x'),
            if random.below(2) == 0 { 'p' } else { 's' },
        ]
        .into_iter()
        .collect();
        let offset = bits(&mut random, 60);
        let (major, minor) = (bits(&mut random, 12), bits(&mut random, 20));
        let inode = bits(&mut random, 64);
        let name = [
            "",
            "[heap]",
            "/usr/lib/x y.so",
            "/a (deleted)",
            "anon_inode:[x]",
        ][random.below(5) as usize];
        let head = format!(
            "{start:08x}-{end:08x} {permissions} {offset:08x} {major:02x}:{minor:02x} {inode} "
        );
        let line = if name.is_empty() {
            head
        } else {
            format!("{head:<73}{name}")
        };
        let (vma, name_at) = pure::parse(line.as_bytes()).expect(&line);
        assert_eq!(
            (vma.range.start().as_u64(), vma.range.end().as_u64()),
            (start, end)
        );
        assert_eq!(
            format!("{}{}", vma.protection, if vma.shared { 's' } else { 'p' }),
            permissions
        );
        assert_eq!((vma.offset, vma.inode), (offset, inode));
        assert_eq!(
            (u64::from(vma.device.major), u64::from(vma.device.minor)),
            (major, minor)
        );
        assert_eq!(&line[name_at..], name);
    }
}

#[test]
fn no_bytes_make_the_parser_panic() {
    let mut random = Random::new(6);
    let line = b"7f88eec3a000-7f88eed90000 r-xp 00026000 fe:00 326279      /usr/lib/libc.so.6";
    for _ in 0..50_000 {
        let mut bytes = line[..random.below(line.len() as u64) as usize].to_vec();
        for _ in 0..random.below(4) {
            let len = bytes.len() as u64;
            if len > 0 {
                bytes[random.below(len) as usize] = random.next() as u8;
            }
        }
        if let Some((vma, name)) = pure::parse(&bytes) {
            assert!(name <= bytes.len() && vma.range.start() <= vma.range.end());
        }
    }
}
