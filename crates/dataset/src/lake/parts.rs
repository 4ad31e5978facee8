//! Regions as they are stored: rows with their mappings, cut to a range and joined. Reads no
//! file.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::iter::Peekable;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use process_introspection::{
    AddrRange, Attributed, JoinedRegions, Mapping, PageSize, PhysicalRegion,
};
use process_introspection_export::Details;

use crate::lake::error::LakeError;
use crate::tables::mappings::MappingRow;
use crate::tables::regions::RegionRow;

/// Region of a snapshot, and the details of its pages if they are known.
pub type StoredRegion = (Attributed<PhysicalRegion>, Option<Details>);

/// Makes maximal regions of the parts of one process, in the order of addresses. Memory use
/// is constant.
pub fn joined<E>(
    parts: impl Iterator<Item = Result<StoredRegion, E>>,
) -> impl Iterator<Item = Result<StoredRegion, E>> {
    // Details of the parts that are not handed over yet, and where those end.
    let waiting = Rc::new(RefCell::new(VecDeque::<(u64, Option<Details>)>::new()));
    let parts = parts.map({
        let waiting = Rc::clone(&waiting);
        move |part| {
            let (region, details) = part?;
            let end = region.virt.end().as_u64();
            waiting.borrow_mut().push_back((end, details));
            Ok(region)
        }
    });
    JoinedRegions::new(parts).map(move |region| {
        let region = region?;
        let mut waiting = waiting.borrow_mut();
        let mut details = waiting.pop_front().and_then(|(_, details)| details);
        let end = region.virt.end().as_u64();
        while waiting.front().is_some_and(|(part, _)| *part <= end) {
            let further = waiting.pop_front().and_then(|(_, details)| details);
            details = details.zip(further).map(|(mut details, further)| {
                details.add(&further);
                details
            });
        }
        Ok((region, details))
    })
}

/// Returns the mapping of a row.
pub(super) fn made_of(row: &MappingRow, path: &Path) -> Result<Arc<Mapping>, LakeError> {
    let mapping = row.mapping();
    let wrong = || LakeError::damaged(path, format!("a mapping at {:#x}", row.vaddr.0));
    mapping.map(Arc::new).ok_or_else(wrong)
}

/// Returns the mapping of a region among the process's, which ascend as the regions do.
pub(super) fn mapping_of<'a>(
    row: &RegionRow,
    mappings: &mut Peekable<impl Iterator<Item = &'a Arc<Mapping>>>,
) -> Option<&'a Arc<Mapping>> {
    let start = |mapping: &Mapping| mapping.range.start().as_u64();
    let vaddr = row.mapping_vaddr.0;
    while mappings.next_if(|mapping| start(mapping) < vaddr).is_some() {}
    let next = mappings.peek().copied();
    next.filter(|mapping| start(mapping) == vaddr)
}

/// Returns the region of a row and its mapping.
pub(super) fn region_of(
    row: RegionRow,
    mapping: Option<&Arc<Mapping>>,
    base: PageSize,
    path: &Path,
) -> Result<StoredRegion, LakeError> {
    let region = mapping.and_then(|mapping| row.region(mapping, base));
    let wrong = || {
        let at = row.vpn << base.shift();
        LakeError::damaged(path, format!("a region at {at:#x}"))
    };
    Ok((
        region.ok_or_else(wrong)?,
        row.details.map(|details| *details),
    ))
}

/// Cuts a region to a range of whole pages; `None` if nothing is left.
pub(super) fn cut(part: StoredRegion, range: AddrRange, base: PageSize) -> Option<StoredRegion> {
    let (mut region, details) = part;
    let left = region.within(range)?;
    let is_whole = left.virt == region.virt;
    region.pages = left;
    let pages = region.virt.size() >> base.shift();
    let details = match is_whole {
        true => details,
        false => details.and_then(|details| details.of_part(pages)),
    };
    Some((region, details))
}
