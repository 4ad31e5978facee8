//! Facts of the pages of a record, which any record with the fields of a
//! physical one can have besides.

use process_introspection::{EntryFlags, PageFacts};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::address::flag_name;
use crate::delimited::Fields;
use crate::name::Name;
use crate::physical::PhysicalRecord;
use crate::record::{inserted, Layout, Record};
use crate::table::{Cells, Notes};

/// Of how many pages each flag is set, in the order of the bits.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct FlagCounts(pub Vec<(String, u64)>);

impl Serialize for FlagCounts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, count) in &self.0 {
            map.serialize_entry(name, count)?;
        }
        map.end()
    }
}

impl FlagCounts {
    /// As `anon:512|lru:510`.
    fn text(&self) -> String {
        let flags = self.0.iter().map(|(name, count)| format!("{name}:{count}"));
        flags.collect::<Vec<_>>().join("|")
    }

    /// The names; with the number of pages where that is not `all`.
    fn add_to(&self, title: &str, all: u64, notes: &mut Notes<'_>) {
        // State and place say it already.
        let mut flags = self
            .0
            .iter()
            .filter(|(name, _)| name != "present")
            .peekable();
        if flags.peek().is_some() {
            notes.phrase(title);
        }
        for (name, count) in flags {
            match *count == all {
                true => notes.phrase(name),
                false => notes.phrase(&format!("{name}:{count}")),
            };
        }
    }
}

/// The least and the greatest of several numbers.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Span {
    /// The least.
    pub min: u64,
    /// The greatest.
    pub max: u64,
}

/// Facts of the pages of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Details {
    /// How many base pages it has.
    pub pages: u64,
    /// Of how many of them the frame's flags are known.
    pub frames: u64,
    /// Of how many pages the frame has each flag, by the kernel's names.
    pub flags: FlagCounts,
    /// Of how many pages the entry in the page map has each flag.
    pub entries: FlagCounts,
    /// How often its frames are mapped.
    pub mapcount: Option<Span>,
    /// The swap area that its first page is in, where that is certain.
    pub swap_area: Option<String>,
}

impl Details {
    /// Of facts that were read of so many base pages.
    pub fn new(pages: u64, facts: &PageFacts, swap_area: Option<String>) -> Self {
        let entry_name =
            |bit| EntryFlags::name_of(bit).map_or_else(|| format!("bit{bit}"), str::to_owned);
        let flags = facts
            .frame_flags()
            .map(|(bit, count)| (flag_name(bit), count));
        let entries = facts
            .entry_flags()
            .map(|(bit, count)| (entry_name(bit), count));
        Self {
            pages,
            frames: facts.frames(),
            flags: FlagCounts(flags.collect()),
            entries: FlagCounts(entries.collect()),
            mapcount: facts.mapcounts().map(|(min, max)| Span { min, max }),
            swap_area,
        }
    }
}

/// A record of a physical region or of a page-table entry, and facts of its
/// pages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Detailed<R> {
    /// The record, which must have the fields of [`PhysicalRecord`].
    #[serde(flatten)]
    pub record: R,
    /// The facts.
    pub details: Details,
}

const OWN: [&str; 7] = [
    "details_pages",
    "details_frames",
    "details_flags",
    "details_entries",
    "details_mapcount_min",
    "details_mapcount_max",
    "details_swap_area",
];

const RECORD: &[&str] = PhysicalRecord::LAYOUT.fields;
const FIELDS: [&str; RECORD.len() + OWN.len()] = inserted(RECORD, RECORD.len(), &OWN);

impl<R: Record> Record for Detailed<R> {
    const LAYOUT: Layout = Layout {
        fields: &FIELDS,
        columns: R::LAYOUT.columns,
    };

    fn fields(&self, fields: &mut Fields) {
        let details = &self.details;
        self.record.fields(fields);
        fields
            .number(details.pages)
            .number(details.frames)
            .text(&details.flags.text())
            .text(&details.entries.text())
            .number(details.mapcount.map(|span| span.min))
            .number(details.mapcount.map(|span| span.max))
            .others_text(details.swap_area.as_deref().unwrap_or_default());
    }

    fn cells(&self, cells: &mut Cells<'_>) {
        self.record.cells(cells);
    }

    fn notes(&self, notes: &mut Notes<'_>) {
        let details = &self.details;
        self.record.notes(notes);
        notes.end_line();
        match details.mapcount {
            Some(Span { min, max }) if min == max => {
                notes.phrase(&format!("mapped: {min}"));
            }
            Some(Span { min, max }) => {
                notes.phrase(&format!("mapped: {min}-{max}"));
            }
            None => {}
        }
        details.entries.add_to("entries:", details.pages, notes);
        details.flags.add_to("frames:", details.pages, notes);
        if let Some(area) = &details.swap_area {
            let mut printable = Vec::new();
            Name(area.as_bytes()).push_printable(None, &mut printable);
            notes
                .phrase("swap area:")
                .phrase(&String::from_utf8_lossy(&printable));
        }
    }
}
