//! `--sort` and `--top`: order and length of lists that are complete before they are written.

mod support;

use serde_json::Value;
use support::{number, run, succeed, target, Waiting};
use tempfile::TempDir;
use testkit::machine::is_root_or_skip;

fn list(arguments: &[&str]) -> Vec<Value> {
    succeed(&[arguments, &["--format", "json"]].concat()).array()
}

#[test]
fn summaries_are_sorted_and_the_sum_is_that_of_all() {
    if !is_root_or_skip("sorted summaries") {
        return;
    }
    let (waiting, target) = ([0; 2].map(|_| Waiting::named("cat")), target());
    target.stop();
    let mut pids = vec![target.pid()];
    pids.extend(waiting.iter().map(Waiting::pid));
    let texts: Vec<_> = pids.iter().map(u32::to_string).collect();
    let summary = |more: &[&str]| {
        let mut arguments = vec!["summary"];
        arguments.extend(texts.iter().map(String::as_str));
        list(&[&arguments[..], more].concat())
    };
    let by = |column: &str, top: &str| {
        let records = summary(&["--sort", column, "--top", top]);
        records
            .into_iter()
            .map(|it| number(&it, "pid") as u32)
            .collect::<Vec<_>>()
    };
    pids.sort_unstable_by(|a, b| b.cmp(a));
    assert_eq!(by("pid", "9"), pids);
    assert_eq!(by("pid", "2"), pids[..2]);
    let virt: Vec<_> = summary(&["--sort", "total.virtual"])
        .iter()
        .map(|record| number(&record["total"], "virtual"))
        .collect();
    assert!(
        virt.is_sorted_by(|a, b| a >= b) && virt[0] > virt[2],
        "{virt:?}"
    );
    // The usual order without a column.
    assert_eq!(
        number(&summary(&["--top", "1"])[0], "pid"),
        number(&summary(&[])[0], "pid")
    );
    let mut table = vec!["summary"];
    table.extend(texts.iter().map(String::as_str));
    table.extend(["--top", "1"]);
    let table = succeed(&table).stdout;
    let rows: Vec<_> = table.lines().collect();
    // Shared memory follows the sum, where addresses are known.
    assert!((3..=4).contains(&rows.len()), "{table}");
    assert!(rows[2].trim_start().starts_with("total"), "{table}");
    assert!(rows[2].ends_with("3 processes"), "{table}");
}

#[test]
fn mappings_of_several_processes_are_sorted_together() {
    let waiting = [0; 2].map(|_| Waiting::named("cat"));
    let [one, two] = waiting.each_ref().map(|waiting| waiting.pid().to_string());
    let by_mapping = |more: &[&str]| {
        let arguments = [
            &["summary", &one, &two, "--by-mapping", "--format", "json"],
            more,
        ];
        run(&arguments.concat()).array()
    };
    let all = by_mapping(&[]);
    let mut starts: Vec<_> = all.iter().map(|it| number(it, "vaddr")).collect();
    starts.sort_unstable();
    let sorted = by_mapping(&["--sort", "vaddr"]);
    let found: Vec<_> = sorted.iter().map(|it| number(it, "vaddr")).collect();
    assert_eq!(found, starts);
    let largest = by_mapping(&["--sort", "virtual", "--top", "3"]);
    let mut sizes: Vec<_> = all.iter().map(|it| number(it, "virtual")).collect();
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    let found: Vec<_> = largest.iter().map(|it| number(it, "virtual")).collect();
    assert_eq!(found, sizes[..3]);
    let of_one = run(&[
        "summary",
        &one,
        "--by-mapping",
        "--sort",
        "path",
        "--format",
        "json",
    ]);
    let paths: Vec<_> = of_one
        .array()
        .iter()
        .filter_map(|it| it["path"].as_str().map(str::to_owned))
        .collect();
    assert!(paths.is_sorted() && paths.len() > 4, "{paths:?}");
}

#[test]
fn snapshots_are_sorted() {
    if !is_root_or_skip("sorted snapshots") {
        return;
    }
    let (root, waiting) = (TempDir::new().unwrap(), Waiting::named("cat"));
    let (root, pid) = (root.path().to_str().unwrap(), waiting.pid().to_string());
    for _ in 0..3 {
        let taken = run(&["snapshot", &pid, "-o", root]);
        assert_eq!(taken.status, 0, "{}", taken.stderr);
    }
    let ids = |more: &[&str]| {
        let records = list(&[&["snapshots", root], more].concat());
        records
            .into_iter()
            .map(|it| it["snapshot_id"].clone())
            .collect::<Vec<_>>()
    };
    let oldest_first = ids(&[]);
    let mut newest_first = oldest_first.clone();
    newest_first.reverse();
    assert_eq!(oldest_first.len(), 3);
    assert_eq!(ids(&["--sort", "taken_at"]), newest_first);
    assert_eq!(
        ids(&["--sort", "taken_at", "--top", "1"]),
        newest_first[..1]
    );
    assert_eq!(ids(&["--top", "2"]), oldest_first[..2]);
}

#[test]
fn wrong_columns_and_streamed_lists_are_wrong_usage() {
    for wrong in [
        vec!["summary", "--all", "--sort", "pss"],
        vec!["summary", "1", "2", "--sort", "kinds"],
        vec!["summary", "1", "--by-mapping", "--sort", "total.pss"],
        vec!["summary", "1", "--top", "1"],
        vec!["summary", "--all", "--top", "0"],
        vec!["snapshots", "lake", "--sort", "pid"],
        vec!["physical", "1", "--sort", "size"],
    ] {
        let run = run(&wrong);
        assert_eq!((run.status, &*run.stdout), (2, ""), "{wrong:?} {run:?}");
    }
    let columns = run(&["summary", "--all", "--sort", "pss"]).stderr;
    assert!(columns.contains("there is no column \"pss\""), "{columns}");
    assert!(columns.contains(" total.pss, "), "{columns}");
}
