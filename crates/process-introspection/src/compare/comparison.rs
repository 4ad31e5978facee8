//! Comparison of two streams: which pages lie opposite each other, and the mapping to which
//! a change is attributed. Must not know classes of changes.

use std::sync::Arc;

use process_introspection_core::PageSize;

use crate::compare::changes::{MemoryChanges, PageRun};
use crate::compare::source::RegionSource;
use crate::process::mapping::Mapping;

/// Changes of the memory of one mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MappingChanges {
    /// The mapping of the first time, or the first of several that became one; `None` if the
    /// mapping is new.
    pub before: Option<Arc<Mapping>>,
    /// The mapping of the second time; `None` if it is gone. If a mapping was split, pages
    /// that are gone are attributed to the part before them.
    pub after: Option<Arc<Mapping>>,
    /// Its changes.
    pub changes: MemoryChanges,
}

/// Compares a process's memory at two times, page by page: passes each mapping of either
/// time to `each`, changed or not, and returns the sum of all changes. Memory use does not
/// depend on the length of the streams.
///
/// `base` is the base page size. Regions need the attribute
/// [`page_size`](crate::Attributed::page_size) for changes of the entries' sizes.
///
/// A virtual page is compared with itself if the mappings that contain it map the same: both
/// are shared or both are private, and their object (device and inode) and the page's offset
/// in it are the same, or neither has an object. So a mapping that grew, shrank or was split
/// is still the same, and protection and name are not compared. Where the object differs, the
/// page of the first mapping is unmapped and that of the second is new. Memory that `mremap`
/// moved to other addresses is unmapped there and new here.
///
/// ```
/// use process_introspection::{compare_regions, Error, IteratedRegions, NoRegions, Process};
///
/// let process = Process::current()?;
/// let regions = match process.walk(..).split_page_sizes().iter() {
///     Ok(regions) => regions,
///     Err(error) => return Ok(assert!(error.is_permission_denied(), "{error}")),
/// };
/// let base = process.page_size();
/// let mut after = IteratedRegions::new(regions);
/// let all = compare_regions::<Error>(&mut NoRegions, &mut after, base, |mapping| {
///     assert!(mapping.before.is_none() && mapping.after.is_some());
/// })?;
/// assert!(all.grown > 0 && all.grown == all.memory_after && all.freed == 0);
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
/// Those of the sources.
pub fn compare_regions<E>(
    before: &mut impl RegionSource<E>,
    after: &mut impl RegionSource<E>,
    base: PageSize,
    each: impl FnMut(MappingChanges),
) -> Result<MemoryChanges, E> {
    let mut rows = Rows::new(each);
    let (mut first, mut second) = (Side::new(base), Side::new(base));
    first.load(before)?;
    second.load(after)?;
    loop {
        let (start, end) = match (&first.run, &second.run) {
            (None, None) => break,
            (Some(run), None) | (None, Some(run)) => (run.start, run.end),
            (Some(a), Some(b)) if a.start < b.start => (a.start, a.end.min(b.start)),
            (Some(a), Some(b)) if b.start < a.start => (b.start, b.end.min(a.start)),
            (Some(a), Some(b)) => (a.start, a.end.min(b.end)),
        };
        let (old, new) = (first.at(start), second.at(start));
        if old.is_some() {
            rows.set_before(&mut first);
        }
        if new.is_some() {
            rows.set_after(&mut second);
        }
        match (old, new) {
            (Some(old), Some(new)) if rows.is_same_mapping() => rows.changed(old, new, end),
            (old, new) => {
                if let Some(old) = old {
                    rows.unmapped(old, end);
                }
                if let Some(new) = new {
                    rows.mapped(new, end);
                }
            }
        }
        if old.is_some() {
            first.advance(end, before)?;
        }
        if new.is_some() {
            second.advance(end, after)?;
        }
    }
    Ok(rows.finish())
}

/// One of the streams.
struct Side {
    base: PageSize,
    /// Pages that were not compared yet.
    run: Option<PageRun>,
    mapping: Option<Arc<Mapping>>,
    /// Whether the rows do not know the mapping yet.
    is_new_mapping: bool,
}

impl Side {
    fn new(base: PageSize) -> Self {
        Self {
            base,
            run: None,
            mapping: None,
            is_new_mapping: false,
        }
    }

    fn load<E>(&mut self, source: &mut impl RegionSource<E>) -> Result<(), E> {
        let Some(region) = source.next_region()? else {
            self.run = None;
            return Ok(());
        };
        let is_same = |mapping: &Arc<Mapping>| {
            Arc::ptr_eq(mapping, &region.mapping) || *mapping == region.mapping
        };
        if !self.mapping.as_ref().is_some_and(is_same) {
            self.mapping = Some(Arc::clone(&region.mapping));
            self.is_new_mapping = true;
        }
        self.run = Some(PageRun::new(
            region.virt,
            region.backing,
            region.anonymous,
            region.page_size,
            self.base,
        ));
        Ok(())
    }

    /// Returns the run, if it begins here.
    fn at(&self, start: u64) -> Option<PageRun> {
        self.run.filter(|run| run.start == start)
    }

    fn advance<E>(&mut self, end: u64, source: &mut impl RegionSource<E>) -> Result<(), E> {
        match self.run.as_mut().is_some_and(|run| run.cut(end)) {
            true => Ok(()),
            false => self.load(source),
        }
    }
}

/// Row to which the pages that are gone of a mapping of the first time belong.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Link {
    /// No page of it was seen in a mapping of the second time: its own.
    Own,
    /// The row of the current mapping of the second time.
    Current,
    /// The row of an earlier mapping, which waits for them.
    Waiting,
}

/// Rows of mappings. At most three are open: those of the current mappings of both times, and
/// one that only lacks its pages that are gone.
struct Rows<F> {
    each: F,
    total: MemoryChanges,
    before: Option<(Arc<Mapping>, MemoryChanges)>,
    link: Link,
    after: Option<MappingChanges>,
    waiting: Option<MappingChanges>,
    /// Whether the current mappings are the same, once it is known.
    is_same: Option<bool>,
}

impl<F: FnMut(MappingChanges)> Rows<F> {
    fn new(each: F) -> Self {
        Self {
            each,
            total: MemoryChanges::default(),
            before: None,
            link: Link::Own,
            after: None,
            waiting: None,
            is_same: None,
        }
    }

    fn emit(&mut self, row: Option<MappingChanges>) {
        if let Some(row) = row {
            self.total.add(&row.changes);
            (self.each)(row);
        }
    }

    /// Ends the current mapping of the first time.
    fn end_before(&mut self) {
        let own = self.before.take().filter(|_| self.link == Link::Own);
        self.emit(own.map(|(mapping, changes)| MappingChanges {
            before: Some(mapping),
            after: None,
            changes,
        }));
        let waiting = self.waiting.take();
        self.emit(waiting);
        self.link = Link::Own;
    }

    fn set_before(&mut self, side: &mut Side) {
        if std::mem::take(&mut side.is_new_mapping) {
            self.end_before();
            let mapping = side.mapping.clone();
            self.before = mapping.map(|mapping| (mapping, MemoryChanges::default()));
            self.is_same = None;
        }
    }

    fn set_after(&mut self, side: &mut Side) {
        if std::mem::take(&mut side.is_new_mapping) {
            let ended = self.after.take();
            match self.link {
                Link::Current => {
                    self.waiting = ended;
                    self.link = Link::Waiting;
                }
                _ => self.emit(ended),
            }
            self.after = Some(MappingChanges {
                before: None,
                after: side.mapping.clone(),
                changes: MemoryChanges::default(),
            });
            self.is_same = None;
        }
    }

    /// Returns whether the current mappings of both times map the same.
    fn is_same_mapping(&mut self) -> bool {
        let before = self.before.as_ref().map(|(mapping, _)| mapping);
        let after = self.after.as_ref().and_then(|row| row.after.as_ref());
        let (Some(before), Some(after)) = (before, after) else {
            return false;
        };
        *self
            .is_same
            .get_or_insert_with(|| map_the_same(before, after))
    }

    /// Adds pages that only the first time mapped.
    fn unmapped(&mut self, run: PageRun, end: u64) {
        let own = self.before.as_mut().map(|(_, changes)| changes);
        let changes = match self.link {
            Link::Own => own,
            Link::Current => self.after.as_mut().map(|row| &mut row.changes),
            Link::Waiting => self.waiting.as_mut().map(|row| &mut row.changes),
        };
        if let Some(changes) = changes {
            changes.add_unmapped(run, end);
        }
    }

    /// Adds pages that only the second time maps.
    fn mapped(&mut self, run: PageRun, end: u64) {
        if let Some(row) = &mut self.after {
            row.changes.add_mapped(run, end);
        }
    }

    /// Adds pages that both times map.
    fn changed(&mut self, before: PageRun, after: PageRun, end: u64) {
        if self.link != Link::Current {
            self.link = Link::Current;
            let waiting = self.waiting.take();
            self.emit(waiting);
            if let (Some((mapping, own)), Some(row)) = (&mut self.before, &mut self.after) {
                row.changes.add(&std::mem::take(own));
                row.before.get_or_insert_with(|| Arc::clone(mapping));
            }
        }
        if let Some(row) = &mut self.after {
            row.changes.add_pages(before, after, end);
        }
    }

    fn finish(mut self) -> MemoryChanges {
        self.end_before();
        let after = self.after.take();
        self.emit(after);
        self.total
    }
}

/// Returns whether pages of both mappings at one address are pages of the same memory.
fn map_the_same(before: &Mapping, after: &Mapping) -> bool {
    let object = |mapping: &Mapping| {
        let start = mapping.range.start().as_u64();
        // Offset that address 0 would have.
        let origin = mapping.offset.wrapping_sub(start);
        let is_of_object = mapping.has_object();
        is_of_object.then_some((mapping.device, mapping.inode, origin))
    };
    before.shared == after.shared && object(before) == object(after)
}
