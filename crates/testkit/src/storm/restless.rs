//! A target that changes its memory forever in every way that a process can, except a
//! few locked pages in the middle. Knows nothing of walks.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::memory::{self, page};
use crate::random::Random;
use crate::target::Target;

/// Number of changing base pages.
const SMALL: u64 = 2048;
/// Number of huge pages that are collapsed and split.
const HUGE: u64 = 6;
const HUGE_SIZE: u64 = 2 << 20;
/// Number of locked pages, in the middle of the small ones.
pub(super) const PINNED: u64 = 8;

/// Since Linux 6.1.
const MADV_COLLAPSE: i32 = 25;

/// The target and the addresses of its memory.
#[derive(Debug)]
pub(super) struct Restless {
    pub(super) target: Target,
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) pinned: u64,
    moved: &'static AtomicU64,
}

impl Restless {
    pub(super) fn spawn(seed: u64) -> Self {
        let shared = memory::map(page(), libc::MAP_SHARED | libc::MAP_ANONYMOUS, -1);
        // SAFETY: a page of zeros, aligned, that is never unmapped; whoever shares
        // it uses it as this.
        let moved = unsafe { &*(shared as *const AtomicU64) };
        let target = Target::spawn_reporting(|report| {
            let area = Area::make(moved);
            report.send(&[area.small, area.end(), area.pinned()]);
            let mut random = Random::new(seed);
            loop {
                area.change(&mut random);
            }
        });
        let [start, end, pinned] = *target.addresses() else {
            panic!("a report of three addresses")
        };
        Self {
            target,
            start,
            end,
            pinned,
            moved,
        }
    }

    /// Returns the number of pages moved to another node so far.
    pub(super) fn moved(&self) -> u64 {
        self.moved.load(Ordering::Relaxed)
    }
}

struct Area {
    small: u64,
    huge: u64,
    memfd: i32,
    zeros: i32,
    file: i32,
    nodes: Vec<i32>,
    moved: &'static AtomicU64,
}

impl Area {
    fn make(moved: &'static AtomicU64) -> Self {
        let size = SMALL * page() + HUGE * HUGE_SIZE;
        // The order does not matter; behind the huge pages all is aligned.
        let aligned = memory::aligned(size + HUGE_SIZE, HUGE_SIZE);
        let small = aligned;
        let huge = (small + SMALL * page()).next_multiple_of(HUGE_SIZE);
        memory::advise(small, SMALL * page(), libc::MADV_NOHUGEPAGE);
        memory::advise(huge, HUGE * HUGE_SIZE, libc::MADV_HUGEPAGE);
        let this = Self {
            small,
            huge,
            memfd: memory::memfd(SMALL * page()),
            zeros: memory::open_to_read("/dev/zero"),
            file: memory::open_to_read("/proc/self/exe"),
            nodes: nodes(),
            moved,
        };
        let (pinned, bytes) = (this.pinned(), PINNED * page());
        memory::touch(pinned, PINNED, 1);
        // SAFETY: the pages were mapped just now.
        unsafe {
            assert_eq!(libc::mlock(pinned as *const _, bytes as usize), 0, "mlock");
        }
        // Not shared with children, so never copied.
        assert!(memory::advise(pinned, bytes, libc::MADV_DONTFORK));
        this
    }

    fn end(&self) -> u64 {
        self.huge + HUGE * HUGE_SIZE
    }

    fn pinned(&self) -> u64 {
        self.small + SMALL / 2 * page()
    }

    fn change(&self, random: &mut Random) {
        if random.below(4) == 0 {
            self.change_huge(random);
            return;
        }
        let Some((low, high)) = self.some_small(random) else {
            return;
        };
        let size = high - low;
        let map = |protection, flags, fd, offset: u64| {
            // SAFETY: over memory of this area that nothing refers to.
            unsafe {
                let (at, length) = (low as *mut _, size as usize);
                let flags = flags | libc::MAP_FIXED;
                libc::mmap(at, length, protection, flags, fd, offset as libc::off_t);
            }
        };
        let (read, write) = (libc::PROT_READ, libc::PROT_READ | libc::PROT_WRITE);
        match random.below(12) {
            0 => self.protect(low, size, read),
            1 => self.protect(low, size, write),
            2 => {
                memory::advise(low, size, libc::MADV_DONTNEED);
            }
            3 | 4 => self.write(low, size),
            5 => memory::unmap(low, size),
            6 => map(write, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0),
            7 => map(write, libc::MAP_SHARED, self.memfd, low - self.small),
            8 => map(write, libc::MAP_PRIVATE, self.file, 0),
            9 => self.remap(low, size, random),
            10 => self.fork(low, size),
            _ => {
                memory::advise(low, size, libc::MADV_PAGEOUT);
            }
        }
    }

    /// Returns a part of the small pages without locked ones.
    fn some_small(&self, random: &mut Random) -> Option<(u64, u64)> {
        let first = random.below(SMALL);
        let count = 1 + random.below((SMALL - first).min(400));
        let (low, high) = (
            self.small + first * page(),
            self.small + (first + count) * page(),
        );
        let pinned = self.pinned();
        (high <= pinned || low >= pinned + PINNED * page()).then_some((low, high))
    }

    /// `mprotect` of its mapped parts.
    fn protect(&self, low: u64, size: u64, protection: i32) {
        // SAFETY: memory of this area, which nothing refers to.
        unsafe { libc::mprotect(low as *mut _, size as usize, protection) };
    }

    /// Makes the kernel write, which is an error instead of a signal where it cannot.
    fn write(&self, low: u64, size: u64) {
        for at in (low..low + size).step_by(page() as usize) {
            // SAFETY: a byte of this area, which nothing refers to.
            unsafe { libc::read(self.zeros, at as *mut _, 1) };
        }
    }

    /// Moves a part of the memory to another place.
    fn remap(&self, low: u64, size: u64, random: &mut Random) {
        let Some((to, to_high)) = self.some_small(random) else {
            return;
        };
        let size = size.min(to_high - to);
        if low < to + size && to < low + size {
            return;
        }
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        // SAFETY: both parts are of this area, and nothing refers to them.
        unsafe {
            let (size, to) = (size as usize, to as *mut libc::c_void);
            libc::mremap(low as *mut _, size, size, flags, to);
        }
    }

    /// Forks a child that writes, so that pages are shared, copied, and released.
    fn fork(&self, low: u64, size: u64) {
        // SAFETY: the child makes system calls only and ends at once.
        unsafe {
            let child = libc::fork();
            if child == 0 {
                self.write(low, size / 2);
                libc::_exit(0);
            }
            self.write(low, size);
            if child > 0 {
                libc::waitpid(child, std::ptr::null_mut(), 0);
            }
        }
    }

    fn change_huge(&self, random: &mut Random) {
        let at = self.huge + random.below(HUGE) * HUGE_SIZE;
        let inside = at + random.below(HUGE_SIZE / page()) * page();
        match random.below(6) {
            0 => {
                memory::advise(at, HUGE_SIZE, MADV_COLLAPSE);
            }
            1 | 2 => {
                // Split, with its page mapped back from another place.
                memory::advise(inside, page(), libc::MADV_DONTNEED);
                self.write(inside, page());
            }
            3 => {
                memory::advise(at, HUGE_SIZE, libc::MADV_DONTNEED);
                self.write(at, page());
            }
            4 => self.migrate(random),
            _ => {
                memory::advise(at, HUGE_SIZE, libc::MADV_PAGEOUT);
                self.write(at, HUGE_SIZE);
            }
        }
    }

    /// Moves all pages that are not locked to another node, where there are several.
    fn migrate(&self, random: &mut Random) {
        if self.nodes.len() < 2 {
            return;
        }
        let node = self.nodes[random.below(self.nodes.len() as u64) as usize];
        let pages: Vec<usize> = (0..HUGE)
            .map(|index| (self.huge + index * HUGE_SIZE) as usize)
            .collect();
        let before = move_pages(&pages, None);
        let after = move_pages(&pages, Some(&vec![node; pages.len()]));
        let is_moved = |(before, after): &(&i32, &i32)| **before >= 0 && before != after;
        let moved = before.iter().zip(&after).filter(is_moved);
        let moved = moved.filter(|(_, after)| **after == node).count();
        self.moved.fetch_add(moved as u64, Ordering::Relaxed);
    }
}

/// Moves pages of this process to nodes, or only queries their places; returns for each
/// its node now, or a negative number.
fn move_pages(pages: &[usize], to: Option<&[i32]>) -> Vec<i32> {
    const MPOL_MF_MOVE: usize = 2;
    let mut status = vec![-1i32; pages.len()];
    // SAFETY: live arrays of the stated length, or none.
    unsafe {
        libc::syscall(
            libc::SYS_move_pages,
            0usize,
            pages.len(),
            pages.as_ptr(),
            to.map_or(std::ptr::null(), <[i32]>::as_ptr),
            status.as_mut_ptr(),
            MPOL_MF_MOVE,
        );
    }
    status
}

/// Returns the numbers of the machine's nodes with memory, at most 64.
fn nodes() -> Vec<i32> {
    let directory = "/sys/devices/system/node";
    let is_there = |node: &i32| std::path::Path::new(&format!("{directory}/node{node}")).exists();
    (0..64).filter(is_there).collect()
}
