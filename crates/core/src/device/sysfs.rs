//! Opens and reads files of sysfs, in the handle's mount of it, after checking that they
//! are the kernel's. Knows nothing of their contents.

use crate::descriptor::OwnedFd;
use crate::error::{if_readable, Result};
use crate::process::{PathBuffer, ProcessHandle};
use crate::sys;
use crate::uapi;

/// Mount point of sysfs in the paths that are built.
pub(crate) const ROOT: &[u8] = b"/sys/";

/// Opens a file or a directory of sysfs; `None` if it does not exist or is not in sysfs.
/// `path` begins with [`ROOT`] and has no NUL yet.
pub(crate) fn open(
    process: &ProcessHandle,
    path: &mut PathBuffer,
    flags: u32,
) -> Result<Option<OwnedFd>> {
    path.push(b"\0");
    let (root, path) = match process.sysfs() {
        None => (sys::CWD, path.as_bytes()),
        Some(root) => (root, path.as_bytes().get(ROOT.len()..).unwrap_or_default()),
    };
    let file = if_readable(sys::openat(root, path, flags))?;
    Ok(file.filter(is_sysfs))
}

/// Reads the beginning of a file of sysfs, up to the size of the buffer.
pub(super) fn read<'a>(
    process: &ProcessHandle,
    path: &mut PathBuffer,
    text: &'a mut [u8],
) -> Result<Option<&'a [u8]>> {
    let Some(file) = open(process, path, 0)? else {
        return Ok(None);
    };
    let len = sys::pread(file.borrow(), text, 0);
    Ok(len.ok().and_then(|len| text.get(..len)))
}

/// Reads a hexadecimal number from a file of sysfs.
pub(super) fn read_hex(process: &ProcessHandle, path: &mut PathBuffer) -> Result<Option<u64>> {
    let mut text = [0u8; 32];
    Ok(read(process, path, &mut text)?.and_then(super::hex))
}

/// Returns the inode that a path leads to, through links.
pub(super) fn inode(process: &ProcessHandle, path: &mut PathBuffer) -> Result<Option<u64>> {
    let file = open(process, path, sys::O_PATH)?;
    Ok(file
        .and_then(|file| sys::status(file.borrow()).ok())
        .map(|status| status.ino))
}

/// Returns whether an open file is in sysfs.
pub(super) fn is_sysfs(file: &OwnedFd) -> bool {
    sys::file_system(file.borrow()) == Ok(uapi::SYSFS_MAGIC)
}
