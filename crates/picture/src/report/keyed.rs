//! Frames of a map by keys of which there can be many, such as payers: the most frequent ones
//! become classes when all frames are known. Must not know what keys mean.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::hash::Hash;

use crate::map::pyramid::{Pyramid, Tally};
use crate::map::space::Space;

/// Frames by key in the cells of a map. Memory use is 8 bytes for each key of a cell.
#[derive(Clone, Debug)]
pub(super) struct Keyed<K> {
    indexes: HashMap<K, u32>,
    keys: Vec<(K, u64)>,
    /// Cells that have frames, ascending, each with the number of `counts` before it.
    cells: Vec<(u32, usize)>,
    /// Keys by index, each with its frames in a cell.
    counts: Vec<(u32, u32)>,
}

impl<K: Copy + Eq + Hash + Ord> Keyed<K> {
    pub(super) fn new() -> Self {
        Self {
            indexes: HashMap::new(),
            keys: Vec::new(),
            cells: Vec::new(),
            counts: Vec::new(),
        }
    }

    /// Adds frames of a key to a cell. Cells ascend.
    pub(super) fn add(&mut self, cell: usize, key: K, frames: u64) {
        let index = *self.indexes.entry(key).or_insert_with(|| {
            self.keys.push((key, 0));
            self.keys.len() as u32 - 1
        });
        self.keys[index as usize].1 += frames;
        if self.cells.last().map(|&(last, _)| last as usize) != Some(cell) {
            self.cells.push((cell as u32, self.counts.len()));
        }
        let begin = self.cells.last().map_or(0, |&(_, begin)| begin);
        let counts = &mut self.counts[begin..];
        match counts.iter_mut().find(|(one, _)| *one == index) {
            Some((_, count)) => *count += frames as u32,
            None => self.counts.push((index, frames as u32)),
        }
    }

    /// Returns all keys with their frames, those with the most first.
    pub(super) fn largest(&self) -> Vec<(K, u64)> {
        let mut keys = self.keys.clone();
        keys.sort_by_key(|&(key, frames)| (Reverse(frames), key));
        keys
    }

    /// Returns the pyramid in which these keys are the first classes, then come others, then
    /// frames without a key. `all` contains the frames of each cell.
    pub(super) fn finish(self, space: &Space, level: u32, classes: &[K], all: &[u32]) -> Pyramid {
        let others = classes.len() as u8;
        let mut tally = Tally::new(space, level, classes.len() + 2);
        let of_index: Vec<u8> = self
            .keys
            .iter()
            .map(|(key, _)| {
                let class = classes.iter().position(|one| one == key);
                class.map_or(others, |class| class as u8)
            })
            .collect();
        let mut left = all.to_vec();
        for (at, &(cell, begin)) in self.cells.iter().enumerate() {
            let end = self
                .cells
                .get(at + 1)
                .map_or(self.counts.len(), |next| next.1);
            for &(index, frames) in &self.counts[begin..end] {
                tally.add_to_cell(cell as usize, frames, of_index[index as usize]);
                left[cell as usize] -= frames;
            }
        }
        for (cell, frames) in left.into_iter().enumerate() {
            tally.add_to_cell(cell, frames, others + 1);
        }
        tally.finish()
    }
}
