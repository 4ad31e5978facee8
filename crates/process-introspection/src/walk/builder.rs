//! The builder of walks: ranges, number of threads and attributes. It finds nothing
//! itself: [`parallel`] and [`regions`] do.
//!
//! [`parallel`]: crate::walk::parallel
//! [`regions`]: crate::walk::regions

use std::collections::VecDeque;
use std::iter::FusedIterator;
use std::ops::ControlFlow;

use process_introspection_core::AddrRange;

use crate::error::Error;
use crate::facts::page_facts::EntryNotes;
use crate::machine::physical_map::PhysicalMap;
use crate::process::{Addresses, Process};
use crate::walk::attributed::Attributed;
use crate::walk::attributes::{Attributes, Pages, Requested};
use crate::walk::page_table::{PageTable, PageTableEntry};
use crate::walk::parallel;
use crate::walk::regions::{PhysicalRegion, PhysicalRegions};

/// A walk of a process's memory, described step by step: [`Process::walk`].
///
/// Without further requests it finds [`PhysicalRegion`]s: maximal runs that tile the
/// mapped part of the range, backed or not, in the order of addresses. Each requested
/// attribute costs what its method documents; the others cost nothing.
/// [`Walk::for_each`], [`Walk::iter`] or [`Walk::entries`] then starts the walk.
#[derive(Clone, Debug)]
#[must_use = "a walk does nothing before for_each, iter or entries"]
pub struct Walk<'a> {
    process: &'a Process,
    /// The ranges, or an error if one of them runs backwards.
    ranges: Result<Vec<AddrRange>, Error>,
    threads: usize,
    requested: Requested<'a>,
}

impl Process {
    /// Describes a walk of `range`, widened to whole pages.
    ///
    /// ```
    /// use std::ops::ControlFlow;
    /// use process_introspection::Process;
    ///
    /// let process = Process::current()?;
    /// let mut resident = 0;
    /// let walked = process.walk(..).threads(0).memory_types().for_each(|region| {
    ///     if region.backing.is_backed() {
    ///         resident += region.size();
    ///     }
    ///     ControlFlow::Continue(())
    /// });
    /// match walked {
    ///     Ok(()) => assert!(resident > 0),
    ///     Err(error) => assert!(error.is_permission_denied(), "{error}"),
    /// }
    /// # Ok::<(), process_introspection::Error>(())
    /// ```
    pub fn walk(&self, range: impl Into<Addresses>) -> Walk<'_> {
        self.walk_ranges([range])
    }

    /// Describes a walk of several ranges, which ascend and do not overlap.
    pub fn walk_ranges<R: Into<Addresses>>(&self, ranges: impl IntoIterator<Item = R>) -> Walk<'_> {
        let ranges = ranges.into_iter().map(|range| range.into().range());
        Walk {
            process: self,
            ranges: ranges.collect(),
            threads: 1,
            requested: Requested::default(),
        }
    }
}

impl<'a> Walk<'a> {
    /// Sets the number of threads that walk, the calling one included, for
    /// [`Walk::for_each`]. The default is 1; 0 means the number that helps on this
    /// machine, and more than 64 means 64. Threads are started only if there is enough
    /// to walk.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Requests the facts of pages ([`Attributed::facts`]): flags and mapcounts of
    /// frames, flags of entries. They are read for some 30,000 records at a time, and
    /// require root's files, see [`Process::page_facts`].
    pub fn details(mut self) -> Self {
        self.requested.details = true;
        self
    }

    /// Requests the flags of page map entries ([`Attributed::entries`]) as far as the
    /// walk reads entries: it reads one entry of a huge page, and none of what it
    /// skips. They are available without [`Walk::details`], which uses them up, and in
    /// [`Walk::for_each`] only.
    pub fn entry_flags(mut self) -> Self {
        self.requested.entries = true;
        self
    }

    /// Requests NUMA nodes ([`Attributed::node`]), a lookup for each record.
    pub fn nodes(mut self, map: &'a PhysicalMap) -> Self {
        self.requested.nodes = Some(map);
        self
    }

    /// Requests that the kernel's flags of mappings distinguish pages that the page map
    /// leaves out from pages that are not present. This takes long, see
    /// [`Process::vm_flags`].
    pub fn vm_flags(mut self) -> Self {
        self.requested.vm_flags = true;
        self
    }

    /// Requests that mappings which contain the stack of a thread are of the kind
    /// [`ThreadStack`](crate::MappingKind::ThreadStack), see
    /// [`Process::thread_stacks`].
    pub fn thread_stacks(mut self) -> Self {
        self.requested.thread_stacks = true;
        self
    }

    /// Requests memory types ([`Attributed::memory_type`]) as the kernel keeps them,
    /// see [`MemoryTypes`](crate::MemoryTypes). A region of several types is handed
    /// over in pieces of one type each. This costs nothing for ordinary memory.
    pub fn memory_types(mut self) -> Self {
        self.requested.memory_types = true;
        self
    }

    /// Requests the size of the entries that map each region
    /// ([`Attributed::page_size`]): one system call for each region that may have huge
    /// entries.
    pub fn page_sizes(mut self) -> Self {
        self.requested.page_sizes = true;
        self
    }

    /// Requests the size of the entries as [`Walk::page_sizes`], and that a region which
    /// several sizes map is handed over in pieces of one size each.
    pub fn split_page_sizes(mut self) -> Self {
        self.requested.split_page_sizes = true;
        self
    }

    /// Walks, and passes each region to `each` on the calling thread, until all were
    /// passed or `each` breaks. The regions are borrowed, which is the fastest way
    /// through memory of which every page is a separate region. Memory use is constant:
    /// other threads stop when they are some thousand regions ahead.
    ///
    /// # Errors
    /// The first error in the order of addresses, after all regions before it were
    /// handed over. [`Error::is_frames_hidden`] if this caller cannot see PFNs,
    /// [`Error::is_invalid_argument`] for a range that runs backwards, and the errors
    /// of the attributes.
    pub fn for_each(
        self,
        mut each: impl FnMut(&Attributed<PhysicalRegion>) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let (process, threads, ranges) = (self.process, self.threads, self.ranges?);
        process.require_frames()?;
        let with_notes = self.requested.details || self.requested.entries;
        let Some(mut attributes) = self.requested.open::<PhysicalRegion>(process)? else {
            for range in ranges {
                let walked = match threads {
                    1 => PhysicalRegions::new(process, range)?.visit(&mut each),
                    _ => parallel::walk(process, range, threads, false, |record, _| each(record)),
                };
                if walked?.is_break() {
                    break;
                }
            }
            return Ok(());
        };
        let mut failed = None;
        for range in ranges {
            let walked = parallel::walk(process, range, threads, with_notes, |record, notes| {
                let added = attributes.add(record, Some(notes), &mut each);
                added.unwrap_or_else(|error| {
                    failed = Some(error);
                    ControlFlow::Break(())
                })
            });
            match (walked, failed) {
                (Err(error), _) => {
                    // The first error counts.
                    let _ = attributes.flush(&mut each);
                    return Err(error);
                }
                (_, Some(error)) => return Err(error),
                (Ok(ControlFlow::Break(())), None) => return Ok(()),
                (Ok(ControlFlow::Continue(())), None) => failed = None,
            }
        }
        attributes.flush(&mut each).map(|_| ())
    }

    /// Walks as [`Walk::for_each`] does, without attributes. `each` also receives notes of the
    /// region's entries.
    pub(crate) fn for_each_with_notes(
        self,
        mut each: impl FnMut(&PhysicalRegion, &EntryNotes) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        self.process.require_frames()?;
        for range in self.ranges? {
            let walked =
                parallel::walk(self.process, range, self.threads, true, |record, notes| {
                    each(&record.pages, notes)
                });
            if walked?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Walks on one thread, region by region as the iterator is advanced.
    ///
    /// # Errors
    /// Those of [`Walk::for_each`]; the items are errors if the walk fails later.
    pub fn iter(
        self,
    ) -> Result<impl FusedIterator<Item = Result<Attributed<PhysicalRegion>, Error>> + 'a, Error>
    {
        let process = self.process;
        self.records(move |range| PhysicalRegions::new(process, range))
    }

    /// Walks on one thread the leaf entries of the page table instead of regions: one
    /// for each page that is mapped, of its size, and one base page for each page that
    /// is not.
    ///
    /// # Errors
    /// Those of [`Walk::iter`].
    pub fn entries(
        self,
    ) -> Result<impl FusedIterator<Item = Result<Attributed<PageTableEntry>, Error>> + 'a, Error>
    {
        let process = self.process;
        self.records(move |range| PageTable::new(process, range))
    }

    fn records<P: Pages + 'a, S: Iterator<Item = Result<P, Error>> + 'a>(
        self,
        open: impl Fn(AddrRange) -> Result<S, Error> + 'a,
    ) -> Result<impl FusedIterator<Item = Result<Attributed<P>, Error>> + 'a, Error> {
        let ranges = self.ranges?;
        self.process.require_frames()?;
        let source = ranges.into_iter().flat_map(move |range| {
            let (source, error) = match open(range) {
                Ok(source) => (Some(source), None),
                Err(error) => (None, Some(Err(error))),
            };
            source.into_iter().flatten().chain(error)
        });
        Ok(Records {
            source: Some(source),
            attributes: self.requested.open(self.process)?,
            ready: VecDeque::new(),
            failed: None,
        })
    }
}

/// Records with their attributes.
struct Records<'a, S, P> {
    /// The source; `None` after its end.
    source: Option<S>,
    attributes: Option<Attributes<'a, P>>,
    /// Records whose attributes were read.
    ready: VecDeque<Attributed<P>>,
    /// Error that ends the records.
    failed: Option<Error>,
}

impl<S: Iterator<Item = Result<P, Error>>, P: Pages> Iterator for Records<'_, S, P> {
    type Item = Result<Attributed<P>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(record) = self.ready.pop_front() {
                return Some(Ok(record));
            }
            if let Some(error) = self.failed.take() {
                return Some(Err(error));
            }
            let next = self.source.as_mut()?.next();
            let Some(attributes) = &mut self.attributes else {
                if !matches!(next, Some(Ok(_))) {
                    self.source = None;
                }
                return Some(next?.map(Attributed::new));
            };
            let ready = &mut self.ready;
            let mut push = |record: &Attributed<P>| {
                ready.push_back(record.clone());
                ControlFlow::Continue(())
            };
            let added = match next {
                Some(Ok(pages)) => attributes.add(&mut Attributed::new(pages), None, &mut push),
                ended => {
                    self.source = None;
                    self.failed = ended.and_then(Result::err);
                    attributes.flush(&mut push)
                }
            };
            if let Err(error) = added {
                self.source = None;
                self.failed.get_or_insert(error);
            }
        }
    }
}

impl<S: Iterator<Item = Result<P, Error>>, P: Pages> FusedIterator for Records<'_, S, P> {}
