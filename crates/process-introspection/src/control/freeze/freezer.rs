//! The cgroup (v2) of a process, and whether its freezer can be used for that
//! process alone. A freezer stops a whole cgroup and all below it.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use super::{field, read};

/// The cgroup that a process is in, where there is one with a freezer.
#[derive(Debug)]
pub(super) struct Freezer {
    /// Its path as the process's `cgroup` file gives it.
    path: String,
    dir: PathBuf,
}

impl Freezer {
    /// `None` where no cgroup2 file system shows it, for the root, which
    /// cannot be frozen, and before Linux 5.2.
    pub(super) fn of(process: &OwnedFd) -> Option<Self> {
        let path = cgroup_path(process)?;
        let mounts = fs::read("/proc/self/mountinfo").ok()?;
        let dir = place(&path, &String::from_utf8_lossy(&mounts))?;
        fs::exists(dir.join("cgroup.freeze"))
            .ok()?
            .then_some(Self { path, dir })
    }

    /// Whether all in it stand still: it is frozen, or one above it.
    pub(super) fn is_frozen(&self) -> bool {
        let events = fs::read_to_string(self.dir.join("cgroup.events")).unwrap_or_default();
        field(&events, "frozen ") == Some("1")
    }

    /// Whether the process is still in it, and no other, nor any below it.
    pub(super) fn is_of_alone(&self, process: &OwnedFd) -> bool {
        let text = |file| fs::read_to_string(self.dir.join(file)).unwrap_or_default();
        // In a threaded cgroup, where threads of one process are spread over
        // several, `cgroup.procs` cannot be read, and so is empty here.
        cgroup_path(process).as_ref() == Some(&self.path)
            && text("cgroup.procs").lines().count() == 1
            && field(&text("cgroup.stat"), "nr_descendants ") == Some("0")
    }

    /// The file that freezes it; `None` if this caller may not.
    pub(super) fn switch(&self) -> Option<File> {
        let switch = self.dir.join("cgroup.freeze");
        OpenOptions::new().write(true).open(switch).ok()
    }
}

/// The path of a process's cgroup below the root of this caller's cgroup
/// namespace.
fn cgroup_path(process: &OwnedFd) -> Option<String> {
    let text = read(process, "cgroup").ok()?;
    // 0 stands for v2 (cgroups(7)).
    field(&text, "0::").map(str::to_owned)
}

/// Where a cgroup of this path is, by the text of `mountinfo`.
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
            root => path.strip_prefix(unescape(root).to_str()?)?,
        };
        if !below.starts_with('/') || below.split('/').any(|part| part == "..") {
            return None;
        }
        Some(PathBuf::from(unescape(point)).join(below.trim_start_matches('/')))
    })
}

/// Spaces and the like are `\040` there.
fn unescape(text: &str) -> OsString {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let octal = bytes
            .get(at + 1..at + 4)
            .filter(|_| byte == b'\\')
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        plain.push(octal.unwrap_or(byte));
        at += if octal.is_some() { 4 } else { 1 };
    }
    OsString::from_vec(plain)
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
