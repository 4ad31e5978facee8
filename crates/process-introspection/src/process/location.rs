//! Location of a mapped object's file: for the process that maps it, and for the caller,
//! who may have another root or another mount namespace. Opens nothing.

use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use process_introspection_core::names::has_path;
use process_introspection_core::vma::{Device, Vma};
use process_introspection_core::ProcessHandle;
use rustix::fs::{major, minor};

/// Location of one object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Location {
    /// Path from the process's root.
    pub(crate) target: Option<PathBuf>,
    /// Path for the caller, by which it was seen to reach the object.
    pub(crate) open: Option<PathBuf>,
    /// True if no name leads to the object any more.
    pub(crate) deleted: bool,
}

/// Suffix that the kernel appends to the name of an unlinked file (fs/d_path.c).
const DELETED: &[u8] = b" (deleted)";

impl Location {
    /// Finds the object of a mapping that has this name.
    pub(crate) fn find(process: &ProcessHandle, vma: &Vma, name: &[u8]) -> Self {
        let Some(directory) = directory_of(process) else {
            return Self::default();
        };
        let identity = Identity::of(&directory, vma);
        let by_mapping = || identity.exact.is_some().then(|| identity.link.clone());
        if !has_path(vma, name) {
            return Self {
                open: by_mapping(),
                ..Self::default()
            };
        }
        let reached = |name: &[u8]| reach(&directory, &identity, name);
        let whole = reached(name);
        // A file can really have such a name.
        let is_deleted = name.ends_with(DELETED) && whole.is_none();
        let name = match is_deleted {
            true => &name[..name.len() - DELETED.len()],
            false => name,
        };
        Self {
            target: below_root(&directory, name),
            open: whole.or_else(by_mapping),
            deleted: is_deleted,
        }
    }

    /// Finds the location by the name alone, of an object that must not be opened.
    pub(crate) fn by_name(process: &ProcessHandle, vma: &Vma, name: &[u8]) -> Self {
        let directory = directory_of(process).filter(|_| has_path(vma, name));
        let linked = name.strip_suffix(DELETED);
        Self {
            target: directory.and_then(|at| below_root(&at, linked.unwrap_or(name))),
            open: None,
            deleted: linked.is_some(),
        }
    }
}

/// Returns the process's directory as the caller can name it.
fn directory_of(process: &ProcessHandle) -> Option<PathBuf> {
    let directory = fs::read_link(format!(
        "/proc/thread-self/fd/{}",
        process.directory().raw()
    ))
    .ok()?;
    // A thread's directory, whose first thread has ended, contains `root` too.
    directory.is_absolute().then_some(directory)
}

/// Identity of the object, which reveals another one with the same name.
struct Identity<'a> {
    vma: &'a Vma,
    /// Link of the mapping in `map_files`.
    link: PathBuf,
    /// Target of that link, for callers who may follow it.
    exact: Option<Metadata>,
}

impl<'a> Identity<'a> {
    fn of(directory: &Path, vma: &'a Vma) -> Self {
        let (start, end) = (vma.range.start().as_u64(), vma.range.end().as_u64());
        let link = directory.join(format!("map_files/{start:x}-{end:x}"));
        let exact = fs::metadata(&link).ok();
        Self { vma, link, exact }
    }

    /// Returns whether the file is this object. Without the exact object the numbers of
    /// `maps` are compared; for btrfs and overlay file systems they differ from those of
    /// `stat`, but are not those of a real device either.
    fn is(&self, found: &Metadata) -> bool {
        if let Some(exact) = &self.exact {
            return (exact.dev(), exact.ino()) == (found.dev(), found.ino());
        }
        let (major, minor) = (major(found.dev()), minor(found.dev()));
        let device = Device { major, minor };
        found.ino() == self.vma.inode
            && (device == self.vma.device || (device.major, self.vma.device.major) == (0, 0))
    }
}

/// Returns a path by which the caller reaches an object with this name.
fn reach(directory: &Path, identity: &Identity<'_>, name: &[u8]) -> Option<PathBuf> {
    let leads_there = |path: &Path| fs::metadata(path).is_ok_and(|found| identity.is(&found));
    let plain = Path::new(OsStr::from_bytes(name));
    // Equal numbers in another mount namespace prove nothing.
    let comparable = identity.exact.is_some() || has_callers_view(directory);
    if comparable && leads_there(plain) {
        return Some(plain.to_owned());
    }
    let mut below = directory.join("root").into_os_string();
    below.push(below_root(directory, name)?);
    let below = PathBuf::from(below);
    leads_there(&below).then_some(below)
}

/// Returns whether the process sees the same files by the same paths as the caller.
fn has_callers_view(directory: &Path) -> bool {
    let namespace = |of: &Path| fs::read_link(of.join("ns/mnt")).ok();
    let root = |of: &Path| {
        let found = fs::metadata(of.join("root")).ok()?;
        Some((found.dev(), found.ino()))
    };
    let own = Path::new("/proc/thread-self");
    let same_namespace = namespace(directory).is_some_and(|it| Some(it) == namespace(own));
    same_namespace && root(directory).is_some_and(|it| Some(it) == root(own))
}

/// Returns a name, as the kernel reports it to the caller, relative to the process's own
/// root. The name and the root are both from the root of the process's mount namespace, or
/// from the caller's where that lies on the way (fs/d_path.c, `prepend_path`).
fn below_root(directory: &Path, name: &[u8]) -> Option<PathBuf> {
    let root = fs::read_link(directory.join("root")).ok()?;
    without_root(root.as_os_str().as_bytes(), name)
        .map(|name| PathBuf::from(OsStr::from_bytes(name)))
}

fn without_root<'a>(root: &[u8], name: &'a [u8]) -> Option<&'a [u8]> {
    match root {
        b"/" => Some(name),
        _ => name
            .strip_prefix(root)
            .filter(|below| below.first() == Some(&b'/')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_cut_at_the_processs_root() {
        assert_eq!(without_root(b"/", b"/lib/x"), Some(&b"/lib/x"[..]));
        assert_eq!(
            without_root(b"/srv/a", b"/srv/a/lib/x"),
            Some(&b"/lib/x"[..])
        );
        assert_eq!(without_root(b"/srv/a", b"/srv/ab/x"), None);
        assert_eq!(without_root(b"/srv/a", b"/srv/a"), None);
        assert_eq!(without_root(b"/srv/a", b"/lib/x"), None);
    }
}
