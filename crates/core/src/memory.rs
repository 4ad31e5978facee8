//! Copies of a process's own bytes, through `/proc/PID/mem`.

use crate::descriptor::OwnedFd;
use crate::error::{At, Errno, Error, Operation, Result};
use crate::process::{gone_or_refused, Process};
use crate::sys;
use crate::vma::VmaCursor;

/// Whether 8 bytes at `address` can be written by a plain store: has the
/// kernel store there, so that a page which cannot be written is EFAULT and no
/// signal. It holds until the caller changes the mapping. Costs the least a
/// system call can (0.2 µs), for one page, or two if the bytes straddle them.
///
/// # Safety
/// If the memory is writable, the caller must be entitled to have it written;
/// what the 8 bytes are afterwards is not stated.
///
/// # Errors
/// EFAULT.
#[allow(unsafe_code)]
pub unsafe fn check_writable(address: *mut u8) -> Result<()> {
    // SAFETY: this function's contract.
    unsafe { sys::probe_write(address) }.at(Operation::StoreResult)
}

/// An open `/proc/PID/mem`.
#[derive(Debug)]
pub struct Memory {
    file: OwnedFd,
}

impl Memory {
    /// Opens the memory of a process; needs the right to attach to it with
    /// ptrace, which is more than the other files need.
    ///
    /// # Errors
    /// EPERM if that is refused, ESRCH if the process has ended.
    pub fn open(process: &Process) -> Result<Self> {
        let file = sys::openat(process.directory(), b"mem\0", 0)
            .map_err(|errno| Error::new(gone_or_refused(errno), Operation::ReadMemory))?;
        // Not bound to the memory that the other files were opened for.
        process.check_same_memory()?;
        Ok(Self { file })
    }

    /// Fills `buffer` from `address` on.
    ///
    /// # Errors
    /// ESRVRFAULT unless all of it is mapped and readable there (for an empty
    /// buffer: the address), ESRCH if the process's memory has gone away.
    pub fn read(&self, process: &Process, address: u64, buffer: &mut [u8]) -> Result<()> {
        // SAFETY: the slice is live, exclusive and as long as stated.
        #[allow(unsafe_code)]
        unsafe {
            self.read_raw(process, address, buffer.as_mut_ptr(), buffer.len())
        }
    }

    /// Fills memory that may not be writable, which then is EFAULT.
    ///
    /// # Safety
    /// If the memory is writable, the caller must be entitled to have it written.
    ///
    /// # Errors
    /// EFAULT if `buffer` cannot be written; else as [`Memory::read`].
    #[allow(unsafe_code)]
    pub unsafe fn read_raw(
        &self,
        process: &Process,
        address: u64,
        buffer: *mut u8,
        len: usize,
    ) -> Result<()> {
        let fault = Error::new(Errno::ESRVRFAULT, Operation::ReadMemory);
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
        let mut done = 0;
        while done < len {
            // SAFETY: within the memory that the caller vouches for.
            let read = unsafe {
                sys::pread_raw(
                    self.file.borrow(),
                    buffer.wrapping_add(done),
                    len - done,
                    address + done as u64,
                )
            };
            match read {
                Ok(0) => return Err(Error::new(Errno::ESRCH, Operation::ReadMemory)),
                Ok(count) => done += count,
                Err(Errno::EIO) => return Err(fault),
                Err(errno) => return Err(Error::new(errno, Operation::ReadMemory)),
            }
        }
        Ok(())
    }
}
