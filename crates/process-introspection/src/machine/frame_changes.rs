//! Changes of the uses of frames between two times, from two streams of runs. Pure; knows no
//! source of runs.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::ops::Range;

use process_introspection_core::Pfn;

use crate::machine::frame_runs::FrameRun;
use crate::machine::frame_use::FrameUse;

/// Frames whose use changed from one to another.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FrameChange {
    /// Use the first time; `None` if the frame was no RAM that is online.
    pub before: Option<FrameUse>,
    /// Use the second time; `None` as before.
    pub after: Option<FrameUse>,
    /// Number of frames.
    pub frames: u64,
    /// Number of runs of consecutive frames.
    pub runs: u64,
    /// First frame of the largest run.
    pub largest: Pfn,
    /// Number of frames of the largest run.
    pub largest_frames: u64,
}

/// Uses of one frame at both times.
type Uses = (Option<FrameUse>, Option<FrameUse>);

/// Returns the changes between two streams of runs that ascend, most frames first.
///
/// # Errors
/// The first error of a stream.
pub fn compare_frames<E>(
    before: impl IntoIterator<Item = Result<FrameRun, E>>,
    after: impl IntoIterator<Item = Result<FrameRun, E>>,
) -> Result<Vec<FrameChange>, E> {
    compare_frames_with(before, after, |_, _| {})
}

/// As [`compare_frames`], and passes all runs of frames, ascending, to `each` with their uses the
/// first and the second time, changed or not; `None` for a use is no RAM that is online.
///
/// # Errors
/// The first error of a stream.
pub fn compare_frames_with<E>(
    before: impl IntoIterator<Item = Result<FrameRun, E>>,
    after: impl IntoIterator<Item = Result<FrameRun, E>>,
    mut each: impl FnMut([Option<FrameUse>; 2], Range<u64>),
) -> Result<Vec<FrameChange>, E> {
    let mut first = Side::new(before.into_iter())?;
    let mut second = Side::new(after.into_iter())?;
    let mut found = HashMap::<Uses, FrameChange>::new();
    let mut run: Option<(Uses, u64, u64)> = None;
    let mut at = 0;
    loop {
        first.pass(at)?;
        second.pass(at)?;
        // The next frame at which a side begins or ends a run.
        let borders = [first.border(at), second.border(at)];
        let Some(next) = borders.into_iter().flatten().min() else {
            break;
        };
        let uses = (first.at(at), second.at(at));
        run = match run {
            Some((same, start, _)) if same == uses => Some((same, start, next)),
            other => {
                add(&mut found, other, &mut each);
                Some((uses, at, next))
            }
        };
        at = next;
    }
    add(&mut found, run, &mut each);
    let mut found: Vec<_> = found.into_values().collect();
    found.sort_by_key(|change| (Reverse(change.frames), change.before, change.after));
    Ok(found)
}

/// Adds a run to the changes, if its use changed.
fn add(
    found: &mut HashMap<Uses, FrameChange>,
    run: Option<(Uses, u64, u64)>,
    each: &mut impl FnMut([Option<FrameUse>; 2], Range<u64>),
) {
    let Some(((before, after), start, end)) = run else {
        return;
    };
    if before.is_some() || after.is_some() {
        each([before, after], start..end);
    }
    if before == after {
        return;
    }
    let change = found.entry((before, after)).or_insert(FrameChange {
        before,
        after,
        frames: 0,
        runs: 0,
        largest: Pfn::new(0),
        largest_frames: 0,
    });
    change.frames += end - start;
    change.runs += 1;
    if end - start > change.largest_frames {
        (change.largest, change.largest_frames) = (Pfn::new(start), end - start);
    }
}

/// Stream of one time.
struct Side<I> {
    runs: I,
    current: Option<FrameRun>,
}

impl<E, I: Iterator<Item = Result<FrameRun, E>>> Side<I> {
    fn new(mut runs: I) -> Result<Self, E> {
        let current = runs.next().transpose()?;
        Ok(Self { runs, current })
    }

    /// Passes the runs that end at a frame or before it.
    fn pass(&mut self, at: u64) -> Result<(), E> {
        while self.end().is_some_and(|end| end <= at) {
            self.current = self.runs.next().transpose()?;
        }
        Ok(())
    }

    fn end(&self) -> Option<u64> {
        let run = self.current.as_ref()?;
        Some(run.pfn.as_u64() + run.pages)
    }

    /// Returns the next frame behind `at` that is in no same run as it.
    fn border(&self, at: u64) -> Option<u64> {
        let start = self.current.as_ref()?.pfn.as_u64();
        match at < start {
            true => Some(start),
            false => self.end(),
        }
    }

    /// Returns the use of a frame that no run before the current one contains.
    fn at(&self, frame: u64) -> Option<FrameUse> {
        let run = self.current.as_ref()?;
        (run.pfn.as_u64() <= frame).then_some(run.frame_use)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::convert::Infallible;

    use super::*;
    use crate::machine::frames::FrameFlags;

    /// Runs of a list of uses by frame.
    fn runs(uses: &[Option<FrameUse>]) -> Vec<Result<FrameRun, Infallible>> {
        let mut runs: Vec<FrameRun> = Vec::new();
        for (frame, frame_use) in (0..).zip(uses) {
            let Some(frame_use) = *frame_use else {
                continue;
            };
            match runs.last_mut() {
                // Some runs are divided, as at a multiple of 2^18 frames.
                Some(last)
                    if last.frame_use == frame_use
                        && last.pfn.as_u64() + last.pages == frame
                        && frame % 5 != 0 =>
                {
                    last.pages += 1;
                }
                _ => runs.push(FrameRun {
                    pfn: Pfn::new(frame),
                    pages: 1,
                    frame_use,
                    flags: FrameFlags::default(),
                    mapcount: 0,
                    cgroup: None,
                    zone: None,
                }),
            }
        }
        runs.into_iter().map(Ok).collect()
    }

    #[test]
    fn changes_are_those_of_each_frame() {
        const USES: [Option<FrameUse>; 4] = [
            None,
            Some(FrameUse::Free),
            Some(FrameUse::Slab),
            Some(FrameUse::Anonymous),
        ];
        let mut state = 7u64;
        let mut random = move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) as usize
        };
        for _ in 0..500 {
            let length = 1 + random() % 40;
            let mut list = || -> Vec<_> {
                let mut last = None;
                let next = |_| {
                    if random() % 3 == 0 {
                        last = USES[random() % 4];
                    }
                    last
                };
                (0..length).map(next).collect()
            };
            let (before, after) = (list(), list());
            let mut expected = BTreeMap::<Uses, u64>::new();
            let mut borders = BTreeMap::<Uses, u64>::new();
            let mut last = None;
            for pair in before.iter().copied().zip(after.iter().copied()) {
                if pair.0 != pair.1 {
                    *expected.entry(pair).or_default() += 1;
                    if last != Some(pair) {
                        *borders.entry(pair).or_default() += 1;
                    }
                }
                last = Some(pair);
            }
            let found = compare_frames(runs(&before), runs(&after)).unwrap();
            let frames = found.iter();
            let frames: BTreeMap<_, _> = frames
                .map(|one| ((one.before, one.after), one.frames))
                .collect();
            assert_eq!(frames, expected, "{before:?} {after:?}");
            for one in &found {
                assert_eq!(one.runs, borders[&(one.before, one.after)]);
                let first = one.largest.as_u64() as usize;
                for frame in first..first + one.largest_frames as usize {
                    assert_eq!((before[frame], after[frame]), (one.before, one.after));
                }
            }
        }
    }
}
