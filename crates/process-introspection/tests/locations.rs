//! How a mapped file is reached: by the process, and by a caller with another
//! root or another mount namespace, also when its name is gone or another's.

use std::ffi::CString;
use std::fs;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use process_introspection::{Object, Process};
use testkit::machine::is_root_or_skip;
use testkit::memory::{self, page};
use testkit::target::Target;

fn map(path: &Path) -> u64 {
    let file = fs::File::open(path).unwrap();
    memory::try_map(
        page(),
        libc::PROT_READ,
        libc::MAP_PRIVATE,
        file.as_raw_fd(),
        0,
    )
    .unwrap()
}

fn object(target: &Target) -> Object {
    let process = Process::open(target.pid()).unwrap();
    process.object_at(target.addresses()[0]).unwrap().unwrap()
}

/// A directory, and a file in it with its name as its content.
fn file(name: &str) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().canonicalize().unwrap().join(name);
    fs::write(&path, name).unwrap();
    (directory, path)
}

/// The content of what the caller is told to open.
fn opened(object: &Object) -> String {
    fs::read_to_string(object.open_path().expect("a path to open")).unwrap()
}

#[test]
fn a_file_that_is_where_it_was_is_opened_by_its_own_name() {
    // The second is not deleted, it is only called so.
    for name in ["plain", "really (deleted)"] {
        let (_directory, path) = file(name);
        let target = Target::spawn(|| vec![map(&path)]);
        let object = object(&target);
        assert_eq!(object.target_path(), Some(&*path));
        assert_eq!(object.open_path(), Some(&*path));
        assert!(!object.is_deleted());
    }
}

#[test]
fn a_file_whose_name_is_gone_or_anothers_is_opened_by_its_mapping() {
    if !is_root_or_skip("map_files") {
        return;
    }
    for replaced in [false, true] {
        let (directory, path) = file("first");
        let target = Target::spawn(|| vec![map(&path)]);
        if replaced {
            let other = directory.path().join("other");
            fs::write(&other, "other").unwrap();
            fs::rename(&other, &path).unwrap();
        } else {
            fs::remove_file(&path).unwrap();
        }
        let object = object(&target);
        assert_eq!(object.target_path(), Some(&*path));
        assert!(object.is_deleted());
        assert_eq!(opened(&object), "first");
    }
}

#[test]
fn a_file_in_a_root_of_the_processs_own_has_a_path_from_there() {
    if !is_root_or_skip("chroot") {
        return;
    }
    let (directory, path) = file("inside");
    let root = path.parent().unwrap();
    let outside = directory.path().parent().unwrap().to_owned();
    let target = Target::spawn(|| {
        let name = CString::new(root.to_str().unwrap()).unwrap();
        let outer = map(&path);
        // SAFETY: a NUL-terminated path.
        assert_eq!(unsafe { libc::chroot(name.as_ptr()) }, 0);
        vec![map(Path::new("/inside")), outer]
    });
    assert!(path.starts_with(outside.canonicalize().unwrap()));
    let object = object(&target);
    assert_eq!(object.target_path(), Some(Path::new("/inside")));
    assert_eq!(object.open_path(), Some(&*path));
}

#[test]
fn a_file_outside_the_processs_root_has_no_path_for_it() {
    if !is_root_or_skip("chroot") {
        return;
    }
    let (_directory, path) = file("outside");
    let root = tempfile::tempdir().unwrap();
    let target = Target::spawn(|| {
        let outer = map(&path);
        let name = CString::new(root.path().to_str().unwrap()).unwrap();
        // SAFETY: a NUL-terminated path.
        assert_eq!(unsafe { libc::chroot(name.as_ptr()) }, 0);
        vec![outer]
    });
    let object = object(&target);
    assert_eq!(object.target_path(), None);
    assert_eq!(object.open_path(), Some(&*path));
}

/// A target with a mount namespace and a tmpfs of its own, which hides a file
/// with another of the same name.
fn in_own_namespace(path: &Path) -> Target {
    Target::spawn(|| {
        let directory = CString::new(path.parent().unwrap().to_str().unwrap()).unwrap();
        // SAFETY: NUL-terminated strings or none.
        unsafe {
            let (none, tmpfs) = (std::ptr::null(), c"tmpfs".as_ptr());
            assert_eq!(libc::unshare(libc::CLONE_NEWNS), 0);
            let private = libc::MS_REC | libc::MS_PRIVATE;
            assert_eq!(
                libc::mount(none, c"/".as_ptr(), none, private, none.cast()),
                0
            );
            assert_eq!(
                libc::mount(tmpfs, directory.as_ptr(), tmpfs, 0, none.cast()),
                0
            );
        }
        fs::write(path, "the target's").unwrap();
        vec![map(path)]
    })
}

#[test]
fn a_file_in_another_mount_namespace_is_opened_below_the_processs_root() {
    if !is_root_or_skip("mount namespaces") {
        return;
    }
    let (_directory, path) = file("the callers");
    let target = in_own_namespace(&path);
    let object = object(&target);
    assert_eq!(object.target_path(), Some(&*path));
    assert!(!object.is_deleted());
    let below = format!("/proc/{}/root{}", target.pid(), path.display());
    assert_eq!(object.open_path(), Some(Path::new(&below)));
    assert_eq!(opened(&object), "the target's");
}

#[test]
fn what_never_had_a_path_has_none() {
    let target =
        Target::spawn(|| vec![memory::map(page(), libc::MAP_SHARED, memory::memfd(page()))]);
    let object = object(&target);
    assert_eq!(object.target_path(), None);
    assert!(!object.is_deleted());
    if is_root_or_skip("the mapping of a memfd") {
        let length = fs::metadata(object.open_path().unwrap()).unwrap().len();
        assert_eq!(length, page());
    }
}

#[test]
fn without_privilege_the_name_is_held_against_the_numbers_of_maps() {
    let (directory, path) = file("mine");
    let gone = directory.path().canonicalize().unwrap().join("gone");
    fs::write(&gone, "gone").unwrap();
    let open_to_all = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(directory.path(), open_to_all).unwrap();
    // SAFETY: takes no memory.
    let root = unsafe { libc::geteuid() } == 0;
    let target = Target::spawn(|| {
        let mapped = [map(&path), map(&gone)];
        fs::remove_file(&gone).unwrap();
        // SAFETY: takes no memory. A process that has changed its user is not
        // dumpable, and could not open its own files.
        unsafe {
            if root {
                assert_eq!(libc::setresuid(65534, 65534, 65534), 0);
            }
            libc::prctl(libc::PR_SET_DUMPABLE, 1);
        }
        let process = Process::current().unwrap();
        let at = |address: u64| process.object_at(address).unwrap().unwrap();
        let (kept, gone) = (at(mapped[0]), at(mapped[1]));
        vec![
            u64::from(kept.open_path() == Some(&*path)),
            u64::from(gone.open_path().is_none()),
            u64::from(!kept.is_deleted() && gone.is_deleted()),
        ]
    });
    assert_eq!(target.addresses(), [1, 1, 1]);
}
