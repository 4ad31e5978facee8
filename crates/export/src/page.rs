//! Facts of pages that several records have: the place in swap, why something is unknown,
//! protection, and the byte below a row.

use process_introspection::{Backing, MemoryType, Protection, SwapPlace};

use crate::field::record;
use crate::number::Hex;
use crate::table::{Notes, Row};

record! {
    /// Place of a page in swap.
    #[derive(Copy)]
    pub struct Swap: Readable {
        /// Number of the swap area.
        pub area: u8 = named("type").most(31),
        /// Slot in the area, in base pages.
        pub offset: u64 = pages(),
    }
}

impl Swap {
    /// Returns the place of swapped memory, where it is known.
    pub fn of(backing: Backing) -> Option<Self> {
        match backing {
            Backing::Swapped(place) => place.map(Self::from),
            _ => None,
        }
    }

    /// Shows it in the column of addresses: the area, and the slot in hexadecimal.
    pub(crate) fn show(self, row: &mut Row<'_>) {
        row.set("PADDR", format!("{}:{:x}", self.area, self.offset));
    }
}

impl From<SwapPlace> for Swap {
    fn from(place: SwapPlace) -> Self {
        Self {
            area: place.area,
            offset: place.offset,
        }
    }
}

/// Returns the reason for which memory is unknown; `None` if it is known.
pub(crate) fn unknown_reason(backing: Backing) -> Option<&'static str> {
    match backing {
        Backing::Unknown(reason) => Some(reason.name()),
        _ => None,
    }
}

/// Returns QNX's flags with `PROT_NOCACHE` as the memory type says.
pub(crate) fn with_memory_type(flags: Hex, memory_type: Option<MemoryType>) -> Hex {
    const NOCACHE: u64 = 0x800;
    Hex(match memory_type {
        Some(memory_type) if memory_type.is_cached() => flags.0 & !NOCACHE,
        Some(_) => flags.0 | NOCACHE,
        None => flags.0,
    })
}

/// Returns a protection as `rwx`, with `-` for what is not allowed.
pub fn protection_name(protection: Protection) -> &'static str {
    match (protection.read(), protection.write(), protection.execute()) {
        (false, false, false) => "---",
        (false, false, true) => "--x",
        (false, true, false) => "-w-",
        (false, true, true) => "-wx",
        (true, false, false) => "r--",
        (true, false, true) => "r-x",
        (true, true, false) => "rw-",
        (true, true, true) => "rwx",
    }
}

/// Returns a virtual address and its physical address, if it is in memory that begins at
/// `start` and is not its first byte.
pub(crate) fn byte_of(
    Hex(start): Hex,
    size: u64,
    paddr: Option<Hex>,
    vaddr: u64,
) -> Option<(Hex, Hex)> {
    let into = vaddr
        .checked_sub(start)
        .filter(|&into| 0 < into && into < size)?;
    Some((Hex(vaddr), Hex(paddr?.0.checked_add(into)?)))
}

pub(crate) fn note_byte(byte: Option<(Hex, Hex)>, notes: &mut Notes<'_>) {
    if let Some((Hex(vaddr), Hex(paddr))) = byte {
        notes.phrase(&format!("the byte at {vaddr:x} is at {paddr:x}"));
    }
}
