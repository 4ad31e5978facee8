//! Mapping with its name, owned, shared by all records that lie in it.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt;
use std::ops::Deref;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use process_introspection_core::backing::Unlisted;
use process_introspection_core::flags::QnxFlags;
use process_introspection_core::mapping::{ClassifiedVma, MappingKind};
use process_introspection_core::vma::{Device, Protection, Vma, VmaCursor, VmaName};
use process_introspection_core::{AddrRange, PageSize};

/// Storage for names, as long as the kernel's ioctl can return them.
pub(crate) type NameStorage = Box<[u8]>;

pub(crate) fn name_storage() -> NameStorage {
    vec![0; 4096].into_boxed_slice()
}

/// Storage for page-map entries: with 64 KiB the cost of the calls themselves is
/// negligible.
pub(crate) type EntryStorage = Box<[u64]>;

pub(crate) fn entry_storage() -> EntryStorage {
    vec![0; 8192].into_boxed_slice()
}

/// Virtual memory area, its kind and its name.
///
/// Dereferences to the VMA: `mapping.range`, `mapping.protection`, `mapping.inode` and so
/// on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    mapping: ClassifiedVma,
    name: MappingName,
}

/// Facts of a mapping on which all its results depend, to be stored and made a
/// [`Mapping`] again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappingParts {
    /// Addresses of the mapping.
    pub range: AddrRange,
    /// Protection of the mapping.
    pub protection: Protection,
    /// True if mapped shared, false if private.
    pub shared: bool,
    /// Offset of the first byte in its object; 0 without one.
    pub offset: u64,
    /// Device that contains its object; 0:0 without one.
    pub device: Device,
    /// Inode number of its object; 0 without one.
    pub inode: u64,
    /// Size of its pages; `None` where the kernel does not report it.
    pub page_size: Option<PageSize>,
    /// Kind of the mapping.
    pub kind: MappingKind,
    /// Pages that the page map leaves out: the place and the memory type of a device's
    /// memory. All that depends on an [`Unlisted::Unknown`] is the same for every reason.
    pub unlisted: Unlisted,
    /// Bytes of the name in the last column of `/proc/PID/maps`.
    pub name: Box<[u8]>,
}

impl Mapping {
    /// Makes a mapping of classified facts. The source of its pages matters to walks only.
    pub(crate) fn new(mapping: ClassifiedVma, name: MappingName) -> Self {
        let ClassifiedVma {
            vma,
            kind,
            unlisted,
            ..
        } = mapping;
        let mapping = ClassifiedVma::of_parts(vma, kind, unlisted);
        Self { mapping, name }
    }

    /// Makes a mapping of stored facts. It is equal to the mapping whose
    /// [`parts`](Self::parts) they are.
    ///
    /// ```
    /// use process_introspection::{Mapping, Process};
    ///
    /// for mapping in Process::current()?.virtual_regions(..)? {
    ///     let mapping = mapping?;
    ///     assert_eq!(Mapping::from_parts(mapping.parts()), *mapping);
    /// }
    /// # Ok::<(), process_introspection::Error>(())
    /// ```
    pub fn from_parts(parts: MappingParts) -> Self {
        let mut vma = Vma::default();
        vma.range = parts.range;
        vma.protection = parts.protection;
        vma.shared = parts.shared;
        vma.offset = parts.offset;
        vma.device = parts.device;
        vma.inode = parts.inode;
        vma.page_size = parts.page_size;
        Self {
            mapping: ClassifiedVma::of_parts(vma, parts.kind, parts.unlisted),
            name: MappingName(parts.name),
        }
    }

    /// Returns the facts of which [`Self::from_parts`] makes the mapping again.
    pub fn parts(&self) -> MappingParts {
        MappingParts {
            range: self.range,
            protection: self.protection,
            shared: self.shared,
            offset: self.offset,
            device: self.device,
            inode: self.inode,
            page_size: self.page_size,
            kind: self.kind(),
            unlisted: self.mapping.unlisted,
            name: self.name.0.clone(),
        }
    }

    /// Returns the mapping as [`Process::virtual_regions`](crate::Process::virtual_regions)
    /// and [`Process::resident_regions`](crate::Process::resident_regions) report it, which
    /// request no addresses and so look up no device's memory.
    #[must_use]
    pub fn without_addresses(&self) -> Self {
        Self {
            mapping: self.mapping.without_addresses(),
            name: self.name.clone(),
        }
    }

    /// Returns the name in the last column of `/proc/PID/maps`.
    pub fn name(&self) -> &MappingName {
        &self.name
    }

    /// Returns the kind of mapping.
    pub fn kind(&self) -> MappingKind {
        self.mapping.kind
    }

    /// Returns the mapping with the kind of a thread stack.
    pub(crate) fn as_thread_stack(&self) -> Self {
        let mut stack = self.clone();
        stack.mapping.kind = MappingKind::ThreadStack;
        stack
    }

    /// Returns QNX's flags of the mapping as a virtual region.
    pub fn flags(&self) -> QnxFlags {
        QnxFlags::of_mapping(&self.mapping)
    }

    pub(crate) fn core(&self) -> &ClassifiedVma {
        &self.mapping
    }
}

impl Deref for Mapping {
    type Target = Vma;

    fn deref(&self) -> &Vma {
        &self.mapping.vma
    }
}

/// Name of a mapping: a path, a name of the kernel's in brackets, or empty. Bytes, not
/// UTF-8.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct MappingName(Box<[u8]>);

impl MappingName {
    /// Copies a name, and completes it from the text of `maps` if the ioctl could not
    /// return all of it (paths of more than 4095 bytes).
    pub(crate) fn complete(
        process: &process_introspection_core::ProcessHandle,
        vma: &Vma,
        name: VmaName<'_>,
    ) -> Self {
        if name.complete {
            return Self(name.bytes.into());
        }
        let start = vma.range.start().as_u64();
        let mut text = VmaCursor::from_text(vec![0; 128 << 10]);
        match text.next_from(process, start) {
            Ok(Some(same)) if same.range == vma.range => Self(text.name().bytes.into()),
            _ => Self(name.bytes.into()),
        }
    }

    /// Returns the bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns whether the name is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the name as an operating-system string.
    pub fn as_os_str(&self) -> &OsStr {
        OsStr::from_bytes(&self.0)
    }

    /// Returns the name as a path, if it looks like one. The path of a deleted file ends
    /// with ` (deleted)`, as the kernel reports it.
    pub fn as_path(&self) -> Option<&Path> {
        self.0
            .starts_with(b"/")
            .then(|| Path::new(self.as_os_str()))
    }

    /// Returns the name that the process itself gave to anonymous or shared anonymous
    /// memory (`PR_SET_VMA_ANON_NAME`, Linux 5.17; shared: 6.2).
    pub fn given(&self) -> Option<&[u8]> {
        let name = self.0.strip_suffix(b"]")?;
        let private = name.strip_prefix(b"[anon:");
        private.or_else(|| name.strip_prefix(b"[anon_shmem:"))
    }

    /// Returns the name as text; bytes that are not UTF-8 are replaced.
    pub fn to_string_lossy(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }
}

impl fmt::Debug for MappingName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}
