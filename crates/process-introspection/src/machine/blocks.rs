//! Aligned blocks of RAM, and what prevents them from being free as a whole. Pure; knows no
//! file.

use crate::machine::frame_runs::FrameRun;
use crate::machine::frame_use::FrameUse;

/// Sizes of blocks in bytes, ascending: each is a multiple of the one before.
const SIZES: [u64; 4] = [2 << 20, 4 << 20, 32 << 20, 1 << 30];

/// Aligned blocks of one size that consist wholly of RAM of one zone.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlockCensus {
    /// Size of a block in bytes.
    pub size: u64,
    /// Number of blocks.
    pub blocks: u64,
    /// Number of blocks of which all frames are free in the page allocator.
    pub free: u64,
    /// Number of blocks with a frame that the kernel cannot move, as far as flags show that:
    /// see [`FrameUse::is_movable`].
    pub unmovable: u64,
    /// Number of other blocks with an unflagged frame: whether they can be freed is unknown. The
    /// frame can be free in a list of a CPU, not initialized yet, or the kernel's.
    pub unflagged: u64,
    /// Number of blocks with a frame of each use.
    containing: [u64; FrameUse::ALL.len()],
    /// Number of unmovable blocks with one such use only, by that use.
    prevented: [u64; FrameUse::ALL.len()],
}

impl BlockCensus {
    fn new(size: u64) -> Self {
        Self {
            size,
            blocks: 0,
            free: 0,
            unmovable: 0,
            unflagged: 0,
            containing: Default::default(),
            prevented: Default::default(),
        }
    }

    /// Returns the number of blocks with a frame of this use.
    pub fn containing(&self, frame_use: FrameUse) -> u64 {
        self.containing[frame_use as usize]
    }

    /// Returns the number of unmovable blocks in which all frames that the kernel cannot move
    /// are of this use: without it their memory could be moved away.
    pub fn prevented_by(&self, frame_use: FrameUse) -> u64 {
        self.prevented[frame_use as usize]
    }

    fn add(&mut self, uses: Uses) {
        self.blocks += 1;
        self.free += u64::from(uses == Uses::of(FrameUse::Free));
        let unmovable = uses.without(|one| one.is_movable() != Some(false));
        self.unmovable += u64::from(unmovable != Uses::default());
        let is_unknown = unmovable == Uses::default() && uses.contains(FrameUse::Unflagged);
        self.unflagged += u64::from(is_unknown);
        for frame_use in FrameUse::ALL {
            let index = frame_use as usize;
            self.containing[index] += u64::from(uses.contains(frame_use));
            self.prevented[index] += u64::from(unmovable == Uses::of(frame_use));
        }
    }

    fn add_all(&mut self, other: &Self) {
        self.blocks += other.blocks;
        self.free += other.free;
        self.unflagged += other.unflagged;
        self.unmovable += other.unmovable;
        for (sum, more) in [
            (&mut self.containing, &other.containing),
            (&mut self.prevented, &other.prevented),
        ] {
            sum.iter_mut()
                .zip(more)
                .for_each(|(sum, more)| *sum += more);
        }
    }
}

/// Set of uses.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Default)]
struct Uses(u32);

impl Uses {
    fn of(frame_use: FrameUse) -> Self {
        Self(1 << frame_use as u32)
    }

    fn contains(self, frame_use: FrameUse) -> bool {
        self.0 & Self::of(frame_use).0 != 0
    }

    fn without(self, is_out: impl Fn(&FrameUse) -> bool) -> Self {
        let out = FrameUse::ALL.into_iter().filter(is_out);
        let out = out.fold(0, |set, one| set | Self::of(one).0);
        Self(self.0 & !out)
    }
}

/// Block that is being read.
#[derive(Clone, Debug, Default)]
struct Open {
    /// Address of the block divided by its size.
    index: u64,
    /// Number of its frames so far.
    frames: u64,
    uses: Uses,
}

/// Counts blocks from runs that ascend.
#[derive(Clone, Debug)]
pub(crate) struct BlockTally {
    /// Number of frames of a block of each size, those without a whole frame left out.
    frames: Vec<u64>,
    open: Vec<Open>,
    census: Vec<BlockCensus>,
    /// Frame behind the last run, and its zone.
    place: (u64, Option<usize>),
}

impl BlockTally {
    pub(crate) fn new(page_size: u64) -> Self {
        let sizes = SIZES.iter().filter(|&&size| size > page_size);
        Self {
            frames: sizes.clone().map(|size| size / page_size).collect(),
            open: vec![Open::default(); sizes.clone().count()],
            census: sizes.map(|&size| BlockCensus::new(size)).collect(),
            place: (0, None),
        }
    }

    pub(crate) fn add(&mut self, run: &FrameRun) {
        let Some(&least) = self.frames.first() else {
            return;
        };
        let (start, end) = (run.pfn.as_u64(), run.pfn.as_u64() + run.pages);
        if self.place != (start, run.zone) {
            self.open.fill(Open::default());
        }
        self.place = (end, run.zone);
        let uses = Uses::of(run.frame_use);
        let mut at = start;
        while at < end {
            let border = ((at / least + 1) * least).min(end);
            self.add_frames(0, at, border - at, uses);
            at = border;
        }
    }

    /// Adds frames that are in one block of this level.
    fn add_frames(&mut self, level: usize, at: u64, frames: u64, uses: Uses) {
        let Some(&size) = self.frames.get(level) else {
            return;
        };
        let open = &mut self.open[level];
        if open.frames == 0 || open.index != at / size {
            *open = Open {
                index: at / size,
                ..Open::default()
            };
        }
        open.frames += frames;
        open.uses.0 |= uses.0;
        if open.frames == size {
            let (index, uses) = (open.index, open.uses);
            *open = Open::default();
            self.census[level].add(uses);
            self.add_frames(level + 1, index * size, size, uses);
        }
    }

    pub(crate) fn finish(self) -> Vec<BlockCensus> {
        self.census
    }

    /// Adds blocks of other runs.
    pub(crate) fn add_all(&mut self, other: &Self) {
        for (sum, more) in self.census.iter_mut().zip(&other.census) {
            sum.add_all(more);
        }
    }
}

#[cfg(test)]
mod tests {
    use process_introspection_core::Pfn;

    use super::*;
    use crate::machine::frames::FrameFlags;

    const PAGE: u64 = 4096;

    fn run(pfn: u64, pages: u64, frame_use: FrameUse, zone: usize) -> FrameRun {
        FrameRun {
            pfn: Pfn::new(pfn),
            pages,
            frame_use,
            flags: FrameFlags::default(),
            mapcount: 0,
            cgroup: None,
            zone: Some(zone),
        }
    }

    fn counted(runs: &[FrameRun]) -> Vec<BlockCensus> {
        let mut tally = BlockTally::new(PAGE);
        runs.iter().for_each(|run| tally.add(run));
        tally.finish()
    }

    #[test]
    fn a_block_is_whole_ram_of_one_zone_at_its_alignment() {
        use FrameUse::Free;
        // 2.5 blocks before the border of a zone, then 2.5, then a hole of a frame.
        let found = counted(&[
            run(0, 1280, Free, 0),
            run(1280, 1280, Free, 1),
            run(2561, 511, Free, 1),
        ]);
        assert_eq!((found[0].blocks, found[0].free), (4, 4));
        assert_eq!((found[1].blocks, found[1].free), (1, 1));
        assert_eq!(found[3].blocks, 0);
    }

    #[test]
    fn a_block_that_only_one_use_keeps_is_counted_for_it() {
        use FrameUse::{Anonymous, Free, PageTable, Slab, Unflagged};
        let found = counted(&[
            run(0, 511, Anonymous, 0),
            run(511, 1, Slab, 0),
            run(512, 512, Free, 0),
            run(1024, 100, Slab, 0),
            run(1124, 412, PageTable, 0),
            run(1536, 512, Anonymous, 0),
            run(2048, 511, Anonymous, 0),
            run(2559, 1, Unflagged, 0),
        ]);
        let small = &found[0];
        assert_eq!((small.blocks, small.free, small.unmovable), (5, 1, 2));
        assert_eq!(small.unflagged, 1);
        assert_eq!((small.containing(Slab), small.prevented_by(Slab)), (2, 1));
        assert_eq!(small.prevented_by(PageTable), 0);
        assert_eq!(small.containing(Anonymous), 3);
        let large = &found[1];
        assert_eq!((large.blocks, large.free, large.unmovable), (2, 0, 2));
        assert_eq!((large.prevented_by(Slab), large.containing(Free)), (1, 1));
    }
}
