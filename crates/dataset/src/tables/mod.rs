//! Tables of a lake: the records that their rows are, each declared once. Must not know
//! files.

pub mod mappings;
pub mod processes;
pub mod regions;
pub mod snapshots;

use process_introspection_export::{Field, Fields};

use mappings::MappingRow;
use processes::ProcessRow;
use regions::RegionRow;
use snapshots::SnapshotRow;

/// Version of the tables: greater if a reader of an earlier version would misread them.
/// A reader ignores columns that it does not know.
pub const SCHEMA_VERSION: u32 = 1;

/// Table of a lake.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Table {
    /// A row is a snapshot.
    Snapshots,
    /// A row is a process.
    Processes,
    /// A row is a mapping of a process.
    Mappings,
    /// A row is a physical region of a mapping.
    Regions,
}

impl Table {
    /// All tables.
    pub const ALL: [Self; 4] = [
        Self::Snapshots,
        Self::Processes,
        Self::Mappings,
        Self::Regions,
    ];

    /// Tables whose files are complete before the snapshot's row is written.
    pub const PARTS: [Self; 3] = [Self::Processes, Self::Mappings, Self::Regions];

    /// Returns the name, which is also that of the table's folder.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Snapshots => "snapshots",
            Self::Processes => "processes",
            Self::Mappings => "mappings",
            Self::Regions => "regions",
        }
    }

    /// Returns what a row is, and the fields of the table. Its first column, snapshot_id,
    /// is no field of rows: all rows of a file have the same.
    pub const fn declaration(self) -> (&'static str, &'static [Field]) {
        match self {
            Self::Snapshots => (SnapshotRow::MEANING, SnapshotRow::FIELDS),
            Self::Processes => (ProcessRow::MEANING, ProcessRow::FIELDS),
            Self::Mappings => (MappingRow::MEANING, MappingRow::FIELDS),
            Self::Regions => (RegionRow::MEANING, RegionRow::FIELDS),
        }
    }

    /// Returns the columns by which the rows of a file ascend.
    pub const fn sorted_by(self) -> &'static [&'static str] {
        match self {
            Self::Snapshots => &[],
            Self::Processes => &["unique_pid"],
            Self::Mappings => &["unique_pid", "vaddr"],
            Self::Regions => &["unique_pid", "vpn"],
        }
    }
}

/// Name of the column of the snapshot.
pub const SNAPSHOT_ID: &str = "snapshot_id";
