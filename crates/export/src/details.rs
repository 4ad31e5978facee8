//! Facts of the pages of a record.

use process_introspection::{EntryFlags, FrameFlags, PageFacts};

use crate::field::{record, Field, FieldType, Kind, MissingField, Source, StoredType, Visit};
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

fn entry_name(bit: u32) -> String {
    EntryFlags::name_of(bit).map_or_else(|| format!("bit{bit}"), str::to_owned)
}

/// Returns the bit of a flag.
fn bit_of(name: &str, name_of: impl Fn(u32) -> String) -> Option<u32> {
    (0..u64::BITS).find(|&bit| name_of(bit) == name)
}

/// Adds counts of flags, in the order of their bits.
fn add_counts(counts: &mut FlagCounts, further: &FlagCounts, name_of: impl Fn(u32) -> String) {
    let FlagCounts(counts) = counts;
    let known = counts.len();
    for (name, count) in &further.0 {
        match counts.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known += count,
            None => counts.push((name.clone(), *count)),
        }
    }
    if counts.len() > known {
        counts.sort_by_key(|(name, _)| bit_of(name, &name_of));
    }
}

impl FieldType for &Details {
    const KIND: Kind = Details::KIND;

    fn visit_as(&self, field: &'static Field, visit: &mut impl Visit) {
        visit.group(field, *self);
    }
}

/// In rows that rarely have details, so that such rows are small.
impl FieldType for Box<Details> {
    const KIND: Kind = Details::KIND;

    fn visit_as(&self, field: &'static Field, visit: &mut impl Visit) {
        visit.group(field, &**self);
    }
}

impl StoredType for Box<Details> {
    fn read(field: &'static Field, source: &mut impl Source) -> Result<Option<Self>, MissingField> {
        Ok(Details::read(field, source)?.map(Box::new))
    }
}

impl Details {
    /// Returns the facts of `pages` base pages.
    pub fn new(pages: u64, facts: &PageFacts, swap_area: Option<String>) -> Self {
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

    /// Returns the flags that the frames of all pages have, and those that any has; `None` if
    /// those of a page are unknown.
    pub fn frame_flags(&self) -> Option<(FrameFlags, FrameFlags)> {
        let (mut common, mut any) = (0, 0);
        for (name, count) in &self.flags.0 {
            let bit = 1 << bit_of(name, flag_name)?;
            any |= bit;
            common |= if *count == self.pages { bit } else { 0 };
        }
        let flags = (FrameFlags::from_bits(common), FrameFlags::from_bits(any));
        (self.frames == self.pages).then_some(flags)
    }

    /// Adds the facts of the pages behind these.
    pub fn add(&mut self, further: &Self) {
        self.pages += further.pages;
        self.frames += further.frames;
        add_counts(&mut self.flags, &further.flags, flag_name);
        add_counts(&mut self.entries, &further.entries, entry_name);
        let both = self.mapcount.into_iter().chain(further.mapcount);
        self.mapcount = both.reduce(|one, other| Span {
            min: one.min.min(other.min),
            max: one.max.max(other.max),
        });
    }

    /// Returns the facts of `pages` of the pages; `None` if not all pages have the same, so
    /// that those of a part are unknown.
    pub fn of_part(&self, pages: u64) -> Option<Self> {
        let all = |count: &u64| *count == self.pages;
        let counts = self.flags.0.iter().chain(&self.entries.0);
        let is_same = counts.into_iter().all(|(_, count)| all(count))
            && (self.frames == 0 || all(&self.frames))
            && self.mapcount.is_none_or(|span| span.min == span.max)
            // The place of the first page in swap is not that of another.
            && self.swap_area.is_none();
        let of = |counts: &FlagCounts| {
            let counts = counts.0.iter().map(|(name, _)| (name.clone(), pages));
            FlagCounts(counts.collect())
        };
        is_same.then(|| Self {
            pages,
            frames: if self.frames == 0 { 0 } else { pages },
            flags: of(&self.flags),
            entries: of(&self.entries),
            mapcount: self.mapcount,
            swap_area: None,
        })
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
