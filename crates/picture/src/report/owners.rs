//! Processes on the map: frames that one process alone maps, by the processes with the most of
//! them. Must not know how processes are walked.

use std::cmp::Reverse;
use std::ops::Range;

use crate::map::pyramid::{Pyramid, Tally};
use crate::map::space::Space;
use crate::palette::{Class, NOBODY, OTHER, SERIES, SHARED};
use crate::report::records::ClassRecord;

/// Letters of series.
const LETTERS: [char; SERIES.len()] = ['1', '2', '3', '4', '5', '6', '7', '8', '9', '0'];

/// Returns the classes of these names, with the colours of series.
pub(super) fn series<'a>(
    names: impl IntoIterator<Item = String> + 'a,
) -> impl Iterator<Item = ClassRecord> + 'a {
    let colors = SERIES.into_iter().zip(LETTERS);
    names
        .into_iter()
        .zip(colors)
        .map(|(name, (color, letter))| {
            let class = Class {
                word: "",
                light: color,
                dark: color,
                letter,
            };
            ClassRecord::named(name, &class)
        })
}

/// Process with frames of its own.
#[derive(Clone, Debug)]
struct Owner {
    name: String,
    frames: u64,
    cells: Vec<u32>,
}

/// Frames by the process that maps them. A frame with one mapping belongs to the process in whose
/// walk it is; frames with several belong to no single one.
///
/// Memory use is a bit for each frame, and 4 bytes for each cell of at most 13 classes.
#[derive(Clone, Debug)]
pub(super) struct Owners {
    /// Bit of each place whose frame has one mapping and no owner yet.
    alone: Vec<u64>,
    shift: u32,
    /// Frames with several mappings.
    several: Vec<u32>,
    /// Processes with the most frames, at most as many as there are colours.
    largest: Vec<Owner>,
    others: Vec<u32>,
    current: Vec<u32>,
    current_frames: u64,
}

impl Owners {
    /// Returns no frames, in cells of 2^`shift` places.
    pub(super) fn new(space: &Space, shift: u32, cells: usize) -> Self {
        Self {
            alone: vec![0; space.places().div_ceil(64) as usize],
            shift,
            several: vec![0; cells],
            largest: Vec::new(),
            others: vec![0; cells],
            current: vec![0; cells],
            current_frames: 0,
        }
    }

    /// Adds frames with so many mappings, at these places.
    pub(super) fn add_frames(&mut self, places: Range<u64>, mapcount: u64) {
        match mapcount {
            0 => {}
            1 => {
                for (word, mask) in masks(places) {
                    self.alone[word] |= mask;
                }
            }
            _ => {
                for (cell, frames) in cells(places, self.shift) {
                    self.several[cell] += frames as u32;
                }
            }
        }
    }

    /// Adds frames that the current process maps. Those that count already are ignored.
    pub(super) fn add_mapped(&mut self, places: Range<u64>) {
        let end = self.alone.len() as u64 * 64;
        for (word, mask) in masks(places.start.min(end)..places.end.min(end)) {
            let mut found = self.alone[word] & mask;
            self.alone[word] &= !mask;
            self.current_frames += u64::from(found.count_ones());
            while found != 0 {
                let place = word as u64 * 64 + u64::from(found.trailing_zeros());
                let cell = place >> self.shift;
                // All of the word's places in this cell.
                let of_cell = match self.shift >= 6 {
                    true => found,
                    false => found & cell_mask(cell, self.shift, word),
                };
                self.current[cell as usize] += of_cell.count_ones();
                found &= !of_cell;
            }
        }
    }

    /// Ends the current process.
    pub(super) fn end_process(&mut self, name: impl FnOnce() -> String) {
        let frames = std::mem::take(&mut self.current_frames);
        if frames == 0 {
            return;
        }
        let cells = vec![0; self.current.len()];
        self.largest.push(Owner {
            name: name(),
            frames,
            cells: std::mem::replace(&mut self.current, cells),
        });
        // Stable: of processes with as many frames, the first ones stay.
        self.largest.sort_by_key(|owner| Reverse(owner.frames));
        if self.largest.len() > SERIES.len() {
            if let Some(smallest) = self.largest.pop() {
                for (sum, frames) in self.others.iter_mut().zip(smallest.cells) {
                    *sum += frames;
                }
            }
        }
    }

    /// Returns classes and cells; `all` contains the frames of each cell.
    pub(super) fn finish(
        self,
        space: &Space,
        level: u32,
        all: &[u32],
    ) -> (Vec<ClassRecord>, Pyramid) {
        let count = self.largest.len() as u8;
        let mut tally = Tally::new(space, level, usize::from(count) + 3);
        let mut left = all.to_vec();
        let (names, cells): (Vec<_>, Vec<_>) = self
            .largest
            .into_iter()
            .map(|owner| (owner.name, owner.cells))
            .unzip();
        for (class, cells) in (0..).zip(cells.into_iter().chain([self.others, self.several])) {
            for (cell, frames) in cells.into_iter().enumerate() {
                tally.add_to_cell(cell, frames, class);
                left[cell] -= frames;
            }
        }
        for (cell, frames) in left.into_iter().enumerate() {
            tally.add_to_cell(cell, frames, count + 2);
        }
        let more = [&OTHER, &SHARED, &NOBODY];
        let more = more.into_iter().map(ClassRecord::from);
        let classes = series(names).chain(more).collect();
        (classes, tally.finish())
    }
}

/// Returns the words of these places, each with the bits of the places in it.
fn masks(places: Range<u64>) -> impl Iterator<Item = (usize, u64)> {
    let mut at = places.start;
    std::iter::from_fn(move || {
        if at >= places.end {
            return None;
        }
        let (word, bit) = (at / 64, at % 64);
        let count = (64 - bit).min(places.end - at);
        let ones = u64::MAX >> (64 - count);
        at += count;
        Some((word as usize, ones << bit))
    })
}

/// Returns the cells of these places, each with the number of places in it.
pub(super) fn cells(places: Range<u64>, shift: u32) -> impl Iterator<Item = (usize, u64)> {
    let mut at = places.start;
    std::iter::from_fn(move || {
        if at >= places.end {
            return None;
        }
        let cell = at >> shift;
        let end = places.end.min((cell + 1) << shift);
        let count = end - std::mem::replace(&mut at, end);
        Some((cell as usize, count))
    })
}

/// Returns the bits of a word that are places of a cell of less than 64 places.
fn cell_mask(cell: u64, shift: u32, word: usize) -> u64 {
    let first = (cell << shift) - word as u64 * 64;
    let ones = (1u64 << (1 << shift)) - 1;
    ones << first
}
