//! The guest's RAM, which is a file, and the offsets of physical addresses in it.
//! Knows nothing of patterns.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// End of RAM below the addresses of PCI devices, an option of QEMU.
pub const LOW: u64 = 1 << 30;

const FOUR_GIB: u64 = 4 << 30;

/// A mapping of a guest's RAM.
#[derive(Debug)]
pub struct Ram {
    at: *mut u8,
    size: u64,
}

/// Returns the offset of `paddr` in the RAM file of QEMU's machine `pc` with `size`
/// bytes: RAM is contiguous up to [`LOW`] and continues at 4 GiB (QEMU's hw/i386/pc.c,
/// `pc_memory_init`). `None` if the address is not RAM.
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
    /// The file cannot be mapped.
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

    /// Returns the memory at a physical address if `length` bytes of RAM are there. The
    /// guest can change it at any time.
    pub fn memory(&self, paddr: u64, length: u64) -> Option<*mut u64> {
        let (first, last) = (paddr, paddr.checked_add(length.checked_sub(1)?)?);
        let (from, to) = (offset(first, self.size)?, offset(last, self.size)?);
        // Contiguous and aligned.
        if to - from != last - first || from % 8 != 0 {
            return None;
        }
        // SAFETY: both ends lie in the file, all of which is mapped.
        Some(unsafe { self.at.add(from as usize) }.cast())
    }
}

impl Drop for Ram {
    fn drop(&mut self) {
        // SAFETY: exactly what `map` mapped; `Judge`, the only user of `memory`, owns
        // this value.
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
