//! The system calls of one address, issued bare: exactly those of the C library, in
//! its order, with nothing between them. `cargo test` and the benchmark compare
//! these lists with the calls that strace sees.

use std::ffi::{CStr, CString};

use syscalls::{syscall, Sysno};
use testkit::memory::{self, page};

use super::kept;

/// The calls for the calling process, each with the reason why it is necessary.
pub(crate) const OWN: &[(&str, &str)] = &[
    ("openat", "`/proc/self`: all files of a call come from one directory, and therefore from one process"),
    ("getpid", "determines whether this is the first thread, ..."),
    ("gettid", "... because after its end `/proc/self` shows its remains, and a thread's directory must be used"),
    ("openat", "`maps`, for the mapping's flags, borders and object"),
    ("openat", "`pagemap`, for the frame"),
    ("pread64", "two entries of the caller's own pages: whether this caller sees frame numbers, and which frame is the zero page"),
    ("ioctl", "`PROCMAP_QUERY`: the mapping"),
    ("pread64", "the page's entry"),
    ("rt_sigprocmask", "makes the kernel store into the caller's buffer, so that a bad buffer is EFAULT and no signal"),
    ("close", "the directory"),
    ("close", "`maps`"),
    ("close", "`pagemap`"),
];

/// The calls for another process.
pub(crate) const OTHER: &[(&str, &str)] = &[
    ("pidfd_open", "refers to the process: a reuse of its number is noticed"),
    ("openat", "the pidfd's `fdinfo`, ..."),
    ("pread64", "... which has the number of the process in this `/proc`, whose PID namespace may differ from the caller's"),
    ("close", "`fdinfo`"),
    ("openat", "`/proc/PID`: all files of a call come from one directory"),
    ("openat", "`auxv`, before the others are opened, ..."),
    ("pread64", "... and its contents, which an exec changes"),
    ("close", "`auxv`"),
    ("openat", "`maps`"),
    ("openat", "`pagemap`"),
    ("openat", "`auxv` again: if it has changed, the two above may belong to two memories"),
    ("pread64", "its contents"),
    ("close", "`auxv`"),
    ("openat", "the caller's own `pagemap`, ..."),
    ("pread64", "... two entries of it: whether this caller sees frame numbers, and which frame is the zero page"),
    ("close", "the caller's own `pagemap`"),
    ("pidfd_send_signal", "signal 0: the process still exists, so all files opened by its number are its own"),
    ("close", "the pidfd"),
    ("ioctl", "`PROCMAP_QUERY`: the mapping"),
    ("pread64", "the page's entry"),
    ("rt_sigprocmask", "makes the kernel store into the caller's buffer, so that a bad buffer is EFAULT and no signal"),
    ("close", "the directory"),
    ("close", "`maps`"),
    ("close", "`pagemap`"),
];

/// Length of the name buffer that the library passes to the query.
const NAME: usize = 192;

/// Arguments of the calls, prepared beforehand.
pub(crate) struct Bare {
    /// Two pages that were only ever read.
    own_page: u64,
    /// Buffer in which the kernel stores a signal mask.
    result: [u64; 6],
    directory: CString,
    fdinfo: CString,
    fdinfo_of: usize,
}

impl Bare {
    /// Prepares the calls for a process; 0 is the calling one.
    pub(crate) fn new(pid: u32) -> Self {
        let own_page = memory::anonymous(2 * page());
        memory::read(own_page, 2);
        let directory = match pid {
            0 => "/proc/self".to_owned(),
            pid => format!("/proc/{pid}"),
        };
        Self {
            own_page,
            result: [0; 6],
            directory: CString::new(directory).expect("a path"),
            fdinfo: CString::default(),
            fdinfo_of: usize::MAX,
        }
    }

    /// Makes the calls of [`OWN`]; returns the page's entry.
    pub(crate) fn own(&mut self, address: u64) -> u64 {
        // SAFETY: takes no memory.
        let who = |number| unsafe { syscall!(number) };
        let directory = self.open_directory();
        _ = (who(Sysno::getpid), who(Sysno::gettid));
        let maps = open(directory, c"maps", 0);
        let pagemap = open(directory, c"pagemap", 0);
        self.look_at_own_page(pagemap);
        let entry = self.entry_and_probe(maps, pagemap, address);
        close(directory);
        close(maps);
        close(pagemap);
        entry
    }

    /// Makes the calls of [`OTHER`]; returns the page's entry.
    pub(crate) fn other(&mut self, pid: u32, address: u64) -> u64 {
        // SAFETY: takes no memory.
        let pidfd = unsafe { syscall!(Sysno::pidfd_open, pid, 0) }.expect("pidfd_open");
        // The number is nearly always the same; formatting the path makes no system
        // call.
        if self.fdinfo_of != pidfd {
            let path = format!("/proc/thread-self/fdinfo/{pidfd}");
            self.fdinfo = CString::new(path).expect("a path");
            self.fdinfo_of = pidfd;
        }
        let mut text = [0u8; 256];
        let fdinfo = open(CWD, &self.fdinfo, 0);
        read(fdinfo, &mut text, 0);
        close(fdinfo);
        let directory = self.open_directory();
        read_auxv(directory);
        let maps = open(directory, c"maps", 0);
        let pagemap = open(directory, c"pagemap", 0);
        read_auxv(directory);
        let own = open(CWD, c"/proc/thread-self/pagemap", 0);
        self.look_at_own_page(own);
        close(own);
        // SAFETY: takes no memory without a siginfo.
        let there = unsafe { syscall!(Sysno::pidfd_send_signal, pidfd, 0, 0, 0) };
        there.expect("the target has ended");
        close(pidfd);
        let entry = self.entry_and_probe(maps, pagemap, address);
        close(directory);
        close(maps);
        close(pagemap);
        entry
    }

    #[inline(always)]
    fn open_directory(&self) -> usize {
        open(CWD, &self.directory, libc::O_PATH | libc::O_DIRECTORY)
    }

    #[inline(always)]
    fn look_at_own_page(&self, pagemap: usize) {
        let mut entries = [0u8; 16];
        let size = read(pagemap, &mut entries, self.own_page / page() * 8);
        assert_eq!(size, 16, "one's own entries");
    }

    #[inline(always)]
    fn entry_and_probe(&mut self, maps: usize, pagemap: usize, address: u64) -> u64 {
        let mut name = [0u8; NAME];
        assert_eq!(kept::query(maps, address, &mut name), Ok(0));
        let mut entry = [0u8; 8];
        assert_eq!(read(pagemap, &mut entry, address / page() * 8), 8);
        let to = self.result.as_mut_ptr();
        // SAFETY: without a new mask the call only stores the present one, of
        // this size, into a live buffer.
        let stored = unsafe {
            syscall!(
                Sysno::rt_sigprocmask,
                libc::SIG_BLOCK,
                0,
                to,
                size_of::<u64>()
            )
        };
        assert_eq!(stored, Ok(0));
        u64::from_ne_bytes(entry)
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        memory::unmap(self.own_page, 2 * page());
    }
}

#[inline(always)]
fn read_auxv(directory: usize) {
    let mut words = [0u8; 512];
    let auxv = open(directory, c"auxv", 0);
    read(auxv, &mut words, 0);
    close(auxv);
}

const CWD: usize = libc::AT_FDCWD as usize;

#[inline(always)]
fn open(directory: usize, path: &CStr, flags: i32) -> usize {
    let flags = libc::O_RDONLY | libc::O_CLOEXEC | flags;
    // SAFETY: a live, NUL-terminated string.
    let fd = unsafe { syscall!(Sysno::openat, directory, path.as_ptr(), flags, 0) };
    fd.expect("an open file")
}

#[inline(always)]
pub(super) fn read(fd: usize, buffer: &mut [u8], offset: u64) -> usize {
    // SAFETY: a live, exclusive buffer with its length.
    let size = unsafe {
        syscall!(
            Sysno::pread64,
            fd,
            buffer.as_mut_ptr(),
            buffer.len(),
            offset
        )
    };
    size.expect("bytes")
}

#[inline(always)]
fn close(fd: usize) {
    // SAFETY: a descriptor of this module's own; closing touches no memory.
    _ = unsafe { syscall!(Sysno::close, fd) };
}
