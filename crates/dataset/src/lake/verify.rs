//! Snapshots as lists show them: each with whether its files are there, and what is wrong.

use process_introspection_export::{Name, SnapshotRecord, SnapshotState, Text};

use crate::lake::entry::{Entry, State};
use crate::lake::error::LakeError;
use crate::lake::read::heads;
use crate::tables::snapshots::SnapshotHead;
use crate::tables::Table;

/// Snapshot whose files were looked for.
#[derive(Debug)]
pub struct Verified<'a> {
    entry: &'a Entry,
    id: String,
    /// `None` if it cannot be read.
    head: Option<SnapshotHead>,
    state: SnapshotState,
    error: Option<String>,
}

/// Looks for the files of snapshots, by several threads if they are many, and returns them in
/// order. A snapshot that cannot be read is no error.
pub fn verify(entries: &[Entry]) -> Vec<Verified<'_>> {
    let opened = entries.iter().zip(heads(entries));
    opened
        .map(|(entry, opened)| Verified::new(entry, opened))
        .collect()
}

impl<'a> Verified<'a> {
    fn new(entry: &'a Entry, opened: Result<(SnapshotHead, State), LakeError>) -> Self {
        let (head, state, error) = match opened {
            Ok((head, State::Complete)) => (Some(head), SnapshotState::Complete, None),
            Ok((head, State::Incomplete(why))) => {
                (Some(head), SnapshotState::Incomplete, Some(why))
            }
            Err(error) => (None, SnapshotState::Unreadable, Some(error.to_string())),
        };
        Self {
            entry,
            id: entry.id().to_string(),
            head,
            state,
            error,
        }
    }

    /// Returns whether all of its tables are there.
    pub fn is_complete(&self) -> bool {
        self.state == SnapshotState::Complete
    }

    /// Returns the record of the snapshot.
    pub fn record(&self) -> SnapshotRecord<'_> {
        let head = self.head.as_ref();
        let unread = |head: &SnapshotHead| {
            head.unread_gone + head.unread_refused + head.unread_silent + head.unread_failed
        };
        SnapshotRecord {
            snapshot_id: &self.id,
            taken_at: head.map_or_else(|| self.entry.id().time().into(), |head| head.taken_at),
            host: Name(self.entry.host()),
            state: self.state,
            error: self.error.as_deref().map(Text),
            duration: head.map(|head| head.duration),
            kernel: head.map(|head| Text(&head.kernel)),
            processes: head.map(|head| head.processes_read),
            unread: head.map(unread),
            mappings: head.map(|head| head.mappings_rows),
            regions: head.map(|head| head.regions_rows),
            frames: head.and_then(|head| head.frames_rows),
            size: head.map(|head| {
                Table::ALL
                    .into_iter()
                    .filter_map(|one| head.bytes_of(one))
                    .sum()
            }),
            all_processes: head.map(|head| head.all_processes),
            details: head.map(|head| head.details),
            redacted: head.map(|head| head.redacted),
        }
    }
}
