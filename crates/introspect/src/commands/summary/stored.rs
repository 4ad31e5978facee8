//! `introspect summary --from`: the summaries that a snapshot has.

use process_introspection_dataset::lake::Snapshot;
use process_introspection_dataset::tables::mappings::MappingRow;
use process_introspection_dataset::tables::processes::ProcessRow;

use super::several::{layout, report, Summaries};
use super::{Arguments, Found, Mappings};
use crate::control::launch::WalkContext;
use crate::failure::Failure;
use crate::options::from::as_user;
use crate::output::sink::Sink;
use crate::source::stored::{find_each, Identity};

/// Writes the summaries of the selected processes.
pub(super) fn run(arguments: &Arguments, snapshot: &Snapshot) -> Result<(), Failure> {
    if arguments.all {
        let rows = as_user(|| snapshot.processes())?.into_iter();
        let rows = rows.map(|row| (row, false)).collect();
        return several(arguments, snapshot, rows);
    }
    let mut selected = find_each(snapshot, &arguments.pids)?;
    if selected.len() != 1 {
        return several(arguments, snapshot, selected);
    }
    let Some((row, _)) = selected.pop() else {
        return Ok(());
    };
    let Some(found) = found(arguments, snapshot, &row)? else {
        return Err(Failure::Message(format!(
            "process {}: the snapshot has no summary of it",
            row.pid
        )));
    };
    let context = WalkContext::default();
    let sink = Sink::open_for_summary(
        &arguments.output,
        arguments.layout(),
        &Identity {
            snapshot,
            row: &row,
        },
        &[],
        context,
    )?;
    let by_node = snapshot.row().nodes.is_some_and(|nodes| nodes > 1);
    arguments.write(&found, by_node, sink)
}

/// Writes a line for each process, and the sum. A process has to be read if it is required,
/// and is left out without memory if it is not.
fn several(
    arguments: &Arguments,
    snapshot: &Snapshot,
    rows: Vec<(ProcessRow, bool)>,
) -> Result<(), Failure> {
    let sink = Sink::open_for_processes(&arguments.output, &layout(arguments), Some(snapshot))?;
    let mut summaries = Summaries::default();
    let count = rows.len();
    for (done, (row, is_required)) in rows.iter().enumerate() {
        sink.passed_processes(done, count);
        sink.check()?;
        if row.unread.is_some() {
            summaries.unread.add_stored(row);
        } else if *is_required || row.mappings != Some(0) {
            summaries.found.extend(found(arguments, snapshot, row)?);
        }
    }
    report(arguments, summaries, None, sink)
}

/// Returns the summary of a process, with its mappings if they are requested.
fn found(
    arguments: &Arguments,
    snapshot: &Snapshot,
    row: &ProcessRow,
) -> Result<Option<Found>, Failure> {
    let Some(record) = row.summary() else {
        return Ok(None);
    };
    let mut mappings = Vec::<MappingRow>::new();
    if arguments.by_mapping {
        let selection = arguments.mapping.selection(None);
        mappings = as_user(|| snapshot.mappings(row.unique_pid))?;
        mappings.retain(|mapping| selection.contains(&mapping.path.0));
        if selection.mapping.is_some() && mappings.is_empty() {
            return Err(selection.no_mapping());
        }
    }
    Ok(Some(Found {
        record,
        mappings: Mappings::Stored(mappings),
    }))
}
