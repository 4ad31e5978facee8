//! Objects of file systems whose server, a process, can keep a caller waiting for
//! ever (FUSE): which objects these are, and whether their server answers.

use crate::apart;
use crate::device::sysfs;
use crate::error::Result;
use crate::mounts;
use crate::names::has_path;
use crate::object::OpenObject;
use crate::process::{PathBuffer, ProcessHandle};
use crate::sys;
use crate::vma::{Device, Vma, VmaName};

/// Returns whether only a server in user space knows more about the object than its
/// number.
///
/// # Errors
/// EMFILE, ENFILE and ENOMEM.
pub(crate) fn is_of_server(process: &ProcessHandle, vma: &Vma, name: VmaName<'_>) -> Result<bool> {
    let Device { major, minor } = vma.device;
    if major != 0 {
        // A device with a disk's number: it belongs to a server only if it has FUSE's own
        // name for it (fs/fuse/inode.c `fuse_bdi_init`, Linux 6.12; since 2.6.27).
        let mut path = PathBuffer::new();
        path.push(sysfs::ROOT)
            .push(b"class/bdi/")
            .push_decimal(major.into())
            .push(b":")
            .push_decimal(minor.into())
            .push(b"-fuseblk");
        return Ok(sysfs::open(process, &mut path, sys::O_PATH)?.is_some());
    }
    // A device that is mounted nowhere is one of the kernel's own, whose objects have
    // names of the kernel's, or it was detached.
    let is = mounts::is_of_server(process, vma.device)?;
    Ok(is.unwrap_or_else(|| has_path(vma, name.bytes)))
}

/// Returns whether file systems of this type, as `mountinfo` has it, are FUSE: their files
/// belong to a server that can keep a caller waiting for ever.
pub fn has_server(file_system: &[u8]) -> bool {
    mounts::has_server(file_system)
}

/// Returns whether a path to the object may be followed and its attributes read without
/// waiting for ever: `false` if it is a file of a server that does not answer, which only
/// a process that is [leaving servers alone](ProcessHandle::leaving_servers_alone) finds
/// out.
///
/// # Errors
/// EMFILE, ENFILE and ENOMEM.
pub fn answers(process: &ProcessHandle, vma: &Vma, name: VmaName<'_>) -> Result<bool> {
    if !process.leaves_servers_alone() || !is_of_server(process, vma, name)? {
        return Ok(true);
    }
    let kept = [process.directory(), process.maps()];
    Ok(apart::run(vma.device, &kept, &mut || {
        if let Ok(Some(object)) = OpenObject::open(process, vma, name) {
            object.ask();
        }
    }))
}
