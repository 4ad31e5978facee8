//! A target that has some memory of every kind that a walk treats differently, and
//! sleeps.

use crate::memory::{self, page};
use crate::scale::scaled;
use crate::target::{Report, Target};
use crate::thread;

/// Addresses of such a target's memory.
#[derive(Copy, Clone, Debug)]
pub struct Varied {
    /// [`DENSE`] pages, each touched.
    pub dense: u64,
    /// [`HUGE`] pages of 2 MiB, with [`BESIDE`] base pages on either side; huge
    /// where the kernel has them.
    pub huge: u64,
    /// A private mapping of the program's file, its first page a copy.
    pub file: u64,
}

/// See [`Varied::dense`].
pub const DENSE: u64 = 700;
/// See [`Varied::huge`].
pub const HUGE: u64 = 3;
/// See [`Varied::huge`].
pub const BESIDE: u64 = 2;
/// The size of a huge page.
pub const HUGE_SIZE: u64 = 2 << 20;

impl Varied {
    /// Creates the memory in the calling process.
    pub fn make() -> Self {
        let dense = memory::anonymous(DENSE * page());
        // Backwards, so that it is not one run.
        for index in (0..DENSE).rev() {
            memory::touch(dense + index * page(), 1, 1);
        }
        // Much address space with few pages.
        let size = scaled(1 << 30);
        let sparse = memory::anonymous(size);
        memory::touch(sparse, 20, size / 32 / page());
        // Zero pages, and holes.
        let read = memory::anonymous(300 * page());
        memory::read(read, 5);
        memory::touch(read + 10 * page(), 60, 3);
        // Many small mappings.
        let small = memory::anonymous(300 * page());
        memory::touch(small, 300, 1);
        for index in (0..300).step_by(2) {
            memory::protect(small + index * page(), page(), libc::PROT_READ);
        }
        let size = HUGE * HUGE_SIZE + 2 * HUGE_SIZE;
        let huge = memory::aligned(size, HUGE_SIZE) + HUGE_SIZE;
        memory::advise(huge, HUGE * HUGE_SIZE, libc::MADV_HUGEPAGE);
        memory::touch(huge, HUGE, HUGE_SIZE / page());
        memory::touch(huge - BESIDE * page(), BESIDE, 1);
        memory::touch(huge + HUGE * HUGE_SIZE, BESIDE, 1);
        let shared = memory::map(64 * page(), libc::MAP_SHARED, memory::memfd(64 * page()));
        memory::touch(shared, 16, 4);
        let program = memory::open_to_read("/proc/self/exe");
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let file = memory::try_map(8 * page(), access, libc::MAP_PRIVATE, program, 0);
        let file = file.expect("a mapping of the program's file");
        memory::touch(file, 1, 1);
        memory::read(file, 8);
        memory::keep_page_sizes();
        Self { dense, huge, file }
    }

    /// Creates the memory in a target.
    pub fn spawn() -> (Target, Self) {
        Self::of(Target::spawn(|| Self::make().to_addresses()))
    }

    /// Creates the memory in a target whose first thread has ended.
    pub fn spawn_without_first_thread() -> (Target, Self) {
        Self::of(Target::spawn_reporting(|report: Report| {
            let addresses = Self::make().to_addresses();
            // SAFETY: takes no memory.
            let first = unsafe { libc::getpid() };
            thread::start(move || {
                while !is_zombie(first) {
                    std::thread::yield_now();
                }
                report.send(&addresses);
                report.wait();
            });
            // SAFETY: ends this thread only; its stack is not used again.
            unsafe { libc::syscall(libc::SYS_exit, 0) };
        }))
    }

    /// Returns the range of the huge pages and those beside them.
    pub fn around_huge(&self) -> std::ops::Range<u64> {
        let beside = BESIDE * page();
        self.huge - beside..self.huge + HUGE * HUGE_SIZE + beside
    }

    fn to_addresses(self) -> Vec<u64> {
        vec![self.dense, self.huge, self.file]
    }

    fn of(target: Target) -> (Target, Self) {
        let [dense, huge, file] = *target.addresses() else {
            panic!("a report of three addresses")
        };
        (target, Self { dense, huge, file })
    }
}

fn is_zombie(pid: libc::pid_t) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("stat");
    stat.rsplit(") ")
        .next()
        .is_some_and(|rest| rest.starts_with('Z'))
}
