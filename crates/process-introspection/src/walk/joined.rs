//! Regions that were split where an attribute changes, joined to maximal regions again.
//! Pure; this module must not know why they were split.

use std::sync::Arc;

use process_introspection_core::physical::{PageState, Run};
use process_introspection_core::AddrRange;

use crate::walk::attributed::Attributed;
use crate::walk::regions::PhysicalRegion;

/// Maximal regions made of their parts, in the order of addresses, such as those of
/// [`Walk::split_page_sizes`](crate::Walk::split_page_sizes). Parts of different memory
/// types remain apart, as [`Walk::memory_types`](crate::Walk::memory_types) hands them
/// over. A node or a page size that is not that of all parts is `None`, and facts of pages
/// are those of all parts. Memory use is constant.
///
/// ```
/// use process_introspection::{JoinedRegions, Process};
///
/// let process = Process::current()?;
/// if let Ok(parts) = process.walk(..).split_page_sizes().iter() {
///     for region in JoinedRegions::new(parts) {
///         println!("{}", region?.virt);
///     }
/// }
/// # Ok::<(), process_introspection::Error>(())
/// ```
#[derive(Debug)]
pub struct JoinedRegions<I> {
    parts: I,
    /// Region that the next part may continue.
    pending: Option<Attributed<PhysicalRegion>>,
}

impl<I> JoinedRegions<I> {
    /// Joins these parts.
    pub fn new(parts: I) -> Self {
        let pending = None;
        Self { parts, pending }
    }
}

/// Returns whether a part continues the region before it.
fn continues(before: &Attributed<PhysicalRegion>, next: &Attributed<PhysicalRegion>) -> bool {
    let state = |region: &PhysicalRegion| PageState {
        backing: region.backing,
        anonymous: region.anonymous,
    };
    let run = Run {
        start: before.virt.start().as_u64(),
        end: before.virt.end().as_u64(),
        state: state(before),
    };
    before.virt.end() == next.virt.start()
        && run.continues_with(&state(next))
        && before.memory_type == next.memory_type
        && (Arc::ptr_eq(&before.mapping, &next.mapping) || before.mapping == next.mapping)
}

/// Returns a value that both have.
fn common<T: PartialEq>(one: Option<T>, other: Option<T>) -> Option<T> {
    one.filter(|one| other.as_ref() == Some(one))
}

fn join(before: &mut Attributed<PhysicalRegion>, next: Attributed<PhysicalRegion>) {
    let (start, end) = (before.virt.start().as_u64(), next.virt.end().as_u64());
    before.pages.virt = AddrRange::new(start, end).unwrap_or_default();
    before.node = common(before.node, next.node);
    before.page_size = common(before.page_size, next.page_size);
    let entries = before.entries.take().zip(next.entries);
    before.entries = entries.map(|(entries, further)| entries.and(&further));
    let facts = before.facts.take().zip(next.facts);
    before.facts = facts.map(|(facts, further)| facts.and(&further));
}

impl<I, E> Iterator for JoinedRegions<I>
where
    I: Iterator<Item = Result<Attributed<PhysicalRegion>, E>>,
{
    type Item = Result<Attributed<PhysicalRegion>, E>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let next = match self.parts.next() {
                None => return self.pending.take().map(Ok),
                Some(Err(error)) => return Some(Err(error)),
                Some(Ok(part)) => part,
            };
            match &mut self.pending {
                Some(pending) if continues(pending, &next) => join(pending, next),
                pending => {
                    if let Some(done) = pending.replace(next) {
                        return Some(Ok(done));
                    }
                }
            }
        }
    }
}
