//! What backs a mapping: the kind of its object, told from the object itself
//! and from the kernel's names, and the path and linked address of a mapped
//! object. Knows nothing of pages.

use crate::apart;
use crate::descriptor::OwnedFd;
use crate::device::{sysfs, UnknownReason, Unlisted};
use crate::elf::Zeroed;
pub use crate::elf_file::BuildId;
use crate::elf_file::ElfFile;
use crate::error::{Errno, Error, Operation, Result};
use crate::image::{self, ZeroedMemory};
use crate::kind;
pub use crate::kind::{has_path, MappingKind};
use crate::mounts;
use crate::process::{PathBuffer, Process};
use crate::resident;
use crate::sys::{self, FileStatus};
use crate::uapi;
use crate::vma::{Device, Vma, VmaCursor, VmaName};

/// An area and its kind.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mapping {
    /// The area.
    pub vma: Vma,
    /// Its kind.
    pub kind: MappingKind,
    /// Where its pages come from.
    pub source: PageSource,
    /// What is known of the pages that the page map leaves out. Where a
    /// device's memory lies is looked up by walks that are asked for addresses.
    pub unlisted: Unlisted,
}

/// Where the pages of a mapping come from: it decides what their entries mean, and
/// whether the entries say all.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PageSource {
    /// An anonymous VMA: without an object, or a private mapping of `/dev/zero`
    /// (drivers/char/mem.c, `mmap_zero`: `vma_set_anonymous`).
    Anonymous,
    /// The page cache, shared memory or hugetlb, and private copies of their
    /// pages.
    Cache,
    /// Persistent memory of a file (DAX), and private copies of it.
    Persistent,
    /// A driver or a file system of the kernel's own: RAM or a device's memory.
    Driver,
    /// An object that could not be looked at, or on a kernel that does not say
    /// whether it is in persistent memory.
    Unseen,
    /// The kernel's own pages, without an object (`[vdso]`).
    Kernel,
}

impl PageSource {
    /// Of an object whose kind follows from its name or from the VMA.
    const fn of_kind(kind: MappingKind) -> Self {
        match kind {
            MappingKind::Device | MappingKind::DmaBuf | MappingKind::Special => Self::Driver,
            _ => Self::Cache,
        }
    }
}

impl Mapping {
    fn new(vma: Vma, kind: MappingKind, source: PageSource) -> Self {
        let unlisted = Unlisted::Nothing;
        let mut mapping = Self {
            vma,
            kind,
            source,
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
            // Exporters of dma-bufs differ (udmabuf's are frames on 6.12), and so
            // do versions of other rings (io_uring's are frames on 5.10, those of
            // perf events since 6.14).
            MappingKind::Device | MappingKind::DmaBuf | MappingKind::Special => true,
            MappingKind::Vvar => true,
            _ => false,
        }
    }

    /// Whether it is of the kernel's own making, without an object.
    pub fn is_special(&self) -> bool {
        let by_kernel = matches!(
            self.kind,
            MappingKind::Vdso | MappingKind::Vvar | MappingKind::Special
        );
        by_kernel && !self.vma.has_object()
    }
}

/// What an object is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum ObjectKind {
    Elf,
    Regular,
    Zero,
    /// In tmpfs, and what else is shared memory.
    Memory,
    HugeTlb,
    /// Or a file in sysfs.
    CharDevice,
    DmaBuf,
    /// Of one of the kernel's own file systems.
    Kernel,
    /// It could not be opened, or is none of these.
    Unknown,
}

/// An object that was looked at.
#[derive(Copy, Clone, Debug)]
struct Known {
    device: Device,
    inode: u64,
    kind: ObjectKind,
    source: PageSource,
    /// Where it has zeroed memory, if that is told.
    zeroed: [Option<Zeroed>; 2],
}

/// Remembers the objects looked at last: neighbouring areas share them.
#[derive(Debug)]
pub(crate) struct ObjectCache {
    known: [Option<Known>; 4],
    next: usize,
    /// What is expected to follow the area that was seen last.
    zeroed: ZeroedMemory,
    /// The device asked about last, and whether its files are a server's.
    server: Option<(Device, bool)>,
    skips_contents: bool,
}

impl ObjectCache {
    pub(crate) const fn new() -> Self {
        Self {
            known: [None; 4],
            next: 0,
            zeroed: ZeroedMemory::NONE,
            server: None,
            skips_contents: false,
        }
    }

    /// From now on no file is read and no server asked: an executable is not told
    /// from another file, nor its zeroed memory from other anonymous memory.
    pub(crate) fn skip_contents(&mut self) {
        self.skips_contents = true;
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
        if vma.has_object() {
            self.zeroed = ZeroedMemory::NONE;
            let (kind, source) = self.kind_of_object(process, &vma, name)?;
            return Ok(Mapping::new(vma, kind, source));
        }
        let kind = if name.is_none() && !vma.shared && self.zeroed.takes(&vma) {
            MappingKind::Elf
        } else {
            kind::without_object(name.bytes)
        };
        let source = match kind {
            MappingKind::Vdso | MappingKind::Vvar | MappingKind::Special => PageSource::Kernel,
            _ => PageSource::Anonymous,
        };
        Ok(Mapping::new(vma, kind, source))
    }

    /// Before the first area of a walk: sees to it that its kind is the one
    /// that it has in a walk that began below it.
    ///
    /// # Errors
    /// As [`VmaCursor::next_from`] and [`Self::mapping`].
    #[inline]
    pub(crate) fn look_behind<N: AsRef<[u8]> + AsMut<[u8]>>(
        &mut self,
        process: &Process,
        areas: &mut VmaCursor<N>,
        first: &Vma,
    ) -> Result<()> {
        if !process.tells_zeroed()
            || self.skips_contents
            || !image::can_be_zeroed(first)
            || !areas.name().is_none()
        {
            return Ok(());
        }
        self.find_image_behind(process, areas, first)
    }

    /// Apart: walks that do not tell zeroed memory have no stack for it.
    #[inline(never)]
    fn find_image_behind<N: AsRef<[u8]> + AsMut<[u8]>>(
        &mut self,
        process: &Process,
        areas: &mut VmaCursor<N>,
        first: &Vma,
    ) -> Result<()> {
        let mut passed = [None; image::MOST_ZEROED_AREAS as usize];
        let mut start = first.range.start().as_u64();
        for slot in 0..passed.len() {
            let Some(before) = areas.area_before(process, start)? else {
                break;
            };
            if before.has_object() {
                self.mapping(process, before, areas.name())?;
                let passed = passed[..slot].iter().rev().flatten();
                passed.for_each(|vma| _ = self.zeroed.takes(vma));
                break;
            }
            if !image::can_be_zeroed(&before) || !areas.name().is_none() {
                break;
            }
            passed[slot] = Some(before);
            start = before.range.start().as_u64();
        }
        areas.forget_name();
        Ok(())
    }

    fn kind_of_object(
        &mut self,
        process: &Process,
        vma: &Vma,
        name: VmaName<'_>,
    ) -> Result<(MappingKind, PageSource)> {
        if vma.page_size.is_some_and(|size| size > process.page_size()) {
            // The only others with such a size are DAX devices, which have a node and
            // are mapped shared (drivers/dax/device.c, `dev_dax_pagesize` and
            // `check_vma`, 5.10 to 7.2).
            let object = match vma.shared && kind::has_path(vma, name.bytes) {
                true => self.look(process, vma, name)?.0,
                false => ObjectKind::HugeTlb,
            };
            return Ok(match object {
                ObjectKind::CharDevice => (MappingKind::Device, PageSource::Driver),
                ObjectKind::HugeTlb => (MappingKind::HugeTlb, PageSource::Cache),
                _ => (MappingKind::HugeTlb, PageSource::Unseen),
            });
        }
        if let Some(kind) = kind::by_name(vma, name.bytes) {
            return Ok((kind, PageSource::of_kind(kind)));
        }
        let (kind, source) = self.look(process, vma, name)?;
        let source = match kind {
            // A shared one is of shared memory, with a name and a file of its own.
            ObjectKind::Zero if vma.shared => PageSource::Unseen,
            _ => source,
        };
        let kind = match kind {
            ObjectKind::Elf => MappingKind::Elf,
            ObjectKind::Regular => MappingKind::File,
            ObjectKind::Zero => MappingKind::Anonymous,
            ObjectKind::Memory => MappingKind::SharedMemory,
            ObjectKind::HugeTlb => MappingKind::HugeTlb,
            ObjectKind::CharDevice => MappingKind::Device,
            ObjectKind::DmaBuf => MappingKind::DmaBuf,
            ObjectKind::Kernel => MappingKind::Special,
            ObjectKind::Unknown => kind::of_unseen_file(vma, name.bytes),
        };
        Ok((kind, source))
    }

    fn look(
        &mut self,
        process: &Process,
        vma: &Vma,
        name: VmaName<'_>,
    ) -> Result<(ObjectKind, PageSource)> {
        let of_this = |known: &Known| (known.device, known.inode) == (vma.device, vma.inode);
        let mut slots = self.known.iter();
        let seen = slots.position(|slot| slot.as_ref().is_some_and(of_this));
        let at = match seen {
            Some(at) => at,
            None => {
                let is_of_server =
                    process.leaves_servers_alone() && self.is_of_server(process, vma, name)?;
                let known = self.known[self.next].insert(Known {
                    device: vma.device,
                    inode: vma.inode,
                    kind: ObjectKind::Unknown,
                    source: PageSource::Unseen,
                    zeroed: [None; 2],
                });
                let reads = !self.skips_contents;
                match is_of_server {
                    true => look_at_servers(process, vma, known, reads)?,
                    false => look_at(process, vma, name, known, reads)?,
                }
                let at = self.next;
                self.next = (at + 1) % self.known.len();
                at
            }
        };
        let Some(known) = &self.known[at] else {
            return Ok((ObjectKind::Unknown, PageSource::Unseen));
        };
        if process.tells_zeroed() {
            let page = process.page_size().bytes();
            self.zeroed = ZeroedMemory::behind(vma, &known.zeroed, page);
        }
        Ok((known.kind, known.source))
    }

    /// Whether only a server in user space knows more of the object than its
    /// number.
    #[inline(never)] // Walks that do not ask apart have no stack for it.
    fn is_of_server(&mut self, process: &Process, vma: &Vma, name: VmaName<'_>) -> Result<bool> {
        if let Some((_, is)) = self.server.filter(|(device, _)| *device == vma.device) {
            return Ok(is);
        }
        let is = is_of_server(process, vma, name)?;
        self.server = Some((vma.device, is));
        Ok(is)
    }
}

/// Apart, so that what opening takes of the stack is given back.
#[inline(never)]
fn look_at(
    process: &Process,
    vma: &Vma,
    name: VmaName<'_>,
    known: &mut Known,
    reads: bool,
) -> Result<()> {
    match OpenObject::open(process, vma, name)? {
        Some(object) => object.look(process, known, reads),
        None => Ok(()),
    }
}

/// The same of a server's file, which is never opened: that would ask the server,
/// and take the pages that are in memory away from those who map them
/// (fs/fuse/file.c `fuse_finish_open`, Linux 6.12; seen on 6.18). An image is told
/// by what of it is in memory.
#[inline(never)]
fn look_at_servers(process: &Process, vma: &Vma, known: &mut Known, reads: bool) -> Result<()> {
    // The mapping's own link leads to it without the server.
    if let Some(object) = open_by_mapping(process, vma)? {
        if let Some(status) = seen(sys::status(object.borrow()))? {
            if status.is_char_device() {
                known.kind = of_char_device(&status);
                known.source = source_of(known.kind, &status);
                return Ok(());
            }
            known.source = source_of(known.kind, &status);
        }
    }
    match reads {
        true => known.look_into(process, resident::copy_start(process, vma)?),
        false => Ok(()),
    }
}

fn of_char_device(status: &FileStatus) -> ObjectKind {
    match status.rdev {
        (1, 5) => ObjectKind::Zero,
        _ => ObjectKind::CharDevice,
    }
}

/// Where the pages of such an object come from.
fn source_of(kind: ObjectKind, status: &FileStatus) -> PageSource {
    match kind {
        ObjectKind::Zero => PageSource::Anonymous,
        ObjectKind::Memory | ObjectKind::HugeTlb => PageSource::Cache,
        ObjectKind::CharDevice | ObjectKind::DmaBuf | ObjectKind::Kernel => PageSource::Driver,
        ObjectKind::Elf | ObjectKind::Regular | ObjectKind::Unknown => match status.dax {
            Some(true) => PageSource::Persistent,
            Some(false) => PageSource::Cache,
            None => PageSource::Unseen,
        },
    }
}

impl Known {
    /// Tells an image by its contents; another kind is kept for what is none.
    fn look_into(&mut self, process: &Process, file: Option<OwnedFd>) -> Result<()> {
        let Some(file) = file else {
            return Ok(());
        };
        match seen(ElfFile::open(file))? {
            Some(Some(file)) => {
                self.kind = ObjectKind::Elf;
                if process.tells_zeroed() {
                    self.zeroed = file.zeroed(process.page_size().bytes());
                    seen(file.was_read())?;
                }
            }
            Some(None) if self.kind == ObjectKind::Unknown => self.kind = ObjectKind::Regular,
            _ => {}
        }
        Ok(())
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

    /// Finds out what it is.
    #[inline(never)] // Not while it is still being opened.
    fn look(&self, process: &Process, known: &mut Known, reads: bool) -> Result<()> {
        let (kind, can_be_elf) = match self.file_system()? {
            // A file of a device in sysfs, when its path did not tell.
            // A PCI device's in proc: to read it would be to read its registers.
            Some(uapi::SYSFS_MAGIC | uapi::PROC_SUPER_MAGIC) => (ObjectKind::CharDevice, false),
            Some(uapi::HUGETLBFS_MAGIC) => (ObjectKind::HugeTlb, false),
            Some(uapi::DMA_BUF_MAGIC) => (ObjectKind::DmaBuf, false),
            Some(uapi::SECRETMEM_MAGIC) => (ObjectKind::Memory, false),
            Some(uapi::AIO_RING_MAGIC | uapi::ANON_INODE_FS_MAGIC) => (ObjectKind::Kernel, false),
            _ if self.status.is_char_device() => (of_char_device(&self.status), false),
            Some(uapi::TMPFS_MAGIC) => (ObjectKind::Memory, true),
            _ => (ObjectKind::Unknown, true),
        };
        known.kind = kind;
        known.source = source_of(kind, &self.status);
        if !can_be_elf || !reads {
            return Ok(());
        }
        known.look_into(process, self.reopen()?)
    }

    /// For reading; `None` if that is refused, or it is no regular file.
    #[inline(never)] // Its path is not to lie in its callers' frames.
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

    /// As an executable or a shared library; `None` if it is none or cannot be read.
    fn elf(&self) -> Result<Option<ElfFile>> {
        match self.reopen()? {
            Some(file) => Ok(seen(ElfFile::open(file))?.flatten()),
            None => Ok(None),
        }
    }
}

fn is_of_server(process: &Process, vma: &Vma, name: VmaName<'_>) -> Result<bool> {
    let Device { major, minor } = vma.device;
    if major != 0 {
        // A disk's: of a server only by FUSE's own name for it (fs/fuse/inode.c
        // `fuse_bdi_init`, Linux 6.12; since 2.6.27).
        let mut path = PathBuffer::new();
        path.push(sysfs::ROOT)
            .push(b"class/bdi/")
            .push_decimal(major.into())
            .push(b":")
            .push_decimal(minor.into())
            .push(b"-fuseblk");
        return Ok(sysfs::open(process, &mut path, sys::O_PATH)?.is_some());
    }
    // A device that is mounted nowhere is one of the kernel's own, whose objects
    // have names of its making, or it was detached.
    let is = mounts::is_of_server(process, vma.device)?;
    Ok(is.unwrap_or_else(|| has_path(vma, name.bytes)))
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

#[inline(never)] // Its path is not to lie in its callers' frames.
fn open_by_mapping(process: &Process, vma: &Vma) -> Result<Option<OwnedFd>> {
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
    let mapping = mapping_alone(process, vma, areas.name())?;
    let file = match mapping.kind {
        MappingKind::Elf => open_elf(process, &vma, areas.name())?,
        _ => None,
    };
    let linked_address = match file {
        Some(file) => {
            let moved = image::relocation(process, &file, &vma, address, areas)?;
            seen(file.was_read())?;
            moved.map(|moved| address.wrapping_sub(moved))
        }
        None => None,
    };
    Ok(ObjectAt {
        mapping,
        linked_address,
    })
}

/// Whether a path to the object may be followed and its attributes read without
/// waiting for ever: `false` if it is a file of a server that does not answer,
/// which is found out only by a process that is
/// [leaving servers alone](Process::leaving_servers_alone).
///
/// # Errors
/// EMFILE, ENFILE and ENOMEM.
pub fn answers(process: &Process, vma: &Vma, name: VmaName<'_>) -> Result<bool> {
    if !process.leaves_servers_alone() || !is_of_server(process, vma, name)? {
        return Ok(true);
    }
    let kept = [process.directory(), process.maps()];
    Ok(apart::run(vma.device, &kept, &mut || {
        if let Ok(Some(object)) = OpenObject::open(process, vma, name) {
            // Each may fail; what counts is that it returns.
            let _ = sys::newest_status(object.path_only.borrow());
            let _ = object.file_system();
        }
    }))
}

/// Apart, as below.
#[inline(never)]
fn mapping_alone(process: &Process, vma: Vma, name: VmaName<'_>) -> Result<Mapping> {
    ObjectCache::new().mapping(process, vma, name)
}

/// The build id of a mapped executable or shared library, from the mapped file
/// itself, also if it was deleted; `None` if it has none or cannot be read.
///
/// # Errors
/// EMFILE, ENFILE and ENOMEM.
pub fn build_id(process: &Process, vma: &Vma, name: VmaName<'_>) -> Result<Option<BuildId>> {
    let Some(file) = open_elf(process, vma, name)? else {
        return Ok(None);
    };
    let id = file.build_id();
    seen(file.was_read())?;
    Ok(id)
}

/// Apart, so that what opening takes of the stack is given back.
#[inline(never)]
fn open_elf(process: &Process, vma: &Vma, name: VmaName<'_>) -> Result<Option<ElfFile>> {
    if process.leaves_servers_alone() && is_of_server(process, vma, name)? {
        return Ok(match resident::copy_start(process, vma)? {
            Some(file) => seen(ElfFile::open(file))?.flatten(),
            None => None,
        });
    }
    match OpenObject::open(process, vma, name)? {
        Some(object) => object.elf(),
        None => Ok(None),
    }
}
