//! The faults of each call and the permitted results of a walk: the table of the
//! documents. Each fault permits the walk's own list, or one of the errors here; any
//! other result is wrong.

use super::subject::Subject;
use crate::tracee::{Answer, Less};

/// A fault of a call.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The call is not made and fails with this.
    Error(i32),
    /// The call is made, has its effect, and fails with this (`close`).
    ErrorAfter(i32),
    /// The call returns 0 and does nothing, as under a filter that pretends success.
    Nothing,
    /// The call is made for at most this many bytes: a read at the file's position.
    Short(u64),
    /// The call returns less than it found: a read at a position of its own.
    Less(Less),
    /// A signal with a handler, which does not restart calls, is pending.
    Signal,
}

impl Fault {
    pub(super) fn answer(self) -> Answer {
        match self {
            Self::Error(errno) => Answer::Give(-i64::from(errno)),
            Self::ErrorAfter(errno) => Answer::MakeAndGive(-i64::from(errno)),
            Self::Nothing => Answer::Give(0),
            Self::Short(bytes) => Answer::MakeOfAtMost(bytes),
            Self::Less(less) => Answer::MakeAndGiveLess(less),
            Self::Signal => Answer::MakeUnderSignal(libc::SIGUSR1),
        }
    }
}

/// Permitted result of a walk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Expected {
    /// The list.
    pub(super) list: bool,
    /// The list, but without the type of a mapped file: a file that could not be
    /// examined is not known to be an executable.
    pub(super) list_without_kinds: bool,
    /// No record at all, of a process whose first thread has ended: the kernel reports
    /// no other threads, or threads without memory.
    pub(super) nothing: bool,
    /// One of these errors.
    pub(super) errors: Vec<i32>,
}

impl Expected {
    /// Adds the results of a walk that reads files which need not be readable.
    pub(super) fn or_less(mut self, number: libc::c_long, fault: Fault) -> Self {
        // A list of processes compares the number with that in `/proc`, which is then that of
        // another PID namespace.
        if number == libc::SYS_getpid {
            self.errors.push(libc::EPERM);
            return self;
        }
        // Never EINTR, and no loss.
        if matches!(
            fault,
            Fault::Error(libc::EINTR) | Fault::ErrorAfter(_) | Fault::Signal
        ) {
            return self;
        }
        self.list = true;
        self.list_without_kinds = true;
        self.errors.extend(match fault {
            // No /proc, a hidden process, one that has ended.
            Fault::Error(libc::ENOENT | libc::ENOTDIR) => {
                vec![libc::ENOSYS, libc::EPERM, libc::ESRCH, libc::ENOTDIR]
            }
            Fault::Error(code) => vec![code, refused(code)],
            // Text that was cut.
            _ => vec![libc::ESRCH, libc::EBADF],
        });
        self
    }
}

fn list() -> Expected {
    Expected {
        list: true,
        ..Expected::default()
    }
}

fn list_without_kinds() -> Expected {
    Expected {
        list_without_kinds: true,
        ..list()
    }
}

fn errors(errors: &[i32]) -> Expected {
    Expected {
        errors: errors.to_vec(),
        ..Expected::default()
    }
}

fn list_or(errors: &[i32]) -> Expected {
    Expected {
        errors: errors.to_vec(),
        ..list()
    }
}

/// The case of a first thread that has ended. The directory of another has no
/// `map_files`, by which alone a deleted file can be examined.
fn no_memory() -> Expected {
    Expected {
        nothing: true,
        errors: vec![libc::ESRCH],
        ..list_without_kinds()
    }
}

/// QNX's error for memory of the target, 312 here.
pub const ESRVRFAULT: i32 = 312;

/// Returns the faults of a call.
///
/// Results by which the kernel reports the end are omitted, since they cannot be
/// distinguished from the truth: ENOENT of `PROCMAP_QUERY`, and no entry from `task`.
pub(super) fn faults_of(number: libc::c_long, subject: Subject, size: u64) -> Vec<Fault> {
    let of_any_call: &[i32] = match number {
        libc::SYS_close => &[],
        _ => &[libc::EINTR, libc::EPERM, libc::ENOSYS],
    };
    let codes: &[i32] = match number {
        libc::SYS_openat => &[
            libc::EIO,
            libc::ENOMEM,
            libc::EMFILE,
            libc::ENFILE,
            libc::EACCES,
            libc::ENOENT,
            libc::ESRCH,
            libc::ENOTDIR,
            libc::ELOOP,
            libc::EINVAL,
            libc::ENXIO,
            libc::EAGAIN,
        ],
        libc::SYS_pread64 | libc::SYS_read => &[
            libc::EIO,
            libc::ENOMEM,
            libc::EACCES,
            libc::ESRCH,
            libc::EINVAL,
            libc::EFAULT,
            libc::EAGAIN,
        ],
        libc::SYS_ioctl => &[
            libc::EIO,
            libc::ENOMEM,
            libc::EACCES,
            libc::ESRCH,
            libc::ENOTTY,
            libc::EINVAL,
            libc::EFAULT,
            libc::ENAMETOOLONG,
        ],
        libc::SYS_statx | libc::SYS_fstatfs | libc::SYS_getdents64 => &[
            libc::EIO,
            libc::ENOMEM,
            libc::EACCES,
            libc::ENOENT,
            libc::EFAULT,
        ],
        libc::SYS_pidfd_open => &[
            libc::ENOMEM,
            libc::EMFILE,
            libc::ENFILE,
            libc::EACCES,
            libc::ENOENT,
            libc::ESRCH,
            libc::EINVAL,
            libc::ENODEV,
        ],
        libc::SYS_pidfd_send_signal => &[libc::EACCES, libc::ESRCH, libc::EINVAL],
        libc::SYS_rt_sigprocmask => &[libc::EACCES, libc::EFAULT],
        libc::SYS_getpid
        | libc::SYS_gettid
        | libc::SYS_clock_gettime
        | libc::SYS_getrusage
        | libc::SYS_clock_nanosleep => &[libc::EINVAL],
        libc::SYS_close => &[],
        // One that is new here.
        _ => &[
            libc::EIO,
            libc::ENOMEM,
            libc::EACCES,
            libc::EINVAL,
            libc::EFAULT,
        ],
    };
    let codes = of_any_call.iter().chain(codes).copied();
    let mut faults: Vec<Fault> = codes.map(Fault::Error).collect();
    if (number, subject) == (libc::SYS_openat, Subject::FrameFlags) {
        // Only root may read the file: its facts are unknown then.
        const REFUSED: [i32; 3] = [libc::EPERM, libc::EACCES, libc::ENOENT];
        faults.retain(|fault| !matches!(fault, Fault::Error(code) if REFUSED.contains(code)));
    }
    match number {
        libc::SYS_pread64 => {
            faults.extend([Fault::Nothing, Fault::Signal]);
            let less = [Less::Half, Less::OddHalf, Less::ButOne, Less::AtMost(3)];
            faults.extend(less.map(Fault::Less));
            // At any place within a number.
            if matches!(subject, Subject::FdInfo | Subject::Stat) {
                let lengths = if subject == Subject::Stat {
                    40..160
                } else {
                    4..90
                };
                faults.extend(lengths.map(|bytes| Fault::Less(Less::AtMost(bytes))));
            }
        }
        libc::SYS_read => {
            faults.extend([Fault::Nothing, Fault::Signal]);
            faults.extend([size / 2, (size / 2) | 1, 1].map(Fault::Short));
        }
        libc::SYS_ioctl => faults.extend([Fault::Nothing, Fault::Signal]),
        libc::SYS_getdents64 => faults.extend([Fault::Short(size / 2), Fault::Signal]),
        libc::SYS_close => faults.extend([libc::EINTR, libc::EIO].map(Fault::ErrorAfter)),
        _ => faults.push(Fault::Signal),
    }
    faults
}

/// Returns the permitted result of a walk of which one call has this fault.
pub(super) fn expected(number: libc::c_long, subject: Subject, fault: Fault) -> Expected {
    match fault {
        // Never EINTR, and no loss.
        Fault::Signal | Fault::Error(libc::EINTR) | Fault::ErrorAfter(_) => list(),
        Fault::Error(code) => of_error(number, subject, code),
        Fault::Nothing | Fault::Short(_) | Fault::Less(_) => of_less(number, subject, fault),
    }
}

/// The contract's error for a refusal. (Its ENXIO says that no object is mapped.)
fn refused(code: i32) -> i32 {
    match code {
        libc::EACCES => libc::EPERM,
        libc::ENXIO => libc::EIO,
        other => other,
    }
}

fn of_error(number: libc::c_long, subject: Subject, code: i32) -> Expected {
    let gone = |code| match refused(code) {
        libc::ENOENT => libc::ESRCH,
        other => other,
    };
    let is_of_the_system = matches!(code, libc::ENOMEM | libc::EMFILE | libc::ENFILE);
    match (number, subject) {
        (libc::SYS_close | libc::SYS_getpid | libc::SYS_gettid | libc::SYS_clock_gettime, _) => {
            list()
        }
        // By its path: one less way to a mapped file.
        (libc::SYS_statx, Subject::None) => list(),
        // Only the pace of the walk depends on these.
        (libc::SYS_getrusage | libc::SYS_clock_nanosleep, _) => list(),
        // Refused or unknown: the descriptor's own file is read instead.
        (libc::SYS_pidfd_send_signal, _) => match code {
            libc::ESRCH => errors(&[libc::ESRCH]),
            _ => list(),
        },
        (libc::SYS_pidfd_open, _) => match code {
            libc::EINVAL | libc::ENOENT => errors(&[libc::ESRCH]),
            _ => errors(&[refused(code), code]),
        },
        (_, Subject::Object) if is_of_the_system => errors(&[code]),
        (_, Subject::Object) => list_without_kinds(),
        // A handle for the layout can do without frame numbers.
        (libc::SYS_openat | libc::SYS_pread64, Subject::OwnPagemap) => {
            list_or(&[refused(code), code, libc::ENOSYS])
        }
        (libc::SYS_openat, Subject::OwnDirectory | Subject::FdInfo) => match code {
            libc::ENOENT | libc::ENOTDIR => errors(&[libc::ENOSYS]),
            _ => errors(&[refused(code)]),
        },
        // Hidden, since the process exists by its pidfd.
        (libc::SYS_openat, Subject::Directory) => match code {
            libc::ENOENT => errors(&[libc::EPERM]),
            _ => errors(&[refused(code)]),
        },
        (libc::SYS_openat, Subject::Maps) => match code {
            libc::ENOENT => errors(&[libc::EPERM, libc::ESRCH]),
            _ => errors(&[refused(code)]),
        },
        // A handle for the layout can do without.
        (libc::SYS_openat, Subject::Pagemap) => match code {
            libc::ENOENT => list_or(&[libc::ENOSYS]),
            libc::EPERM | libc::EACCES => list_or(&[libc::EPERM]),
            _ => errors(&[refused(code)]),
        },
        // No memory, as a first thread that has ended: the others are read.
        (libc::SYS_openat, Subject::Auxv | Subject::Threads | Subject::Thread)
            if matches!(code, libc::ENOENT | libc::ESRCH) =>
        {
            no_memory()
        }
        // One thread among several.
        (libc::SYS_openat | libc::SYS_pread64, Subject::Auxv | Subject::Thread) => {
            list_or(&[refused(code), code])
        }
        (libc::SYS_openat, _) => errors(&[gone(code)]),
        (libc::SYS_ioctl, _) => match code {
            libc::ENOTTY | libc::EINVAL | libc::EPERM | libc::EACCES | libc::ENOSYS => list(),
            libc::ENAMETOOLONG if subject == Subject::Maps => Expected {
                errors: vec![libc::ENAMETOOLONG],
                ..list_without_kinds()
            },
            _ => errors(&[code]),
        },
        (libc::SYS_pread64, Subject::Memory) => match code {
            libc::EIO => errors(&[ESRVRFAULT]),
            _ => errors(&[code]),
        },
        // A process that exists nevertheless: hidden.
        (libc::SYS_getdents64, _) if code == libc::ENOENT => errors(&[libc::EPERM]),
        (libc::SYS_getdents64, _) => errors(&[gone(code)]),
        // As at the end of the address space: read again.
        (libc::SYS_pread64, Subject::Pagemap) if code == libc::ESRCH => list_or(&[code]),
        (libc::SYS_pread64 | libc::SYS_read, _) => errors(&[code, gone(code)]),
        // A cursor's step ends before such a place, and the next tries it again.
        (libc::SYS_rt_sigprocmask, _) => list_or(&[code]),
        (libc::SYS_statx | libc::SYS_fstatfs, _) => errors(&[code]),
        _ => list_or(&[code]),
    }
}

fn of_less(number: libc::c_long, subject: Subject, fault: Fault) -> Expected {
    let nothing = fault == Fault::Nothing;
    match (number, subject) {
        // An empty result is not believed: the older interface is used.
        (libc::SYS_ioctl, _) => list(),
        // An empty read is the kernel's result for memory that is gone.
        (libc::SYS_pread64, Subject::Pagemap | Subject::OwnPagemap) if nothing => {
            list_or(&[libc::ESRCH])
        }
        (libc::SYS_pread64, Subject::Auxv) if nothing => no_memory(),
        (libc::SYS_pread64, Subject::Memory | Subject::Maps) if nothing => errors(&[libc::ESRCH]),
        // The kernel never returns a part of an entry.
        (libc::SYS_pread64, Subject::Pagemap | Subject::OwnPagemap | Subject::FrameFlags) => {
            list_or(&[libc::EIO])
        }
        (libc::SYS_pread64, Subject::Auxv) => list_or(&[libc::ESRCH, libc::EIO]),
        // A truncated number is not accepted.
        (libc::SYS_pread64, Subject::FdInfo) => list_or(&[libc::EBADF]),
        (libc::SYS_pread64, Subject::Stat) => list_or(&[libc::ESRCH]),
        (_, Subject::Object) if nothing => list_without_kinds(),
        _ => list(),
    }
}
