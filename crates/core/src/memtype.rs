//! Memory types: how the CPU caches reads and writes of an address. Owns their names and
//! the architectures' rules; knows no file. Pure.

/// Memory type: how accesses are cached. The types are those of x86; the attributes of
/// other architectures have the nearest name.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MemoryType {
    /// Cached, written back later: ordinary memory.
    WriteBack,
    /// Reads are cached, writes go through to memory.
    WriteThrough,
    /// Reads are cached, writes go to memory and are not cached (x86).
    WriteProtected,
    /// Not cached; writes are combined (Arm: normal, non-cacheable).
    WriteCombining,
    /// Not cached, unless a range register requests write-combining (x86, UC-).
    UncachedMinus,
    /// Not cached, in the order of the program (Arm: device memory).
    Uncached,
}

impl MemoryType {
    /// All types.
    pub const ALL: [Self; 6] = [
        Self::WriteBack,
        Self::WriteThrough,
        Self::WriteProtected,
        Self::WriteCombining,
        Self::UncachedMinus,
        Self::Uncached,
    ];

    /// Returns the name, which is the kernel's own on x86
    /// (arch/x86/include/asm/memtype.h, `cattr_name`, Linux 5.10 to 7.2).
    pub const fn name(self) -> &'static str {
        match self {
            Self::WriteBack => "write-back",
            Self::WriteThrough => "write-through",
            Self::WriteProtected => "write-protected",
            Self::WriteCombining => "write-combining",
            Self::UncachedMinus => "uncached-minus",
            Self::Uncached => "uncached",
        }
    }

    /// Returns the type with this name.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|memory_type| memory_type.name().as_bytes() == name)
    }

    /// Returns whether a cache can satisfy reads.
    pub const fn is_cached(self) -> bool {
        matches!(
            self,
            Self::WriteBack | Self::WriteThrough | Self::WriteProtected
        )
    }
}

/// Memory type of drivers that request uncached memory (`pgprot_noncached`) or device
/// memory (`pgprot_device`): on x86 UC-, on Arm device memory
/// (arch/*/include/asm/pgtable.h, Linux 5.10 to 7.2). RISC-V has no type in its page
/// tables without the extension Svpbmt.
pub(crate) const UNCACHED: Option<MemoryType> =
    if cfg!(any(target_arch = "x86", target_arch = "x86_64")) {
        Some(MemoryType::UncachedMinus)
    } else if cfg!(any(target_arch = "arm", target_arch = "aarch64")) {
        Some(MemoryType::Uncached)
    } else {
        None
    };

/// Memory type of drivers that request write-combining memory (`pgprot_writecombine`). On
/// x86 it requires page attributes (PAT), without which no file requests it
/// (`arch_can_pci_mmap_wc`).
pub(crate) const WRITE_COMBINING: Option<MemoryType> = if UNCACHED.is_some() {
    Some(MemoryType::WriteCombining)
} else {
    None
};
