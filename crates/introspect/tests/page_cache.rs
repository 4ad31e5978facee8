//! `introspect files`: the page cache by file, compared with vmtouch and with meminfo.

mod support;

use std::fs::{self, File};
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{chown, MetadataExt};
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use support::{copy_into, finish, number, of_nobody, run, schema, Waiting, NOBODY};
use tempfile::TempDir;
use testkit::machine::{is_root_or_skip, skip};
use testkit::memory::page;

fn files(arguments: &[&str]) -> Vec<Value> {
    let run = run(&[&["files", "--format", "json"], arguments].concat());
    assert_eq!(run.status, 0, "{run:?}");
    let records = run.array();
    if let Err(error) = schema("files").validate(&Value::Array(records.clone())) {
        panic!("{error}");
    }
    records
}

fn is(record: &Value, kinds: &[&str]) -> bool {
    kinds.iter().any(|kind| record["record"] == *kind)
}

/// Makes a file of 64 pages, of which few are in the page cache where the file system has a
/// disk.
fn partly_cached(path: &Path) -> File {
    fs::write(path, vec![1; 64 * page() as usize]).unwrap();
    let mut file = File::open(path).unwrap();
    file.sync_all().unwrap();
    // SAFETY: advice about an open file.
    unsafe {
        libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED);
        libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_RANDOM);
    }
    file.read_exact(&mut vec![0; 5 * page() as usize]).unwrap();
    file
}

#[test]
fn a_file_has_the_pages_that_vmtouch_finds() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("file");
    let file = partly_cached(&path);
    let inode = file.metadata().unwrap().ino();
    let found = files(&["--all"]);
    let is_it =
        |record: &&Value| record["ino"] == inode && record["path"] == *path.to_str().unwrap();
    let its: Vec<_> = found.iter().filter(is_it).collect();
    let [record] = its[..] else {
        panic!("{its:?}");
    };
    assert_eq!(number(record, "size"), 64 * page());
    assert_eq!(record["pids"], Value::from(vec![std::process::id()]));
    let Ok(vmtouch) = Command::new("vmtouch").arg(&path).output() else {
        return skip("vmtouch", "is not installed").unwrap_or(());
    };
    let text = String::from_utf8(vmtouch.stdout).unwrap();
    // `Resident Pages: 5/64  20K/256K  7.81%`
    let resident = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("Resident Pages: "));
    let pages = resident
        .and_then(|rest| rest.split('/').next())
        .unwrap_or(&text);
    let pages: u64 = pages.parse().expect(&text);
    assert_eq!(number(record, "cached"), pages * page(), "{text}");
}

#[test]
fn the_sums_are_those_of_the_machine() {
    if !is_root_or_skip("sums of the page cache") {
        return;
    }
    let counter = |name: &str| {
        let text = fs::read_to_string("/proc/meminfo").unwrap();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    };
    let counters = || {
        let shared = counter("Shmem:");
        [counter("Cached:") + counter("Buffers:") - shared, shared]
    };
    let kinds = [
        ["file", "more-files", "other-files"],
        ["shm", "more-shm", "other-shm"],
    ];
    // Other programs read and write files meanwhile.
    for _ in 0..10 {
        let before = counters();
        let found = files(&["--top", "3"]);
        let after = counters();
        let of = |kind: &str| found.iter().filter(|record| is(record, &[kind])).count();
        assert_eq!(of("file") + of("shm"), 3, "{found:?}");
        assert_eq!((of("other-files"), of("other-shm")), (1, 1));
        let sums = kinds.each_ref().map(|kinds| {
            let meant = found.iter().filter(|record| is(record, kinds));
            meant
                .map(|record| record["cached"].as_u64())
                .sum::<Option<u64>>()
        });
        let is_between = |at: usize| {
            let bounds = [before[at].min(after[at]), before[at].max(after[at])];
            sums[at].is_some_and(|sum| (bounds[0]..=bounds[1]).contains(&sum))
        };
        if is_between(0) && is_between(1) {
            return;
        }
        println!("{sums:?} {before:?} {after:?}");
    }
    panic!("no sum was that of the machine");
}

#[test]
fn files_are_in_order_with_the_names_of_their_processes() {
    let waiting = [0; 2].map(|_| Waiting::named("cat"));
    let found = files(&["--all"]);
    let listed = |record: &&Value| is(record, &["file", "shm"]);
    let cached: Vec<_> = found
        .iter()
        .filter(listed)
        .map(|record| number(record, "cached"))
        .collect();
    assert!(cached.is_sorted_by(|a, b| a >= b) && cached.len() > 2);
    let pid = u64::from(waiting[0].pid());
    let is_used = |record: &&Value| {
        let pids = record["pids"].as_array().into_iter().flatten();
        pids.into_iter().any(|it| it.as_u64() == Some(pid))
    };
    let used: Vec<_> = found.iter().filter(is_used).collect();
    assert!(!used.is_empty());
    for record in &used {
        let commands = record["commands"].as_array().unwrap();
        assert!(commands.contains(&"cat".into()), "{record}");
        let count = record["pids"].as_array().unwrap().len() as u64;
        assert_eq!(number(record, "processes"), count);
    }
    let by_path = files(&["--sort", "path", "--top", "5"]);
    let paths: Vec<_> = by_path
        .iter()
        .filter(listed)
        .map(|record| record["path"].as_str().unwrap().to_owned())
        .collect();
    assert!(paths.is_sorted() && paths.len() == 5, "{paths:?}");
    let table = run(&["files"]).stdout;
    assert!(table.starts_with("CACHED DIRTY WBACK EVICT   SIZE PROCS FS      PATH\n"));
    let rows = table
        .lines()
        .filter(|line| !line.starts_with("    "))
        .count();
    // The header, at most twenty files, and what is not listed.
    assert!(rows <= 25, "{table}");
}

#[test]
fn without_privileges_ones_own_files_are_listed_and_the_others_said() {
    if !is_root_or_skip("files without privileges") {
        return;
    }
    // A program that belongs to its user, and that no process has open.
    let folder = TempDir::new().unwrap();
    let program = copy_into(&folder);
    chown(&program, Some(NOBODY), Some(NOBODY)).unwrap();
    let mut command = of_nobody(&program);
    command.args(["files", "--all", "--format", "json"]);
    let run = finish(command);
    assert_eq!(run.status, 0, "{run:?}");
    let is_own = |record: &&Value| record["path"] == *program.to_str().unwrap();
    let own = run.array().into_iter().find(|record| is_own(&record));
    let own = own.unwrap_or_else(|| panic!("{run:?}"));
    assert!(number(&own, "cached") > 0, "{own}");
    assert!(run.stderr.contains("is refused to this user"), "{run:?}");
    assert!(run.stderr.contains("may not know their pages"), "{run:?}");
    // The pages of root's files, which it maps, are hidden from it.
    for record in run.array() {
        let path = record["path"].as_str().unwrap_or_default();
        assert!(!path.contains("/libc"), "{record}");
    }
}
