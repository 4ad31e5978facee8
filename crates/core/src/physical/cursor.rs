//! Joins areas, entries and runs into physical regions, one at a time, with
//! constant memory and an address to go on from.

use super::runs::{PageContext, Run};
use super::{Backing, PhysicalRegion};
use crate::addr::{AddrRange, PageSize, Pfn, VirtAddr};
use crate::error::Result;
use crate::object::{Mapping, ObjectCache};
use crate::pagemap::{Entry, Known, PageReader, Part};
use crate::process::{Access, Process};
use crate::sys;
use crate::vma::{Vma, VmaCursor, VmaName};

/// Walks the physical regions of a range. `N` is the storage for the current
/// area's name.
#[derive(Debug)]
pub struct PhysicalCursor<N> {
    areas: VmaCursor<N>,
    objects: ObjectCache,
    pages: PageReader,
    current: Option<Area>,
    pending: Option<Run>,
    /// Where the walk stands: everything below is in `pending` or was given.
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

impl<N: AsRef<[u8]> + AsMut<[u8]>> PhysicalCursor<N> {
    /// The regions of `range`, widened to whole pages. `access` says whether
    /// addresses are wanted; [`Access::Layout`] and [`Access::Pages`] give
    /// [`Backing::Resident`] in their place.
    ///
    /// # Errors
    /// EPERM if addresses are wanted and frame numbers hidden.
    pub fn new(process: &Process, range: AddrRange, access: Access, name: N) -> Result<Self> {
        let frames = access == Access::Frames;
        if frames {
            process.frames()?;
        }
        Ok(Self::start(process, range, frames, false, name))
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
    ) -> Self {
        let page = process.page_size();
        let range = range.widened(page);
        Self {
            areas: VmaCursor::new(name),
            objects: ObjectCache::new(),
            pages: PageReader::new(page),
            current: None,
            pending: None,
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
        VirtAddr::new(self.pending.map_or(self.next, |run| run.start))
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
        loop {
            let Some(area) = self
                .current
                .as_mut()
                .filter(|area| area.part.at < area.part.end)
            else {
                // What is pending belongs to the area that was walked last.
                if let Some(run) = self.pending.take() {
                    return Ok(Some(run));
                }
                if !self.enter_next(process)? {
                    return Ok(None);
                }
                continue;
            };
            let start = area.part.at;
            let (state, end) = match self.pages.next(process, &area.part)? {
                Known::EmptyTo(to) => (area.context.empty(), to),
                Known::Huge { first, to } => {
                    (area.context.state(Entry::from_raw(first), frame_entry), to)
                }
                Known::Entries(entries) => {
                    let first = Entry::from_raw(entries.first().copied().unwrap_or_default());
                    let state = area.context.state(first, frame_entry);
                    let len = area.context.run_length(entries, state, frame_entry);
                    (state, start + ((len as u64) << self.page.shift()))
                }
            };
            area.part.at = end;
            self.next = end;
            match &mut self.pending {
                Some(run) if run.continues_with(&state) => run.end = end,
                pending => {
                    if let Some(run) = pending.replace(Run { start, end, state }) {
                        return Ok(Some(run));
                    }
                }
            }
        }
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
