//! Opening the object behind a mapping, without any effect on it. Knows nothing of
//! what the object then is.

use crate::descriptor::OwnedFd;
use crate::elf_file::ElfFile;
use crate::error::{if_readable, Result};
use crate::process::{PathBuffer, ProcessHandle};
use crate::sys::{self, FileStatus};
use crate::vma::{Vma, VmaName};

/// A mapped object, opened without any effect on it: a device's own open is
/// never called.
pub(crate) struct OpenObject {
    path_only: OwnedFd,
    pub(crate) status: FileStatus,
}

impl OpenObject {
    /// By the mapping itself, which is exact but needs CAP_SYS_ADMIN or
    /// CAP_CHECKPOINT_RESTORE (fs/proc/base.c, `proc_map_files_get_link`);
    /// else by the path as the process sees it, if that still leads to the
    /// same inode.
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

    /// The magic number of the file system that it is in.
    pub(crate) fn file_system(&self) -> Result<Option<i64>> {
        if_readable(sys::file_system(self.path_only.borrow()))
    }

    /// Its numbers, if it is a character device.
    pub(crate) fn char_device(&self) -> Option<(u32, u32)> {
        self.status.is_char_device().then_some(self.status.rdev)
    }

    /// Asks the file system about it, and so its server. Every answer will do.
    pub(crate) fn ask(&self) {
        let _ = sys::newest_status(self.path_only.borrow());
        let _ = self.file_system();
    }

    /// For reading; `None` if that is refused, or it is no regular file.
    #[inline(never)] // Keeps its path out of its callers' stack frames.
    pub(crate) fn reopen(&self) -> Result<Option<OwnedFd>> {
        if !self.status.is_regular() {
            return Ok(None);
        }
        let mut path = PathBuffer::new();
        path.push(b"/proc/thread-self/fd/")
            .push_decimal(self.path_only.raw() as u64)
            .push(b"\0");
        // Should a lease have to be broken first, that is not waited for.
        let flags = sys::O_NONBLOCK | sys::O_NOCTTY;
        if_readable(sys::openat(sys::CWD, path.as_bytes(), flags))
    }

    /// As an executable or a shared library; `None` if it is none or cannot be read.
    pub(crate) fn elf(&self) -> Result<Option<ElfFile>> {
        match self.reopen()? {
            Some(file) => Ok(if_readable(ElfFile::open(file))?.flatten()),
            None => Ok(None),
        }
    }
}

/// The object behind `/proc/PID/map_files`, as [`OpenObject::open`] says.
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
    // The kernel's paths hold no symbolic links: none leads out of the root.
    let Some([b'/', below_root @ ..]) = name.with_nul().filter(|_| name.complete) else {
        return Ok(None);
    };
    let flags = sys::O_PATH | sys::O_DIRECTORY;
    match if_readable(sys::openat(process.directory(), b"root\0", flags))? {
        Some(root) => if_readable(sys::openat(root.borrow(), below_root, sys::O_PATH)),
        None => Ok(None),
    }
}
