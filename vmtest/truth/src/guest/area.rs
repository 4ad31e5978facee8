//! Memory of each kind, which is shuffled and written in each round, and the expected
//! content of its pages. Knows nothing of physical addresses.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use truth::pattern::{self, PAGE, ZEROS};

use crate::ask::Sort;

/// Stamp of a page that must not be in memory. Stamps of rounds are small.
pub(crate) const UNBACKED: u64 = u64::MAX;

/// Stamp of a page that is still the file's.
const OF_FILE: u64 = 1;
/// Label of the first page of a file.
const FILE_LABEL: u64 = 1 << 46;

/// Stamp of the first round.
const FIRST_ROUND: u64 = 2;

const HUGE: u64 = 2 << 20;

/// Cheap generator of the same numbers in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Kind of an area, in the order of [`truth::slot::KINDS`].
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Small,
    Transparent,
    Huge,
    Gigantic,
    Memfd,
    File,
    PrivateCopy,
    Shared,
    OtherProcess,
    Zero,
    DevZero,
    DevZeroHuge,
    Dax,
    DaxCopy,
    DaxDeviceHuge,
    DaxDevice,
}

const MIB: u64 = 1 << 20;

/// Every kind with its size.
pub(crate) const AREAS: [(Kind, u64); 16] = [
    (Kind::Small, 192 * MIB),
    (Kind::Transparent, 256 * MIB),
    (Kind::Huge, 128 * MIB),
    (Kind::Gigantic, 1024 * MIB),
    (Kind::Memfd, 96 * MIB),
    (Kind::File, 96 * MIB),
    (Kind::PrivateCopy, 64 * MIB),
    (Kind::Shared, 64 * MIB),
    (Kind::OtherProcess, 96 * MIB),
    (Kind::Zero, 4 * MIB),
    (Kind::DevZero, 64 * MIB),
    (Kind::DevZeroHuge, 64 * MIB),
    (Kind::Dax, 24 * MIB),
    (Kind::DaxCopy, 16 * MIB),
    (Kind::DaxDeviceHuge, 32 * MIB),
    (Kind::DaxDevice, 32 * MIB),
];

/// Allocation unit of files, which the file system aligns (see
/// `xtask/src/vmtest/persistent.rs`).
const STRIPE: u64 = 4 * MIB;

/// An area with the stamp of each of its pages.
pub(crate) struct Area {
    pub(crate) kind: Kind,
    pub(crate) at: u64,
    pub(crate) pid: u32,
    pub(crate) stamps: Vec<u64>,
    fd: i32,
    random: Random,
    other: Option<Other>,
}

fn check(result: i32, what: &str) -> Result<i32, String> {
    match result {
        0.. => Ok(result),
        _ => Err(format!("{what}: {}", io::Error::last_os_error())),
    }
}

/// Maps memory at an address that is aligned to `alignment`, or over `instead` unless
/// that is 0.
fn map(size: u64, alignment: u64, flags: i32, fd: i32, instead: u64) -> Result<u64, String> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let mmap = |at: u64, size: u64, protection, flags, fd| {
        // SAFETY: a new mapping at an address of the kernel's choice, or over memory of
        // this program to which no reference exists.
        let at = unsafe { libc::mmap(at as *mut _, size as usize, protection, flags, fd, 0) };
        if at == libc::MAP_FAILED {
            return Err(format!("mmap: {}", io::Error::last_os_error()));
        }
        Ok(at as u64)
    };
    let place = match instead {
        0 => {
            let reserve = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
            mmap(0, size + alignment, libc::PROT_NONE, reserve, -1)?.next_multiple_of(alignment)
        }
        place => place,
    };
    mmap(place, size, protection, flags | libc::MAP_FIXED, fd)
}

/// Makes a file of this size, at `path` or as a memfd.
fn file(size: u64, path: Option<&std::ffi::CStr>) -> Result<i32, String> {
    let flags = libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC;
    // SAFETY: NUL-terminated names; the descriptor is new.
    let fd = unsafe {
        match path {
            Some(path) => libc::open(path.as_ptr(), flags, 0o600),
            None => libc::memfd_create(c"truth".as_ptr(), 0),
        }
    };
    let fd = check(fd, "a file")?;
    // SAFETY: no pointer is passed.
    let sized = unsafe { libc::ftruncate(fd, size as libc::off_t) };
    check(sized, "its size")?;
    Ok(fd)
}

fn device(path: &std::ffi::CStr) -> Result<i32, String> {
    // SAFETY: a NUL-terminated name; the descriptor is new.
    let fd = unsafe { libc::open(path.as_ptr(), libc::O_RDWR) };
    check(fd, &path.to_string_lossy())
}

impl Area {
    /// Makes an area of `size` bytes.
    pub(crate) fn make(kind: Kind, size: u64) -> Result<Self, String> {
        let fd = match kind {
            Kind::Memfd => file(size, None)?,
            Kind::File => file(size, Some(c"/dev/shm/file"))?,
            Kind::PrivateCopy => file(size, Some(c"/dev/shm/private"))?,
            Kind::Dax => file(size, Some(c"/dax/file"))?,
            Kind::DaxCopy => file(size, Some(c"/dax/private"))?,
            Kind::DevZero | Kind::DevZeroHuge => device(c"/dev/zero")?,
            Kind::DaxDeviceHuge => device(c"/dev/dax1.0")?,
            Kind::DaxDevice => device(c"/dev/dax2.0")?,
            _ => -1,
        };
        let mut area = Self {
            kind,
            at: 0,
            pid: 0,
            stamps: vec![UNBACKED; (size / PAGE) as usize],
            fd,
            random: Random(size ^ kind as u64),
            other: None,
        };
        area.map()?;
        match kind {
            Kind::PrivateCopy | Kind::DaxCopy => area.write_file()?,
            Kind::OtherProcess => {
                let other = Other::fork(area.at, size)?;
                area.pid = other.pid;
                area.other = Some(other);
            }
            _ => {}
        }
        Ok(area)
    }

    pub(crate) fn size(&self) -> u64 {
        self.stamps.len() as u64 * PAGE
    }

    /// Maps it, also again at the same address.
    fn map(&mut self) -> Result<(), String> {
        let anonymous = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let (flags, alignment) = match self.kind {
            Kind::Small | Kind::Transparent | Kind::OtherProcess | Kind::Zero => (anonymous, HUGE),
            Kind::Huge => (
                anonymous | libc::MAP_HUGETLB | 21 << libc::MAP_HUGE_SHIFT,
                HUGE,
            ),
            Kind::Gigantic => (
                anonymous | libc::MAP_HUGETLB | 30 << libc::MAP_HUGE_SHIFT,
                1 << 30,
            ),
            Kind::Memfd | Kind::File => (libc::MAP_SHARED, HUGE),
            Kind::Dax | Kind::DaxDeviceHuge | Kind::DaxDevice => (libc::MAP_SHARED, HUGE),
            Kind::PrivateCopy | Kind::DaxCopy => (libc::MAP_PRIVATE, HUGE),
            Kind::DevZero | Kind::DevZeroHuge => (libc::MAP_PRIVATE, HUGE),
            Kind::Shared => (libc::MAP_SHARED | libc::MAP_ANONYMOUS, HUGE),
        };
        self.at = map(self.size(), alignment, flags, self.fd, self.at)?;
        let advice = match self.kind {
            Kind::Huge | Kind::Gigantic => return Ok(()),
            // Of their own accord the kernel maps them as it can.
            Kind::Dax | Kind::DaxDeviceHuge | Kind::DaxDevice => return Ok(()),
            Kind::Transparent | Kind::DevZeroHuge => libc::MADV_HUGEPAGE,
            _ => libc::MADV_NOHUGEPAGE,
        };
        self.advise(0, self.stamps.len(), advice)
    }

    fn page(&self, index: usize) -> u64 {
        self.at + index as u64 * PAGE
    }

    fn advise(&self, first: usize, pages: usize, advice: i32) -> Result<(), String> {
        let (at, size) = (self.page(first), pages as u64 * PAGE);
        // SAFETY: our own memory, to which nobody refers.
        let result = unsafe { libc::madvise(at as *mut _, size as usize, advice) };
        check(result, "madvise").map(drop)
    }

    /// Returns the label of a page: its address, or for a file's own page its position in
    /// the file.
    pub(crate) fn label(&self, index: usize) -> u64 {
        match self.stamps[index] {
            OF_FILE => FILE_LABEL + index as u64 * PAGE,
            _ => self.page(index),
        }
    }

    /// Returns the sort of memory that a page is.
    pub(crate) fn sort(&self, index: usize) -> Sort {
        match (self.kind, self.stamps[index]) {
            (_, ZEROS) => Sort::Zero,
            (Kind::Dax | Kind::DaxDeviceHuge | Kind::DaxDevice, _) => Sort::Device,
            (Kind::DaxCopy, OF_FILE) => Sort::Device,
            _ => Sort::Ram,
        }
    }

    fn write(&mut self, index: usize, stamp: u64) {
        self.stamps[index] = stamp;
        let (at, label) = (self.page(index), self.label(index));
        // SAFETY: a page of this area, to which no reference exists.
        unsafe { pattern::write(at as *mut u64, stamp, label) };
    }

    fn read(&self, index: usize) {
        // SAFETY: a byte of this area.
        unsafe { (self.page(index) as *const u8).read_volatile() };
    }

    fn write_file(&mut self) -> Result<(), String> {
        let mut page = [0u64; pattern::WORDS];
        for index in 0..self.stamps.len() {
            let offset = index as u64 * PAGE;
            // SAFETY: a whole page.
            unsafe { pattern::write(page.as_mut_ptr(), OF_FILE, FILE_LABEL + offset) };
            let (from, size) = (page.as_ptr().cast(), PAGE as usize);
            // SAFETY: the buffer has this size.
            let written = unsafe { libc::pwrite(self.fd, from, size, offset as libc::off_t) };
            if written != PAGE as isize {
                return Err(format!("pwrite: {}", io::Error::last_os_error()));
            }
        }
        Ok(())
    }

    /// Writes every page, in an order in which no two neighbours follow each other.
    fn fill(&mut self, stamp: u64) {
        let count = self.stamps.len();
        // A prime that divides no count.
        let stride = 7919;
        let mut index = 0;
        for _ in 0..count {
            index = (index + stride) % count;
            self.write(index, stamp);
        }
    }

    fn fill_in_order(&mut self, stamp: u64) {
        for index in 0..self.stamps.len() {
            self.write(index, stamp);
        }
    }

    /// Gives up pages, by the call that their kind needs.
    fn give_up(&mut self, index: usize, pages: usize) -> Result<(), String> {
        self.stamps[index..index + pages].fill(UNBACKED);
        match self.kind {
            Kind::Memfd | Kind::File | Kind::Dax => {
                let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
                let (offset, size) = (index as u64 * PAGE, pages as u64 * PAGE);
                // SAFETY: no pointer is passed.
                let result = unsafe { libc::fallocate(self.fd, mode, offset as i64, size as i64) };
                check(result, "fallocate").map(drop)
            }
            Kind::Shared => self.advise(index, pages, libc::MADV_REMOVE),
            _ => self.advise(index, pages, libc::MADV_DONTNEED),
        }
    }

    /// Gives up all of a file and allocates it in large pieces again.
    fn allocate_anew(&mut self) -> Result<(), String> {
        self.give_up(0, self.stamps.len())?;
        for offset in (0..self.size()).step_by(STRIPE as usize) {
            // SAFETY: no pointer is passed.
            let result = unsafe { libc::fallocate(self.fd, 0, offset as i64, STRIPE as i64) };
            check(result, "fallocate")?;
        }
        Ok(())
    }

    /// Shuffles the area and writes this round's pattern.
    pub(crate) fn next(&mut self, round: u64) -> Result<(), String> {
        let stamp = round + FIRST_ROUND;
        let count = self.stamps.len();
        match self.kind {
            Kind::Small => {
                if round % 8 == 0 {
                    self.map()?;
                }
                for _ in 0..count / 16 {
                    let index = self.random.below(count as u64) as usize;
                    self.give_up(index, 1)?;
                }
                self.fill(stamp);
                // These stay unbacked.
                for _ in 0..count / 64 {
                    let index = self.random.below(count as u64) as usize;
                    self.give_up(index, 1)?;
                }
            }
            Kind::Transparent => {
                if round % 4 == 0 {
                    self.give_up(0, count)?;
                } else {
                    // Each splits a huge page, and returns as a small page.
                    for _ in 0..8 {
                        let index = self.random.below(count as u64) as usize;
                        self.give_up(index, 1)?;
                    }
                }
                self.fill_in_order(stamp);
            }
            Kind::Huge => {
                if round % 4 == 0 {
                    self.map()?;
                }
                self.fill_in_order(stamp);
            }
            Kind::Gigantic => self.fill_in_order(stamp),
            Kind::Memfd | Kind::File | Kind::Shared => {
                for _ in 0..count / 32 {
                    let index = self.random.below(count as u64) as usize;
                    self.give_up(index, 1)?;
                }
                self.fill(stamp);
            }
            Kind::PrivateCopy | Kind::DaxCopy => {
                // Removes the copies; a read then maps the file's pages.
                self.give_up(0, count)?;
                for index in 0..count {
                    self.read(index);
                    self.stamps[index] = OF_FILE;
                }
                for _ in 0..count / 2 {
                    let index = self.random.below(count as u64) as usize;
                    self.write(index, stamp);
                }
            }
            Kind::OtherProcess => {
                let other = self.other.as_ref().ok_or("no other process")?;
                other.fill(stamp)?;
                self.stamps.fill(stamp);
            }
            Kind::Zero => {
                self.give_up(0, count)?;
                for index in 0..count {
                    self.read(index);
                    self.stamps[index] = ZEROS;
                }
            }
            Kind::DevZero => {
                self.give_up(0, count)?;
                for index in 0..count {
                    match self.random.below(4) {
                        0 => {}
                        1 => {
                            self.read(index);
                            self.stamps[index] = ZEROS;
                        }
                        _ => self.write(index, stamp),
                    }
                }
            }
            Kind::DevZeroHuge => {
                self.give_up(0, count)?;
                let pages = (HUGE / PAGE) as usize;
                for first in (0..count).step_by(pages) {
                    if (first / pages + round as usize) % 2 == 0 {
                        // One fault maps the whole huge zero page.
                        self.read(first);
                        self.stamps[first..first + pages].fill(ZEROS);
                    } else {
                        (first..first + pages).for_each(|index| self.write(index, stamp));
                    }
                }
            }
            Kind::Dax => {
                if round % 4 == 0 {
                    self.allocate_anew()?;
                } else {
                    for _ in 0..8 {
                        let index = self.random.below(count as u64) as usize;
                        self.give_up(index, 1)?;
                    }
                }
                self.fill_in_order(stamp);
            }
            Kind::DaxDeviceHuge | Kind::DaxDevice => {
                if round % 4 == 0 {
                    self.map()?;
                }
                self.fill(stamp);
            }
        }
        Ok(())
    }
}

/// A forked process that fills its own copy of an area on request.
struct Other {
    pid: u32,
    /// Requested stamp, in shared memory.
    wanted: &'static AtomicU64,
    /// Stamp that is written, in shared memory.
    there: &'static AtomicU64,
}

const GONE: u64 = u64::MAX;

impl Other {
    fn fork(at: u64, size: u64) -> Result<Self, String> {
        let shared = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        let words = map(PAGE, PAGE, shared, -1, 0)? as *mut u64;
        // SAFETY: the page is never unmapped, and only these two words are used.
        let (wanted, there) = unsafe {
            (
                AtomicU64::from_ptr(words),
                AtomicU64::from_ptr(words.add(1)),
            )
        };
        // SAFETY: this process has one thread, and the child never returns.
        let pid = check(unsafe { libc::fork() }, "fork")?;
        if pid == 0 {
            // SAFETY: no pointer is passed.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            fill_on_request(at, size, wanted, there);
        }
        Ok(Self {
            pid: pid as u32,
            wanted,
            there,
        })
    }

    fn fill(&self, stamp: u64) -> Result<(), String> {
        self.wanted.store(stamp, Ordering::SeqCst);
        loop {
            match self.there.load(Ordering::SeqCst) {
                there if there == stamp => return Ok(()),
                GONE => return Err("the other process failed".to_owned()),
                _ => std::thread::sleep(Duration::from_micros(200)),
            }
        }
    }
}

fn fill_on_request(at: u64, size: u64, wanted: &AtomicU64, there: &AtomicU64) -> ! {
    let mut last = 0;
    loop {
        let stamp = wanted.load(Ordering::SeqCst);
        if stamp == last {
            std::thread::sleep(Duration::from_micros(200));
            continue;
        }
        if stamp % 3 == 0 {
            // SAFETY: this process's own copy, to which no reference exists.
            let given_up =
                unsafe { libc::madvise(at as *mut _, size as usize, libc::MADV_DONTNEED) };
            if given_up != 0 {
                there.store(GONE, Ordering::SeqCst);
            }
        }
        for page in (at..at + size).step_by(PAGE as usize) {
            // SAFETY: a page of the same copy.
            unsafe { pattern::write(page as *mut u64, stamp, page) };
        }
        last = stamp;
        there.store(stamp, Ordering::SeqCst);
    }
}
