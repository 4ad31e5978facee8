//! Threads of a process and their stack pointers. Knows nothing of mappings.

use core::ops::ControlFlow;

use crate::addr::VirtAddr;
use crate::descriptor::OwnedFd;
use crate::error::{CoreError, Errno, Operation, Result};
use crate::proc_text::{self, Suspension};
use crate::process::{each_entry, process_error, PathBuffer, ProcessHandle};
use crate::sys;

/// Thread of a process, and its stack pointer.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ThreadStackPointer {
    /// Thread ID, in the PID namespace of the `/proc` that was used.
    pub tid: u32,
    /// Stack pointer in user mode; `None` if the thread was running at each read, or has
    /// ended.
    pub stack_pointer: Option<VirtAddr>,
}

/// Calls `each` with the threads of a process, each in its state when it was read. The
/// calling thread's pointer is that of the call itself.
///
/// The source is `/proc/PID/task/TID/syscall` (`CONFIG_HAVE_ARCH_TRACEHOOK`, Linux
/// 2.6.27). The pointer in `stat` is 0 for living threads since 4.11
/// (fs/proc/array.c, `do_task_stat`).
///
/// # Errors
/// ESRCH if the process has ended; EPERM without the right to attach to it with ptrace;
/// ENOSYS if this kernel does not report stack pointers.
pub fn each_thread(
    process: &ProcessHandle,
    mut each: impl FnMut(ThreadStackPointer) -> ControlFlow<()>,
) -> Result<()> {
    let tasks = open_tasks(process)?;
    let ended = each_entry(tasks.borrow(), &mut [0; 512], |name| {
        let Some(tid) = number(name) else {
            return ControlFlow::Continue(());
        };
        match stack_pointer(&tasks, tid) {
            Ok(stack_pointer) => {
                each(ThreadStackPointer { tid, stack_pointer }).map_break(|()| Ok(()))
            }
            Err(error) => ControlFlow::Break(Err(error)),
        }
    });
    match ended.map_err(failed)? {
        Some(ended) => ended,
        None => process.check_same_memory(),
    }
}

fn failed(errno: Errno) -> CoreError {
    process_error(errno, Operation::OpenProcess)
}

fn open_tasks(process: &ProcessHandle) -> Result<OwnedFd> {
    match sys::openat(process.directory(), b"task\0", sys::O_DIRECTORY) {
        // The directory is that of a thread, since the first thread has ended.
        Err(Errno::ENOENT) => sys::openat(process.directory(), b"..\0", sys::O_DIRECTORY),
        opened => opened,
    }
    .map_err(failed)
}

/// Parses the name of a thread's directory, with its NUL.
fn number(name: &[u8]) -> Option<u32> {
    proc_text::number(name.strip_suffix(b"\0")?)
}

/// Maximum number of reads for a thread that is running.
const LOOKS: u32 = 5;

fn stack_pointer(tasks: &OwnedFd, tid: u32) -> Result<Option<VirtAddr>> {
    let mut path = PathBuffer::new();
    path.push_decimal(tid.into()).push(b"/syscall\0");
    let file = match sys::openat(tasks.borrow(), path.as_bytes(), 0) {
        Ok(file) => file,
        Err(Errno::ENOENT) => return without_file(tasks, tid),
        Err(Errno::ESRCH) => return Ok(None),
        Err(errno) => return Err(failed(errno)),
    };
    for look in 0..LOOKS {
        if look > 0 {
            sys::rest();
        }
        let mut text = [0u8; 256];
        match sys::pread(file.borrow(), &mut text, 0) {
            Ok(len) => {
                if let Some(place) = Suspension::parse(&text[..len]) {
                    return Ok(Some(VirtAddr::new(place.stack_pointer)));
                }
            }
            Err(Errno::ESRCH) => return Ok(None),
            Err(errno) => return Err(failed(errno)),
        }
    }
    Ok(None)
}

/// Decides between a thread that has ended meanwhile and a kernel without such files.
#[cold]
fn without_file(tasks: &OwnedFd, tid: u32) -> Result<Option<VirtAddr>> {
    let mut path = PathBuffer::new();
    path.push_decimal(tid.into()).push(b"/stat\0");
    match sys::openat(tasks.borrow(), path.as_bytes(), sys::O_PATH) {
        Ok(_) => Err(CoreError::new(Errno::ENOSYS, Operation::OpenProcess)),
        Err(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_of_threads_are_numbers() {
        assert_eq!(number(b"4711\0"), Some(4711));
        assert_eq!(number(b"..\0"), None);
        assert_eq!(number(b"4711"), None);
    }
}
