//! One pass through the processes of a snapshot and their regions.

use std::ops::ControlFlow;

use crate::lake::error::LakeError;
use crate::lake::parts::{made_of, mapping_of, region_of, StoredRegion};
use crate::lake::read::Snapshot;
use crate::tables::mappings::MappingRow;
use crate::tables::processes::ProcessRow;
use crate::tables::Table;

impl Snapshot {
    /// Passes each process, with its regions in the parts in which they are stored, to
    /// `each` until that breaks: in one pass through the tables, by unique PID. Regions that
    /// are not taken are skipped.
    ///
    /// # Errors
    /// [`LakeError::Io`], [`LakeError::Damaged`].
    pub fn for_each_process(
        &self,
        with_details: bool,
        mut each: impl FnMut(
            &ProcessRow,
            &mut dyn Iterator<Item = Result<StoredRegion, LakeError>>,
        ) -> ControlFlow<()>,
    ) -> Result<(), LakeError> {
        let base = self.page_size()?;
        let (path, path_of_mappings) = (self.path(Table::Regions), self.path(Table::Mappings));
        let mut rows = self.regions(None, with_details)?.peekable();
        let mut mappings = self.rows::<MappingRow>(Table::Mappings, None)?.peekable();
        for process in self.processes()? {
            let unique_pid = process.unique_pid;
            // An error is not skipped.
            let is_of = |pid: Option<u64>| pid.is_none_or(|pid| pid == unique_pid);
            let mut own = Vec::new();
            while let Some(row) =
                mappings.next_if(|row| is_of(row.as_ref().ok().map(|row| row.unique_pid)))
            {
                own.push(made_of(&row?, &path_of_mappings)?);
            }
            let mut own = own.iter().peekable();
            let mut parts = std::iter::from_fn(|| {
                let row = rows.next_if(|row| is_of(row.as_ref().ok().map(|row| row.unique_pid)))?;
                Some(row.and_then(|row| {
                    let mapping = mapping_of(&row, &mut own);
                    region_of(row, mapping, base, &path)
                }))
            });
            let flow = each(&process, &mut parts);
            if flow.is_break() {
                return Ok(());
            }
            parts.try_for_each(|part| part.map(|_| ()))?;
        }
        let left = rows.next().is_some();
        if left || mappings.next().is_some() {
            let path = if left { &path } else { &path_of_mappings };
            return Err(LakeError::damaged(path, "a row of no process"));
        }
        Ok(())
    }
}
