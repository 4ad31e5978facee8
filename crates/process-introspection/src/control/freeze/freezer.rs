//! The cgroup (v2) of a process, with the check that its freezer stops that process alone.
//! A freezer stops a whole cgroup and all below it.

use std::fs::{self, File, OpenOptions};
use std::io::BufRead;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use process_introspection_core::proc_text::value_of;

use crate::text_files::{read_at, unescaped};

/// The cgroup of a process, where there is one with a freezer.
#[derive(Debug)]
pub(super) struct Freezer {
    /// Path in the process's `cgroup` file.
    path: String,
    dir: PathBuf,
}

impl Freezer {
    /// Returns the freezer of a process; `None` where no cgroup2 file system shows it, for
    /// the root, which cannot be frozen, and before Linux 5.2.
    pub(super) fn of(process: &OwnedFd) -> Option<Self> {
        let path = cgroup_path(process)?;
        let mounts = fs::read("/proc/self/mountinfo").ok()?;
        let dir = place(&path, &String::from_utf8_lossy(&mounts))?;
        fs::exists(dir.join("cgroup.freeze"))
            .ok()?
            .then_some(Self { path, dir })
    }

    /// Returns whether all processes in the cgroup are stopped: it is frozen, or one above
    /// it.
    pub(super) fn is_frozen(&self) -> bool {
        value_of(&self.read("cgroup.events"), b"frozen ") == Some(b"1")
    }

    /// Returns whether the cgroup contains the process, and neither another process nor one
    /// in a cgroup below.
    pub(super) fn is_of_alone(&self, process: &OwnedFd) -> bool {
        // In a threaded cgroup, where threads of one process are distributed over several,
        // `cgroup.procs` cannot be read, and so is empty here.
        cgroup_path(process).as_ref() == Some(&self.path)
            && self.read("cgroup.procs").lines().count() == 1
            && value_of(&self.read("cgroup.stat"), b"nr_descendants ") == Some(b"0")
    }

    /// Returns the contents of a file of the cgroup; empty if it cannot be read.
    fn read(&self, file: &str) -> Vec<u8> {
        fs::read(self.dir.join(file)).unwrap_or_default()
    }

    /// Opens the file that freezes the cgroup; `None` if this caller may not.
    pub(super) fn switch(&self) -> Option<File> {
        let switch = self.dir.join("cgroup.freeze");
        OpenOptions::new().write(true).open(switch).ok()
    }
}

/// Returns the path of a process's cgroup below the root of this caller's cgroup namespace.
fn cgroup_path(process: &OwnedFd) -> Option<String> {
    let text = read_at(process, "cgroup").ok()?;
    // 0 denotes v2 (cgroups(7)).
    let path = value_of(&text, b"0::")?;
    Some(String::from_utf8_lossy(path).into_owned())
}

/// Returns the directory of a cgroup with this path, by the text of `mountinfo`.
fn place(path: &str, mounts: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|mount| {
        // proc_pid_mountinfo(5): optional fields end with a hyphen.
        let (before, after) = mount.split_once(" - ")?;
        if !after.starts_with("cgroup2 ") {
            return None;
        }
        let mut fields = before.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        let below = match root {
            "/" => path,
            root => path.strip_prefix(unescaped(root).to_str()?)?,
        };
        if !below.starts_with('/') || below.split('/').any(|part| part == "..") {
            return None;
        }
        Some(PathBuf::from(unescaped(point)).join(below.trim_start_matches('/')))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const HYBRID: &str = "\
26 21 0:23 / /sys/fs/cgroup rw,relatime - tmpfs none rw
27 26 0:24 / /sys/fs/cgroup/cpu rw,relatime - cgroup none rw,cpu
35 26 0:32 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 none rw
";

    #[test]
    fn a_cgroup_is_found_below_its_mount() {
        assert_eq!(
            place("/a/b", HYBRID).as_deref(),
            Some(Path::new("/sys/fs/cgroup/unified/a/b"))
        );
        assert_eq!(place("/a", "27 26 0:24 / /x rw - cgroup none rw"), None);
    }

    #[test]
    fn a_part_of_the_tree_can_be_mounted_alone() {
        let mounts = r"35 26 0:32 /a\040b /c\040d rw - cgroup2 none rw";
        assert_eq!(
            place("/a b/x", mounts).as_deref(),
            Some(Path::new("/c d/x"))
        );
        assert_eq!(place("/a bc/x", mounts), None);
        assert_eq!(place("/z", mounts), None);
    }

    #[test]
    fn a_cgroup_outside_of_the_namespace_is_not_found() {
        assert_eq!(place("/../other", HYBRID), None);
    }
}
