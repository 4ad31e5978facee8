//! `--details`: page facts of records, read for many records at a time. Records without
//! them are written at once.

use process_introspection::{
    AddrRange, Backing, EntryNotes, MemoryType, PageFactsReader, PageTableEntry, PhysicalRegion,
    Process, SwapAreas,
};
use process_introspection_export as export;

use crate::failure::Failure;
use crate::output::sink::Sink;

/// Records whose page facts are read together, about 6 MiB: with more records there are
/// longer runs of frames, which are read faster.
const BATCH: usize = 1 << 15;

/// Sources of page facts.
#[derive(Debug)]
pub(crate) struct Details<'a> {
    process: &'a Process,
    facts: PageFactsReader<'a>,
    swap: SwapAreas,
}

impl<'a> Details<'a> {
    /// Opens the sources, if `is_requested`.
    pub(crate) fn new(is_requested: bool, process: &'a Process) -> Result<Option<Self>, Failure> {
        if !is_requested {
            return Ok(None);
        }
        Ok(Some(Self {
            process,
            facts: process.page_facts()?,
            swap: SwapAreas::read_in(process.mounts())?,
        }))
    }

    /// Calls `write` for all these records, which were added in this order, each with its
    /// page facts.
    fn each<P: Pages>(
        &mut self,
        all: &[Kept<P>],
        mut write: impl FnMut(&Kept<P>, export::Details) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let page = self.process.page_size();
        for (kept, facts) in all.iter().zip(self.facts.read()?) {
            let (virt, backing) = kept.pages.place();
            let area = match backing {
                Backing::Swapped(Some(place)) => self.swap.area_of(place, page),
                _ => None,
            };
            let area = area.map(|area| area.path.clone());
            let pages = virt.size() >> page.shift();
            write(kept, export::Details::new(pages, &facts, area))?;
        }
        Ok(())
    }
}

/// Pages of a record.
pub(crate) trait Pages: Clone {
    /// Returns their addresses and their backing.
    fn place(&self) -> (AddrRange, Backing);
}

impl Pages for PhysicalRegion {
    fn place(&self) -> (AddrRange, Backing) {
        (self.virt, self.backing)
    }
}

impl Pages for PageTableEntry {
    fn place(&self) -> (AddrRange, Backing) {
        (self.virt, self.backing)
    }
}

/// A record that is not yet written.
#[derive(Debug)]
struct Kept<P> {
    pages: P,
    memory_type: Option<MemoryType>,
}

/// Records that are not yet written.
#[derive(Debug)]
pub(crate) struct Batch<'a, P, W> {
    details: Option<Details<'a>>,
    kept: Vec<Kept<P>>,
    write: W,
}

impl<'a, P, W> Batch<'a, P, W>
where
    P: Pages,
    W: Fn(&P, Option<MemoryType>, Option<export::Details>, &mut Sink) -> Result<(), Failure>,
{
    /// `write` writes one record, with page facts if there are `details`.
    pub(crate) fn new(details: Option<Details<'a>>, write: W) -> Self {
        Self {
            details,
            kept: Vec::new(),
            write,
        }
    }

    /// Writes the record, or keeps it until page facts are read; `notes` are the entries
    /// that the walk read.
    pub(crate) fn add(
        &mut self,
        pages: &P,
        memory_type: Option<MemoryType>,
        notes: Option<&EntryNotes>,
        sink: &mut Sink,
    ) -> Result<(), Failure> {
        let Some(details) = &mut self.details else {
            return (self.write)(pages, memory_type, None, sink);
        };
        let page = details.process.page_size();
        let (virt, backing) = pages.place();
        let noted = notes.and_then(|notes| notes.of(virt, page));
        details.facts.add(virt, backing, noted);
        self.kept.push(Kept {
            pages: pages.clone(),
            memory_type,
        });
        if self.kept.len() < BATCH {
            return Ok(());
        }
        self.write_all(sink)
    }

    /// Writes the kept records.
    pub(crate) fn write_all(&mut self, sink: &mut Sink) -> Result<(), Failure> {
        let Some(details) = &mut self.details else {
            return Ok(());
        };
        details.each(&self.kept, |kept, facts| {
            (self.write)(&kept.pages, kept.memory_type, Some(facts), sink)
        })?;
        self.kept.clear();
        Ok(())
    }
}
