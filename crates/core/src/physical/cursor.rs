//! Joins VMAs, entries and runs into physical regions, one at a time, with constant
//! memory and an address from which to continue.

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

/// Storage for entries where stacks are small. The kernel's cost per entry is nearly the
/// same for all larger sizes.
pub type FewEntries = [u64; 256];

/// Walks the physical regions of a range. `N` is the storage for the current
/// VMA's name, `E` that for entries.
#[derive(Debug)]
pub struct PhysicalCursor<N, E = FewEntries> {
    parts: VmaPartCursor<N>,
    walker: VmaPartWalker<E>,
    /// VMA that is walked, or was walked last.
    current: Option<VmaPart>,
}

impl<N: AsRef<[u8]> + AsMut<[u8]>, E: AsRef<[u64]> + AsMut<[u64]>> PhysicalCursor<N, E> {
    /// Starts a walk of the regions of `range`, widened to whole pages. `access` decides
    /// whether addresses are found; with [`Access::Layout`] and [`Access::Pages`]
    /// resident pages have the backing [`super::Backing::Resident`] instead.
    ///
    /// # Errors
    /// EPERM if addresses are requested and frame numbers hidden.
    // Inline for the same reason as `start`: the storage is then made where it stays.
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

    /// Starts a walk without a check. With `whole_leaves` the first and the last VMA are
    /// walked from and to the border of the largest page that they can contain, and pages
    /// in swap are not merged: each is a leaf entry with its place.
    ///
    /// Inline, and never moved after, because a move of so much is a second copy on the
    /// stack.
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
            parts: VmaPartCursor::start(process, range, frames, whole_leaves, name),
            walker: VmaPartWalker::start(process, whole_leaves, entries),
            current: None,
        }
    }

    /// Skips file contents, as [`VmaPartCursor::skip_file_contents`].
    pub fn skip_file_contents(&mut self) {
        self.parts.skip_file_contents();
    }

    /// Returns the image, as [`VmaPartCursor::take_image`].
    pub fn take_image(&mut self) -> Option<ElfFile> {
        self.parts.take_image()
    }

    /// Returns the requested range, in whole pages.
    pub fn range(&self) -> AddrRange {
        self.parts.range()
    }

    /// Returns the name of the VMA that the last region belongs to.
    pub fn name(&self) -> VmaName<'_> {
        self.parts.name()
    }

    /// Returns the mapping that the last run belongs to.
    pub fn mapping(&self) -> Option<&ClassifiedVma> {
        self.current.as_ref().map(VmaPart::mapping)
    }

    /// Returns the next region without its mapping, which is [`Self::mapping`]; `None`
    /// past the last.
    ///
    /// # Errors
    /// Those of [`Self::next_run`].
    pub fn next_run(&mut self, process: &ProcessHandle) -> Result<Option<Run>> {
        let mut found = None;
        let mut one = |run: &Run, _: &ClassifiedVma| {
            found = Some(*run);
            ControlFlow::Break(())
        };
        while self.walk_area(process, &mut one)?.is_continue() {}
        Ok(found)
    }

    /// Calls `give` with all remaining regions of one mapping, until `give` breaks.
    /// Breaks when `give` does, and past the last mapping.
    ///
    /// # Errors
    /// Those of [`Self::next_run`]. Regions that were passed to `give` before stay valid.
    pub fn walk_area(
        &mut self,
        process: &ProcessHandle,
        mut give: impl FnMut(&Run, &ClassifiedVma) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>> {
        match self.unfinished(process)? {
            Some((walker, part)) => walker.walk(process, part, &mut give),
            None => Ok(ControlFlow::Break(())),
        }
    }

    /// Returns the next run like [`Self::next_run`], but an unbacked run comes in parts,
    /// each as soon as it is known: the first page of a hole is found without the hole's
    /// end, which without a scan would need an entry read for each page.
    ///
    /// # Errors
    /// Those of [`Self::next_run`].
    pub(crate) fn next_part(&mut self, process: &ProcessHandle) -> Result<Option<Run>> {
        while let Some((walker, part)) = self.unfinished(process)? {
            let is_unbacked = |run: &Run| !run.state.backing.is_backed();
            if part.left().is_empty() || walker.pending().is_some_and(is_unbacked) {
                return Ok(walker.take());
            }
            let mut found = None;
            let mut one = |run: &Run, _: &ClassifiedVma| {
                found = Some(*run);
                ControlFlow::Break(())
            };
            // A break means that a run was found.
            let _ = walker.step(process, part, &mut one)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Returns the VMA with a part left to be walked or returned, and its walker; `None`
    /// past the last.
    #[inline]
    fn unfinished(
        &mut self,
        process: &ProcessHandle,
    ) -> Result<Option<(&mut VmaPartWalker<E>, &mut VmaPart)>> {
        let walked = self
            .current
            .as_ref()
            .is_none_or(|part| part.left().is_empty() && self.walker.pending().is_none());
        if walked {
            match self.parts.next(process)? {
                Some(part) => self.current = Some(part),
                None => return Ok(None),
            }
        }
        Ok(self.current.as_mut().map(|part| (&mut self.walker, part)))
    }
}
