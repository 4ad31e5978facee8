//! Published metrics: of hand-made address spaces, and of generated ones compared with a naive
//! computation page by page.

use std::collections::BTreeMap;
use std::sync::Arc;

use process_introspection::{
    AddrRange, Attributed, Backing, ContiguityMetrics, ContiguityMetricsAccumulator, Device,
    DeviceMemory, FolioLayout, FoliosOfKind, FrameFlags, HugeBytes, Mapping, MappingKind,
    MappingParts, PageSize, PhysAddr, PhysicalRegion, Protection, ThpBytes, Unlisted,
};
use testkit::random::Random;

const BASE: PageSize = PageSize::SIZE_4K;
const PAGE: u64 = 4096;

const SINGLE: FrameFlags = FrameFlags::ANON;

fn mapping_with(first: u64, end: u64, kind: MappingKind, unlisted: Unlisted) -> Arc<Mapping> {
    Arc::new(Mapping::from_parts(MappingParts {
        range: AddrRange::new(first * PAGE, end * PAGE).unwrap(),
        protection: Protection::new(true, true, false),
        shared: false,
        offset: 0,
        device: Device { major: 0, minor: 0 },
        inode: 0,
        page_size: Some(BASE),
        kind,
        unlisted,
        name: Box::default(),
    }))
}

fn mapping(first: u64, end: u64) -> Arc<Mapping> {
    mapping_with(first, end, MappingKind::Anonymous, Unlisted::Nothing)
}

fn region(mapping: &Arc<Mapping>, vpn: u64, backing: Backing, pages: u64) -> PhysicalRegion {
    let virt = AddrRange::new(vpn * PAGE, (vpn + pages) * PAGE).unwrap();
    PhysicalRegion::new(virt, backing, true, Arc::clone(mapping))
}

fn ram(pfn: u64) -> Backing {
    Backing::Ram(PhysAddr::new(pfn * PAGE))
}

fn small(region: PhysicalRegion) -> Attributed<PhysicalRegion> {
    let mut region = Attributed::new(region);
    region.page_size = Some(BASE);
    region
}

/// Virtual page number, PFN and pages of a run.
type Run = (u64, u64, u64);

/// Metrics of RAM without large folios: mappings with their runs.
fn metrics(space: &[(Arc<Mapping>, &[Run])]) -> ContiguityMetrics {
    let mut metrics = ContiguityMetricsAccumulator::new(BASE);
    for (mapping, runs) in space {
        for &(vpn, pfn, pages) in *runs {
            let flags = vec![SINGLE; pages as usize + 1];
            metrics.push(&small(region(mapping, vpn, ram(pfn), pages)), Some(&flags));
        }
    }
    metrics.finish()
}

fn sizes(metrics: &ContiguityMetrics) -> Vec<u64> {
    let ranges = metrics.ranges.as_ref().unwrap();
    let sizes = ranges.largest(1 << 20);
    sizes.into_iter().map(|size| size / PAGE).collect()
}

#[test]
fn ranges_runs_and_offsets_of_a_small_process() {
    let metrics = metrics(&[
        (
            mapping(16, 40),
            // Two ranges that touch in one address space only, a gap, and a page at the end.
            &[(16, 100, 4), (20, 200, 2), (24, 108, 2), (39, 300, 1)],
        ),
        // Continues the last range in both address spaces, in another mapping.
        (mapping(40, 44), &[(40, 301, 2)]),
    ]);
    assert_eq!(metrics.present_pages, 11);
    assert_eq!(sizes(&metrics), [4, 2, 2, 2, 1]);
    assert_eq!(metrics.virtual_runs, 4);
    // 16 - 100 = 24 - 108, and 39 - 300 = 40 - 301.
    assert_eq!(metrics.offsets, Some(3));
    let classes = metrics.ranges.as_ref().unwrap().classes();
    let classes: Vec<_> = classes.iter().map(|of| (of.least, of.count)).collect();
    assert_eq!(classes, [(PAGE, 1), (2 * PAGE, 3), (4 * PAGE, 1)]);
    // 9 = ⌈8.8⌉, 10 = ⌈9.9⌉ and 11 = ⌈10.89⌉ pages.
    let needed = [80, 90, 99].map(|percent| metrics.ranges_for_percent(percent));
    assert_eq!(needed, [Some(4), Some(4), Some(5)]);
}

/// Faults of page-collect.cpp: it begins with a run of one page that does not exist, never
/// counts the last run, and reports no coverage by N ranges if there are no more than N.
#[test]
fn faults_of_the_published_program_are_not_copied() {
    let one = metrics(&[(mapping(16, 20), &[(16, 100, 4)])]);
    assert_eq!((sizes(&one), one.virtual_runs), (vec![4], 1));
    assert_eq!(one.pages_in_largest_ranges(32), Some(4));
    let runs: Vec<_> = (0..32).map(|at| (100 + at, 1000 + 2 * at, 1)).collect();
    let many = metrics(&[(mapping(100, 132), &runs)]);
    assert_eq!((sizes(&many).len(), many.virtual_runs), (32, 1));
    assert_eq!(many.pages_in_largest_ranges(32), Some(32));
    assert_eq!(many.pages_in_largest_ranges(31), Some(31));
    assert_eq!(many.ranges_for_percent(99), Some(32));
    let none = metrics(&[]);
    assert_eq!((sizes(&none).len(), none.virtual_runs), (0, 0));
    assert_eq!(none.pages_in_largest_ranges(32), Some(0));
    assert_eq!(none.ranges_for_percent(99), Some(0));
}

/// A share of 80 % of 5 pages is 4 pages exactly, which a product of floating-point numbers
/// can miss.
#[test]
fn shares_are_rounded_up_from_exact_products() {
    for pages in 1..=1000 {
        let runs: Vec<_> = (0..pages).map(|at| (2 * at, 5000 * (at + 1), 1)).collect();
        let metrics = metrics(&[(mapping(0, 2 * pages), &runs)]);
        for percent in [80, 90, 99] {
            let least = (0..=pages).find(|count| count * 100 >= pages * percent);
            assert_eq!(
                metrics.ranges_for_percent(percent),
                least,
                "{pages} {percent}"
            );
        }
    }
}

#[test]
fn what_the_page_map_does_not_have_is_not_present() {
    let mut accumulator = ContiguityMetricsAccumulator::new(BASE);
    let mapped = mapping(16, 40);
    let states = [
        (16, Backing::Zero(PhysAddr::new(7 * PAGE))),
        (17, Backing::Zero(PhysAddr::new(7 * PAGE))),
        (18, Backing::Swapped(None)),
        (19, Backing::Migrating),
        (20, Backing::NotPresent),
        (21, Backing::Guard),
        (22, Backing::Device(PhysAddr::new(9 * PAGE))),
    ];
    for (vpn, backing) in states {
        accumulator.push(&Attributed::new(region(&mapped, vpn, backing, 1)), None);
    }
    let device = Unlisted::At(DeviceMemory::new(PhysAddr::new(100 * PAGE), None));
    let unlisted = mapping_with(40, 44, MappingKind::Device, device);
    let of_device = Backing::Device(PhysAddr::new(100 * PAGE));
    accumulator.push(&Attributed::new(region(&unlisted, 40, of_device, 4)), None);
    let metrics = accumulator.finish();
    // The zero page twice, and memory of a device that the page map has.
    assert_eq!((metrics.present_pages, metrics.virtual_runs), (3, 2));
    assert_eq!((sizes(&metrics), metrics.offsets), (vec![1; 3], Some(3)));
    assert_eq!(metrics.huge_coverage, []);
    // No frame of the kernel's memory is unknown.
    assert_eq!(metrics.folios, Some(FolioLayout::default()));
}

#[test]
fn unknown_addresses_frames_and_entries_leave_out_what_follows_from_them() {
    let mapped = mapping(16, 40);
    let mut accumulator = ContiguityMetricsAccumulator::new(BASE);
    accumulator.push(&small(region(&mapped, 16, Backing::Resident, 4)), None);
    let metrics = accumulator.finish();
    assert_eq!((metrics.present_pages, metrics.virtual_runs), (4, 1));
    assert_eq!((&metrics.ranges, metrics.offsets), (&None, None));
    assert_eq!(metrics.folios, None);
    assert_eq!(metrics.pages_in_largest_ranges(32), None);
    assert_eq!(metrics.ranges_for_percent(80), None);
    let huge = HugeBytes {
        resident: 4 * PAGE,
        huge: Some(0),
    };
    assert_eq!(metrics.huge_coverage, [(MappingKind::Anonymous, huge)]);

    // Frames without flags, and entries of unknown size.
    let mut accumulator = ContiguityMetricsAccumulator::new(BASE);
    accumulator.push(&Attributed::new(region(&mapped, 16, ram(100), 4)), None);
    let metrics = accumulator.finish();
    assert_eq!(sizes(&metrics), [4]);
    assert_eq!(metrics.folios, None);
    assert_eq!(metrics.total_huge_coverage().huge, None);
}

/// Flags of the frames of a folio of 2^order frames.
fn folio(order: u32, kind: FrameFlags) -> Vec<FrameFlags> {
    let mut flags = vec![FrameFlags::COMPOUND_TAIL | FrameFlags::THP | kind; 1 << order];
    flags[0] = FrameFlags::COMPOUND_HEAD | FrameFlags::THP | kind;
    flags
}

#[test]
fn a_huge_page_is_whole_aligned_and_contiguous_in_blocks_of_every_order() {
    let mapped = mapping(1024, 4096);
    let mut accumulator = ContiguityMetricsAccumulator::new(BASE);
    let mut flags = folio(9, FrameFlags::ANON);
    flags.push(SINGLE);
    let mut huge = Attributed::new(region(&mapped, 1024, ram(512), 512));
    huge.page_size = Some(BASE.pmd());
    accumulator.push(&huge, Some(&flags));
    // A huge page that PTEs map, and one of which the last page is elsewhere.
    accumulator.push(&small(region(&mapped, 2048, ram(1024), 512)), Some(&flags));
    accumulator.push(
        &small(region(&mapped, 2560, ram(2048), 511)),
        Some(&flags[..512]),
    );
    accumulator.push(
        &small(region(&mapped, 3071, ram(9000), 1)),
        Some(&[SINGLE; 2]),
    );
    let metrics = accumulator.finish();
    let FolioLayout {
        anonymous, file, ..
    } = metrics.folios.as_ref().unwrap();
    assert_eq!(*file, FoliosOfKind::default());
    let two = ThpBytes {
        bytes: 1024 * PAGE,
        pmd: Some(512 * PAGE),
    };
    assert_eq!(anonymous.resident, 1536 * PAGE);
    assert_eq!(anonymous.aligned, BTreeMap::from([(9, two)]));
    assert_eq!(anonymous.partial, 511 * PAGE);
    assert!(anonymous.unaligned.is_empty());
    let contiguous: Vec<_> = anonymous.contiguous.iter().collect();
    assert_eq!(contiguous.len(), 9);
    for (&order, bytes) in contiguous {
        let of_part = 511 >> order << order;
        assert_eq!(bytes.bytes, (1024 + of_part) * PAGE, "{order}");
        assert_eq!(bytes.pmd, Some(512 * PAGE));
        assert_eq!(bytes.pte(), Some((512 + of_part) * PAGE));
    }
    let bytes = HugeBytes {
        resident: 1536 * PAGE,
        huge: Some(512 * PAGE),
    };
    assert_eq!(metrics.total_huge_coverage(), bytes);
}

/// The examples in the help of thpmaps for blocks of 64 KiB.
#[test]
fn blocks_are_those_of_the_examples_of_thpmaps() {
    let blocks = |vpn: u64, pfn: u64, flags: &[FrameFlags], pages: u64| {
        let mut accumulator = ContiguityMetricsAccumulator::new(BASE);
        let mapped = mapping(0, 1 << 20);
        let region = small(region(&mapped, vpn, ram(pfn), pages));
        accumulator.push(&region, Some(flags));
        let folios = accumulator.finish().folios.unwrap();
        folios
            .file
            .contiguous
            .get(&4)
            .map_or(0, |of| of.bytes >> 16)
    };
    let none = FrameFlags::default();
    assert_eq!(blocks(32, 160, &folio(4, none), 16), 1);
    assert_eq!(blocks(16, 160, &folio(5, none), 32), 2);
    assert_eq!(blocks(16, 160, &folio(5, none), 25), 1);
    assert_eq!(blocks(512, 1024, &folio(9, none), 512), 32);
    // Unaligned, or of two folios.
    assert_eq!(blocks(8, 168, &folio(4, none), 16), 0);
    assert_eq!(blocks(16, 168, &folio(4, none), 16), 0);
    let two = [folio(3, none), folio(3, none)].concat();
    assert_eq!(blocks(16, 160, &two, 16), 0);
}

/// Physical memory of folios of various orders, single frames and frames of a driver.
fn frames(random: &mut Random) -> Vec<FrameFlags> {
    let mut frames = Vec::new();
    while frames.len() < 512 {
        let order = random.below(6) as u32;
        let aligned = frames.len() % (1 << order) == 0;
        let anonymous = random.below(2) == 0;
        let kind = if anonymous {
            FrameFlags::ANON
        } else {
            FrameFlags::MMAP
        };
        match random.below(4) {
            0 => frames.push(kind),
            1 => frames.extend([FrameFlags::COMPOUND_HEAD, FrameFlags::COMPOUND_TAIL]),
            _ if aligned && order > 0 => frames.extend(folio(order, kind)),
            _ => {}
        }
    }
    frames
}

/// Page of an address space: its mapping, and its frame.
type Pages = BTreeMap<u64, (usize, u64)>;

fn has(flags: FrameFlags, flag: FrameFlags) -> bool {
    flags.contains(flag)
}

/// Computes the layout of the folios of one kind from the definitions, page by page.
fn naive_folios(pages: &Pages, frames: &[FrameFlags], anonymous: bool) -> FoliosOfKind {
    let of_kind = |pfn: u64| has(frames[pfn as usize], FrameFlags::ANON) == anonymous;
    let is_thp = |pfn: u64| has(frames[pfn as usize], FrameFlags::THP);
    let head = |pfn: u64| {
        let is_head = |&at: &u64| has(frames[at as usize], FrameFlags::COMPOUND_HEAD);
        (0..=pfn).rev().find(is_head).unwrap()
    };
    let end = |pfn: u64| {
        let goes_on = |at: u64| {
            let flags = frames.get(at as usize);
            flags.is_some_and(|&flags| has(flags, FrameFlags::COMPOUND_TAIL))
        };
        (pfn + 1..).find(|&at| !goes_on(at)).unwrap()
    };
    let mut layout = FoliosOfKind::default();
    for (&vpn, &(mapping, pfn)) in pages {
        if !of_kind(pfn) {
            continue;
        }
        layout.resident += PAGE;
        if !is_thp(pfn) {
            continue;
        }
        let (first, size) = (head(pfn), end(pfn) - head(pfn));
        let start = vpn.wrapping_sub(pfn - first);
        let is_mapped =
            |at: u64| pages.get(&start.wrapping_add(at)) == Some(&(mapping, first + at));
        match ((0..size).all(is_mapped), start % size == 0) {
            (false, _) => layout.partial += PAGE,
            (true, false) => *layout.unaligned.entry(size.ilog2()).or_default() += PAGE,
            (true, true) => {
                let none = ThpBytes {
                    bytes: 0,
                    pmd: Some(0),
                };
                layout.aligned.entry(size.ilog2()).or_insert(none).bytes += PAGE;
            }
        }
        for order in 1..=9 {
            let block = 1u64 << order;
            let (low, from) = (vpn % block, vpn - vpn % block);
            let is_block = pfn % block == low
                && (0..block).all(|at| {
                    let frame = pfn - low + at;
                    pages.get(&(from + at)) == Some(&(mapping, frame))
                        && is_thp(frame)
                        && head(frame) == first
                });
            if is_block {
                let none = ThpBytes {
                    bytes: 0,
                    pmd: Some(0),
                };
                layout.contiguous.entry(order).or_insert(none).bytes += PAGE;
            }
        }
    }
    layout
}

/// Lengths of maximal runs of pages in which each page follows the one before.
fn naive_runs(pages: &Pages, follows: impl Fn((u64, u64), (u64, u64)) -> bool) -> Vec<u64> {
    let mut runs: Vec<u64> = Vec::new();
    let mut before = None;
    for (&vpn, &(mapping, pfn)) in pages {
        let goes_on = |(of, vpn_before, pfn_before): (usize, u64, u64)| {
            of == mapping && follows((vpn_before, pfn_before), (vpn, pfn))
        };
        match runs.last_mut() {
            Some(last) if before.is_some_and(goes_on) => *last += 1,
            _ => runs.push(1),
        }
        before = Some((mapping, vpn, pfn));
    }
    runs.sort_unstable_by(|one, other| other.cmp(one));
    runs
}

#[test]
fn metrics_are_those_of_a_naive_computation_in_whatever_pieces_regions_come() {
    for seed in 0..500 {
        let mut random = Random::new(seed);
        let frames = frames(&mut random);
        let mut accumulator = ContiguityMetricsAccumulator::new(BASE);
        let (mut pages, mut vpn) = (Pages::new(), 1024 + random.below(64));
        for index in 0..1 + random.below(4) as usize {
            // Some mappings touch.
            vpn += [0, 0, 7, 100][random.below(4) as usize];
            let mapped = mapping(vpn, vpn + 600);
            let end = vpn + 600;
            while vpn < end && random.below(12) > 0 {
                vpn = match random.below(3) {
                    0 => vpn + random.below(20),
                    // The frames of a folio can be aligned.
                    1 => vpn.next_multiple_of(1 << random.below(6)),
                    _ => vpn,
                };
                let first = match random.below(3) {
                    0 => random.below(frames.len() as u64),
                    _ => random.below(frames.len() as u64 / 32) * 32,
                };
                let most = (frames.len() as u64 - first).min(end.saturating_sub(vpn));
                let count = (1 + random.below(48)).min(most);
                let mut at = 0;
                while at < count {
                    let piece = match random.below(3) {
                        0 => 1 + random.below(count - at),
                        _ => count - at,
                    };
                    let (from, to) = (first + at, first + at + piece);
                    let after = (to as usize + 1).min(frames.len());
                    let flags = &frames[from as usize..after];
                    let region = region(&mapped, vpn + at, ram(from), piece);
                    accumulator.push(&small(region), Some(flags));
                    at += piece;
                }
                pages.extend((0..count).map(|at| (vpn + at, (index, first + at))));
                vpn += count;
            }
            vpn = end;
        }
        let metrics = accumulator.finish();
        assert_eq!(metrics.present_pages, pages.len() as u64, "seed {seed}");
        let ranges = naive_runs(&pages, |(vpn, pfn), next| next == (vpn + 1, pfn + 1));
        assert_eq!(sizes(&metrics), ranges, "seed {seed}");
        let runs = naive_runs(&pages, |(vpn, _), (next, _)| next == vpn + 1);
        assert_eq!(metrics.virtual_runs, runs.len() as u64, "seed {seed}");
        let offsets = pages.iter().map(|(&vpn, &(_, pfn))| vpn.wrapping_sub(pfn));
        let offsets: std::collections::HashSet<_> = offsets.collect();
        assert_eq!(metrics.offsets, Some(offsets.len() as u64));
        for count in [1, 3, 32, 256] {
            let sum: u64 = ranges.iter().take(count).sum();
            assert_eq!(metrics.pages_in_largest_ranges(count as u64), Some(sum));
        }
        for percent in [80, 90, 99] {
            let enough = |&count: &usize| {
                let sum: u64 = ranges.iter().take(count).sum();
                sum * 100 >= pages.len() as u64 * percent
            };
            let least = (0..=ranges.len()).find(enough).map(|count| count as u64);
            assert_eq!(metrics.ranges_for_percent(percent), least, "seed {seed}");
        }
        let folios = metrics.folios.as_ref().unwrap();
        let naive = |anonymous| naive_folios(&pages, &frames, anonymous);
        assert_eq!(folios.anonymous, naive(true), "seed {seed}");
        assert_eq!(folios.file, naive(false), "seed {seed}");
    }
}
