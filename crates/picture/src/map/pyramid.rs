//! Reduction of classes of frames to cells on several levels. Must not know what classes mean
//! or where cells are drawn.

use std::ops::Range;

use crate::map::space::Space;

/// Counts of frames by class in the cells of the finest level.
#[derive(Clone, Debug)]
pub struct Tally<'a> {
    space: &'a Space,
    level: u32,
    /// Binary logarithm of the number of frames in a cell.
    shift: u32,
    classes: usize,
    /// `classes` numbers for each cell.
    counts: Vec<u32>,
}

/// Cells of all levels: level n has 4^n cells, each of which has four of the next level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pyramid {
    /// Binary logarithm of the number of frames in a cell of the finest level.
    pub shift: u32,
    /// Levels from the one with a single cell to the finest. Cells are in the order of their
    /// places on the curve.
    pub levels: Vec<Vec<Cell>>,
}

/// Cell: frames that are consecutive places of a [`Space`].
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// Most frequent class, the first of several; `None` for a cell without frames.
    pub class: Option<u8>,
    /// Part of the frames that is of this class, in 255ths, rounded down; 255 is all of them.
    pub purity: u8,
}

/// Largest number of frames of a cell, so that counts do not overflow.
const LARGEST_SHIFT: u32 = 31;

impl<'a> Tally<'a> {
    /// Returns empty counts of `classes` classes, in 4^`level` cells. There are fewer, down to
    /// one, if cells would have less than a frame.
    ///
    /// # Panics
    /// For more classes than 255, for none, and for a space of 2^(31 + 2 level) places or more.
    pub fn new(space: &'a Space, level: u32, classes: usize) -> Self {
        assert!(
            (1..=usize::from(u8::MAX)).contains(&classes),
            "1 to 255 classes"
        );
        let bits = space.places().max(1).next_power_of_two().trailing_zeros();
        let level = level.min(bits.div_ceil(2));
        let shift = bits.saturating_sub(2 * level);
        assert!(shift <= LARGEST_SHIFT, "too many frames for a cell");
        let cells = 1usize << (2 * level);
        Self {
            space,
            level,
            shift,
            classes,
            counts: vec![0; cells * classes],
        }
    }

    /// Adds frames of one class, each at most once. Frames outside the space are ignored.
    ///
    /// # Panics
    /// If there is no such class.
    pub fn add(&mut self, frames: Range<u64>, class: u8) {
        assert!(usize::from(class) < self.classes, "class {class}");
        for mut places in self.space.places_of(frames) {
            while !places.is_empty() {
                let cell = places.start >> self.shift;
                let end = places.end.min((cell + 1) << self.shift);
                let index = cell as usize * self.classes + usize::from(class);
                self.counts[index] += (end - places.start) as u32;
                places.start = end;
            }
        }
    }

    /// Adds frames of one class to a cell of the finest level, each at most once.
    ///
    /// # Panics
    /// If there is no such cell or class.
    pub fn add_to_cell(&mut self, cell: usize, frames: u32, class: u8) {
        assert!(usize::from(class) < self.classes, "class {class}");
        self.counts[cell * self.classes + usize::from(class)] += frames;
    }

    /// Returns the number of cells of the finest level.
    pub fn cells(&self) -> usize {
        self.counts.len() / self.classes
    }

    /// Returns the number of frames of each class in a cell of the finest level.
    pub fn counts(&self, cell: usize) -> &[u32] {
        &self.counts[cell * self.classes..][..self.classes]
    }

    /// Returns the binary logarithm of the number of frames in a cell.
    pub fn shift(&self) -> u32 {
        self.shift
    }

    /// Returns the cells of all levels.
    pub fn finish(self) -> Pyramid {
        let mut counts: Vec<u64> = self.counts.iter().map(|&count| count.into()).collect();
        let mut levels = Vec::new();
        loop {
            let cells = counts.chunks_exact(self.classes);
            levels.push(cells.map(Cell::of).collect::<Vec<_>>());
            if levels.len() as u32 > self.level {
                break;
            }
            let fours = counts.chunks_exact(4 * self.classes);
            counts = fours
                .flat_map(|four| {
                    (0..self.classes).map(|class| {
                        let of_class = four.iter().skip(class).step_by(self.classes);
                        of_class.sum()
                    })
                })
                .collect();
        }
        levels.reverse();
        Pyramid {
            shift: self.shift,
            levels,
        }
    }
}

impl Cell {
    /// Returns the cell with these numbers of frames of each class, at least one class.
    pub fn of(counts: &[u64]) -> Self {
        let all: u64 = counts.iter().sum();
        let mut most = 0;
        for (class, &count) in counts.iter().enumerate() {
            if count > counts[most] {
                most = class;
            }
        }
        match (u128::from(counts[most]) * 255).checked_div(u128::from(all)) {
            None => Self::default(),
            Some(purity) => Self {
                class: Some(most as u8),
                purity: purity as u8,
            },
        }
    }
}
