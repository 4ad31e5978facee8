//! File descriptors that are owned or borrowed. Owns closing them; knows
//! nothing of what they are open for.
//!
//! The standard library has the like (`std::os::fd`), but not in `core`. As
//! there, a number becomes a descriptor by an unsafe function only: whoever
//! makes one of a number that is somebody else's closes or reads what is not
//! theirs.
//!
//! ```compile_fail,E0133
//! use process_introspection_core::descriptor::OwnedFd;
//! let somebody_elses = OwnedFd::from_raw(2); // needs unsafe
//! ```
//!
//! ```compile_fail,E0505
//! use process_introspection_core::{process::Access, ProcessHandle, Target};
//! let process = ProcessHandle::open(Target::Caller, Access::Layout).unwrap();
//! let directory = process.directory();
//! drop(process); // closes it
//! println!("{}", directory.raw());
//! ```
#![allow(unsafe_code)]

use core::marker::PhantomData;

use syscalls::{syscall, Sysno};

/// A file descriptor that is closed when dropped.
#[derive(Debug)]
pub struct OwnedFd(i32);

impl OwnedFd {
    /// Takes over a descriptor.
    ///
    /// # Safety
    /// The descriptor is open, and nobody else closes it.
    pub const unsafe fn from_raw(fd: i32) -> Self {
        Self(fd)
    }

    /// The number; open while this lives.
    pub const fn raw(&self) -> i32 {
        self.0
    }

    /// The descriptor, for as long as this lives.
    pub const fn borrow(&self) -> BorrowedFd<'_> {
        BorrowedFd {
            fd: self.0,
            owner: PhantomData,
        }
    }
}

impl Drop for OwnedFd {
    fn drop(&mut self) {
        // SAFETY: `from_raw`'s contract: the descriptor is this value's to close,
        // and no borrow of it is left. The call touches no memory. A close that
        // fails has released the descriptor all the same on Linux.
        let _ = unsafe { syscall!(Sysno::close, self.0) };
    }
}

/// A file descriptor that stays open for the lifetime `'fd`.
#[derive(Copy, Clone, Debug)]
pub struct BorrowedFd<'fd> {
    fd: i32,
    owner: PhantomData<&'fd OwnedFd>,
}

impl BorrowedFd<'_> {
    /// Borrows a descriptor.
    ///
    /// # Safety
    /// The descriptor stays open for the lifetime of the result.
    pub const unsafe fn from_raw(fd: i32) -> Self {
        Self {
            fd,
            owner: PhantomData,
        }
    }

    /// The number; open for the lifetime of this.
    pub const fn raw(self) -> i32 {
        self.fd
    }
}
