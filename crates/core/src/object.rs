//! Opens the object behind a mapping, without any effect on it. Knows nothing of the
//! object's kind.

use crate::descriptor::OwnedFd;
use crate::error::{if_readable, Result};
use crate::process::{PathBuffer, ProcessHandle};
use crate::sys::{self, FileStatus};
use crate::vma::{Vma, VmaName};

/// Mapped object, opened without any effect on it: the open operation of a device is
/// never called.
pub(crate) struct OpenObject {
    path_only: OwnedFd,
    pub(crate) status: FileStatus,
}

impl OpenObject {
    /// Opens an object through the mapping itself, which is exact but needs CAP_SYS_ADMIN
    /// or CAP_CHECKPOINT_RESTORE (fs/proc/base.c, `proc_map_files_get_link`); else by the
    /// path as the process sees it, if that still leads to the same inode.
    pub(crate) fn open(
        process: &ProcessHandle,
        vma: &Vma,
        name: VmaName<'_>,
    ) -> Result<Option<Self>> {
        let exact = open_by_mapping(process, vma)?;
        let Some(path_only) =
            exact.map_or_else(|| open_by_path(process, name), |fd| Ok(Some(fd)))?
        else {
            return Ok(None);
        };
        Ok(if_readable(sys::status(path_only.borrow()))?
            .filter(|status| status.ino == vma.inode)
            .map(|status| Self { path_only, status }))
    }

    /// Returns the magic number of the object's file system.
    pub(crate) fn file_system(&self) -> Result<Option<u32>> {
        if_readable(sys::file_system(self.path_only.borrow()))
    }

    /// Returns the device numbers of a character device.
    pub(crate) fn char_device(&self) -> Option<(u32, u32)> {
        self.status.is_char_device().then_some(self.status.rdev)
    }

    /// Requests attributes from the file system, and so from its server. Any result is
    /// accepted.
    pub(crate) fn ask(&self) {
        let _ = sys::newest_status(self.path_only.borrow());
        let _ = self.file_system();
    }

    /// Opens the object for reading; `None` if that is refused, or it is no regular file.
    #[inline(never)] // Keeps its path out of its callers' stack frames.
    pub(crate) fn reopen(&self) -> Result<Option<OwnedFd>> {
        if !self.status.is_regular() {
            return Ok(None);
        }
        let mut path = PathBuffer::new();
        path.push(b"/proc/thread-self/fd/")
            .push_decimal(self.path_only.raw() as u64)
            .push(b"\0");
        // The open does not wait until a lease is broken.
        let flags = sys::O_NONBLOCK | sys::O_NOCTTY;
        if_readable(sys::openat(sys::CWD, path.as_bytes(), flags))
    }
}

/// Opens the object behind `/proc/PID/map_files`, as [`OpenObject::open`] does.
#[inline(never)] // Keeps its path out of its callers' stack frames.
pub(crate) fn open_by_mapping(process: &ProcessHandle, vma: &Vma) -> Result<Option<OwnedFd>> {
    let mut link = PathBuffer::new();
    link.push(b"map_files/")
        .push_hex(vma.range.start().as_u64());
    link.push(b"-")
        .push_hex(vma.range.end().as_u64())
        .push(b"\0");
    if_readable(sys::openat(
        process.directory(),
        link.as_bytes(),
        sys::O_PATH,
    ))
}

fn open_by_path(process: &ProcessHandle, name: VmaName<'_>) -> Result<Option<OwnedFd>> {
    // The kernel's paths contain no symbolic links: none leads out of the root.
    let Some([b'/', below_root @ ..]) = name.with_nul().filter(|_| name.complete) else {
        return Ok(None);
    };
    let flags = sys::O_PATH | sys::O_DIRECTORY;
    match if_readable(sys::openat(process.directory(), b"root\0", flags))? {
        Some(root) => if_readable(sys::openat(root.borrow(), below_root, sys::O_PATH)),
        None => Ok(None),
    }
}
