//! Frames of a snapshot by their addresses: what is known of pages of which it has no details,
//! and of those that no process of it maps. Must not know processes and records.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use process_introspection::{
    Cgroup, FrameFlags, PageRun, PageSize, PhysAddr, PhysRange, WantedFrames,
};
use process_introspection_dataset::lake::{LakeError, Snapshot};

use crate::failure::Failure;

/// Boundary: no run goes past a multiple of this.
const LONGEST: u64 = 1 << 30;

/// Pages of one use in a snapshot.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum StoredPages {
    /// Frames of RAM.
    Ram(PageRun),
    /// The snapshot has no frames there.
    Unknown(PhysRange),
}

/// Extent of runs.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Payers {
    /// A run has a payer if one cgroup pays for all of it.
    OfRuns,
    /// A run ends where another cgroup pays.
    OfPages,
}

/// Frames of wanted memory.
#[derive(Debug, Default)]
pub(super) struct StoredFrames {
    /// Ascending runs with equal facts.
    runs: Vec<PageRun>,
    cgroups: HashMap<u64, Cgroup>,
}

impl StoredFrames {
    /// Reads the frames of this memory; none if the snapshot has no frames.
    pub(super) fn read(
        snapshot: &Snapshot,
        memory: &[PhysRange],
        page: PageSize,
    ) -> Result<Self, LakeError> {
        let mut all = Self::default();
        let wanted = WantedFrames::new(memory, page);
        let Some(span) = wanted.span() else {
            return Ok(all);
        };
        let Some(rows) = snapshot.frames(span.start..=span.end - 1)? else {
            return Ok(all);
        };
        for row in rows {
            let row = row?;
            for frames in wanted.within(row.pfn..row.pfn.saturating_add(row.pages)) {
                let range = PhysRange::of_frames(&frames, page);
                let flags = FrameFlags::from_bits(row.flags.0);
                let run = PageRun::of_ram(range, row.node, flags, row.mapcount, row.cgroup_ino);
                all.runs.push(run);
                if let Some(inode) = run.payer.filter(|_| !row.cgroup.0.is_empty()) {
                    let path = OsStr::from_bytes(&row.cgroup.0);
                    let cgroup = || Cgroup::of_path(path);
                    all.cgroups.entry(inode).or_insert_with(cgroup);
                }
            }
        }
        Ok(all)
    }

    /// Returns the cgroup with this number.
    pub(super) fn payer(&self, inode: Option<u64>) -> Option<Cgroup> {
        self.cgroups.get(&inode?).cloned()
    }

    /// Passes the pages of a range, ascending, as runs of one use. A run is at most as long
    /// as a run of [`process_introspection::PageUses`].
    pub(super) fn visit(
        &self,
        range: PhysRange,
        payers: Payers,
        mut each: impl FnMut(StoredPages) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let (mut at, end) = (range.start(), range.end());
        let mut joined: Option<PageRun> = None;
        let near = self.runs.partition_point(|run| run.range.end() <= at);
        let runs = self.runs[near..].iter();
        for run in runs.take_while(|run| run.range.start() < end) {
            if run.range.start() > at {
                joined
                    .take()
                    .map_or(Ok(()), |run| each(StoredPages::Ram(run)))?;
                let unknown = PhysRange::new(at, run.range.start());
                each(StoredPages::Unknown(unknown.unwrap_or_default()))?;
                at = run.range.start();
            }
            let last = run.range.end().min(end);
            while at < last {
                let border = PhysAddr::new((at.as_u64() / LONGEST + 1).saturating_mul(LONGEST));
                let mut part = *run;
                part.range = PhysRange::new(at, border.min(last)).unwrap_or_default();
                at = part.range.end();
                if join(&mut joined, part, payers) {
                    continue;
                }
                let whole = joined.replace(part);
                whole.map_or(Ok(()), |run| each(StoredPages::Ram(run)))?;
            }
        }
        joined.map_or(Ok(()), |run| each(StoredPages::Ram(run)))?;
        match PhysRange::new(at, end).filter(|rest| rest.size() > 0) {
            Some(rest) => each(StoredPages::Unknown(rest)),
            None => Ok(()),
        }
    }
}

/// Adds the next pages to a run, and returns true, if they belong to it.
fn join(run: &mut Option<PageRun>, mut next: PageRun, payers: Payers) -> bool {
    let Some(run) = run else {
        return false;
    };
    let payer = run.payer.filter(|_| run.payer == next.payer);
    if payers == Payers::OfRuns {
        next.payer = run.payer;
    }
    let is_joined = run.join(&next);
    if is_joined {
        run.payer = payer;
    }
    is_joined
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: PageSize = PageSize::SIZE_4K;

    fn range(first: u64, end: u64) -> PhysRange {
        PhysRange::of_frames(&(first..end), PAGE)
    }

    /// Page cache for which this cgroup pays.
    fn files(first: u64, end: u64, mapcount: u64, payer: Option<u64>) -> PageRun {
        let flags = FrameFlags::LRU | FrameFlags::UPTODATE;
        PageRun::of_ram(range(first, end), Some(0), flags, mapcount, payer)
    }

    fn pages(frames: &StoredFrames, range: PhysRange, payers: Payers) -> Vec<StoredPages> {
        let mut pages = Vec::new();
        let visited = frames.visit(range, payers, |one| {
            pages.push(one);
            Ok(())
        });
        visited.unwrap();
        pages
    }

    #[test]
    fn runs_end_with_their_use_and_where_nothing_is_known() {
        let frames = StoredFrames {
            runs: vec![
                files(10, 12, 1, Some(7)),
                files(12, 13, 3, Some(7)),
                files(13, 14, 1, Some(8)),
                files(20, 30, 0, None),
            ],
            cgroups: HashMap::new(),
        };
        let mut joined = files(11, 14, 1, None);
        joined.mapcount = Some((1, 3));
        let of_runs = pages(&frames, range(11, 22), Payers::OfRuns);
        let last = StoredPages::Ram(files(20, 22, 0, None));
        let gap = StoredPages::Unknown(range(14, 20));
        assert_eq!(of_runs, [StoredPages::Ram(joined), gap, last]);
        let mut first = files(11, 13, 1, Some(7));
        first.mapcount = Some((1, 3));
        let of_pages = pages(&frames, range(11, 22), Payers::OfPages);
        let second = StoredPages::Ram(files(13, 14, 1, Some(8)));
        assert_eq!(of_pages, [StoredPages::Ram(first), second, gap, last]);
        let nothing = pages(&StoredFrames::default(), range(1, 3), Payers::OfRuns);
        assert_eq!(nothing, [StoredPages::Unknown(range(1, 3))]);
    }

    #[test]
    fn no_run_is_longer_than_one_of_a_live_search() {
        let frames = StoredFrames {
            runs: vec![files(0, 3 << 18, 1, None)],
            cgroups: HashMap::new(),
        };
        let ends = [1 << 18, 2 << 18, (2 << 18) + 5];
        let found = pages(&frames, range(5, ends[2]), Payers::OfRuns);
        let starts = [5, ends[0], ends[1]];
        let expected = starts.iter().zip(&ends);
        let expected = expected.map(|(&start, &end)| StoredPages::Ram(files(start, end, 1, None)));
        assert!(found.into_iter().eq(expected));
    }
}
