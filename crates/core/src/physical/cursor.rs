//! Joins areas, entries and runs into physical regions, one at a time, with
//! constant memory and an address to go on from.

use core::ops::ControlFlow;

use super::areas::{Area, AreaCursor};
use super::runs::Run;
use super::walker::AreaWalker;
use super::PhysicalRegion;
use crate::addr::{AddrRange, VirtAddr};
use crate::error::Result;
use crate::object::Mapping;
use crate::process::{Access, Process};
use crate::vma::VmaName;

/// Storage for entries where stacks are small. The kernel's cost per entry is
/// nearly the same from here on up.
pub type FewEntries = [u64; 256];

/// Walks the physical regions of a range. `N` is the storage for the current
/// area's name, `E` that for entries.
#[derive(Debug)]
pub struct PhysicalCursor<N, E = FewEntries> {
    areas: AreaCursor<N>,
    walker: AreaWalker<E>,
    /// The area that is walked, or was walked last.
    current: Option<Area>,
}

impl<N: AsRef<[u8]> + AsMut<[u8]>, E: AsRef<[u64]> + AsMut<[u64]>> PhysicalCursor<N, E> {
    /// The regions of `range`, widened to whole pages. `access` says whether
    /// addresses are wanted; [`Access::Layout`] and [`Access::Pages`] give
    /// [`super::Backing::Resident`] in their place.
    ///
    /// # Errors
    /// EPERM if addresses are wanted and frame numbers hidden.
    pub fn new(
        process: &Process,
        range: AddrRange,
        access: Access,
        name: N,
        entries: E,
    ) -> Result<Self> {
        let frames = access == Access::Frames;
        if frames {
            process.frames()?;
        }
        Ok(Self::start(process, range, frames, false, name, entries))
    }

    /// The same without a check. With `whole_leaves` the first and the last
    /// area are walked from and to the border of the largest page they can hold.
    ///
    /// Inline, and never moved after, because a move of so much is a second
    /// copy on the stack.
    #[inline(always)]
    pub(crate) fn start(
        process: &Process,
        range: AddrRange,
        frames: bool,
        whole_leaves: bool,
        name: N,
        entries: E,
    ) -> Self {
        Self {
            areas: AreaCursor::start(process, range, frames, whole_leaves, name),
            walker: AreaWalker::new(process, entries),
            current: None,
        }
    }

    /// The range asked for, in whole pages.
    pub fn range(&self) -> AddrRange {
        self.areas.range()
    }

    /// The name of the area that the last region belongs to.
    pub fn name(&self) -> VmaName<'_> {
        self.areas.name()
    }

    /// Where a new cursor would go on: past all regions that were given.
    pub fn resume_address(&self) -> VirtAddr {
        let unfinished = match (self.walker.pending(), &self.current) {
            (Some(run), _) => Some(run.start),
            (None, Some(area)) if !area.left().is_empty() => Some(area.left().start().as_u64()),
            _ => None,
        };
        VirtAddr::new(unfinished.unwrap_or(self.areas.position()))
    }

    /// The next region; `None` past the last.
    ///
    /// # Errors
    /// ESRCH when the process's memory goes away before the end.
    pub fn next(&mut self, process: &Process) -> Result<Option<PhysicalRegion>> {
        let run = self.next_run(process)?;
        Ok(run
            .zip(self.mapping())
            .map(|(run, mapping)| PhysicalRegion {
                virt: AddrRange::new(run.start, run.end).unwrap_or_default(),
                backing: run.state.backing,
                anonymous: run.state.anonymous,
                mapping: *mapping,
            }))
    }

    /// The mapping that the last run belongs to.
    pub fn mapping(&self) -> Option<&Mapping> {
        self.current.as_ref().map(Area::mapping)
    }

    /// The next region without its mapping, which is [`Self::mapping`]; `None`
    /// past the last.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub fn next_run(&mut self, process: &Process) -> Result<Option<Run>> {
        let mut found = None;
        let mut one = |run: &Run, _: &Mapping| {
            found = Some(*run);
            ControlFlow::Break(())
        };
        while self.walk_area(process, &mut one)?.is_continue() {}
        Ok(found)
    }

    /// Gives all regions that are left of one mapping, unless `give` breaks
    /// that off. Breaks when `give` does, and past the last mapping.
    ///
    /// # Errors
    /// As [`Self::next`]. What was given before stands.
    pub fn walk_area(
        &mut self,
        process: &Process,
        mut give: impl FnMut(&Run, &Mapping) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>> {
        let walked = self
            .current
            .as_ref()
            .is_none_or(|area| area.left().is_empty() && self.walker.pending().is_none());
        if walked {
            match self.areas.next(process)? {
                Some(area) => self.current = Some(area),
                None => return Ok(ControlFlow::Break(())),
            }
        }
        match &mut self.current {
            Some(area) => self.walker.walk(process, area, &mut give),
            None => Ok(ControlFlow::Break(())),
        }
    }
}
