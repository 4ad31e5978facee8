//! A mapping with its name, owned, shared by all records that lie in it.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt;
use std::ops::Deref;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use process_introspection_core::flags::QnxFlags;
use process_introspection_core::mapping::{ClassifiedVma, MappingKind};
use process_introspection_core::vma::{Vma, VmaCursor, VmaName};

/// Storage for names: all that the kernel's ioctl can give.
pub(crate) type NameStorage = Box<[u8]>;

pub(crate) fn name_storage() -> NameStorage {
    vec![0; 4096].into_boxed_slice()
}

/// Storage for page-map entries: 64 KiB make the calls' own cost vanish.
pub(crate) type EntryStorage = Box<[u64]>;

pub(crate) fn entry_storage() -> EntryStorage {
    vec![0; 8192].into_boxed_slice()
}

/// A virtual memory area, what sort of mapping it is, and its name.
///
/// Dereferences to the area: `mapping.range`, `mapping.protection`,
/// `mapping.inode` and so on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    mapping: ClassifiedVma,
    name: MappingName,
}

impl Mapping {
    pub(crate) fn new(mapping: ClassifiedVma, name: MappingName) -> Self {
        Self { mapping, name }
    }

    /// The name in the last column of `/proc/PID/maps`.
    pub fn name(&self) -> &MappingName {
        &self.name
    }

    /// Returns the kind of mapping.
    pub fn kind(&self) -> MappingKind {
        self.mapping.kind
    }

    /// Returns the mapping with the kind of a thread's stack.
    pub(crate) fn as_thread_stack(&self) -> Self {
        let mut told = self.clone();
        told.mapping.kind = MappingKind::ThreadStack;
        told
    }

    /// QNX's flags for it as a virtual region.
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

/// A mapping's name: a path, a name of the kernel's in brackets, or empty.
/// Bytes, not UTF-8.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct MappingName(Box<[u8]>);

impl MappingName {
    /// Takes over a name, completing it from the text of `maps` if the ioctl
    /// could not give all of it (paths of more than 4095 bytes).
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

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As an operating-system string.
    pub fn as_os_str(&self) -> &OsStr {
        OsStr::from_bytes(&self.0)
    }

    /// As a path, if it looks like one. A file that was deleted has
    /// ` (deleted)` at its end, as the kernel gives it.
    pub fn as_path(&self) -> Option<&Path> {
        self.0
            .starts_with(b"/")
            .then(|| Path::new(self.as_os_str()))
    }

    /// The name that the process itself has given to anonymous or shared
    /// anonymous memory (`PR_SET_VMA_ANON_NAME`, Linux 5.17; shared: 6.2).
    pub fn given(&self) -> Option<&[u8]> {
        let name = self.0.strip_suffix(b"]")?;
        let private = name.strip_prefix(b"[anon:");
        private.or_else(|| name.strip_prefix(b"[anon_shmem:"))
    }

    /// As text; what is not UTF-8 is replaced.
    pub fn to_string_lossy(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }
}

impl fmt::Debug for MappingName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}
