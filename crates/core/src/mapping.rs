//! Types of a mapping: a VMA, its kind and the source of its pages. The rules that find
//! the kind are in `classify` and `names`. Pure.

use crate::backing::{UnknownReason, Unlisted};
use crate::vma::Vma;

/// A VMA and its kind.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClassifiedVma {
    /// The VMA.
    pub vma: Vma,
    /// Its kind.
    pub kind: MappingKind,
    /// Source of its pages.
    pub source: PageSource,
    /// Knowledge about the pages that the page map leaves out. Only walks that request
    /// addresses look up a device's memory.
    pub unlisted: Unlisted,
}

/// Source of a mapping's pages. It determines the meaning of their entries, and whether
/// the entries are enough to find the backing.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PageSource {
    /// Anonymous VMA: without an object, or a private mapping of `/dev/zero`
    /// (drivers/char/mem.c, `mmap_zero`: `vma_set_anonymous`).
    Anonymous,
    /// Page cache, shared memory or hugetlb, and private copies of their pages.
    Cache,
    /// Persistent memory of a file (DAX), and private copies of it.
    Persistent,
    /// Driver or file system of the kernel's own, with RAM or a device's memory.
    Driver,
    /// Object that could not be examined, or on a kernel that does not report whether it
    /// is in persistent memory.
    Unseen,
    /// Pages of the kernel itself, without an object (`[vdso]`).
    Kernel,
}

impl PageSource {
    /// Returns the source of an object whose kind follows from its name or from the VMA.
    pub(crate) const fn of_kind(kind: MappingKind) -> Self {
        match kind {
            MappingKind::Device | MappingKind::DmaBuf | MappingKind::Special => Self::Driver,
            _ => Self::Cache,
        }
    }
}

impl ClassifiedVma {
    pub(crate) fn new(vma: Vma, kind: MappingKind, source: PageSource) -> Self {
        let unlisted = Unlisted::Nothing;
        let mapping = Self {
            vma,
            kind,
            source,
            unlisted,
        };
        mapping.without_addresses()
    }

    /// Makes a mapping of stored facts. They suffice for everything but a walk, so the
    /// source of its pages is [`PageSource::Unseen`].
    pub const fn of_parts(vma: Vma, kind: MappingKind, unlisted: Unlisted) -> Self {
        let source = PageSource::Unseen;
        Self {
            vma,
            kind,
            source,
            unlisted,
        }
    }

    /// Returns the mapping as a walk reports it that requests no addresses, and so looks
    /// up no device.
    #[must_use]
    pub fn without_addresses(mut self) -> Self {
        self.unlisted = match (self.is_unlisted(), self.kind) {
            (false, _) => Unlisted::Nothing,
            (true, MappingKind::Device) => Unlisted::Unknown(UnknownReason::NotAsked),
            (true, _) => Unlisted::Unknown(UnknownReason::KernelPages),
        };
        self
    }

    /// Returns whether the kernel maps frames here that the page map leaves out: those of
    /// a device, or of the kernel's own clock page (`VM_PFNMAP`: fs/proc/task_mmu.c and
    /// mm/pagewalk.c, Linux 6.12, skip such VMAs). Some devices map ordinary pages, which
    /// the page map then contains; the others cannot be distinguished from pages that are
    /// not present.
    pub fn is_unlisted(&self) -> bool {
        // Exporters of dma-bufs differ (udmabuf's are frames on 6.12), and so do versions
        // of other rings (io_uring's are frames on 5.10, those of perf events since 6.14).
        matches!(
            self.kind,
            MappingKind::Device | MappingKind::DmaBuf | MappingKind::Special | MappingKind::Vvar
        )
    }
}

/// Kind of a mapping.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MappingKind {
    /// Memory without an object, and private mappings of `/dev/zero`.
    Anonymous,
    /// The heap that `brk` moves.
    Heap,
    /// The main thread's stack.
    Stack,
    /// Another thread's stack, if its C library has named it. Without a name only the
    /// thread's stack pointer identifies it, which callers have to request.
    ThreadStack,
    /// An executable or a shared library, recognised by the file's ELF header. The
    /// library crate includes the zeroed memory (`.bss`) directly behind its data.
    Elf,
    /// Another file.
    File,
    /// Shared memory: memfd, System V, shared anonymous, tmpfs.
    SharedMemory,
    /// hugetlb.
    HugeTlb,
    /// A device: a character device's file, a device's file under `/sys`, a PCI device's
    /// in `/proc`, VFIO's.
    Device,
    /// A buffer that drivers share (dma-buf).
    DmaBuf,
    /// The kernel's code for user programs.
    Vdso,
    /// The data of that code: clocks.
    Vvar,
    /// Another mapping of the kernel, by its name: rings of io_uring, of perf events and
    /// of aio, BPF maps.
    Special,
}

impl MappingKind {
    /// All kinds.
    pub const ALL: [Self; 13] = [
        Self::Anonymous,
        Self::Heap,
        Self::Stack,
        Self::ThreadStack,
        Self::Elf,
        Self::File,
        Self::SharedMemory,
        Self::HugeTlb,
        Self::Device,
        Self::DmaBuf,
        Self::Vdso,
        Self::Vvar,
        Self::Special,
    ];

    /// Returns the kind's name, as the command prints it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Anonymous => "anon",
            Self::Heap => "heap",
            Self::Stack => "stack",
            Self::ThreadStack => "thread-stack",
            Self::Elf => "elf",
            Self::File => "file",
            Self::SharedMemory => "shm",
            Self::HugeTlb => "hugetlb",
            Self::Device => "device",
            Self::DmaBuf => "dma-buf",
            Self::Vdso => "vdso",
            Self::Vvar => "vvar",
            Self::Special => "special",
        }
    }

    /// Returns the kind with this name.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name().as_bytes() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_back_to_its_kind() {
        for kind in MappingKind::ALL {
            assert_eq!(MappingKind::from_name(kind.name().as_bytes()), Some(kind));
        }
        assert_eq!(MappingKind::from_name(b"broken"), None);
    }
}
