//! Data of a report, decoded as a browser does.

// Each test program uses a part of this module.
#![allow(dead_code)]

use std::io::Read;
use std::ops::Range;

use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use flate2::read::DeflateDecoder;
use process_introspection_export::Time;
use process_introspection_picture::report::records::HeaderRecord;
use serde_json::Value;

/// Cell: class (255 without frames) and purity.
pub(crate) type Cell = (u8, u8);

/// Header of a report about a title.
pub(crate) fn header(title: &str) -> HeaderRecord {
    HeaderRecord {
        title: title.to_owned(),
        scope: title.to_owned(),
        host: Some(title.to_owned()),
        kernel: Some(title.to_owned()),
        architecture: "x86_64".to_owned(),
        page_size: 4096,
        taken_at: Time(0),
        tool_version: "0".to_owned(),
        source: "live",
        snapshot: None,
        against: None,
        unseen: Vec::new(),
    }
}

pub(crate) fn inflated(text: &Value) -> Vec<u8> {
    let deflated = STANDARD
        .decode(text.as_str().expect("text"))
        .expect("base64");
    let mut bytes = Vec::new();
    let mut decoder = DeflateDecoder::new(&*deflated);
    decoder.read_to_end(&mut bytes).expect("deflate");
    bytes
}

/// Returns the cells of each level of a layer.
pub(crate) fn levels(map: &Value, layer: &Value) -> Vec<Vec<Cell>> {
    let level = map["level"].as_u64().expect("level") as u32;
    let bytes = inflated(&layer["cells"]);
    let (classes, purities) = bytes.split_at(bytes.len() / 2);
    let mut cells = classes.iter().copied().zip(purities.iter().copied());
    let levels = (0..=level).map(|level| cells.by_ref().take(1 << (2 * level)).collect());
    let levels = levels.collect();
    assert_eq!(cells.next(), None, "cells behind the last level");
    levels
}

/// Returns the names of the classes of a layer.
pub(crate) fn words(report: &Value, layer: &Value) -> Vec<String> {
    let classes = &report["classes"][layer["classes"].as_str().expect("classes")];
    let classes = classes.as_array().expect("a list").iter();
    let word = |class: &Value| class["word"].as_str().expect("word").to_owned();
    classes.map(word).collect()
}

/// Returns the exact runs: first place, number of places, class.
pub(crate) fn runs(map: &Value) -> Vec<(u64, u64, u8)> {
    let bytes = inflated(&map["runs"]["data"]);
    let mut numbers = Vec::new();
    let (mut number, mut shift) = (0u64, 0);
    for byte in bytes {
        number |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte < 0x80 {
            numbers.push(number);
            (number, shift) = (0, 0);
        }
    }
    let mut end = 0;
    let runs = numbers.chunks_exact(3).map(|run| {
        let start = end + run[0];
        end = start + run[1];
        (start, run[1], run[2] as u8)
    });
    runs.collect()
}

/// Counts of frames by class in the cells of a level.
pub(crate) struct Counts {
    classes: usize,
    bits: u64,
    counts: Vec<u64>,
}

impl Counts {
    /// Returns no frames in the finest cells of a map.
    pub(crate) fn new(map: &Value, classes: usize) -> Self {
        let level = map["level"].as_u64().expect("level");
        Self {
            classes,
            bits: map["shift"].as_u64().expect("shift"),
            counts: vec![0; classes << (2 * level)],
        }
    }

    /// Adds consecutive places of one class.
    pub(crate) fn add(&mut self, places: Range<u64>, class: u8) {
        let mut at = places.start;
        while at < places.end {
            let cell = at >> self.bits;
            let end = places.end.min((cell + 1) << self.bits);
            self.counts[cell as usize * self.classes + usize::from(class)] += end - at;
            at = end;
        }
    }

    fn cells(&self) -> Vec<Cell> {
        let cell = |counts: &[u64]| {
            let all: u64 = counts.iter().sum();
            let most = counts.iter().copied().max().unwrap_or(0);
            let class = counts.iter().position(|&count| count == most);
            match (all, class) {
                (1.., Some(class)) => (class as u8, (most * 255 / all) as u8),
                _ => (255, 0),
            }
        };
        self.counts.chunks(self.classes).map(cell).collect()
    }

    /// The counts of the level above.
    fn coarser(&self) -> Self {
        let fours = self.counts.chunks(4 * self.classes);
        let sum = |four: &[u64]| -> Vec<u64> {
            let of_class = |class| four.iter().skip(class).step_by(self.classes).sum();
            (0..self.classes).map(of_class).collect()
        };
        Self {
            classes: self.classes,
            bits: self.bits + 2,
            counts: fours.flat_map(sum).collect(),
        }
    }

    /// Compares the cells of all levels of a layer with the counts.
    pub(crate) fn check(mut self, map: &Value, layer: &Value) {
        for (level, cells) in levels(map, layer).iter().enumerate().rev() {
            assert!(*cells == self.cells(), "{} at level {level}", layer["name"]);
            self = self.coarser();
        }
    }
}
