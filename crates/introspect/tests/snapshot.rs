//! `introspect snapshot`, `snapshots` and `prune`: what is stored is what the other
//! subcommands print, and an interrupted snapshot is none.

mod support;

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use process_introspection_dataset::lake::{Lake, Snapshot, State, When};
use serde_json::Value;
use support::{introspect, number, run, schema, succeed, target, Running};
use tempfile::TempDir;
use testkit::memory;
use testkit::target::Target;

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for child in fs::read_dir(folder).into_iter().flatten().flatten() {
        match child.path() {
            path if path.is_dir() => all.extend(files(&path)),
            path => all.push(path),
        }
    }
    all
}

fn has_end(end: &str) -> impl Fn(&PathBuf) -> bool + '_ {
    move |path| path.to_string_lossy().ends_with(end)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Takes a snapshot with these arguments and opens it.
fn snapshot(root: &Path, arguments: &[&str]) -> Snapshot {
    let mut all = vec!["snapshot", "-o", text(root)];
    all.extend(arguments);
    // With --all, processes that end meanwhile are named on standard error.
    let taken = run(&all);
    assert_eq!(taken.status, 0, "{}", taken.stderr);
    let id = taken.stdout;
    let when = When::Id(id.trim_end().parse().unwrap());
    Lake::open(root).unwrap().select(when, None, b"").unwrap()
}

#[test]
fn a_snapshot_has_the_regions_mappings_and_numbers_that_are_printed() {
    let root = TempDir::new().unwrap();
    let target = target();
    target.stop();
    let pid = target.pid().to_string();
    let stored = snapshot(root.path(), &[&pid]);
    assert_eq!(stored.state(), State::Complete);
    let [process] = &stored.processes().unwrap()[..] else {
        panic!("one process");
    };
    assert_eq!(process.pid.to_string(), pid);
    assert_eq!(process.ppid, Some(std::process::id()));
    assert_eq!((process.uid, process.unread), (Some(0), None));
    let bare = |text: &Value| u64::from_str_radix(&text.as_str().unwrap()[2..], 16).unwrap();

    let regions = stored.regions(None, false).unwrap().map(Result::unwrap);
    let regions: Vec<_> = regions.collect();
    let printed = succeed(&["physical", &pid, "--format", "jsonl"]).lines();
    assert_eq!(regions.len(), printed.len());
    for (region, printed) in regions.iter().zip(&printed) {
        assert_eq!(region.vpn, number(printed, "vpn"));
        assert_eq!(region.pages, number(printed, "size") / memory::page());
        assert_eq!(region.pfn, printed["pfn"].as_u64());
        assert_eq!(region.state.name(), printed["state"]);
        assert_eq!(region.page_size, printed["page_size"].as_u64());
    }

    let mappings = stored.mappings(process.unique_pid).unwrap();
    let printed = succeed(&["virtual", &pid, "--format", "jsonl"]).lines();
    assert_eq!(mappings.len(), printed.len());
    for (mapping, printed) in mappings.iter().zip(&printed) {
        assert_eq!(mapping.vaddr.0, bare(&printed["vaddr"]));
        assert_eq!(mapping.kind, printed["kind"]);
        let path = String::from_utf8(mapping.path.0.clone()).unwrap();
        assert_eq!(path, printed["path"].as_str().unwrap_or_default());
    }

    let printed = succeed(&["summary", &pid, "--format", "jsonl"]).lines();
    let total = &printed[0]["total"];
    assert_eq!(process.resident, total["resident"].as_u64());
    let sum = |of: fn(&_) -> Option<u64>| mappings.iter().filter_map(of).sum::<u64>();
    assert_eq!(Some(sum(|mapping| mapping.resident)), process.resident);
    assert_eq!(Some(sum(|mapping| mapping.uss)), process.uss);
}

#[test]
fn every_process_has_a_row_and_details_are_stored_on_request() {
    let root = TempDir::new().unwrap();
    let target = target();
    let stored = snapshot(root.path(), &["--all"]);
    let processes = stored.processes().unwrap();
    assert!(processes
        .iter()
        .any(|row| row.pid == target.pid() && row.unread.is_none()));
    assert!(processes
        .windows(2)
        .all(|two| two[0].unique_pid < two[1].unique_pid));
    assert!(stored.row().head.all_processes && !stored.row().head.details);

    let pid = target.pid().to_string();
    let stored = snapshot(root.path(), &[&pid, "--details", "--freeze"]);
    assert!(stored.row().head.details && stored.row().frozen);
    let regions = stored.regions(None, true).unwrap().map(Result::unwrap);
    let mut details = regions.filter_map(|row| row.details);
    assert!(details.any(|details| details.mapcount.is_some()));
}

#[test]
fn redacted_names_are_hashes_that_the_same_key_makes_again() {
    let root = TempDir::new().unwrap();
    let key = root.path().join("key");
    fs::write(&key, "secret").unwrap();
    let target = target();
    let pid = target.pid().to_string();
    let names = |lake: &str, key: &[&str]| {
        let lake = root.path().join(lake);
        let arguments: Vec<_> = [&pid, "--redact"]
            .into_iter()
            .chain(key.iter().copied())
            .collect();
        let stored = snapshot(&lake, &arguments);
        let processes = stored.processes().unwrap();
        let mappings = stored.mappings(processes[0].unique_pid).unwrap();
        let paths: Vec<_> = mappings.into_iter().map(|row| row.path.0).collect();
        (
            stored.entry().host().to_vec(),
            processes[0].command.0.clone(),
            paths,
        )
    };
    let with_key = ["--redact-key", text(&key)];
    let (one, again) = (names("a", &with_key), names("b", &with_key));
    assert_eq!(one, again);
    let (host, command, paths) = names("c", &[]);
    assert!(host != one.0 && command != one.1);
    let plain = snapshot(&root.path().join("d"), &[&pid]);
    let row = &plain.processes().unwrap()[0];
    let mappings = plain.mappings(row.unique_pid).unwrap();
    assert_eq!(mappings.len(), paths.len());
    for (mapping, hashed) in mappings.iter().zip(&paths) {
        let (path, is_kernels) = (&mapping.path.0, mapping.path.0.starts_with(b"["));
        assert_eq!(path.is_empty(), hashed.is_empty());
        assert!(path.is_empty() || is_kernels || path != hashed);
    }
    assert!(paths.contains(&b"[stack]".to_vec()));
}

/// Starts a snapshot that takes long enough to be interrupted, and returns when it has begun
/// to write.
fn begun(root: &Path, pid: u32) -> Running {
    let mut command = introspect();
    command.args(["snapshot", "--details", "-o", text(root)]);
    command
        .arg(pid.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let running = Running(command.spawn().unwrap());
    let begun = Instant::now();
    while !files(root).iter().any(has_end(".partial")) {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "nothing is written"
        );
        std::thread::yield_now();
    }
    running
}

#[test]
fn an_interrupted_snapshot_leaves_nothing_and_a_killed_one_nothing_to_read() {
    // Each page is a region.
    let target = Target::spawn(|| {
        let start = memory::anonymous(200_000 * memory::page());
        memory::keep_page_sizes();
        memory::touch(start, 100_000, 2);
        vec![start]
    });
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGKILL] {
        let root = TempDir::new().unwrap();
        let lake = root.path().join("lake");
        let mut running = begun(&lake, target.pid());
        // SAFETY: the child is not yet waited for, so its PID is its own.
        unsafe { libc::kill(running.0.id() as i32, signal) };
        let status = running.0.wait().unwrap();
        assert_eq!(status.signal(), Some(signal));
        let left = files(&lake);
        match signal {
            libc::SIGKILL => assert!(left.iter().all(has_end(".partial")), "{left:?}"),
            _ => assert!(left.is_empty(), "{left:?}"),
        }
        let listed = run(&["snapshots", text(&lake)]);
        assert_eq!(listed.status, 1);
        assert!(
            listed.stderr.contains("has no snapshots"),
            "{}",
            listed.stderr
        );
    }
}

/// Runs a script in a mount namespace of its own, with a tmpfs of these options at `$0`.
fn on_tmpfs(options: &str, script: &str) -> std::process::Output {
    let root = TempDir::new().unwrap();
    let script = format!("mount -t tmpfs -o {options} tmpfs \"$0\" && {script}");
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script]);
    command
        .arg(root.path())
        .arg(env!("CARGO_BIN_EXE_introspect"));
    command.arg(std::process::id().to_string());
    command.output().unwrap()
}

#[test]
fn a_full_or_read_only_disk_is_named_and_has_no_snapshot() {
    let script = "\"$1\" snapshot \"$2\" -o \"$0/lake\"; echo $?; find \"$0\" -type f";
    let full = on_tmpfs("size=16k", script);
    let said = String::from_utf8_lossy(&full.stderr);
    assert!(said.contains("cannot write "), "{said}");
    assert!(said.contains("No space left on device"), "{said}");
    assert_eq!(String::from_utf8_lossy(&full.stdout), "1\n");
    let read_only = on_tmpfs("ro", script);
    let said = String::from_utf8_lossy(&read_only.stderr);
    assert!(said.contains("cannot create "), "{said}");
    assert!(said.contains("Read-only file system"), "{said}");
    assert_eq!(String::from_utf8_lossy(&read_only.stdout), "1\n");
}

#[test]
fn snapshots_lists_what_every_wrote_and_prune_keeps_the_newest() {
    let root = TempDir::new().unwrap();
    let lake = text(root.path());
    let target = target();
    let pid = target.pid().to_string();
    let every = [
        "snapshot", &pid, "--every", "100ms", "--count", "3", "-o", lake,
    ];
    let ids = succeed(&every).stdout;
    let listed = succeed(&["snapshots", lake, "--format", "json"]);
    let records: Value = serde_json::from_str(&listed.stdout).unwrap();
    schema("snapshots").validate(&records).unwrap();
    let records = listed.array();
    let printed: Vec<_> = records
        .iter()
        .map(|record| &record["snapshot_id"])
        .collect();
    assert_eq!(printed, ids.lines().collect::<Vec<_>>());
    assert!(records.iter().all(|record| record["state"] == "complete"));
    assert!(records[0]["taken_at"].as_str() < records[1]["taken_at"].as_str());
    let table = succeed(&["snapshots", lake]).stdout;
    assert!(
        table.lines().all(|line| line.chars().count() <= 80),
        "{table}"
    );

    let newest = ids.lines().last().unwrap();
    let prune = ["prune", lake, "--keep", "1"];
    let would = succeed(&[&prune[..], &["--dry-run"]].concat());
    assert_eq!(would.stdout.lines().count(), 2);
    assert_eq!(files(root.path()).len(), 12);
    assert_eq!(succeed(&prune).stdout, would.stdout);
    let left = files(root.path());
    assert_eq!(left.len(), 4);
    assert!(left.iter().all(has_end(&format!("{newest}.parquet"))));
    assert_eq!(succeed(&prune).stdout, "");

    let regions = left
        .iter()
        .find(|path| path.starts_with(root.path().join("regions")));
    fs::remove_file(regions.unwrap()).unwrap();
    let damaged = run(&["snapshots", lake, "--format", "jsonl"]);
    assert_eq!(
        (damaged.status, &damaged.lines()[0]["state"]),
        (1, &"incomplete".into())
    );
    assert!(
        damaged.stderr.contains("1 snapshot is not complete"),
        "{}",
        damaged.stderr
    );
}

#[test]
fn a_process_that_does_not_exist_is_an_error_and_no_snapshot() {
    let root = TempDir::new().unwrap();
    let lake = root.path().join("lake");
    let failed = run(&["snapshot", "4194303", "-o", text(&lake)]);
    assert_eq!(failed.status, 1);
    assert!(
        failed.stderr.contains("process 4194303"),
        "{}",
        failed.stderr
    );
    assert!(!lake.exists());
}
