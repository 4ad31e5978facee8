//! Folders of memory cgroups, by their inode numbers. Knows no frame and no process.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use crate::process::cgroup::Cgroup;
use crate::process::mounts::Mounts;

/// Memory cgroups of the machine, as they were when they were read.
#[derive(Clone, Debug, Default)]
pub struct MemoryCgroups(HashMap<u64, PathBuf>);

impl MemoryCgroups {
    /// Reads the folders of the memory controller below `/sys/fs/cgroup`: those of
    /// `memory` in cgroup v1, otherwise those of cgroup v2. Folders that are removed
    /// meanwhile, or that this caller may not read, are left out.
    pub fn read() -> Self {
        Self::read_in(&Mounts::new())
    }

    /// Reads the folders below another mount of sysfs.
    pub fn read_in(mounts: &Mounts) -> Self {
        let all = mounts.sys().join("fs/cgroup");
        let first = all.join("memory");
        let root = match first.join("memory.stat").exists() {
            true => first,
            false => all,
        };
        let mut found = HashMap::new();
        let mut folders = vec![(root, PathBuf::from("/"))];
        while let Some((folder, name)) = folders.pop() {
            let Ok(metadata) = fs::symlink_metadata(&folder) else {
                continue;
            };
            let children = fs::read_dir(&folder).into_iter().flatten().flatten();
            for child in children {
                if child.file_type().is_ok_and(|kind| kind.is_dir()) {
                    folders.push((child.path(), name.join(child.file_name())));
                }
            }
            found.insert(metadata.ino(), name);
        }
        Self(found)
    }

    /// Returns the cgroup of an inode number, as [`Frames::read_cgroups`] reports it; `None`
    /// if it is not below the root of this mount, or was created since.
    ///
    /// [`Frames::read_cgroups`]: crate::Frames::read_cgroups
    pub fn get(&self, inode: u64) -> Option<Cgroup> {
        Some(Cgroup::of_path(self.0.get(&inode)?))
    }
}
