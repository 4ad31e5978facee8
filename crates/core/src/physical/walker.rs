//! Walks the pages of VMAs: turns the contents of the page map into runs. Knows no VMA
//! but the one that it walks.

use core::ops::ControlFlow;

use super::device_memory_at;
use super::merging::Merger;
use super::parts::VmaPart;
use super::runs::Run;
use super::state::{FrameFlagSource, PageState, BEYOND_MEMORY};
use crate::addr::{PageSize, Pfn};
use crate::backing::Backing;
use crate::entry::Entry;
use crate::error::{CoreError, Errno, Operation, Result};
use crate::mapping::ClassifiedVma;
use crate::pagemap::{NextPages, PageReader};
use crate::process::{gone_or_refused, ProcessHandle};
use crate::sys;

/// Walks VMAs one after the other, in the order of addresses. `E` is the
/// storage for entries.
#[derive(Debug)]
pub struct VmaPartWalker<E> {
    pages: PageReader<E>,
    merger: Merger,
    page: PageSize,
}

impl<E: AsRef<[u64]> + AsMut<[u64]>> VmaPartWalker<E> {
    /// For VMAs of this process.
    ///
    /// Inline for the reason that `PhysicalCursor::start` is.
    #[inline(always)]
    pub fn new(process: &ProcessHandle, entries: E) -> Self {
        Self::start(process, false, entries)
    }

    /// The same; with `each_place` pages in swap are runs of their own.
    #[inline(always)]
    pub(super) fn start(process: &ProcessHandle, each_place: bool, entries: E) -> Self {
        let page = process.page_size();
        Self {
            pages: PageReader::new(page, entries),
            merger: Merger::start(each_place),
            page,
        }
    }

    /// Goes on anywhere, also at lower addresses: what was read is forgotten,
    /// the storage is kept.
    pub fn forget(&mut self) {
        self.pages.forget();
        self.merger.take();
    }

    /// The run that is not complete yet.
    pub fn pending(&self) -> Option<&Run> {
        self.merger.pending()
    }

    /// Ends the run that is not complete yet: at the end of a VMA, or where
    /// another walk will go on.
    pub fn take(&mut self) -> Option<Run> {
        self.merger.take()
    }

    /// Walks all that is left of a VMA; the last run too is given then.
    ///
    /// # Errors
    /// ESRCH when the process's memory goes away; EMFILE, ENFILE and ENOMEM if a frame
    /// must be asked for its flags. What was given stands.
    // Apart, so that what it takes of the stack does not lie below what finds
    // the next VMA.
    #[inline(never)]
    pub fn walk(
        &mut self,
        process: &ProcessHandle,
        area: &mut VmaPart,
        give: &mut impl FnMut(&Run, &ClassifiedVma) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>> {
        while area.part.at < area.part.end {
            let flow = self.step(process, area, give)?;
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(match self.merger.take() {
            Some(run) => give(&run, &area.mapping),
            None => ControlFlow::Continue(()),
        })
    }

    /// Walks a little of a VMA of which something is left: one hole, or as
    /// many pages as the storage for entries holds. `give` gets the runs that
    /// are completed by that and can break it off.
    ///
    /// # Errors
    /// As [`Self::walk`].
    #[inline]
    pub fn step(
        &mut self,
        process: &ProcessHandle,
        area: &mut VmaPart,
        give: &mut impl FnMut(&Run, &ClassifiedVma) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>> {
        self.step_noting(process, area, give, &mut |_, _| {})
    }

    /// The same; `note` gets the entries that were walked, as the kernel's 64
    /// bits, and the address of the first one's page. Of holes that were skipped,
    /// of huge pages and of device memory there are none.
    ///
    /// # Errors
    /// As [`Self::walk`].
    #[inline]
    pub fn step_noting(
        &mut self,
        process: &ProcessHandle,
        area: &mut VmaPart,
        give: &mut impl FnMut(&Run, &ClassifiedVma) -> ControlFlow<()>,
        note: &mut impl FnMut(u64, &[u64]),
    ) -> Result<ControlFlow<()>> {
        let start = area.part.at;
        let mapping = &area.mapping;
        let give = &mut |run: &Run| give(run, mapping);
        if let Some(address) = device_memory_at(mapping, start) {
            // All of it, and the page map has nothing to say.
            let (end, backing) = (area.part.end, Backing::Device(address));
            let state = PageState {
                backing,
                anonymous: false,
            };
            area.part.at = end;
            return Ok(self.merger.push(Run { start, end, state }, give));
        }
        let flags = &mut KernelFlags { failed: None };
        let (end, flow) = match self.pages.next(process, &area.part)? {
            NextPages::EmptyTo(end) => {
                let state = area.context.empty();
                (end, self.merger.push(Run { start, end, state }, give))
            }
            NextPages::Huge { first, to } => {
                let (context, first) = (&area.context, Entry::from_raw(first));
                self.merger
                    .feed_huge(context, (start, to), first, flags, give)
            }
            NextPages::Entries(entries) => {
                let context = &area.context;
                let (count, flow) = self.merger.feed(context, start, entries, flags, give);
                note(start, entries.get(..count).unwrap_or(entries));
                (start + ((count as u64) << self.page.shift()), flow)
            }
        };
        if let Some(errno) = flags.failed {
            self.merger.take();
            return Err(CoreError::new(
                gone_or_refused(errno),
                Operation::ReadFrames,
            ));
        }
        area.part.at = end;
        Ok(flow)
    }
}

/// The kernel's `/proc/kpageflags`.
struct KernelFlags {
    /// Why a read failed although this caller may read it.
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

/// Stores the entries of `/proc/kpageflags` of consecutive frames; false if this
/// caller may not read them, or there are none. Nothing of the file is kept open:
/// most walks ask none.
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
            // The file ends where RAM ends; an end is believed when it is seen twice.
            0 if sys::pread_u64(file.borrow(), rest, offset)? == 0 => {
                rest.fill(BEYOND_MEMORY);
                break;
            }
            read => done += read,
        }
    }
    Ok(true)
}
