//! Wanted frames, and marks for those that were found mapped. Pure; this module does
//! not know processes and files.

use std::ops::Range;

use process_introspection_core::{AddrRange, PageSize, PhysAddr};

use crate::machine::range::PhysRange;
use crate::walk::backed::Backed;

/// Maximum number of frames of one query: their marks take 16 MiB.
pub(super) const MOST_FRAMES: u64 = 1 << 27;

/// Wanted frames in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stretch {
    frames: Range<u64>,
    /// Number of wanted frames in the stretches before this one.
    before: u64,
}

/// Frames whose owners are searched: ascending stretches with gaps between them. Finds
/// them in regions, as [`owners`](crate::owners) does in the regions of live walks.
///
/// ```
/// use process_introspection::{AddrRange, Backing, PageSize, PhysAddr, PhysRange, WantedFrames};
///
/// let page = PageSize::SIZE_4K;
/// let wanted = WantedFrames::new(&[PhysRange::page_of(PhysAddr::new(0x9abc), page)], page);
/// let virt = AddrRange::new(0x1000, 0x4000).unwrap();
/// let region = (virt, Backing::Ram(PhysAddr::new(0x8000)));
/// let parts: Vec<_> = wanted.parts_of(&region).collect();
/// assert_eq!(parts, [(AddrRange::new(0x2000, 0x3000).unwrap(), PhysAddr::new(0x9000))]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedFrames {
    stretches: Vec<Stretch>,
    shift: u32,
}

impl WantedFrames {
    /// Returns the set of all frames that the ranges touch.
    pub fn new(ranges: &[PhysRange], page: PageSize) -> Self {
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
        Self { stretches, shift }
    }

    /// Returns the number of wanted frames.
    pub(super) fn count(&self) -> u64 {
        self.stretches.last().map_or(0, |last| {
            last.before
                .saturating_add(last.frames.end - last.frames.start)
        })
    }

    /// Returns the parts of a region whose frames are wanted: their virtual addresses,
    /// and the physical address of the first page of each.
    pub fn parts_of(
        &self,
        pages: &impl Backed,
    ) -> impl Iterator<Item = (AddrRange, PhysAddr)> + '_ {
        let address = pages.backing().address();
        let parts = address.map(|address| self.parts(pages.virt(), address));
        parts.into_iter().flatten()
    }

    /// Returns the wanted parts of pages whose frames are consecutive from `first` on.
    pub(super) fn parts(
        &self,
        virt: AddrRange,
        first: PhysAddr,
    ) -> impl Iterator<Item = (AddrRange, PhysAddr)> + '_ {
        let shift = self.shift;
        let (start, first) = (virt.start().as_u64(), first.as_u64() >> shift);
        let frames = first..first.saturating_add(virt.size() >> shift);
        self.within(frames).map(move |part| {
            let at = |frame: u64| start + ((frame - first) << shift);
            let virt = AddrRange::new(at(part.start), at(part.end)).unwrap_or_default();
            (virt, PhysAddr::new(part.start << shift))
        })
    }

    /// Returns the frames from the first wanted one to the last; `None` without any.
    pub fn span(&self) -> Option<Range<u64>> {
        let ends = self.stretches.first().zip(self.stretches.last());
        ends.map(|(first, last)| first.frames.start..last.frames.end)
    }

    /// Returns the wanted frames among these, as ascending stretches.
    pub fn within(&self, frames: Range<u64>) -> impl Iterator<Item = Range<u64>> + '_ {
        let first = self
            .stretches
            .partition_point(|stretch| stretch.frames.end <= frames.start);
        let stretches = self.stretches[first..].iter();
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

/// Marks of the wanted frames that some process was found to map.
#[derive(Debug)]
pub(super) struct Marks {
    wanted: WantedFrames,
    words: Vec<u64>,
}

impl Marks {
    pub(super) fn wanted(&self) -> &WantedFrames {
        &self.wanted
    }

    pub(super) fn new(wanted: WantedFrames) -> Self {
        let words = wanted.count().div_ceil(64);
        Self {
            wanted,
            words: vec![0; usize::try_from(words).unwrap_or_default()],
        }
    }

    /// Marks frames, which are all in one wanted stretch.
    pub(super) fn mark(&mut self, frames: Range<u64>) {
        let first = self
            .wanted
            .stretches
            .partition_point(|stretch| stretch.frames.end <= frames.start);
        let Some(stretch) = self.wanted.stretches.get(first) else {
            return;
        };
        for frame in frames.start.max(stretch.frames.start)..frames.end.min(stretch.frames.end) {
            let index = stretch.before + (frame - stretch.frames.start);
            self.words[(index / 64) as usize] |= 1 << (index % 64);
        }
    }

    /// Returns the runs of wanted frames without a mark, ascending.
    pub(super) fn unmarked(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.wanted.stretches.iter().flat_map(move |stretch| {
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

    fn wanted(ranges: &[(u64, u64)]) -> WantedFrames {
        let range = |&(start, end): &(u64, u64)| {
            PhysRange::new(PhysAddr::new(start), PhysAddr::new(end)).unwrap()
        };
        let ranges: Vec<_> = ranges.iter().map(range).collect();
        WantedFrames::new(&ranges, PageSize::SIZE_4K)
    }

    fn all(wanted: &WantedFrames) -> Vec<Range<u64>> {
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
        let mut marks = Marks::new(some);
        let left = |marks: &Marks| marks.unmarked().collect::<Vec<_>>();
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
