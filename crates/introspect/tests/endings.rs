//! Ends of the command: statuses, messages, and the state of the output. Wrong usage is in
//! `usage`, files are in `files`.

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use support::{as_nobody, fail, introspect, Running, Waiting, NOBODY};
use testkit::machine::is_root_or_skip;
use testkit::memory;
use testkit::target::Target;

/// Everything that is printed on standard output.
const PRINTED: &[&[&str]] = &[
    &["--help"],
    &["--version"],
    &["help", "owner"],
    &["physical", "--help"],
    &["completions", "bash"],
    &["virtual", "self"],
    &["virtual", "self", "--format", "json"],
    &["virtual", "self", "-o", "-"],
    &["read", "self", "--mapping", "[vdso]"],
];

#[test]
fn output_that_cannot_be_written_is_an_error() {
    for &arguments in PRINTED {
        // A full disk, and no standard output at all.
        for redirection in [">/dev/full", ">&-"] {
            let mut shell = Command::new("sh");
            let line = format!("exec \"$0\" \"$@\" {redirection}");
            shell.args(["-c", &line, env!("CARGO_BIN_EXE_introspect")]);
            shell.args(arguments);
            let run = support::finish(shell);
            assert_eq!(run.status, 1, "{arguments:?} {redirection}: {run:?}");
            let said = run.stderr.starts_with("introspect: cannot ")
                && run.stderr.contains("standard output");
            assert!(said, "{arguments:?} {redirection}: {run:?}");
        }
        // A user can discard the output.
        let mut command = introspect();
        let status = command.args(arguments).stdout(Stdio::null()).status();
        assert!(status.unwrap().success(), "{arguments:?}");
    }
}

#[test]
fn a_process_that_is_not_there_is_an_error() {
    let pid = {
        let waiting = Waiting::named("cat");
        waiting.pid().to_string()
    };
    for subcommand in [
        &["physical", &pid][..],
        &["virtual", &pid],
        &["read", &pid, "10"],
    ] {
        let gone = fail(subcommand);
        assert!(gone.contains(&format!("process {pid}: ")), "{gone}");
        assert!(gone.contains("no such process"), "{gone}");
    }
}

#[test]
fn without_the_privilege_no_address_and_the_way_round_is_named() {
    if !is_root_or_skip("without_the_privilege_no_address_and_the_way_round_is_named") {
        return;
    }
    let waiting = Waiting::of(NOBODY);
    let pid = &waiting.pid().to_string();
    for arguments in [
        &["physical", pid][..],
        &["physical", pid, "--format", "json"],
        &["extents", pid, "1000+1"],
        &["pagetable", pid, "1000+1"],
        &["physical", pid, "--details"],
    ] {
        let run = as_nobody(arguments);
        assert_eq!((run.status, run.stdout.as_str()), (1, ""), "{arguments:?}");
        assert_eq!(run.stderr.matches('\n').count(), 1, "{run:?}");
        assert!(run.stderr.contains("CAP_SYS_ADMIN"), "{run:?}");
        assert!(
            run.stderr.contains(&format!("introspect resident {pid}")),
            "{run:?}"
        );
    }
    let run = as_nobody(&["physical", "self"]);
    assert!(run.stderr.contains("introspect resident self"), "{run:?}");
}

#[test]
fn without_the_privilege_what_is_at_an_address_is_hidden_and_that_is_an_error() {
    if !is_root_or_skip("without_the_privilege_what_is_at_an_address_is_hidden") {
        return;
    }
    let run = as_nobody(&["frame", "1000", "--format", "json"]);
    assert_eq!(run.status, 1, "{run:?}");
    assert_eq!(run.stderr.matches('\n').count(), 1, "{run:?}");
    assert!(run.stderr.contains("CAP_SYS_ADMIN"), "{run:?}");
    let record = &run.array()[0];
    assert_eq!(record["kind"], "hidden");
    assert_eq!(record["resources"], serde_json::json!([]));
    for field in ["first", "last", "flags", "mapcount"] {
        assert!(record[field].is_null(), "{record}");
    }
}

#[test]
fn without_the_privilege_the_layout_is_there() {
    if !is_root_or_skip("without_the_privilege_the_layout_is_there") {
        return;
    }
    let waiting = Waiting::of(NOBODY);
    for pid in ["self", &waiting.pid().to_string()] {
        for subcommand in ["resident", "virtual"] {
            let run = as_nobody(&[subcommand, pid, "--format", "json"]);
            assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{pid}");
            assert!(run.array().len() > 5, "{run:?}");
        }
    }
}

#[test]
fn a_process_of_somebody_else_is_refused() {
    if !is_root_or_skip("a_process_of_somebody_else_is_refused") {
        return;
    }
    let waiting = Waiting::named("cat");
    let pid = &waiting.pid().to_string();
    for arguments in [
        &["virtual", pid][..],
        &["physical", pid],
        &["read", pid, "1000"],
    ] {
        let run = as_nobody(arguments);
        assert_eq!((run.status, run.stdout.as_str()), (1, ""), "{arguments:?}");
        assert!(
            run.stderr.contains("refused") && run.stderr.contains("ptrace"),
            "{run:?}"
        );
    }
}

/// Starts a target with many zero pages, each of which is a record.
fn many_records() -> Target {
    Target::spawn(|| {
        let at = memory::anonymous(RECORDS * memory::page());
        memory::read(at, RECORDS);
        vec![at]
    })
}

const RECORDS: u64 = 250_000;

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let target = is_root_or_skip("a_reader_that_goes_away_is_no_error, with many records")
        .then(many_records);
    let pid = target.as_ref().map(|target| target.pid().to_string());
    let mut cases = vec![
        vec!["virtual", "self"],
        vec!["--help"],
        vec!["completions", "bash"],
    ];
    if let Some(pid) = &pid {
        for format in ["table", "json", "jsonl", "csv"] {
            cases.push(vec!["physical", pid, "--format", format]);
        }
    }
    for arguments in cases {
        let mut command = introspect();
        command
            .args(&arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut running = Running(command.spawn().unwrap());
        let mut first = String::new();
        BufReader::new(running.0.stdout.take().unwrap())
            .read_line(&mut first)
            .unwrap();
        assert!(!first.is_empty(), "{arguments:?}");
        // The pipe is closed now, long before the end of the long outputs.
        let mut said = String::new();
        running
            .0
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        let status = running.0.wait().unwrap();
        assert_eq!(
            (status.code(), said.as_str()),
            (Some(0), ""),
            "{arguments:?}"
        );
    }
}

#[test]
fn any_number_of_records_takes_constant_memory() {
    if !is_root_or_skip("any_number_of_records_takes_constant_memory") {
        return;
    }
    let target = many_records();
    for format in ["table", "json", "jsonl", "csv"] {
        let mut command = introspect();
        command.args([
            "physical",
            &target.pid().to_string(),
            "--no-fold",
            "--format",
            format,
        ]);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut running = Running(command.spawn().unwrap());
        let mut lines = BufReader::new(running.0.stdout.take().unwrap());
        let mut line = Vec::new();
        for _ in 0..RECORDS - 10_000 {
            line.clear();
            assert!(lines.read_until(b'\n', &mut line).unwrap() > 0);
        }
        // It cannot have ended: the rest does not fit in the pipe.
        let status = fs::read_to_string(format!("/proc/{}/status", running.0.id())).unwrap();
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .expect("VmHWM");
        let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
        // Most is the program itself. The records have several times as much text.
        assert!(peak < 24 << 10, "{format}: {peak} KiB");
        let rest = lines.lines().map(Result::unwrap).count();
        assert!(rest >= 10_000, "{format}: {rest}");
        assert!(running.0.wait().unwrap().success(), "{format}");
    }
}

#[test]
fn a_process_that_ends_meanwhile_is_an_error_and_its_array_stays_open() {
    if !is_root_or_skip("a_process_that_ends_meanwhile_is_an_error_and_its_array_stays_open") {
        return;
    }
    for format in ["table", "json", "jsonl", "csv"] {
        let target = many_records();
        let mut command = introspect();
        command.args([
            "physical",
            &target.pid().to_string(),
            "--no-fold",
            "--format",
            format,
        ]);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut running = Running(command.spawn().unwrap());
        let mut output = BufReader::new(running.0.stdout.take().unwrap());
        let mut text = String::new();
        // It has begun, and waits when the pipe is full.
        output.read_line(&mut text).unwrap();
        output.read_line(&mut text).unwrap();
        target.kill();
        output.read_to_string(&mut text).unwrap();
        let mut said = String::new();
        running
            .0
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        assert_eq!(running.0.wait().unwrap().code(), Some(1), "{format}");
        assert_eq!(said.matches('\n').count(), 1, "{format}: {said}");
        assert!(
            said.contains("its memory went away meanwhile"),
            "{format}: {said}"
        );
        let records = text.lines().count();
        assert!(
            100 < records && records < RECORDS as usize,
            "{format}: {records}"
        );
        if format == "json" {
            let error = serde_json::from_str::<serde_json::Value>(&text).unwrap_err();
            assert!(error.is_eof(), "{error}");
        }
    }
}

#[test]
fn without_standard_error_the_status_reports_the_failure() {
    let mut command = introspect();
    command
        .args(["virtual", "self", "--mapping", "no such thing"])
        .stdin(Stdio::null());
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    assert_eq!(command.stderr(full).status().unwrap().code(), Some(1));
}
