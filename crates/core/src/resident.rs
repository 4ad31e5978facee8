//! Copies the beginning of a mapped file from the memory of the process that maps it,
//! without a request to the file's server. Knows nothing of the contents.

use crate::apart;
use crate::descriptor::{BorrowedFd, OwnedFd};
use crate::entry::Entry;
use crate::error::{if_readable, Result};
use crate::process::ProcessHandle;
use crate::sys;
use crate::vma::{Vma, VmaCursor};

/// Maximum number of bytes that are copied, and the size of a piece.
const MOST: u64 = 16 << 10;
const PIECE: usize = 1 << 10;

/// Returns an unnamed file with the resident part of the beginning of a mapped file,
/// unchanged, with zeros in place of the rest; empty if nothing is resident. `None` where
/// the copy is not possible.
///
/// A child process makes the copy: a page can leave between the check that it is resident
/// and the read, which then waits for the server.
///
/// # Errors
/// EMFILE, ENFILE and ENOMEM.
#[inline(never)] // Keeps its buffers out of its callers' stack frames.
pub(crate) fn copy_start(process: &ProcessHandle, vma: &Vma) -> Result<Option<OwnedFd>> {
    let Some(to) = if_readable(sys::memory_file())? else {
        return Ok(None);
    };
    let kept = [process.directory(), process.maps(), to.borrow()];
    let mut can_be_read = false;
    // The closure's result stays in the child; its writes reach the file.
    let done = apart::run(vma.device, &kept, &mut || {
        _ = copy(process, vma, to.borrow());
    });
    if done {
        let mut byte = [0];
        can_be_read = sys::pread(to.borrow(), &mut byte, 0) == Ok(1);
    }
    Ok(can_be_read.then_some(to))
}

fn copy(process: &ProcessHandle, vma: &Vma, to: BorrowedFd<'_>) -> Option<()> {
    let start = beginning(process, vma)?;
    let page = process.page_size();
    let pagemap = sys::openat(process.directory(), b"pagemap\0", 0).ok()?;
    let memory = sys::openat(process.directory(), b"mem\0", 0).ok()?;
    let mut bytes = [0; PIECE];
    for at in (0..MOST).step_by(PIECE) {
        let mut entry = [0];
        let address = start.checked_add(at)?;
        let entry_at = (address >> page.shift()) * 8;
        let is_read = sys::pread_u64(pagemap.borrow(), &mut entry, entry_at) == Ok(1);
        // Only the file's page, not a copy that the process has changed.
        let entry = Entry::from_raw(entry[0]);
        let is_there = entry.is_present() && entry.is_file();
        if !is_read
            || !is_there
            || sys::pread_all(memory.borrow(), &mut bytes, address).ok()? < PIECE
        {
            return None;
        }
        // In order, from the beginning on.
        sys::write(to, &bytes).ok()?;
    }
    Some(())
}

/// Returns the address where the first byte of the file is mapped, in a VMA preceded only
/// by others of the same file.
fn beginning(process: &ProcessHandle, vma: &Vma) -> Option<u64> {
    let mut vmas = VmaCursor::new([0u8; 0]);
    let mut at = *vma;
    for _ in 0..16 {
        if at.offset == 0 {
            return Some(at.range.start().as_u64());
        }
        let before = vmas
            .area_before(process, at.range.start().as_u64())
            .ok()??;
        if (before.device, before.inode) != (vma.device, vma.inode) {
            return None;
        }
        at = before;
    }
    None
}
