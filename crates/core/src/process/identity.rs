//! Identity of a process: the process that a number refers to, and whether it still
//! exists: PIDs, unique PIDs, pidfds, the number in this `/proc` mount, threads that
//! outlive the first one, the mark that an exec changes.

use core::ops::ControlFlow;

use super::{no_proc, process_error};
use crate::descriptor::{BorrowedFd, OwnedFd};
use crate::error::{At, CoreError, Errno, Operation, Result};
use crate::proc_text::{number, value_of, Stat};
use crate::sys;
use crate::uapi;

/// Process to be opened.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// The caller.
    Caller,
    /// The process that has this PID in the caller's PID namespace now.
    Pid(u32),
    /// The process that had this PID when its unique PID was made.
    Unique {
        /// The PID, in the caller's PID namespace.
        pid: u32,
        /// Upper half of the unique PID: bit 30 clear, and 30 bits of the pidfs inode; or
        /// bit 30 set, and 30 bits of the start time.
        mark: u32,
    },
}

/// Converts a PID; 0 is the caller.
impl From<u32> for Target {
    fn from(pid: u32) -> Self {
        match pid {
            0 => Self::Caller,
            pid => Self::Pid(pid),
        }
    }
}

impl Target {
    /// Converts the 64-bit number of the C interface: 0 is the caller, a positive 32-bit
    /// value a PID, a larger one a unique PID.
    ///
    /// # Errors
    /// ESRCH for every number that cannot refer to a process.
    pub fn from_pid64(pid64: i64) -> Result<Self> {
        let none = CoreError::new(Errno::ESRCH, Operation::Argument);
        let (mark, pid) = ((pid64 >> 32) as i32, pid64 as i32);
        match (mark, pid) {
            (0, 0) => Ok(Self::Caller),
            (0, 1..) => Ok(Self::Pid(pid as u32)),
            (1.., 1..) => Ok(Self::Unique {
                pid: pid as u32,
                mark: mark as u32,
            }),
            _ => Err(none),
        }
    }
}

/// Bit of a unique PID's mark that is set if the other bits are of the start time.
const MARK_IS_START_TIME: u32 = 1 << 30;
const MARK_BITS: u32 = MARK_IS_START_TIME - 1;

/// Returns the unique PID of a process: its PID in the low half, and in the high half a
/// mark that no other process with that PID has had since boot (among about a thousand
/// million processes; never zero).
///
/// # Errors
/// ESRCH if there is no such process, EPERM if its start time is needed and hidden.
pub fn unique_pid(pid: u32) -> Result<i64> {
    let pidfd = pidfd(pid)?;
    let mark = match pidfs_mark(pidfd.borrow())? {
        Some(mark) => mark,
        None => {
            let mut path = PathBuffer::new();
            path.push(b"/proc/")
                .push_decimal(number_in_proc(pidfd.borrow())?)
                .push(b"\0");
            let dir = sys::openat(sys::CWD, path.as_bytes(), sys::O_PATH | sys::O_DIRECTORY)
                .map_err(|errno| process_error(errno, Operation::OpenProcess))?;
            start_time_mark(&dir)?
        }
    };
    if !super::exists(pidfd.borrow())? {
        return Err(CoreError::new(Errno::ESRCH, Operation::FindProcess));
    }
    Ok(i64::from(mark) << 32 | i64::from(pid))
}

/// Returns the unique PID of the process of a `/proc/PID` directory, in any proc mount;
/// `pid` is its number there. The mark is made of the start time: a directory does not
/// contain the inode of pidfs, and a pidfd for a number of another PID namespace would
/// refer to another process.
///
/// # Errors
/// ESRCH if the process has ended, EPERM if its start time is hidden.
pub fn unique_pid_of_directory(dir: &OwnedFd, pid: u32) -> Result<i64> {
    Ok(i64::from(start_time_mark(dir)?) << 32 | i64::from(pid))
}

/// Opens a pidfd for a PID in the caller's namespace.
pub(super) fn pidfd(pid: u32) -> Result<OwnedFd> {
    sys::pidfd_open(pid).map_err(|errno| match errno {
        // Errors for a thread's ID: EINVAL, ENOENT since Linux 6.9's PIDFD_THREAD
        // (kernel/fork.c, kernel/pid.c).
        Errno::EINVAL | Errno::ENOENT | Errno::ESRCH => {
            CoreError::new(Errno::ESRCH, Operation::FindProcess)
        }
        other => CoreError::new(other, Operation::UsePidfd),
    })
}

/// Fails with ESRCH unless the process has this mark.
pub(super) fn check_unique(pidfd: BorrowedFd<'_>, dir: &OwnedFd, mark: u32) -> Result<()> {
    let actual = if mark & MARK_IS_START_TIME != 0 {
        Some(start_time_mark(dir)?)
    } else {
        pidfs_mark(pidfd)?
    };
    if actual == Some(mark) {
        Ok(())
    } else {
        Err(CoreError::new(Errno::ESRCH, Operation::FindProcess))
    }
}

/// Returns 30 bits of the pidfs inode, which no two processes of one boot share; `None`
/// before pidfs (Linux 6.9), where all pidfds have one inode.
fn pidfs_mark(pidfd: BorrowedFd<'_>) -> Result<Option<u32>> {
    if sys::file_system(pidfd).at(Operation::UsePidfd)? != uapi::PID_FS_MAGIC {
        return Ok(None);
    }
    let ino = sys::status(pidfd).at(Operation::UsePidfd)?.ino;
    Ok(Some((ino as u32 & MARK_BITS).max(1)))
}

/// Returns 30 bits of the start time, in clock ticks since boot.
fn start_time_mark(dir: &OwnedFd) -> Result<u32> {
    let mut text = [0u8; 512];
    let stat = sys::openat(dir.borrow(), b"stat\0", 0)
        .map_err(|errno| process_error(errno, Operation::FindProcess))?;
    let len = sys::pread(stat.borrow(), &mut text, 0)
        .map_err(|errno| process_error(errno, Operation::FindProcess))?;
    let ticks = Stat::parse(&text[..len])
        .and_then(|stat| stat.start_time())
        .ok_or(CoreError::new(Errno::ESRCH, Operation::FindProcess))?;
    Ok(ticks as u32 & MARK_BITS | MARK_IS_START_TIME)
}

/// Returns the number of a pidfd's process in the mounted `/proc`.
pub(super) fn number_in_proc(pidfd: BorrowedFd<'_>) -> Result<u64> {
    // thread-self: descriptors belong to threads that may not share them, and /proc/self
    // shows those of the first thread, or none if that has ended.
    let mut path = PathBuffer::new();
    path.push(b"/proc/thread-self/fdinfo/")
        .push_decimal(pidfd.raw() as u64)
        .push(b"\0");
    let info = sys::openat(sys::CWD, path.as_bytes(), 0)
        .map_err(no_proc)
        .at(Operation::OwnProc)?;
    let mut text = [0u8; 256];
    let len = sys::pread(info.borrow(), &mut text, 0).at(Operation::FindProcess)?;
    match value_of(&text[..len], b"Pid:").and_then(number::<i64>) {
        Some(number @ 1..) => Ok(number as u64),
        // The process is not in this mount's PID namespace.
        Some(0) => Err(CoreError::new(Errno::EPERM, Operation::FindProcess)),
        // The process was reaped.
        Some(_) => Err(CoreError::new(Errno::ESRCH, Operation::FindProcess)),
        None => Err(CoreError::new(Errno::EBADF, Operation::FindProcess)),
    }
}

/// Returns a thread of the process, by its directory, that still has the memory which the
/// first thread has released; `None` for zombies and kernel threads. Fails if a thread
/// could not be examined, since that one may have the memory.
pub(super) fn thread_with_memory(dir: &OwnedFd) -> Result<Option<(OwnedFd, ExecMark)>> {
    let tasks = match sys::openat(dir.borrow(), b"task\0", sys::O_DIRECTORY) {
        Ok(tasks) => tasks,
        // The directory is a thread's own, or the process has ended.
        Err(Errno::ENOENT | Errno::ESRCH) => return Ok(None),
        Err(errno) => return Err(process_error(errno, Operation::OpenProcess)),
    };
    let mut entries = [0u8; 512];
    let mut failed = Ok(None);
    let found = each_entry(tasks.borrow(), &mut entries, |name| {
        if !name.first().is_some_and(u8::is_ascii_digit) {
            return ControlFlow::Continue(());
        }
        match sys::openat(tasks.borrow(), name, sys::O_PATH | sys::O_DIRECTORY) {
            Ok(thread) => match ExecMark::read(&thread) {
                Ok(Some(mark)) => return ControlFlow::Break((thread, mark)),
                Ok(None) => {}
                Err(error) => failed = Err(error),
            },
            // The thread has ended.
            Err(Errno::ENOENT | Errno::ESRCH) => {}
            Err(errno) => failed = Err(process_error(errno, Operation::OpenProcess)),
        }
        ControlFlow::Continue(())
    });
    match found {
        Ok(Some(found)) => Ok(Some(found)),
        Ok(None) => failed,
        // ENOENT: the task directory of a process that is being reaped.
        Err(errno) => Err(process_error(errno, Operation::OpenProcess)),
    }
}

/// Calls `each` with the names, with their NUL, of the entries of a directory from its position
/// on, until that breaks off with a result; `None` at the end. Reads as many at a time as fit in
/// `entries`.
///
/// Inlined, because the stack of a call is bounded.
#[inline(always)]
pub(crate) fn each_entry<B>(
    directory: BorrowedFd<'_>,
    entries: &mut [u8],
    mut each: impl FnMut(&[u8]) -> ControlFlow<B>,
) -> core::result::Result<Option<B>, Errno> {
    loop {
        let len = sys::getdents(directory, entries)?;
        if len == 0 {
            return Ok(None);
        }
        let mut rest = &entries[..len];
        while let Some((name, next)) = first_dirent(rest) {
            rest = next;
            if let ControlFlow::Break(result) = each(name) {
                return Ok(Some(result));
            }
        }
    }
}

/// Returns the name, with its NUL, of the first `struct linux_dirent64`, and the rest.
fn first_dirent(entries: &[u8]) -> Option<(&[u8], &[u8])> {
    let size = u16::from_ne_bytes(entries.get(16..18)?.try_into().ok()?) as usize;
    let name = entries.get(19..size)?;
    let len = name.iter().position(|&byte| byte == 0)? + 1;
    Some((&name[..len], &entries[size..]))
}

/// Mark that an exec changes: the auxiliary vector of the process's current memory. It
/// contains addresses that are chosen anew at each exec.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct ExecMark {
    hash: u64,
    /// True if the vector was written. An exec makes the new memory the process's long
    /// before it is complete, and writes the vector when everything is mapped and the
    /// stack at its place (fs/binfmt_elf.c, `begin_new_exec` to `create_elf_tables` in
    /// `load_elf_binary`, 5.10 to 6.18); until then only the end of the vector can be
    /// read (fs/proc/base.c, `auxv_read`).
    is_written: bool,
}

impl ExecMark {
    /// Number of words that are compared: all words on x86-64 and on arm64 (twice
    /// `AT_VECTOR_SIZE_BASE` 22, `AT_VECTOR_SIZE_ARCH` 3 or 2, and 1 in
    /// include/linux/auxvec.h and asm/auxvec.h, 6.18).
    const WORDS: usize = 64;

    /// Maximum number of reads of a vector that is not written yet: some 20 ms, where an
    /// exec takes some ten microseconds plus the time that it does not have the CPU. It
    /// can take for ever: it may wait for a disk, and a process can write zeros
    /// (`PR_SET_MM`).
    const ATTEMPTS: u32 = 300;

    /// Reads the mark; `None` when the process, or this thread of it, has no memory.
    pub(super) fn read(dir: &OwnedFd) -> Result<Option<Self>> {
        Self::read_by::<{ Self::WORDS }>(dir)
    }

    /// Reads the mark, waiting a limited time for the end of an exec: the mappings that
    /// exist before are not yet at their final places.
    pub(super) fn read_settled(dir: &OwnedFd) -> Result<Option<Self>> {
        let mut mark = Self::read(dir)?;
        for _ in 1..Self::ATTEMPTS {
            if mark.is_none_or(|mark| mark.is_written) {
                break;
            }
            sys::rest();
            mark = Self::read(dir)?;
        }
        Ok(mark)
    }

    /// Reads the mark with more reads and less stack, for use in a walk.
    pub(super) fn read_in_parts(dir: &OwnedFd) -> Result<Option<Self>> {
        Self::read_by::<8>(dir)
    }

    fn read_by<const PART: usize>(dir: &OwnedFd) -> Result<Option<Self>> {
        let auxv = match sys::openat(dir.borrow(), b"auxv\0", 0) {
            Ok(auxv) => auxv,
            // No memory (fs/proc/base.c, `__mem_open`), or no process; the next open
            // distinguishes them.
            Err(Errno::ESRCH | Errno::ENOENT) => return Ok(None),
            // The directory's error, unlike the file's EACCES: a mount with hidepid=1 (fs/proc/base.c, `proc_pid_permission`).
            Err(Errno::EPERM) => return Err(CoreError::new(Errno::EPERM, Operation::OpenProcess)),
            Err(errno) => return Err(process_error(errno, Operation::OpenMemory)),
        };
        let mut words = [0u64; PART];
        let (mut hash, mut count) = (0xcbf2_9ce4_8422_2325_u64, 0);
        let mut is_written = false;
        // The open file stays the vector of one memory, or ends.
        while count < Self::WORDS {
            let at = (count * size_of::<u64>()) as u64;
            let read = sys::pread_u64(auxv.borrow(), &mut words, at).at(Operation::OpenMemory)?;
            // FNV-1a over words.
            hash = words[..read].iter().fold(hash, |hash, word| {
                (hash ^ word).wrapping_mul(0x0100_0000_01b3)
            });
            is_written |= words[..read].iter().any(|&word| word != 0);
            count += read;
            if read < PART {
                break;
            }
        }
        Ok((count > 0).then_some(Self { hash, is_written }))
    }
}

/// Short path that is built without allocation.
pub(crate) struct PathBuffer {
    bytes: [u8; 64],
    len: usize,
}

impl PathBuffer {
    pub(crate) const fn new() -> Self {
        Self {
            bytes: [0; 64],
            len: 0,
        }
    }

    /// Appends bytes. Bytes that do not fit leave the path without its NUL, which the
    /// system call then refuses. Every path built here fits.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> &mut Self {
        if let Some(space) = self.bytes.get_mut(self.len..self.len + bytes.len()) {
            space.copy_from_slice(bytes);
            self.len += bytes.len();
        }
        self
    }

    pub(crate) fn push_decimal(&mut self, number: u64) -> &mut Self {
        self.push_radix(number, 10)
    }

    pub(crate) fn push_hex(&mut self, number: u64) -> &mut Self {
        self.push_radix(number, 16)
    }

    fn push_radix(&mut self, mut number: u64, radix: u64) -> &mut Self {
        let mut digits = [0u8; 20];
        let mut first = digits.len();
        loop {
            first -= 1;
            digits[first] = b"0123456789abcdef"[(number % radix) as usize];
            number /= radix;
            if number == 0 {
                break;
            }
        }
        self.push(&digits[first..])
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_memory_has_one_mark_in_however_many_parts_it_is_read() {
        let flags = sys::O_PATH | sys::O_DIRECTORY;
        let dir = sys::openat(sys::CWD, b"/proc/self\0", flags).unwrap();
        let mark = ExecMark::read(&dir).unwrap().unwrap();
        assert_eq!(ExecMark::read_in_parts(&dir), Ok(Some(mark)));
        assert_eq!(ExecMark::read_by::<1>(&dir), Ok(Some(mark)));
        assert_eq!(ExecMark::read_by::<7>(&dir), Ok(Some(mark)));
        // Another memory has another mark. (A child can still have its parent's when the
        // parent continues: fs/exec.c `exec_mmap` releases it before it sets the new one,
        // 6.12.)
        let piped = std::process::Stdio::piped;
        let mut child = std::process::Command::new("cat")
            .stdin(piped())
            .stdout(piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        std::io::Write::write_all(&mut input, b".").unwrap();
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut [0]).unwrap();
        let path = std::format!("/proc/{}\0", child.id());
        let other = sys::openat(sys::CWD, path.as_bytes(), flags).unwrap();
        let other = ExecMark::read_in_parts(&other);
        drop(input);
        child.wait().unwrap();
        assert_ne!(other.unwrap(), Some(mark));
    }

    #[test]
    fn paths_are_put_together() {
        let mut path = PathBuffer::new();
        path.push(b"a/")
            .push_decimal(120)
            .push(b"-")
            .push_hex(0xbeef)
            .push_hex(0)
            .push(b"\0");
        assert_eq!(path.as_bytes(), b"a/120-beef0\0");
    }
}
