//! Lists of several processes: the records of each, with its process, in every format.

mod support;

use std::fs;

use serde_json::{json, Value};
use support::{as_nobody, fail, run, schema, succeed, target, Waiting, NOBODY};
use testkit::machine::is_root_or_skip;
use testkit::target::Target;

/// Fields of the process in a record.
const PROCESS: [&str; 3] = ["pid", "unique_pid", "command"];

fn stopped() -> (Target, String) {
    let target = target();
    target.stop();
    let pid = target.pid().to_string();
    (target, pid)
}

fn number(pid: &str) -> u32 {
    pid.parse().unwrap()
}

/// Returns the comm of a process.
fn comm(pid: &str) -> String {
    let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap();
    comm.trim_end_matches('\n').to_owned()
}

/// Removes the process from a record, and returns its PID.
fn take_process(record: &mut Value) -> String {
    let fields = record.as_object_mut().unwrap();
    let first: Vec<_> = fields.keys().take(3).cloned().collect();
    let mut sorted = PROCESS;
    sorted.sort_unstable();
    assert!(
        sorted.iter().all(|name| fields.contains_key(*name)),
        "{first:?}"
    );
    let [pid, unique, command] = PROCESS.map(|name| fields.remove(name).unwrap());
    let pid = pid.to_string();
    assert_eq!(command, json!(comm(&pid)));
    assert!(unique.as_str().unwrap().parse::<u64>().unwrap() > 0);
    pid
}

/// Returns both lists, once `each` is the same before and after `both`: the kernel can move
/// pages of a stopped process.
fn at_rest<T: PartialEq, U>(each: impl Fn() -> T, both: impl Fn() -> U) -> (T, U) {
    let mut before = each();
    for _ in 0..50 {
        let of_both = both();
        let after = each();
        if before == after {
            return (after, of_both);
        }
        before = after;
    }
    panic!("the pages never come to rest");
}

/// Compares the list of two processes with the list of each.
fn compare(subcommand: &str, more: &[&str], pids: [&str; 2]) {
    let list = |pid: &str| {
        let arguments = [&[subcommand, pid, "--format", "json"], more].concat();
        succeed(&arguments).array()
    };
    let both = pids.join(",");
    let lists = || pids.map(list);
    let (each, mut records) = at_rest(lists, || list(&both));
    if let Err(error) = schema(subcommand).validate(&Value::Array(records.clone())) {
        panic!("{subcommand}: {error}");
    }
    let mut expected = Vec::new();
    for (pid, of_it) in pids.into_iter().zip(each) {
        assert!(of_it
            .iter()
            .all(|record| record.get("unique_pid").is_none()));
        expected.extend(of_it.into_iter().map(|record| (pid.to_owned(), record)));
    }
    assert!(expected.len() >= 2, "{subcommand}");
    let found: Vec<_> = records
        .iter_mut()
        .map(|record| (take_process(record), record.clone()))
        .collect();
    assert_eq!(found, expected, "{subcommand} {more:?}");
    let csv = [&[subcommand, &both, "--format", "csv"], more].concat();
    let csv = succeed(&csv).stdout;
    assert!(
        csv.starts_with("pid,unique_pid,command,command_hex,vaddr,"),
        "{csv}"
    );
    assert_eq!(csv.lines().count(), expected.len() + 1);
}

#[test]
fn a_list_of_several_is_the_lists_of_each_with_its_process() {
    let [(_one, one), (_two, two)] = [stopped(), stopped()];
    let pids = [&*two, &*one];
    compare("virtual", &[], pids);
    compare("virtual", &["--mapping", "memfd"], pids);
    compare("virtual", &["--thread-stacks"], pids);
    compare("resident", &[], pids);
    compare("resident", &["--backed"], pids);
    if !is_root_or_skip("physical memory of several processes") {
        return;
    }
    compare("physical", &[], pids);
    compare("physical", &["--backed", "--threads", "2"], pids);
    compare("physical", &["--details", "--mapping", "memfd"], pids);
}

#[test]
fn a_table_of_several_joins_rows_of_one_process_only() {
    if !is_root_or_skip("a table of several processes") {
        return;
    }
    let [(_one, one), (_two, two)] = [stopped(), stopped()];
    let rows = |pids: &str| {
        let table = succeed(&["physical", pids]).stdout;
        // Without the header line.
        table.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    let each = || [rows(&one), rows(&two)].concat();
    let (each, both) = at_rest(each, || rows(&format!("{one},{two}")));
    assert!(both.iter().any(|row| row.contains("zero x")), "{both:?}");
    assert_eq!(both.len(), each.len());
    for (row, alone) in both.iter().zip(&each) {
        assert!(row.ends_with(alone.trim_start()), "{row}\n{alone}");
    }
    let of_one = both.iter().filter(|row| row.trim_start().starts_with(&one));
    assert!(of_one.count() > 4);
}

#[test]
fn all_processes_are_listed_with_their_names() {
    let (target, pid) = stopped();
    let at = format!("{:x}+4K", target.addresses()[0]);
    let all = run(&["virtual", "--all", "0x0-7fffffffffff", "--format", "jsonl"]);
    assert_eq!(all.status, 0, "{}", all.stderr);
    let pids: std::collections::BTreeSet<_> = all
        .lines()
        .iter()
        .map(|record| record["pid"].to_string())
        .collect();
    assert!(pids.contains(&pid) && pids.len() > 1, "{pids:?}");
    let of_range = run(&["virtual", "--all", &at, "--format", "jsonl"]);
    let mine: Vec<_> = of_range
        .lines()
        .into_iter()
        .filter(|record| record["pid"] == target.pid())
        .collect();
    assert_eq!(mine.len(), 1, "{mine:?}");
    let hidden = as_nobody(&["virtual", "--all", "--format", "jsonl"]);
    assert_eq!(hidden.status, 0, "{}", hidden.stderr);
    assert!(!hidden.stdout.contains(&format!("{{\"pid\":{pid},")));
    assert!(
        hidden.stderr.contains("because reading them is refused"),
        "{}",
        hidden.stderr
    );
}

#[test]
fn a_mapping_that_one_process_lacks_is_no_error() {
    let ((_target, with), without) = (stopped(), Waiting::named("cat"));
    let list = format!("{},{with}", without.pid());
    for subcommand in ["virtual", "resident"] {
        let arguments = [subcommand, &list, "--mapping", "memfd", "--format", "jsonl"];
        let records = succeed(&arguments).lines();
        assert!(!records.is_empty(), "{subcommand}");
        assert!(records.iter().all(|record| record["pid"] == number(&with)));
        let none = run(&[subcommand, &list, "--mapping", "no such mapping"]);
        assert_eq!(none.status, 0, "{none:?}");
        assert_eq!(none.stdout.lines().count(), 1, "{none:?}");
        assert!(
            none.stderr
                .contains("nothing is listed: no mapping has \"no such mapping\""),
            "{none:?}"
        );
    }
}

#[test]
fn processes_of_a_name_that_this_user_cannot_read_are_counted() {
    if !is_root_or_skip("processes of another user") {
        return;
    }
    let name = format!("introspect of two users {}", std::process::id());
    let (roots, own) = (Waiting::named(&name), Waiting::named_of(&name, NOBODY));
    let listed = as_nobody(&["virtual", &name, "--format", "jsonl"]);
    assert_eq!(listed.status, 0, "{listed:?}");
    let records = listed.lines();
    assert!(!records.is_empty());
    assert!(records.iter().all(|record| record["pid"] == own.pid()));
    let counted = "introspect: not in the list: 1 process, because reading it is refused to this \
                   user or here\n";
    assert_eq!(listed.stderr, counted);
    // It must be readable if its number is given.
    let both = format!("{},{}", own.pid(), roots.pid());
    let refused = as_nobody(&["virtual", &both, "--format", "jsonl"]);
    assert_eq!((refused.status, &*refused.stdout), (1, ""), "{refused:?}");
    assert!(
        refused.stderr.contains(&roots.pid().to_string()),
        "{refused:?}"
    );
}

#[test]
fn a_process_that_is_named_must_exist() {
    let waiting = Waiting::named("cat");
    let pid = waiting.pid().to_string();
    let message = fail(&["virtual", &format!("{pid},4194305")]);
    assert!(message.contains("4194305"), "{message}");
    // Each once, also if it is named twice.
    let once = succeed(&["virtual", &format!("{pid},{pid}"), "--format", "csv"]).stdout;
    let alone = succeed(&["virtual", &pid, "--format", "csv"]).stdout;
    assert_eq!(once.lines().count(), alone.lines().count());
    for wrong in [
        vec!["virtual", "1,,2"],
        vec!["virtual", ",1"],
        vec!["virtual", "1", "--all"],
        vec!["virtual", "--all", "1"],
        vec!["virtual", "1,2", "--freeze"],
        vec!["virtual", "--all", "--freeze"],
        vec!["virtual", "1", "--deadline", "1s"],
        vec!["physical", "1,2", "--", "true"],
        vec!["physical", "--all", "--", "true"],
        vec!["extents", "--all", "1000"],
    ] {
        let run = run(&wrong);
        assert_eq!((run.status, &*run.stdout), (2, ""), "{wrong:?} {run:?}");
    }
    let message = fail(&["extents", "1,2", "1000"]);
    assert!(message.contains("\"1,2\""), "{message}");
}
