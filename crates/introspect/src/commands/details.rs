//! Details of records: facts of their pages, and the swap area that they are in.

use process_introspection::{AddrRange, Backing, Error, PageFacts, PageSize, Process, SwapAreas};
use process_introspection_export as export;

/// Sources of the details of records, beside the facts of their pages.
#[derive(Debug)]
pub(crate) struct Details {
    page: PageSize,
    areas: Option<SwapAreas>,
}

impl Details {
    /// Reads what is needed if details are `requested`, and fails if this caller may
    /// not read facts of pages: before anything is written.
    pub(crate) fn open(requested: bool, process: &Process) -> Result<Self, Error> {
        let mut areas = None;
        if requested {
            process.page_facts()?;
            areas = Some(SwapAreas::read_in(process.mounts())?);
        }
        Ok(Self {
            page: process.page_size(),
            areas,
        })
    }

    /// Returns the details of these pages.
    pub(crate) fn of(
        &self,
        virt: AddrRange,
        backing: Backing,
        facts: &PageFacts,
    ) -> export::Details {
        let area = match (backing, &self.areas) {
            (Backing::Swapped(Some(place)), Some(areas)) => areas.area_of(place, self.page),
            _ => None,
        };
        let area = area.map(|area| area.path.clone());
        export::Details::new(virt.size() >> self.page.shift(), facts, area)
    }
}
