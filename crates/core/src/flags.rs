//! QNX's flag values, and which of them a region has. The one place where
//! they are computed, for the C interface and for the command. Pure.

use crate::backing::Backing;
use crate::mapping::{Mapping, MappingKind};
use crate::memtype::MemoryType;

/// Mapped shared.
pub const SHARED: u32 = 0x1;
/// Mapped private.
pub const PRIVATE: u32 = 0x2;
/// The mask of the two above.
pub const TYPE: u32 = 0x3;
/// Mapped at a fixed address; never set here, Linux does not keep it.
pub const FIXED: u32 = 0x10;
/// Of an executable or a shared library.
pub const ELF: u32 = 0x20;
/// Mapped lazily; never set here.
pub const LAZY: u32 = 0x80;
/// Can be read.
pub const PROT_READ: u32 = 0x100;
/// Can be written.
pub const PROT_WRITE: u32 = 0x200;
/// Can be executed.
pub const PROT_EXEC: u32 = 0x400;
/// Not cached.
pub const PROT_NOCACHE: u32 = 0x800;
/// The mask of the four above.
pub const PROT_MASK: u32 = 0xf00;
/// A stack.
pub const STACK: u32 = 0x1000;
/// A device's memory.
pub const PHYS: u32 = 0x10000;
/// Anonymous memory.
pub const ANON: u32 = 0x80000;
/// The page may have been modified.
pub const PG_MODIFIED: u32 = 0x100000;
/// The page may have been referenced.
pub const PG_REFERENCED: u32 = 0x200000;
/// The page is mapped.
pub const PG_HWMAPPED: u32 = 0x400000;
/// The mask of the three above, which are set together on backed records.
pub const PG_MASK: u32 = 0x700000;
/// Backed by System RAM.
pub const SYSRAM: u32 = 0x1000000;
/// Swapped out. Our own: QNX has no swap and leaves this bit alone.
pub const SWAPPED: u32 = 0x2000_0000;

/// The flags of a virtual region.
pub fn of_mapping(mapping: &Mapping) -> u32 {
    let vma = &mapping.vma;
    let anonymous = if vma.has_object() { 0 } else { ANON };
    shared_by_both(mapping) | anonymous
}

/// The flags of a physical region or a page-table record.
pub fn of_pages(mapping: &Mapping, backing: Backing, anonymous: bool) -> u32 {
    shared_by_both(mapping) | of_backing(backing, anonymous)
}

/// Those of them that depend on the pages, not on the mapping.
pub const fn of_backing(backing: Backing, anonymous: bool) -> u32 {
    let backed = match backing {
        Backing::Ram(_) | Backing::Zero(_) | Backing::Resident => SYSRAM | PG_MASK,
        Backing::Device(_) => PHYS | PG_MASK,
        Backing::Swapped(_) => SWAPPED,
        _ => 0,
    };
    backed | if anonymous { ANON } else { 0 }
}

/// Those of them that depend on how the memory is cached; none if that is not
/// known.
pub fn of_memory_type(memory_type: Option<MemoryType>) -> u32 {
    match memory_type {
        Some(memory_type) if !memory_type.is_cached() => PROT_NOCACHE,
        _ => 0,
    }
}

fn shared_by_both(mapping: &Mapping) -> u32 {
    let vma = &mapping.vma;
    let set = |condition, flag| if condition { flag } else { 0 };
    set(vma.shared, SHARED)
        | set(!vma.shared, PRIVATE)
        | set(vma.protection.read(), PROT_READ)
        | set(vma.protection.write(), PROT_WRITE)
        | set(vma.protection.execute(), PROT_EXEC)
        // Of the file's own mappings: what a walk finds without looking behind it.
        | set(mapping.kind == MappingKind::Elf && vma.has_object(), ELF)
        | set(matches!(mapping.kind, MappingKind::Stack | MappingKind::ThreadStack), STACK)
        | set(mapping.kind == MappingKind::Device, PHYS)
        | of_memory_type(
            mapping
                .unlisted
                .memory()
                .and_then(|memory| memory.memory_type),
        )
}
