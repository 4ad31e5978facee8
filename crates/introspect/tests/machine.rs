//! `introspect machine`: the same memory in every grouping and format, and without privileges.

mod support;

use std::collections::BTreeMap;

use serde_json::Value;
use support::{as_nobody, fail, number, succeed};
use tempfile::TempDir;
use testkit::machine::is_root_or_skip;
use testkit::memory::{self, page};
use testkit::target::Target;

fn machine() -> Value {
    succeed(&["machine", "--format", "json"]).array().remove(0)
}

fn sum(records: &Value, field: &str) -> u64 {
    let records = records.as_array().unwrap().iter();
    records.map(|record| number(record, field)).sum()
}

#[test]
fn every_frame_has_one_use_and_one_payer() {
    if !is_root_or_skip("every_frame_has_one_use_and_one_payer") {
        return;
    }
    let machine = machine();
    let counted = number(&machine, "counted");
    assert_eq!(counted, number(&machine, "present"));
    assert_eq!(sum(&machine["uses"], "bytes"), counted);
    assert_eq!(sum(&machine["nodes"], "present"), counted);
    assert_eq!(sum(&machine["zones"], "present"), counted);
    if !machine["payers"].is_null() {
        assert_eq!(sum(&machine["payers"], "bytes"), counted);
    }
    let uses = machine["uses"].as_array().unwrap().iter();
    let of_kernel = uses.filter(|one| one["use"] == "kernel" || one["use"] == "unflagged");
    let of_kernel: u64 = of_kernel.map(|one| number(one, "bytes")).sum();
    let explained = sum(&machine["unflagged"], "bytes");
    let unexplained = machine["unexplained"].as_f64().unwrap();
    assert_eq!(of_kernel as f64, explained as f64 + unexplained);
}

#[test]
fn every_grouping_has_all_frames() {
    if !is_root_or_skip("every_grouping_has_all_frames") {
        return;
    }
    let present = number(&machine(), "present");
    for by in ["use", "cgroup", "unit", "container", "node", "zone"] {
        let run = support::run(&["machine", "--by", by, "--format", "json"]);
        if run.stderr.contains("no memory cgroups") {
            continue;
        }
        let groups = run.array();
        let bytes: u64 = groups.iter().map(|group| number(group, "bytes")).sum();
        assert_eq!(bytes, present, "{by}");
        if by == "use" {
            continue;
        }
        let parts = [
            "anonymous",
            "shmem",
            "page_cache",
            "hugetlb",
            "page_table",
            "kernel",
            "free",
        ];
        for group in &groups {
            let bytes: u64 = parts.iter().map(|part| number(group, part)).sum();
            assert_eq!(bytes, number(group, "bytes"), "{group}");
        }
    }
}

#[test]
fn csv_has_the_numbers_of_json() {
    if !is_root_or_skip("csv_has_the_numbers_of_json") {
        return;
    }
    let text = succeed(&["machine", "--format", "csv"]).stdout;
    let mut groups = BTreeMap::<&str, u64>::new();
    for line in text.lines().skip(1) {
        let cells: Vec<_> = line.split(',').collect();
        // The group is the first, bytes are the last but one.
        let bytes = cells[cells.len() - 2].parse().unwrap_or(0);
        *groups.entry(cells[0]).or_default() += bytes;
    }
    let present = groups["present"];
    for group in ["counted", "use", "node_present", "zone_present"] {
        assert_eq!(groups[group], present, "{group}: {text}");
    }
    assert!(groups.contains_key("unexplained") && groups.contains_key("free"));
}

#[test]
fn a_screen_of_80_columns_has_every_part() {
    if !is_root_or_skip("a_screen_of_80_columns_has_every_part") {
        return;
    }
    let text = succeed(&["machine"]).stdout;
    for part in [
        "MEMORY ",
        "USE ",
        "KERNEL AND UNFLAGGED ",
        "node 0: ",
        "FREE ",
        "ALIGNED BLOCKS",
    ] {
        assert!(
            text.contains(&format!("\n{part}")) || text.contains(part),
            "{part}: {text}"
        );
    }
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

#[test]
fn without_the_right_to_read_frames_nothing_is_counted() {
    if !is_root_or_skip("without_the_right_to_read_frames_nothing_is_counted") {
        return;
    }
    let run = as_nobody(&["machine"]);
    assert_eq!((run.status, run.stdout.as_str()), (1, ""));
    assert!(run.stderr.contains("root"), "{}", run.stderr);
}

/// The frames of a snapshot are those of its time: they are compared with each other, in all
/// groupings, and with the snapshot's own numbers.
#[test]
fn a_snapshot_has_the_machine_of_its_time() {
    if !is_root_or_skip("a_snapshot_has_the_machine_of_its_time") {
        return;
    }
    let root = TempDir::new().unwrap();
    let root = root.path().to_str().unwrap();
    succeed(&["snapshot", "--frames", "-o", root]);
    let listed = succeed(&["snapshots", root, "--format", "json"]).array();
    let runs = number(&listed[0], "frames");
    let whole = succeed(&["machine", "--from", root, "--format", "json"]).array();
    let whole = &whole[0];
    let present = number(whole, "present");
    assert_eq!(number(whole, "counted"), present);
    for field in ["uses", "zones"] {
        let name = if field == "uses" { "bytes" } else { "present" };
        assert_eq!(sum(&whole[field], name), present, "{field}");
    }
    // Less than two bytes a frame: runs, not frames, are stored.
    assert!(runs < present / 4096, "{runs}");
    for by in ["zone", "node"] {
        let groups = succeed(&["machine", "--from", root, "--by", by, "--format", "json"]).array();
        let bytes: u64 = groups.iter().map(|group| number(group, "bytes")).sum();
        assert_eq!(bytes, present, "{by}");
    }
    // Counters came back, too.
    let uses = whole["uses"].as_array().unwrap();
    let free = uses.iter().find(|one| one["use"] == "free").unwrap();
    assert_eq!(free["counter"], "nr_free_pages");
    assert!(free["counter_bytes"].is_u64(), "{free}");
    assert!(sum(&whole["free"], "blocks") > 0);
    let metrics = [
        "machine",
        "--from",
        root,
        "--contiguity",
        "--format",
        "json",
    ];
    let metrics = succeed(&metrics).array();
    let of_zones = metrics.iter().filter(|one| one["zone"].is_string());
    assert!(of_zones.count() > 0);
    // A frame of free memory of the snapshot.
    let first = succeed(&["frame", "--from", root, "pfn:1", "--format", "json"]).array();
    assert_eq!(first[0]["pfn"], 1);
    // A snapshot does not differ from itself, but does from a later one.
    let same = ["diff", root, root, "--frames", "--format", "json"];
    assert!(succeed(&same).array().is_empty());
    let without = TempDir::new().unwrap();
    let without = without.path().to_str().unwrap();
    succeed(&["snapshot", "self", "-o", without]);
    let error = fail(&["machine", "--from", without]);
    assert!(
        error.contains("no frames") && error.contains("--frames"),
        "{error}"
    );
}

/// A process that fills 32 MiB between two snapshots.
#[test]
fn frames_whose_use_changed_are_those_of_a_process_that_grew() {
    if !is_root_or_skip("frames_whose_use_changed_are_those_of_a_process_that_grew") {
        return;
    }
    const SIZE: u64 = 32 << 20;
    let root = TempDir::new().unwrap();
    let root = root.path().to_str().unwrap();
    let first = succeed(&["snapshot", "--frames", "-o", root]).stdout;
    let target = Target::spawn(|| {
        let at = memory::anonymous(SIZE);
        memory::touch(at, SIZE / page(), 1);
        vec![at]
    });
    target.stop();
    succeed(&["snapshot", "--frames", "-o", root]);
    let before = format!("{root}@{}", first.trim());
    let changes = succeed(&["diff", &before, root, "--frames", "--format", "json"]).array();
    let grown = changes.iter().filter(|one| one["use_after"] == "anonymous");
    let grown: u64 = grown.map(|one| number(one, "bytes")).sum();
    // Frames that were anonymous before, of other processes, can be reused.
    assert!(grown >= SIZE / 2, "{grown}: {changes:?}");
    let status = support::run(&["diff", &before, root, "--frames", "--exit-code"]).status;
    assert_eq!(status, 1);
}

#[test]
fn an_order_is_for_lists() {
    let run = support::run(&["machine", "--top", "3"]);
    assert_eq!(run.status, 2, "{run:?}");
    assert!(run.stderr.contains("--by"), "{run:?}");
}
