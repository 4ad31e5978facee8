//! System calls of the walk. The only module with unsafe code besides `descriptor` and
//! `memory`. Calls are made by instruction, not through libc: errno is not touched and
//! none is a cancellation point. Knows nothing of the contents of files.
#![allow(unsafe_code)]

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU8, Ordering};

use linux_raw_sys::general as k;
use syscalls::{syscall, Sysno};

use crate::descriptor::{BorrowedFd, OwnedFd};
use crate::error::Errno;
use crate::uapi;

mod child;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(crate) mod tracer;

pub(crate) use child::{close_all_but, fork, kill, memory_file, pipe, reap, wait_readable, write};

type Sys<T> = core::result::Result<T, Errno>;

fn check(result: core::result::Result<usize, syscalls::Errno>) -> Sys<usize> {
    result.map_err(|errno| Errno::from_raw(errno.into_raw() as u16))
}

/// Repeats a call while it is interrupted by a signal. Some calls below never are where
/// the kernel's own files are concerned, but the object behind a mapping can be a file of
/// any file system.
fn retry(mut call: impl FnMut() -> Sys<usize>) -> Sys<usize> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            other => return other,
        }
    }
}

/// Size in bytes of a signal mask of the kernel.
const KERNEL_SIGSET_SIZE: usize = 8;

/// Descriptor number `AT_FDCWD`: paths are absolute or relative to the working directory.
// SAFETY: not a descriptor, and valid as long as the process lives.
pub(crate) const CWD: BorrowedFd<'static> = unsafe { BorrowedFd::from_raw(k::AT_FDCWD) };

pub(crate) const O_PATH: u32 = k::O_PATH;
pub(crate) const O_DIRECTORY: u32 = k::O_DIRECTORY;
pub(crate) const O_NONBLOCK: u32 = k::O_NONBLOCK;
pub(crate) const O_NOCTTY: u32 = k::O_NOCTTY;

/// Opens a file for reading with `openat`, always close-on-exec. `path` must end in NUL.
pub(crate) fn openat(dir: BorrowedFd<'_>, path: &[u8], flags: u32) -> Sys<OwnedFd> {
    debug_assert_eq!(path.last(), Some(&0));
    if path.last() != Some(&0) {
        return Err(Errno::EINVAL);
    }
    let flags = flags | k::O_RDONLY | k::O_CLOEXEC;
    // SAFETY: `path` is a live, NUL-terminated string for the call.
    let fd =
        retry(|| check(unsafe { syscall!(Sysno::openat, dir.raw(), path.as_ptr(), flags, 0) }))?;
    // SAFETY: just opened, so no other code owns it.
    Ok(unsafe { OwnedFd::from_raw(fd as i32) })
}

/// Reads with `pread64`. A short count is not an error.
pub(crate) fn pread(fd: BorrowedFd<'_>, buffer: &mut [u8], offset: u64) -> Sys<usize> {
    // SAFETY: the kernel writes at most `buffer.len()` bytes into a live, exclusive buffer.
    unsafe { pread_raw(fd, buffer.as_mut_ptr(), buffer.len(), offset) }
}

/// Reads with `pread64` into memory that may not be writable, which then results in
/// EFAULT.
///
/// # Safety
/// If the memory is writable, the caller must be entitled to have it written.
pub(crate) unsafe fn pread_raw(
    fd: BorrowedFd<'_>,
    buffer: *mut u8,
    len: usize,
    offset: u64,
) -> Sys<usize> {
    retry(|| {
        // SAFETY: the kernel checks the buffer; that it may be written is this function's contract.
        check(unsafe {
            #[cfg(target_pointer_width = "64")]
            {
                syscall!(Sysno::pread64, fd.raw(), buffer, len, offset)
            }
            // A 64-bit argument takes two registers, on Arm an even pair.
            #[cfg(target_arch = "x86")]
            {
                syscall!(
                    Sysno::pread64,
                    fd.raw(),
                    buffer,
                    len,
                    offset as u32,
                    offset >> 32
                )
            }
            #[cfg(target_arch = "arm")]
            {
                syscall!(
                    Sysno::pread64,
                    fd.raw(),
                    buffer,
                    len,
                    0,
                    offset as u32,
                    offset >> 32
                )
            }
        })
    })
}

/// Copies the caller's own memory with `process_vm_readv`, into memory that may not be
/// writable. Inaccessible memory at either end results in EFAULT, or in a short count if
/// a part could be copied.
///
/// The call needs no permission, whatever the process's user or dumpable state
/// (kernel/fork.c, `mm_access` of the caller's own memory, 3.2 to 6.18), but respects the
/// protection of the source (mm/process_vm_access.c: no FOLL_FORCE). The caller is named
/// by its thread, since the first thread may have ended.
///
/// # Safety
/// If the memory at `buffer` is writable, the caller must be entitled to have it written.
pub(crate) unsafe fn read_own(address: usize, buffer: *mut u8, len: usize) -> Sys<usize> {
    // `struct iovec`: an address and a length.
    let (local, remote) = ([buffer as usize, len], [address, len]);
    // SAFETY: takes no memory.
    let own = check(unsafe { syscall!(Sysno::gettid) })?;
    let (local, remote) = (local.as_ptr(), remote.as_ptr());
    // SAFETY: two live arrays of one `iovec` each; the kernel checks what they
    // name, and that the buffer may be written is this function's contract.
    retry(|| check(unsafe { syscall!(Sysno::process_vm_readv, own, local, 1, remote, 1, 0) }))
}

/// Reads with `pread64` until the buffer is full: a short count is the end of the file.
pub(crate) fn pread_all(fd: BorrowedFd<'_>, buffer: &mut [u8], offset: u64) -> Sys<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match pread(fd, &mut buffer[done..], offset.wrapping_add(done as u64))? {
            0 => break,
            count => done += count,
        }
    }
    Ok(done)
}

/// Reads 64-bit words with `pread64`; the count is of whole words. Less than one word is
/// EIO, not the end: the files that are read so contain whole words only.
pub(crate) fn pread_u64(fd: BorrowedFd<'_>, words: &mut [u64], offset: u64) -> Sys<usize> {
    let bytes = size_of_val(words);
    // SAFETY: any bytes are a valid u64; the buffer is live and exclusive.
    let read = unsafe { pread_raw(fd, words.as_mut_ptr().cast(), bytes, offset) }?;
    match read / size_of::<u64>() {
        0 if read > 0 => Err(Errno::EIO),
        count => Ok(count),
    }
}

/// Reads at the file's own position with `read`.
pub(crate) fn read(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> Sys<usize> {
    // SAFETY: the kernel writes at most `buffer.len()` bytes into a live, exclusive buffer.
    retry(|| check(unsafe { syscall!(Sysno::read, fd.raw(), buffer.as_mut_ptr(), buffer.len()) }))
}

/// Calls `PROCMAP_QUERY` on a `maps` file. The name is written to the slice, whose place
/// this function stores in `query`.
pub(crate) fn procmap_query(
    fd: BorrowedFd<'_>,
    query: &mut uapi::procmap_query,
    name: &mut [u8],
) -> Sys<()> {
    query.size = size_of::<uapi::procmap_query>() as u64;
    (query.vma_name_addr, query.vma_name_size) = match name.len() {
        0 => (0, 0),
        len => (name.as_mut_ptr() as usize as u64, len.min(4096) as u32),
    };
    let query: *mut uapi::procmap_query = query;
    // SAFETY: `query` is a live, exclusive struct of the size it states; the
    // kernel writes at most the stated size to the exclusive slice.
    retry(|| check(unsafe { syscall!(Sysno::ioctl, fd.raw(), uapi::PROCMAP_QUERY, query) }))?;
    Ok(())
}

/// Calls `PAGEMAP_SCAN` on a `pagemap` file, which writes its results to `regions`;
/// returns their number. `arg.walk_end` is the end of the scan.
pub(crate) fn pagemap_scan(
    fd: BorrowedFd<'_>,
    arg: &mut uapi::pm_scan_arg,
    regions: &mut [uapi::page_region],
) -> Sys<usize> {
    arg.size = size_of::<uapi::pm_scan_arg>() as u64;
    arg.vec = regions.as_mut_ptr() as usize as u64;
    arg.vec_len = regions.len() as u64;
    let arg: *mut uapi::pm_scan_arg = arg;
    // No retry on EINTR here: the arguments have changed by then.
    // SAFETY: `arg` is a live, exclusive struct of the size it states; the
    // kernel writes at most `vec_len` regions to the exclusive slice.
    check(unsafe { syscall!(Sysno::ioctl, fd.raw(), uapi::PAGEMAP_SCAN, arg) })
}

/// Reads entries of a directory opened for reading with `getdents64`.
pub(crate) fn getdents(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> Sys<usize> {
    let (fd, to, len) = (fd.raw(), buffer.as_mut_ptr(), buffer.len());
    // SAFETY: the kernel writes at most `buffer.len()` bytes into a live, exclusive buffer.
    retry(|| check(unsafe { syscall!(Sysno::getdents64, fd, to, len) }))
}

/// Attributes of an open file that the walk needs.
#[derive(Copy, Clone, Debug)]
pub(crate) struct FileStatus {
    pub(crate) mode: u16,
    pub(crate) dev: (u32, u32),
    pub(crate) ino: u64,
    pub(crate) rdev: (u32, u32),
    /// True if the file's pages are persistent memory (`STATX_ATTR_DAX`); `None` where
    /// the kernel does not report it for every file, before 5.10 (fs/stat.c,
    /// `vfs_getattr_nosec`).
    pub(crate) dax: Option<bool>,
}

/// Decodes the attribute. Up to 5.10 the mask lacks it although the kernel sets it; 5.8,
/// which introduced it, also introduced the attribute for the root of a mount, in 5.8 and
/// 5.9 by the same bit.
const fn is_dax(attributes: u64, mask: u64) -> Option<bool> {
    const DAX: u64 = k::STATX_ATTR_DAX as u64;
    const MOUNT_ROOT: u64 = k::STATX_ATTR_MOUNT_ROOT as u64;
    if attributes & DAX != 0 {
        Some(true)
    } else if mask & DAX != 0 || mask & MOUNT_ROOT != 0 && attributes & MOUNT_ROOT == 0 {
        Some(false)
    } else {
        None
    }
}

impl FileStatus {
    pub(crate) fn is_regular(&self) -> bool {
        u32::from(self.mode) & k::S_IFMT == k::S_IFREG
    }

    pub(crate) fn is_char_device(&self) -> bool {
        u32::from(self.mode) & k::S_IFMT == k::S_IFCHR
    }
}

/// Reads the attributes of an open file with `statx` (since 4.11; the same layout on
/// every architecture). Cached attributes are enough: a network file system gets no
/// request.
#[inline(never)] // Keeps its buffer out of its callers' stack frames.
pub(crate) fn status(fd: BorrowedFd<'_>) -> Sys<FileStatus> {
    status_as(fd, k::AT_STATX_DONT_SYNC)
}

/// Reads the attributes of an open file from the file system itself.
pub(crate) fn newest_status(fd: BorrowedFd<'_>) -> Sys<FileStatus> {
    status_as(fd, k::AT_STATX_FORCE_SYNC)
}

fn status_as(fd: BorrowedFd<'_>, sync: u32) -> Sys<FileStatus> {
    let status = statx(fd, b"\0", k::AT_EMPTY_PATH | sync, k::STATX_BASIC_STATS)?;
    Ok(FileStatus {
        mode: status.stx_mode,
        dev: (status.stx_dev_major, status.stx_dev_minor),
        ino: status.stx_ino,
        rdev: (status.stx_rdev_major, status.stx_rdev_minor),
        dax: is_dax(status.stx_attributes, status.stx_attributes_mask),
    })
}

#[inline]
fn statx(dir: BorrowedFd<'_>, path: &[u8], flags: u32, wanted: u32) -> Sys<k::statx> {
    if path.last() != Some(&0) {
        return Err(Errno::EINVAL);
    }
    let mut buffer = core::mem::MaybeUninit::<k::statx>::zeroed();
    let (path, to) = (path.as_ptr(), buffer.as_mut_ptr());
    retry(|| {
        // SAFETY: a live, NUL-terminated string, and the kernel fills a live, exclusive
        // struct.
        check(unsafe { syscall!(Sysno::statx, dir.raw(), path, flags, wanted, to) })
    })?;
    // SAFETY: zeroed is a valid value of this struct of integers, and the kernel only writes integers.
    Ok(unsafe { buffer.assume_init() })
}

/// Returns the magic number of the file system that contains an open file, by `fstatfs`.
/// Every number has 32 bits.
#[inline(never)] // Keeps its buffer out of its callers' stack frames.
pub(crate) fn file_system(fd: BorrowedFd<'_>) -> Sys<u32> {
    // The magic is the first word of both layouts: struct statfs has 120 bytes
    // with 64-bit words, struct statfs64 84 bytes with 32-bit ones.
    const WORDS: usize = if cfg!(target_pointer_width = "64") {
        15
    } else {
        21
    };
    let mut buffer = [0usize; WORDS];
    let to = buffer.as_mut_ptr();
    #[cfg(target_pointer_width = "64")]
    // SAFETY: the kernel writes a struct statfs into as many live, exclusive bytes.
    retry(|| check(unsafe { syscall!(Sysno::fstatfs, fd.raw(), to) }))?;
    #[cfg(target_pointer_width = "32")]
    // SAFETY: as above; the kernel checks the size.
    retry(|| check(unsafe { syscall!(Sysno::fstatfs64, fd.raw(), 84, to) }))?;
    Ok(buffer[0] as u32)
}

/// Opens a pidfd with `pidfd_open`, since 5.3.
pub(crate) fn pidfd_open(pid: u32) -> Sys<OwnedFd> {
    // SAFETY: takes no memory.
    let fd = retry(|| check(unsafe { syscall!(Sysno::pidfd_open, pid, 0) }))?;
    // SAFETY: just opened, so no other code owns it.
    Ok(unsafe { OwnedFd::from_raw(fd as i32) })
}

/// Returns whether the process of this pidfd has not been reaped yet: signal 0, since
/// 5.1. `None` where that is unknown: the kernel returns EPERM for a process of another
/// user, which exists, but a seccomp filter can return it as well.
pub(crate) fn pidfd_exists(pidfd: BorrowedFd<'_>) -> Option<bool> {
    // SAFETY: takes no memory; signal 0 is never delivered.
    let sent = || check(unsafe { syscall!(Sysno::pidfd_send_signal, pidfd.raw(), 0, 0, 0) });
    match retry(sent) {
        Ok(_) => Some(true),
        Err(Errno::ESRCH) => Some(false),
        Err(_) => None,
    }
}

/// Returns the nanoseconds of the monotonic clock; 0 where it cannot be read, so that
/// every measured time is then 0.
pub(crate) fn monotonic_nanos() -> u64 {
    clock_nanos(k::CLOCK_MONOTONIC).unwrap_or(0)
}

fn clock_nanos(clock: u32) -> Sys<u64> {
    let mut time = [0i64; 2];
    #[cfg(target_pointer_width = "64")]
    let call = Sysno::clock_gettime;
    #[cfg(target_pointer_width = "32")]
    let call = Sysno::clock_gettime64;
    // SAFETY: the kernel writes two 64-bit integers into a live, exclusive array.
    check(unsafe { syscall!(call, clock, time.as_mut_ptr()) })?;
    Ok(time[0] as u64 * 1_000_000_000 + time[1] as u64)
}

/// Returns how often the calling thread has slept, waiting for something; `None` where
/// that cannot be read. 0.2 µs.
#[inline(never)] // Keeps its buffer out of its callers' stack frames.
pub(crate) fn voluntary_switches() -> Option<isize> {
    let mut usage = core::mem::MaybeUninit::<k::rusage>::zeroed();
    let to = usage.as_mut_ptr();
    // SAFETY: the kernel fills a live, exclusive struct.
    check(unsafe { syscall!(Sysno::getrusage, k::RUSAGE_THREAD, to) }).ok()?;
    // SAFETY: zeroed is a valid value of this struct of integers, and the kernel only writes integers.
    let usage = unsafe { usage.assume_init() };
    Some(usage.ru_nvcsw as isize)
}

/// Leaves the CPU for a moment: 20 µs plus the thread's timer slack (`PR_SET_TIMERSLACK`,
/// 50 µs unless it was changed).
#[inline(never)]
pub(crate) fn rest() {
    const NANOS: i64 = 20_000;
    let time = [0i64, NANOS];
    #[cfg(target_pointer_width = "64")]
    let call = Sysno::clock_nanosleep;
    #[cfg(target_pointer_width = "32")]
    let call = Sysno::clock_nanosleep_time64;
    // SAFETY: the kernel reads two 64-bit integers from a live array. An
    // interrupted or refused rest is a short one.
    let _ = unsafe { syscall!(call, k::CLOCK_MONOTONIC, 0, time.as_ptr(), 0) };
}

/// Writes 8 bytes at `address` by a system call that makes the kernel store there, so
/// that a bad page results in EFAULT and not in a signal. `rt_sigprocmask` without a new
/// mask writes the old one, changes nothing, and is allowed in every sandbox in which a C
/// library runs; 0.2 µs.
///
/// # Safety
/// If the memory is writable, the caller must be entitled to have it written.
pub(crate) unsafe fn probe_write(address: *mut u8) -> Sys<()> {
    // SAFETY: the kernel checks the address; that it may be written is this function's contract.
    retry(|| check(unsafe { syscall!(Sysno::rt_sigprocmask, 0, 0, address, KERNEL_SIGSET_SIZE) }))?;
    Ok(())
}

/// Returns log2 of the base page size. Constant where the architecture has one size only;
/// elsewhere found once by the alignment that `msync` requires.
pub(crate) fn base_page_shift() -> u8 {
    if cfg!(any(
        target_arch = "x86_64",
        target_arch = "x86",
        target_arch = "riscv64"
    )) {
        return 12;
    }
    static SHIFT: AtomicU8 = AtomicU8::new(0);
    match SHIFT.load(Ordering::Relaxed) {
        0 => {
            // A length of 0 touches nothing: mm/msync.c checks the alignment
            // (EINVAL) and then returns 0.
            let aligned = |shift: u8| {
                // SAFETY: touches no memory.
                check(unsafe { syscall!(Sysno::msync, 1usize << shift, 0, k::MS_ASYNC) }).is_ok()
            };
            let shift = [12, 13, 14, 16]
                .into_iter()
                .find(|&shift| aligned(shift))
                .unwrap_or(12);
            SHIFT.store(shift, Ordering::Relaxed);
            shift
        }
        shift => shift,
    }
}

/// Memory of this crate that is never written, large enough to contain two whole base
/// pages at any place. Reading them maps the zero page twice; two neighbouring private
/// pages can only share a frame if it is that one. (Not aligned by the linker: before
/// 2.35, glibc placed shared libraries without regard to alignments beyond a page.)
struct NeverWritten(UnsafeCell<[u8; 3 * LARGEST_BASE_PAGE]>);

const LARGEST_BASE_PAGE: usize = if cfg!(any(
    target_arch = "x86_64",
    target_arch = "x86",
    target_arch = "riscv64"
)) {
    4096
} else {
    65536
};

// SAFETY: it is never written, only read.
unsafe impl Sync for NeverWritten {}

static NEVER_WRITTEN: NeverWritten = NeverWritten(UnsafeCell::new([0; 3 * LARGEST_BASE_PAGE]));

/// Returns the address of the first of two neighbouring base pages of this process, both
/// present, since they have just been read.
pub(crate) fn touch_never_written() -> u64 {
    let page = 1usize << base_page_shift();
    let memory = NEVER_WRITTEN.0.get().cast::<u8>();
    let first = (page - memory as usize % page) % page;
    for offset in [first, first + page] {
        // SAFETY: the offsets are below twice the page size, the static is three
        // of the largest pages, always mapped and readable.
        let byte = unsafe { memory.add(offset).read_volatile() };
        // The value is used: Valgrind omits a load whose value is not.
        core::hint::black_box(byte);
    }
    (memory as usize + first) as u64
}

/// Returns the PID of the calling process.
pub(crate) fn own_pid() -> u32 {
    // SAFETY: takes no memory.
    check(unsafe { syscall!(Sysno::getpid) }).unwrap_or(0) as u32
}

/// Reads the target of a symbolic link with `readlinkat`. A target that does not fit is
/// cut.
pub(crate) fn readlinkat(dir: BorrowedFd<'_>, path: &[u8], buffer: &mut [u8]) -> Sys<usize> {
    if path.last() != Some(&0) {
        return Err(Errno::EINVAL);
    }
    let (path, to, len) = (path.as_ptr(), buffer.as_mut_ptr(), buffer.len());
    // SAFETY: a live, NUL-terminated string, and a live, exclusive buffer of which the
    // kernel writes at most the stated length.
    retry(|| check(unsafe { syscall!(Sysno::readlinkat, dir.raw(), path, to, len) }))
}

/// Returns the size that `stat` reports of a file below a directory.
#[inline(never)] // Keeps its buffer out of its callers' stack frames.
pub(crate) fn size_of_file(dir: BorrowedFd<'_>, path: &[u8]) -> Sys<u64> {
    Ok(statx(dir, path, k::AT_STATX_DONT_SYNC, k::STATX_SIZE)?.stx_size)
}

/// Returns the nanoseconds between the Epoch and the boot of the machine, suspended time
/// included, by the clocks now: exact to the microseconds between two readings. `None`
/// where the clocks cannot be read.
pub(crate) fn boot_time_nanos() -> Option<u64> {
    let since_boot = clock_nanos(k::CLOCK_BOOTTIME).ok()?;
    clock_nanos(k::CLOCK_REALTIME).ok()?.checked_sub(since_boot)
}

/// Returns whether the calling thread is its process's first, whose files `/proc/self` shows.
pub(crate) fn is_main_thread() -> bool {
    // SAFETY: takes no memory.
    let ids = unsafe { (syscall!(Sysno::getpid), syscall!(Sysno::gettid)) };
    ids.0 == ids.1
}

/// Calls `look` with the address of a fresh read-only private page, which can only be the
/// zero page: for processes that lock and so populate all their memory.
pub(crate) fn with_fresh_zero_page<T>(look: impl FnOnce(u64) -> T) -> Option<T> {
    let page = 1usize << base_page_shift();
    #[cfg(target_pointer_width = "64")]
    let call = Sysno::mmap;
    #[cfg(target_pointer_width = "32")]
    let call = Sysno::mmap2;
    let flags = k::MAP_PRIVATE | k::MAP_ANONYMOUS;
    // SAFETY: a new mapping at an address of the kernel's choice disturbs nobody.
    let address =
        check(unsafe { syscall!(call, 0, page, k::PROT_READ, flags, -1isize, 0) }).ok()?;
    // SAFETY: just mapped readable, for as long as this function runs.
    unsafe { (address as *const u8).read_volatile() };
    let result = look(address as u64);
    // SAFETY: exactly what was mapped above; no reference to it exists.
    let _ = unsafe { syscall!(Sysno::munmap, address, page) };
    Some(result)
}

/// Kind of wait of a thread in a system call.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum WaitCall {
    Time,
    Signal,
    SignalInformation,
    InheritingLock,
    Futex,
    Other,
}

/// Returns the kind of wait of a system call, by this architecture's numbers.
pub(crate) fn wait_of(number: u32, arguments: &[u64; 6]) -> WaitCall {
    match Sysno::new(number as usize) {
        Some(Sysno::nanosleep | Sysno::clock_nanosleep) => WaitCall::Time,
        Some(Sysno::rt_sigsuspend) => WaitCall::Signal,
        #[cfg(any(target_arch = "x86_64", target_arch = "x86", target_arch = "arm"))]
        Some(Sysno::pause) => WaitCall::Signal,
        Some(Sysno::rt_sigtimedwait) => WaitCall::SignalInformation,
        Some(Sysno::futex) => match arguments[1] as u32 & !FUTEX_OPTIONS {
            k::FUTEX_LOCK_PI | k::FUTEX_LOCK_PI2 | k::FUTEX_WAIT_REQUEUE_PI => {
                WaitCall::InheritingLock
            }
            _ => WaitCall::Futex,
        },
        #[cfg(target_pointer_width = "32")]
        Some(Sysno::clock_nanosleep_time64) => WaitCall::Time,
        #[cfg(target_pointer_width = "32")]
        Some(Sysno::futex_time64) => WaitCall::Futex,
        #[cfg(target_pointer_width = "32")]
        Some(Sysno::rt_sigtimedwait_time64) => WaitCall::SignalInformation,
        _ => WaitCall::Other,
    }
}

/// Bits of a futex operation that do not say which it is.
const FUTEX_OPTIONS: u32 = k::FUTEX_PRIVATE_FLAG | k::FUTEX_CLOCK_REALTIME;
