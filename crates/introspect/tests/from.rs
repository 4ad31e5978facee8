//! `--from`: a snapshot of a stopped process gives the records of the live one, and says what
//! it does not have.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use process_introspection_dataset::lake::{Lake, Snapshot, SnapshotWriter, Start, State, When};
use serde_json::Value;
use support::{as_nobody, fail, introspect, number, run, succeed, Waiting};
use tempfile::TempDir;
use testkit::machine::is_root_or_skip;
use testkit::memory::page;
use testkit::target::Target;
use testkit::varied::{Varied, DENSE};

const FORMATS: [&str; 5] = ["table", "json", "jsonl", "csv", "arrow"];

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Takes a snapshot with these arguments.
fn snapshot(root: &Path, arguments: &[&str]) {
    let all = [&["snapshot", "-o", text(root)], arguments].concat();
    let taken = run(&all);
    assert_eq!(taken.status, 0, "{}", taken.stderr);
}

fn open(root: &Path) -> Snapshot {
    let lake = Lake::open(root).unwrap();
    lake.select(When::Latest, None, b"").unwrap()
}

/// Runs a command, which may warn, and returns its status and its output: text, or a stream
/// of Arrow without its description.
fn output(arguments: &[&str], format: &str) -> (i32, String) {
    let mut command = introspect();
    let output = command.args(arguments).args(["--format", format]).output();
    let output = output.expect("the command starts");
    let status = output.status.code().unwrap();
    assert!(status < 2, "{arguments:?}: {output:?}");
    let text = match format {
        // Each byte is a character. The first message is the schema, which describes the
        // source: behind a mark its length, and no body.
        "arrow" => {
            let length: [u8; 4] = output.stdout[4..8].try_into().unwrap();
            let records = &output.stdout[8 + u32::from_le_bytes(length) as usize..];
            assert!(!records.is_empty());
            records.iter().map(|&byte| char::from(byte)).collect()
        }
        _ => String::from_utf8(output.stdout).unwrap(),
    };
    (status, text)
}

/// Compares what each of these commands prints of the live process and of a snapshot, once the
/// live process has the same before and after. One of several times must agree, for each of its
/// own: flags of pages, and of other pages of a stored run, can change for the time of the
/// snapshot alone, for instance where the kernel samples accesses.
fn compare(root: &Path, pids: &[&str], commands: &[Vec<&str>], formats: &[&str]) {
    let each = |command| formats.iter().map(move |format| (command, *format));
    let mut left: Vec<(&Vec<&str>, &str)> = commands.iter().flat_map(each).collect();
    let outputs = |left: &[(&Vec<&str>, &str)], more: &[&str]| -> Vec<(i32, String)> {
        let one =
            |(command, format): &(&Vec<&str>, &str)| output(&[command, more].concat(), format);
        left.iter().map(one).collect()
    };
    // The first line of one output that another does not have.
    let difference = |one: &(i32, String), other: &(i32, String)| {
        let mut lines = one.1.lines().zip(other.1.lines());
        let line = lines.find(|(one, other)| one != other);
        format!("{} {}: {line:?}", one.0, other.0)
    };
    let mut why = Vec::new();
    for _ in 0..20 {
        let before = outputs(&left, &[]);
        snapshot(root, &[pids, &["--details"]].concat());
        let stored = outputs(&left, &["--from", text(root)]);
        let after = outputs(&left, &[]);
        why.clear();
        let mut index = 0;
        left.retain(|(command, format)| {
            let (before, stored, after) = (&before[index], &stored[index], &after[index]);
            index += 1;
            let what = match (before == after, stored == after) {
                (true, true) => return false,
                (false, _) => format!("live: {}", difference(before, after)),
                (true, false) => format!("stored: {}", difference(after, stored)),
            };
            why.push(format!("{command:?} {format}: {what}"));
            true
        });
        if left.is_empty() {
            return;
        }
    }
    panic!(
        "of {pids:?} these never come to rest, or differ:\n{}",
        why.join("\n")
    );
}

/// Removes numbers that other processes change, those of pages that they map as well, and
/// those of the machine, which a snapshot does not have.
fn without_shares(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match &name[..] {
                    "pss" | "uss" | "thp" => *field = Value::Null,
                    _ => without_shares(field),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(without_shares),
        _ => {}
    }
}

/// Returns the words of a search for the owners of frames.
fn owner(frames: &[String]) -> Vec<&str> {
    let frames = frames.iter().take(100).map(|frame| &frame[..]);
    ["owner"].into_iter().chain(frames).collect()
}

/// A stopped target, with its PID as text.
fn stopped() -> (Target, Varied, String) {
    let (target, varied) = Varied::spawn();
    target.stop();
    let pid = target.pid().to_string();
    (target, varied, pid)
}

#[test]
fn lists_of_a_snapshot_are_those_of_the_stopped_process() {
    if !is_root_or_skip("lists of a snapshot") {
        return;
    }
    let (_target, varied, pid) = stopped();
    let root = TempDir::new().unwrap();
    let huge = varied.around_huge();
    // A range that begins in the middle of a huge page.
    let inside = format!("{:x}-{:x}", huge.start + (1 << 20), huge.end - 0x1234);
    let commands = [
        vec!["physical", &pid],
        vec!["physical", &pid, "--no-fold", "--backed"],
        vec!["physical", &pid, &inside],
        vec!["virtual", &pid],
        vec!["virtual", &pid, "--mapping", "memfd"],
        vec!["resident", &pid],
        vec!["resident", &pid, &inside],
        vec!["extents", &pid, "--mapping", "memfd"],
        vec!["extents", &pid, &inside, "--align", "2M"],
        vec!["extents", &pid, "0-7fffffffffff"],
    ];
    compare(root.path(), &[&pid], &commands, &FORMATS);
    let pictures = [
        vec!["physical", &pid],
        vec!["physical", &pid, &inside],
        vec!["resident", &pid, "--backed"],
    ];
    compare(root.path(), &[&pid], &pictures, &["svg"]);
    let (_other, _, other) = stopped();
    let both = format!("{other},{pid}");
    let commands = [
        vec!["physical", &both],
        vec!["physical", &both, "--details", "--mapping", "memfd"],
        vec!["virtual", &both],
        vec!["resident", &both, &inside],
    ];
    compare(root.path(), &[&other, &pid], &commands, &FORMATS);
    // Both are all of this snapshot, in another order.
    let of_all = |command: &str| {
        let from = ["--from", text(root.path()), "--format", "jsonl"];
        let list = |which: &str| {
            let run = succeed(&[&[command, which], &from[..]].concat());
            let mut lines: Vec<_> = run.stdout.lines().map(str::to_owned).collect();
            lines.sort_unstable();
            lines
        };
        assert_eq!(list("--all"), list(&both), "{command}");
    };
    ["physical", "virtual", "resident"]
        .into_iter()
        .for_each(of_all);
}

#[test]
fn details_and_owners_of_a_snapshot_are_those_of_the_stopped_process() {
    if !is_root_or_skip("details of a snapshot") {
        return;
    }
    let (_target, varied, pid) = stopped();
    let root = TempDir::new().unwrap();
    // Memory of this process only: nobody else changes its counts.
    let huge = varied.around_huge();
    let huge = format!("{:x}-{:x}", huge.start, huge.end);
    let dense = format!("{:x}+{:#x}", varied.dense, DENSE * page());
    let frames = |range: &str| -> Vec<String> {
        let regions = succeed(&["physical", &pid, range, "--format", "jsonl"]).lines();
        let regions = regions.iter().filter(|region| !region["paddr"].is_null());
        regions
            .step_by(3)
            .map(|region| {
                let paddr = region["paddr"].as_str().unwrap();
                format!("{}+{:#x}", &paddr[2..], number(region, "size"))
            })
            .collect()
    };
    let (of_dense, of_huge) = (frames(&dense), frames(&huge));
    assert!(of_dense.len() > 10 && !of_huge.is_empty());
    let owner_of_dense = owner(&of_dense);
    let owner_of_huge = owner(&of_huge);
    let commands = [
        vec!["physical", &pid, &dense, "--details"],
        vec!["physical", &pid, &huge, "--details"],
        owner_of_dense.clone(),
        owner_of_huge,
        vec!["summary", &pid, "--by-mapping", "--mapping", "memfd"],
    ];
    compare(root.path(), &[&pid], &commands, &FORMATS);
    let owners = [
        &owner_of_dense[..],
        &["--format", "json", "--from", text(root.path())],
    ];
    let owners = run(&owners.concat()).array();
    assert!(
        owners.iter().all(|owner| owner["use"] == "anonymous"),
        "{owners:?}"
    );
}

#[test]
fn summaries_of_a_snapshot_are_those_of_the_stopped_process() {
    if !is_root_or_skip("summaries of a snapshot") {
        return;
    }
    let (_target, _, pid) = stopped();
    let other = Waiting::of(0);
    let other = other.pid().to_string();
    let root = TempDir::new().unwrap();
    let commands: [&[&str]; 4] = [
        &["summary", &pid],
        &["summary", &pid, "--by-mapping"],
        &["summary", &pid, &other],
        &["summary", "--by-mapping", &pid, &other],
    ];
    let read = |arguments: &[&str]| {
        let mut records = run(&[arguments, &["--format", "json"]].concat()).array();
        records.iter_mut().for_each(without_shares);
        // The order is that of shares.
        records.sort_by_key(|record| (record["pid"].as_u64(), record["vaddr"].to_string()));
        records
    };
    let all = |more: &[&str]| {
        let commands = commands
            .iter()
            .map(|command| read(&[command, more].concat()));
        commands.collect::<Vec<_>>()
    };
    let mut before = all(&[]);
    for _ in 0..20 {
        snapshot(root.path(), &[&pid, &other]);
        let stored = all(&["--from", text(root.path())]);
        let after = all(&[]);
        if before == after {
            assert_eq!(stored, after);
            let table = succeed(&["summary", "--all", "--from", text(root.path())]).stdout;
            assert!(table.contains(&pid) && table.contains(&other), "{table}");
            assert!(table.contains("2 processes"), "{table}");
            return;
        }
        before = after;
    }
    panic!("the memory of {pid} never comes to rest");
}

#[test]
fn processes_are_named_as_live_ones_also_after_their_end() {
    if !is_root_or_skip("names of processes of a snapshot") {
        return;
    }
    let root = TempDir::new().unwrap();
    let waiting = Waiting::named("/opt/bin/prog-of-a-lake");
    let pid = waiting.pid().to_string();
    snapshot(root.path(), &[&pid]);
    let unique = open(root.path()).processes().unwrap()[0].unique_pid;
    drop(waiting);
    let from = text(root.path());
    let of = |name: &str| succeed(&["physical", name, "--format", "jsonl", "--from", from]).stdout;
    let by_pid = of(&pid);
    assert!(by_pid.lines().count() > 10);
    for name in [
        &unique.to_string(),
        "prog-of-a-lake",
        "name:prog-of-a-lake",
        "cat",
    ] {
        assert_eq!(of(name), by_pid, "{name}");
    }
    let message = fail(&["physical", "bin", "--from", from]);
    assert!(
        message.contains("process bin: it is not in snapshot"),
        "{message}"
    );
    assert!(message.contains("of some processes only"), "{message}");
    let usage = run(&["physical", "self", "--from", from]);
    assert_eq!(usage.status, 2);
    assert!(usage.stderr.contains("in no snapshot"), "{}", usage.stderr);
    let usage = run(&["physical", &pid, "--host", "here"]);
    assert_eq!(usage.status, 2);
    assert!(usage.stderr.contains("--from"), "{}", usage.stderr);
}

#[test]
fn what_a_snapshot_does_not_have_is_said() {
    if !is_root_or_skip("what a snapshot does not have") {
        return;
    }
    let (_target, varied, pid) = stopped();
    let root = TempDir::new().unwrap();
    let from = text(root.path());
    snapshot(root.path(), &[&pid]);
    let message = fail(&["physical", &pid, "--details", "--from", from]);
    assert!(
        message.contains("introspect snapshot --details"),
        "{message}"
    );
    let range = format!("{:x}", varied.dense);
    let record = &succeed(&["physical", &pid, &range, "--format", "jsonl"]).lines()[0];
    let frame = format!("pfn:{}", record["pfn"]);
    // Frame 0 is the firmware's.
    let owner = run(&[
        "owner", &frame, "pfn:0", "--format", "jsonl", "--from", from,
    ]);
    let records = owner.lines();
    let find = |kind: &str| {
        records
            .iter()
            .find(|record| record["record"] == kind)
            .unwrap()
    };
    let mapped = find("mapped");
    assert_eq!(mapped["pid"].to_string(), pid);
    assert_eq!(mapped["use"], Value::Null);
    assert_eq!(find("not-found")["searched"], "snapshot");
    assert!(
        owner.stderr.contains("the snapshot is of 1 process"),
        "{}",
        owner.stderr
    );
    assert!(
        owner.stderr.contains("snapshot --details"),
        "{}",
        owner.stderr
    );
    let usage = run(&["summary", &pid, "--mapping", "heap", "--from", from]);
    assert_eq!(usage.status, 2);
    assert!(usage.stderr.contains("--by-mapping"), "{}", usage.stderr);

    // A range that cuts a region whose pages differ: what is known of all is not known of one.
    let huge = varied.around_huge();
    snapshot(root.path(), &[&pid, "--details"]);
    let range = format!("{:x}+{:x}", huge.start, 3 * page());
    let cut = run(&[
        "physical",
        &pid,
        &range,
        "--details",
        "--format",
        "jsonl",
        "--from",
        from,
    ]);
    let live = succeed(&["physical", &pid, &range, "--details", "--format", "jsonl"]).lines();
    for (stored, live) in cut.lines().iter().zip(&live) {
        assert_eq!(
            (&stored["vaddr"], &stored["pfn"]),
            (&live["vaddr"], &live["pfn"])
        );
        if !stored["details"].is_null() {
            assert_eq!(stored["details"]["pages"], live["details"]["pages"]);
            assert_eq!(stored["details"]["flags"], live["details"]["flags"]);
        }
    }
}

/// Writes a snapshot with the rows of another, changed.
fn write_changed(from: &Snapshot, root: &Path, version: u32, host: &str, is_unread: bool) {
    let start = Start {
        host: host.as_bytes().to_vec(),
        taken_at: std::time::SystemTime::now(),
        details: false,
        frames: false,
        description: Vec::new(),
    };
    let mut writer = SnapshotWriter::begin(root, start).unwrap();
    for mut process in from.processes().unwrap() {
        let unique_pid = process.unique_pid;
        if is_unread {
            process.unread = Some("refused");
            process.error = Some("process 7: cannot open it: not allowed".to_owned());
        }
        writer.process(&process).unwrap();
        for mapping in from.mappings(unique_pid).unwrap() {
            writer.mapping(&mapping).unwrap();
        }
    }
    for region in from.regions(None, false).unwrap() {
        writer.region(&region.unwrap()).unwrap();
    }
    let mut row = from.row().clone();
    row.head.schema_version = version;
    writer.finish(row).unwrap();
}

/// Copies a lake by the program of the system.
fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-r").args([from, to]).status();
    assert!(copied.unwrap().success());
}

/// Returns the files of a table, of all hosts.
fn files(root: &Path, table: &str) -> Vec<PathBuf> {
    let children = |folder: &Path| -> Vec<PathBuf> {
        let children = fs::read_dir(folder).unwrap();
        children.map(|child| child.unwrap().path()).collect()
    };
    let dates = children(&root.join(table));
    let hosts = dates.iter().flat_map(|date| children(date));
    hosts.flat_map(|host| children(&host)).collect()
}

#[test]
fn a_lake_that_is_not_whole_or_not_ours_gives_a_clear_message() {
    if !is_root_or_skip("lakes that are not whole") {
        return;
    }
    let waiting = Waiting::of(0);
    let pid = waiting.pid().to_string();
    let lakes = TempDir::new().unwrap();
    let lake = lakes.path().join("lake");
    snapshot(&lake, &[&pid]);
    let whole = open(&lake);
    assert_eq!(whole.state(), State::Complete);
    let version = whole.row().head.schema_version;
    let summary = |root: &Path| succeed(&["summary", &pid, "--from", text(root)]).stdout;
    let said = |root: &Path| fail(&["summary", &pid, "--from", text(root)]);
    let expected = summary(&lake);
    let another = |name: &str| {
        let copied = lakes.path().join(name);
        copy(&lake, &copied);
        copied
    };

    let foreign = another("foreign");
    let beside = files(&foreign, "snapshots").remove(0);
    fs::write(foreign.join("snapshots/README"), "hello").unwrap();
    fs::write(beside.with_file_name("notes.txt"), "hello").unwrap();
    assert_eq!(summary(&foreign), expected);
    fs::write(&beside, "hello").unwrap();
    assert!(
        said(&foreign).contains("is not usable"),
        "{}",
        said(&foreign)
    );

    let part = another("part");
    fs::remove_file(&files(&part, "regions")[0]).unwrap();
    let message = said(&part);
    assert!(
        message.contains("is incomplete: table regions"),
        "{message}"
    );
    assert!(message.contains("copied in part"), "{message}");
    fs::remove_file(&files(&part, "snapshots")[0]).unwrap();
    assert!(said(&part).contains("has no snapshots"), "{}", said(&part));

    let later = lakes.path().join("later");
    write_changed(&whole, &later, version + 1, "here", false);
    assert!(said(&later).contains("later version"), "{}", said(&later));

    let hosts = lakes.path().join("hosts");
    write_changed(&whole, &hosts, version, "mill-1", false);
    assert_eq!(summary(&hosts), expected);
    write_changed(&whole, &hosts, version, "mill-2", false);
    let message = said(&hosts);
    assert!(
        message.contains("mill-1, mill-2") && message.contains("--host"),
        "{message}"
    );
    let of_host = ["summary", &pid, "--from", text(&hosts), "--host", "mill-2"];
    assert_eq!(succeed(&of_host).stdout, expected);

    let unread = lakes.path().join("unread");
    write_changed(&whole, &unread, version, "here", true);
    let message = said(&unread);
    assert!(
        message.contains("could not be read") && message.contains("not allowed"),
        "{message}"
    );
    let all = run(&["summary", "--all", "--from", text(&unread)]);
    assert!(
        all.stderr.contains("not in the list: 1 process"),
        "{}",
        all.stderr
    );

    // Without rights to the process, and without rights to write.
    assert_eq!(
        fs::metadata(&lake).unwrap().permissions().mode() & 0o777,
        0o700
    );
    fs::set_permissions(lakes.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let refused = as_nobody(&["summary", &pid, "--from", text(&lake)]);
    assert_eq!(refused.status, 1);
    assert!(
        refused.stderr.contains("Permission denied"),
        "{}",
        refused.stderr
    );
    let opened = Command::new("chmod")
        .args(["-R", "a+rX,a-w"])
        .arg(&lake)
        .status();
    assert!(opened.unwrap().success());
    let read = as_nobody(&["summary", &pid, "--from", text(&lake)]);
    assert_eq!(
        (read.status, &read.stdout[..]),
        (0, &expected[..]),
        "{}",
        read.stderr
    );

    // A folder whose name has an @, and a time.
    let at = lakes.path().join("a@latest");
    copy(&lake, &at);
    assert_eq!(summary(&at), expected);
    let id = format!("{}@{}", text(&at), whole.entry().id());
    assert_eq!(summary(Path::new(&id)), expected);
    let before = format!("{}@2001-01-01T00:00:00Z", text(&lake));
    assert!(
        said(Path::new(&before)).contains("at or before 2001"),
        "{}",
        said(Path::new(&before))
    );
}

#[test]
fn owners_of_shared_memory_come_in_the_order_of_their_pids() {
    if !is_root_or_skip("owners of shared memory in a snapshot") {
        return;
    }
    let file = testkit::memory::memfd(4 * page());
    let share = || {
        let at = testkit::memory::map(4 * page(), libc::MAP_SHARED, file);
        testkit::memory::touch(at, 4, 1);
        vec![at]
    };
    let targets = [Target::spawn(share), Target::spawn(share)];
    targets.iter().for_each(Target::stop);
    let pids = targets.each_ref().map(|target| target.pid().to_string());
    let root = TempDir::new().unwrap();
    let at = format!("{:x}", targets[0].addresses()[0]);
    let record = &succeed(&["physical", &pids[0], &at, "--format", "jsonl"]).lines()[0];
    let frame = format!("pfn:{}", record["pfn"]);
    let commands = [vec!["owner", &frame[..]]];
    compare(root.path(), &[&pids[0], &pids[1]], &commands, &FORMATS);
    let stored = [
        "owner",
        &frame,
        "--format",
        "jsonl",
        "--from",
        text(root.path()),
    ];
    let owners = run(&stored).lines();
    assert_eq!(owners.len(), 2, "{owners:?}");
}
