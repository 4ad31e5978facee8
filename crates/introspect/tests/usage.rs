//! Wrong usage, suggestions and help.

mod support;

use support::{finish, introspect, run, succeed};

#[test]
fn wrong_usage_is_reported() {
    let wrong: &[(&[&str], &str)] = &[
        (&[], "Usage: introspect <COMMAND>"),
        (
            &["physical"],
            "required arguments were not provided:\n  <PID>",
        ),
        (&["nonsense", "1"], "unrecognized subcommand 'nonsense'"),
        (
            &["physical", "self", "20-10"],
            "'[RANGE]': its start is greater than its end",
        ),
        (
            &["physical", "self", "zz"],
            "'[RANGE]': an address is a hexadecimal number",
        ),
        (&["physical", "self", "10+0"], "'[RANGE]': it holds no byte"),
        (
            &["physical", "1,2", "--freeze"],
            "--freeze is for one process\n\nUsage: introspect physical",
        ),
        (
            &["physical", "self", "10", "20"],
            "unexpected argument '20'",
        ),
        (
            &["physical", "self", "--format", "xml"],
            "[possible values: table, json, jsonl, csv, arrow, svg]",
        ),
        (
            &["physical", "self", "--mapping", ""],
            "'--mapping <NAME>': a name has at least one byte",
        ),
        (
            &["physical", "self", "--threads", "65"],
            "65 is not in 0..=64",
        ),
        (
            &["physical", "self", "--threads", "-1"],
            "unexpected argument '-1'",
        ),
        (&["physical", "--"], "not provided:\n  <PID>"),
        (
            &["physical", "self", "--", "true"],
            "both the process self and COMMAND are given",
        ),
        (
            &["physical", "1", "--", "true"],
            "both the process 1 and COMMAND are given",
        ),
        (
            &["physical", "name:10-20", "--", "true"],
            "both the process name:10-20 and COMMAND are given",
        ),
        (
            &["physical", "10-20", "30-40", "--", "true"],
            "both the process 10-20 and COMMAND are given",
        ),
        (
            &["physical", "no range", "--", "true"],
            "before -- COMMAND there can be RANGE, which no range is not",
        ),
        (
            &["physical", "self", "--at-exit"],
            "not provided:\n  <COMMAND>...",
        ),
        (
            &["physical", "self", "--after", "1s"],
            "not provided:\n  <COMMAND>...",
        ),
        (
            &["physical", "--at-exit", "--after", "1s", "--", "true"],
            "'--at-exit' cannot be used with '--after <TIME>'",
        ),
        (
            &["physical", "--on", "KILL", "--", "true"],
            "[possible values: USR1, USR2]",
        ),
        (
            &["physical", "--after", "soon", "--", "true"],
            "invalid value 'soon' for '--after <TIME>'",
        ),
        (
            &["physical", "--freeze", "--", "true"],
            "--freeze has no effect at the exit of COMMAND",
        ),
        (
            &["summary", "self", "--after", "5s"],
            "'[PID]...' cannot be used with '--after <TIME>'",
        ),
        (
            &["summary", "self", "--on", "USR1"],
            "'[PID]...' cannot be used with '--on <SIGNAL>'",
        ),
        (
            &["summary", "--all", "--after", "5s"],
            "'--all' cannot be used with '--after <TIME>'",
        ),
        (
            &["resident", "self", "--thread-stacks"],
            "unexpected argument '--thread-stacks'",
        ),
        (
            &["object", "self", "10", "--freeze"],
            "unexpected argument '--freeze'",
        ),
        (
            &["virtual", "self", "--threads", "2"],
            "unexpected argument '--threads'",
        ),
        (
            &["virtual", "self", "--backed"],
            "unexpected argument '--backed'",
        ),
        (&["extents", "self"], "not provided:\n  <RANGE>"),
        (
            &["extents", "self", "10", "--align", "0"],
            "'--align <SIZE>': it holds no byte",
        ),
        (
            &["extents", "self", "10", "--align", "2X"],
            "'--align <SIZE>': a size is a decimal number",
        ),
        (&["pagetable", "self"], "not provided:\n  <RANGE>"),
        (&["object", "self"], "not provided:\n  <ADDR>"),
        (
            &["object", "self", "10-20"],
            "'<ADDR>': an address is a hexadecimal number",
        ),
        (&["read", "self"], "not provided:\n  <RANGE>"),
        (
            &["read", "self", "10", "--hex", "--raw"],
            "'--hex' cannot be used with '--raw'",
        ),
        (&["completions", "cobol"], "[possible values: bash, "),
    ];
    for (arguments, said) in wrong {
        let run = run(arguments);
        assert_eq!(
            (run.status, run.stdout.as_str()),
            (2, ""),
            "{arguments:?}: {run:?}"
        );
        assert!(run.stderr.contains(said), "{arguments:?}: {run:?}");
        assert!(
            run.stderr.contains("Usage") || run.stderr.contains("--help"),
            "{run:?}"
        );
    }
}

#[test]
fn no_suggestion_names_what_is_hidden_or_starts_a_program() {
    for arguments in [
        &["map"][..],
        &["physical", "-p"],
        &["summary", "--pid", "1"],
    ] {
        let said = run(arguments).stderr;
        assert!(!said.contains("tip:"), "{said}");
    }
    let said = run(&["phisical", "1"]).stderr;
    assert!(
        said.contains("tip:") && said.contains("'physical'"),
        "{said}"
    );
}

#[test]
fn help_and_version_are_no_errors() {
    assert!(succeed(&["--help"])
        .stdout
        .contains("introspect owner 11c183000"));
    assert!(succeed(&["--version"]).stdout.starts_with("introspect "));
    let every = [
        "physical",
        "extents",
        "virtual",
        "resident",
        "pagetable",
        "object",
        "frame",
        "files",
        "read",
    ];
    for subcommand in every {
        let help = succeed(&[subcommand, "--help"]).stdout;
        assert!(
            help.contains(&format!("Examples:\n  introspect {subcommand} ")),
            "{help}"
        );
    }
}

#[test]
fn the_help_fits_a_screen_and_ends_with_at_most_five_examples() {
    let names = [
        "physical",
        "summary",
        "extents",
        "virtual",
        "resident",
        "pagetable",
        "object",
        "frame",
        "owner",
        "files",
        "metrics",
        "read",
        "completions",
        "man",
    ];
    let each = names.map(|name| vec![name, "--help"]);
    for arguments in each.into_iter().chain([vec!["--help"]]) {
        let mut command = introspect();
        command.args(&arguments).env("COLUMNS", "80");
        let help = finish(command).stdout;
        assert!(
            help.starts_with(char::is_uppercase),
            "{arguments:?}: {help}"
        );
        assert!(help.lines().count() <= 40, "{arguments:?}:\n{help}");
        let widths = help.lines().map(|line| line.chars().count());
        assert!(widths.max() <= Some(80), "{arguments:?}:\n{help}");
        let shown = help.split_once("\nExamples:\n").unwrap_or_default().1;
        let examples = shown.lines().filter(|line| line.starts_with("  "));
        let expected = match arguments[0] {
            "completions" | "man" => 0..1,
            _ => 2..6,
        };
        assert!(
            expected.contains(&examples.count()),
            "{arguments:?}: {help}"
        );
    }
}

#[test]
fn stats_print_for_how_long_locks_were_held() {
    let with = run(&["virtual", "self", "--stats"]);
    let without = succeed(&["virtual", "self"]);
    assert_eq!(with.status, 0, "{with:?}");
    // Each is another process, with other addresses.
    assert_eq!(with.stdout.lines().next(), without.stdout.lines().next());
    let mut words = with.stderr.split(' ');
    let calls = words.nth(1).and_then(|calls| calls.parse().ok());
    assert!(calls > Some(0u64), "{with:?}");
    assert!(with.stderr.contains("held locks"), "{with:?}");
    assert!(with.stderr.ends_with(" ms in all\n"), "{with:?}");
}
