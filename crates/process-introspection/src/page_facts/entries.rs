//! The flags of page-map entries. Pure.

use std::fmt;

/// The flags of an entry of `/proc/PID/pagemap`: its bits from 55 on, also
/// those without a name here. They are of the page's mapping in this process.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Default)]
#[repr(transparent)]
pub struct EntryFlags(u64);

impl EntryFlags {
    /// Written since soft-dirty was last cleared, or mapped since then. Always
    /// clear on kernels without CONFIG_MEM_SOFT_DIRTY.
    pub const SOFT_DIRTY: Self = Self(1 << 55);
    /// Mapped by this process only (Linux 4.2).
    pub const MMAP_EXCLUSIVE: Self = Self(1 << 56);
    /// Write-protected by userfaultfd (Linux 5.13).
    pub const UFFD_WP: Self = Self(1 << 57);
    /// A guard region (Linux 6.15).
    pub const GUARD_REGION: Self = Self(1 << 58);
    /// Of a file or of shared memory (Linux 3.5).
    pub const FILE: Self = Self(1 << 61);
    /// An entry that is not present: swap and others.
    pub const SWAP: Self = Self(1 << 62);
    /// In memory and mapped.
    pub const PRESENT: Self = Self(1 << 63);

    /// The lowest bit that is a flag.
    const LOWEST: u32 = 55;

    /// The flags in an entry's 64 bits.
    pub const fn from_entry(entry: u64) -> Self {
        Self(entry & (u64::MAX << Self::LOWEST))
    }

    /// The bits, where they are in an entry.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Whether all of these are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The kernel's name for a bit of an entry, in small letters, without `PM_`
    /// (fs/proc/task_mmu.c, 5.10 to 6.18); `None` for bits without one.
    pub const fn name_of(bit: u32) -> Option<&'static str> {
        Some(match bit {
            55 => "soft_dirty",
            56 => "mmap_exclusive",
            57 => "uffd_wp",
            58 => "guard_region",
            61 => "file",
            62 => "swap",
            63 => "present",
            _ => return None,
        })
    }
}

impl fmt::Debug for EntryFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EntryFlags({:#x})", self.0)
    }
}
