//! Processes of a snapshot by the text PID.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use process_introspection::{is_process_name, Target};
use process_introspection_dataset::lake::{Snapshot, StoredProcess};
use process_introspection_dataset::tables::processes::ProcessRow;

use crate::failure::Failure;
use crate::options::from::as_user;
use crate::options::pid::{target_of_number, TargetText};
use crate::text::{printable, shortened};

/// Process of a snapshot, without its memory.
#[derive(Debug)]
pub(crate) struct Identity<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) row: &'a ProcessRow,
}

/// Opens the one process of a snapshot that this text names.
pub(crate) fn open<'a>(
    snapshot: &'a Snapshot,
    text: &TargetText,
) -> Result<StoredProcess<'a>, Failure> {
    let [process] = <[ProcessRow; 1]>::try_from(find(snapshot, text)?)
        .map_err(|several| several_named(text, &several))?;
    require_read(&process)?;
    as_user(|| snapshot.open_process(process))
}

/// Returns the processes that this text names, at least one, in the order of their PIDs.
pub(crate) fn find(snapshot: &Snapshot, text: &TargetText) -> Result<Vec<ProcessRow>, Failure> {
    let mut found = as_user(|| snapshot.processes())?;
    found.retain(|row| is_named(text, row));
    found.sort_by_key(|row| (row.pid, row.unique_pid));
    if !found.is_empty() {
        return Ok(found);
    }
    let row = snapshot.row();
    let whose = match (row.head.redacted, text) {
        (true, TargetText::Named(_) | TargetText::NamedExplicitly(_)) => {
            ", in which names are hashes (--redact)"
        }
        _ if !row.head.all_processes => ", which is of some processes only",
        _ => "",
    };
    Err(Failure::Message(format!(
        "process {text}: it is not in snapshot {}{whose}",
        snapshot.entry().id()
    )))
}

/// Returns the processes that these texts name, each once, and whether it was named alone:
/// several of one name are a list, of which some may be unread. Fails if one that was named
/// alone is unread.
pub(crate) fn find_each(
    snapshot: &Snapshot,
    texts: &[TargetText],
) -> Result<Vec<(ProcessRow, bool)>, Failure> {
    let mut selected = Vec::<(ProcessRow, bool)>::new();
    for text in texts {
        let rows = find(snapshot, text)?;
        let is_alone = rows.len() == 1;
        for row in rows {
            if is_alone {
                require_read(&row)?;
            }
            let is_known = |(before, _): &(ProcessRow, bool)| before.unique_pid == row.unique_pid;
            if !selected.iter().any(is_known) {
                selected.push((row, is_alone));
            }
        }
    }
    Ok(selected)
}

/// Returns whether a text of the command line names this process, by the rules for live
/// ones.
pub(crate) fn is_named(text: &TargetText, row: &ProcessRow) -> bool {
    match text {
        TargetText::This | TargetText::TooLarge(_) => false,
        TargetText::Number(number) => match target_of_number(*number) {
            Some(Target::Pid(pid)) => row.pid == pid,
            Some(_) => row.unique_pid == *number,
            None => false,
        },
        TargetText::Named(name) | TargetText::NamedExplicitly(name) => has_name(row, name),
    }
}

/// Returns whether a process has this name, by the rule for live ones. Argument 0 ends at
/// the first blank of the command line.
fn has_name(row: &ProcessRow, name: &OsStr) -> bool {
    let blank = row.command.0.iter().position(|&byte| byte == b' ');
    let argument0 = &row.command.0[..blank.unwrap_or(row.command.0.len())];
    let [comm, exe, argument0] =
        [&row.name.0[..], &row.exe.0[..], argument0].map(OsStr::from_bytes);
    is_process_name(name, comm, exe, argument0)
}

/// Fails if the process could not be read when the snapshot was taken.
pub(crate) fn require_read(row: &ProcessRow) -> Result<(), Failure> {
    let Some(unread) = row.unread else {
        return Ok(());
    };
    let why = row.error.as_deref().unwrap_or(unread);
    Err(Failure::Message(format!(
        "process {}: the snapshot does not have its memory, because it could not be read: {why}",
        row.pid
    )))
}

fn several_named(text: &TargetText, several: &[ProcessRow]) -> Failure {
    let mut message = format!(
        "{} processes of the snapshot are named \"{text}\"; give the unique PID of one:",
        several.len()
    );
    for row in several {
        let line = printable(OsStr::from_bytes(&row.command.0));
        message.push_str(&format!("\n{:>20}  {}", row.unique_pid, shortened(&line)));
    }
    Failure::Message(message)
}
