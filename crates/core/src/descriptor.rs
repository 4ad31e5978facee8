//! File descriptors, owned or borrowed. Owns closing them; knows nothing of the open
//! files.
//!
//! The standard library has the same types (`std::os::fd`), but not in `core`. As there,
//! only an unsafe function makes a descriptor of a number: code that makes one of a
//! number that belongs to others would close or read their file.
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
    /// Takes over an open descriptor.
    ///
    /// # Safety
    /// The descriptor is open, and no other code closes it.
    pub const unsafe fn from_raw(fd: i32) -> Self {
        Self(fd)
    }

    /// Returns the number, which is open while this value lives.
    pub const fn raw(&self) -> i32 {
        self.0
    }

    /// Returns the descriptor, borrowed for as long as this value lives.
    pub const fn borrow(&self) -> BorrowedFd<'_> {
        BorrowedFd {
            fd: self.0,
            owner: PhantomData,
        }
    }
}

impl Drop for OwnedFd {
    fn drop(&mut self) {
        // SAFETY: by the contract of `from_raw` the descriptor is this value's to close,
        // and no borrow of it is left. The call touches no memory. On Linux a close that
        // fails has released the descriptor nevertheless.
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

    /// Returns the number, which is open for the lifetime `'fd`.
    pub const fn raw(self) -> i32 {
        self.fd
    }
}
