//! Snapshot of a lake as its path shows it. Opens no file.

use std::path::PathBuf;

use crate::lake::path::{Place, SnapshotId};
use crate::tables::Table;

/// Snapshot of a lake, as its path shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub(super) root: PathBuf,
    pub(super) place: Place,
}

/// Whether the tables of a snapshot are there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// All are there, in the sizes that the snapshot's row has.
    Complete,
    /// A table is missing, cut or changed: what is wrong.
    Incomplete(String),
}

impl Entry {
    /// Returns the id.
    pub fn id(&self) -> SnapshotId {
        self.place.id
    }

    /// Returns the host's name as the path has it: with U+FFFD for bytes that are not UTF-8.
    pub fn host(&self) -> &[u8] {
        &self.place.host
    }

    /// Returns the path of the file with its row.
    pub fn path(&self) -> PathBuf {
        self.place.file(&self.root, Table::Snapshots)
    }
}
