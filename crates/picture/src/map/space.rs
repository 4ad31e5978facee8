//! Frames of a machine's RAM in one line, with the long gaps between them left out. Must not
//! know what is in the frames.

use std::ops::Range;

/// Gaps of at least this many bytes that are aligned to it are left out.
const UNIT: u64 = 128 << 20;

/// Line of the frames of RAM: places from 0, which ascend with the addresses.
///
/// Places keep their alignment up to 128 MiB: an aligned block of that size or less is one of
/// places, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Space {
    page: u64,
    pieces: Vec<Piece>,
}

/// Consecutive frames at consecutive places.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// First frame.
    pub pfn: u64,
    /// Number of frames; not all are RAM.
    pub frames: u64,
    /// Place of the first frame.
    pub place: u64,
}

impl Space {
    /// Returns the line of these ranges of frames of `page` bytes, which ascend and do not
    /// overlap.
    pub fn new(page: u64, ranges: impl IntoIterator<Item = Range<u64>>) -> Self {
        Self::aligned(page, 1, ranges)
    }

    /// Returns the line of these ranges, as [`Space::new`], in which places keep their
    /// alignment also up to `frames`, a power of two.
    pub fn aligned(page: u64, frames: u64, ranges: impl IntoIterator<Item = Range<u64>>) -> Self {
        let unit = (UNIT / page).max(1).max(frames);
        let mut pieces = Vec::<Piece>::new();
        for range in ranges.into_iter().filter(|range| !range.is_empty()) {
            let start = range.start / unit * unit;
            let end = range.end.div_ceil(unit) * unit;
            match pieces.last_mut() {
                Some(last) if start <= last.pfn + last.frames => {
                    last.frames = last.frames.max(end - last.pfn);
                }
                last => {
                    let place = last.map_or(0, |last| last.place + last.frames);
                    pieces.push(Piece {
                        pfn: start,
                        frames: end - start,
                        place,
                    });
                }
            }
        }
        Self { page, pieces }
    }

    /// Returns the size of a frame in bytes.
    pub fn page(&self) -> u64 {
        self.page
    }

    /// Returns the pieces, ascending.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Returns the number of places.
    pub fn places(&self) -> u64 {
        self.pieces
            .last()
            .map_or(0, |last| last.place + last.frames)
    }

    /// Returns the places of the frames of a range that have one, ascending.
    pub fn places_of(&self, frames: Range<u64>) -> impl Iterator<Item = Range<u64>> + '_ {
        let first = self
            .pieces
            .partition_point(|piece| piece.pfn + piece.frames <= frames.start);
        let pieces = self.pieces[first..].iter();
        let pieces = pieces.take_while({
            let end = frames.end;
            move |piece| piece.pfn < end
        });
        pieces.map(move |piece| {
            let start = frames.start.max(piece.pfn) - piece.pfn;
            let end = frames.end.min(piece.pfn + piece.frames) - piece.pfn;
            piece.place + start..piece.place + end
        })
    }

    /// Returns the frame at a place.
    pub fn frame_at(&self, place: u64) -> Option<u64> {
        let after = self.pieces.partition_point(|piece| piece.place <= place);
        let piece = self.pieces.get(after.checked_sub(1)?)?;
        let offset = place - piece.place;
        (offset < piece.frames).then_some(piece.pfn + offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIT_FRAMES: u64 = UNIT / 4096;

    #[test]
    fn long_gaps_are_left_out_and_alignment_stays() {
        let ranges = [1..100, 200..300, 10 * UNIT_FRAMES + 5..12 * UNIT_FRAMES];
        let space = Space::new(4096, ranges);
        assert_eq!(space.pieces().len(), 2);
        assert_eq!(space.places(), 3 * UNIT_FRAMES);
        let places: Vec<_> = space.places_of(50..10 * UNIT_FRAMES + 7).collect();
        assert_eq!(places, [50..UNIT_FRAMES, UNIT_FRAMES..UNIT_FRAMES + 7]);
        for place in [0, 5, UNIT_FRAMES - 1, UNIT_FRAMES, 3 * UNIT_FRAMES - 1] {
            let frame = space.frame_at(place).expect("a frame");
            assert_eq!(
                space.places_of(frame..frame + 1).next(),
                Some(place..place + 1)
            );
            assert_eq!(frame % UNIT_FRAMES, place % UNIT_FRAMES);
        }
        assert_eq!(space.frame_at(3 * UNIT_FRAMES), None);
    }

    #[test]
    fn ranges_that_touch_are_one_piece_and_none_is_no_place() {
        let space = Space::new(65536, [0..5, 5..UNIT / 65536 + 1]);
        assert_eq!(space.pieces().len(), 1);
        assert_eq!(space.places(), 2 * UNIT / 65536);
        assert_eq!(Space::new(4096, []).places(), 0);
        assert_eq!(Space::new(4096, []).frame_at(0), None);
    }
}
