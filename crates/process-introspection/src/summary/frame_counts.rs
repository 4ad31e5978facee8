//! Numbers of mappings by frame, as a step function over page frame numbers. Pure.

use std::ops::Range;

/// Change of the number of mappings from one frame to the next.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
struct Step {
    frame: u64,
    change: i32,
}

/// Number of mappings of each frame, for frames that have one. Takes up to 32 bytes for
/// each run of frames with equal numbers, and as much for runs that were added lately.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct FrameCounts {
    /// Steps, ascending, at most one for each frame and none without a change.
    sorted: Vec<Step>,
    /// Steps in any order, which are added too.
    added: Vec<Step>,
}

/// Minimum number of steps that are sorted together.
const BATCH: usize = 1 << 16;

impl FrameCounts {
    /// Adds one mapping of each of these frames.
    pub(crate) fn add(&mut self, frames: &Range<u64>) {
        let step = |frame, change| Step { frame, change };
        self.added
            .extend([step(frames.start, 1), step(frames.end, -1)]);
        self.sort_if_many();
    }

    /// Adds the numbers of others.
    pub(crate) fn add_all(&mut self, others: &Self) {
        self.added.extend(others.sorted.iter().chain(&others.added));
        self.sort_if_many();
    }

    fn sort_if_many(&mut self) {
        if self.added.len() >= BATCH.max(self.sorted.len()) {
            self.sort();
        }
    }

    /// Sorts what was added, for [`pieces`].
    pub(crate) fn sort(&mut self) {
        if self.added.is_empty() {
            return;
        }
        self.sorted.append(&mut self.added);
        // The stable sort finds the part that is sorted.
        self.sorted.sort_by_key(|step| step.frame);
        self.sorted.dedup_by(|next, kept| {
            let is_same = next.frame == kept.frame;
            if is_same {
                kept.change += next.change;
            }
            is_same
        });
        self.sorted.retain(|step| step.change != 0);
    }
}

/// Returns runs of frames of which at least one of `of` has a mapping, ascending, with the
/// number of mappings that each of them has. All must be sorted.
pub(crate) fn pieces<const N: usize>(
    of: [&FrameCounts; N],
) -> impl Iterator<Item = (Range<u64>, [u32; N])> + '_ {
    let mut left = of.map(|counts| {
        debug_assert!(counts.added.is_empty(), "sorted");
        &counts.sorted[..]
    });
    let mut counts = [0i32; N];
    let mut at = 0;
    std::iter::from_fn(move || loop {
        let next = left.iter().filter_map(|steps| steps.first());
        let next = next.map(|step| step.frame).min()?;
        let piece = (at..next, counts.map(i32::unsigned_abs));
        at = next;
        for (steps, count) in left.iter_mut().zip(&mut counts) {
            if let [step, rest @ ..] = steps {
                if step.frame == next {
                    *count += step.change;
                    *steps = rest;
                }
            }
        }
        if piece.1.iter().any(|&count| count > 0) {
            return Some(piece);
        }
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use testkit::random::Random;

    #[test]
    fn pieces_have_the_numbers_of_each_frame_however_runs_were_added() {
        for seed in 0..200 {
            let mut random = Random::new(seed);
            let mut all = [(); 2].map(|()| (FrameCounts::default(), BTreeMap::<u64, u32>::new()));
            for (counts, expected) in &mut all {
                for _ in 0..random.below(60) {
                    let start = random.below(100);
                    let frames = start..start + random.below(10);
                    for frame in frames.clone() {
                        *expected.entry(frame).or_default() += 1;
                    }
                    if random.below(5) == 0 {
                        counts.sort();
                    }
                    match random.below(2) {
                        0 => counts.add(&frames),
                        _ => {
                            let mut others = FrameCounts::default();
                            others.add(&frames);
                            counts.add_all(&others);
                        }
                    }
                }
                counts.sort();
            }
            let [(one, of_one), (other, of_other)] = &all;
            let mut last = 0;
            let mut seen = [(); 2].map(|()| BTreeMap::new());
            for (frames, counts) in pieces([one, other]) {
                assert!(frames.start >= last && !frames.is_empty(), "seed {seed}");
                last = frames.end;
                for frame in frames {
                    for (seen, count) in seen.iter_mut().zip(counts) {
                        if count > 0 {
                            seen.insert(frame, count);
                        }
                    }
                }
            }
            assert_eq!(seen, [of_one.clone(), of_other.clone()], "seed {seed}");
        }
    }

    #[test]
    fn neighbours_with_equal_numbers_are_one_run() {
        let mut counts = FrameCounts::default();
        [0..3, 3..5, 5..6]
            .iter()
            .for_each(|frames| counts.add(frames));
        counts.sort();
        assert_eq!(counts.sorted.len(), 2);
        assert_eq!(pieces([&counts]).collect::<Vec<_>>(), [(0..6, [1])]);
    }
}
