//! Iterator over mappings.

use std::sync::Arc;

use process_introspection_core::virtual_regions::VirtualCursor;
use process_introspection_core::AddrRange;

use crate::error::Error;
use crate::process::mapping::{name_storage, Mapping, NameStorage};
use crate::process::{Addresses, Process};
use crate::walk::current_mapping::CurrentMapping;

/// The mappings of a range, whole, in the order of addresses; they never overlap, also
/// while the target maps and unmaps. Memory use is constant.
#[derive(Debug)]
pub struct VirtualRegions<'a> {
    process: &'a Process,
    cursor: VirtualCursor<NameStorage>,
    mapping: CurrentMapping,
    failed: bool,
}

impl<'a> VirtualRegions<'a> {
    pub(crate) fn new(process: &'a Process, range: AddrRange) -> Self {
        let cursor = VirtualCursor::new(process.as_core(), range, name_storage());
        Self {
            process,
            cursor,
            mapping: CurrentMapping::new(false),
            failed: false,
        }
    }
}

impl Iterator for VirtualRegions<'_> {
    type Item = Result<Arc<Mapping>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let core = self.process.as_core();
        let vma = self.cursor.next(core).transpose()?;
        let image = self.cursor.take_image();
        let mapping = vma.and_then(|vma| self.mapping.of(core, &vma, self.cursor.name(), image));
        self.failed = mapping.is_err();
        Some(mapping.map_err(|error| self.process.error(error)))
    }
}

impl Process {
    /// Returns the mappings that touch `range`, whole, in the order of addresses.
    ///
    /// # Errors
    /// [`Error::is_invalid_argument`] for a range that runs backwards.
    pub fn virtual_regions(
        &self,
        range: impl Into<Addresses>,
    ) -> Result<VirtualRegions<'_>, Error> {
        Ok(VirtualRegions::new(self, range.into().range()?))
    }
}
