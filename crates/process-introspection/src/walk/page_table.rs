//! Iterator over leaf entries of a page table.

use std::sync::Arc;

use process_introspection_core::backing::Backing;
use process_introspection_core::error::Result as CoreResult;
use process_introspection_core::flags::QnxFlags;
use process_introspection_core::memtype::MemoryType;
use process_introspection_core::page_table::{LeafCursor, LeafRun};
use process_introspection_core::{physical, AddrRange, PageSize};

use crate::error::Error;
use crate::process::mapping::{entry_storage, name_storage, EntryStorage, Mapping, NameStorage};
use crate::process::{Addresses, Process};
use crate::walk::current_mapping::CurrentMapping;

/// One leaf entry, or one base page without an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PageTableEntry {
    /// Addresses that the entry maps, from its own start, which may be below the
    /// requested range.
    pub virt: AddrRange,
    /// Size that the entry maps.
    pub page_size: PageSize,
    /// Its backing.
    pub backing: Backing,
    /// True for anonymous memory, see [`crate::PhysicalRegion::anonymous`].
    pub anonymous: bool,
    /// The mapping; `None` for a range that starts in no mapping: its first page is
    /// then the first record.
    pub mapping: Option<Arc<Mapping>>,
}

impl PageTableEntry {
    /// Returns the offset of its first byte in the object; 0 without an object.
    pub fn offset(&self) -> u64 {
        let offset = |mapping: &Arc<Mapping>| physical::offset_at(mapping, self.virt.start());
        self.mapping.as_ref().map_or(0, offset)
    }

    /// Returns QNX's flags for it; none without a mapping.
    pub fn flags(&self) -> QnxFlags {
        let flags = |mapping: &Arc<Mapping>| {
            QnxFlags::of_pages(mapping.core(), self.backing, self.anonymous)
        };
        self.mapping.as_ref().map_or(QnxFlags::NONE, flags)
    }

    /// Returns the memory type, as far as it follows from the mapping.
    pub fn memory_type(&self) -> Option<MemoryType> {
        let mapping = self.mapping.as_ref()?;
        physical::memory_type(mapping.core(), self.backing)
    }
}

/// The leaf entries of a range, in the order of addresses. Memory use is constant.
#[derive(Debug)]
pub struct PageTable<'a> {
    process: &'a Process,
    cursor: Box<LeafCursor<NameStorage, EntryStorage>>,
    current: CurrentMapping,
    mapping: Option<Arc<Mapping>>,
    run: Option<LeafRun>,
    /// Number of records of the run that were returned.
    given: u64,
    failed: bool,
}

impl<'a> PageTable<'a> {
    pub(crate) fn new(process: &'a Process, range: AddrRange) -> Result<Self, Error> {
        let cursor = LeafCursor::new(process.as_core(), range, name_storage(), entry_storage());
        Ok(Self {
            process,
            cursor: Box::new(cursor.map_err(|error| process.error(error))?),
            current: CurrentMapping::new(false),
            mapping: None,
            run: None,
            given: 0,
            failed: false,
        })
    }

    /// Returns the next run, with its mapping.
    fn next_run(&mut self) -> CoreResult<Option<LeafRun>> {
        let core = self.process.as_core();
        self.run = self.cursor.next(core)?;
        self.given = 0;
        self.mapping = None;
        if self.run.is_some_and(|run| run.is_mapped) {
            let image = self.cursor.take_image();
            let (vma, name) = (self.cursor.mapping(), self.cursor.name());
            let mapping = vma.map(|vma| self.current.of(core, vma, name, image));
            self.mapping = mapping.transpose()?;
        }
        Ok(self.run)
    }
}

impl Iterator for PageTable<'_> {
    type Item = Result<PageTableEntry, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let run = match self.run {
            Some(run) if self.given < run.count() => run,
            _ => match self.next_run() {
                Ok(run) => run?,
                Err(error) => {
                    self.failed = true;
                    return Some(Err(self.process.error(error)));
                }
            },
        };
        let size = run.page_size.bytes();
        let start = run.virt.start().as_u64() + self.given * size;
        let entry = PageTableEntry {
            virt: AddrRange::new(start, start.saturating_add(size)).unwrap_or_default(),
            page_size: run.page_size,
            backing: run.backing_of(self.given),
            anonymous: run.anonymous,
            mapping: self.mapping.clone(),
        };
        self.given += 1;
        Some(Ok(entry))
    }
}

impl Process {
    /// Returns the leaf entries of the page table that touch `range`: one for each page
    /// that is mapped, of its size, and one base page for each page that is not.
    ///
    /// # Errors
    /// Those of [`Process::physical_regions`].
    pub fn page_table(&self, range: impl Into<Addresses>) -> Result<PageTable<'_>, Error> {
        PageTable::new(self, range.into().range()?)
    }
}
