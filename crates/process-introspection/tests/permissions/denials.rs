//! The second table: what is left when a seccomp filter denies one system call
//! of a walk to root.

use crate::table::Expected::{self, Filters, FiltersWithPidfs, FiltersWithText, Given};
use crate::table::Whom::{Itself, Roots, RootsUnique};
use crate::table::{line, Line, ALL};

/// A system call that is denied, once with EPERM and once with ENOSYS: a row of
/// the table, and a test.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Denial {
    /// The test's name.
    pub(crate) name: &'static str,
    /// As the document says it.
    pub(crate) words: &'static str,
    pub(crate) calls: &'static [libc::c_long],
    pub(crate) lines: &'static [Line],
}

const fn denial(
    name: &'static str,
    words: &'static str,
    calls: &'static [libc::c_long],
    lines: &'static [Line],
) -> Denial {
    Denial {
        name,
        words,
        calls,
        lines,
    }
}

#[cfg(target_pointer_width = "64")]
const SYS_FSTATFS: libc::c_long = libc::SYS_fstatfs;
#[cfg(target_pointer_width = "32")]
const SYS_FSTATFS: libc::c_long = libc::SYS_fstatfs64;
#[cfg(target_pointer_width = "64")]
const SYS_CLOCK_GETTIME: libc::c_long = libc::SYS_clock_gettime;
#[cfg(target_pointer_width = "32")]
const SYS_CLOCK_GETTIME: libc::c_long = 403;
#[cfg(target_pointer_width = "64")]
const SYS_CLOCK_NANOSLEEP: libc::c_long = libc::SYS_clock_nanosleep;
#[cfg(target_pointer_width = "32")]
const SYS_CLOCK_NANOSLEEP: libc::c_long = 407;
#[cfg(target_pointer_width = "64")]
const SYS_MMAP: libc::c_long = libc::SYS_mmap;
#[cfg(target_pointer_width = "32")]
const SYS_MMAP: libc::c_long = libc::SYS_mmap2;

const REFUSED: [Expected; 6] = [Filters; 6];
const SAME_FOR_ALL: &[Line] = &[line(Itself, ALL), line(Roots, ALL), line(RootsUnique, ALL)];
/// All but the bytes, which are read by pread64 alone.
const ALL_BUT_BYTES: [Expected; 6] = [Filters, Filters, Filters, Filters, Filters, Given];

pub(crate) const DENIALS: &[Denial] = &[
    denial(
        "denied_openat",
        "openat",
        &[libc::SYS_openat],
        &[
            line(Itself, REFUSED),
            line(Roots, REFUSED),
            line(RootsUnique, REFUSED),
        ],
    ),
    denial("denied_close", "close", &[libc::SYS_close], SAME_FOR_ALL),
    denial(
        "denied_pread64",
        "pread64",
        &[libc::SYS_pread64],
        &[
            line(
                Itself,
                [FiltersWithText, Filters, Filters, Filters, Given, Filters],
            ),
            line(Roots, REFUSED),
            line(RootsUnique, REFUSED),
        ],
    ),
    denial("denied_ioctl", "ioctl", &[libc::SYS_ioctl], SAME_FOR_ALL),
    denial(
        "denied_ioctl_and_read",
        "ioctl and read",
        &[libc::SYS_ioctl, libc::SYS_read],
        &[
            line(Itself, ALL_BUT_BYTES).saying("seccomp"),
            line(Roots, ALL_BUT_BYTES),
            line(RootsUnique, ALL_BUT_BYTES),
        ],
    ),
    denial(
        "denied_pidfd_open",
        "pidfd_open",
        &[libc::SYS_pidfd_open],
        &[
            line(Itself, ALL),
            line(Roots, REFUSED).saying("seccomp"),
            line(RootsUnique, REFUSED).saying("seccomp"),
        ],
    ),
    denial(
        "denied_pidfd_send_signal",
        "pidfd_send_signal",
        &[libc::SYS_pidfd_send_signal],
        SAME_FOR_ALL,
    ),
    denial(
        "denied_process_vm_readv",
        "process_vm_readv",
        &[libc::SYS_process_vm_readv],
        SAME_FOR_ALL,
    ),
    denial(
        "denied_fstatfs",
        "fstatfs",
        &[SYS_FSTATFS],
        &[
            line(Itself, ALL),
            line(Roots, ALL),
            line(RootsUnique, [FiltersWithPidfs; 6]).saying("seccomp"),
        ],
    ),
    denial(
        "denied_statx",
        "statx",
        &[libc::SYS_statx],
        &[
            line(Itself, ALL),
            line(Roots, ALL),
            line(RootsUnique, [FiltersWithPidfs; 6]).saying("seccomp"),
        ],
    ),
    denial(
        "denied_getdents64",
        "getdents64",
        &[libc::SYS_getdents64],
        SAME_FOR_ALL,
    ),
    denial(
        "denied_clock_gettime",
        "clock_gettime",
        &[SYS_CLOCK_GETTIME],
        SAME_FOR_ALL,
    ),
    denial(
        "denied_getrusage_and_clock_nanosleep",
        "getrusage and clock_nanosleep",
        &[libc::SYS_getrusage, SYS_CLOCK_NANOSLEEP],
        SAME_FOR_ALL,
    ),
    denial(
        "denied_getpid_and_gettid",
        "getpid and gettid",
        &[libc::SYS_getpid, libc::SYS_gettid],
        SAME_FOR_ALL,
    ),
    denial(
        "denied_mmap_and_munmap",
        "mmap and munmap",
        &[SYS_MMAP, libc::SYS_munmap],
        SAME_FOR_ALL,
    ),
    denial("denied_msync", "msync", &[libc::SYS_msync], SAME_FOR_ALL),
    denial(
        "denied_rt_sigprocmask",
        "rt_sigprocmask",
        &[libc::SYS_rt_sigprocmask],
        &[
            line(Itself, ALL).in_c(ALL_BUT_BYTES),
            line(Roots, ALL).in_c(ALL_BUT_BYTES),
            line(RootsUnique, ALL).in_c(ALL_BUT_BYTES),
        ],
    ),
];
