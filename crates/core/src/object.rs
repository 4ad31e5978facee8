//! Opening the object behind a mapping, without any effect on it. Knows nothing of
//! what the object then is.

use crate::descriptor::OwnedFd;
use crate::elf_file::ElfFile;
use crate::error::{Errno, Error, Operation, Result};
use crate::process::{PathBuffer, Process};
use crate::sys::{self, FileStatus};
use crate::vma::{Vma, VmaName};

pub use crate::image::{build_id, object_at, BuildId, ObjectAt};
pub use crate::mapping::{Mapping, MappingKind, PageSource};
pub use crate::names::has_path;
pub use crate::server::answers;

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
    pub(crate) fn open(process: &Process, vma: &Vma, name: VmaName<'_>) -> Result<Option<Self>> {
        let exact = open_by_mapping(process, vma)?;
        let Some(path_only) =
            exact.map_or_else(|| open_by_path(process, name), |fd| Ok(Some(fd)))?
        else {
            return Ok(None);
        };
        Ok(seen(sys::status(path_only.borrow()))?
            .filter(|status| status.ino == vma.inode)
            .map(|status| Self { path_only, status }))
    }

    /// The magic number of the file system that it is in.
    pub(crate) fn file_system(&self) -> Result<Option<i64>> {
        seen(sys::file_system(self.path_only.borrow()))
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
    #[inline(never)] // Its path is not to lie in its callers' frames.
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
        seen(sys::openat(sys::CWD, path.as_bytes(), flags))
    }

    /// As an executable or a shared library; `None` if it is none or cannot be read.
    pub(crate) fn elf(&self) -> Result<Option<ElfFile>> {
        match self.reopen()? {
            Some(file) => Ok(seen(ElfFile::open(file))?.flatten()),
            None => Ok(None),
        }
    }
}

/// What could be seen of a file, or not for a reason of the file's; an error
/// for one of the caller's or the system's.
pub(crate) fn seen<T>(found: core::result::Result<T, Errno>) -> Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(errno @ (Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM)) => {
            Err(Error::new(errno, Operation::ReadObject))
        }
        Err(_) => Ok(None),
    }
}

/// The object behind `/proc/PID/map_files`, as [`OpenObject::open`] says.
#[inline(never)] // Its path is not to lie in its callers' frames.
pub(crate) fn open_by_mapping(process: &Process, vma: &Vma) -> Result<Option<OwnedFd>> {
    let mut link = PathBuffer::new();
    link.push(b"map_files/")
        .push_hex(vma.range.start().as_u64());
    link.push(b"-")
        .push_hex(vma.range.end().as_u64())
        .push(b"\0");
    seen(sys::openat(
        process.directory(),
        link.as_bytes(),
        sys::O_PATH,
    ))
}

fn open_by_path(process: &Process, name: VmaName<'_>) -> Result<Option<OwnedFd>> {
    // The kernel's paths hold no symbolic links: none leads out of the root.
    let Some([b'/', below_root @ ..]) = name.with_nul().filter(|_| name.complete) else {
        return Ok(None);
    };
    let flags = sys::O_PATH | sys::O_DIRECTORY;
    match seen(sys::openat(process.directory(), b"root\0", flags))? {
        Some(root) => seen(sys::openat(root.borrow(), below_root, sys::O_PATH)),
        None => Ok(None),
    }
}
