//! Lakes: folders of tables, partitioned by date and host, in files of one snapshot each.
//!
//! ```text
//! ROOT/<table>/date=2026-11-25/host=<name>/<snapshot_id>.parquet
//! ```
//!
//! A file is written under another name and renamed when it is complete, and the row of
//! table snapshots is written last: a snapshot without it does not exist. So no reader ever
//! takes a part for the whole, whatever happens to the writer.

mod entry;
mod error;
mod list;
mod machine;
mod parts;
mod pass;
mod path;
mod prune;
mod read;
mod verify;
mod walk;
mod write;

pub use entry::{Entry, State};
pub use error::LakeError;
pub use list::{Lake, When};
pub use machine::StoredMachine;
pub use parts::{joined, StoredRegion};
pub use pass::{ProcessRegions, RegionPass};
pub use path::SnapshotId;
pub use prune::{Keep, Pruned};
pub use read::{heads, Snapshot, StoredProcess};
pub use verify::{verify, Verified};
pub use write::{SnapshotWriter, Start, Written};
