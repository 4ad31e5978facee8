//! `introspect machine`: the same memory in every grouping and format, and without privileges.

mod support;

use std::collections::BTreeMap;

use serde_json::Value;
use support::{as_nobody, number, succeed};
use testkit::machine::is_root_or_skip;

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

#[test]
fn an_order_is_for_lists() {
    let run = support::run(&["machine", "--top", "3"]);
    assert_eq!(run.status, 2, "{run:?}");
    assert!(run.stderr.contains("--by"), "{run:?}");
}
