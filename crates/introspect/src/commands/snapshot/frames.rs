//! Frames of the machine in a snapshot. Must not know processes.

use std::os::unix::ffi::OsStrExt;

use process_introspection::{FrameRuns, MemoryBalance, MemoryCgroups, Mounts};
use process_introspection_dataset::lake::SnapshotWriter;
use process_introspection_dataset::redaction::Redaction;
use process_introspection_dataset::tables::frames::FrameRow;
use process_introspection_dataset::tables::metrics::{MetricRow, Moment};
use process_introspection_export::MetricRecord;

use crate::failure::{continue_unless, Failure};

/// Writes all frames, and the counters before them and after them. `passed` is called with the
/// number of frames that were read and that of all, and fails if a signal ended the command.
pub(super) fn write(
    mounts: &Mounts,
    redaction: Option<&Redaction>,
    writer: &mut SnapshotWriter,
    passed: impl Fn(u64, u64) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let runs = FrameRuns::open_in(mounts)?;
    let cgroups = MemoryCgroups::read_in(mounts);
    // Frames of one payer follow each other.
    let mut last = (None, Vec::new());
    let all = runs.frames();
    let (mut failed, mut done) = (None, 0);
    let balance = MemoryBalance::visit(mounts, &runs, |run| {
        done += run.pages;
        if last.0 != run.cgroup {
            let cgroup = run.cgroup.and_then(|inode| cgroups.get(inode));
            let path = cgroup.map(|cgroup| cgroup.path.as_bytes().to_vec());
            last = (run.cgroup, path.unwrap_or_default());
        }
        let zone = run.zone.map(|zone| &runs.zones()[zone]);
        let zone = zone.map(|zone| (zone.node, &*zone.name));
        let mut row = FrameRow::new(run, zone, &last.1);
        if let Some(redaction) = redaction {
            redaction.frame(&mut row);
        }
        let written = writer.frame(&row).map_err(Failure::from);
        continue_unless(&mut failed, written.and_then(|()| passed(done, all)))
    })?;
    failed.map_or(Ok(()), Err)?;
    let counters = [
        (balance.counters_before(), Moment::Before),
        (balance.counters(), Moment::After),
    ];
    for (counters, moment) in counters {
        for row in MetricRow::of_counters(counters, moment) {
            writer.metric(&row)?;
        }
    }
    for metric in MetricRecord::of_machine(&balance) {
        writer.metric(&MetricRow::of_metric(metric))?;
    }
    Ok(())
}
