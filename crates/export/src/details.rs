//! Facts of the pages of a record.

use process_introspection::{EntryFlags, PageFacts};

use crate::field::{record, Field, FieldType, Kind, Visit};
use crate::name::Name;
use crate::table::Notes;
use crate::value::{flag_name, FlagCounts};

record! {
    /// Smallest and largest of several numbers.
    #[derive(Copy)]
    pub struct Span: Readable {
        /// Smallest.
        pub min: u64,
        /// Largest.
        pub max: u64,
    }
}

record! {
    /// Facts of the pages of a record, as numbers of base pages.
    pub struct Details: Readable {
        /// Number of base pages.
        pub pages: u64 = pages().least(1),
        /// Number of pages whose frame's flags the kernel exports.
        pub frames: u64 = pages(),
        /// For each flag of /proc/kpageflags, the number of pages whose frame has it. Names
        /// are the kernel's without KPF_, bitN for a bit without one. Flags that no page has
        /// are left out.
        pub flags: FlagCounts,
        /// For each flag of /proc/PID/pagemap, the number of pages whose entry has it. Names
        /// are the kernel's without PM_: soft_dirty, mmap_exclusive, uffd_wp, guard_region,
        /// file, swap, present; bitN for a bit without one. Flags that no page has are left
        /// out.
        pub entries: FlagCounts,
        /// Smallest and largest number of page-table entries that map a frame of it
        /// (/proc/kpagecount).
        pub mapcount: Option<Span> = null("if no frame's is known"),
        /// Path of the swap area that contains the first page.
        pub swap_area: Option<String>
            = null("if the page is not in swap, or the area is not certain"),
    }
}

impl FieldType for &Details {
    const KIND: Kind = Details::KIND;

    fn visit_as(&self, field: &'static Field, visit: &mut impl Visit) {
        visit.group(field, *self);
    }
}

impl Details {
    /// Returns the facts of `pages` base pages.
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

    /// Appends them below a row.
    pub(crate) fn note(&self, notes: &mut Notes<'_>) {
        notes.end_line();
        match self.mapcount {
            Some(Span { min, max }) if min == max => {
                notes.phrase(&format!("mapped: {min}"));
            }
            Some(Span { min, max }) => {
                notes.phrase(&format!("mapped: {min}-{max}"));
            }
            None => {}
        }
        self.note_flags("entries:", &self.entries, notes);
        self.note_flags("frames:", &self.flags, notes);
        if let Some(area) = &self.swap_area {
            let area = Name(area.as_bytes()).printable();
            notes.phrase("swap area:").phrase(&area);
        }
    }

    /// Appends names of flags; with the number of pages where not all pages have them.
    fn note_flags(&self, title: &str, counts: &FlagCounts, notes: &mut Notes<'_>) {
        // State and address contain this already.
        let flags = counts.0.iter().filter(|(name, _)| name != "present");
        for (index, (name, count)) in flags.enumerate() {
            if index == 0 {
                notes.phrase(title);
            }
            match *count == self.pages {
                true => notes.phrase(name),
                false => notes.phrase(&format!("{name}:{count}")),
            };
        }
    }
}
