//! Resident memory, without addresses: a walk that requests none, and [`of_physical`],
//! which forgets them.

pub(crate) mod of_physical;

use std::sync::Arc;

use process_introspection_core::backing::Backing;
use process_introspection_core::pagemap::HugeRuns;
use process_introspection_core::physical::PhysicalCursor;
use process_introspection_core::process::Access;
use process_introspection_core::AddrRange;

use crate::error::Error;
use crate::process::mapping::{entry_storage, name_storage, EntryStorage, Mapping, NameStorage};
use crate::process::{Addresses, Process};
use crate::walk::current_mapping::CurrentMapping;

/// A run of pages of one mapping that are resident, or not resident for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResidentRegion {
    /// Its virtual addresses, whole pages.
    pub virt: AddrRange,
    /// [`Backing::Resident`] or one of the unbacked states. Without PFNs the kernel
    /// does not distinguish swapped pages from migrating ones: both are
    /// [`Backing::Swapped`].
    pub backing: Backing,
    /// True if page table entries above the base page map it; `None` where the kernel
    /// does not report this (before Linux 6.7), false if not resident.
    pub huge: Option<bool>,
    /// True for anonymous memory, see [`crate::PhysicalRegion::anonymous`].
    pub anonymous: bool,
    /// The mapping that contains it.
    pub mapping: Arc<Mapping>,
}

/// The resident and other regions of a range, in the order of addresses. Memory use is
/// constant.
#[derive(Debug)]
pub struct ResidentRegions<'a> {
    process: &'a Process,
    cursor: Box<PhysicalCursor<NameStorage, EntryStorage>>,
    mapping: CurrentMapping,
    huge: HugeRuns,
    /// Rest of a region that is being split by size.
    rest: Option<ResidentRegion>,
    failed: bool,
}

impl<'a> ResidentRegions<'a> {
    pub(crate) fn new(process: &'a Process, range: AddrRange) -> Result<Self, Error> {
        process.require_page_map()?;
        let cursor = PhysicalCursor::new(
            process.as_core(),
            range,
            Access::Pages,
            name_storage(),
            entry_storage(),
        );
        let mut cursor = Box::new(cursor.map_err(|error| process.error(error))?);
        if process.skips_file_contents() {
            cursor.skip_file_contents();
        }
        Ok(Self {
            process,
            cursor,
            mapping: CurrentMapping::new(process.skips_file_contents()),
            huge: HugeRuns::new(),
            rest: None,
            failed: false,
        })
    }

    fn advance(&mut self) -> Result<Option<ResidentRegion>, process_introspection_core::CoreError> {
        let core = self.process.as_core();
        let mut region = match self.rest.take() {
            Some(rest) => rest,
            None => {
                let run = self.cursor.next_run(core)?;
                let image = self.cursor.take_image();
                let Some((run, vma)) = run.zip(self.cursor.mapping()) else {
                    return Ok(None);
                };
                ResidentRegion {
                    virt: AddrRange::new(run.start, run.end).unwrap_or_default(),
                    backing: run.state.backing,
                    huge: Some(false),
                    anonymous: run.state.anonymous,
                    mapping: self.mapping.of(core, vma, self.cursor.name(), image)?,
                }
            }
        };
        if region.backing != Backing::Resident {
            return Ok(Some(region));
        }
        let (start, end) = (region.virt.start().as_u64(), region.virt.end().as_u64());
        let mut run_end = start;
        region.huge = None;
        while run_end < end {
            match self.huge.next(core, run_end, end)? {
                None => run_end = end,
                Some((huge, _)) if region.huge.is_some_and(|so_far| so_far != huge) => break,
                Some((huge, to)) => (region.huge, run_end) = (Some(huge), to),
            }
        }
        if run_end < end {
            let rest = AddrRange::new(run_end, end).unwrap_or_default();
            self.rest = Some(ResidentRegion {
                virt: rest,
                ..region.clone()
            });
            region.virt = AddrRange::new(start, run_end).unwrap_or_default();
        }
        Ok(Some(region))
    }
}

impl Iterator for ResidentRegions<'_> {
    type Item = Result<ResidentRegion, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        self.process.beat();
        let region = self.advance().transpose()?;
        self.failed = region.is_err();
        Some(region.map_err(|error| self.process.error(error)))
    }
}

impl Process {
    /// Returns the parts of `range` that are resident, and those mapped by huge
    /// entries, without addresses. Requires no privilege for one's own process.
    ///
    /// # Errors
    /// [`Error::is_permission_denied`] if even the page map is refused (a process that
    /// is not dumpable cannot open its own); [`Error::is_invalid_argument`] for a range
    /// that runs backwards.
    pub fn resident_regions(
        &self,
        range: impl Into<Addresses>,
    ) -> Result<ResidentRegions<'_>, Error> {
        ResidentRegions::new(self, range.into().range()?)
    }
}
