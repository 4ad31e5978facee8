//! Which page frames are wanted, and which of them were found mapped. Pure;
//! knows no process and no file.

use std::ops::Range;

use process_introspection_core::PageSize;

use crate::machine::range::PhysRange;

/// More frames than this are not asked for at once: their marks take 16 MiB.
pub(super) const MOST_FRAMES: u64 = 1 << 27;

/// Wanted frames that follow each other.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stretch {
    frames: Range<u64>,
    /// How many wanted frames there are in the stretches before.
    before: u64,
}

/// Wanted frames: ascending stretches with something between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted(Vec<Stretch>);

impl Wanted {
    /// All frames that the ranges touch.
    pub(super) fn new(ranges: &[PhysRange], page: PageSize) -> Self {
        let shift = page.shift();
        let frames = |range: &PhysRange| {
            let last = range.last()?;
            Some(range.start().as_u64() >> shift..(last.as_u64() >> shift) + 1)
        };
        let mut sorted: Vec<Range<u64>> = ranges.iter().filter_map(frames).collect();
        sorted.sort_unstable_by_key(|frames| frames.start);
        let mut stretches: Vec<Stretch> = Vec::new();
        for frames in sorted {
            match stretches.last_mut() {
                Some(last) if frames.start <= last.frames.end => {
                    last.frames.end = last.frames.end.max(frames.end);
                }
                _ => stretches.push(Stretch { frames, before: 0 }),
            }
        }
        let mut before = 0u64;
        for stretch in &mut stretches {
            stretch.before = before;
            before = before.saturating_add(stretch.frames.end - stretch.frames.start);
        }
        Self(stretches)
    }

    /// How many frames are wanted.
    pub(super) fn count(&self) -> u64 {
        self.0.last().map_or(0, |last| {
            last.before
                .saturating_add(last.frames.end - last.frames.start)
        })
    }

    /// The wanted ones of these frames, as stretches.
    pub(super) fn within(&self, frames: Range<u64>) -> impl Iterator<Item = Range<u64>> + '_ {
        let first = self
            .0
            .partition_point(|stretch| stretch.frames.end <= frames.start);
        let stretches = self.0[first..].iter();
        stretches
            .take_while({
                let end = frames.end;
                move |stretch| stretch.frames.start < end
            })
            .map(move |stretch| {
                stretch.frames.start.max(frames.start)..stretch.frames.end.min(frames.end)
            })
    }
}

/// A mark for each wanted frame that somebody was found to map.
#[derive(Debug)]
pub(super) struct Marks<'a> {
    wanted: &'a Wanted,
    words: Vec<u64>,
}

impl<'a> Marks<'a> {
    pub(super) fn new(wanted: &'a Wanted) -> Self {
        let words = wanted.count().div_ceil(64);
        Self {
            wanted,
            words: vec![0; usize::try_from(words).unwrap_or_default()],
        }
    }

    /// Marks frames, all of one wanted stretch.
    pub(super) fn mark(&mut self, frames: Range<u64>) {
        let first = self
            .wanted
            .0
            .partition_point(|stretch| stretch.frames.end <= frames.start);
        let Some(stretch) = self.wanted.0.get(first) else {
            return;
        };
        for frame in frames.start.max(stretch.frames.start)..frames.end.min(stretch.frames.end) {
            let index = stretch.before + (frame - stretch.frames.start);
            self.words[(index / 64) as usize] |= 1 << (index % 64);
        }
    }

    /// The runs of wanted frames without a mark, ascending.
    pub(super) fn unmarked(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.wanted.0.iter().flat_map(move |stretch| {
            let mut at = stretch.frames.start;
            let has = move |frame: u64| {
                let index = stretch.before + (frame - stretch.frames.start);
                self.words[(index / 64) as usize] >> (index % 64) & 1 == 1
            };
            std::iter::from_fn(move || {
                while at < stretch.frames.end && has(at) {
                    at += 1;
                }
                let start = at;
                while at < stretch.frames.end && !has(at) {
                    at += 1;
                }
                (start < at).then_some(start..at)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use process_introspection_core::PhysAddr;

    fn wanted(ranges: &[(u64, u64)]) -> Wanted {
        let range = |&(start, end): &(u64, u64)| {
            PhysRange::new(PhysAddr::new(start), PhysAddr::new(end)).unwrap()
        };
        let ranges: Vec<_> = ranges.iter().map(range).collect();
        Wanted::new(&ranges, PageSize::SIZE_4K)
    }

    fn all(wanted: &Wanted) -> Vec<Range<u64>> {
        wanted.within(0..u64::MAX).collect()
    }

    #[test]
    fn every_frame_that_a_range_touches_is_wanted_once() {
        let some = wanted(&[
            (0x5000, 0x5001),
            (0x1fff, 0x2001),
            (0x2000, 0x3000),
            (0x2800, 0x2900),
            (0x9000, 0x9000),
        ]);
        assert_eq!(all(&some), [1..3, 5..6]);
        assert_eq!(some.count(), 3);
        assert_eq!(wanted(&[]).count(), 0);
        assert_eq!(wanted(&[(u64::MAX - 1, u64::MAX)]).count(), 1);
    }

    #[test]
    fn what_is_wanted_of_a_run_is_found_in_parts() {
        let some = wanted(&[(0x1000, 0x3000), (0x5000, 0x6000), (0x8000, 0xa000)]);
        let within = |frames| some.within(frames).collect::<Vec<_>>();
        assert_eq!(within(0..1), []);
        assert_eq!(within(3..5), []);
        assert_eq!(within(10..20), []);
        assert_eq!(within(2..9), [2..3, 5..6, 8..9]);
        assert!(within(5..6).into_iter().eq(std::iter::once(5..6)));
    }

    #[test]
    fn what_is_not_marked_is_left_over() {
        let some = wanted(&[(0x1000, 0x3000), (0x5000, 0x6000), (0x80000, 0x100000)]);
        let mut marks = Marks::new(&some);
        let left = |marks: &Marks<'_>| marks.unmarked().collect::<Vec<_>>();
        assert_eq!(left(&marks), [1..3, 5..6, 128..256]);
        marks.mark(2..3);
        marks.mark(5..6);
        marks.mark(190..200);
        assert_eq!(left(&marks), [1..2, 128..190, 200..256]);
        marks.mark(1..2);
        marks.mark(128..256);
        assert_eq!(left(&marks), []);
    }
}
