//! Mapcounts of frames whose numbers ascend, read ahead. Knows no group.

use std::ops::Range;

use process_introspection_core::Pfn;

use crate::error::Error;
use crate::machine::frames::Frames;

/// Maximum number of frames that are read at once.
pub(super) const MAX_FRAMES: u64 = 2048;

/// Number of frames that cost less to read than another call.
const AHEAD: u64 = 16;

/// Reader of mapcounts, and of flags if they are needed.
#[derive(Debug)]
pub(super) struct Mapcounts<'a> {
    frames: &'a Frames,
    /// Frames that were read.
    read: Range<u64>,
    counts: Vec<u64>,
    flags: Vec<u64>,
    has_flags: bool,
}

impl<'a> Mapcounts<'a> {
    pub(super) fn new(frames: &'a Frames) -> Self {
        Self {
            frames,
            read: 0..0,
            counts: Vec::new(),
            flags: Vec::new(),
            has_flags: false,
        }
    }

    /// Returns the mapcounts of frames, at most [`MAX_FRAMES`], and their flags if
    /// requested. Both are 0 for frames after the last one.
    pub(super) fn read(
        &mut self,
        frames: Range<u64>,
        with_flags: bool,
    ) -> Result<(&[u64], Option<&[u64]>), Error> {
        let is_in = self.read.start <= frames.start && frames.end <= self.read.end;
        if !is_in || with_flags && !self.has_flags {
            let end = frames.end.max(frames.start.saturating_add(AHEAD));
            let (first, count) = (Pfn::new(frames.start), (end - frames.start) as usize);
            // No part of an earlier window remains, also if reading fails.
            self.read = 0..0;
            self.counts.clear();
            self.counts.resize(count, 0);
            self.frames.read_mapcounts(first, &mut self.counts)?;
            self.has_flags = with_flags;
            if with_flags {
                self.flags.clear();
                self.flags.resize(count, 0);
                self.frames.read_flag_words(first, &mut self.flags)?;
            }
            self.read = frames.start..end;
        }
        let at = |frame: u64| (frame - self.read.start) as usize;
        let range = at(frames.start)..at(frames.end);
        let flags = with_flags.then(|| &self.flags[range.clone()]);
        Ok((&self.counts[range], flags))
    }
}
