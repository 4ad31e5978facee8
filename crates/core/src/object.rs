//! What backs a mapping: the kind of its object, told from the object itself
//! and from the kernel's names, and the path and linked address of a mapped
//! object. Knows nothing of pages.

use crate::device::{UnknownReason, Unlisted};
use crate::elf::{Header, HEADER_SIZE, SEGMENT_SIZE};
use crate::error::{Errno, Error, Operation, Result};
use crate::process::{PathBuffer, Process};
use crate::sys::{self, FileStatus, OwnedFd};
use crate::uapi;
use crate::vma::{Device, Vma, VmaCursor, VmaName};

/// What sort of mapping it is.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MappingKind {
    /// Memory without an object, and private mappings of `/dev/zero`.
    Anonymous,
    /// The heap that `brk` moves.
    Heap,
    /// The main thread's stack, or a thread's whose allocator has named it.
    Stack,
    /// Of an executable or a shared library, told by the file's ELF header.
    Elf,
    /// Of another file.
    File,
    /// Shared memory: memfd, System V, `/dev/shm`, shared anonymous.
    SharedMemory,
    /// Of huge pages that were set aside (hugetlb).
    HugeTlb,
    /// Of a device: a character device's file, one under `/sys`, a PCI
    /// device's in `/proc`, VFIO's.
    Device,
    /// The kernel's code for user programs.
    Vdso,
    /// Another mapping that the kernel made.
    Special,
}

impl MappingKind {
    /// Its name, as the command prints it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Anonymous => "anon",
            Self::Heap => "heap",
            Self::Stack => "stack",
            Self::Elf => "elf",
            Self::File => "file",
            Self::SharedMemory => "shm",
            Self::HugeTlb => "hugetlb",
            Self::Device => "device",
            Self::Vdso => "vdso",
            Self::Special => "special",
        }
    }
}

/// An area and its kind.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mapping {
    /// The area.
    pub vma: Vma,
    /// Its kind.
    pub kind: MappingKind,
    /// What is known of the pages that the page map leaves out. Where a
    /// device's memory lies is looked up by walks that are asked for addresses.
    pub unlisted: Unlisted,
}

impl Mapping {
    fn new(vma: Vma, kind: MappingKind) -> Self {
        let unlisted = Unlisted::Nothing;
        let mut mapping = Self {
            vma,
            kind,
            unlisted,
        };
        if mapping.is_unlisted() {
            mapping.unlisted = Unlisted::Unknown(match kind {
                MappingKind::Device => UnknownReason::NotAsked,
                _ => UnknownReason::KernelPages,
            });
        }
        mapping
    }

    /// Whether the kernel maps frames here that the page map leaves out: a
    /// device's, or its own clock page's (`VM_PFNMAP`: fs/proc/task_mmu.c and
    /// mm/pagewalk.c, Linux 6.12, skip such areas). Some devices map ordinary
    /// pages, which are then listed; what is not cannot be told from these.
    pub fn is_unlisted(&self) -> bool {
        match self.kind {
            MappingKind::Device => true,
            MappingKind::Special => !self.vma.has_object(),
            _ => false,
        }
    }

    /// Whether it is of the kernel's own making, without an object.
    pub fn is_special(&self) -> bool {
        !self.vma.has_object() && matches!(self.kind, MappingKind::Vdso | MappingKind::Special)
    }
}

/// What an object is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum ObjectKind {
    Elf,
    Regular,
    Zero,
    /// Or a file in sysfs.
    CharDevice,
    /// It could not be opened, or is none of these.
    Unknown,
}

/// Remembers the objects looked at last: neighbouring areas share them.
#[derive(Debug)]
pub(crate) struct ObjectCache {
    known: [Option<(Device, u64, ObjectKind)>; 4],
    next: usize,
}

impl ObjectCache {
    pub(crate) const fn new() -> Self {
        Self {
            known: [None; 4],
            next: 0,
        }
    }

    /// The area with its kind.
    ///
    /// # Errors
    /// EMFILE, ENFILE and ENOMEM: without a descriptor nothing can be told.
    pub(crate) fn mapping(
        &mut self,
        process: &Process,
        vma: Vma,
        name: VmaName<'_>,
    ) -> Result<Mapping> {
        let kind = if vma.has_object() {
            self.kind_of_object(process, &vma, name)?
        } else {
            kind_without_object(name.bytes)
        };
        Ok(Mapping::new(vma, kind))
    }

    fn kind_of_object(
        &mut self,
        process: &Process,
        vma: &Vma,
        name: VmaName<'_>,
    ) -> Result<MappingKind> {
        if vma.page_size.is_some_and(|size| size > process.page_size()) {
            return Ok(MappingKind::HugeTlb);
        }
        if let Some(kind) = kind_by_name(name.bytes) {
            return Ok(kind);
        }
        Ok(match self.look(process, vma, name)? {
            ObjectKind::Elf => MappingKind::Elf,
            ObjectKind::Zero => MappingKind::Anonymous,
            ObjectKind::CharDevice => MappingKind::Device,
            ObjectKind::Regular => kind_of_plain_file(name.bytes),
            ObjectKind::Unknown => kind_of_unseen_file(name.bytes),
        })
    }

    fn look(&mut self, process: &Process, vma: &Vma, name: VmaName<'_>) -> Result<ObjectKind> {
        let of_this =
            |known: &&(Device, u64, ObjectKind)| (known.0, known.1) == (vma.device, vma.inode);
        if let Some(&(.., kind)) = self.known.iter().flatten().find(of_this) {
            return Ok(kind);
        }
        let kind = match OpenObject::open(process, vma, name)? {
            Some(object) => object.kind()?,
            None => ObjectKind::Unknown,
        };
        self.known[self.next] = Some((vma.device, vma.inode, kind));
        self.next = (self.next + 1) % self.known.len();
        Ok(kind)
    }
}

fn kind_without_object(name: &[u8]) -> MappingKind {
    match name {
        b"[heap]" => MappingKind::Heap,
        b"[stack]" => MappingKind::Stack,
        b"[vdso]" => MappingKind::Vdso,
        // Names given with prctl(PR_SET_VMA): bionic's and glibc's for stacks.
        _ if name.starts_with(b"[anon:stack_and_tls:") => MappingKind::Stack,
        _ if name.starts_with(b"[anon: glibc: pthread stack") => MappingKind::Stack,
        _ if name.is_empty() || name.starts_with(b"[anon:") => MappingKind::Anonymous,
        _ => MappingKind::Special,
    }
}

/// Objects that their names tell without a look: those without a path, those
/// that the kernel names itself, and files of devices in sysfs.
fn kind_by_name(name: &[u8]) -> Option<MappingKind> {
    let starts = |prefix: &[u8]| name.starts_with(prefix);
    if name == b"/anon_hugepage (deleted)" || name == b"/anon_hugepage" {
        Some(MappingKind::HugeTlb)
    } else if name == b"/dev/zero (deleted)" || starts(b"/SYSV") || starts(b"[anon_shmem:") {
        Some(MappingKind::SharedMemory)
    } else if starts(b"/sys/") || name == b"anon_inode:[vfio-device]" {
        Some(MappingKind::Device)
    } else if is_kernels_own(name) {
        Some(MappingKind::Special)
    } else {
        None
    }
}

/// Whether it is no path: a name of the kernel's, or one of those that graphics
/// drivers give to memory which they map as they like
/// (drivers/gpu/drm/drm_gem.c, i915/gem/i915_gem_shmem.c, Linux 6.12).
fn is_kernels_own(name: &[u8]) -> bool {
    const GRAPHICS: [&[u8]; 2] = [b"/drm mm object (deleted)", b"/i915 (deleted)"];
    (!name.is_empty() && !name.starts_with(b"/")) || GRAPHICS.contains(&name)
}

fn kind_of_plain_file(name: &[u8]) -> MappingKind {
    if name.starts_with(b"/memfd:") || name.starts_with(b"/dev/shm/") {
        MappingKind::SharedMemory
    } else {
        MappingKind::File
    }
}

/// A file that this caller may not look at: by its path, then.
fn kind_of_unseen_file(name: &[u8]) -> MappingKind {
    match kind_of_plain_file(name) {
        MappingKind::File if name == b"/dev/zero" => MappingKind::Anonymous,
        MappingKind::File if name.starts_with(b"/dev/") => MappingKind::Device,
        kind => kind,
    }
}

/// A mapped object, opened without any effect on it: a device's own open is
/// never called.
pub(crate) struct OpenObject {
    path_only: OwnedFd,
    status: FileStatus,
}

impl OpenObject {
    /// By the mapping itself, which is exact but needs CAP_SYS_ADMIN or
    /// CAP_CHECKPOINT_RESTORE (fs/proc/base.c, `proc_map_files_get_link`);
    /// else by the path as the process sees it, if that still leads to the
    /// same inode.
    pub(crate) fn open(process: &Process, vma: &Vma, name: VmaName<'_>) -> Result<Option<Self>> {
        let mut link = PathBuffer::new();
        link.push(b"map_files/")
            .push_hex(vma.range.start().as_u64());
        link.push(b"-")
            .push_hex(vma.range.end().as_u64())
            .push(b"\0");
        let exact = seen(sys::openat(process.dir(), link.as_bytes(), sys::O_PATH))?;
        let Some(path_only) =
            exact.map_or_else(|| open_by_path(process, name), |fd| Ok(Some(fd)))?
        else {
            return Ok(None);
        };
        Ok(seen(sys::status(path_only.raw()))?
            .filter(|status| status.ino == vma.inode)
            .map(|status| Self { path_only, status }))
    }

    /// The magic number of the file system that it is in.
    pub(crate) fn file_system(&self) -> Result<Option<i64>> {
        seen(sys::file_system(self.path_only.raw()))
    }

    /// Its numbers, if it is a character device.
    pub(crate) fn char_device(&self) -> Option<(u32, u32)> {
        self.status.is_char_device().then_some(self.status.rdev)
    }

    fn kind(&self) -> Result<ObjectKind> {
        // A file of a device in sysfs, when its path did not tell.
        // A PCI device's in proc: to read it would be to read its registers.
        if matches!(
            self.file_system()?,
            Some(uapi::SYSFS_MAGIC | uapi::PROC_SUPER_MAGIC)
        ) {
            return Ok(ObjectKind::CharDevice);
        }
        if self.status.is_char_device() {
            return Ok(match self.status.rdev {
                (1, 5) => ObjectKind::Zero,
                _ => ObjectKind::CharDevice,
            });
        }
        let Some(file) = self.reopen()? else {
            return Ok(ObjectKind::Unknown);
        };
        let mut start = [0u8; HEADER_SIZE];
        Ok(match seen(sys::pread_all(file.raw(), &mut start, 0))? {
            Some(len) if Header::parse(&start[..len]).is_some() => ObjectKind::Elf,
            Some(_) => ObjectKind::Regular,
            None => ObjectKind::Unknown,
        })
    }

    /// For reading; `None` if that is refused, or it is no regular file.
    fn reopen(&self) -> Result<Option<OwnedFd>> {
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

    /// The address that a byte of the file was linked to, if it is ELF.
    fn linked_address(&self, offset: u64, page: u64) -> Result<Option<u64>> {
        let Some(file) = self.reopen()? else {
            return Ok(None);
        };
        let read = |bytes: &mut [u8], at| seen(sys::pread_all(file.raw(), bytes, at));
        let mut start = [0u8; HEADER_SIZE];
        let len = read(&mut start, 0)?.unwrap_or(0);
        let Some(header) = Header::parse(&start[..len]) else {
            return Ok(None);
        };
        for index in 0..header.segments {
            let mut bytes = [0u8; SEGMENT_SIZE];
            let into_table = index * header.segment_stride;
            let Some(at) = header.segments_at.checked_add(into_table) else {
                break;
            };
            let len = read(&mut bytes, at)?.unwrap_or(0);
            let segment = header.segment(&bytes[..len]);
            let address = segment.and_then(|segment| segment.linked_address(offset, page));
            if address.is_some() {
                return Ok(address);
            }
        }
        Ok(None)
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

fn open_by_path(process: &Process, name: VmaName<'_>) -> Result<Option<OwnedFd>> {
    // The kernel's paths hold no symbolic links: none leads out of the root.
    let Some([b'/', below_root @ ..]) = name.with_nul().filter(|_| name.complete) else {
        return Ok(None);
    };
    let flags = sys::O_PATH | sys::O_DIRECTORY;
    match seen(sys::openat(process.dir(), b"root\0", flags))? {
        Some(root) => seen(sys::openat(root.raw(), below_root, sys::O_PATH)),
        None => Ok(None),
    }
}

/// The object mapped at an address.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ObjectAt {
    /// The mapping.
    pub mapping: Mapping,
    /// The address that the object's file was linked to, for an executable or
    /// a shared library that could be read: less by the load offset.
    pub linked_address: Option<u64>,
}

/// The object mapped at `address`, its path being left in `name`.
///
/// # Errors
/// ENXIO if nothing, or memory without an object, is mapped there; else as
/// [`VmaCursor::next_from`].
pub fn object_at<N: AsRef<[u8]> + AsMut<[u8]>>(
    process: &Process,
    address: u64,
    areas: &mut VmaCursor<N>,
) -> Result<ObjectAt> {
    let none = Error::new(Errno::ENXIO, Operation::ReadObject);
    let vma = areas.next_from(process, address)?.ok_or(none)?;
    if !vma.range.contains(address.into()) || !vma.has_object() {
        return Err(none);
    }
    let mapping = ObjectCache::new().mapping(process, vma, areas.name())?;
    let linked_address = match mapping.kind {
        MappingKind::Elf => match OpenObject::open(process, &vma, areas.name())? {
            Some(object) => {
                let offset = vma.offset + (address - vma.range.start().as_u64());
                object.linked_address(offset, process.page_size().bytes())?
            }
            None => None,
        },
        _ => None,
    };
    Ok(ObjectAt {
        mapping,
        linked_address,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_names_tell_kinds() {
        assert_eq!(kind_without_object(b""), MappingKind::Anonymous);
        assert_eq!(kind_without_object(b"[anon:scudo]"), MappingKind::Anonymous);
        assert_eq!(kind_without_object(b"[vvar_vclock]"), MappingKind::Special);
        assert_eq!(
            kind_without_object(b"[anon:stack_and_tls:7]"),
            MappingKind::Stack
        );
        assert_eq!(
            kind_by_name(b"/dev/zero (deleted)"),
            Some(MappingKind::SharedMemory)
        );
        assert_eq!(
            kind_by_name(b"anon_inode:[perf_event]"),
            Some(MappingKind::Special)
        );
        assert_eq!(
            kind_by_name(b"/sys/bus/pci/devices/0000:00:02.0/resource0"),
            Some(MappingKind::Device)
        );
        assert_eq!(kind_by_name(b"/usr/bin/cat"), None);
        assert_eq!(kind_of_unseen_file(b"/dev/uio0"), MappingKind::Device);
        assert_eq!(
            kind_of_unseen_file(b"/dev/shm/x"),
            MappingKind::SharedMemory
        );
    }
}
