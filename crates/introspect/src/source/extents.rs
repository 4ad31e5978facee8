//! Extents of stored regions, with their nodes. Knows no file.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use process_introspection::{AddrRange, Attributed, Extent, Extents, PhysicalRegion};

/// Makes extents of exactly the bytes of `range`. The node of an extent is that of all of its
/// regions; `None` if they have several, or one is unknown.
pub(super) fn of_parts<E>(
    range: AddrRange,
    parts: impl Iterator<Item = Result<Attributed<PhysicalRegion>, E>>,
) -> impl Iterator<Item = Result<(Extent, Option<u32>), E>> {
    // Nodes of the regions with addresses that no extent has yet, and where those end in the
    // range.
    let waiting = Rc::new(RefCell::new(VecDeque::<(u64, Option<u32>)>::new()));
    let parts = parts.map({
        let waiting = Rc::clone(&waiting);
        move |part| {
            let part = part?;
            if part.backing.address().is_some() {
                let end = part.virt.end().min(range.end()).as_u64();
                waiting.borrow_mut().push_back((end, part.node));
            }
            Ok(part)
        }
    });
    Extents::new(range, parts).map(move |extent: Result<Extent, E>| {
        let extent = extent?;
        let end = extent.virt.end().as_u64();
        let (mut common, mut waiting) = (None, waiting.borrow_mut());
        while waiting.front().is_some_and(|(part, _)| *part <= end) {
            let node = waiting.pop_front().and_then(|(_, node)| node);
            common = Some(match common {
                Some(common) if common != node => None,
                _ => node,
            });
        }
        Ok((extent, common.flatten()))
    })
}
