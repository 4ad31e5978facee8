//! `userfaultfd` for tests: pages that are marked without being present. Knows nothing
//! of walks.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

const API: u64 = 0xaa;
/// `UFFD_FEATURE_WP_HUGETLBFS_SHMEM` (Linux 5.19).
pub const WP_HUGETLBFS_SHMEM: u64 = 1 << 12;
/// `UFFD_FEATURE_WP_UNPOPULATED` (Linux 6.4).
pub const WP_UNPOPULATED: u64 = 1 << 13;
/// `UFFD_FEATURE_POISON` (Linux 6.6).
pub const POISON: u64 = 1 << 14;

/// `UFFDIO_REGISTER_MODE_MISSING` and `UFFDIO_REGISTER_MODE_WP`.
const MODE_MISSING: u64 = 1;
const MODE_WP: u64 = 2;

const UFFDIO_API: u32 = 0xc018_aa3f;
const UFFDIO_REGISTER: u32 = 0xc020_aa00;
const UFFDIO_WRITEPROTECT: u32 = 0xc018_aa06;
const UFFDIO_POISON: u32 = 0xc020_aa08;

/// A descriptor. Its marks, except poison, end when it is closed.
#[derive(Debug)]
pub struct Userfaultfd(OwnedFd);

impl Userfaultfd {
    /// Opens one with these features; `None` where the kernel lacks them or refuses.
    pub fn open(features: u64) -> Option<Self> {
        // SAFETY: takes no memory; the descriptor is new and ours.
        let this = unsafe {
            let fd = libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC | libc::O_NONBLOCK);
            if fd < 0 {
                return None;
            }
            Self(OwnedFd::from_raw_fd(fd as i32))
        };
        this.call(UFFDIO_API, &mut [API, features, 0])
            .then_some(this)
    }

    /// Registers a range for missing and write-protected pages.
    pub fn register(&self, start: u64, size: u64) -> bool {
        let mut argument = [start, size, MODE_MISSING | MODE_WP, 0];
        self.call(UFFDIO_REGISTER, &mut argument)
    }

    /// Marks pages as poisoned: access raises SIGBUS.
    pub fn poison(&self, start: u64, size: u64) -> bool {
        self.call(UFFDIO_POISON, &mut [start, size, 0, 0])
    }

    /// Write-protects pages, also those that are not present.
    pub fn write_protect(&self, start: u64, size: u64) -> bool {
        self.call(UFFDIO_WRITEPROTECT, &mut [start, size, 1])
    }

    fn call<const N: usize>(&self, request: u32, argument: &mut [u64; N]) -> bool {
        // SAFETY: a live struct of the size that the request states; of memory it
        // changes page-table entries of mappings that a test made.
        let result = unsafe {
            libc::ioctl(
                self.0.as_raw_fd(),
                request as libc::Ioctl,
                argument.as_mut_ptr(),
            )
        };
        result >= 0
    }

    /// Leaves the descriptor open, for a target that sleeps.
    pub fn leak(self) {
        std::mem::forget(self);
    }
}
