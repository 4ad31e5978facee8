//! The kind of a mapping: told from the object itself and from the kernel's
//! names. Remembers the objects of neighbouring VMAs; knows nothing of pages.

use crate::descriptor::OwnedFd;
use crate::elf::Zeroed;
use crate::elf_file::ElfFile;
use crate::error::Result;
use crate::mapping::{Mapping, MappingKind, PageSource};
use crate::names;
use crate::object::{open_by_mapping, seen, OpenObject};
use crate::process::Process;
use crate::resident;
use crate::server;
use crate::sys::{self, FileStatus};
use crate::uapi;
use crate::vma::{Device, Vma, VmaCursor, VmaName};
use crate::zeroed::{self, ZeroedMemory};

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
            names::without_object(name.bytes)
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
            || !zeroed::can_be_zeroed(first)
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
        let mut passed = [None; zeroed::MOST_ZEROED_AREAS as usize];
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
            if !zeroed::can_be_zeroed(&before) || !areas.name().is_none() {
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
            let object = match vma.shared && names::has_path(vma, name.bytes) {
                true => self.look(process, vma, name)?.0,
                false => ObjectKind::HugeTlb,
            };
            return Ok(match object {
                ObjectKind::CharDevice => (MappingKind::Device, PageSource::Driver),
                ObjectKind::HugeTlb => (MappingKind::HugeTlb, PageSource::Cache),
                _ => (MappingKind::HugeTlb, PageSource::Unseen),
            });
        }
        if let Some(kind) = names::by_name(vma, name.bytes) {
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
            ObjectKind::Unknown => names::of_unseen_file(vma, name.bytes),
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
        let is = server::is_of_server(process, vma, name)?;
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
        Some(object) => known.look_at(process, &object, reads),
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
    /// Finds out what an object is.
    #[inline(never)] // Not while it is still being opened.
    fn look_at(&mut self, process: &Process, object: &OpenObject, reads: bool) -> Result<()> {
        let (kind, can_be_elf) = match object.file_system()? {
            // A file of a device in sysfs, when its path did not tell.
            // A PCI device's in proc: to read it would be to read its registers.
            Some(uapi::SYSFS_MAGIC | uapi::PROC_SUPER_MAGIC) => (ObjectKind::CharDevice, false),
            Some(uapi::HUGETLBFS_MAGIC) => (ObjectKind::HugeTlb, false),
            Some(uapi::DMA_BUF_MAGIC) => (ObjectKind::DmaBuf, false),
            Some(uapi::SECRETMEM_MAGIC) => (ObjectKind::Memory, false),
            Some(uapi::AIO_RING_MAGIC | uapi::ANON_INODE_FS_MAGIC) => (ObjectKind::Kernel, false),
            _ if object.status.is_char_device() => (of_char_device(&object.status), false),
            Some(uapi::TMPFS_MAGIC) => (ObjectKind::Memory, true),
            _ => (ObjectKind::Unknown, true),
        };
        self.kind = kind;
        self.source = source_of(kind, &object.status);
        if !can_be_elf || !reads {
            return Ok(());
        }
        self.look_into(process, object.reopen()?)
    }

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

/// The kind of one VMA. Apart, so that what opening takes of the stack is given back.
#[inline(never)]
pub(crate) fn mapping_alone(process: &Process, vma: Vma, name: VmaName<'_>) -> Result<Mapping> {
    ObjectCache::new().mapping(process, vma, name)
}
