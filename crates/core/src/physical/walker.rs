//! Walks the pages of VMAs: turns the contents of the page map into runs. Knows only the
//! VMA that it walks.

use core::ops::ControlFlow;

use super::device_memory_at;
use super::merging::Merger;
use super::parts::VmaPart;
use super::runs::Run;
use super::state::{FrameFlagSource, PageState, BEYOND_MEMORY};
use crate::addr::{PageSize, Pfn};
use crate::backing::Backing;
use crate::entry::Entry;
use crate::error::{Errno, Operation, Result};
use crate::mapping::ClassifiedVma;
use crate::pagemap::{NextPages, PageReader};
use crate::process::{process_error, ProcessHandle};
use crate::sys;

/// Walks VMAs one after the other, in the order of addresses. `E` is the storage for
/// entries.
#[derive(Debug)]
pub struct VmaPartWalker<E> {
    pages: PageReader<E>,
    merger: Merger,
    page: PageSize,
}

impl<E: AsRef<[u64]> + AsMut<[u64]>> VmaPartWalker<E> {
    /// Makes a walker for VMAs of this process.
    ///
    /// Inline for the same reason as `PhysicalCursor::start`.
    #[inline(always)]
    pub fn new(process: &ProcessHandle, entries: E) -> Self {
        Self::start(process, false, entries)
    }

    /// Makes a walker; with `each_place` pages in swap are separate runs.
    #[inline(always)]
    pub(super) fn start(process: &ProcessHandle, each_place: bool, entries: E) -> Self {
        let page = process.page_size();
        Self {
            pages: PageReader::new(page, entries),
            merger: Merger::start(each_place),
            page,
        }
    }

    /// Discards the entries and keeps the storage, so that the walk can continue at any
    /// address, also a lower one.
    pub fn forget(&mut self) {
        self.pages.forget();
        self.merger.take();
    }

    /// Returns the run that is not complete yet.
    pub fn pending(&self) -> Option<&Run> {
        self.merger.pending()
    }

    /// Ends the run that is not complete yet: at the end of a VMA, or where another walk
    /// will continue.
    pub fn take(&mut self) -> Option<Run> {
        self.merger.take()
    }

    /// Walks all that remains of a VMA; `give` also gets the last run.
    ///
    /// # Errors
    /// ESRCH when the process's memory goes away; EMFILE, ENFILE and ENOMEM if the flags
    /// of a frame are needed. Runs that were passed to `give` before stay valid.
    // Not inlined, so that its stack frame does not lie below the search for the next
    // VMA.
    #[inline(never)]
    pub fn walk(
        &mut self,
        process: &ProcessHandle,
        vma_part: &mut VmaPart,
        give: &mut impl FnMut(&Run, &ClassifiedVma) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>> {
        while vma_part.part.at < vma_part.part.end {
            let flow = self.step(process, vma_part, give)?;
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(match self.merger.take() {
            Some(run) => give(&run, &vma_part.mapping),
            None => ControlFlow::Continue(()),
        })
    }

    /// Walks a little of a VMA that is not finished: one hole, or as many pages as the
    /// storage for entries holds. `give` gets the runs that this completes, and can break
    /// the walk.
    ///
    /// # Errors
    /// Those of [`Self::walk`].
    #[inline]
    pub fn step(
        &mut self,
        process: &ProcessHandle,
        vma_part: &mut VmaPart,
        give: &mut impl FnMut(&Run, &ClassifiedVma) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>> {
        self.step_noting(process, vma_part, give, &mut |_, _| {})
    }

    /// Walks like [`Self::step`]; `note` gets the entries that were walked, as the
    /// kernel's 64 bits, and the address of the first one's page. Holes that were
    /// skipped, huge pages and device memory have no entries.
    ///
    /// # Errors
    /// Those of [`Self::walk`].
    #[inline]
    pub fn step_noting(
        &mut self,
        process: &ProcessHandle,
        vma_part: &mut VmaPart,
        give: &mut impl FnMut(&Run, &ClassifiedVma) -> ControlFlow<()>,
        note: &mut impl FnMut(u64, &[u64]),
    ) -> Result<ControlFlow<()>> {
        let start = vma_part.part.at;
        let mapping = &vma_part.mapping;
        let give = &mut |run: &Run| give(run, mapping);
        if let Some(address) = device_memory_at(mapping, start) {
            // The whole VMA is device memory, which the page map does not contain.
            let (end, backing) = (vma_part.part.end, Backing::Device(address));
            let state = PageState {
                backing,
                anonymous: false,
            };
            vma_part.part.at = end;
            return Ok(self.merger.push(Run { start, end, state }, give));
        }
        let flags = &mut KernelFlags { failed: None };
        let (end, flow) = match self.pages.next(process, &vma_part.part)? {
            NextPages::EmptyTo(end) => {
                let state = vma_part.context.empty();
                (end, self.merger.push(Run { start, end, state }, give))
            }
            NextPages::Huge { first, to } => {
                let (context, first) = (&vma_part.context, Entry::from_raw(first));
                self.merger
                    .feed_huge(context, (start, to), first, flags, give)
            }
            NextPages::Entries(entries) => {
                let context = &vma_part.context;
                let (count, flow) = self.merger.feed(context, start, entries, flags, give);
                note(start, entries.get(..count).unwrap_or(entries));
                (start + ((count as u64) << self.page.shift()), flow)
            }
        };
        if let Some(errno) = flags.failed {
            self.merger.take();
            return Err(process_error(errno, Operation::ReadFrames));
        }
        vma_part.part.at = end;
        Ok(flow)
    }
}

/// Source of flags: the kernel's `/proc/kpageflags`.
struct KernelFlags {
    /// Error of a read that failed although this caller may read it.
    failed: Option<Errno>,
}

impl FrameFlagSource for KernelFlags {
    fn read(&mut self, first: Pfn, to: &mut [u64]) -> bool {
        frame_flags(first, to).unwrap_or_else(|errno| {
            self.failed = Some(errno);
            false
        })
    }

    fn has_failed(&self) -> bool {
        self.failed.is_some()
    }
}

/// Stores the entries of `/proc/kpageflags` of consecutive frames; returns false if this
/// caller may not read them, or there are none. The file is not kept open, since most
/// walks do not need it.
#[cold]
fn frame_flags(first: Pfn, flags: &mut [u64]) -> core::result::Result<bool, Errno> {
    let file = match sys::openat(sys::CWD, b"/proc/kpageflags\0", 0) {
        Ok(file) => file,
        Err(Errno::EPERM | Errno::EACCES | Errno::ENOENT) => return Ok(false),
        Err(errno) => return Err(errno),
    };
    let mut done = 0;
    while let Some(rest) = flags.get_mut(done..).filter(|rest| !rest.is_empty()) {
        let offset = (first.as_u64() + done as u64) * 8;
        match sys::pread_u64(file.borrow(), rest, offset)? {
            // The file ends where RAM ends; an end is accepted when it is seen twice.
            0 if sys::pread_u64(file.borrow(), rest, offset)? == 0 => {
                rest.fill(BEYOND_MEMORY);
                break;
            }
            read => done += read,
        }
    }
    Ok(true)
}
