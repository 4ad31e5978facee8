//! Counts in blocks of a size that adapts: equal to naive counts, in any order.

use std::collections::BTreeMap;
use std::ops::Range;

use process_introspection_picture::map::buckets::{Buckets, Square};
use process_introspection_picture::map::hilbert;
use proptest::prelude::*;

const CLASSES: u8 = 3;
const MOST: usize = 8;

fn ranges() -> impl Strategy<Value = Vec<(Range<u64>, u8)>> {
    let far = prop_oneof![0..2000u64, 1_000_000..1_002_000u64, Just(1 << 51)];
    let one = (far, 1..600u64, 0..CLASSES);
    let one = one.prop_map(|(start, length, class)| (start..start + length, class));
    prop::collection::vec(one, 0..20)
}

/// Returns the smallest size of block of which there are few enough, and the counts.
fn naive(all: &[(Range<u64>, u8)]) -> (u32, BTreeMap<u64, Vec<u64>>) {
    (0..64)
        .map(|shift| {
            let mut blocks = BTreeMap::<u64, Vec<u64>>::new();
            for (range, class) in all {
                for unit in range.clone() {
                    let block = blocks.entry(unit >> shift);
                    block.or_insert_with(|| vec![0; usize::from(CLASSES)])[usize::from(*class)] +=
                        1;
                }
            }
            (shift, blocks)
        })
        .find(|(_, blocks)| blocks.len() <= MOST)
        .unwrap()
}

fn counts(all: &[(Range<u64>, u8)]) -> Buckets {
    let mut buckets = Buckets::new(usize::from(CLASSES), MOST);
    for (range, class) in all {
        buckets.add(range.clone(), *class);
    }
    buckets
}

proptest! {
    #[test]
    fn blocks_are_the_smallest_of_which_there_are_few_enough(all in ranges()) {
        let (shift, blocks) = naive(&all);
        let buckets = counts(&all);
        prop_assert_eq!(buckets.shift(), shift);
        let counted: BTreeMap<_, _> = buckets
            .blocks()
            .map(|(block, counts)| (block, counts.to_vec()))
            .collect();
        prop_assert_eq!(counted, blocks);
    }

    #[test]
    fn parts_that_are_merged_are_the_whole(all in ranges(), at in 0..20usize) {
        let at = at.min(all.len());
        let (mut one, other) = (counts(&all[..at]), counts(&all[at..]));
        one.merge(&other);
        prop_assert_eq!(one, counts(&all));
    }
}

/// A machine of 3 TiB with a gap: each cell has the most frequent class of its frames.
#[test]
fn a_square_of_more_blocks_than_cells_is_that_of_the_frames() {
    let page = 4096;
    let (mut counts, tib) = (Square::counts(2), (1u64 << 40) / page);
    // Class 1 has three quarters of each run of 16 MiB of the second TiB.
    counts.add(0..tib, 0);
    for run in 0..1u64 << 16 {
        let start = 4 * tib + run * 4096;
        counts.add(start..start + 1024, 0);
        counts.add(start + 1024..start + 4096, 1);
    }
    counts.add(5 * tib..6 * tib, 0);
    let square = Square::new(&counts, page);
    assert_eq!(square.space.places(), 3 * tib);
    assert_eq!(square.cells.len(), 1 << 12);
    let cell_frames = 1u64 << square.shift;
    for (place, cell) in (0..).zip(&square.cells) {
        let first = place * cell_frames;
        let expected = match first / tib {
            0 | 2 => (Some(0), 255),
            1 => (Some(1), 191),
            _ => (None, 0),
        };
        assert_eq!((cell.class, cell.purity), expected, "{place}");
        assert!(hilbert::cell(square.level, place).0 < 64);
    }
}
