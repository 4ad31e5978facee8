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
    Ok(file.filter(|file| sys::file_system(file.borrow()) == Ok(uapi::SYSFS_MAGIC)))
}

/// Reads a hexadecimal number from a file of sysfs.
pub(super) fn read_hex(process: &ProcessHandle, path: &mut PathBuffer) -> Result<Option<u64>> {
    let mut text = [0u8; 32];
    let file = open(process, path, 0)?;
    let len = file.and_then(|file| sys::pread(file.borrow(), &mut text, 0).ok());
    Ok(len.and_then(|len| super::hex(&text[..len])))
}

/// Returns the inode that a path leads to, through links.
pub(super) fn inode(process: &ProcessHandle, path: &mut PathBuffer) -> Result<Option<u64>> {
    let file = open(process, path, sys::O_PATH)?;
    Ok(file
        .and_then(|file| sys::status(file.borrow()).ok())
        .map(|status| status.ino))
}
