//! Virtual regions: whole areas of a range, with their kinds. Knows nothing of
//! pages.

use crate::addr::AddrRange;
use crate::classify::ObjectCache;
use crate::error::Result;
use crate::mapping::Mapping;
use crate::process::Process;
use crate::vma::{VmaCursor, VmaName};

/// Walks the areas of a range: whole, in order, never overlapping, also while
/// the target maps and unmaps. `N` is the storage for an area's name.
#[derive(Debug)]
pub struct VirtualCursor<N> {
    areas: VmaCursor<N>,
    objects: ObjectCache,
    next: u64,
    end: u64,
    first: bool,
}

impl<N: AsRef<[u8]> + AsMut<[u8]>> VirtualCursor<N> {
    /// The areas that touch `range`, widened to whole pages.
    pub fn new(process: &Process, range: AddrRange, name: N) -> Self {
        let range = range.widened(process.page_size());
        Self {
            areas: VmaCursor::new(name),
            objects: ObjectCache::new(),
            next: range.start().as_u64(),
            end: range.end().as_u64(),
            first: true,
        }
    }

    /// The next area, whole, except for what was reported already if areas
    /// have merged meanwhile.
    ///
    /// # Errors
    /// ESRCH when the process's memory goes away before the end; EMFILE,
    /// ENFILE and ENOMEM.
    pub fn next(&mut self, process: &Process) -> Result<Option<Mapping>> {
        if self.next >= self.end {
            return Ok(None);
        }
        let vma = self.areas.next_from(process, self.next)?;
        let Some(vma) = vma.filter(|vma| vma.range.start().as_u64() < self.end) else {
            self.next = self.end;
            return Ok(None);
        };
        if self.first {
            self.objects.look_behind(process, &mut self.areas, &vma)?;
        }
        let reported = if self.first { 0 } else { self.next };
        self.first = false;
        self.next = vma.range.end().as_u64();
        let mapping = self.objects.mapping(process, vma, self.areas.name())?;
        Ok(Some(Mapping {
            vma: vma.starting_at(reported),
            ..mapping
        }))
    }

    /// The name of the area that was given last.
    pub fn name(&self) -> VmaName<'_> {
        self.areas.name()
    }
}
