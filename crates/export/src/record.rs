//! What every kind of record is to the writers: fields for JSON, fields for
//! CSV, cells of a table. Knows no format.

use process_introspection::{Backing, MemoryType, Protection, SwapPlace};
use serde::Serialize;

use crate::delimited::Fields;
use crate::number::Hex;
use crate::table::{Cells, Notes};

/// A record that can be written in every format.
pub trait Record: Serialize {
    /// What its columns are.
    const LAYOUT: Layout;

    /// Appends its fields, as many as the layout names; of several lines, as many
    /// in each.
    fn fields(&self, fields: &mut Fields);

    /// Appends its cells, as many as the layout has columns.
    fn cells(&self, cells: &mut Cells<'_>);

    /// Appends what the table says of it below its row.
    fn notes(&self, _notes: &mut Notes<'_>) {}

    /// All that the table shows of it, in lines, if its layout has no columns;
    /// `width` is the terminal's.
    fn picture(&self, _width: Option<usize>) -> String {
        String::new()
    }
}

/// The columns of one kind of record.
#[derive(Copy, Clone, Debug)]
pub struct Layout {
    /// The fields in CSV.
    pub fields: &'static [&'static str],
    /// The columns of the table. The last one takes the names, and what is
    /// left of the line. None for a record that is shown as a picture.
    pub columns: &'static [Column],
}

/// A column of a table.
#[derive(Copy, Clone, Debug)]
pub struct Column {
    /// In the header line.
    pub title: &'static str,
    /// In characters; wider values move what follows.
    pub width: usize,
    /// Where in the width.
    pub align: Align,
}

/// Where a value stands in its column.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

impl Column {
    /// A column of text.
    pub const fn text(title: &'static str, width: usize) -> Self {
        Self {
            title,
            width,
            align: Align::Left,
        }
    }

    /// A column of numbers.
    pub const fn number(title: &'static str, width: usize) -> Self {
        Self {
            title,
            width,
            align: Align::Right,
        }
    }
}

/// A list with `more` before what is at `at`; `N` is the length of both.
pub(crate) const fn inserted<T: Copy, const N: usize>(list: &[T], at: usize, more: &[T]) -> [T; N] {
    assert!(N == list.len() + more.len());
    let mut all = [more[0]; N];
    let mut index = 0;
    while index < N {
        all[index] = if index < at {
            list[index]
        } else if index < at + more.len() {
            more[index - at]
        } else {
            list[index - more.len()]
        };
        index += 1;
    }
    all
}

/// Where the first page of a record lies in swap.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Swap {
    /// The number of the swap area.
    #[serde(rename = "type")]
    pub area: u8,
    /// The slot in it, in base pages.
    pub offset: u64,
}

impl Swap {
    /// That of swapped memory, where it is known.
    pub fn of(backing: Backing) -> Option<Self> {
        match backing {
            Backing::Swapped(place) => place.map(Self::from),
            _ => None,
        }
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

/// Why it is unknown what is behind a page, by name; `None` if it is known.
pub(crate) fn unknown_reason(backing: Backing) -> Option<&'static str> {
    match backing {
        Backing::Unknown(reason) => Some(reason.name()),
        _ => None,
    }
}

/// Flags with what they say of a memory type.
pub(crate) fn with_memory_type(flags: Hex, memory_type: Option<MemoryType>) -> Hex {
    const NOCACHE: u64 = 0x800;
    Hex(match memory_type {
        Some(memory_type) if memory_type.is_cached() => flags.0 & !NOCACHE,
        Some(_) => flags.0 | NOCACHE,
        None => flags.0,
    })
}

/// A protection's name: `rwx`, with `-` for what is not allowed.
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

/// The byte at a virtual address and its physical address, if it is in memory that
/// begins there and is not the first byte of that.
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
