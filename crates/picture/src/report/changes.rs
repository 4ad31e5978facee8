//! Layer of the map of what changed between two times. Must not know where runs come from.

use std::ops::Range;

use process_introspection::FrameUse;

use crate::map::pyramid::Tally;
use crate::map::space::Space;
use crate::palette::{FrameChanged, CHANGES};
use crate::report::layers::Layer;
use crate::report::records::ClassRecord;

/// Accumulator of the layer.
#[derive(Clone, Debug)]
pub struct ChangeLayer<'a>(Tally<'a>);

impl<'a> ChangeLayer<'a> {
    /// Returns a layer without frames, with at most 4^`level` cells.
    pub fn new(space: &'a Space, level: u32) -> Self {
        Self(Tally::new(space, level, CHANGES.len()))
    }

    /// Adds frames with their uses at both times, each once.
    pub fn add(&mut self, uses: [Option<FrameUse>; 2], frames: Range<u64>) {
        let change = FrameChanged::of(uses);
        let class = FrameChanged::ALL.iter().position(|one| *one == change);
        self.0.add(frames, class.unwrap_or_default() as u8);
    }

    /// Returns the layer.
    pub fn finish(self) -> Layer {
        Layer {
            name: "change",
            title: "Change since the earlier snapshot",
            classes: CHANGES.iter().map(ClassRecord::from).collect(),
            pyramid: self.0.finish(),
        }
    }
}
