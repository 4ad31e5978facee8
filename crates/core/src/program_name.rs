//! Name of a process's program: its path, or what the kernel has instead. Knows nothing of
//! the file.

use core::ops::ControlFlow;

use crate::descriptor::BorrowedFd;
use crate::error::{CoreError, Errno, Operation, Result};
use crate::process::{each_entry, process_error, ProcessDirectory};
use crate::status::process::has_program;
use crate::sys;

/// Size of a buffer for every path that the kernel reports; longer ones are cut.
pub const LONGEST: usize = 4096;

/// Stores the path of the program that a process executes, as the link `exe` shows it
/// (absolute, with ` (deleted)` behind it if the file was deleted), and returns its length.
/// The program of a script is its interpreter. A thread of the kernel and a zombie have no
/// program: their `comm` is stored, which has no slash in front.
///
/// # Errors
/// ESRCH if the process was reaped; EPERM without the right to read it with ptrace;
/// ENAMETOOLONG for a path of 4096 bytes or more.
pub fn read(process: &ProcessDirectory, buffer: &mut [u8; LONGEST]) -> Result<usize> {
    let refused = match link(process.borrow(), b"exe\0", buffer) {
        Ok(len) => return Ok(len),
        Err(error) => error,
    };
    // Without memory: a zombie, a thread of the kernel, a first thread that has ended.
    // Without the right, too, since that is examined first.
    match refused.errno() {
        Errno::ESRCH | Errno::EPERM if !has_program(process)? => comm(process, buffer),
        Errno::ESRCH => of_other_threads(process, buffer),
        _ => Err(refused),
    }
}

fn link(dir: BorrowedFd<'_>, path: &[u8], buffer: &mut [u8; LONGEST]) -> Result<usize> {
    match sys::readlinkat(dir, path, buffer) {
        Ok(LONGEST) => Err(CoreError::new(Errno::ENAMETOOLONG, Operation::ReadName)),
        Ok(len) => Ok(len),
        Err(errno) => Err(failed(errno)),
    }
}

/// Reads the link of a thread that still has the program.
fn of_other_threads(process: &ProcessDirectory, buffer: &mut [u8; LONGEST]) -> Result<usize> {
    let tasks = sys::openat(process.borrow(), b"task\0", sys::O_DIRECTORY).map_err(failed)?;
    let found = each_entry(tasks.borrow(), &mut [0; 512], |name| {
        if !name.first().is_some_and(u8::is_ascii_digit) {
            return ControlFlow::Continue(());
        }
        let flags = sys::O_PATH | sys::O_DIRECTORY;
        let Ok(thread) = sys::openat(tasks.borrow(), name, flags) else {
            return ControlFlow::Continue(());
        };
        match link(thread.borrow(), b"exe\0", buffer) {
            Err(error) if error.errno() == Errno::ESRCH => ControlFlow::Continue(()),
            found => ControlFlow::Break(found),
        }
    });
    match found.map_err(failed)? {
        Some(found) => found,
        // All have ended meanwhile.
        None => comm(process, buffer),
    }
}

#[inline(never)]
fn comm(process: &ProcessDirectory, buffer: &mut [u8; LONGEST]) -> Result<usize> {
    let file = sys::openat(process.borrow(), b"comm\0", 0).map_err(failed)?;
    let len = sys::pread_all(file.borrow(), buffer, 0).map_err(failed)?;
    match buffer[..len].strip_suffix(b"\n") {
        Some(name) => Ok(name.len()),
        None => Err(CoreError::new(Errno::ESRCH, Operation::ReadName)),
    }
}

fn failed(errno: Errno) -> CoreError {
    process_error(errno, Operation::ReadName)
}
