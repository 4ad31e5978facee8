//! The guest's RAM: a file that QEMU has mapped, and where in it a physical
//! address lies. Knows nothing of patterns.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// Where RAM ends below the addresses of PCI devices, which QEMU is told.
pub const LOW: u64 = 1 << 30;

const FOUR_GIB: u64 = 4 << 30;

/// A guest's RAM, mapped.
#[derive(Debug)]
pub struct Ram {
    at: *mut u8,
    size: u64,
}

/// Where physical address `paddr` lies in the RAM file of a guest of QEMU's
/// machine `pc` with `size` bytes: RAM is in one piece up to [`LOW`], the rest
/// from 4 GiB on (QEMU's hw/i386/pc.c, `pc_memory_init`). `None` if no RAM is
/// there.
pub fn offset(paddr: u64, size: u64) -> Option<u64> {
    match paddr {
        _ if paddr < LOW.min(size) => Some(paddr),
        FOUR_GIB.. => Some(paddr - FOUR_GIB + LOW).filter(|&offset| offset < size),
        _ => None,
    }
}

impl Ram {
    /// Maps the file.
    ///
    /// # Errors
    /// That it cannot be mapped.
    pub fn map(file: &File) -> io::Result<Self> {
        let size = file.metadata()?.len();
        // SAFETY: a new mapping at an address of the kernel's choice.
        let at = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size as usize,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            at: at.cast(),
            size,
        })
    }

    /// The memory at a physical address, if `length` bytes of RAM are there. It
    /// is the guest's: to be read as if it changed at any time.
    pub fn memory(&self, paddr: u64, length: u64) -> Option<*mut u64> {
        let (first, last) = (paddr, paddr.checked_add(length.checked_sub(1)?)?);
        let (from, to) = (offset(first, self.size)?, offset(last, self.size)?);
        // In one piece, and aligned.
        if to - from != last - first || from % 8 != 0 {
            return None;
        }
        // SAFETY: both ends lie in the file, all of which is mapped.
        Some(unsafe { self.at.add(from as usize) }.cast())
    }
}

impl Drop for Ram {
    fn drop(&mut self) {
        // SAFETY: exactly what was mapped; what was given out does not outlive it
        // in the one place that uses it.
        unsafe { libc::munmap(self.at.cast(), self.size as usize) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ram_has_a_hole_below_4_gib() {
        let size = 3 << 30;
        assert_eq!(offset(0x1000, size), Some(0x1000));
        assert_eq!(offset(LOW - 1, size), Some(LOW - 1));
        assert_eq!(offset(LOW, size), None);
        assert_eq!(offset(FOUR_GIB - 1, size), None);
        assert_eq!(offset(FOUR_GIB, size), Some(LOW));
        assert_eq!(offset(6 << 30, size), None);
        assert_eq!(offset((6 << 30) - 1, size), Some(size - 1));
        assert_eq!(offset(0x2000, 0x2000), None);
    }
}
