//! Cells of the map of physical memory have the class and the purity that counting the frames
//! one by one gives.

use std::collections::BTreeMap;

use process_introspection_picture::map::pyramid::{Cell, Pyramid, Tally};
use process_introspection_picture::map::space::Space;
use proptest::prelude::*;

const PAGE: u64 = 64 << 10;
const CLASSES: usize = 5;

/// The cells of a level, by one look at each frame.
fn naive(frames: &BTreeMap<u64, u8>, space: &Space, bits: u32, cells: usize) -> Vec<Cell> {
    let mut counts = vec![[0u64; CLASSES]; cells];
    for (&frame, &class) in frames {
        let place = space.places_of(frame..frame + 1).next().expect("a place");
        counts[(place.start >> bits) as usize][usize::from(class)] += 1;
    }
    let cell = |counts: [u64; CLASSES]| {
        let all: u64 = counts.iter().sum();
        let most = counts.iter().copied().max().expect("classes");
        let class = counts.iter().position(|&count| count == most);
        match all {
            0 => Cell::default(),
            _ => Cell {
                class: class.map(|class| class as u8),
                purity: (most as f64 * 255.0 / all as f64).floor() as u8,
            },
        }
    };
    counts.into_iter().map(cell).collect()
}

fn check(pyramid: &Pyramid, frames: &BTreeMap<u64, u8>, space: &Space) {
    let finest = pyramid.levels.len() - 1;
    for (level, cells) in pyramid.levels.iter().enumerate() {
        assert_eq!(cells.len(), 1 << (2 * level));
        let bits = pyramid.shift + 2 * (finest - level) as u32;
        assert_eq!(
            *cells,
            naive(frames, space, bits, cells.len()),
            "level {level}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_cell_equals_a_naive_reduction(
        runs in prop::collection::vec((0u64..3000, 1u64..4000, 0u8..CLASSES as u8), 0..40),
        level in 0u32..7,
    ) {
        let mut frames = BTreeMap::new();
        let mut ranges = Vec::new();
        let mut at = 0;
        for (gap, pages, class) in runs {
            at += gap;
            ranges.push((at..at + pages, class));
            frames.extend((at..at + pages).map(|frame| (frame, class)));
            at += pages;
        }
        let space = Space::new(PAGE, ranges.iter().map(|(range, _)| range.clone()));
        let mut tally = Tally::new(&space, level, CLASSES);
        for (range, class) in ranges {
            tally.add(range, class);
        }
        check(&tally.finish(), &frames, &space);
    }
}

#[test]
fn a_space_of_few_frames_has_as_many_cells_and_none_is_one_empty_cell() {
    let space = Space::new(128 << 20, std::iter::once(0..3));
    let mut tally = Tally::new(&space, 9, CLASSES);
    tally.add(1..3, 4);
    let pyramid = tally.finish();
    assert_eq!((pyramid.shift, pyramid.levels.len()), (0, 2));
    let frames = [(1, 4), (2, 4)].into();
    check(&pyramid, &frames, &space);
    let empty = Space::new(PAGE, []);
    let nothing = Tally::new(&empty, 9, CLASSES).finish();
    assert_eq!(nothing.levels, [vec![Cell::default()]]);
}
