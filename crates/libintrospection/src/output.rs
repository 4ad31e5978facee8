//! The caller's buffer. Probes before each store whether the buffer can be written, so
//! that a bad buffer is EFAULT and no signal. Only the bytes to be written are probed.
//! Knows nothing of the contents.

use process_introspection_core::memory::{check_few_writable, check_writable};
use process_introspection_core::process::ProcessDirectory;
use process_introspection_core::{CoreError, Errno, Operation, PageSize};

use crate::Result;

/// A buffer of C: with any alignment, perhaps not mapped.
pub(crate) struct Output {
    start: *mut u8,
    size: usize,
    /// All pages of the stored bytes below this address are known to be writable.
    writable_to: usize,
}

/// Number of bytes that one probe writes.
const PROBE: usize = 8;

impl Output {
    /// # Safety
    /// As long as the result lives, those of the `size` bytes at `start` that can be
    /// written must belong to the caller, and must stay writable.
    pub(crate) unsafe fn new(start: *mut u8, size: usize) -> Self {
        Self {
            start,
            size,
            writable_to: 0,
        }
    }

    /// Its size in bytes.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Stores bytes at an offset. Offsets must not decrease, and bytes that
    /// [`Output::reserve`] has not probed must be 8 at least.
    ///
    /// # Errors
    /// EFAULT if the bytes cannot be written or do not fit.
    #[inline]
    pub(crate) fn store(&mut self, offset: usize, bytes: &[u8]) -> Result<()> {
        // Most records lie in a page that was probed for another.
        let to = (self.start as usize)
            .wrapping_add(offset)
            .wrapping_add(bytes.len());
        let known = to <= self.writable_to && to > self.start as usize;
        if !known || offset.wrapping_add(bytes.len()) > self.size {
            self.reserve(offset, bytes.len())?;
        }
        // SAFETY: within the buffer, and just found to be writable, which by
        // `new`'s contract it stays; no reference to the caller's memory exists.
        unsafe {
            let to = self.start.wrapping_add(offset);
            core::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
        }
        Ok(())
    }

    /// Stores bytes of which there may be fewer than 8, at the beginning; `process` has a file
    /// for the probe.
    pub(crate) fn store_few(&mut self, process: &ProcessDirectory, bytes: &[u8]) -> Result<()> {
        if bytes.len() >= PROBE {
            return self.store(0, bytes);
        }
        if bytes.len() > self.size || self.start.is_null() {
            return Err(CoreError::new(Errno::EFAULT, Operation::StoreResult));
        }
        // SAFETY: the bytes are those that will be written, which is what `new`'s contract
        // allows; just found to be writable, they are written then.
        unsafe {
            check_few_writable(process, self.start, bytes.len())?;
            core::ptr::copy_nonoverlapping(bytes.as_ptr(), self.start, bytes.len());
        }
        Ok(())
    }

    /// Probes whether `len` bytes at an offset, 8 at least, can be written. Changes their
    /// contents.
    #[cold]
    #[inline(never)]
    pub(crate) fn reserve(&mut self, offset: usize, len: usize) -> Result<()> {
        let fault = CoreError::new(Errno::EFAULT, Operation::StoreResult);
        let end = offset.checked_add(len).ok_or(fault)?;
        if end > self.size || self.start.is_null() {
            return Err(fault);
        }
        let from = (self.start as usize).checked_add(offset).ok_or(fault)?;
        let to = from.checked_add(len).ok_or(fault)?;
        let page_mask = PageSize::base().bytes() as usize - 1;
        loop {
            let unknown = from.max(self.writable_to);
            if unknown >= to {
                return Ok(());
            }
            // The probe of the last bytes begins before them, so that it ends with them.
            let probe = unknown.min(to.saturating_sub(PROBE));
            if probe < from {
                return Err(fault);
            }
            // SAFETY: the 8 bytes are among those that will be written, which is
            // what `new`'s contract allows.
            unsafe { check_writable(self.start.wrapping_add(probe - self.start as usize)) }?;
            self.writable_to = ((probe + PROBE - 1) | page_mask)
                .checked_add(1)
                .ok_or(fault)?;
        }
    }
}
