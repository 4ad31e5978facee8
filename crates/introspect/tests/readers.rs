//! Other readers of lakes: pandas with pyarrow, polars and DuckDB compute from a snapshot
//! what the command prints for the process. `cargo xtask readers` installs them.

mod support;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{json, Value};
use support::{number, succeed, Waiting};
use tempfile::TempDir;
use testkit::machine::is_root_or_skip;
use testkit::memory::{self, page};
use testkit::target::Target;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/readers.py");
const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/DATASETS.md");
/// All addresses of a process.
const EVERYTHING: &str = "0-7ffffffff000";
/// Smallest extents that are asked for.
const HUGE: u64 = 2 << 20;

/// Python with the engines, which `INTROSPECT_PYTHON` names.
fn python() -> Option<String> {
    let python = env::var("INTROSPECT_PYTHON").ok();
    if python.is_none() {
        eprintln!(
            "SKIPPED other readers of lakes: needs INTROSPECT_PYTHON, see cargo xtask readers"
        );
    }
    python
}

/// Starts a process with memory of several kinds: single pages, huge pages as far as there
/// are free ones, the zero page, and a file that is mapped twice. Returns its addresses.
fn target() -> Target {
    Target::spawn(|| {
        let small = memory::anonymous(64 * page());
        memory::advise(small, 64 * page(), libc::MADV_NOHUGEPAGE);
        memory::touch(small, 40, 1);
        let huge = memory::aligned(4 * HUGE, HUGE);
        memory::advise(huge, 4 * HUGE, libc::MADV_HUGEPAGE);
        memory::touch(huge, 4 * HUGE / page(), 1);
        memory::advise(small, 64 * page(), libc::MADV_NOHUGEPAGE);
        memory::read(small + 48 * page(), 4);
        let file = memory::memfd(16 * page());
        let [once, twice] = [0; 2].map(|_| memory::map(16 * page(), libc::MAP_SHARED, file));
        memory::touch(once, 16, 1);
        memory::read(twice, 16);
        vec![small, huge, once, twice]
    })
}

/// Runs the script, which must succeed.
fn answers(python: &str, root: &str, pid: u32, pfn: u64) -> Value {
    let [pid, pfn] = [u64::from(pid), pfn].map(|number| number.to_string());
    let output = Command::new(python)
        .args([SCRIPT, root, &pid, &pfn, DOCUMENT])
        .output()
        .expect("Python starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Resident memory by kind, as `summary` reports it.
fn resident(pid: &str) -> Value {
    let summary = succeed(&["summary", pid, "--format", "json"]).array();
    let kinds = summary[0]["kinds"].as_array().unwrap();
    let resident = kinds.iter().map(|kind| {
        let name = kind["kind"].as_str().unwrap().to_owned();
        (name, number(kind, "resident"))
    });
    let resident: BTreeMap<_, _> = resident.filter(|(_, size)| *size > 0).collect();
    json!(resident)
}

/// Large extents, as `extents` reports them: address, size, physical address.
fn extents(pid: &str) -> Value {
    let run = support::run(&["extents", pid, EVERYTHING, "--format", "json"]);
    // Much of it is not in memory.
    assert_eq!(run.status, 1, "{}", run.stderr);
    let records = run.array();
    let of_memory = records.iter().filter(|record| record["state"] == "ram");
    let numbers =
        of_memory.map(|record| ["vaddr", "size", "paddr"].map(|name| number(record, name)));
    let large: Vec<_> = numbers.filter(|[_, size, _]| *size >= HUGE).collect();
    json!(large)
}

/// Mappings of a frame, as `owner` reports them: PID and address.
fn owners(paddr: u64) -> Value {
    // Other processes can be in the way of a complete search.
    let run = support::run(&["owner", &format!("{paddr:x}"), "--format", "json"]);
    let records = run.array();
    let mapped = records.iter().filter(|record| record["record"] == "mapped");
    let mut owners: Vec<_> = mapped
        .map(|record| ["pid", "vaddr"].map(|name| number(record, name)))
        .collect();
    owners.sort_unstable();
    json!(owners)
}

/// Returns all files below a folder.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let children = fs::read_dir(folder)
        .unwrap()
        .map(|child| child.unwrap().path());
    let files = children.flat_map(|path| match path.is_dir() {
        true => files_below(&path),
        false => vec![path],
    });
    files.collect()
}

#[test]
fn engines_compute_what_the_command_prints() {
    if !is_root_or_skip("engines_compute_what_the_command_prints") {
        return;
    }
    let Some(python) = python() else { return };
    let (target, waiting) = (target(), Waiting::named("cat"));
    target.stop();
    let pid = target.pid().to_string();
    let other = waiting.pid().to_string();
    let [_, _, once, twice] = *target.addresses() else {
        panic!("four addresses")
    };
    let frame = succeed(&["physical", &pid, &format!("{once:x}"), "--format", "json"]).array();
    let (paddr, pfn) = (number(&frame[0], "paddr"), number(&frame[0], "pfn"));
    let root = TempDir::new().unwrap();
    let lake = root.path().join("lake");
    let lake = lake.to_str().unwrap();
    let run = support::run(&["snapshot", &pid, &other, "--frames", "-o", lake]);
    assert_eq!(run.status, 0, "{run:?}");

    let answers = answers(&python, lake, target.pid(), pfn);
    let (resident, extents, owners) = (resident(&pid), extents(&pid), owners(paddr));
    let mut expected = vec![
        [u64::from(target.pid()), once],
        [u64::from(target.pid()), twice],
    ];
    expected.sort_unstable();
    assert_eq!(owners, json!(expected));
    let count = |table: &str| answers["pandas"]["rows"][table].as_u64().unwrap();
    assert_eq!((count("snapshots"), count("processes")), (1, 2));
    assert!(count("regions") > count("mappings") && count("mappings") > 10);
    for engine in ["pandas", "polars", "duckdb", "compacted"] {
        let answers = &answers[engine];
        assert_eq!(answers["resident"], resident, "{engine}");
        assert_eq!(answers["extents"], extents, "{engine}");
        assert_eq!(answers["owners"], owners, "{engine}");
        assert_eq!(answers["rows"]["regions"], count("regions"), "{engine}");
        assert_eq!(answers["rows"]["mappings"], count("mappings"), "{engine}");
    }
    let machine = ["machine", "--from", lake, "--format", "json"];
    let machine = succeed(&machine).array().remove(0);
    let uses = machine["uses"].as_array().unwrap().iter();
    let uses: serde_json::Map<_, _> = uses
        .filter(|one| one["bytes"] != 0)
        .map(|one| {
            (
                one["use"].as_str().unwrap().to_owned(),
                one["bytes"].clone(),
            )
        })
        .collect();
    assert_eq!(answers["machine"]["uses"], Value::Object(uses));
    assert_eq!(
        answers["machine"]["mem_total"].as_f64(),
        machine["mem_total"].as_f64()
    );
    // Three programs, before and after compaction, with one answer.
    let document = answers["document"].as_array().unwrap();
    assert_eq!(document.len(), 6);
    assert!(
        document.iter().all(|answer| answer == &document[0]),
        "{document:?}"
    );
    if extents != json!([]) {
        assert!(document[0]
            .as_object()
            .is_some_and(|pages| !pages.is_empty()));
    }
}

/// Files that are being written, and what a killed writer leaves, are in nobody's way.
#[test]
fn engines_do_not_see_what_is_incomplete() {
    if !is_root_or_skip("engines_do_not_see_what_is_incomplete") {
        return;
    }
    let Some(python) = python() else { return };
    let waiting = Waiting::named("cat");
    let pid = waiting.pid().to_string();
    let root = TempDir::new().unwrap();
    let lake = root.path().to_str().unwrap();
    for _ in 0..2 {
        let run = support::run(&["snapshot", &pid, "-o", lake]);
        assert_eq!(run.status, 0, "{run:?}");
    }
    let before = answers(&python, lake, waiting.pid(), 1);
    let rows = |answers: &Value| answers["duckdb"]["rows"]["snapshots"].as_u64();
    assert_eq!(rows(&before), Some(2));
    // One loses its row, as if the writer had not come to it; others begin.
    let files = |table: &str| files_below(&root.path().join(table));
    let row = files("snapshots").pop().unwrap();
    fs::remove_file(&row).unwrap();
    for table in ["snapshots", "regions"] {
        let begun = files(table).pop().unwrap();
        let id = begun.file_stem().unwrap().to_str().unwrap();
        fs::write(begun.with_file_name(format!("_{id}.partial")), "PAR1").unwrap();
    }
    let after = answers(&python, lake, waiting.pid(), 1);
    assert_eq!(rows(&after), Some(1));
    let resident = |answers: &Value| {
        ["pandas", "polars", "duckdb", "compacted"]
            .map(|engine| answers[engine]["resident"].clone())
    };
    let total = |resident: &Value| {
        let sizes = resident.as_object().unwrap().values();
        sizes.map(|size| size.as_u64().unwrap()).sum::<u64>()
    };
    for (before, after) in resident(&before).iter().zip(&resident(&after)) {
        assert_eq!(total(before), 2 * total(after));
        assert_ne!(total(after), 0);
    }
}
