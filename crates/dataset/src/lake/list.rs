//! Snapshots of a lake: finding them by their paths, and selecting one. Opens only the
//! files of the snapshots that are asked for.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::SystemTime;

use process_introspection_export::Time;

use crate::lake::entry::Entry;
use crate::lake::error::LakeError;
use crate::lake::path::{
    decode_host, host_in_paths, id_of_file, partition, Place, SnapshotId, PARTIAL,
};
use crate::lake::read::Snapshot;
use crate::tables::Table;

/// Lake: a folder of tables.
#[derive(Clone, Debug)]
pub struct Lake {
    root: PathBuf,
}

/// Snapshot that is requested from a lake.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Default)]
pub enum When {
    /// The newest.
    #[default]
    Latest,
    /// The one with this id.
    Id(SnapshotId),
    /// The newest that was taken at this time, to the millisecond, or before.
    At(SystemTime),
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "latest" {
            return Ok(Self::Latest);
        }
        if let Ok(id) = text.parse() {
            return Ok(Self::Id(id));
        }
        let time = humantime::parse_rfc3339(text);
        time.map(Self::At).map_err(|_| {
            format!(
                "\"{text}\" is no snapshot's id, no UTC time such as 2026-11-25T18:00:00Z, \
                 and not \"latest\""
            )
        })
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => f.write_str("latest"),
            Self::Id(id) => id.fmt(f),
            Self::At(time) => write!(f, "at or before {}", Time::from(*time)),
        }
    }
}

impl Lake {
    /// Opens the lake in this folder.
    ///
    /// # Errors
    /// [`LakeError::Io`] if there is no such folder.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, LakeError> {
        let root = root.into();
        let metadata = fs::metadata(&root).map_err(LakeError::io("open", &root))?;
        if !metadata.is_dir() {
            return Err(LakeError::damaged(&root, "a lake is a folder"));
        }
        Ok(Self { root })
    }

    /// Returns the folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns all snapshots, the oldest first, and other files among them.
    ///
    /// # Errors
    /// [`LakeError::Io`] if a folder cannot be read.
    pub fn entries(&self) -> Result<(Vec<Entry>, Vec<PathBuf>), LakeError> {
        let (mut entries, mut others) = (Vec::new(), Vec::new());
        self.files_of(Table::Snapshots, |place, path| match place {
            Some(place) => entries.push(Entry {
                root: self.root.clone(),
                place,
            }),
            None => others.push(path),
        })?;
        entries.sort_by(|a, b| a.place.cmp(&b.place));
        Ok((entries, others))
    }

    /// Calls `each` with all files of a table: with the place of a complete one; `None` for
    /// a file that is none of the table's. Files that are being written are left out.
    pub(super) fn files_of(
        &self,
        table: Table,
        mut each: impl FnMut(Option<Place>, PathBuf),
    ) -> Result<(), LakeError> {
        self.all_files(table, |partition, name, path| {
            let place = partition.zip(id_of_file(name));
            let place = place.map(|((date, host), id)| Place {
                id,
                date: date.to_owned(),
                host: host.to_vec(),
            });
            if place.is_some() || !name.ends_with(PARTIAL) {
                each(place, path);
            }
        })
    }

    /// Calls `each` with the date and host, the name and the path of all files of a table;
    /// without date and host for a file outside of partitions.
    pub(super) fn all_files(
        &self,
        table: Table,
        mut each: impl FnMut(Option<(&str, &[u8])>, &str, PathBuf),
    ) -> Result<(), LakeError> {
        for (date_name, path) in children(&self.root.join(table.name()))? {
            let Some(date) = partition(&date_name, "date").filter(|_| path.is_dir()) else {
                each(None, &date_name, path);
                continue;
            };
            for (host_name, path) in children(&path)? {
                let Some(host) = partition(&host_name, "host").filter(|_| path.is_dir()) else {
                    each(None, &host_name, path);
                    continue;
                };
                let host = decode_host(host);
                for (name, path) in children(&path)? {
                    each(Some((date, &host)), &name, path);
                }
            }
        }
        Ok(())
    }

    /// Selects a snapshot. `host` is the host's name; without one it is `this_host` if that
    /// has snapshots, or the only host that has.
    ///
    /// # Errors
    /// [`LakeError::Empty`], [`LakeError::NotFound`], [`LakeError::SeveralHosts`], and those
    /// of [`Entry::open`].
    pub fn select(
        &self,
        when: When,
        host: Option<&[u8]>,
        this_host: &[u8],
    ) -> Result<Snapshot, LakeError> {
        let (mut entries, _) = self.entries()?;
        if entries.is_empty() {
            return Err(LakeError::Empty(self.root.clone()));
        }
        let host = match (host, when) {
            (Some(host), _) => Some(host_in_paths(host)),
            // An id is of one host.
            (None, When::Id(_)) => None,
            (None, _) => Some(self.only_host(&entries, &host_in_paths(this_host))?),
        };
        if let Some(host) = &host {
            entries.retain(|entry| entry.place.host == *host);
        }
        let found = entries.iter().rev().find(|entry| match when {
            When::Latest => true,
            When::Id(id) => entry.place.id == id,
            When::At(time) => entry.place.id.time() <= time,
        });
        let found = found.ok_or_else(|| LakeError::NotFound {
            root: self.root.clone(),
            when: match &host {
                Some(host) => format!("{when} of host {}", String::from_utf8_lossy(host)),
                None => when.to_string(),
            },
        });
        found?.open()
    }

    fn only_host(&self, entries: &[Entry], this_host: &[u8]) -> Result<Vec<u8>, LakeError> {
        let mut hosts: Vec<_> = entries.iter().map(Entry::host).collect();
        hosts.sort_unstable();
        hosts.dedup();
        match hosts[..] {
            [only] => Ok(only.to_vec()),
            _ if hosts.contains(&this_host) => Ok(this_host.to_vec()),
            _ => Err(LakeError::SeveralHosts {
                root: self.root.clone(),
                hosts: hosts
                    .iter()
                    .map(|host| String::from_utf8_lossy(host).into_owned())
                    .collect(),
            }),
        }
    }
}

/// Returns names and paths in a folder; none if there is no such folder.
fn children(folder: &Path) -> Result<Vec<(String, PathBuf)>, LakeError> {
    let children = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        children => children.map_err(LakeError::io("read", folder))?,
    };
    let mut all = Vec::new();
    for child in children {
        let child = child.map_err(LakeError::io("read", folder))?;
        let name = child.file_name().to_string_lossy().into_owned();
        all.push((name, child.path()));
    }
    Ok(all)
}
