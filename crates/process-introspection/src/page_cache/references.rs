//! Files that a process maps or has open, with links by which they can be reached. Follows
//! no link and asks no file system: the kernel's texts about the process name them all.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, PoisonError};

use process_introspection_core::proc_text::{number, value_of};
use process_introspection_core::vma::{Device, VmaCursor};
use rustix::fs::{openat, readlinkat, Dir, Mode, OFlags};

use super::mount_table::MountTable;
use crate::error::Error;
use crate::process::mapping::{name_storage, MappingName};
use crate::process::Process;
use crate::sys;
use crate::text_files::read_at;

/// Names of a file as the kernel writes them for one process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct FileName {
    /// Device of its file system; `None` if the mount is not known yet.
    pub(super) device: Option<Device>,
    /// Inode number; `None` for open files before Linux 5.14.
    pub(super) inode: Option<u64>,
    /// Name, as in `maps`.
    pub(super) name: Box<[u8]>,
}

/// Link below the directory of a process.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// Open descriptor, `fd/3`.
    Descriptor(u32),
    /// Mapping, `map_files/400000-401000`.
    Mapping(u64, u64),
}

/// File that a process maps or has open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reference {
    pub(super) file: FileName,
    pub(super) link: Link,
    /// Number of the mount, if the device is not known.
    pub(super) mount: Option<u64>,
}

/// Returns the files of a process, each once: those that it has open, and those that it
/// maps. The mounts of the process are added to `table`.
pub(super) fn of_process(
    process: &Process,
    table: &Mutex<MountTable>,
) -> Result<Vec<Reference>, Error> {
    let mut found = HashMap::new();
    add_open(process, table, &mut found);
    add_mapped(process, &mut found)?;
    Ok(found.into_values().collect())
}

fn add_mapped(process: &Process, found: &mut HashMap<FileName, Reference>) -> Result<(), Error> {
    let core = process.as_core();
    let (mut areas, mut at) = (VmaCursor::new(name_storage()), 0);
    while let Some(vma) = areas
        .next_from(core, at)
        .map_err(|error| process.error(error))?
    {
        process.beat();
        at = vma.range.end().as_u64();
        if vma.inode == 0 {
            continue;
        }
        let name = MappingName::complete(core, &vma, areas.name());
        if !name.as_bytes().starts_with(b"/") {
            continue;
        }
        let file = FileName {
            device: Some(vma.device),
            inode: Some(vma.inode),
            name: name.as_bytes().into(),
        };
        let (start, end) = (vma.range.start().as_u64(), at);
        add(found, file, Link::Mapping(start, end), None);
    }
    Ok(())
}

/// Adds open files. A table of descriptors that this caller may not read has none.
fn add_open(
    process: &Process,
    table: &Mutex<MountTable>,
    found: &mut HashMap<FileName, Reference>,
) {
    let directory = sys::directory(process.as_core());
    let lock = || table.lock().unwrap_or_else(PoisonError::into_inner);
    lock().add_of(directory);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(descriptors) = openat(directory, "fd", flags, Mode::empty()) else {
        return;
    };
    let Ok(entries) = Dir::read_from(&descriptors) else {
        return;
    };
    for entry in entries.flatten() {
        process.beat();
        let name = entry.file_name();
        let Some(descriptor) = number::<u32>(name.to_bytes()) else {
            continue;
        };
        // A path, not `socket:[7]`.
        let link = readlinkat(&descriptors, name, Vec::new());
        let Some(path) = link.ok().filter(|path| path.as_bytes().starts_with(b"/")) else {
            continue;
        };
        let (mount, inode) = mount_and_inode(directory, descriptor);
        let device = mount.and_then(|mount| lock().device_of(mount));
        let file = FileName {
            device,
            inode,
            name: path.into_bytes().into(),
        };
        add(found, file, Link::Descriptor(descriptor), mount);
    }
}

/// Returns the mount and the inode number of an open file, from `fdinfo` (Linux 3.15;
/// inode 5.14).
fn mount_and_inode(process: BorrowedFd<'_>, descriptor: u32) -> (Option<u64>, Option<u64>) {
    let text = read_at(process.as_fd(), &format!("fdinfo/{descriptor}")).unwrap_or_default();
    let value = |name: &[u8]| value_of(&text, name).and_then(number);
    (value(b"mnt_id:"), value(b"ino:"))
}

fn add(found: &mut HashMap<FileName, Reference>, file: FileName, link: Link, mount: Option<u64>) {
    found.entry(file).or_insert_with_key(|file| Reference {
        file: file.clone(),
        link,
        mount,
    });
}
