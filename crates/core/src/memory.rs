//! Copies of a process's own bytes, through `/proc/PID/mem`.

use crate::descriptor::OwnedFd;
use crate::error::{At, CoreError, Errno, Operation, Result};
use crate::process::{process_error, ProcessDirectory, ProcessHandle};
use crate::sys;
use crate::vma::VmaCursor;

/// Returns whether 8 bytes at `address` can be written by a plain store. The kernel
/// stores there, so that a page which cannot be written results in EFAULT and not in a
/// signal. The result is valid until the caller changes the mapping. Costs as little as a
/// system call can (0.2 µs), for one page, or two if the bytes straddle them.
///
/// # Safety
/// If the memory is writable, the caller must be entitled to have it written; the
/// contents of the 8 bytes afterwards are unspecified.
///
/// # Errors
/// EFAULT.
#[allow(unsafe_code)]
pub unsafe fn check_writable(address: *mut u8) -> Result<()> {
    // SAFETY: this function's contract.
    unsafe { sys::probe_write(address) }.at(Operation::StoreResult)
}

/// As [`check_writable`], for fewer than 8 bytes: the kernel stores the beginning of a file of
/// a process there, of any that exists.
///
/// # Safety
/// If the memory is writable, the caller must be entitled to have `len` bytes of it written;
/// their contents afterwards are unspecified.
///
/// # Errors
/// EFAULT; those of opening the file.
#[allow(unsafe_code)]
pub unsafe fn check_few_writable(
    process: &ProcessDirectory,
    address: *mut u8,
    len: usize,
) -> Result<()> {
    let failed = |errno| process_error(errno, Operation::StoreResult);
    let stat = sys::openat(process.borrow(), b"stat\0", 0).map_err(failed)?;
    // SAFETY: this function's contract.
    let stored = unsafe { sys::pread_raw(stat.borrow(), address, len, 0) }.map_err(failed)?;
    match stored == len {
        true => Ok(()),
        // Bytes in two pages, of which the second cannot be written.
        false => Err(CoreError::new(Errno::EFAULT, Operation::StoreResult)),
    }
}

/// Memory of a process: an open `/proc/PID/mem`.
#[derive(Debug)]
pub struct Memory {
    /// Open file; `None` for the caller's own memory where that file is closed to it: a
    /// process that is not dumpable, as after `setuid`.
    file: Option<OwnedFd>,
}

impl Memory {
    /// Opens the memory of a process. Needs the right to attach to the process with
    /// ptrace, which is more than the other files need; the caller's own memory needs no
    /// right.
    ///
    /// # Errors
    /// EPERM if that is refused, ESRCH if the process has ended.
    pub fn open(process: &ProcessHandle) -> Result<Self> {
        let file = match sys::openat(process.directory(), b"mem\0", 0) {
            Ok(file) => Some(file),
            Err(Errno::EPERM | Errno::EACCES) if process.is_callers() => None,
            Err(errno) => return Err(process_error(errno, Operation::ReadMemory)),
        };
        // The file is not bound to the memory that the other files were opened for.
        process.check_same_memory()?;
        Ok(Self { file })
    }

    /// Fills `buffer` with the bytes from `address` on.
    ///
    /// # Errors
    /// ESRVRFAULT unless all of it is mapped and readable there (for an empty buffer: the
    /// address). Where the caller may attach to the process, mappings that are protected
    /// against reading are readable, too. ESRCH if the process's memory has gone away.
    pub fn read(&self, process: &ProcessHandle, address: u64, buffer: &mut [u8]) -> Result<()> {
        // SAFETY: the slice is live, exclusive and as long as stated.
        #[allow(unsafe_code)]
        unsafe {
            self.read_raw(process, address, buffer.as_mut_ptr(), buffer.len())
        }
    }

    /// Fills memory that may not be writable, which then results in EFAULT.
    ///
    /// # Safety
    /// If the memory is writable, the caller must be entitled to have it written.
    ///
    /// # Errors
    /// EFAULT if `buffer` cannot be written; else as [`Memory::read`].
    #[allow(unsafe_code)]
    pub unsafe fn read_raw(
        &self,
        process: &ProcessHandle,
        address: u64,
        buffer: *mut u8,
        len: usize,
    ) -> Result<()> {
        let fault = CoreError::new(Errno::ESRVRFAULT, Operation::ReadMemory);
        let end = address.checked_add(len as u64).ok_or(fault)?;
        // The kernel takes file positions as signed; no process has memory there.
        if i64::try_from(end).is_err() {
            return Err(fault);
        }
        if len == 0 {
            let vma = VmaCursor::new([0u8; 0]).next_from(process, address)?;
            return match vma {
                Some(vma) if vma.range.contains(address.into()) => Ok(()),
                _ => Err(fault),
            };
        }
        if self.file.is_none() && !process.is_callers() {
            // The caller is a child of the process that has opened it.
            return Err(CoreError::new(Errno::EPERM, Operation::ReadMemory));
        }
        let mut done = 0;
        while done < len {
            let (from, to) = (address + done as u64, buffer.wrapping_add(done));
            // SAFETY: this is within the memory that the caller vouches for.
            let read = unsafe {
                match &self.file {
                    Some(file) => sys::pread_raw(file.borrow(), to, len - done, from),
                    None => read_own(from, to, len - done),
                }
            };
            match read {
                Ok(0) => return Err(CoreError::new(Errno::ESRCH, Operation::ReadMemory)),
                Ok(count) => done += count,
                Err(Errno::EIO) => return Err(fault),
                Err(errno) => return Err(CoreError::new(errno, Operation::ReadMemory)),
            }
        }
        Ok(())
    }
}

/// Copies the caller's own memory; EIO where it cannot be read, as from the file, and
/// EFAULT where the buffer cannot be written.
///
/// # Safety
/// As [`Memory::read_raw`].
#[allow(unsafe_code)]
unsafe fn read_own(
    address: u64,
    buffer: *mut u8,
    len: usize,
) -> core::result::Result<usize, Errno> {
    let Ok(address) = usize::try_from(address) else {
        return Err(Errno::EIO);
    };
    // SAFETY: this function's contract.
    match unsafe { sys::read_own(address, buffer, len) } {
        Err(Errno::EFAULT) => {
            let mut byte = 0u8;
            // SAFETY: a live byte.
            match unsafe { sys::read_own(address, &raw mut byte, 1) } {
                Ok(1) => Err(Errno::EFAULT),
                _ => Err(Errno::EIO),
            }
        }
        // This kernel lacks the call, or a filter forbids it.
        Err(Errno::ENOSYS) => Err(Errno::EPERM),
        read => read,
    }
}
