//! `introspect summary --from`: the summaries that a snapshot has.

use process_introspection_dataset::lake::Snapshot;
use process_introspection_dataset::tables::mappings::MappingRow;
use process_introspection_dataset::tables::processes::ProcessRow;

use super::several::{layout, report, Summaries, Unread};
use super::{Arguments, Found, Mappings};
use crate::control::launch::WalkContext;
use crate::failure::Failure;
use crate::options::from::as_user;
use crate::output::sink::Sink;
use crate::source::stored::{find, require_read, Identity};

/// Writes the summaries of the selected processes.
pub(super) fn run(arguments: &Arguments, snapshot: &Snapshot) -> Result<(), Failure> {
    if arguments.all {
        let rows = as_user(|| snapshot.processes())?.into_iter();
        let rows = rows.map(|row| (row, false)).collect();
        return several(arguments, snapshot, rows);
    }
    let mut selected = Vec::<(ProcessRow, bool)>::new();
    for text in &arguments.pids {
        let rows = find(snapshot, text)?;
        // Several of one name are a list, of which some may be unread.
        let is_required = rows.len() == 1;
        for row in rows {
            if !selected.iter().any(|(before, _)| before.pid == row.pid) {
                selected.push((row, is_required));
            }
        }
    }
    for (row, _) in selected.iter().filter(|(_, is_required)| *is_required) {
        require_read(row)?;
    }
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
            add_unread(&mut summaries.unread, row);
        } else if *is_required || row.mappings != Some(0) {
            summaries.found.extend(found(arguments, snapshot, row)?);
        }
    }
    report(arguments, summaries, sink)
}

fn add_unread(unread: &mut Unread, row: &ProcessRow) {
    match row.unread {
        Some("gone") => unread.ended += 1,
        Some("refused") => unread.refused += 1,
        reason => {
            let why = row.error.as_deref().or(reason).unwrap_or_default();
            unread.failed.push(format!("not in the list: {why}"));
        }
    }
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
