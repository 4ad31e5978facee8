//! Iterator over physical regions.

use std::ops::ControlFlow;
use std::sync::Arc;

use process_introspection_core::backing::Backing;
use process_introspection_core::flags::QnxFlags;
use process_introspection_core::mapping::ClassifiedVma;
use process_introspection_core::memtype::MemoryType;
use process_introspection_core::page_table::LeafCursor;
use process_introspection_core::physical::{FewEntries, PhysicalCursor, Run};
use process_introspection_core::process::Access;
use process_introspection_core::{physical, AddrRange, PageSize};

use crate::error::Error;
use crate::process::mapping::{entry_storage, name_storage, EntryStorage, Mapping, NameStorage};
use crate::process::{Addresses, Process};
use crate::walk::attributed::Attributed;
use crate::walk::current_mapping::CurrentMapping;

/// A maximal run of pages of one mapping that are physically consecutive, or unbacked
/// for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PhysicalRegion {
    /// Its virtual addresses, whole pages.
    pub virt: AddrRange,
    /// Their backing; addresses are those of the first page.
    pub backing: Backing,
    /// True for anonymous memory: of a mapping without an object, or a private copy of
    /// an object's page, resident or swapped.
    pub anonymous: bool,
    /// The mapping that contains it.
    pub mapping: Arc<Mapping>,
}

impl PhysicalRegion {
    /// Makes a region, such as one that was stored.
    pub fn new(virt: AddrRange, backing: Backing, anonymous: bool, mapping: Arc<Mapping>) -> Self {
        Self {
            virt,
            backing,
            anonymous,
            mapping,
        }
    }

    /// Returns the part of the region that lies in `range`, which must consist of whole
    /// pages; `None` if it is empty.
    pub fn within(&self, range: AddrRange) -> Option<Self> {
        let virt = self.virt.intersection(range)?;
        let skipped = virt.start().as_u64() - self.virt.start().as_u64();
        let backing = match self.backing {
            // The place of the first page only is known.
            Backing::Swapped(_) if skipped > 0 => Backing::Swapped(None),
            backing => backing.further(skipped),
        };
        let mapping = Arc::clone(&self.mapping);
        Some(Self::new(virt, backing, self.anonymous, mapping))
    }

    /// Returns the size in bytes.
    pub fn size(&self) -> u64 {
        self.virt.size()
    }

    /// Returns the offset of its first byte in the object; 0 without an object.
    pub fn offset(&self) -> u64 {
        physical::offset_at(&self.mapping, self.virt.start())
    }

    /// Returns QNX's flags for it.
    pub fn flags(&self) -> QnxFlags {
        QnxFlags::of_pages(self.mapping.core(), self.backing, self.anonymous)
    }

    /// Returns the memory type, as far as it follows from the mapping.
    pub fn memory_type(&self) -> Option<MemoryType> {
        physical::memory_type(self.mapping.core(), self.backing)
    }
}

/// The record that a walk hands over, reused for each region: regions of one mapping
/// share the mapping, and to count its users for each region would cost as much as to
/// find the region.
#[derive(Debug, Default)]
pub(super) struct Reused(Option<Attributed<PhysicalRegion>>);

impl Reused {
    /// Returns the record, to be filled with runs of this mapping.
    pub(super) fn of(&mut self, mapping: &Arc<Mapping>) -> &mut Attributed<PhysicalRegion> {
        let record = self.0.get_or_insert_with(|| {
            Attributed::new(PhysicalRegion {
                virt: AddrRange::default(),
                backing: Backing::NotPresent,
                anonymous: false,
                mapping: Arc::clone(mapping),
            })
        });
        if !Arc::ptr_eq(&record.pages.mapping, mapping) {
            record.pages.mapping = Arc::clone(mapping);
        }
        record
    }
}

impl Attributed<PhysicalRegion> {
    /// Sets the record to another run of pages of the same mapping.
    #[inline]
    pub(super) fn set(&mut self, run: &Run) -> &mut Self {
        self.pages.virt = AddrRange::new(run.start, run.end).unwrap_or_default();
        self.pages.backing = run.state.backing;
        self.pages.anonymous = run.state.anonymous;
        self
    }
}

/// Number of regions that a walk reads ahead.
const BATCH: usize = 256;

/// The physical regions of a range, in the order of addresses; they tile the mapped
/// part of the range and never overlap, also while the target changes. Memory use is
/// constant.
#[derive(Debug)]
pub struct PhysicalRegions<'a> {
    process: &'a Process,
    cursor: Box<PhysicalCursor<NameStorage, EntryStorage>>,
    /// Walked runs of `mapping`; those from `next` on were not returned yet.
    batch: Vec<Run>,
    next: usize,
    mapping: Option<Arc<Mapping>>,
    known: CurrentMapping,
    /// Result of the walk, once it has ended.
    ended: Option<Result<(), Error>>,
}

impl<'a> PhysicalRegions<'a> {
    pub(crate) fn new(process: &'a Process, range: AddrRange) -> Result<Self, Error> {
        let access = Access::Frames;
        let (name, entries) = (name_storage(), entry_storage());
        let cursor = PhysicalCursor::new(process.as_core(), range, access, name, entries);
        let mut cursor = Box::new(cursor.map_err(|error| process.error(error))?);
        if process.skips_file_contents() {
            cursor.skip_file_contents();
        }
        Ok(Self {
            process,
            cursor,
            batch: Vec::with_capacity(BATCH),
            next: 0,
            mapping: None,
            known: CurrentMapping::new(false),
            ended: None,
        })
    }

    /// Continues the walk until there is a run to return, or to the end.
    fn refill(&mut self) {
        self.process.beat();
        self.batch.clear();
        self.next = 0;
        let batch = &mut self.batch;
        let mut push = |run: &Run, _: &ClassifiedVma| {
            batch.push(*run);
            match batch.len() {
                BATCH.. => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        };
        // A batch contains runs of one mapping only.
        let core = self.process.as_core();
        let walked = self.cursor.walk_area(core, &mut push);
        self.ended = match walked {
            Err(error) => Some(Err(self.process.error(error))),
            Ok(ControlFlow::Break(())) if self.batch.is_empty() => Some(Ok(())),
            Ok(_) => None,
        };
        let image = self.cursor.take_image();
        let vma = self.cursor.mapping().filter(|_| !self.batch.is_empty());
        let mapping = vma.map(|vma| self.known.of(core, vma, self.cursor.name(), image));
        self.mapping = mapping.transpose().unwrap_or_else(|error| {
            self.batch.clear();
            self.ended = Some(Err(self.process.error(error)));
            None
        });
    }
}

impl PhysicalRegions<'_> {
    /// Passes all remaining regions to `each` until it breaks.
    pub(super) fn visit(
        mut self,
        mut each: impl FnMut(&Attributed<PhysicalRegion>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Error> {
        let mut reused = Reused::default();
        loop {
            if let Some(mapping) = &self.mapping {
                let record = reused.of(mapping);
                for run in &self.batch[self.next..] {
                    if each(record.set(run)).is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
            }
            match self.ended.take() {
                Some(end) => return end.map(ControlFlow::Continue),
                None => self.refill(),
            }
        }
    }
}

impl Iterator for PhysicalRegions<'_> {
    type Item = Result<PhysicalRegion, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.next >= self.batch.len() {
            match &mut self.ended {
                None => self.refill(),
                Some(end) => return std::mem::replace(end, Ok(())).err().map(Err),
            }
        }
        let run = self.batch[self.next];
        self.next += 1;
        let mapping = self.mapping.as_ref()?;
        Some(Ok(PhysicalRegion {
            virt: AddrRange::new(run.start, run.end).unwrap_or_default(),
            backing: run.state.backing,
            anonymous: run.state.anonymous,
            mapping: Arc::clone(mapping),
        }))
    }
}

impl Process {
    /// Returns the physical regions of `range`, widened to whole pages: maximal runs
    /// that tile the mapped part of it, backed or not.
    ///
    /// # Errors
    /// [`Error::is_frames_hidden`] if this caller cannot see PFNs;
    /// [`Error::is_invalid_argument`] for a range that runs backwards.
    pub fn physical_regions(
        &self,
        range: impl Into<Addresses>,
    ) -> Result<PhysicalRegions<'_>, Error> {
        PhysicalRegions::new(self, range.into().range()?)
    }

    /// Returns the size of the page table entries that map a region; `None` for an
    /// unbacked region, for one that is mapped by several sizes, and where the kernel
    /// does not report it. The size is read now: a huge page may have been split since
    /// the region was read.
    ///
    /// # Errors
    /// [`Error::is_gone`].
    pub fn page_size_of(&self, region: &PhysicalRegion) -> Result<Option<PageSize>, Error> {
        let mut size = None;
        let several = self.visit_page_sizes(region, |_, next| match size {
            Some(size) if size != next => ControlFlow::Break(()),
            _ => {
                size = Some(next);
                ControlFlow::Continue(())
            }
        })?;
        Ok(size.flatten().filter(|_| several.is_continue()))
    }

    /// Returns the ends of the parts of a region that are each mapped by one size, which
    /// is `None` as for [`Self::page_size_of`].
    pub(super) fn page_sizes_of(
        &self,
        region: &PhysicalRegion,
    ) -> Result<Vec<(u64, Option<PageSize>)>, Error> {
        let mut parts = Vec::<(u64, Option<PageSize>)>::new();
        let end = region.virt.end().as_u64();
        let mut reached = region.virt.start().as_u64();
        let mut add = |to: u64, size| match parts.last_mut() {
            Some((last, same)) if *same == size => *last = to,
            _ => parts.push((to, size)),
        };
        let _ = self.visit_page_sizes(region, |virt, size| {
            let (from, to) = (virt.start().as_u64(), virt.end().as_u64().min(end));
            // The process may have unmapped a part meanwhile.
            if from > reached {
                add(from.min(end), None);
            }
            if to > reached {
                add(to, size);
                reached = to;
            }
            ControlFlow::Continue(())
        })?;
        if reached < end {
            add(end, None);
        }
        Ok(parts)
    }

    /// Passes the sizes of the page table entries that map a region to `each`, with the
    /// addresses that they map.
    fn visit_page_sizes(
        &self,
        region: &PhysicalRegion,
        mut each: impl FnMut(AddrRange, Option<PageSize>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Error> {
        let Some(address) = region.backing.address() else {
            return Ok(each(region.virt, None));
        };
        // A scan does not report device memory, and some drivers map huge pages
        // (VFIO, Linux 6.12).
        if region.mapping.core().unlisted.memory().is_some() {
            return Ok(each(region.virt, None));
        }
        let base = self.page_size();
        match region.mapping.page_size {
            Some(size) if size > base => return Ok(each(region.virt, Some(size))),
            None if region.mapping.has_object() => return Ok(each(region.virt, None)),
            _ => {}
        }
        // One entry can map only a block that is aligned in both address spaces and
        // wholly in the mapping.
        let block = base.pmd().bytes();
        let (start, end) = (region.virt.start().as_u64(), region.virt.end().as_u64());
        let whole = |at: u64| {
            let first = at & !(block - 1);
            first >= region.mapping.range.start().as_u64()
                && first
                    .checked_add(block)
                    .is_some_and(|end| end <= region.mapping.range.end().as_u64())
        };
        let inner = start
            .checked_add(block - 1)
            .is_some_and(|up| (up & !(block - 1)) + block <= end);
        let aligned = address.as_u64() % block == start % block;
        if !aligned || !(inner || whole(start) || whole(end - 1)) {
            return Ok(each(region.virt, Some(base)));
        }
        let few: FewEntries = [0; 256];
        let mut leaves = LeafCursor::new(self.as_core(), region.virt, [0; 0], few)
            .map_err(|error| self.error(error))?;
        while let Some(run) = leaves
            .next(self.as_core())
            .map_err(|error| self.error(error))?
        {
            // Without a scan, which the cursor has tried, every entry seems to be of a base page.
            let is_known = self.as_core().reports_huge_entries();
            if each(run.virt, is_known.then_some(run.page_size)).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}
