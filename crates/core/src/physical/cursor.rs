//! Joins areas, entries and runs into physical regions, one at a time, with
//! constant memory and an address to go on from.

use core::ops::ControlFlow;

use super::runs::{Merger, PageContext, Run};
use super::{Backing, PhysicalRegion};
use crate::addr::{AddrRange, PageSize, Pfn, VirtAddr};
use crate::error::Result;
use crate::object::{Mapping, ObjectCache};
use crate::pagemap::{Entry, Known, PageReader, Part};
use crate::process::{Access, Process};
use crate::sys;
use crate::vma::{Vma, VmaCursor, VmaName};

/// Storage for entries where stacks are small. The kernel's cost per entry is
/// nearly the same from here on up.
pub type FewEntries = [u64; 256];

/// Walks the physical regions of a range. `N` is the storage for the current
/// area's name, `E` that for entries.
#[derive(Debug)]
pub struct PhysicalCursor<N, E = FewEntries> {
    areas: VmaCursor<N>,
    objects: ObjectCache,
    pages: PageReader<E>,
    current: Option<Area>,
    merger: Merger,
    /// Where the walk stands: everything below is in `merger` or was given.
    next: u64,
    range: AddrRange,
    page: PageSize,
    frames: bool,
    whole_leaves: bool,
}

/// The area that is walked, or was walked last.
#[derive(Debug)]
struct Area {
    mapping: Mapping,
    context: PageContext,
    /// What is left of it, and of which sizes its pages can be.
    part: Part,
}

impl<N: AsRef<[u8]> + AsMut<[u8]>, E: AsRef<[u64]> + AsMut<[u64]>> PhysicalCursor<N, E> {
    /// The regions of `range`, widened to whole pages. `access` says whether
    /// addresses are wanted; [`Access::Layout`] and [`Access::Pages`] give
    /// [`Backing::Resident`] in their place.
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
        let page = process.page_size();
        let range = range.widened(page);
        Self {
            areas: VmaCursor::new(name),
            objects: ObjectCache::new(),
            pages: PageReader::new(page, entries),
            current: None,
            merger: Merger::new(),
            next: range.start().as_u64(),
            range,
            page,
            frames,
            whole_leaves,
        }
    }

    /// The range asked for, in whole pages.
    pub fn range(&self) -> AddrRange {
        self.range
    }

    /// The name of the area that the last region belongs to.
    pub fn name(&self) -> VmaName<'_> {
        self.areas.name()
    }

    /// Where a new cursor would go on: past all regions that were given.
    pub fn resume_address(&self) -> VirtAddr {
        VirtAddr::new(self.merger.pending().map_or(self.next, |run| run.start))
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
        self.current.as_ref().map(|area| &area.mapping)
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
            .is_none_or(|area| area.part.at >= area.part.end && self.merger.pending().is_none());
        if walked && !self.enter_next(process)? {
            return Ok(ControlFlow::Break(()));
        }
        let Some(area) = &mut self.current else {
            return Ok(ControlFlow::Break(()));
        };
        let mapping = &area.mapping;
        let mut give = |run: &Run| give(run, mapping);
        while area.part.at < area.part.end {
            let start = area.part.at;
            let (end, flow) = match self.pages.next(process, &area.part)? {
                Known::EmptyTo(end) => {
                    let state = area.context.empty();
                    (end, self.merger.push(Run { start, end, state }, &mut give))
                }
                Known::Huge { first, to: end } => {
                    let state = area.context.state(Entry::from_raw(first), frame_entry);
                    (end, self.merger.push(Run { start, end, state }, &mut give))
                }
                Known::Entries(entries) => {
                    let context = &area.context;
                    let (count, flow) =
                        self.merger
                            .feed(context, start, entries, frame_entry, &mut give);
                    (start + ((count as u64) << self.page.shift()), flow)
                }
            };
            area.part.at = end;
            self.next = end;
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(match self.merger.take() {
            Some(run) => give(&run),
            None => ControlFlow::Continue(()),
        })
    }

    /// Goes into the next area of the range; false if there is none.
    fn enter_next(&mut self, process: &Process) -> Result<bool> {
        let end = self.range.end().as_u64();
        if self.next >= end {
            return Ok(false);
        }
        let left = self.next;
        let Some(vma) = self.areas.next_from(process, self.next)? else {
            self.next = end;
            return Ok(false);
        };
        let (vma_start, vma_end) = (vma.range.start().as_u64(), vma.range.end().as_u64());
        if vma_start >= end {
            self.next = end;
            return Ok(false);
        }
        let leaf = self.leaf(&vma);
        let block = if self.whole_leaves {
            leaf.unwrap_or(self.page.pmd())
        } else {
            self.page
        };
        let mask = block.bytes() - 1;
        let first = left == self.range.start().as_u64();
        let low = if first { left & !mask } else { left };
        let high = end.checked_add(mask).map_or(u64::MAX, |end| end & !mask);
        self.next = vma_start.max(low);
        let mapping = self.objects.mapping(process, vma, self.areas.name())?;
        let end = vma_end.min(high);
        // Areas that follow each other closely share a read.
        let follows = vma_start == left && !first;
        self.current = Some(Area {
            mapping,
            context: self.context(process, &mapping),
            part: Part {
                at: self.next,
                end,
                ahead: if follows { high.max(end) } else { end },
                // Without frames one entry does not tell of the others.
                leaf: leaf.filter(|_| self.frames),
                only_huge: mapping.vma.page_size.is_some_and(|size| size > self.page),
            },
        });
        Ok(true)
    }

    /// The size of the huge pages that an area can have; `None` where the
    /// kernel does not tell (an object's, from the text).
    fn leaf(&self, vma: &Vma) -> Option<PageSize> {
        match vma.page_size {
            Some(size) if size > self.page => Some(size),
            None if vma.has_object() => None,
            _ => Some(self.page.pmd()),
        }
    }

    fn context(&self, process: &Process, mapping: &Mapping) -> PageContext {
        PageContext {
            page: self.page,
            private: !mapping.vma.shared,
            has_object: mapping.vma.has_object(),
            unlisted: mapping.is_unlisted(),
            special: mapping.is_special(),
            frames: self.frames,
            zero: if self.frames {
                process.zero_frame()
            } else {
                None
            },
        }
    }
}

/// What a page is whose entry names a frame without being present: being
/// migrated, poisoned, or device-private memory, which has no ordinary frame.
/// The types' numbers depend on the kernel's configuration, so the frame is
/// asked (Documentation/admin-guide/mm/pagemap.rst, `/proc/kpageflags`).
#[cold]
fn frame_entry(frame: Pfn) -> Backing {
    const HWPOISON: u64 = 1 << 19;
    const NOPAGE: u64 = 1 << 20;
    let mut flags = [0u64];
    let read = sys::openat(sys::CWD, b"/proc/kpageflags\0", 0)
        .and_then(|file| sys::pread_u64(file.raw(), &mut flags, frame.as_u64() * 8));
    match read {
        Ok(1) if flags[0] & HWPOISON != 0 => Backing::Poisoned,
        Ok(1) if flags[0] & NOPAGE == 0 => Backing::Migrating,
        _ => Backing::Unknown,
    }
}
