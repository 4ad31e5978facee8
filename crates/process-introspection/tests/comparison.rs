//! Comparison of two streams of regions: with a naive comparison of every page, and which
//! mapping a change is attributed to.

use std::convert::Infallible;
use std::sync::Arc;

use process_introspection::{
    compare_regions, AddrRange, Attributed, Backing, Device, IteratedRegions, Mapping,
    MappingChanges, MappingKind, MappingParts, MemoryChanges, NoRegions, PageSize, PhysAddr,
    PhysicalRegion, Protection, Recorder, Recording, SwapPlace, UnknownReason, Unlisted,
};
use testkit::random::Random;

const BASE: PageSize = PageSize::SIZE_4K;
const PAGE: u64 = 4096;

/// Page of a generated process.
#[derive(Copy, Clone, Debug, PartialEq)]
struct Page {
    /// Inode and offset that address 0 would have; 0 without an object.
    object: (u64, u64),
    shared: bool,
    backing: Backing,
    anonymous: bool,
    size: Option<PageSize>,
}

fn mapping(first: u64, end: u64, object: (u64, u64), shared: bool, writable: bool) -> Arc<Mapping> {
    let (inode, origin) = object;
    Arc::new(Mapping::from_parts(MappingParts {
        range: AddrRange::new(first * PAGE, end * PAGE).unwrap(),
        protection: Protection::new(true, writable, false),
        shared,
        offset: match inode {
            0 => 0,
            _ => origin + first * PAGE,
        },
        device: Device {
            major: u32::from(inode != 0),
            minor: 0,
        },
        inode,
        page_size: Some(BASE),
        kind: MappingKind::Anonymous,
        unlisted: Unlisted::Nothing,
        name: Box::default(),
    }))
}

fn region(
    first: u64,
    end: u64,
    backing: Backing,
    anonymous: bool,
    size: Option<PageSize>,
    mapping: &Arc<Mapping>,
) -> Attributed<PhysicalRegion> {
    let virt = AddrRange::new(first * PAGE, end * PAGE).unwrap();
    let region = PhysicalRegion::new(virt, backing, anonymous, Arc::clone(mapping));
    let mut region = Attributed::new(region);
    region.page_size = size;
    region
}

/// Returns the regions of pages: each mapping ends at random places, and each region, too.
fn regions(pages: &[Option<Page>], random: &mut Random) -> Vec<Attributed<PhysicalRegion>> {
    let mut all = Vec::new();
    let mut first = 0;
    while first < pages.len() {
        let Some(page) = pages[first] else {
            first += 1;
            continue;
        };
        let is_same = |other: &Option<Page>| {
            other.is_some_and(|it| (it.object, it.shared) == (page.object, page.shared))
        };
        let mut end = first + 1;
        while end < pages.len() && is_same(&pages[end]) && random.below(9) > 0 {
            end += 1;
        }
        let writable = random.below(2) == 0;
        let mapping = mapping(first as u64, end as u64, page.object, page.shared, writable);
        let mut at = first;
        while at < end {
            let page = pages[at].unwrap();
            let mut until = at + 1;
            while until < end {
                let next = pages[until].unwrap();
                let further = page.backing.further((until - at) as u64 * PAGE);
                let continues = next.backing == further
                    && (next.anonymous, next.size) == (page.anonymous, page.size);
                if !continues || random.below(5) == 0 {
                    break;
                }
                until += 1;
            }
            let (from, to) = (at as u64, until as u64);
            all.push(region(
                from,
                to,
                page.backing,
                page.anonymous,
                page.size,
                &mapping,
            ));
            at = until;
        }
        first = end;
    }
    all
}

fn random_page(index: u64, random: &mut Random) -> Page {
    let frame = |random: &mut Random| PhysAddr::new((100 + index + 64 * random.below(3)) * PAGE);
    let backing = match random.below(14) {
        0 => Backing::Zero(PhysAddr::new(PAGE)),
        1 => Backing::Device(frame(random)),
        2 => Backing::Resident,
        3 => Backing::NotPresent,
        4 => Backing::Swapped(None),
        5 => Backing::Swapped(Some(SwapPlace {
            area: 1,
            offset: random.below(9),
        })),
        6 => Backing::Guard,
        7 => Backing::Poisoned,
        8 => Backing::Migrating,
        9 => Backing::Marker,
        10 => Backing::Unknown(UnknownReason::Driver),
        _ => Backing::Ram(frame(random)),
    };
    Page {
        object: [(0, 0), (0, 0), (7, 0), (7, 8192), (8, 0)][random.below(5) as usize],
        shared: random.below(6) == 0,
        backing,
        anonymous: random.below(3) > 0,
        size: [None, Some(BASE), PageSize::from_bytes(2 << 20)][random.below(3) as usize],
    }
}

/// Pages of two times; the second is the first with changes.
fn random_times(random: &mut Random) -> [Vec<Option<Page>>; 2] {
    let mut before: Vec<Option<Page>> = Vec::new();
    for index in 0..48 {
        let page = random_page(index, random);
        let page = match (before.last().copied().flatten(), random.below(8)) {
            (Some(last), 1..=5) => Some(Page {
                object: last.object,
                shared: last.shared,
                ..page
            }),
            (_, 0) => None,
            _ => Some(page),
        };
        before.push(page);
    }
    let mut after = before.clone();
    for (index, after) in after.iter_mut().enumerate() {
        let page = random_page(index as u64, random);
        *after = match (*after, random.below(8)) {
            (_, 0) => None,
            (_, 1) => Some(page),
            (Some(same), 2..=4) => Some(Page {
                object: same.object,
                shared: same.shared,
                ..page
            }),
            (same, _) => same,
        };
    }
    [before, after]
}

/// Returns the word for the class of a page, as in the table of classes.
fn word(page: Option<Page>) -> &'static str {
    match page.map(|page| page.backing) {
        Some(Backing::Ram(_) | Backing::Device(_)) => "address",
        Some(Backing::Migrating) => "memory",
        Some(Backing::Resident) => "resident",
        Some(Backing::Zero(_)) => "zero",
        Some(Backing::Swapped(_)) => "swap",
        Some(Backing::Poisoned) => "poisoned",
        Some(Backing::Unknown(_)) => "unknown",
        _ => "none",
    }
}

fn is_memory(word: &str) -> bool {
    ["address", "memory", "resident"].contains(&word)
}

/// Adds one page, by the table of classes.
fn add_naively(all: &mut MemoryChanges, before: Option<Page>, after: Option<Page>) {
    let (was, is) = (word(before), word(after));
    let mut changed = false;
    let mut count = |sum: &mut u64, is_change: bool| {
        *sum += PAGE;
        changed |= is_change;
    };
    if before.is_none() {
        all.mapped += PAGE;
    }
    if after.is_none() {
        all.unmapped += PAGE;
    }
    let is_replaced = before
        .zip(after)
        .is_some_and(|(before, after)| before.anonymous != after.anonymous);
    let addresses = before
        .zip(after)
        .map(|(before, after)| (before.backing.address(), after.backing.address()));
    match (was, is) {
        ("unknown", _) | (_, "unknown") | ("zero", "resident") | ("resident", "zero") => {
            count(&mut all.unknown_state, false);
        }
        ("poisoned", "poisoned") => {}
        (_, "poisoned") => count(&mut all.poisoned, true),
        _ if is_memory(was) && is_memory(is) => match addresses {
            _ if is_replaced => count(&mut all.replaced, true),
            Some((Some(before), Some(after))) if before != after => count(&mut all.moved, true),
            Some((Some(_), Some(_))) => {}
            _ => count(&mut all.unknown_address, false),
        },
        ("swap", "swap") => {}
        (was, "swap") if is_memory(was) => count(&mut all.swapped_out, true),
        ("swap", is) if is_memory(is) => count(&mut all.swapped_in, true),
        (_, "swap") => count(&mut all.new_in_swap, true),
        ("swap", _) => count(&mut all.freed_from_swap, true),
        (was, _) if is_memory(was) => count(&mut all.freed, true),
        (_, is) if is_memory(is) => count(&mut all.grown, true),
        _ => {}
    }
    if is_memory(was) && is_memory(is) {
        let is_known = is_replaced || was == "address" && is == "address";
        all.compared_addresses += if is_known { PAGE } else { 0 };
        match (before.and_then(|it| it.size), after.and_then(|it| it.size)) {
            (None, _) | (_, None) => all.unknown_size += PAGE,
            (before, after) => {
                all.compared_sizes += PAGE;
                match (before == Some(BASE), after == Some(BASE)) {
                    (true, false) => count(&mut all.became_huge, true),
                    (false, true) => count(&mut all.stopped_huge, true),
                    _ => {}
                }
            }
        }
    }
    all.changed += if changed { PAGE } else { 0 };
    all.memory_before += if is_memory(was) { PAGE } else { 0 };
    all.memory_after += if is_memory(is) { PAGE } else { 0 };
    all.swap_before += if was == "swap" { PAGE } else { 0 };
    all.swap_after += if is == "swap" { PAGE } else { 0 };
}

fn compare(
    before: Vec<Attributed<PhysicalRegion>>,
    after: Vec<Attributed<PhysicalRegion>>,
) -> (MemoryChanges, Vec<MappingChanges>) {
    let stream =
        |regions: Vec<_>| IteratedRegions::new(regions.into_iter().map(Ok::<_, Infallible>));
    let mut rows = Vec::new();
    let Ok(all) = compare_regions(&mut stream(before), &mut stream(after), BASE, |row| {
        rows.push(row);
    });
    (all, rows)
}

#[test]
fn a_comparison_has_the_sums_of_a_comparison_of_every_page() {
    let mut random = Random::new(17);
    let mut sums = MemoryChanges::default();
    for _ in 0..3000 {
        let [before, after] = random_times(&mut random);
        let mut expected = MemoryChanges::default();
        for (before, after) in before.iter().zip(&after) {
            let map_the_same = before.zip(*after).is_none_or(|(before, after)| {
                (before.object, before.shared) == (after.object, after.shared)
            });
            if map_the_same {
                if before.or(*after).is_some() {
                    add_naively(&mut expected, *before, *after);
                }
            } else {
                add_naively(&mut expected, *before, None);
                add_naively(&mut expected, None, *after);
            }
        }
        let (first, second) = (regions(&before, &mut random), regions(&after, &mut random));
        let (all, rows) = compare(first.clone(), second.clone());
        assert_eq!(all, expected);

        // Each mapping of the second time has one row, and the rows are the total.
        let mut total = MemoryChanges::default();
        rows.iter().for_each(|row| total.add(&row.changes));
        assert_eq!(total, all);
        let mut starts: Vec<_> = rows.iter().filter_map(|row| row.after.clone()).collect();
        starts.sort_by_key(|mapping| mapping.range.start());
        let mut mappings: Vec<_> = second.iter().map(|it| Arc::clone(&it.mapping)).collect();
        mappings.dedup();
        assert_eq!(starts, mappings);
        assert!(rows
            .iter()
            .all(|row| row.before.is_some() || row.after.is_some()));
        let gone = rows.iter().filter(|row| row.after.is_none());
        assert!(gone.clone().all(|row| row.changes.mapped == 0));
        sums.add(&all);

        // A recording is the same stream.
        let mut recording = Recording::default();
        let mut recorder = Recorder::new(
            IteratedRegions::new(first.into_iter().map(Ok::<_, Infallible>)),
            &mut recording,
        );
        let Ok(ended) = compare_regions(&mut recorder, &mut NoRegions, BASE, |_| ());
        assert_eq!((ended.mapped, ended.grown, ended.memory_after), (0, 0, 0));
        let mut second = IteratedRegions::new(second.into_iter().map(Ok::<_, Infallible>));
        let mut again = Vec::new();
        let Ok(all_again) = compare_regions(&mut recording.regions(), &mut second, BASE, |row| {
            again.push(row);
        });
        assert_eq!((all_again, again), (all, rows));
    }
    // All classes occurred.
    let text = format!("{sums:?}");
    assert!(!text.contains(": 0,") && !text.contains(": 0 "), "{text}");
}

fn ram(first: u64, end: u64, mapping: &Arc<Mapping>) -> Attributed<PhysicalRegion> {
    let backing = Backing::Ram(PhysAddr::new((1000 + first) * PAGE));
    region(first, end, backing, true, Some(BASE), mapping)
}

#[test]
fn pages_that_are_gone_belong_to_the_rest_of_their_mapping() {
    let whole = mapping(10, 20, (0, 0), false, true);
    let (left, right) = (
        mapping(10, 13, (0, 0), false, true),
        mapping(17, 20, (0, 0), false, true),
    );
    let between = mapping(14, 15, (9, 0), true, true);
    // A hole in the middle, in which another object is mapped.
    let after = vec![
        ram(10, 13, &left),
        ram(14, 15, &between),
        ram(17, 20, &right),
    ];
    let (all, rows) = compare(vec![ram(10, 20, &whole)], after);
    assert_eq!((all.freed, all.grown), (4 * PAGE, PAGE));
    let row = |mapping: &Arc<Mapping>| {
        let mut rows = rows
            .iter()
            .filter(|row| row.after.as_ref() == Some(mapping));
        rows.next().expect("a row")
    };
    assert_eq!(rows.len(), 3);
    assert_eq!(row(&left).changes.freed, 4 * PAGE);
    assert_eq!(row(&left).before.as_ref(), Some(&whole));
    assert_eq!(row(&between).before, None);
    assert_eq!(row(&between).changes.grown, PAGE);
    assert!(!row(&right).changes.differ());
    assert_eq!(row(&right).before.as_ref(), Some(&whole));

    // The beginning is gone: it belongs to the rest, too.
    let tail = mapping(15, 20, (0, 0), false, false);
    let (all, rows) = compare(vec![ram(10, 20, &whole)], vec![ram(15, 20, &tail)]);
    assert_eq!((rows.len(), all.freed, rows[0].changes), (1, 5 * PAGE, all));
    assert_eq!(
        (&rows[0].before, &rows[0].after),
        (&Some(whole), &Some(tail))
    );
}

#[test]
fn another_object_at_the_same_address_is_another_mapping() {
    let before = mapping(10, 20, (7, 0), false, true);
    for after in [
        mapping(10, 20, (8, 0), false, true),
        mapping(10, 20, (7, PAGE), false, true),
        mapping(10, 20, (7, 0), true, true),
        mapping(10, 20, (0, 0), false, true),
    ] {
        let (all, rows) = compare(vec![ram(10, 20, &before)], vec![ram(10, 20, &after)]);
        assert_eq!((all.freed, all.grown), (10 * PAGE, 10 * PAGE));
        assert_eq!((all.moved, all.changed), (0, 20 * PAGE));
        assert_eq!(rows.len(), 2);
        assert_eq!(
            (&rows[0].before, &rows[0].after),
            (&Some(Arc::clone(&before)), &None)
        );
        assert_eq!((&rows[1].before, &rows[1].after), (&None, &Some(after)));
    }
    // Extent, protection and the addresses of other parts do not matter.
    let (wider, frames) = (mapping(4, 24, (7, 0), false, false), 12..14);
    let after = ram(frames.start, frames.end, &wider);
    let (all, rows) = compare(vec![ram(12, 14, &before)], vec![after]);
    assert!(!all.differ());
    assert_eq!(rows.len(), 1);
}
