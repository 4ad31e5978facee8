//! `introspect summary --contiguity`: the published metrics of processes, live and stored, in
//! every format, and what is unknown without privileges.

mod support;

use std::collections::BTreeMap;

use serde_json::Value;
use support::{as_nobody, finish, introspect, run, schema, succeed, Waiting, NOBODY};
use tempfile::TempDir;
use testkit::machine::is_root_or_skip;
use testkit::target::Target;
use testkit::varied::Varied;

/// A stopped target with memory of every kind, and its PID as text.
fn stopped() -> (Target, String) {
    let (target, _) = Varied::spawn();
    target.stop();
    let pid = target.pid().to_string();
    (target, pid)
}

/// Returns values by metric, kind and order; null where they are unknown.
fn values(records: &[Value]) -> BTreeMap<(String, String, Option<u64>), Option<String>> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let value = |record: &Value| {
        let key = (
            text(&record["name"]),
            text(&record["kind"]),
            record["page_order"].as_u64(),
        );
        let value = &record["value"];
        (key, (!value.is_null()).then(|| value.to_string()))
    };
    let values: BTreeMap<_, _> = records.iter().map(value).collect();
    assert_eq!(values.len(), records.len(), "a value has one record");
    values
}

fn of(values: &BTreeMap<(String, String, Option<u64>), Option<String>>, name: &str) -> f64 {
    let key = (name.to_owned(), String::new(), None);
    values[&key].as_ref().unwrap().parse().unwrap()
}

#[test]
fn every_format_has_the_same_metrics() {
    if !is_root_or_skip("every_format_has_the_same_metrics") {
        return;
    }
    let (_target, pid) = stopped();
    let in_format = |format: &str| {
        let arguments = ["summary", &pid, "--contiguity", "--format", format];
        succeed(&arguments)
    };
    for _ in 0..20 {
        let json = in_format("json").array();
        let (csv, lines) = (in_format("csv").stdout, in_format("jsonl").lines());
        let table = in_format("table").stdout;
        if json != in_format("json").array() {
            continue;
        }
        assert_eq!(json, lines);
        if let Err(error) = schema("metrics").validate(&Value::from(json.clone())) {
            panic!("{error}");
        }
        let mut reader = csv::Reader::from_reader(csv.as_bytes());
        let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
        assert_eq!(rows.len(), json.len());
        for (row, record) in rows.iter().zip(&json) {
            let of_json = match &record["value"] {
                Value::Null => String::new(),
                value => value.to_string(),
            };
            assert_eq!(row[0], *record["name"].as_str().unwrap());
            assert_eq!(row[7], of_json);
        }
        assert_eq!(table.lines().count(), json.len() + 1);
        assert!(table.lines().all(|line| line.len() <= 80), "{table}");
        let values = values(&json);
        let present = of(&values, "present_bytes");
        assert!(of(&values, "rmm_ranges_count") >= of(&values, "virtual_runs_count"));
        assert!(present > 0.0 && of(&values, "rmm_coverage_256_largest_ratio") <= 1.0);
        return;
    }
    panic!("the pages of {pid} never come to rest");
}

/// A snapshot has all metrics but those of folios.
#[test]
fn metrics_of_a_snapshot_are_those_of_the_stopped_process() {
    if !is_root_or_skip("metrics_of_a_snapshot_are_those_of_the_stopped_process") {
        return;
    }
    let (_target, pid) = stopped();
    let root = TempDir::new().unwrap();
    let path = root.path().to_str().unwrap();
    let live = || values(&run(&["summary", &pid, "--contiguity", "--format", "json"]).array());
    for _ in 0..20 {
        let before = live();
        succeed_or_warn(&["snapshot", "-o", path, &pid]);
        let from = [
            "summary",
            &pid,
            "--contiguity",
            "--from",
            path,
            "--format",
            "json",
        ];
        let stored = run(&from);
        if live() != before {
            continue;
        }
        assert_eq!(stored.status, 0, "{}", stored.stderr);
        assert!(
            stored.stderr.contains("a snapshot does not have"),
            "{}",
            stored.stderr
        );
        let stored = values(&stored.array());
        let is_of_folios = |name: &str| name.starts_with("thp_") || name.starts_with("cont_");
        for ((name, kind, order), value) in &stored {
            match is_of_folios(name) {
                true => assert_eq!(*value, None, "{name}"),
                false => {
                    let key = (name.clone(), kind.clone(), *order);
                    assert_eq!(Some(value), before.get(&key), "{name} {kind} {order:?}");
                }
            }
        }
        let others = |all: &BTreeMap<(String, _, _), _>| {
            all.keys().filter(|(name, ..)| !is_of_folios(name)).count()
        };
        assert_eq!(others(&stored), others(&before));
        return;
    }
    panic!("the pages of {pid} never come to rest");
}

fn succeed_or_warn(arguments: &[&str]) {
    let run = run(arguments);
    assert_eq!(run.status, 0, "{}", run.stderr);
}

#[test]
fn without_privileges_what_needs_addresses_is_null_and_said() {
    if !is_root_or_skip("without_privileges_what_needs_addresses_is_null_and_said") {
        return;
    }
    let waiting = Waiting::of(NOBODY);
    let pid = waiting.pid().to_string();
    let run = as_nobody(&["summary", &pid, "--contiguity", "--format", "json"]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert!(
        run.stderr.contains("addresses need CAP_SYS_ADMIN"),
        "{}",
        run.stderr
    );
    let known = [
        "present_bytes",
        "virtual_runs_count",
        "huge_page_coverage_ratio",
    ];
    for ((name, kind, _), value) in values(&run.array()) {
        assert_eq!(value.is_some(), known.contains(&&*name), "{name} {kind}");
    }
}

#[test]
fn several_processes_have_their_metrics_one_behind_the_other() {
    if !is_root_or_skip("several_processes_have_their_metrics_one_behind_the_other") {
        return;
    }
    let (one, other) = (Waiting::of(0), Waiting::of(0));
    let pids = [one.pid(), other.pid()];
    let texts = pids.map(|pid| pid.to_string());
    let arguments = ["summary", &texts[0], &texts[1], "--contiguity", "--format"];
    let records = succeed(&[&arguments[..], &["json"]].concat()).array();
    let mut of_records: Vec<_> = records
        .iter()
        .map(|record| record["pid"].as_u64())
        .collect();
    of_records.dedup();
    assert_eq!(of_records, pids.map(|pid| Some(pid.into())));
    if let Err(error) = schema("metrics").validate(&Value::from(records)) {
        panic!("{error}");
    }
    // A kernel thread has none.
    let all = run(&["summary", "--all", "--contiguity", "--format", "json"]);
    let all = all.array();
    assert!(all.iter().all(|record| record["pid"] != 2));
    assert!(all.iter().any(|record| record["pid"] == pids[1]));
}

#[test]
fn a_selection_has_the_metrics_of_its_mappings() {
    if !is_root_or_skip("a_selection_has_the_metrics_of_its_mappings") {
        return;
    }
    let (_target, pid) = stopped();
    let arguments = ["summary", &pid, "--contiguity", "--format", "json"];
    let stack = succeed(&[&arguments[..], &["--mapping", "[stack]"]].concat()).array();
    let values = values(&stack);
    let kinds: Vec<_> = values.keys().map(|(_, kind, _)| &**kind).collect();
    assert!(
        kinds.contains(&"stack") && !kinds.contains(&"elf"),
        "{kinds:?}"
    );
}

#[test]
fn options_without_effect_are_refused() {
    for (more, message) in [
        ("--by-mapping", "cannot be used with"),
        ("--vm-flags", "cannot be used with"),
        ("--top=3", "--sort and --top are not for --contiguity"),
    ] {
        let mut command = introspect();
        command.args(["summary", "self", "--contiguity", more]);
        let run = finish(command);
        assert_eq!(run.status, 2, "{}", run.stderr);
        assert!(run.stderr.contains(message), "{}", run.stderr);
    }
}
