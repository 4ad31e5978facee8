//! Counts of classes along a line whose length need not be known: blocks of one size, which
//! grows so that there are never more than so many. Must not know what the line or the classes
//! mean.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::map::pyramid::Cell;
use crate::map::space::Space;

/// Counts of the units of a line by class, in aligned blocks of 2^[`shift`](Buckets::shift)
/// units. Blocks without any are not kept.
///
/// The result does not depend on the order in which units are added, nor on how they are
/// divided between several that are merged: blocks have the smallest size of which there are
/// few enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buckets {
    classes: usize,
    most: usize,
    shift: u32,
    blocks: BTreeMap<u64, Box<[u64]>>,
}

impl Buckets {
    /// Returns empty counts of `classes` classes in at most `most` blocks.
    ///
    /// # Panics
    /// For no class, more than 255, and for no block.
    pub fn new(classes: usize, most: usize) -> Self {
        assert!((1..=255).contains(&classes), "1 to 255 classes");
        assert!(most > 0, "at least a block");
        Self {
            classes,
            most,
            shift: 0,
            blocks: BTreeMap::new(),
        }
    }

    /// Returns the binary logarithm of the number of units in a block.
    pub fn shift(&self) -> u32 {
        self.shift
    }

    /// Returns the blocks that have any units, ascending: the number of the block, and the
    /// units of each class.
    pub fn blocks(&self) -> impl Iterator<Item = (u64, &[u64])> {
        self.blocks
            .iter()
            .map(|(&block, counts)| (block, &**counts))
    }

    /// Adds units of one class.
    ///
    /// # Panics
    /// If there is no such class.
    pub fn add(&mut self, units: Range<u64>, class: u8) {
        // The range alone has at least this number of blocks.
        let blocks = units.end.saturating_sub(units.start) >> self.shift;
        if let Some(excess) = (blocks / self.most as u64).checked_ilog2() {
            let mut shift = self.shift + excess;
            while (units.end - units.start) >> shift > self.most as u64 {
                shift += 1;
            }
            self.coarsen(shift);
        }
        let mut at = units.start;
        while at < units.end {
            let block = at >> self.shift;
            let end = match (block + 1).checked_mul(1 << self.shift) {
                Some(end) => end.min(units.end),
                None => units.end,
            };
            self.count(block, usize::from(class), end - at);
            at = end;
        }
    }

    /// Adds the counts of another line of the same classes.
    pub fn merge(&mut self, other: &Self) {
        self.coarsen(other.shift);
        for (block, counts) in other.blocks() {
            for (class, &count) in counts.iter().enumerate() {
                if count > 0 {
                    // A count can make blocks larger.
                    self.count(block >> (self.shift - other.shift), class, count);
                }
            }
        }
    }

    fn count(&mut self, block: u64, class: usize, units: u64) {
        let classes = self.classes;
        let counts = self.blocks.entry(block);
        counts.or_insert_with(|| vec![0; classes].into())[class] += units;
        while self.blocks.len() > self.most {
            self.coarsen(self.shift + 1);
        }
    }

    /// Makes blocks at least as large as 2^`shift` units.
    fn coarsen(&mut self, shift: u32) {
        let Some(coarser) = shift.checked_sub(self.shift).filter(|&by| by > 0) else {
            return;
        };
        for (block, counts) in std::mem::take(&mut self.blocks) {
            match self.blocks.entry(block >> coarser) {
                std::collections::btree_map::Entry::Vacant(entry) => {
                    entry.insert(counts);
                }
                std::collections::btree_map::Entry::Occupied(mut entry) => {
                    let sums = entry.get_mut().iter_mut().zip(&counts);
                    sums.for_each(|(sum, count)| *sum += count);
                }
            }
        }
        self.shift = shift;
    }

    /// Returns the line of the blocks with long gaps left out, if units are frames of `page`
    /// bytes.
    pub fn space(&self, page: u64) -> Space {
        let ranges = self.blocks.keys();
        let ranges = ranges.map(|&block| block << self.shift..(block + 1) << self.shift);
        Space::aligned(page, 1 << self.shift, ranges)
    }

    /// Returns the counts in cells of 2^`shift` places of a space of [`Buckets::space`], by the
    /// number of the cell. A block counts in the cell of its first place.
    pub fn in_cells(&self, space: &Space, shift: u32) -> BTreeMap<u64, Box<[u64]>> {
        let mut cells = BTreeMap::<u64, Box<[u64]>>::new();
        for (block, counts) in self.blocks() {
            let first = block << self.shift;
            let Some(places) = space.places_of(first..first + 1).next() else {
                continue;
            };
            let cell = cells.entry(places.start >> shift);
            let cell = cell.or_insert_with(|| vec![0; self.classes].into());
            cell.iter_mut()
                .zip(counts)
                .for_each(|(sum, count)| *sum += count);
        }
        cells
    }
}

/// Frames of classes as the cells of a square on a Hilbert curve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Square {
    /// Frames in a line.
    pub space: Space,
    /// Binary logarithm of the number of cells on a side.
    pub level: u32,
    /// Binary logarithm of the number of frames in a cell.
    pub shift: u32,
    /// Cells in the order of their places on the curve.
    pub cells: Vec<Cell>,
}

impl Square {
    /// Largest number of cells on a side, as a binary logarithm.
    pub const LEVEL: u32 = 6;

    /// Returns empty counts of frames of `classes` classes, from which a square is made
    /// without loss: blocks are smaller than cells.
    pub fn counts(classes: usize) -> Buckets {
        Buckets::new(classes, 4 << (2 * Self::LEVEL))
    }

    /// Returns the square of counts of frames of `page` bytes.
    pub fn new(counts: &Buckets, page: u64) -> Self {
        let space = counts.space(page);
        let bits = space.places().max(1).next_power_of_two().trailing_zeros();
        let level = Self::LEVEL.min(bits.div_ceil(2));
        let shift = bits.saturating_sub(2 * level);
        let mut cells = vec![Cell::default(); 1 << (2 * level)];
        for (cell, counts) in counts.in_cells(&space, shift) {
            cells[cell as usize] = Cell::of(&counts);
        }
        Self {
            space,
            level,
            shift,
            cells,
        }
    }
}
