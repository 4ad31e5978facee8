//! The machine's memory of a snapshot: the census of its frames, beside its counters. Must not
//! know how it is shown.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::ops::{ControlFlow, Range, RangeInclusive};
use std::os::unix::ffi::OsStrExt;

use process_introspection::{Cgroup, FrameRun, FrameTally, MemoryBalance};
use process_introspection_export::record;

use crate::lake::error::LakeError;
use crate::lake::read::Snapshot;
use crate::tables::frames::FrameRow;
use crate::tables::metrics::{MetricRow, Moment};
use crate::tables::Table;

/// Memory of the machine of a snapshot.
#[derive(Debug)]
pub struct StoredMachine {
    /// Each frame in one use, beside the counters.
    pub balance: MemoryBalance,
    /// Cgroups that pay, by inode number.
    pub cgroups: HashMap<u64, Cgroup>,
}

record! {
    /// Columns of the table of frames that say where RAM is.
    struct FrameSpan: Readable {
        /// First frame.
        pfn: u64,
        /// Number of frames.
        pages: u64,
    }
}

/// Largest number of frames of a run, see [`process_introspection::FrameRuns::visit`].
const LONGEST_RUN: u64 = 1 << 18;

impl Snapshot {
    /// Returns the runs of frames by their addresses, at least those with a frame of these;
    /// `None` if the snapshot has no frames.
    ///
    /// # Errors
    /// [`LakeError::Io`], [`LakeError::Damaged`].
    pub fn frames(
        &self,
        wanted: RangeInclusive<u64>,
    ) -> Result<Option<impl Iterator<Item = Result<FrameRow, LakeError>> + use<>>, LakeError> {
        if self.row().head.frames_rows.is_none() {
            return Ok(None);
        }
        let (first, last) = wanted.into_inner();
        // A run that begins before the first frame can contain it.
        let first = first.saturating_sub(LONGEST_RUN);
        let rows = self.rows_of::<FrameRow, _>(Table::Frames, &[], move |group| {
            group.may_have("pfn", Some(first), Some(last))
        })?;
        Ok(Some(rows))
    }

    /// Returns the numbers of the machine; none if the snapshot has no frames.
    ///
    /// # Errors
    /// [`LakeError::Io`], [`LakeError::Damaged`].
    pub fn metrics(&self) -> Result<Vec<MetricRow>, LakeError> {
        match self.row().head.metrics_rows {
            None => Ok(Vec::new()),
            Some(_) => {
                let rows = self.rows_of::<MetricRow, _>(Table::Metrics, &[], |_| true)?;
                rows.collect()
            }
        }
    }

    /// Returns the ranges of frames of the snapshot, ascending; consecutive ones are one. `None`
    /// if the snapshot has no frames.
    ///
    /// # Errors
    /// [`LakeError::Io`], [`LakeError::Damaged`].
    pub fn frame_ranges(&self) -> Result<Option<Vec<Range<u64>>>, LakeError> {
        if self.row().head.frames_rows.is_none() {
            return Ok(None);
        }
        let mut ranges = Vec::<Range<u64>>::new();
        for row in self.rows_of::<FrameSpan, _>(Table::Frames, &[], |_| true)? {
            let row = row?;
            let end = row.pfn.saturating_add(row.pages);
            match ranges.last_mut() {
                Some(last) if last.end == row.pfn => last.end = end,
                Some(last) if last.end > row.pfn => {
                    let why = format!("frame {} is there twice", row.pfn);
                    return Err(LakeError::damaged(&self.path(Table::Frames), why));
                }
                _ => ranges.push(row.pfn..end),
            }
        }
        Ok(Some(ranges))
    }

    /// Returns the memory of the machine; `None` if the snapshot has no frames.
    ///
    /// # Errors
    /// [`LakeError::Io`], [`LakeError::Damaged`].
    pub fn machine(&self) -> Result<Option<StoredMachine>, LakeError> {
        self.machine_with(|_, _| ControlFlow::Continue(()))
    }

    /// As [`Self::machine`], in one pass that hands each row with its run to `each`, until that
    /// breaks: the memory is that of the rows before then.
    ///
    /// # Errors
    /// [`LakeError::Io`], [`LakeError::Damaged`].
    pub fn machine_with(
        &self,
        mut each: impl FnMut(&FrameRow, &FrameRun) -> ControlFlow<()>,
    ) -> Result<Option<StoredMachine>, LakeError> {
        let Some(frames) = self.frames(0..=u64::MAX)? else {
            return Ok(None);
        };
        let page = self.page_size()?;
        let metrics = self.metrics()?;
        let counters = |moment| MetricRow::counters(&metrics, moment, page);
        let (before, after) = (counters(Moment::Before), counters(Moment::After));
        let zones = after.zones().iter();
        let zones: Vec<_> = zones.map(|zone| (zone.node, zone.name.clone())).collect();
        let mut cgroups = HashMap::new();
        let path = self.path(Table::Frames);
        // A payer makes them known.
        let mut tally = FrameTally::new(page, zones.clone(), false);
        for row in frames {
            let row = row?;
            let zone = zones.iter().position(|(node, name)| {
                Some(*node) == row.node && Some(name) == row.zone.as_ref()
            });
            let run = row.run(zone);
            let run = run.ok_or_else(|| LakeError::damaged(&path, "it has an unknown use"))?;
            tally.add(&run);
            if each(&row, &run).is_break() {
                break;
            }
            if let Some(inode) = row.cgroup_ino {
                if !row.cgroup.0.is_empty() {
                    let name = OsStr::from_bytes(&row.cgroup.0);
                    cgroups
                        .entry(inode)
                        .or_insert_with(|| Cgroup::of_path(name));
                }
            }
        }
        let census = tally.finish();
        Ok(Some(StoredMachine {
            balance: MemoryBalance::new(census, before, after),
            cgroups,
        }))
    }
}
