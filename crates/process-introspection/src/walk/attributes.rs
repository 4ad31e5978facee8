//! Attributes of the records that a walk finds, each read only on request. This module
//! reads them for one record or for many at a time; it does not know how records are
//! found.

use std::ops::ControlFlow;
use std::sync::Arc;

use process_introspection_core::backing::Backing;
use process_introspection_core::memtype::MemoryType;
use process_introspection_core::{AddrRange, PageSize};

use crate::error::Error;
use crate::facts::page_facts::{EntryNotes, PageFactsReader};
use crate::facts::thread_stacks::ThreadStacks;
use crate::facts::vm_flags::VmFlags;
use crate::machine::memory_types::MemoryTypes;
use crate::machine::physical_map::PhysicalMap;
use crate::process::mapping::Mapping;
use crate::process::Process;
use crate::walk::attributed::Attributed;
use crate::walk::backed::Backed;
use crate::walk::page_table::PageTableEntry;
use crate::walk::regions::PhysicalRegion;

/// Maximum number of records that wait for the facts of their pages, some 6 MiB. A
/// larger number makes longer runs of frames, which matters most where memory is
/// scattered.
const BATCH: usize = 1 << 15;

/// Attributes that were requested from a walk.
#[derive(Copy, Clone, Debug, Default)]
pub(super) struct Requested<'a> {
    pub(super) details: bool,
    pub(super) entries: bool,
    pub(super) vm_flags: bool,
    pub(super) thread_stacks: bool,
    pub(super) memory_types: bool,
    pub(super) page_sizes: bool,
    pub(super) split_page_sizes: bool,
    pub(super) nodes: Option<&'a PhysicalMap>,
}

impl<'a> Requested<'a> {
    /// Prepares to read these attributes; returns `None` if there are none.
    pub(super) fn open<P>(self, process: &'a Process) -> Result<Option<Attributes<'a, P>>, Error> {
        let Self {
            details,
            entries,
            vm_flags,
            thread_stacks,
            memory_types,
            page_sizes,
            split_page_sizes,
            nodes,
        } = self;
        let of_mappings = vm_flags || thread_stacks || memory_types;
        let any = details || entries || of_mappings || page_sizes || split_page_sizes;
        if !any && nodes.is_none() {
            return Ok(None);
        }
        Ok(Some(Attributes {
            vm_flags: vm_flags.then(|| process.vm_flags()).transpose()?,
            stacks: thread_stacks.then(|| process.thread_stacks()).transpose()?,
            classified: None,
            types: memory_types.then(|| MemoryTypes::of(process.mounts())),
            entries,
            split_page_sizes,
            single: Single {
                process,
                page_sizes: page_sizes && !split_page_sizes,
                nodes,
            },
            facts: details.then(|| process.page_facts()).transpose()?,
            waiting: Vec::new(),
        }))
    }
}

/// Reader of attributes, which keeps the records that wait for the facts of their
/// pages.
#[derive(Debug)]
pub(super) struct Attributes<'a, P> {
    vm_flags: Option<VmFlags>,
    stacks: Option<ThreadStacks>,
    /// The mapping whose stacks were classified last, and the result.
    classified: Option<(Arc<Mapping>, Arc<Mapping>)>,
    types: Option<MemoryTypes>,
    entries: bool,
    split_page_sizes: bool,
    single: Single<'a>,
    facts: Option<PageFactsReader<'a>>,
    /// Each with its memory type and, if it was split off by size, its page size.
    waiting: Vec<(P, Option<MemoryType>, Option<PageSize>)>,
}

/// Attributes that are read for each record alone, when it is handed over.
#[derive(Debug)]
struct Single<'a> {
    process: &'a Process,
    page_sizes: bool,
    nodes: Option<&'a PhysicalMap>,
}

impl Single<'_> {
    fn hand_over<P: Pages>(
        &self,
        record: &mut Attributed<P>,
        each: &mut impl FnMut(&Attributed<P>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Error> {
        if self.page_sizes {
            record.page_size = record.pages.page_size(self.process)?;
        }
        if let Some(map) = self.nodes {
            let address = record.backing().address();
            let size = record.virt().size();
            record.node = address.and_then(|address| map.node_of(address, size));
        }
        Ok(each(record))
    }
}

impl<P: Pages> Attributes<'_, P> {
    /// Adds the next record, which is passed to `each` at once, in pieces, or later
    /// with others. `notes` are those of its entries.
    pub(super) fn add(
        &mut self,
        record: &mut Attributed<P>,
        notes: Option<&EntryNotes>,
        each: &mut impl FnMut(&Attributed<P>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Error> {
        match self.corrected(&record.pages) {
            None => self.split(record, notes, each),
            Some(pages) => self.split(&mut Attributed::new(pages), notes, each),
        }
    }

    /// Returns the record as corrected by the kernel's flags of its mapping and by the
    /// threads' stacks; `None` if they change nothing.
    fn corrected(&mut self, pages: &P) -> Option<P> {
        if self.vm_flags.is_none() && self.stacks.is_none() {
            return None;
        }
        let mapping = pages.mapping()?;
        let found = pages.backing();
        let backing = match &self.vm_flags {
            Some(flags) => flags.backing_of(mapping, found),
            None => found,
        };
        let classified = match (&self.classified, &self.stacks) {
            (_, None) => mapping,
            (Some((known, classified)), _) if Arc::ptr_eq(known, mapping) => classified,
            (_, Some(stacks)) => {
                let classified = stacks.classify(mapping);
                let (_, classified) = self.classified.insert((Arc::clone(mapping), classified));
                classified
            }
        };
        let same = backing == found && Arc::ptr_eq(mapping, classified);
        (!same).then(|| {
            let mut corrected = pages.clone();
            corrected.set(backing, classified);
            corrected
        })
    }

    /// Splits a record where the memory type changes.
    fn split(
        &mut self,
        record: &mut Attributed<P>,
        notes: Option<&EntryNotes>,
        each: &mut impl FnMut(&Attributed<P>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Error> {
        let Some(types) = &self.types else {
            return self.split_by_page_size(record, notes, each);
        };
        match record.pages.memory_types(types) {
            Pieces::One(memory_type) => {
                record.memory_type = memory_type;
                self.split_by_page_size(record, notes, each)
            }
            Pieces::Several(pieces) => {
                for (pages, memory_type) in pieces {
                    let mut piece = Attributed::new(pages);
                    piece.memory_type = memory_type;
                    if self.split_by_page_size(&mut piece, notes, each)?.is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
                Ok(ControlFlow::Continue(()))
            }
        }
    }

    /// Splits a record of one memory type where the page size changes, if requested.
    fn split_by_page_size(
        &mut self,
        record: &mut Attributed<P>,
        notes: Option<&EntryNotes>,
        each: &mut impl FnMut(&Attributed<P>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Error> {
        if !self.split_page_sizes {
            return self.add_piece(record, notes, each);
        }
        match record.pages.page_sizes(self.single.process)? {
            Pieces::One(page_size) => {
                record.page_size = page_size;
                self.add_piece(record, notes, each)
            }
            Pieces::Several(pieces) => {
                for (pages, page_size) in pieces {
                    let mut piece = Attributed::new(pages);
                    piece.memory_type = record.memory_type;
                    piece.page_size = page_size;
                    if self.add_piece(&mut piece, notes, each)?.is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
                Ok(ControlFlow::Continue(()))
            }
        }
    }

    fn add_piece(
        &mut self,
        record: &mut Attributed<P>,
        notes: Option<&EntryNotes>,
        each: &mut impl FnMut(&Attributed<P>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Error> {
        let page = self.single.process.page_size();
        let (virt, backing) = (record.virt(), record.backing());
        let mut noted = notes.and_then(|notes| notes.of(virt, page));
        if self.entries {
            record.entries = noted.take();
        }
        let Some(facts) = &mut self.facts else {
            return self.single.hand_over(record, each);
        };
        facts.add(virt, backing, noted);
        let pages = record.pages.clone();
        self.waiting
            .push((pages, record.memory_type, record.page_size));
        if self.waiting.len() < BATCH {
            return Ok(ControlFlow::Continue(()));
        }
        self.flush(each)
    }

    /// Hands over the waiting records.
    pub(super) fn flush(
        &mut self,
        each: &mut impl FnMut(&Attributed<P>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Error> {
        let Some(reader) = &mut self.facts else {
            return Ok(ControlFlow::Continue(()));
        };
        let facts = reader.read()?;
        for ((pages, memory_type, page_size), facts) in self.waiting.drain(..).zip(facts) {
            let mut record = Attributed::new(pages);
            record.memory_type = memory_type;
            record.page_size = page_size;
            record.facts = Some(facts);
            if self.single.hand_over(&mut record, each)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// Pieces of a record, each with one attribute, such as its memory type.
pub(super) enum Pieces<P, T> {
    One(Option<T>),
    Several(Vec<(P, Option<T>)>),
}

/// Records of walks, as far as attributes depend on them.
pub(super) trait Pages: Backed + Clone {
    fn mapping(&self) -> Option<&Arc<Mapping>>;
    fn set(&mut self, backing: Backing, mapping: &Arc<Mapping>);
    fn memory_types(&self, types: &MemoryTypes) -> Pieces<Self, MemoryType>;
    fn page_size(&self, process: &Process) -> Result<Option<PageSize>, Error>;
    fn page_sizes(&self, process: &Process) -> Result<Pieces<Self, PageSize>, Error>;
}

impl Pages for PhysicalRegion {
    fn mapping(&self) -> Option<&Arc<Mapping>> {
        Some(&self.mapping)
    }

    fn set(&mut self, backing: Backing, mapping: &Arc<Mapping>) {
        (self.backing, self.mapping) = (backing, Arc::clone(mapping));
    }

    fn memory_types(&self, types: &MemoryTypes) -> Pieces<Self, MemoryType> {
        match types.says_more_of(self) {
            true => Pieces::Several(types.pieces(self).collect()),
            false => Pieces::One(self.memory_type()),
        }
    }

    fn page_size(&self, process: &Process) -> Result<Option<PageSize>, Error> {
        process.page_size_of(self)
    }

    fn page_sizes(&self, process: &Process) -> Result<Pieces<Self, PageSize>, Error> {
        let parts = process.page_sizes_of(self)?;
        if let [(_, page_size)] = parts[..] {
            return Ok(Pieces::One(page_size));
        }
        let mut start = self.virt.start().as_u64();
        let pieces = parts.into_iter().filter_map(|(end, page_size)| {
            let piece = self.within(AddrRange::new(start, end)?);
            start = end;
            Some((piece?, page_size))
        });
        Ok(Pieces::Several(pieces.collect()))
    }
}

impl Pages for PageTableEntry {
    fn mapping(&self) -> Option<&Arc<Mapping>> {
        self.mapping.as_ref()
    }

    fn set(&mut self, backing: Backing, mapping: &Arc<Mapping>) {
        (self.backing, self.mapping) = (backing, Some(Arc::clone(mapping)));
    }

    fn memory_types(&self, types: &MemoryTypes) -> Pieces<Self, MemoryType> {
        Pieces::One(types.of_entry(self))
    }

    fn page_size(&self, _: &Process) -> Result<Option<PageSize>, Error> {
        Ok(Some(self.page_size))
    }

    fn page_sizes(&self, _: &Process) -> Result<Pieces<Self, PageSize>, Error> {
        Ok(Pieces::One(Some(self.page_size)))
    }
}
