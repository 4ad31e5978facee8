//! Pages of files in the page cache: equal to what `mincore` says of the same files, each
//! file once with its users, and no effect on files, FIFOs, leases and file systems.

use std::ffi::{CString, OsStr};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::ControlFlow;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use process_introspection::{
    page_cache, CachedFile, PageCache, PageCacheStep, PassOptions, UncountedFiles, UncountedReason,
};
use tempfile::TempDir;
use testkit::fuse::{FileSystem, Request};
use testkit::machine::{is_root_or_skip, skip};
use testkit::memory::{self, page};
use testkit::target::Target;

const LONG: Duration = Duration::from_secs(20);

/// Lets one test run at a time: each sees the files of all others.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn found_within(deadline: Duration) -> PageCache {
    page_cache(PassOptions::new(), deadline, |_| ControlFlow::Continue(()))
        .unwrap()
        .unwrap()
}

fn found() -> PageCache {
    found_within(LONG)
}

/// Returns the files with this device and inode number.
fn with_identity<'a>(found: &'a PageCache, path: &Path) -> Vec<&'a CachedFile> {
    let inode = fs::metadata(path).unwrap().ino();
    let name = path.file_name().unwrap();
    let is = |file: &&CachedFile| {
        let last = Path::new(&file.path).file_name().unwrap_or_default();
        file.inode == inode && last == name
    };
    found.files.iter().filter(is).collect()
}

fn one<'a>(found: &'a PageCache, path: &Path) -> &'a CachedFile {
    match with_identity(found, path)[..] {
        [one] => one,
        ref others => panic!("{path:?}: {others:?} {:?}", found.uncounted),
    }
}

/// Returns the number of pages of a file that `mincore` says are there.
fn mincore(file: &File) -> u64 {
    let size = file.metadata().unwrap().len();
    let (protection, fd) = (libc::PROT_READ, file.as_raw_fd());
    let at = memory::try_map(size, protection, libc::MAP_PRIVATE, fd, 0).unwrap();
    let mut resident = vec![0u8; size.div_ceil(page()) as usize];
    // SAFETY: the mapping was just made, and a byte for each of its pages is there.
    let made = unsafe { libc::mincore(at as *mut _, size as usize, resident.as_mut_ptr()) };
    assert_eq!(made, 0, "{}", io::Error::last_os_error());
    memory::unmap(at, size);
    resident.iter().map(|byte| u64::from(byte & 1)).sum()
}

/// A file of 64 pages of which few are in the page cache, where the file system allows it.
fn partly_cached(path: &Path) -> File {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)
        .unwrap();
    file.write_all_at(&vec![1; 64 * page() as usize], 0)
        .unwrap();
    file.sync_all().unwrap();
    // SAFETY: advice about an open file.
    unsafe {
        libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED);
        libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_RANDOM);
    }
    for at in [3, 4, 5, 30] {
        file.read_at(&mut [0], at * page()).unwrap();
    }
    file
}

#[test]
fn cached_pages_are_those_that_mincore_reports() {
    let _alone = alone();
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("partly");
    let file = partly_cached(&path);
    let found = found();
    let seen = one(&found, &path);
    assert_eq!(seen.cached, mincore(&file));
    assert_eq!((seen.size, seen.is_deleted), (64 * page(), false));
    assert!(seen.is_shared_memory || seen.cached > 0, "{seen:?}");
    if seen.file_system.as_deref() == Some("ext4") {
        assert_eq!(seen.cached, 4);
    }
    if let Some(states) = seen.states {
        assert_eq!((states.dirty, states.writeback), (0, 0), "{seen:?}");
        assert!(seen.is_shared_memory || states.evicted <= 64);
    }
    assert_eq!(seen.users.len(), 1);
    assert_eq!(seen.users[0].pid, std::process::id());
    let counters = found.counters.unwrap();
    assert!(counters.files > 0);
}

#[test]
fn dirty_pages_are_counted() {
    let _alone = alone();
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("dirty");
    let file = partly_cached(&path);
    let mut last = None;
    // The kernel can begin to write the pages back at any time.
    for _ in 0..5 {
        file.write_all_at(&vec![2; 7 * page() as usize], 0).unwrap();
        let found = found();
        let seen = one(&found, &path);
        let Some(states) = seen.states else {
            return skip("dirty pages", "needs cachestat (Linux 6.5)").unwrap_or(());
        };
        if seen.device.major == 0 {
            return skip("dirty pages", "needs a file system on a disk").unwrap_or(());
        }
        last = Some(states);
        if states.dirty + states.writeback == 7 {
            return;
        }
    }
    panic!("{last:?}");
}

#[test]
fn shared_memory_without_a_path_is_found_and_told_from_files() {
    let _alone = alone();
    let fd = memory::memfd(16 * page());
    let at = memory::map(16 * page(), libc::MAP_SHARED, fd);
    memory::touch(at, 5, 1);
    let inode = fs::metadata(format!("/proc/self/fd/{fd}")).unwrap().ino();
    let mapped = memory::map(8 * page(), libc::MAP_SHARED | libc::MAP_ANONYMOUS, -1);
    memory::touch(mapped, 3, 1);
    let found = found();
    let is_memfd =
        |file: &&CachedFile| file.inode == inode && file.path.as_bytes().starts_with(b"/memfd:");
    let memfd: Vec<_> = found.files.iter().filter(is_memfd).collect();
    let [memfd] = memfd[..] else {
        panic!("{memfd:?}");
    };
    assert!(memfd.is_shared_memory && memfd.is_deleted && memfd.file_system.is_none());
    assert_eq!((memfd.cached, memfd.size), (5, 16 * page()));
    if !is_root_or_skip("shared anonymous memory, which only its mapping leads to") {
        return;
    }
    let is_own = |file: &&CachedFile| {
        let of_this = |pid: u32| pid == std::process::id();
        file.path == *"/dev/zero (deleted)"
            && file.size == 8 * page()
            && file.users.iter().any(|user| of_this(user.pid))
    };
    let own: Vec<_> = found.files.iter().filter(is_own).collect();
    assert!(own.iter().any(|file| file.cached == 3), "{own:?}");
}

#[test]
fn a_file_with_two_names_and_two_users_is_one() {
    let _alone = alone();
    let folder = TempDir::new().unwrap();
    let [path, other] = ["name", "other"].map(|name| folder.path().join(name));
    let file = partly_cached(&path);
    fs::hard_link(&path, &other).unwrap();
    let mapping = {
        let path = other.clone();
        move || {
            let file = File::open(path).unwrap();
            let at = memory::try_map(
                page(),
                libc::PROT_READ,
                libc::MAP_PRIVATE,
                file.as_raw_fd(),
                0,
            );
            vec![at.unwrap()]
        }
    };
    // The other process has the file mapped only, this one open only.
    let target = Target::spawn(mapping);
    let inode = file.metadata().unwrap().ino();
    let found = found();
    let is = |seen: &&CachedFile| {
        seen.inode == inode && Path::new(&seen.path).starts_with(folder.path())
    };
    let same: Vec<_> = found.files.iter().filter(is).collect();
    let [seen] = same[..] else {
        panic!("{same:?}");
    };
    let mut expected = [std::process::id(), target.pid()];
    expected.sort_unstable();
    let users: Vec<_> = seen.users.iter().map(|user| user.pid).collect();
    assert_eq!(users, expected);
    // Both names are removed.
    fs::remove_file(&path).unwrap();
    fs::remove_file(&other).unwrap();
    let found = self::found();
    let deleted = found
        .files
        .iter()
        .find(|seen| seen.inode == inode && is(seen));
    assert!(deleted.unwrap().is_deleted);
}

/// Events of opens below a folder.
struct Opens(OwnedFd);

impl Opens {
    fn of(path: &Path) -> Self {
        let path = CString::new(path.as_os_str().as_bytes()).unwrap();
        // SAFETY: a new descriptor, and a live string.
        unsafe {
            let fd = libc::inotify_init1(libc::IN_NONBLOCK | libc::IN_CLOEXEC);
            assert!(fd >= 0);
            let watched = libc::inotify_add_watch(fd, path.as_ptr(), libc::IN_OPEN);
            assert!(watched >= 0, "{}", io::Error::last_os_error());
            Self(OwnedFd::from_raw_fd(fd))
        }
    }

    fn is_empty(&self) -> bool {
        let mut event = [0u8; 4096];
        // SAFETY: a live buffer.
        let read =
            unsafe { libc::read(self.0.as_raw_fd(), event.as_mut_ptr().cast(), event.len()) };
        read < 0
    }
}

#[test]
fn fifos_and_times_are_left_alone() {
    let _alone = alone();
    let folder = TempDir::new().unwrap();
    let fifo = folder.path().join("fifo");
    let name = CString::new(fifo.as_os_str().as_bytes()).unwrap();
    // SAFETY: a live string.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    let both = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&fifo)
        .unwrap();
    let path = folder.path().join("file");
    let file = partly_cached(&path);
    let long_ago = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1);
    file.set_times(fs::FileTimes::new().set_accessed(long_ago))
        .unwrap();
    let opens = Opens::of(&fifo);
    let seen_opens = Opens::of(&path);
    let found = found();
    assert!(opens.is_empty(), "the FIFO was opened");
    assert!(!seen_opens.is_empty(), "no watch");
    one(&found, &path);
    assert!(!found
        .files
        .iter()
        .any(|file| file.path == *fifo.as_os_str()));
    assert_eq!(file.metadata().unwrap().accessed().unwrap(), long_ago);
    drop(both);
}

#[test]
fn a_lease_is_not_broken() {
    let _alone = alone();
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("leased");
    drop(partly_cached(&path));
    let file = File::open(&path).unwrap();
    let lease = |command: i32, argument: i32| {
        // SAFETY: numbers only.
        unsafe { libc::fcntl(file.as_raw_fd(), command, argument) }
    };
    if lease(libc::F_SETLEASE, libc::F_WRLCK) != 0 {
        let why = format!("needs leases: {}", io::Error::last_os_error());
        return skip("leases", &why).unwrap_or(());
    }
    let found = found();
    // While a lease is being broken, this is the type that it must become.
    assert_eq!(lease(libc::F_GETLEASE, 0), libc::F_WRLCK);
    let is = |files: &&UncountedFiles| files.reason == UncountedReason::Leased;
    assert!(
        found.uncounted.iter().any(|files| is(&files)),
        "{:?}",
        found.uncounted
    );
    assert!(with_identity(&found, &path).is_empty());
}

#[test]
fn files_of_fuse_are_not_opened_and_delay_nobody() {
    let _alone = alone();
    const TEST: &str = "files of FUSE";
    if !is_root_or_skip(TEST) {
        return;
    }
    let content = vec![1; 4 * page() as usize];
    let Some(files) = FileSystem::mount_or_skip(TEST, content) else {
        return;
    };
    let path = files.file();
    let _target = Target::spawn(move || {
        let file = File::open(path).unwrap();
        let at = memory::try_map(
            page(),
            libc::PROT_READ,
            libc::MAP_PRIVATE,
            file.as_raw_fd(),
            0,
        );
        std::mem::forget(file);
        vec![at.unwrap()]
    });
    Request::ALL
        .into_iter()
        .for_each(|request| files.stop_answering(request));
    let began = Instant::now();
    let found = found();
    assert!(began.elapsed() < LONG);
    for request in Request::ALL {
        assert!(!files.keeps_waiting(request), "{request:?}");
    }
    let path = files.file();
    let point = path.parent().unwrap().as_os_str();
    let uncounted: Vec<_> = of_mount(&found, point).collect();
    assert_eq!(uncounted.len(), 1, "{uncounted:?}");
    assert_eq!(uncounted[0].reason, UncountedReason::Served);
    assert_eq!(
        (uncounted[0].count, &*uncounted[0].example),
        (1, path.as_os_str())
    );
}

fn of_mount<'a>(
    found: &'a PageCache,
    point: &'a OsStr,
) -> impl Iterator<Item = &'a UncountedFiles> {
    let is = move |files: &&UncountedFiles| files.mount_point.as_deref() == Some(point);
    found.uncounted.iter().filter(is)
}

/// A mounted file system that is unmounted in the end.
struct Mount(PathBuf);

impl Mount {
    fn or_skip(test: &str, at: PathBuf, kind: &str, options: &str) -> Option<Self> {
        fs::create_dir_all(&at).unwrap();
        let [target, kind, options] = [
            at.as_os_str().as_bytes(),
            kind.as_bytes(),
            options.as_bytes(),
        ]
        .map(|text| CString::new(text).unwrap());
        // SAFETY: live strings.
        let mounted = unsafe {
            libc::mount(
                c"testkit".as_ptr(),
                target.as_ptr(),
                kind.as_ptr(),
                0,
                options.as_ptr().cast(),
            )
        };
        match mounted {
            0 => Some(Self(at)),
            _ => skip(
                test,
                &format!("cannot mount: {}", io::Error::last_os_error()),
            ),
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let at = CString::new(self.0.as_os_str().as_bytes()).unwrap();
        // SAFETY: a live string.
        unsafe { libc::umount2(at.as_ptr(), libc::MNT_DETACH) };
    }
}

/// Lets every open of this file, or of a file of this mount, wait until the result is
/// dropped.
fn hold_opens(of: &Path, is_mount: bool) -> Result<OwnedFd, io::Error> {
    let path = CString::new(of.as_os_str().as_bytes()).unwrap();
    // SAFETY: a new descriptor, and a live string.
    unsafe {
        let fd = libc::fanotify_init(libc::FAN_CLASS_CONTENT | libc::FAN_CLOEXEC, 0);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        let held = OwnedFd::from_raw_fd(fd);
        let of_mount = if is_mount { libc::FAN_MARK_MOUNT } else { 0 };
        let flags = libc::FAN_MARK_ADD | of_mount;
        let marked = libc::fanotify_mark(
            fd,
            flags,
            libc::FAN_OPEN_PERM,
            libc::AT_FDCWD,
            path.as_ptr(),
        );
        match marked {
            0 => Ok(held),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// Returns the children of this process that count files.
fn children() -> Vec<String> {
    let own = format!(" {} ", std::process::id());
    let stats = fs::read_dir("/proc").unwrap().flatten();
    let stats = stats.filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok());
    stats
        .filter(|stat| {
            let behind = stat.rsplit(") ").next().unwrap_or_default();
            stat.contains("(introspect-file)") && behind[1..].starts_with(&own)
        })
        .collect()
}

#[test]
fn a_file_system_that_does_not_answer_delays_no_other() {
    let _alone = alone();
    const TEST: &str = "a file system without an answer";
    if !is_root_or_skip(TEST) {
        return;
    }
    let folder = TempDir::new().unwrap();
    let Some(mount) = Mount::or_skip(TEST, folder.path().join("silent"), "tmpfs", "") else {
        return;
    };
    let _silent = partly_cached(&mount.0.join("silent"));
    let path = folder.path().join("file");
    let file = partly_cached(&path);
    let held = match hold_opens(&mount.0, true) {
        Ok(held) => held,
        Err(error) => return skip(TEST, &format!("needs fanotify: {error}")).unwrap_or(()),
    };
    let began = Instant::now();
    let found = found_within(Duration::from_secs(2));
    assert!(began.elapsed() < LONG);
    assert_eq!(one(&found, &path).cached, mincore(&file));
    let uncounted: Vec<_> = of_mount(&found, mount.0.as_os_str()).collect();
    assert_eq!(uncounted.len(), 1, "{uncounted:?}");
    assert_eq!(
        (uncounted[0].reason, uncounted[0].count),
        (UncountedReason::Silent, 1)
    );
    assert_eq!(uncounted[0].file_system.as_deref(), Some("tmpfs"));
    // The next pass reaps a child that could not end.
    drop(held);
    let ended = Instant::now();
    while !children().is_empty() {
        assert!(ended.elapsed() < LONG, "{:?}", children());
        found_within(Duration::from_millis(100));
    }
}

#[test]
fn a_file_that_keeps_waiting_is_left_out_alone() {
    let _alone = alone();
    const TEST: &str = "a file without an answer";
    if !is_root_or_skip(TEST) {
        return;
    }
    let folder = TempDir::new().unwrap();
    let Some(mount) = Mount::or_skip(TEST, folder.path().join("mount"), "tmpfs", "") else {
        return;
    };
    let [silent, first, last] = ["b", "a", "c"].map(|name| mount.0.join(name));
    let files = [&silent, &first, &last].map(|path| partly_cached(path));
    // Files are tried in the order of their names, those with most users first.
    let held = match hold_opens(&silent, false) {
        Ok(held) => held,
        Err(error) => return skip(TEST, &format!("needs fanotify: {error}")).unwrap_or(()),
    };
    let found = found_within(Duration::from_secs(2));
    for (path, file) in [(&first, &files[1]), (&last, &files[2])] {
        assert_eq!(one(&found, path).cached, mincore(file));
    }
    let uncounted: Vec<_> = of_mount(&found, mount.0.as_os_str()).collect();
    assert_eq!(uncounted.len(), 1, "{uncounted:?}");
    assert_eq!(
        (
            uncounted[0].reason,
            uncounted[0].count,
            &*uncounted[0].example
        ),
        (UncountedReason::Silent, 1, silent.as_os_str())
    );
    drop(held);
}

#[test]
fn a_file_of_a_common_layer_of_overlays_is_one() {
    let _alone = alone();
    const TEST: &str = "overlay file systems";
    if !is_root_or_skip(TEST) {
        return;
    }
    let folder = TempDir::new().unwrap();
    // Upper layers need a file system that is no overlay itself.
    let Some(upper) = Mount::or_skip(TEST, folder.path().join("upper"), "tmpfs", "") else {
        return;
    };
    let lower = upper.0.join("lower");
    fs::create_dir(&lower).unwrap();
    drop(partly_cached(&lower.join("file")));
    let mounts = ["1", "2"].map(|name| {
        let [upper, work] = ["upper", "work"].map(|kind| {
            let folder = upper.0.join(format!("{kind}{name}"));
            fs::create_dir(&folder).unwrap();
            folder
        });
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            lower.display(),
            upper.display(),
            work.display()
        );
        Mount::or_skip(TEST, folder.path().join(name), "overlay", &options)
    });
    let [Some(one_mount), Some(two_mount)] = &mounts else {
        return;
    };
    let open = |mount: &Mount, name: &str| {
        let is_own = name == "own";
        let mut options = OpenOptions::new();
        let options = options.read(true).write(is_own).create(is_own);
        options.open(mount.0.join(name)).unwrap()
    };
    let common = [one_mount, two_mount].map(|mount| open(mount, "file"));
    let own = [one_mount, two_mount].map(|mount| {
        let file = open(mount, "own");
        file.write_all_at(&vec![1; 9 * page() as usize], 0).unwrap();
        file
    });
    let found = found();
    let below = |name: &str| {
        let is = |file: &&CachedFile| {
            let path = Path::new(&file.path);
            [one_mount, two_mount]
                .iter()
                .any(|mount| path == mount.0.join(name))
        };
        found.files.iter().filter(is).collect::<Vec<_>>()
    };
    let (layer, upper) = (below("file"), below("own"));
    assert_eq!(upper.len(), 2, "{upper:?}");
    for (seen, file) in upper.iter().zip(&own) {
        assert_eq!(seen.cached, mincore(file), "{seen:?}");
        assert_eq!(seen.states, None);
    }
    match found.is_each_once {
        true => assert_eq!(layer.len(), 1, "{layer:?}"),
        false => assert_eq!((layer.len(), found.rest(false)), (2, None)),
    }
    for seen in layer {
        assert_eq!(seen.cached, mincore(&common[0]), "{seen:?}");
    }
}

#[test]
fn a_count_can_be_broken_off() {
    let _alone = alone();
    for stop_at_files in [false, true] {
        let mut steps = 0;
        let found = page_cache(PassOptions::new(), LONG, |step| {
            steps += 1;
            match (stop_at_files, step) {
                (true, PageCacheStep::Processes { .. }) => ControlFlow::Continue(()),
                _ => ControlFlow::Break(()),
            }
        });
        assert_eq!(found, Ok(None));
        assert!(steps > 0);
    }
}
