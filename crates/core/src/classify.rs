//! Classifies VMAs: finds the kind of a mapping from its object and from the kernel's
//! names. Remembers the objects of neighbouring VMAs; knows nothing of pages.

use crate::descriptor::OwnedFd;
use crate::elf_file::ElfFile;
use crate::error::{if_readable, Result};
use crate::mapping::{ClassifiedVma, MappingKind, PageSource};
use crate::names;
use crate::object::{open_by_mapping, OpenObject};
use crate::process::ProcessHandle;
use crate::resident;
use crate::server;
use crate::sys::{self, FileStatus};
use crate::uapi;
use crate::vma::{Device, Vma, VmaName};

/// Kind of an object.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum ObjectKind {
    Elf,
    Regular,
    Zero,
    /// A file in tmpfs, or other shared memory.
    Memory,
    HugeTlb,
    /// A character device, or a file of a device in sysfs.
    CharDevice,
    DmaBuf,
    /// A file of one of the kernel's internal file systems.
    Kernel,
    /// An object that could not be opened, or is none of these.
    Unknown,
}

/// An object whose kind is known.
#[derive(Copy, Clone, Debug)]
struct CachedObject {
    device: Device,
    inode: u64,
    kind: ObjectKind,
    source: PageSource,
}

/// Classifies VMAs, and remembers the last objects, which neighbouring VMAs share.
#[derive(Debug, Default)]
pub(crate) struct Classifier {
    known: [Option<CachedObject>; 4],
    next: usize,
    /// Device that was looked up last, and whether its files belong to a server.
    server: Option<(Device, bool)>,
    skips_contents: bool,
    image: Option<ElfFile>,
}

impl Classifier {
    /// Returns the executable or shared library that was opened last, once, if the
    /// process [keeps images](ProcessHandle::keeping_images).
    pub(crate) fn take_image(&mut self) -> Option<ElfFile> {
        self.image.take()
    }

    /// Disables reading files and calling servers: an executable then has the kind of any
    /// other file.
    pub(crate) fn skip_contents(&mut self) {
        self.skips_contents = true;
    }

    /// Returns the VMA with its kind.
    ///
    /// # Errors
    /// EMFILE, ENFILE and ENOMEM.
    pub(crate) fn mapping(
        &mut self,
        process: &ProcessHandle,
        vma: Vma,
        name: VmaName<'_>,
    ) -> Result<ClassifiedVma> {
        if vma.has_object() {
            let (kind, source) = self.kind_of_object(process, &vma, name)?;
            return Ok(ClassifiedVma::new(vma, kind, source));
        }
        let kind = names::without_object(name.bytes);
        let source = match kind {
            MappingKind::Vdso | MappingKind::Vvar | MappingKind::Special => PageSource::Kernel,
            _ => PageSource::Anonymous,
        };
        Ok(ClassifiedVma::new(vma, kind, source))
    }

    fn kind_of_object(
        &mut self,
        process: &ProcessHandle,
        vma: &Vma,
        name: VmaName<'_>,
    ) -> Result<(MappingKind, PageSource)> {
        if vma.page_size.is_some_and(|size| size > process.page_size()) {
            // Only DAX devices have such a page size besides hugetlb; they have a node
            // and are mapped shared (drivers/dax/device.c, `dev_dax_pagesize` and
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
            // A shared mapping of `/dev/zero` is shared memory, with a name and a file of
            // its own.
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
        process: &ProcessHandle,
        vma: &Vma,
        name: VmaName<'_>,
    ) -> Result<(ObjectKind, PageSource)> {
        let of_this = |known: &CachedObject| (known.device, known.inode) == (vma.device, vma.inode);
        let mut slots = self.known.iter();
        let seen = slots.position(|slot| slot.as_ref().is_some_and(of_this));
        let at = match seen {
            Some(at) => at,
            None => {
                let is_of_server =
                    process.leaves_servers_alone() && self.is_of_server(process, vma, name)?;
                let known = self.known[self.next].insert(CachedObject {
                    device: vma.device,
                    inode: vma.inode,
                    kind: ObjectKind::Unknown,
                    source: PageSource::Unseen,
                });
                let (reads, image) = (!self.skips_contents, &mut self.image);
                match is_of_server {
                    true => look_at_servers(process, vma, known, reads, image)?,
                    false => look_at(process, vma, name, known, reads, image)?,
                }
                let at = self.next;
                self.next = (at + 1) % self.known.len();
                at
            }
        };
        Ok(
            self.known[at].map_or((ObjectKind::Unknown, PageSource::Unseen), |known| {
                (known.kind, known.source)
            }),
        )
    }

    /// Returns whether only a server in user space knows more about the object than its
    /// number.
    #[inline(never)] // Other walks have no stack for it.
    fn is_of_server(
        &mut self,
        process: &ProcessHandle,
        vma: &Vma,
        name: VmaName<'_>,
    ) -> Result<bool> {
        if let Some((_, is)) = self.server.filter(|(device, _)| *device == vma.device) {
            return Ok(is);
        }
        let is = server::is_of_server(process, vma, name)?;
        self.server = Some((vma.device, is));
        Ok(is)
    }
}

/// Opens and examines an object. Not inlined, so that the stack that opening takes is
/// released.
#[inline(never)]
fn look_at(
    process: &ProcessHandle,
    vma: &Vma,
    name: VmaName<'_>,
    known: &mut CachedObject,
    reads: bool,
    image: &mut Option<ElfFile>,
) -> Result<()> {
    match OpenObject::open(process, vma, name)? {
        Some(object) => known.look_at(process, &object, reads, image),
        None => Ok(()),
    }
}

/// Examines a server's file like [`look_at`] without opening it: opening would call the
/// server, and would drop the resident pages for those who map them (fs/fuse/file.c
/// `fuse_finish_open`, Linux 6.12; seen on 6.18). An image is recognised by its resident
/// part.
#[inline(never)]
fn look_at_servers(
    process: &ProcessHandle,
    vma: &Vma,
    known: &mut CachedObject,
    reads: bool,
    image: &mut Option<ElfFile>,
) -> Result<()> {
    // The mapping's own link leads to the object without the server.
    if let Some(object) = open_by_mapping(process, vma)? {
        if let Some(status) = if_readable(sys::status(object.borrow()))? {
            if status.is_char_device() {
                known.kind = of_char_device(&status);
                known.source = source_of(known.kind, &status);
                return Ok(());
            }
            known.source = source_of(known.kind, &status);
        }
    }
    match reads {
        true => known.look_into(process, resident::copy_start(process, vma)?, image),
        false => Ok(()),
    }
}

fn of_char_device(status: &FileStatus) -> ObjectKind {
    match status.rdev {
        (1, 5) => ObjectKind::Zero,
        _ => ObjectKind::CharDevice,
    }
}

/// Returns the source of the pages of an object of this kind.
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

impl CachedObject {
    /// Finds the kind and the page source of an object.
    #[inline(never)] // The stack that opening takes is released before.
    fn look_at(
        &mut self,
        process: &ProcessHandle,
        object: &OpenObject,
        reads: bool,
        image: &mut Option<ElfFile>,
    ) -> Result<()> {
        let (kind, can_be_elf) = match object.file_system()? {
            // Files of devices: in sysfs, where the path did not show it, and a PCI
            // device's in proc, where a read would access its registers.
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
        self.look_into(process, object.reopen()?, image)
    }

    /// Recognises an image by its contents. Other files keep their kind.
    fn look_into(
        &mut self,
        process: &ProcessHandle,
        file: Option<OwnedFd>,
        image: &mut Option<ElfFile>,
    ) -> Result<()> {
        let Some(file) = file else {
            return Ok(());
        };
        match if_readable(ElfFile::open(file))? {
            Some(Some(file)) => {
                self.kind = ObjectKind::Elf;
                *image = process.keeps_images().then_some(file);
            }
            Some(None) if self.kind == ObjectKind::Unknown => self.kind = ObjectKind::Regular,
            _ => {}
        }
        Ok(())
    }
}

/// Classifies one VMA. Not inlined, so that the stack that opening takes is released.
#[inline(never)]
pub(crate) fn mapping_alone(
    process: &ProcessHandle,
    vma: Vma,
    name: VmaName<'_>,
) -> Result<ClassifiedVma> {
    Classifier::default().mapping(process, vma, name)
}
