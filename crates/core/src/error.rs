//! Error type of this crate: the contract's errno and the operation that failed. `Copy`,
//! two words; names and advice belong to the library.

use core::fmt;

use linux_raw_sys::errno;

/// Error number of the kernel. Always positive.
#[derive(Copy, Clone, PartialEq, Eq, Hash)]
pub struct Errno(u16);

macro_rules! errnos {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        impl Errno {
            $($(#[$doc])* pub const $name: Self = Self(errno::$name as u16);)*
        }

        impl fmt::Debug for Errno {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match *self {
                    $(Self::$name => f.write_str(stringify!($name)),)*
                    Self::ESRVRFAULT => f.write_str("ESRVRFAULT"),
                    Self(other) => write!(f, "errno {other}"),
                }
            }
        }
    };
}

errnos! {
    /// Operation not permitted.
    EPERM,
    /// No such file.
    ENOENT,
    /// No such process, or its memory has gone away.
    ESRCH,
    /// Interrupted; never returned, calls are repeated.
    EINTR,
    /// Input or output error.
    EIO,
    /// Nothing is mapped there.
    ENXIO,
    /// Bad file descriptor.
    EBADF,
    /// Try again.
    EAGAIN,
    /// The kernel is out of memory.
    ENOMEM,
    /// Permission denied.
    EACCES,
    /// Memory that cannot be accessed.
    EFAULT,
    /// Not a directory.
    ENOTDIR,
    /// Invalid argument.
    EINVAL,
    /// Too many open files in the system.
    ENFILE,
    /// Too many open files in this process.
    EMFILE,
    /// The file does not support this ioctl.
    ENOTTY,
    /// The result does not fit its type.
    EOVERFLOW,
    /// The name does not fit.
    ENAMETOOLONG,
    /// The kernel does not support this call.
    ENOSYS,
    /// Too many symbolic links.
    ELOOP,
    /// In use by another process.
    EBUSY,
    /// The operation would wait for itself.
    EDEADLK,
    /// The operation did not finish in time.
    ETIMEDOUT,
    /// This processor or this kind of program is not supported.
    EOPNOTSUPP,
}

impl Errno {
    /// Error of QNX for a fault in the server's memory, here the target's. Linux has no
    /// such error; the value is QNX's and greater than any of the kernel's.
    pub const ESRVRFAULT: Self = Self(312);

    /// Wraps a number, taken positive.
    pub const fn from_raw(raw: u16) -> Self {
        Self(raw)
    }

    /// The number, positive.
    pub const fn raw(self) -> u16 {
        self.0
    }
}

/// Operation during which an error occurred.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// Reading the caller's arguments.
    Argument,
    /// Finding the process: its `fdinfo`, the unique PID.
    FindProcess,
    /// The system calls for pidfds: opening one, checking that its process lives, reading
    /// its inode. Refused only by a sandbox, or by an old kernel.
    UsePidfd,
    /// Reading the caller's own entries under `/proc`.
    OwnProc,
    /// Opening the process's directory under `/proc`.
    OpenProcess,
    /// Opening one of the process's files, `maps` or `pagemap`.
    OpenMemory,
    /// Opening the caller's own page map, which shows whether frames are visible.
    OpenOwnPagemap,
    /// Checking that frame numbers are visible to this caller.
    CheckFrames,
    /// Enumerating VMAs.
    ReadMaps,
    /// Reading page-map entries.
    ReadPagemap,
    /// Examining the object behind a mapping.
    ReadObject,
    /// Reading the process's memory itself.
    ReadMemory,
    /// Storing into the caller's buffer.
    StoreResult,
    /// Finding the use of physical addresses.
    ReadPhysicalMap,
    /// Reading the kernel's facts about page frames.
    ReadFrames,
    /// Stopping the process temporarily.
    StopProcess,
    /// Listing processes or threads.
    ListProcesses,
    /// Reading the status of a process or thread.
    ReadStatus,
    /// Reading the name of a process's program.
    ReadName,
    /// Reading the registers of a thread.
    ReadRegisters,
    /// All steps of reading a process.
    ReadProcess,
}

/// Error number, and the operation that failed.
///
/// The errno is the contract's, not always the kernel's own: `EPERM` whenever access was
/// refused, `ESRCH` whenever the process or its memory is gone.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct CoreError {
    errno: Errno,
    operation: Operation,
}

impl CoreError {
    /// Makes an error of this number at this step.
    pub const fn new(errno: Errno, operation: Operation) -> Self {
        Self { errno, operation }
    }

    /// The error number.
    pub const fn errno(self) -> Errno {
        self.errno
    }

    /// The step that failed.
    pub const fn operation(self) -> Operation {
        self.operation
    }
}

impl fmt::Display for CoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} ({:?})", self.operation, self.errno)
    }
}

impl core::error::Error for CoreError {}

/// Result type of this crate.
pub type Result<T> = core::result::Result<T, CoreError>;

/// Extension that adds the step to an errno of the kernel, keeping the number.
pub(crate) trait At<T> {
    fn at(self, operation: Operation) -> Result<T>;
}

impl<T> At<T> for core::result::Result<T, Errno> {
    fn at(self, operation: Operation) -> Result<T> {
        self.map_err(|errno| CoreError::new(errno, operation))
    }
}

/// Returns the result of reading a file; `None` for an error that concerns the file alone.
/// Errors for lack of descriptors or memory are returned.
pub(crate) fn if_readable<T>(found: core::result::Result<T, Errno>) -> Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(errno @ (Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM)) => {
            Err(CoreError::new(errno, Operation::ReadObject))
        }
        Err(_) => Ok(None),
    }
}
