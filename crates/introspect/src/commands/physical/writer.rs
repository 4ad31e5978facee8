//! Writing side of the list: regions become records, or rows that stand for several. Must not
//! know where regions come from.

use process_introspection::PageSize;
use process_introspection_export::{self as export, Folded, PhysicalRecord};
use process_introspection_picture::svg::physical::Picture;

use super::reader::Region;
use crate::commands::several::{Identity, Listing};
use crate::failure::{warn, Failure};
use crate::output::fold::{Fold, Folding};
use crate::output::remarks::Remarks;
use crate::output::sink::Sink;
use crate::text::counted;

/// Writer of the regions of one process after another.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) sink: Sink,
    pub(super) remarks: Remarks,
    /// Regions that are joined in one row, if any are.
    pub(super) fold: Option<Fold>,
    /// Regions without memory are left out.
    pub(super) is_backed_only: bool,
    /// Details are requested.
    pub(super) with_details: bool,
    /// Address that RANGE consists of.
    pub(super) address: Option<u64>,
    pub(super) page_size: PageSize,
    /// Number of regions whose details are unknown.
    pub(super) unknown: u64,
    /// Picture in place of a list.
    pub(super) picture: Option<Box<Picture>>,
}

impl Writer {
    /// Writes a region, or adds it to a row.
    pub(super) fn add(
        &mut self,
        region: &Region,
        details: Option<&export::Details>,
        process: Option<&Identity>,
    ) -> Result<(), Failure> {
        self.unknown += u64::from(self.with_details && details.is_none());
        if self.is_backed_only && !region.backing.is_backed() {
            self.remarks.left_out();
            return Ok(());
        }
        self.remarks.listed(Some(&region.mapping), region.backing);
        if let Some(fold) = &mut self.fold {
            let (folding, is_added) = fold.next(region);
            self.write_fold(folding, process)?;
            if is_added {
                return Ok(());
            }
        }
        self.write(region, details, None, process)
    }

    /// Writes the row that the last regions of a process were added to.
    pub(super) fn end(&mut self, process: Option<&Identity>) -> Result<(), Failure> {
        let folding = self.fold.as_mut().and_then(Fold::end);
        self.write_fold(folding, process)
    }

    /// Completes the output, and returns the remarks about it.
    pub(super) fn finish(mut self) -> Result<Remarks, Failure> {
        if let Some(picture) = self.picture {
            self.sink.draw(&picture.finish())?;
        }
        self.sink.finish()?;
        if self.unknown > 0 {
            warn(format_args!(
                "details of {} are unknown: the snapshot has those of whole regions, which RANGE \
                 cuts",
                counted(self.unknown, "region", "regions")
            ));
        }
        Ok(self.remarks)
    }

    fn write_fold(
        &mut self,
        folding: Option<Folding>,
        process: Option<&Identity>,
    ) -> Result<(), Failure> {
        match folding {
            None => Ok(()),
            Some(Folding::Records(regions)) => {
                let mut regions = regions.iter();
                regions.try_for_each(|region| self.write(region, None, None, process))
            }
            Some(Folding::Row(region, folded)) => self.write(&region, None, Some(folded), process),
        }
    }

    fn write(
        &mut self,
        region: &Region,
        details: Option<&export::Details>,
        folded: Option<Folded>,
        process: Option<&Identity>,
    ) -> Result<(), Failure> {
        let mut record = PhysicalRecord::new(region, region.page_size, self.page_size);
        record.process = process.map(Identity::fields);
        record.set_memory_type(region.memory_type);
        record.node = region.node;
        record.folded = folded;
        if let Some(address) = self.address {
            record.set_byte(address);
        }
        record.details = details;
        match &mut self.picture {
            Some(picture) => {
                picture.add(&record);
                self.sink.drawn();
                Ok(())
            }
            None => self.sink.write(&record),
        }
    }
}

impl Listing<(Region, Option<export::Details>)> for Writer {
    fn sink(&mut self) -> &mut Sink {
        &mut self.sink
    }

    fn item(
        &mut self,
        process: &Identity,
        (region, details): (Region, Option<export::Details>),
    ) -> Result<(), Failure> {
        self.add(&region, details.as_ref(), Some(process))
    }

    fn end_of(&mut self, process: &Identity) -> Result<(), Failure> {
        self.end(Some(process))
    }
}
