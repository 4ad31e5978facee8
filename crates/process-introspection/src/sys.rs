//! All operations that need unsafe code: a forked child, ptrace, own code between fork and
//! exec, another handle's descriptor, words that are read as bytes, a signal's disposition,
//! memory of a given page size.
//! Knows nothing of their purpose.
#![allow(unsafe_code)]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use process_introspection_core as core;

/// Returns the directory that a core handle keeps open.
pub(crate) fn directory(process: &core::ProcessHandle) -> BorrowedFd<'_> {
    // SAFETY: both borrow the handle, which keeps the descriptor open.
    unsafe { BorrowedFd::borrow_raw(process.directory().raw()) }
}

/// Returns the core's form of a borrowed descriptor.
pub(crate) fn borrowed(fd: BorrowedFd<'_>) -> core::descriptor::BorrowedFd<'_> {
    // SAFETY: both have the same lifetime.
    unsafe { core::descriptor::BorrowedFd::from_raw(fd.as_raw_fd()) }
}

/// Returns the core's form of an owned descriptor.
pub(crate) fn owned(fd: OwnedFd) -> core::descriptor::OwnedFd {
    // SAFETY: the descriptor was the owner's, who has released it.
    unsafe { core::descriptor::OwnedFd::from_raw(fd.into_raw_fd()) }
}

/// Returns words as bytes, into which a file can be read.
pub(crate) fn bytes_of(words: &mut [u64]) -> &mut [u8] {
    let size = size_of_val(words);
    // SAFETY: the same memory, borrowed for as long; bytes need no alignment, and any
    // values of them are valid words.
    unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), size) }
}

/// Number of `include/uapi/asm-generic/mman-common.h`, which libc lacks for musl.
const MADV_COLLAPSE: libc::c_int = 25;

/// Block of own anonymous memory that one huge page maps, and that no forked child has;
/// unmapped when dropped.
#[derive(Debug)]
pub(crate) struct OwnHugePage {
    mapped: *mut libc::c_void,
    block: *mut libc::c_void,
    size: usize,
}

impl OwnHugePage {
    /// Makes a block of `size` bytes, a power of two, and collapses it to a huge page
    /// (MADV_COLLAPSE, Linux 6.1), whatever the settings of huge pages are.
    pub(crate) fn new(size: usize) -> io::Result<Self> {
        let (kind, access) = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, libc::PROT_READ);
        // SAFETY: a new mapping, at an address that the kernel chooses.
        let mapped = unsafe {
            let access = access | libc::PROT_WRITE;
            libc::mmap(std::ptr::null_mut(), 2 * size, access, kind, -1, 0)
        };
        if mapped == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let block = mapped.wrapping_byte_add(mapped.align_offset(size));
        let own = Self {
            mapped,
            block,
            size,
        };
        // A child would map it too, and keep its pages.
        own.advise(0, size, libc::MADV_DONTFORK)?;
        // SAFETY: the block lies in the mapping, to which nothing else refers.
        unsafe { own.block.cast::<u8>().write_volatile(1) };
        own.advise(0, size, MADV_COLLAPSE)?;
        Ok(own)
    }

    /// Returns its address.
    pub(crate) fn start(&self) -> u64 {
        self.block as u64
    }

    /// Unmaps the memory from `offset` to its end.
    pub(crate) fn discard_from(&self, offset: usize) -> io::Result<()> {
        self.advise(offset, self.size - offset, libc::MADV_DONTNEED)
    }

    fn advise(&self, offset: usize, size: usize, advice: libc::c_int) -> io::Result<()> {
        let start = self.block.wrapping_byte_add(offset);
        // SAFETY: the range lies in the own mapping, whose contents nobody reads.
        match unsafe { libc::madvise(start, size, advice) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl Drop for OwnHugePage {
    fn drop(&mut self) {
        // SAFETY: the mapping of `new`, to which nothing else refers.
        unsafe { libc::munmap(self.mapped, 2 * self.size) };
    }
}

/// Forks a child that runs `child` and ends, with all signals blocked. Its end raises no
/// SIGCHLD, and only a wait with `__WALL` sees it, so no other code of this process can
/// take it for a child of its own.
///
/// `child` must allocate nothing and take no lock: other threads of this process can have
/// held locks, and do not exist in the child.
pub(crate) fn fork_unseen(child: impl FnOnce()) -> io::Result<rustix::process::Pid> {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the first call fills `all`; the second reads it and fills `before`.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
    }
    // SAFETY: without flags clone is fork, without the C library's handlers: the child
    // continues on a copy of this stack. As all arguments are zero, the order in which an
    // architecture takes them does not matter.
    let pid = unsafe { libc::syscall(libc::SYS_clone, 0, 0, 0, 0, 0) };
    let error = io::Error::last_os_error();
    if pid == 0 {
        child();
        // SAFETY: ends this process without running anything of the parent's.
        unsafe { libc::_exit(0) };
    }
    // SAFETY: `before` was filled above.
    unsafe {
        libc::pthread_sigmask(
            libc::SIG_SETMASK,
            before.as_ptr(),
            std::ptr::null_mut::<libc::sigset_t>(),
        );
    }
    rustix::process::Pid::from_raw(pid as i32)
        .filter(|_| pid > 0)
        .ok_or(error)
}

/// Closes every descriptor of a forked child except these. Allocates nothing.
pub(crate) fn close_all_but<const N: usize>(keep: [BorrowedFd<'_>; N]) {
    let mut keep = keep.map(|fd| fd.as_raw_fd().unsigned_abs());
    keep.sort_unstable();
    let mut from = 0u32;
    for fd in keep {
        if from < fd {
            close_from_to(from, fd - 1);
        }
        from = from.max(fd + 1);
    }
    close_from_to(from, u32::MAX);
}

fn close_from_to(first: u32, last: u32) {
    // SAFETY: this is only called in a forked child, which uses no descriptor except the
    // kept ones, and drops nothing that owns another.
    unsafe {
        // Linux 5.9.
        if libc::syscall(libc::SYS_close_range, first, last, 0) == 0 {
            return;
        }
        let most = libc::sysconf(libc::_SC_OPEN_MAX).clamp(1024, 1 << 20) as u32;
        for fd in first..=last.min(most) {
            libc::close(fd as i32);
        }
    }
}

/// Registers `run`, which the command's child calls before it executes the program.
///
/// `run` must allocate nothing and take no lock, as in [`fork_unseen`].
pub(crate) fn before_exec(
    command: &mut Command,
    run: impl FnMut() -> io::Result<()> + Send + Sync + 'static,
) {
    // SAFETY: the caller, `launch`, follows the rule above.
    unsafe { command.pre_exec(run) };
}

/// Request of a tracer to a thread that it traces.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// Begins to trace the thread, with these options.
    Seize(i32),
    /// Sets the options of the trace.
    Options(i32),
    /// Continues the thread, which receives this signal if it is not 0.
    Continue(i32),
    /// Leaves the thread stopped, as by job control, until SIGCONT.
    Listen,
    /// Continues the thread and ends its trace.
    Detach,
}

/// Makes a request to a thread.
pub(crate) fn ptrace(thread: i32, request: Request) -> io::Result<()> {
    let (request, data) = match request {
        Request::Seize(options) => (libc::PTRACE_SEIZE, options),
        Request::Options(options) => (libc::PTRACE_SETOPTIONS, options),
        Request::Continue(signal) => (libc::PTRACE_CONT, signal),
        Request::Listen => (libc::PTRACE_LISTEN, 0),
        Request::Detach => (libc::PTRACE_DETACH, 0),
    };
    // SAFETY: none of these requests reads or writes this process's memory: their data
    // argument is a number.
    let made = unsafe { libc::ptrace(request, thread, 0usize, data as usize) };
    match made {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Returns the number that comes with a ptrace event: after PTRACE_EVENT_CLONE, the ID of
/// the new thread or process in this caller's PID namespace.
pub(crate) fn event_message(thread: i32) -> io::Result<i32> {
    let mut message: libc::c_ulong = 0;
    // SAFETY: the request stores one `unsigned long`, the type of `message`.
    let made = unsafe {
        libc::ptrace(
            libc::PTRACE_GETEVENTMSG,
            thread,
            0usize,
            std::ptr::from_mut(&mut message),
        )
    };
    match made {
        0 => Ok(message as i32),
        _ => Err(io::Error::last_os_error()),
    }
}

/// State change that a wait reports, as in `siginfo_t`: see waitid(2).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) thread: i32,
    /// CLD_EXITED, CLD_TRAPPED and so on.
    pub(crate) code: i32,
    pub(crate) status: i32,
}

/// Waits until a child of the calling thread, or a thread that it traces, has ended or
/// stopped, and leaves the change to be waited for. With a number: only for that thread,
/// and `None` at once if there is nothing to report.
pub(crate) fn peek_change(thread: Option<i32>) -> io::Result<Option<Change>> {
    let (which, id, hang) = match thread {
        Some(thread) => (libc::P_PID, thread.unsigned_abs(), libc::WNOHANG),
        None => (libc::P_ALL, 0, 0),
    };
    let options =
        libc::WEXITED | libc::WSTOPPED | libc::WNOWAIT | libc::__WALL | libc::__WNOTHREAD | hang;
    // SAFETY: all zeros are a valid `siginfo_t`, a struct of numbers and of pointers that
    // nobody follows.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    // SAFETY: the call fills `info`, which has the type that it requires.
    if unsafe { libc::waitid(which, id, &mut info, options) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `info` has the layout of SIGCHLD, as waitid fills it, or is all zeros.
    let (thread, status) = unsafe { (info.si_pid(), info.si_status()) };
    Ok((thread != 0).then_some(Change {
        thread,
        code: info.si_code,
        status,
    }))
}

/// Returns whether this process ignores a signal.
pub(crate) fn is_ignored(signal: i32) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: without a new action the call only fills `action`, for which all zeros are a
    // valid value too.
    let action = unsafe {
        libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr());
        action.assume_init()
    };
    action.sa_sigaction == libc::SIG_IGN
}

/// Number of the system call on all architectures of this library
/// (include/uapi/asm-generic/unistd.h, Linux 6.5).
const CACHESTAT: libc::c_long = 451;

/// Returns the numbers of the pages of `length` bytes of a file (0: to its end) that are in
/// the page cache, dirty, in writeback, evicted, and evicted recently, see cachestat(2).
pub(crate) fn cachestat(file: BorrowedFd<'_>, offset: u64, length: u64) -> io::Result<[u64; 5]> {
    let (range, mut counts) = ([offset, length], [0u64; 5]);
    // SAFETY: `range` is a `struct cachestat_range` and `counts` a `struct cachestat`: two and
    // five `__u64`. The call reads the one and fills the other.
    let made = unsafe {
        libc::syscall(
            CACHESTAT,
            file.as_raw_fd(),
            range.as_ptr(),
            counts.as_mut_ptr(),
            0,
        )
    };
    match made {
        0 => Ok(counts),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Stores for each page of a file from `offset` on whether it is in the page cache, in bit 0
/// of its byte, see mincore(2). `offset` is a multiple of the page size, which is `page`.
pub(crate) fn mincore(
    file: BorrowedFd<'_>,
    offset: u64,
    page: usize,
    resident: &mut [u8],
) -> io::Result<()> {
    let size = resident.len() * page;
    let offset = offset
        .try_into()
        .map_err(|_| io::Error::from_raw_os_error(libc::EOVERFLOW))?;
    // SAFETY: a new mapping at an address of the kernel's choice, which is never accessed.
    let at = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            size,
            libc::PROT_NONE,
            libc::MAP_PRIVATE,
            file.as_raw_fd(),
            offset,
        )
    };
    if at == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call stores a byte for each of the mapping's pages, as many as `resident`
    // has.
    let made = unsafe { libc::mincore(at, size, resident.as_mut_ptr()) };
    let error = io::Error::last_os_error();
    // SAFETY: the mapping was made above, and nothing refers to it.
    unsafe { libc::munmap(at, size) };
    match made {
        0 => Ok(()),
        _ => Err(error),
    }
}

/// Largest file handle, in bytes (`MAX_HANDLE_SZ`, include/linux/exportfs.h).
const HANDLE_SIZE: usize = 128;
/// `AT_HANDLE_FID` of include/uapi/linux/fcntl.h: a handle that only identifies (Linux 6.5).
const AT_HANDLE_FID: i32 = 0x200;

/// Handle by which a file system identifies a file, as 64-bit words: type, size, and the
/// bytes of the handle.
pub(crate) type FileHandle = [u64; 2 + HANDLE_SIZE / 8];

/// Returns the handle of an open file, see name_to_handle_at(2).
pub(crate) fn file_handle(file: BorrowedFd<'_>) -> io::Result<FileHandle> {
    #[repr(C)]
    struct Handle {
        size: u32,
        kind: i32,
        bytes: [u64; HANDLE_SIZE / 8],
    }
    let mut handle = Handle {
        size: HANDLE_SIZE as u32,
        kind: 0,
        bytes: [0; HANDLE_SIZE / 8],
    };
    let mut mount = 0i32;
    // SAFETY: `handle` is a `struct file_handle` with room for as many bytes as it says; the
    // call fills it and `mount`. The path is an empty string.
    let made = unsafe {
        libc::syscall(
            libc::SYS_name_to_handle_at,
            file.as_raw_fd(),
            c"".as_ptr(),
            std::ptr::from_mut(&mut handle),
            std::ptr::from_mut(&mut mount),
            libc::AT_EMPTY_PATH | AT_HANDLE_FID,
        )
    };
    if made != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut words = [0; 2 + HANDLE_SIZE / 8];
    words[0] = u64::from(handle.kind.unsigned_abs());
    words[1] = u64::from(handle.size);
    words[2..].copy_from_slice(&handle.bytes);
    Ok(words)
}
