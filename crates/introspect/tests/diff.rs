//! `introspect diff`: changes of a process's memory, live and between snapshots, in every
//! format.

mod support;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{fail, introspect, number, run, schema, succeed};
use tempfile::TempDir;
use testkit::machine::is_root_or_skip;
use testkit::memory::{self, page};
use testkit::oracle::Pagemap;
use testkit::target::Target;

/// Bytes of pages that the target touches and discards in its first mapping, and unmaps in
/// its second.
const GROWN: u64 = 17;
const FREED: u64 = 4;
const GONE: u64 = 16;

/// Returns a target with two mappings, which it changes when it is released.
fn target() -> Target {
    let make = || {
        let at = memory::anonymous(64 * page());
        memory::touch(at, 32, 1);
        let shared = memory::map(GONE * page(), libc::MAP_SHARED | libc::MAP_ANONYMOUS, -1);
        memory::touch(shared, GONE, 1);
        vec![at, shared]
    };
    Target::spawn_reporting(|report| {
        let places = make();
        report.send(&places);
        report.wait();
        let (at, shared) = (places[0], places[1]);
        memory::touch(at + 32 * page(), GROWN - 1, 1);
        memory::advise(at, FREED * page(), libc::MADV_DONTNEED);
        memory::unmap(shared, GONE * page());
        // The last change.
        memory::touch(at + 63 * page(), 1, 1);
        loop {
            // SAFETY: takes no memory.
            unsafe { libc::pause() };
        }
    })
}

/// Releases the target and waits until it has changed its memory.
fn change(target: &mut Target) {
    target.release();
    let last = target.addresses()[0] + 63 * page();
    let pagemap = Pagemap::open(target.pid());
    let until = Instant::now() + Duration::from_secs(60);
    while pagemap.entry(last) >> 63 == 0 {
        assert!(Instant::now() < until, "the target changes nothing");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Takes a snapshot and returns its name.
fn snapshot(root: &Path, pids: &[&str]) -> String {
    let root = root.to_str().unwrap();
    let taken = succeed(&[&["snapshot", "-o", root], pids].concat());
    format!("{root}@{}", taken.stdout.trim_end())
}

/// Returns the record of the mapping at an address.
fn of_mapping(records: &[Value], at: u64) -> &Value {
    let vaddr = format!("{at:#x}");
    let mut found = records.iter().filter(|record| record["vaddr"] == *vaddr);
    found
        .next()
        .unwrap_or_else(|| panic!("{vaddr} in {records:?}"))
}

#[test]
fn two_snapshots_differ_by_what_the_process_did() {
    if !is_root_or_skip("diff of snapshots") {
        return;
    }
    let root = TempDir::new().unwrap();
    let (mut target, ends) = (target(), Target::spawn(|| vec![0]));
    let (pid, ends_pid) = (target.pid().to_string(), ends.pid().to_string());
    let first = snapshot(root.path(), &[&pid, &ends_pid]);
    change(&mut target);
    drop(ends);
    let starts = Target::spawn(|| vec![0]);
    let starts_pid = starts.pid().to_string();
    let second = snapshot(root.path(), &[&pid, &starts_pid]);

    let records = succeed(&["diff", &first, &second, "--format", "json"]).array();
    schema("diff")
        .validate(&Value::Array(records.clone()))
        .unwrap();
    let [at, shared] = target.addresses() else {
        panic!("two addresses")
    };
    let changed = of_mapping(&records, *at);
    assert_eq!(changed["change"], "changed");
    assert_eq!(number(changed, "grown"), GROWN * page());
    assert_eq!(number(changed, "freed"), FREED * page());
    assert_eq!(number(changed, "changed"), (GROWN + FREED) * page());
    let gone = of_mapping(&records, *shared);
    assert_eq!(
        (&gone["change"], &gone["shared"]),
        (&"gone".into(), &true.into())
    );
    assert_eq!(number(gone, "unmapped"), GONE * page());
    assert_eq!(number(gone, "freed"), GONE * page());

    // Each process is followed by its mappings; the largest changes come first, in each.
    let of = |record: &str| {
        let all = records.iter().filter(|it| it["record"] == record);
        all.cloned().collect::<Vec<_>>()
    };
    let processes = of("process");
    let words = |word: &str| processes.iter().find(|it| it["change"] == word).unwrap();
    assert_eq!(words("ended")["pid"].to_string(), ends_pid);
    assert_eq!(words("started")["pid"].to_string(), starts_pid);
    assert_eq!(words("changed")["pid"].to_string(), pid);
    assert_eq!(processes.len(), 3);
    let sizes = |all: &[Value]| {
        all.iter()
            .map(|it| number(it, "changed"))
            .collect::<Vec<_>>()
    };
    assert!(
        sizes(&processes).is_sorted_by(|a, b| a >= b),
        "{processes:?}"
    );
    let mappings = of("mapping");
    assert!(sizes(&mappings).is_sorted_by(|a, b| a >= b), "{mappings:?}");
    assert!(mappings.iter().all(|it| it["pid"] == target.pid()));
    let total = records.last().unwrap();
    assert_eq!(total["record"], "total");
    for field in [
        "changed",
        "grown",
        "freed",
        "mapped",
        "unmapped",
        "memory_after",
    ] {
        let sum: u64 = processes.iter().map(|it| number(it, field)).sum();
        assert_eq!(number(total, field), sum, "{field}");
    }
    let counts = ["started", "ended", "changed", "same", "unread"];
    let counts = counts.map(|what| number(total, &format!("processes_{what}")));
    assert_eq!(counts, [1, 1, 1, 0, 0]);

    // Other formats have the same records.
    let table = succeed(&["diff", &first, &second]).stdout;
    assert!(table.contains(&format!("{at:x} changed")), "{table}");
    assert!(
        table.contains("processes: 1 started, 1 ended, 1 changed"),
        "{table}"
    );
    let csv = succeed(&["diff", &first, &second, "--format", "csv"]).stdout;
    assert_eq!(csv.lines().count(), records.len() + 1);
    let lines = succeed(&["diff", &first, &second, "--format", "jsonl"]).lines();
    assert_eq!(lines, records);

    // A process alone.
    let alone = succeed(&["diff", &first, &second, "--pid", &pid, "--format", "json"]);
    assert_eq!(alone.array()[..records.len() - 3], {
        let own = records.iter().filter(|it| it["pid"] == target.pid());
        own.cloned().collect::<Vec<_>>()
    });
    let unknown = fail(&["diff", &first, &second, "--pid", "no-such-name"]);
    assert!(unknown.contains("in neither snapshot"), "{unknown:?}");
}

#[test]
fn the_exit_code_is_that_of_a_comparison() {
    if !is_root_or_skip("exit codes of diff") {
        return;
    }
    let root = TempDir::new().unwrap();
    let mut target = target();
    let pid = target.pid().to_string();
    let first = snapshot(root.path(), &[&pid]);
    let same = snapshot(root.path(), &[&pid]);
    change(&mut target);
    let other = snapshot(root.path(), &[&pid]);
    let status = |a: &str, b: &str| run(&["diff", a, b, "--exit-code"]).status;
    assert_eq!(status(&first, &same), 0);
    assert_eq!(status(&same, &other), 1);
    assert_eq!(status(&first, "/no/such/lake"), 2);
    // Without it a difference is no failure.
    succeed(&["diff", &first, &other]);
    assert_eq!(run(&["diff", &first, "/no/such/lake"]).status, 1);
}

/// Ends the command if a test fails.
struct Live(Child);

impl Drop for Live {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_running_process_is_compared_until_it_ends() {
    if !is_root_or_skip("diff of a running process") {
        return;
    }
    let mut target = target();
    let pid = target.pid().to_string();
    let mut command = introspect();
    command.args(["diff", &pid, "--every", "100ms", "--format", "jsonl"]);
    let mut live = Live(command.stdout(Stdio::piped()).spawn().unwrap());
    let lines = BufReader::new(live.0.stdout.take().unwrap()).lines();
    let mut lines = lines.map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let next_total = |records: &mut Vec<Value>, lines: &mut dyn Iterator<Item = Value>| {
        for record in lines {
            let is_total = record["record"] == "total";
            records.push(record);
            if is_total {
                return true;
            }
        }
        false
    };
    let mut records = Vec::new();
    assert!(next_total(&mut records, &mut lines));
    assert_eq!((records.len(), &records[0]["change"]), (1, &"same".into()));
    change(&mut target);
    for _ in 0..3 {
        assert!(next_total(&mut records, &mut lines));
    }
    schema("diff")
        .validate(&Value::Array(records.clone()))
        .unwrap();
    let at = format!("{:#x}", target.addresses()[0]);
    let sum = |field: &str| {
        let of_mapping = records.iter().filter(|record| record["vaddr"] == *at);
        of_mapping.map(|record| number(record, field)).sum::<u64>()
    };
    assert_eq!(
        (sum("grown"), sum("freed")),
        (GROWN * page(), FREED * page())
    );
    drop(target);
    while next_total(&mut records, &mut lines) {}
    let ended = &records[records.len() - 2];
    assert_eq!(
        (&ended["record"], &ended["change"]),
        (&"process".into(), &"ended".into())
    );
    assert!(number(ended, "freed") > 0);
    assert!(live.0.wait().unwrap().success());
}
