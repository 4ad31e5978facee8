//! Selection of processes and addresses.

mod support;

use std::os::unix::ffi::OsStrExt;

use process_introspection::UniquePid;
use support::{fail, number, run, succeed, Waiting};
use testkit::memory;
use testkit::oracle;
use testkit::target::Target;

/// Returns the addresses of records, which need no privilege.
fn resident(arguments: &[&str]) -> Vec<(u64, u64)> {
    let mut all = vec!["resident", "--format", "json"];
    all.extend(arguments);
    let span = |record: &_| {
        (
            number(record, "vaddr"),
            number(record, "vaddr") + number(record, "size"),
        )
    };
    succeed(&all).array().iter().map(span).collect()
}

#[test]
fn every_form_of_range_selects_its_pages() {
    let target = Target::spawn(|| {
        let at = memory::anonymous(8 * memory::page());
        memory::touch(at, 8, 1);
        vec![at]
    });
    let (pid, page, start) = (
        target.pid().to_string(),
        memory::page(),
        target.addresses()[0],
    );
    let select = |range: &str| resident(&[&pid, range]);
    let pages = |from: u64, to: u64| vec![(start + from * page, start + to * page)];
    assert_eq!(
        select(&format!("{start:x}-{:x}", start + 2 * page)),
        pages(0, 2)
    );
    assert_eq!(
        select(&format!("{start:#x}-{:#X}", start + 2 * page)),
        pages(0, 2)
    );
    assert_eq!(select(&format!("{start:x}+{}", 2 * page)), pages(0, 2));
    assert_eq!(select(&format!("{start:#x}+{:#x}", 2 * page)), pages(0, 2));
    assert_eq!(
        select(&format!("{start:x}+{}K", 3 * page / 1024)),
        pages(0, 3)
    );
    assert_eq!(select(&format!("{:x}", start + page + 7)), pages(1, 2));
    assert_eq!(
        select(&format!("{:x}+1", start + 2 * page - 1)),
        pages(1, 2)
    );
    assert_eq!(
        select(&format!("{:x}+2", start + 2 * page - 1)),
        pages(1, 3)
    );
}

#[test]
fn virtual_regions_are_listed_whole() {
    let target = Target::spawn(|| vec![memory::anonymous(8 * memory::page())]);
    let start = target.addresses()[0];
    let area = oracle::areas(target.pid())
        .into_iter()
        .find(|area| area.start <= start && start < area.end);
    let area = area.expect("its area");
    let run = succeed(&[
        "virtual",
        &target.pid().to_string(),
        &format!("{start:x}"),
        "--format",
        "json",
    ]);
    let records = run.array();
    assert_eq!(records.len(), 1);
    assert_eq!(number(&records[0], "vaddr"), area.start);
    assert_eq!(number(&records[0], "size"), area.end - area.start);
}

#[test]
fn mapping_selects_by_any_part_of_a_name() {
    let waiting = Waiting::named("cat");
    let pid = waiting.pid().to_string();
    let areas = oracle::areas(waiting.pid());
    for part in ["[stack]", "stack", "libc.so", "/"] {
        let expected: Vec<_> = areas
            .iter()
            .filter(|area| area.name.contains(part))
            .map(|area| area.start)
            .collect();
        assert!(!expected.is_empty(), "{part}");
        let records = succeed(&["virtual", &pid, "--mapping", part, "--format", "json"]).array();
        let starts: Vec<_> = records
            .iter()
            .map(|record| number(record, "vaddr"))
            .collect();
        assert_eq!(starts, expected, "{part}");
        // As ranges: exactly what lies in them.
        let bytes: u64 = areas
            .iter()
            .filter(|area| area.name.contains(part))
            .map(|area| area.end - area.start)
            .sum();
        let listed: u64 = resident(&[&pid, "--mapping", part])
            .iter()
            .map(|(start, end)| end - start)
            .sum();
        assert_eq!(listed, bytes, "{part}");
    }
}

#[test]
fn range_and_mapping_together_are_what_is_in_both() {
    let waiting = Waiting::named("cat");
    let pid = waiting.pid().to_string();
    let areas = oracle::areas(waiting.pid());
    let stack = areas
        .iter()
        .find(|area| area.name == "[stack]")
        .expect("a stack");
    let page = memory::page();
    // From below the stack up to its last page, exclusive.
    let range = format!("{:x}-{:x}", stack.start - 16 * page, stack.end - page);
    let listed = resident(&[&pid, &range, "--mapping", "[stack]"]);
    assert_eq!(listed.first().map(|first| first.0), Some(stack.start));
    assert_eq!(listed.last().map(|last| last.1), Some(stack.end - page));
    let elsewhere = format!("{:x}+1", areas[0].start);
    for subcommand in ["resident", "virtual"] {
        let nothing = fail(&[subcommand, &pid, &elsewhere, "--mapping", "[stack]"]);
        assert!(
            nothing.contains("no mapping in this range has \"[stack]\""),
            "{nothing}"
        );
    }
}

#[test]
fn a_mapping_that_is_not_there_is_an_error() {
    for arguments in [
        &["virtual", "self", "--mapping", "no such thing"][..],
        &["resident", "self", "--mapping", "no such thing"],
        &["read", "self", "--mapping", "no such thing"],
    ] {
        let nothing = fail(arguments);
        assert!(
            nothing.contains("no mapping has \"no such thing\" in its name"),
            "{nothing}"
        );
    }
}

#[test]
fn a_unique_pid_is_its_process_and_ends_with_it() {
    let waiting = Waiting::named("cat");
    let unique = UniquePid::of(waiting.pid()).unwrap().to_string();
    let by_pid = succeed(&["virtual", &waiting.pid().to_string(), "--format", "csv"]).stdout;
    assert_eq!(
        succeed(&["virtual", &unique, "--format", "csv"]).stdout,
        by_pid
    );
    drop(waiting);
    let gone = fail(&["virtual", &unique]);
    assert!(gone.contains("no such process"), "{gone}");
    // A number that no process can have.
    for number in ["4294967295", "99999999999999999999999"] {
        let nobody = fail(&["virtual", number]);
        let expected = format!("process {number}: there is no such process");
        assert!(nobody.contains(&expected), "{nobody}");
    }
}

#[test]
fn an_exact_name_is_its_process() {
    let name = format!("introspect one {}", std::process::id());
    let waiting = Waiting::named(&name);
    let by_pid = succeed(&["virtual", &waiting.pid().to_string(), "--format", "csv"]).stdout;
    assert_eq!(
        succeed(&["virtual", &name, "--format", "csv"]).stdout,
        by_pid
    );
    let nobody = fail(&["virtual", &name[1..]]);
    assert!(
        nobody.contains("no process that is visible here is named"),
        "{nobody}"
    );
    let sleeping = std::ffi::OsStr::from_bytes(b"no \xff such\nname");
    let nobody = fail(&[std::ffi::OsStr::new("virtual"), sleeping]);
    assert!(nobody.contains(r"no \xff such\nname"), "{nobody}");
}

#[test]
fn a_name_that_is_a_number_is_chosen_by_a_prefix() {
    // No process has this number, and no other process this name.
    let name = format!("{}", 4_000_000_000u64 + u64::from(std::process::id()));
    let waiting = Waiting::named(&name);
    let by_pid = succeed(&["virtual", &waiting.pid().to_string(), "--format", "csv"]).stdout;
    let by_name = succeed(&["virtual", &format!("name:{name}"), "--format", "csv"]).stdout;
    assert_eq!(by_name, by_pid);
    let number = fail(&["virtual", &name]);
    assert!(number.contains(&format!("name:{name}")), "{number}");
}

#[test]
fn several_processes_of_a_name_are_listed_where_a_list_can_be_of_several() {
    let name = format!("introspect two {}", std::process::id());
    let several = [
        Waiting::named(&name),
        Waiting::named(format!("/some/where/{name}")),
    ];
    let refused = run(&["extents", &name, "1000"]);
    assert_eq!((refused.status, refused.stdout.as_str()), (1, ""));
    assert!(
        refused
            .stderr
            .starts_with(&format!("introspect: 2 processes are named \"{name}\"")),
        "{refused:?}"
    );
    let listed = succeed(&["virtual", &name, "--format", "jsonl"]).lines();
    for waiting in &several {
        let pid = waiting.pid();
        let line = refused
            .stderr
            .lines()
            .find(|line| line.trim_start().starts_with(&pid.to_string()));
        assert!(
            line.is_some_and(|line| line.ends_with(&format!("{name} -"))),
            "{refused:?}"
        );
        let alone = succeed(&["virtual", &pid.to_string(), "--format", "jsonl"]);
        let of_it = listed.iter().filter(|record| record["pid"] == pid);
        assert_eq!(of_it.count(), alone.lines().len());
    }
    let message = fail(&["virtual", &name, "--freeze"]);
    assert!(message.contains("--freeze is for one process"), "{message}");
}
