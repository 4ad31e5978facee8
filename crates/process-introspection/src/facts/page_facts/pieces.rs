//! Division of consecutive frames or pages into pieces that are read with one call. Pure.

use std::ops::Range;

/// Consecutive frames or pages of one region.
#[derive(Copy, Clone, Debug)]
pub(super) struct Run {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) region: u32,
    /// True if the mapcount of each frame is known to be 1.
    pub(super) is_mapped_once: bool,
}

/// Part of a region that lies in a piece.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) region: u32,
    pub(super) is_mapped_once: bool,
    /// Position in the piece.
    pub(super) at: Range<usize>,
    /// True for the first part of the region.
    pub(super) is_first: bool,
}

/// Number of frames, or entries, that one call reads.
pub(super) const PIECE: usize = 2048;
/// Number of frames between two runs that cost less to read than another call.
const SMALL_GAP: u64 = 3;

/// Pieces of runs, which ascend and may overlap; one call reads each.
#[derive(Debug)]
pub(super) struct Pieces<'a> {
    /// Runs that are not yet completely passed.
    runs: &'a [Run],
    at: u64,
}

impl<'a> Pieces<'a> {
    pub(super) fn of(runs: &'a [Run]) -> Self {
        Self { runs, at: 0 }
    }

    /// Returns the start and the length of the next piece, up to [`PIECE`].
    pub(super) fn next(&mut self) -> Option<(u64, usize)> {
        let is_over = |run: &Run| run.end <= self.at.max(run.start);
        while self.runs.first().is_some_and(is_over) {
            self.runs = &self.runs[1..];
        }
        let first = self.runs.first()?;
        self.at = self.at.max(first.start);
        let most = self.at.saturating_add(PIECE as u64);
        let mut end = first.end;
        for run in &self.runs[1..] {
            if run.start > end.saturating_add(SMALL_GAP) || end >= most {
                break;
            }
            end = end.max(run.end);
        }
        Some((self.at, (end.min(most) - self.at) as usize))
    }

    /// Returns the parts of regions in the first `size` frames of the current piece.
    pub(super) fn parts(&self, size: usize) -> impl Iterator<Item = Part> + 'a {
        let (start, end) = (self.at, self.at + size as u64);
        let runs = self.runs.iter().take_while(move |run| run.start < end);
        runs.filter_map(move |run| {
            let (from, to) = (run.start.max(start), run.end.min(end));
            (from < to).then(|| Part {
                region: run.region,
                is_mapped_once: run.is_mapped_once,
                at: (from - start) as usize..(to - start) as usize,
                is_first: from == run.start,
            })
        })
    }

    pub(super) fn advance(&mut self, size: usize) {
        self.at += size as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(start: u64, end: u64, region: u32) -> Run {
        Run {
            start,
            end,
            region,
            is_mapped_once: region % 2 == 1,
        }
    }

    /// Returns each region's numbers, as read from the pieces, and the number of pieces.
    fn read(runs: &[Run], step: usize) -> (Vec<Vec<u64>>, usize) {
        let mut seen = vec![Vec::new(); runs.len()];
        let mut pieces = Pieces::of(runs);
        let mut count = 0;
        while let Some((start, size)) = pieces.next() {
            assert!((1..=PIECE).contains(&size));
            let read = size.min(step);
            for part in pieces.parts(read) {
                let seen = &mut seen[part.region as usize];
                assert_eq!(part.is_mapped_once, part.region % 2 == 1);
                assert_eq!(part.is_first, seen.is_empty());
                seen.extend(part.at.map(|index| start + index as u64));
            }
            pieces.advance(read);
            count += 1;
        }
        (seen, count)
    }

    #[test]
    fn every_page_of_every_region_is_counted_once_however_runs_overlap() {
        let long = PIECE as u64 * 3 + 7;
        let runs = [
            run(0, long, 0),
            run(2, 3, 1),
            run(2, 3, 2),
            run(5, long + 4, 3),
            run(long + 4, long + 5, 4),
            run(long + 9, long + 9, 5),
            run(2 * long, 2 * long + 1, 6),
        ];
        for step in [1, 100, PIECE] {
            let (seen, _) = read(&runs, step);
            for run in &runs {
                assert!(
                    seen[run.region as usize]
                        .iter()
                        .copied()
                        .eq(run.start..run.end),
                    "{step} {run:?}"
                );
            }
        }
    }

    #[test]
    fn runs_that_touch_are_read_together() {
        let touching: Vec<_> = (0..100).map(|at| run(at, at + 1, at as u32)).collect();
        assert_eq!(read(&touching, PIECE).1, 1);
        let apart = |distance: u64| -> Vec<_> {
            let place = |at: u64| run(distance * at, distance * at + 1, at as u32);
            (0..100).map(place).collect()
        };
        assert_eq!(read(&apart(SMALL_GAP + 1), PIECE).1, 1);
        assert_eq!(read(&apart(SMALL_GAP + 2), PIECE).1, 100);
    }
}
