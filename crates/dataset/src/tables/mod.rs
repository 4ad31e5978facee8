//! Tables of a lake: the records that their rows are, each declared once. Must not know
//! files.

pub mod frames;
pub mod mappings;
pub mod metrics;
pub mod processes;
pub mod regions;
pub mod snapshots;

use process_introspection_export::{Field, Fields};

use frames::FrameRow;
use mappings::MappingRow;
use metrics::MetricRow;
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
    /// A row is a run of frames of RAM. Only some snapshots have it.
    Frames,
    /// A row is a number of the machine. Only snapshots with frames have it.
    Metrics,
}

impl Table {
    /// All tables.
    pub const ALL: [Self; 6] = [
        Self::Snapshots,
        Self::Processes,
        Self::Mappings,
        Self::Regions,
        Self::Frames,
        Self::Metrics,
    ];

    /// Tables whose files are complete before the snapshot's row is written.
    pub const PARTS: [Self; 5] = [
        Self::Processes,
        Self::Mappings,
        Self::Regions,
        Self::Frames,
        Self::Metrics,
    ];

    /// Returns the name, which is also that of the table's folder.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Snapshots => "snapshots",
            Self::Processes => "processes",
            Self::Mappings => "mappings",
            Self::Regions => "regions",
            Self::Frames => "frames",
            Self::Metrics => "metrics",
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
            Self::Frames => (FrameRow::MEANING, FrameRow::FIELDS),
            Self::Metrics => (MetricRow::MEANING, MetricRow::FIELDS),
        }
    }

    /// Returns the columns by which the rows of a file ascend.
    pub const fn sorted_by(self) -> &'static [&'static str] {
        match self {
            Self::Snapshots | Self::Metrics => &[],
            Self::Frames => &["pfn"],
            Self::Processes => &["unique_pid"],
            Self::Mappings => &["unique_pid", "vaddr"],
            Self::Regions => &["unique_pid", "vpn"],
        }
    }
}

/// Name of the column of the snapshot.
pub const SNAPSHOT_ID: &str = "snapshot_id";
