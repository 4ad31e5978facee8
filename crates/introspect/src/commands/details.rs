//! Facts of pages for records: reads them for many records at a time, and hands
//! on records as they come where none are wanted.

use process_introspection::{
    AddrRange, Backing, EntryNotes, MemoryType, PageFactsReader, PageTableEntry, PhysicalRegion,
    Process, SwapAreas,
};
use process_introspection_export as export;

use crate::failure::Failure;
use crate::output::sink::Sink;

/// So many records are kept until the facts of their pages are read: the more,
/// the longer are the runs of frames, which tell the most where memory is
/// scattered. Some 6 MiB.
const BATCH: usize = 1 << 15;

/// What facts are read with.
#[derive(Debug)]
pub(crate) struct Details<'a> {
    process: &'a Process,
    facts: PageFactsReader<'a>,
    swap: SwapAreas,
}

impl<'a> Details<'a> {
    /// If they are wanted.
    pub(crate) fn wanted(wanted: bool, process: &'a Process) -> Result<Option<Self>, Failure> {
        if !wanted {
            return Ok(None);
        }
        Ok(Some(Self {
            process,
            facts: process.page_facts()?,
            swap: SwapAreas::read_in(process.mounts())?,
        }))
    }

    /// Hands each of these to `write`, with the facts of its pages. All of them
    /// were added in this order.
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

/// Pages that a walk found.
pub(crate) trait Pages: Clone {
    /// Where they are, and what is behind them.
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

/// A record to be.
#[derive(Debug)]
struct Kept<P> {
    pages: P,
    memory_type: Option<MemoryType>,
}

/// What was found and is not yet written.
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
    /// `write` writes one record, with facts if `details` are wanted.
    pub(crate) fn new(details: Option<Details<'a>>, write: W) -> Self {
        Self {
            details,
            kept: Vec::new(),
            write,
        }
    }

    /// Writes these pages, which are cached in this way, or keeps them for later,
    /// with what the walk has noted of their entries.
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

    /// Writes what was kept.
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
