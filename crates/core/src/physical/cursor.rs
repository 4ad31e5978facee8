//! Joins VMAs, entries and runs into physical regions, one at a time, with
//! constant memory and an address to go on from.

use core::ops::ControlFlow;

use super::parts::{VmaPart, VmaPartCursor};
use super::runs::Run;
use super::walker::VmaPartWalker;
use crate::addr::AddrRange;
use crate::elf_file::ElfFile;
use crate::error::Result;
use crate::mapping::ClassifiedVma;
use crate::process::{Access, ProcessHandle};
use crate::vma::VmaName;

/// Storage for entries where stacks are small. The kernel's cost per entry is
/// nearly the same from here on up.
pub type FewEntries = [u64; 256];

/// Walks the physical regions of a range. `N` is the storage for the current
/// VMA's name, `E` that for entries.
#[derive(Debug)]
pub struct PhysicalCursor<N, E = FewEntries> {
    areas: VmaPartCursor<N>,
    walker: VmaPartWalker<E>,
    /// The VMA that is walked, or was walked last.
    current: Option<VmaPart>,
}

impl<N: AsRef<[u8]> + AsMut<[u8]>, E: AsRef<[u64]> + AsMut<[u64]>> PhysicalCursor<N, E> {
    /// The regions of `range`, widened to whole pages. `access` says whether
    /// addresses are wanted; [`Access::Layout`] and [`Access::Pages`] give
    /// [`super::Backing::Resident`] in their place.
    ///
    /// # Errors
    /// EPERM if addresses are wanted and frame numbers hidden.
    // Inline for the reason that `start` is: so that where it takes effect the
    // storage is made where it stays.
    #[inline(always)]
    pub fn new(
        process: &ProcessHandle,
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
    /// VMA are walked from and to the border of the largest page they can hold,
    /// and pages in swap are not merged: each is a leaf entry with its place.
    ///
    /// Inline, and never moved after, because a move of so much is a second
    /// copy on the stack.
    #[inline(always)]
    pub(crate) fn start(
        process: &ProcessHandle,
        range: AddrRange,
        frames: bool,
        whole_leaves: bool,
        name: N,
        entries: E,
    ) -> Self {
        Self {
            areas: VmaPartCursor::start(process, range, frames, whole_leaves, name),
            walker: VmaPartWalker::start(process, whole_leaves, entries),
            current: None,
        }
    }

    /// As [`VmaPartCursor::skip_file_contents`].
    pub fn skip_file_contents(&mut self) {
        self.areas.skip_file_contents();
    }

    /// As [`VmaPartCursor::take_image`].
    pub fn take_image(&mut self) -> Option<ElfFile> {
        self.areas.take_image()
    }

    /// The requested range, in whole pages.
    pub fn range(&self) -> AddrRange {
        self.areas.range()
    }

    /// The name of the VMA that the last region belongs to.
    pub fn name(&self) -> VmaName<'_> {
        self.areas.name()
    }

    /// The mapping that the last run belongs to.
    pub fn mapping(&self) -> Option<&ClassifiedVma> {
        self.current.as_ref().map(VmaPart::mapping)
    }

    /// The next region without its mapping, which is [`Self::mapping`]; `None`
    /// past the last.
    ///
    /// # Errors
    /// As [`Self::next_run`].
    pub fn next_run(&mut self, process: &ProcessHandle) -> Result<Option<Run>> {
        let mut found = None;
        let mut one = |run: &Run, _: &ClassifiedVma| {
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
    /// As [`Self::next_run`]. Regions that were passed to `give` before stay valid.
    pub fn walk_area(
        &mut self,
        process: &ProcessHandle,
        mut give: impl FnMut(&Run, &ClassifiedVma) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>> {
        match self.unfinished(process)? {
            Some((walker, area)) => walker.walk(process, area, &mut give),
            None => Ok(ControlFlow::Break(())),
        }
    }

    /// As [`Self::next_run`], but an unbacked run comes in parts, each as soon
    /// as it is known: the first page of a hole can be had without looking for
    /// the hole's end, which without a scan means to read an entry for each page.
    ///
    /// # Errors
    /// As [`Self::next_run`].
    pub(crate) fn next_part(&mut self, process: &ProcessHandle) -> Result<Option<Run>> {
        while let Some((walker, area)) = self.unfinished(process)? {
            let is_unbacked = |run: &Run| !run.state.backing.is_backed();
            if area.left().is_empty() || walker.pending().is_some_and(is_unbacked) {
                return Ok(walker.take());
            }
            let mut found = None;
            let mut one = |run: &Run, _: &ClassifiedVma| {
                found = Some(*run);
                ControlFlow::Break(())
            };
            // What breaks it off is here.
            let _ = walker.step(process, area, &mut one)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// The VMA of which something is left to be walked or given, and who walks
    /// it; `None` past the last.
    #[inline]
    fn unfinished(
        &mut self,
        process: &ProcessHandle,
    ) -> Result<Option<(&mut VmaPartWalker<E>, &mut VmaPart)>> {
        let walked = self
            .current
            .as_ref()
            .is_none_or(|area| area.left().is_empty() && self.walker.pending().is_none());
        if walked {
            match self.areas.next(process)? {
                Some(area) => self.current = Some(area),
                None => return Ok(None),
            }
        }
        Ok(self.current.as_mut().map(|area| (&mut self.walker, area)))
    }
}
