//! Folders of memory cgroups, by their inode numbers, and what each pays for. Knows no frame and no process.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use crate::process::cgroup::Cgroup;
use crate::process::mounts::Mounts;

/// Memory cgroups of the machine, as they were when they were read.
#[derive(Clone, Debug, Default)]
pub struct MemoryCgroups(HashMap<u64, PathBuf>);

/// Returns the folder of all memory cgroups.
fn root_in(mounts: &Mounts) -> PathBuf {
    let all = mounts.sys().join("fs/cgroup");
    let first = all.join("memory");
    match first.join("memory.stat").exists() {
        true => first,
        false => all,
    }
}

impl Cgroup {
    /// Returns the memory for which the cgroup and those below it pay, in bytes, by the
    /// kernel's counter (`memory.current` of cgroup v2, `memory.usage_in_bytes` of v1). It
    /// includes the page cache, memory of the kernel, and memory of processes that have left.
    /// `None` for the root of cgroup v2, for a cgroup without the memory controller, and for
    /// one that is not below the root of this mount.
    pub fn charged_memory(&self, mounts: &Mounts) -> Option<u64> {
        let path = Path::new(&self.path);
        let is_plain = |part| matches!(part, Component::RootDir | Component::Normal(_));
        if !path.components().all(is_plain) {
            return None;
        }
        let folder = root_in(mounts).join(path.strip_prefix("/").ok()?);
        let files = ["memory.current", "memory.usage_in_bytes"];
        let text = files
            .iter()
            .find_map(|file| fs::read_to_string(folder.join(file)).ok());
        text?.trim_ascii().parse().ok()
    }
}

impl MemoryCgroups {
    /// Reads the folders of the memory controller below `/sys/fs/cgroup`: those of
    /// `memory` in cgroup v1, otherwise those of cgroup v2. Folders that are removed
    /// meanwhile, or that this caller may not read, are left out.
    pub fn read() -> Self {
        Self::read_in(&Mounts::new())
    }

    /// Reads the folders below another mount of sysfs.
    pub fn read_in(mounts: &Mounts) -> Self {
        let root = root_in(mounts);
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
