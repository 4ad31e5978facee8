//! Facts of the frames of regions. Most regions can be as short as a page, and their facts
//! take two words, so that those of many regions lie close together. Pure.

use super::counts::WordCounts;
use super::folios::FolioPages;
use super::pieces::Part;
use crate::machine::frames::FrameFlags;

/// Facts of the frames of one region.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct FrameFacts {
    pub(super) flags: WordCounts,
    pub(super) times_mapped: WordCounts,
    pub(super) folios: FolioPages,
}

impl FrameFacts {
    /// Adds frames; neighbours mostly have the same flags and mapcount.
    pub(super) fn add(&mut self, flags: &[u64], counts: &[u64]) {
        let mut frames = flags.iter().zip(counts);
        let Some(mut last) = frames.next() else {
            return;
        };
        let mut times = 1;
        for frame in frames {
            if frame == last {
                times += 1;
            } else {
                self.add_uniform(*last.0, *last.1, times);
                (last, times) = (frame, 1);
            }
        }
        self.add_uniform(*last.0, *last.1, times);
    }

    /// Returns the facts of frames that have the same flags and mapcount and are not part
    /// of a large folio.
    #[inline]
    fn of_uniform(flags: u64, count: u64, times: u64) -> Self {
        let mapped = if has_page(flags) { times } else { 0 };
        Self {
            flags: WordCounts::of_word(flags, times),
            times_mapped: WordCounts::of_word(count, mapped),
            folios: FolioPages::of_single(times),
        }
    }

    fn add_uniform(&mut self, flags: u64, count: u64, times: u64) {
        self.flags.add_times(flags, times);
        self.folios.add(FrameFlags::from_bits(flags), times);
        if has_page(flags) {
            self.times_mapped.add_times(count, times);
        }
    }
}

/// Returns whether the frame has a mapcount: for a frame without a `struct page` the kernel
/// reports 0.
fn has_page(flags: u64) -> bool {
    flags != 0 && flags & FrameFlags::NOPAGE.bits() == 0
}

/// Facts of one region's frames so far, in compact form.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Compact {
    Nothing,
    /// Frames with the same flags and mapcount, none of them part of a large folio.
    Uniform {
        flags: u64,
        count: u64,
        frames: u32,
    },
    /// Any other frames: their index in [`FrameFactsOfRegions::various`].
    Various(usize),
}

impl Compact {
    /// Returns the compact form of these frames, if they are uniform.
    fn of_uniform(flags: &[u64], counts: &[u64]) -> Option<Self> {
        let (&first, &count) = flags.first().zip(counts.first())?;
        let of_large = FrameFlags::COMPOUND_HEAD.bits() | FrameFlags::COMPOUND_TAIL.bits();
        let is_uniform = first & of_large == 0
            && flags.iter().all(|&word| word == first)
            && counts.iter().all(|&word| word == count);
        is_uniform.then_some(Self::Uniform {
            flags: first,
            count,
            frames: u32::try_from(flags.len()).ok()?,
        })
    }

    /// Adds further frames; `None` unless all of them are uniform.
    fn and(self, further: Self) -> Option<Self> {
        match (self, further) {
            (Self::Nothing, further) => Some(further),
            (
                Self::Uniform {
                    flags,
                    count,
                    frames,
                },
                Self::Uniform {
                    flags: same_flags,
                    count: same_count,
                    frames: more,
                },
            ) if (flags, count) == (same_flags, same_count) => Some(Self::Uniform {
                flags,
                count,
                frames: frames.checked_add(more)?,
            }),
            _ => None,
        }
    }
}

#[derive(Clone, Debug)]
struct Various {
    facts: FrameFacts,
    /// PFN after the last frame that was added.
    end: u64,
}

/// Facts of the frames of many regions.
#[derive(Clone, Debug, Default)]
pub(super) struct FrameFactsOfRegions {
    regions: Vec<Compact>,
    various: Vec<Various>,
}

impl FrameFactsOfRegions {
    /// Removes all regions; the storage is kept.
    pub(super) fn clear(&mut self) {
        self.regions.clear();
        self.various.clear();
    }

    /// Adds a region without facts so far.
    pub(super) fn push(&mut self) {
        self.regions.push(Compact::Nothing);
    }

    /// Adds a part of a region, which follows its previous parts, from a piece that begins
    /// with frame `start`.
    pub(super) fn add(&mut self, part: &Part, start: u64, flags: &[u64], counts: &[u64]) {
        let region = part.region as usize;
        // Regions come in the order of their frames: a load of one region's facts would
        // wait for memory, for most regions in vain. A store does not wait.
        let before = match part.is_first {
            true => Compact::Nothing,
            false => self.regions[region],
        };
        let further = Compact::of_uniform(flags, counts);
        if let Some(uniform) = further.and_then(|further| before.and(further)) {
            self.regions[region] = uniform;
            return;
        }
        let index = match before {
            Compact::Various(index) => index,
            _ => {
                let facts = self.facts(before);
                self.various.push(Various { facts, end: 0 });
                self.various.len() - 1
            }
        };
        self.regions[region] = Compact::Various(index);
        let various = &mut self.various[index];
        various.facts.add(flags, counts);
        various.end = start + part.at.end as u64;
    }

    /// Closes all folios that may continue. Where the frame after a region decides,
    /// `goes_on` returns whether it belongs to the folio of the frame before it.
    pub(super) fn close_folios<E>(
        &mut self,
        mut goes_on: impl FnMut(u64) -> Result<bool, E>,
    ) -> Result<(), E> {
        for Various { facts, end } in &mut self.various {
            let ends = !facts.folios.needs_next() || !goes_on(*end)?;
            facts.folios.close(ends);
        }
        Ok(())
    }

    #[inline]
    pub(super) fn of(&self, region: usize) -> FrameFacts {
        self.facts(self.regions[region])
    }

    #[inline]
    fn facts(&self, compact: Compact) -> FrameFacts {
        match compact {
            Compact::Nothing => FrameFacts::default(),
            Compact::Uniform {
                flags,
                count,
                frames,
            } => FrameFacts::of_uniform(flags, count, frames.into()),
            Compact::Various(index) => self.various[index].facts.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::*;

    const ANON: u64 = FrameFlags::ANON.bits();
    const HEAD: u64 = FrameFlags::COMPOUND_HEAD.bits() | ANON;
    const TAIL: u64 = FrameFlags::COMPOUND_TAIL.bits() | ANON;

    fn part(region: usize, at: Range<usize>) -> Part {
        let is_first = at.start == 0;
        Part {
            region: region as u32,
            is_mapped_once: false,
            at,
            is_first,
        }
    }

    #[test]
    fn a_count_of_mappings_is_not_taken_from_frames_without_a_page() {
        let counts = |facts: &FrameFacts| facts.times_mapped.words().collect::<Vec<_>>();
        let mut facts = FrameFacts::default();
        facts.add(&[FrameFlags::NOPAGE.bits(), 0], &[0, 0]);
        assert_eq!((facts.flags.of(0), counts(&facts)), (2, vec![(0, 0)]));
        facts.add(&[ANON; 2], &[3, 1]);
        assert_eq!(
            (facts.flags.of(0), counts(&facts)),
            (4, vec![(3, 1), (1, 1)])
        );
    }

    #[test]
    fn facts_of_many_regions_are_those_of_each_in_whatever_pieces_they_come() {
        let frames: [(&[u64], &[u64]); 7] = [
            (&[ANON; 6], &[1; 6]),
            (&[ANON; 6], &[1, 1, 1, 2, 2, 2]),
            (&[ANON, ANON, ANON, 0, 0, ANON], &[1; 6]),
            (&[0; 6], &[0; 6]),
            (&[TAIL, TAIL, HEAD, TAIL, TAIL, TAIL], &[1; 6]),
            (&[ANON, ANON, ANON, ANON, HEAD, TAIL], &[1; 6]),
            (&[TAIL; 6], &[1; 6]),
        ];
        // The last frame of one folio is after the region's end.
        let goes_on = |end: u64| Ok::<_, ()>(end == 506);
        for size in 1..=6 {
            let mut of_regions = FrameFactsOfRegions::default();
            frames.iter().for_each(|_| of_regions.push());
            for at in (0..6).step_by(size) {
                let end = (at + size).min(6);
                for (region, (flags, counts)) in frames.iter().enumerate().rev() {
                    let part = part(region, at..end);
                    let (flags, counts) = (&flags[at..end], &counts[at..end]);
                    of_regions.add(&part, 100 * region as u64, flags, counts);
                }
            }
            of_regions.close_folios(goes_on).unwrap();
            for (region, (flags, counts)) in frames.iter().enumerate() {
                let mut whole = FrameFacts::default();
                whole.add(flags, counts);
                let end = 100 * region as u64 + 6;
                whole.folios.close(!goes_on(end).unwrap());
                assert_eq!(of_regions.of(region), whole, "{region} by {size}");
            }
            assert_eq!(of_regions.of(5).folios.part, 2);
        }
    }

    #[test]
    fn frames_that_are_uniform_take_no_storage_of_their_own() {
        let mut of_regions = FrameFactsOfRegions::default();
        for region in 0..100 {
            of_regions.push();
            of_regions.add(&part(region, 0..1), 7, &[ANON], &[1]);
            of_regions.add(&part(region, 1..2), 7, &[ANON], &[1]);
        }
        assert!(of_regions.various.is_empty());
        assert_eq!(of_regions.of(99).folios.single, 2);
    }
}
