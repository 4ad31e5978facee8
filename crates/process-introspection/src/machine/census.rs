//! Census of the machine's RAM: each frame counted once, by its use, and by its zone and the
//! cgroup that pays for it; and the aligned blocks that they form. Consumes runs of frames, of
//! this machine or stored ones; knows no process and no counter of the kernel.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::ops::{AddAssign, Index};

use process_introspection_core::PageSize;

use crate::error::Error;
use crate::machine::blocks::{BlockCensus, BlockTally};
use crate::machine::frame_runs::{FrameRun, FrameRuns};
use crate::machine::frame_use::{FrameState, FrameUse};
use crate::process::mounts::Mounts;

/// Frames of each use.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Default)]
pub struct UseTotals([u64; FrameUse::ALL.len()]);

impl UseTotals {
    /// Returns the number of frames of all uses.
    pub fn frames(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Returns the uses, each with its number of frames.
    pub fn iter(&self) -> impl Iterator<Item = (FrameUse, u64)> + '_ {
        FrameUse::ALL.into_iter().zip(self.0)
    }

    /// Returns the frames of the uses for which `is_wanted` is true.
    pub fn only(&self, is_wanted: impl Fn(FrameUse) -> bool) -> Self {
        let mut only = Self::default();
        let wanted = self.iter().filter(|&(frame_use, _)| is_wanted(frame_use));
        wanted.for_each(|(frame_use, frames)| only.add(frame_use, frames));
        only
    }

    fn add(&mut self, frame_use: FrameUse, frames: u64) {
        self.0[frame_use as usize] += frames;
    }
}

impl Index<FrameUse> for UseTotals {
    type Output = u64;

    fn index(&self, frame_use: FrameUse) -> &u64 {
        &self.0[frame_use as usize]
    }
}

impl AddAssign<&UseTotals> for UseTotals {
    fn add_assign(&mut self, other: &UseTotals) {
        for (total, &frames) in self.0.iter_mut().zip(&other.0) {
            *total += frames;
        }
    }
}

/// Frames of each use by their state in reclaim.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Default)]
pub struct StateTotals([[u64; FrameState::ALL.len()]; FrameUse::ALL.len()]);

impl StateTotals {
    /// Returns the number of frames of this use in this state.
    pub fn get(&self, frame_use: FrameUse, state: FrameState) -> u64 {
        self.0[frame_use as usize][state as usize]
    }

    fn add(&mut self, run: &FrameRun) {
        let totals = &mut self.0[run.frame_use as usize];
        for (total, state) in totals.iter_mut().zip(FrameState::ALL) {
            *total += u64::from(state.is_of(run.flags)) * run.pages;
        }
    }
}

impl AddAssign<&StateTotals> for StateTotals {
    fn add_assign(&mut self, other: &StateTotals) {
        let totals = self.0.iter_mut().flatten().zip(other.0.iter().flatten());
        totals.for_each(|(total, &frames)| *total += frames);
    }
}

/// Frames of a zone by their uses.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ZoneCensus {
    /// NUMA node; `None` for frames that are in no zone, or in several.
    pub node: Option<u32>,
    /// Name of the zone; `None` as for the node.
    pub zone: Option<String>,
    /// Frames of each use.
    pub uses: UseTotals,
    /// Frames of each use by their state.
    pub states: StateTotals,
}

/// Frames for which a memory cgroup pays, by their uses.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PayerCensus {
    /// Inode number of the cgroup's folder, see
    /// [`MemoryCgroups`](crate::MemoryCgroups::get).
    pub inode: u64,
    /// Frames of each use.
    pub uses: UseTotals,
}

/// Frames of the machine's RAM by their uses, as they were when each was read. Memory that
/// is offline is not part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameCensus {
    page: PageSize,
    zones: Vec<ZoneCensus>,
    payers: Option<Vec<PayerCensus>>,
    blocks: Vec<BlockCensus>,
}

impl FrameCensus {
    /// Counts all frames, by as many threads as there are CPUs for this process.
    ///
    /// ```
    /// use process_introspection::{FrameCensus, FrameUse};
    ///
    /// match FrameCensus::take() {
    ///     Ok(census) => {
    ///         let free = census.total()[FrameUse::Free];
    ///         println!("{} KiB free", free * census.page_size().bytes() / 1024);
    ///     }
    ///     Err(error) => assert!(error.is_permission_denied() || error.is_unsupported(), "{error}"),
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`FrameRuns::open`].
    pub fn take() -> Result<Self, Error> {
        Self::take_in(&Mounts::new())
    }

    /// Counts all frames by files below other mounts of proc and sysfs.
    ///
    /// # Errors
    /// As [`FrameCensus::take`].
    pub fn take_in(mounts: &Mounts) -> Result<Self, Error> {
        Self::take_with_progress(mounts, |_, _| ())
    }

    /// Counts all frames by files below other mounts of proc and sysfs. `passed` is called by
    /// several threads with the number of frames that were read so far, in any order, and that
    /// of all.
    ///
    /// # Errors
    /// As [`FrameCensus::take`].
    pub fn take_with_progress(
        mounts: &Mounts,
        passed: impl Fn(u64, u64) + Sync,
    ) -> Result<Self, Error> {
        let runs = FrameRuns::open_in(mounts)?;
        let new = || FrameTally::of(&runs);
        let mut tallies = runs.fold(new, FrameTally::add, passed)?.into_iter();
        let mut all = tallies.next().unwrap_or_else(new);
        tallies.for_each(|tally| all.add_all(tally));
        Ok(all.finish())
    }

    /// Returns the size of a frame.
    pub fn page_size(&self) -> PageSize {
        self.page
    }

    /// Returns the zones by node and address; at the end, if there are such, the frames
    /// whose zone is not known.
    pub fn zones(&self) -> &[ZoneCensus] {
        &self.zones
    }

    /// Returns the cgroups that pay for frames, those with the most first; `None` if the
    /// kernel has no memory cgroups. Frames for which none pays are in no row.
    pub fn payers(&self) -> Option<&[PayerCensus]> {
        self.payers.as_deref()
    }

    /// Returns the frames for which no cgroup pays by their uses; `None` if the kernel has no
    /// memory cgroups.
    pub fn unpaid(&self) -> Option<UseTotals> {
        let mut unpaid = self.total();
        for payer in self.payers()? {
            for (total, frames) in unpaid.0.iter_mut().zip(payer.uses.0) {
                *total -= frames;
            }
        }
        Some(unpaid)
    }

    /// Returns the aligned blocks of 2 MiB, 4 MiB, 32 MiB and 1 GiB, those larger than a frame.
    pub fn blocks(&self) -> &[BlockCensus] {
        &self.blocks
    }

    /// Returns the frames of the machine by their uses.
    pub fn total(&self) -> UseTotals {
        let mut total = UseTotals::default();
        self.zones.iter().for_each(|zone| total += &zone.uses);
        total
    }

    /// Returns the frames of the machine by their uses and states.
    pub fn states(&self) -> StateTotals {
        let mut total = StateTotals::default();
        self.zones.iter().for_each(|zone| total += &zone.states);
        total
    }
}

/// Counts frames from runs that ascend, each frame in one of them.
#[derive(Clone, Debug)]
pub struct FrameTally {
    page: PageSize,
    names: Vec<(u32, String)>,
    /// One more than there are names: frames whose zone is not known.
    zones: Vec<(UseTotals, StateTotals)>,
    /// By the inode number of the cgroup.
    payers: Option<HashMap<u64, UseTotals>>,
    /// Payer of the last runs, and what it pays of them: frames of one payer follow each other.
    last_payer: (u64, UseTotals),
    blocks: BlockTally,
}

impl FrameTally {
    /// Returns a tally of no frames. Runs name their zone by its index in `zones`, nodes and
    /// names; `has_payers` tells whether the kernel has memory cgroups.
    pub fn new(page: PageSize, zones: Vec<(u32, String)>, has_payers: bool) -> Self {
        Self {
            page,
            zones: vec![Default::default(); zones.len() + 1],
            names: zones,
            payers: has_payers.then(HashMap::new),
            last_payer: Default::default(),
            blocks: BlockTally::new(page.bytes()),
        }
    }

    /// Returns a tally of no frames, for the runs of this machine.
    pub fn of(runs: &FrameRuns) -> Self {
        let zones = runs.zones().iter();
        let zones = zones.map(|zone| (zone.node, zone.name.clone())).collect();
        Self::new(runs.page_size(), zones, runs.has_payers())
    }

    /// Adds the frames of a run.
    pub fn add(&mut self, run: &FrameRun) {
        let unknown = self.names.len();
        let (uses, states) = &mut self.zones[run.zone.map_or(unknown, |zone| zone.min(unknown))];
        uses.add(run.frame_use, run.pages);
        states.add(run);
        self.blocks.add(run);
        if let Some(inode) = run.cgroup {
            if inode != self.last_payer.0 {
                self.pay();
                self.last_payer.0 = inode;
            }
            self.last_payer.1.add(run.frame_use, run.pages);
        }
    }

    /// Adds what the last payer pays to the map.
    fn pay(&mut self) {
        let (inode, uses) = std::mem::take(&mut self.last_payer);
        if inode > 0 {
            let payers = self.payers.get_or_insert_default();
            *payers.entry(inode).or_default() += &uses;
        }
    }

    /// Adds the frames of another tally of the same zones.
    fn add_all(&mut self, mut other: Self) {
        other.pay();
        for ((uses, states), (more_uses, more_states)) in self.zones.iter_mut().zip(&other.zones) {
            *uses += more_uses;
            *states += more_states;
        }
        for (inode, more) in other.payers.into_iter().flatten() {
            let payers = self.payers.get_or_insert_default();
            *payers.entry(inode).or_default() += &more;
        }
        self.blocks.add_all(&other.blocks);
    }

    /// Returns the census of all frames that were added.
    pub fn finish(mut self) -> FrameCensus {
        self.pay();
        let named = self.names.into_iter();
        let named = named.map(|(node, name)| (Some(node), Some(name)));
        let zones = named.chain([(None, None)]).zip(self.zones);
        let zones = zones.map(|((node, zone), (uses, states))| ZoneCensus {
            node,
            zone,
            uses,
            states,
        });
        let has_frames = |zone: &ZoneCensus| zone.node.is_some() || zone.uses.frames() > 0;
        FrameCensus {
            page: self.page,
            zones: zones.filter(has_frames).collect(),
            payers: self.payers.map(|payers| {
                let payers = payers.into_iter();
                let mut payers: Vec<_> = payers
                    .map(|(inode, uses)| PayerCensus { inode, uses })
                    .collect();
                payers.sort_by_key(|payer| (Reverse(payer.uses.frames()), payer.inode));
                payers
            }),
            blocks: self.blocks.finish(),
        }
    }
}
