//! QNX's flags of a record: the one place where they are computed from a mapping and its
//! pages, for the C interface and for the command. Pure.

use core::fmt;
use core::ops::{BitAnd, BitOr, BitOrAssign};

use crate::backing::Backing;
use crate::mapping::{ClassifiedVma, MappingKind};

/// Set of QNX's flags (`MAP_*`, `PROT_*` and `PG_*` of its `<sys/mman.h>`). The bits are
/// those of the C interface's records.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Default)]
#[repr(transparent)]
pub struct QnxFlags(u32);

impl QnxFlags {
    /// Mapped shared.
    pub const SHARED: Self = Self(0x1);
    /// Mapped private.
    pub const PRIVATE: Self = Self(0x2);
    /// The mask of the two above.
    pub const TYPE: Self = Self(0x3);
    /// Mapped at a fixed address; never set here, Linux does not keep it.
    pub const FIXED: Self = Self(0x10);
    /// Mapping of an executable or a shared library.
    pub const ELF: Self = Self(0x20);
    /// Mapped lazily; never set here.
    pub const LAZY: Self = Self(0x80);
    /// Readable.
    pub const PROT_READ: Self = Self(0x100);
    /// Writable.
    pub const PROT_WRITE: Self = Self(0x200);
    /// Executable.
    pub const PROT_EXEC: Self = Self(0x400);
    /// Not cached.
    pub const PROT_NOCACHE: Self = Self(0x800);
    /// The mask of the four above.
    pub const PROT_MASK: Self = Self(0xf00);
    /// A stack.
    pub const STACK: Self = Self(0x1000);
    /// A device's memory.
    pub const PHYS: Self = Self(0x10000);
    /// Anonymous memory.
    pub const ANON: Self = Self(0x80000);
    /// The page may have been modified.
    pub const PG_MODIFIED: Self = Self(0x100000);
    /// The page may have been referenced.
    pub const PG_REFERENCED: Self = Self(0x200000);
    /// The page is mapped.
    pub const PG_HWMAPPED: Self = Self(0x400000);
    /// The mask of the three above, which are set together on backed records.
    pub const PG_MASK: Self = Self(0x700000);
    /// Backed by System RAM.
    pub const SYSRAM: Self = Self(0x1000000);
    /// Swapped out. A flag of this project: QNX has no swap and does not use this bit.
    pub const SWAPPED: Self = Self(0x2000_0000);

    /// The set without any flag.
    pub const NONE: Self = Self(0);

    /// Makes a set of these bits. Bits without a name are kept.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// Returns the bits.
    #[inline]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Returns whether all flags of `other` are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns the flags that either set contains.
    #[inline]
    const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns this set if `condition` holds, else the empty set.
    #[inline]
    const fn when(self, condition: bool) -> Self {
        if condition {
            self
        } else {
            Self::NONE
        }
    }

    /// The flags of a virtual region.
    pub fn of_mapping(mapping: &ClassifiedVma) -> Self {
        Self::of_any_record(mapping) | Self::ANON.when(!mapping.vma.has_object())
    }

    /// The flags of a physical region or a page-table record.
    pub fn of_pages(mapping: &ClassifiedVma, backing: Backing, anonymous: bool) -> Self {
        Self::of_any_record(mapping) | Self::of_backing(backing, anonymous)
    }

    /// Returns the flags of [`Self::of_pages`] that depend on the pages, not on the
    /// mapping.
    #[inline]
    pub const fn of_backing(backing: Backing, anonymous: bool) -> Self {
        let backed = match backing {
            Backing::Ram(_) | Backing::Zero(_) | Backing::Resident => {
                Self::SYSRAM.union(Self::PG_MASK)
            }
            Backing::Device(_) => Self::PHYS.union(Self::PG_MASK),
            Backing::Swapped(_) => Self::SWAPPED,
            _ => Self::NONE,
        };
        backed.union(Self::ANON.when(anonymous))
    }

    /// The flags that depend on the mapping alone.
    fn of_any_record(mapping: &ClassifiedVma) -> Self {
        let (vma, kind) = (&mapping.vma, mapping.kind);
        let is_stack = matches!(kind, MappingKind::Stack | MappingKind::ThreadStack);
        let memory_type = mapping
            .unlisted
            .memory()
            .and_then(|memory| memory.memory_type);
        let is_uncached = memory_type.is_some_and(|memory_type| !memory_type.is_cached());
        Self::SHARED.when(vma.shared)
            | Self::PRIVATE.when(!vma.shared)
            | Self::PROT_READ.when(vma.protection.read())
            | Self::PROT_WRITE.when(vma.protection.write())
            | Self::PROT_EXEC.when(vma.protection.execute())
            | Self::ELF.when(kind == MappingKind::Elf && vma.has_object())
            | Self::STACK.when(is_stack)
            | Self::PHYS.when(kind == MappingKind::Device)
            | Self::PROT_NOCACHE.when(is_uncached)
    }
}

impl BitOr for QnxFlags {
    type Output = Self;

    #[inline]
    fn bitor(self, other: Self) -> Self {
        self.union(other)
    }
}

impl BitOrAssign for QnxFlags {
    fn bitor_assign(&mut self, other: Self) {
        *self = self.union(other);
    }
}

/// Returns the flags that both sets contain.
impl BitAnd for QnxFlags {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

/// Prints the bits in hexadecimal.
impl fmt::Debug for QnxFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QnxFlags({:#x})", self.0)
    }
}

impl fmt::LowerHex for QnxFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::LowerHex::fmt(&self.0, f)
    }
}
