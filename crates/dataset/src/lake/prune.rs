//! Removal of snapshots, and of what interrupted writers have left.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::lake::entry::Entry;
use crate::lake::error::LakeError;
use crate::lake::list::Lake;
use crate::lake::path::{id_of_partial, SnapshotId};
use crate::tables::Table;

/// Age from which files without their snapshot's row are removed. Younger ones may belong to
/// a writer that still runs.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);

/// Snapshots that are kept.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Keep {
    /// The newest snapshots of each host, up to this number.
    Newest(usize),
    /// Those that are not older than this.
    Younger(Duration),
}

/// Files to remove.
#[derive(Clone, Debug, Default)]
pub struct Pruned {
    /// Snapshots that are removed, the oldest first.
    pub snapshots: Vec<Entry>,
    /// Remains of interrupted writers.
    pub remains: Vec<PathBuf>,
    root: PathBuf,
}

impl Lake {
    /// Finds what is to be removed, at this time.
    ///
    /// # Errors
    /// [`LakeError::Io`] if a folder cannot be read.
    pub fn prunable(&self, keep: Keep, now: SystemTime) -> Result<Pruned, LakeError> {
        let (entries, _) = self.entries()?;
        let all: BTreeSet<_> = entries.iter().map(Entry::id).collect();
        let age = |id: SnapshotId| now.duration_since(id.time()).unwrap_or_default();
        let mut newer = BTreeMap::<Vec<u8>, usize>::new();
        let mut snapshots: Vec<_> = entries.into_iter().rev().collect();
        snapshots.retain(|entry| {
            let newer = newer.entry(entry.host().to_vec()).or_default();
            *newer += 1;
            match keep {
                Keep::Newest(count) => *newer > count,
                Keep::Younger(most) => age(entry.id()) > most,
            }
        });
        snapshots.reverse();
        let mut remains = Vec::new();
        for table in Table::PARTS {
            self.files_of(table, |place, path| {
                let is_left = |id| !all.contains(&id) && age(id) > ABANDONED;
                if place.is_some_and(|place| is_left(place.id)) {
                    remains.push(path);
                }
            })?;
        }
        for table in Table::ALL {
            self.partial_files(table, |id, path| {
                if age(id) > ABANDONED {
                    remains.push(path);
                }
            })?;
        }
        Ok(Pruned {
            snapshots,
            remains,
            root: self.root().to_owned(),
        })
    }

    fn partial_files(
        &self,
        table: Table,
        mut each: impl FnMut(SnapshotId, PathBuf),
    ) -> Result<(), LakeError> {
        self.all_files(table, |_, name, path| {
            if let Some(id) = id_of_partial(name) {
                each(id, path);
            }
        })
    }
}

impl Pruned {
    /// Removes the files; of each snapshot its row first, so that no reader takes the rest
    /// for a snapshot. Folders that are empty then are removed as well.
    ///
    /// # Errors
    /// [`LakeError::Io`]; what was removed until then stays removed.
    pub fn remove(&self) -> Result<(), LakeError> {
        for entry in &self.snapshots {
            for table in [Table::Snapshots].into_iter().chain(Table::PARTS) {
                self.remove_file(&entry.place.file(&self.root, table))?;
            }
        }
        self.remains
            .iter()
            .try_for_each(|path| self.remove_file(path))
    }

    fn remove_file(&self, path: &Path) -> Result<(), LakeError> {
        match fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            removed => removed.map_err(LakeError::io("remove", path))?,
        }
        // Folders of the host, of the date and of the table, as long as they are empty.
        let folders = path.ancestors().skip(1).take(3);
        for folder in folders {
            if fs::remove_dir(folder).is_err() {
                break;
            }
        }
        Ok(())
    }
}
