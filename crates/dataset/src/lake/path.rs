//! Paths in a lake. Opens no file.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use percent_encoding::{percent_decode_str, percent_encode, AsciiSet, NON_ALPHANUMERIC};
use process_introspection_export::Time;
use uuid::{NoContext, Timestamp, Uuid};

use crate::tables::Table;

/// End of the name of a complete file.
const COMPLETE: &str = ".parquet";
/// Beginning of the name of a file that is being written. Spark, and engines that read
/// folders by Arrow, ignore names that begin so.
const HIDDEN: &str = "_";
/// End of the name of a file that is being written.
pub(super) const PARTIAL: &str = ".partial";
/// Characters that names of hosts have, and that mean nothing in paths and partitions.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// Id of a snapshot: a UUID of version 7, which begins with the time in milliseconds. Ids
/// ascend with the time.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnapshotId(Uuid);

impl SnapshotId {
    /// Makes an id of this time that no other snapshot has.
    pub fn at(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let timestamp = Timestamp::from_unix(NoContext, since.as_secs(), since.subsec_nanos());
        Self(Uuid::new_v7(timestamp))
    }

    /// Returns the time in the id.
    pub fn time(self) -> SystemTime {
        let (seconds, nanoseconds) = self.0.get_timestamp().map_or((0, 0), |it| it.to_unix());
        UNIX_EPOCH + Duration::new(seconds, nanoseconds)
    }
}

impl fmt::Display for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

impl FromStr for SnapshotId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        Uuid::parse_str(text).map(Self)
    }
}

/// Partition of a snapshot: where its files are in each table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) id: SnapshotId,
    /// Date in the path.
    pub(super) date: String,
    /// Host's name as paths have it.
    pub(super) host: Vec<u8>,
}

impl Place {
    /// Returns the place of a new snapshot.
    pub(super) fn new(id: SnapshotId, host: &[u8]) -> Self {
        let date = Time::from(id.time()).to_string();
        Self {
            id,
            date: date.split('T').next().unwrap_or_default().to_owned(),
            host: host_in_paths(host),
        }
    }

    /// Returns the folder of a table's file.
    pub(super) fn folder(&self, root: &Path, table: Table) -> PathBuf {
        // An empty value of a partition is read as null.
        let host = match &self.host[..] {
            b"" => "%00".to_owned(),
            host => percent_encode(host, PLAIN).to_string(),
        };
        root.join(table.name())
            .join(format!("date={}", self.date))
            .join(format!("host={host}"))
    }

    /// Returns the path of a table's file.
    pub(super) fn file(&self, root: &Path, table: Table) -> PathBuf {
        self.folder(root, table)
            .join(format!("{}{COMPLETE}", self.id))
    }
}

/// Returns the name of a snapshot's file that is being written.
pub(super) fn partial_name(id: SnapshotId) -> String {
    format!("{HIDDEN}{id}{PARTIAL}")
}

/// Returns the id of a file that is being written.
pub(super) fn id_of_partial(name: &str) -> Option<SnapshotId> {
    let id = name.strip_prefix(HIDDEN)?.strip_suffix(PARTIAL)?;
    id.parse().ok()
}

/// Returns the value of a folder of a partition, `date=…` or `host=…`.
pub(super) fn partition<'a>(name: &'a str, column: &str) -> Option<&'a str> {
    name.strip_prefix(column)?.strip_prefix('=')
}

/// Returns a host's name as paths have it: with U+FFFD for bytes that are not UTF-8, because
/// Arrow refuses a lake with a partition that is none.
pub(super) fn host_in_paths(host: &[u8]) -> Vec<u8> {
    String::from_utf8_lossy(host).into_owned().into_bytes()
}

/// Returns a host's name in a path.
pub(super) fn decode_host(text: &str) -> Vec<u8> {
    let bytes: Vec<u8> = percent_decode_str(text).collect();
    if bytes == [0] {
        return Vec::new();
    }
    bytes
}

/// Returns the id of a complete file.
pub(super) fn id_of_file(name: &str) -> Option<SnapshotId> {
    name.strip_suffix(COMPLETE)?.parse().ok()
}
