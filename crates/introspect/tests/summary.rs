//! `introspect summary` on targets, in every format, and its warnings without privileges.

mod support;

use serde_json::Value;
use std::os::unix::ffi::OsStrExt;

use support::{as_nobody, fail, finish, introspect, number, run, succeed, Waiting, NOBODY};
use testkit::machine::is_root_or_skip;
use testkit::memory::{self, page};
use testkit::target::Target;

fn target() -> Target {
    let target = Target::spawn(|| {
        memory::keep_page_sizes();
        let at = memory::anonymous(64 * page());
        memory::touch(at, 32, 2);
        vec![at]
    });
    target.stop();
    target
}

fn check_schema(name: &str, value: &Value) {
    let path = format!(
        "{}/../../docs/schemas/{name}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let schema = jsonschema::draft202012::new(&serde_json::from_str(&text).unwrap()).unwrap();
    if let Err(error) = schema.validate(value) {
        panic!("{name}: {error} in {value}");
    }
}

#[test]
fn mappings_add_up_to_the_process_in_every_format() {
    if !is_root_or_skip("mappings_add_up_to_the_process_in_every_format") {
        return;
    }
    let target = target();
    let pid = target.pid().to_string();
    let whole = succeed(&["summary", &pid, "--format", "json"]).array();
    check_schema("summary", &Value::from(whole.clone()));
    let whole = &whole[0];
    assert_eq!(number(whole, "pid"), u64::from(target.pid()));
    let by = ["summary", &pid, "--by-mapping", "--format"];
    let mappings = succeed(&[&by[..], &["json"]].concat()).array();
    check_schema("summary-mapping", &Value::from(mappings.clone()));
    assert_eq!(mappings.len() as u64, number(whole, "mappings"));
    // PSS and USS change with other processes, but not between two formats of one summary.
    for field in ["virtual", "resident", "swap", "zero", "hugetlb"] {
        let sum: u64 = mappings.iter().map(|mapping| number(mapping, field)).sum();
        assert_eq!(sum, number(&whole["total"], field), "{field}");
    }
    // Sorted, and the same in each format.
    let pss: Vec<_> = mappings
        .iter()
        .map(|mapping| number(mapping, "pss"))
        .collect();
    assert!(pss.is_sorted_by(|one, next| one >= next), "{pss:?}");
    let csv = succeed(&[&by[..], &["csv"]].concat()).stdout;
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let column = reader
        .headers()
        .unwrap()
        .iter()
        .position(|name| name == "resident");
    let row = |row: Result<csv::StringRecord, csv::Error>| row.unwrap()[column.unwrap()].to_owned();
    let mut of_csv: Vec<u64> = reader
        .records()
        .map(|line| row(line).parse().unwrap())
        .collect();
    let resident = mappings.iter().map(|mapping| number(mapping, "resident"));
    let mut resident: Vec<_> = resident.collect();
    // The order is by PSS, too.
    of_csv.sort_unstable();
    resident.sort_unstable();
    assert_eq!(of_csv, resident);
    let table = succeed(&["summary", &pid]).stdout;
    assert!(table.starts_with(&format!("{pid} ")), "{table}");
    assert!(table.contains("scatter-gather descriptors"), "{table}");
    let part = succeed(&["summary", &pid, "--mapping", "[stack]", "--format", "json"]).array();
    assert_eq!(number(&part[0], "mappings"), 1);
}

/// Returns the first words of the table, line by line.
fn first_words(table: &str) -> Vec<&str> {
    let words = table.lines().map(|line| line.split_whitespace().next());
    words.map(Option::unwrap_or_default).collect()
}

#[test]
fn several_processes_have_a_line_each_with_their_sum_and_a_column_by_mapping() {
    let test = "several_processes_have_a_line_each_with_their_sum_and_a_column_by_mapping";
    if !is_root_or_skip(test) {
        return;
    }
    let (one, other) = (Waiting::named("one"), Waiting::named("other"));
    let pids = [one.pid().to_string(), other.pid().to_string()];
    // A process that is named twice counts once.
    let lines = succeed(&["summary", &pids[0], &pids[1], &pids[0]]).stdout;
    let mut words = first_words(&lines);
    words[1..3].sort_unstable();
    let mut expected = vec!["PID", &pids[0], &pids[1], "total", "of"];
    expected[1..3].sort_unstable();
    assert_eq!(words, expected, "{lines}");
    assert!(lines.contains(" 2 processes\n"), "{lines}");
    assert!(lines.contains("\n    of their own: "), "{lines}");
    let mappings = succeed(&["summary", "--by-mapping", &pids[0], &pids[1]]).stdout;
    assert!(mappings.trim_start().starts_with("PID "), "{mappings}");
    // Processes before one that fails are shown.
    let run = run(&["summary", &pids[0], "2147483647"]);
    assert_eq!(run.status, 1, "{run:?}");
    assert!(run.stdout.contains(&pids[0]), "{run:?}");
    assert!(run.stderr.contains("no such process"), "{run:?}");
}

#[test]
fn the_policy_that_forbids_huge_pages_is_first_in_every_format() {
    let test = "the_policy_that_forbids_huge_pages_is_first_in_every_format";
    if !is_root_or_skip(test) || !testkit::machine::has_page_scan_or_skip(test) {
        return;
    }
    let size = 4 * memory::huge();
    let target = Target::spawn(|| {
        memory::keep_page_sizes();
        let at = memory::aligned(size, memory::huge());
        memory::touch(at, size / page(), 1);
        vec![at]
    });
    let pid = target.pid().to_string();
    let screen = succeed(&["summary", &pid]).stdout;
    let lines = screen
        .lines()
        .skip_while(|line| !line.starts_with("HUGE PAGES"));
    let first = lines.skip(1).map(str::trim).find(|line| !line.is_empty());
    if screen.contains("no kernel support") {
        return eprintln!("SKIPPED the rest of {test}: no huge pages in this kernel");
    }
    assert!(
        first.unwrap().starts_with("PR_SET_THP_DISABLE "),
        "{screen}"
    );
    assert!(
        screen.contains("PR_SET_THP_DISABLE: without it, "),
        "{screen}"
    );
    let records = succeed(&["summary", &pid, "--format", "json"]).array();
    check_schema("summary", &Value::from(records.clone()));
    let huge_pages = &records[0]["huge_pages"];
    assert_eq!(huge_pages["settings"]["process_disabled"], true);
    let policy = &huge_pages["policies"][0];
    assert_eq!(policy["reason"], "process_disabled");
    assert!(number(policy, "eligible_full") >= size, "{policy}");
    assert_eq!(number(policy, "bytes"), number(huge_pages, "policy"));
    let csv = succeed(&["summary", &pid, "--format", "csv"]).stdout;
    let eligible = number(policy, "eligible");
    let expected = format!(",huge_policy_eligible,process_disabled,,,,,,,,,,{eligible}\n");
    assert!(csv.contains(&expected), "{csv}");
    // No option is ignored.
    let said = fail(&["summary", &pid, "self", "--vm-flags"]);
    assert!(said.contains("--vm-flags is for one process"), "{said}");
}

#[test]
fn a_name_of_several_processes_means_all_of_them() {
    if !is_root_or_skip("a_name_of_several_processes_means_all_of_them") {
        return;
    }
    let name = format!("same name {}", std::process::id());
    let mut of_name: Vec<_> = (0..3).map(|_| Waiting::named(&name)).collect();
    let mut pids: Vec<_> = of_name.iter().map(|one| u64::from(one.pid())).collect();
    let table = succeed(&["summary", &name]).stdout;
    assert_eq!(table.lines().count(), 6, "{table}");
    for pid in &pids {
        assert!(first_words(&table).contains(&&*pid.to_string()), "{table}");
    }
    assert!(table.contains(" 3 processes\n"), "{table}");
    let records = succeed(&["summary", &name, "--format", "json"]).array();
    check_schema("summary", &Value::from(records.clone()));
    let mut found: Vec<_> = records.iter().map(|one| number(one, "pid")).collect();
    found.sort_unstable();
    pids.sort_unstable();
    assert_eq!(found, pids);
    let frozen = run(&["summary", &name, "--freeze"]);
    assert_eq!(
        frozen.stderr.matches("was frozen for").count(),
        3,
        "{frozen:?}"
    );
    // Extents that contain a page are of one process: a name of three is refused.
    let said = run(&["extents", &name, "1000"]);
    assert_eq!(said.status, 1, "{said:?}");
    assert!(said.stderr.contains("3 processes are named"), "{said:?}");
    // If one process has the name, its picture is printed.
    of_name.truncate(1);
    assert!(succeed(&["summary", &name]).stdout.contains("EXTENTS"));
    let none = fail(&["summary", "nobody has this name"]);
    assert!(none.contains("no process"), "{none}");
}

#[test]
fn lines_are_as_long_as_the_environment_says_and_keep_the_programs_name() {
    let test = "lines_are_as_long_as_the_environment_says_and_keep_the_programs_name";
    if !is_root_or_skip(test) {
        return;
    }
    let long = "with more behind it than any line has ".repeat(5);
    let waiting = Waiting::named(format!("/usr/lib/some/where/server {long}"));
    let pid = waiting.pid().to_string();
    let lines = |columns: Option<&str>| {
        let mut command = introspect();
        command.args(["summary", &pid, "self"]);
        command.env_remove("COLUMNS");
        if let Some(columns) = columns {
            command.env("COLUMNS", columns);
        }
        let run = finish(command);
        assert_eq!(run.status, 0, "{run:?}");
        run.stdout
    };
    let table = lines(Some("80"));
    let longest = table.lines().map(|line| line.chars().count()).max();
    assert_eq!(longest, Some(80), "{table}");
    let of_it = table.lines().find(|line| line.contains(&pid)).unwrap();
    let (_, command) = of_it.split_once("…/").unwrap();
    assert!(
        command.starts_with("server with") && command.ends_with('…'),
        "{table}"
    );
    // Without a number there is no limit.
    for other in [None, Some(""), Some("0"), Some("many")] {
        let table = lines(other);
        assert!(
            table.contains("/usr/lib/some/where/server with more"),
            "{table}"
        );
    }
}

#[test]
fn all_processes_are_listed_by_pss_and_hugetlb_with_their_sum() {
    if !is_root_or_skip("all_processes_are_listed_by_pss_and_hugetlb_with_their_sum") {
        return;
    }
    let waiting = Waiting::named("waiting");
    let run = run(&["summary", "--all"]);
    assert_eq!(run.status, 0, "{run:?}");
    let mut lines = run.stdout.lines();
    assert!(lines.next().unwrap().contains("RESIDENT"), "{run:?}");
    let first_words = run
        .stdout
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    let pids: Vec<_> = first_words.collect();
    assert!(pids.contains(&&*waiting.pid().to_string()), "{run:?}");
    assert!(pids.contains(&"total"), "{run:?}");
    let json = finish({
        let mut command = introspect();
        command.args(["summary", "--all", "--format", "json"]);
        command
    });
    let records = json.array();
    check_schema("summary", &Value::from(records.clone()));
    let ranks = records.iter().map(|record| &record["total"]);
    let ranks = ranks.map(|total| number(total, "pss") + number(total, "hugetlb"));
    let ranks: Vec<_> = ranks.collect();
    assert!(ranks.is_sorted_by(|one, next| one >= next), "{ranks:?}");
}

#[test]
fn without_the_privilege_it_says_what_is_missing_and_shows_the_rest() {
    if !is_root_or_skip("without_the_privilege_it_says_what_is_missing_and_shows_the_rest") {
        return;
    }
    let waiting = Waiting::of(NOBODY);
    let pid = waiting.pid().to_string();
    let screen = as_nobody(&["summary", &pid]);
    assert_eq!((screen.status, &*screen.stderr), (0, ""), "{screen:?}");
    assert!(
        screen.stdout.contains("(addresses need CAP_SYS_ADMIN"),
        "{screen:?}"
    );
    let json = as_nobody(&["summary", &pid, "--format", "json"]);
    assert_eq!(json.status, 0, "{json:?}");
    assert!(
        json.stderr.contains("addresses need CAP_SYS_ADMIN"),
        "{json:?}"
    );
    let records = json.array();
    check_schema("summary", &Value::from(records.clone()));
    assert!(number(&records[0]["total"], "resident") > 0);
    for unknown in ["pss", "uss", "zero"] {
        assert!(records[0]["total"][unknown].is_null(), "{json:?}");
    }
    assert!(records[0]["contiguity"].is_null() && records[0]["nodes"].is_null());
    let all = as_nobody(&["summary", "--all"]);
    assert_eq!(all.status, 0, "{all:?}");
    assert!(
        all.stderr.contains("is refused to this user or here"),
        "{all:?}"
    );
}

#[test]
fn a_program_that_is_started_is_walked() {
    if !is_root_or_skip("a_program_that_is_started_is_walked") {
        return;
    }
    let run = run(&[
        "summary",
        "--format",
        "json",
        "--",
        "sh",
        "-c",
        "echo out; exit 3",
    ]);
    assert_eq!((run.status, &*run.stdout), (3, "out\n"), "{run:?}");
    let records: Value = serde_json::from_str(&run.stderr).unwrap();
    check_schema("summary", &records);
    assert!(number(&records[0]["total"], "resident") > 0);
}

#[test]
fn a_process_is_still_while_it_is_summed_up_and_goes_on_then() {
    if !is_root_or_skip("a_process_is_still_while_it_is_summed_up_and_goes_on_then") {
        return;
    }
    let waiting = Waiting::named("waiting");
    let pid = waiting.pid().to_string();
    let run = run(&["summary", &pid, "--freeze"]);
    assert_eq!(run.status, 0, "{run:?}");
    assert!(run.stderr.contains("was frozen for"), "{run:?}");
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    assert!(!stat.contains(") T "), "{stat}");
}

#[test]
fn wrong_usage_is_reported() {
    for wrong in [
        &["summary"][..],
        &["summary", "1", "--all"],
        &["summary", "--all", "--by-mapping"],
        &["summary", "--all", "--freeze"],
        &["summary", "1", "--", "true"],
    ] {
        assert_eq!(run(wrong).status, 2, "{wrong:?}");
    }
    // Without a process, the usage shows the forms that need none.
    let usage = run(&["summary"]).stderr;
    for form in ["introspect summary [OPTIONS] --all", "-- <COMMAND>..."] {
        assert!(usage.contains(form), "{usage}");
    }
    let said = fail(&["summary", "self", "--mapping", "nothing has this name"]);
    assert!(said.contains("no mapping"), "{said}");
}

#[test]
fn a_command_of_any_bytes_is_no_formula_and_keeps_its_bytes() {
    let name = std::ffi::OsStr::from_bytes(b"=caf\xe9");
    let waiting = Waiting::named(name);
    let pid = waiting.pid().to_string();
    let hex = "3d636166e9202d";
    let record = &run(&["summary", &pid, "--format", "json"]).array()[0];
    assert_eq!(record["command"], "=caf\u{fffd} -");
    assert_eq!(record["command_hex"], hex);
    let csv = run(&["summary", &pid, "--format", "csv"]).stdout;
    let row = csv.lines().nth(1).unwrap();
    let begin = format!("{pid},'=caf\u{fffd} -,{hex},");
    assert!(row.starts_with(&begin), "{row}");
}
