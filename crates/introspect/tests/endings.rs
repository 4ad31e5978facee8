//! Ends of the command: statuses, messages, and the state of the output.

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{symlink, FileTypeExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use support::{as_nobody, fail, introspect, run, succeed, Running, Waiting, NOBODY};
use tempfile::TempDir;
use testkit::machine::is_root_or_skip;
use testkit::memory;
use testkit::target::Target;

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
            &["physical", "self", "10", "20"],
            "unexpected argument '20'",
        ),
        (
            &["physical", "self", "--format", "xml"],
            "[possible values: table, json, jsonl, csv]",
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
fn help_and_version_are_no_errors() {
    assert!(succeed(&["--help"])
        .stdout
        .contains("introspect resident 1234"));
    assert!(succeed(&["--version"]).stdout.starts_with("introspect "));
    let every = [
        "physical",
        "extents",
        "virtual",
        "resident",
        "pagetable",
        "object",
        "frame",
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
        assert!(peak < 16 << 10, "{format}: {peak} KiB");
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

fn names_in(dir: &Path) -> Vec<String> {
    let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
    let mut names: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| name(entry.unwrap()))
        .collect();
    names.sort();
    names
}

#[test]
fn a_file_is_replaced_only_by_a_complete_output() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("out.json");
    let path = file.to_str().unwrap();
    let virtual_self = ["virtual", "self", "--format", "json", "-o", path];
    assert_eq!(succeed(&virtual_self).stdout, "");
    let first: Vec<serde_json::Value> = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert!(first.len() > 5);
    assert_eq!(names_in(dir.path()), ["out.json"]);

    // The present file stays, whatever fails.
    fs::write(&file, "precious").unwrap();
    fail(&["virtual", "self", "--mapping", "no such thing", "-o", path]);
    let target = Target::spawn(|| {
        let at = memory::anonymous(2 * memory::page());
        memory::unmap(at + memory::page(), memory::page());
        vec![at]
    });
    let (pid, start) = (target.pid().to_string(), target.addresses()[0]);
    let range = format!("{start:x}+{}", 2 * memory::page());
    fail(&["read", &pid, &range, "-o", path]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    assert_eq!(names_in(dir.path()), ["out.json"]);

    // A violated condition does not make the output incomplete.
    if is_root_or_skip("extents -o") {
        fail(&["extents", &pid, "1000+1", "--format", "csv", "-o", path]);
        assert_eq!(fs::read_to_string(&file).unwrap().lines().count(), 2);
    }
}

/// Returns the status of a command that must end in time.
fn ended_within(limit: Duration, running: &mut Running) -> Option<ExitStatus> {
    let begun = Instant::now();
    loop {
        let status = running.0.try_wait().unwrap();
        if status.is_some() || begun.elapsed() > limit {
            return status;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_signal_leaves_no_temporary_file_behind() {
    if !is_root_or_skip("a_signal_leaves_no_temporary_file_behind") {
        return;
    }
    // Far more records than can be written before the signal arrives.
    let size = 256u64 << 30;
    let target = Target::spawn(|| vec![memory::anonymous(size)]);
    let range = format!("{:x}+{size}", target.addresses()[0]);
    for (name, number) in [("HUP", 1), ("INT", 2), ("TERM", 15)] {
        let dir = TempDir::new().unwrap();
        let file = dir.path().join("out.csv");
        fs::write(&file, "precious").unwrap();
        let mut command = introspect();
        command.args([
            "pagetable",
            &target.pid().to_string(),
            &range,
            "--format",
            "csv",
            "-o",
        ]);
        let mut running = Running(command.arg(&file).stdin(Stdio::null()).spawn().unwrap());
        while names_in(dir.path()).len() < 2 {
            assert_eq!(running.0.try_wait().unwrap(), None);
            std::thread::sleep(Duration::from_millis(1));
        }
        let pid = running.0.id().to_string();
        let sent = Command::new("sh")
            .args(["-c", &format!("kill -{name} {pid}")])
            .status();
        assert!(sent.unwrap().success());
        let ended = ended_within(Duration::from_secs(60), &mut running);
        assert_eq!(ended.and_then(|status| status.signal()), Some(number));
        assert_eq!(names_in(dir.path()), ["out.csv"]);
        assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
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

#[test]
fn a_replaced_file_keeps_its_mode_and_its_links() {
    let dir = TempDir::new().unwrap();
    let (file, link) = (dir.path().join("file"), dir.path().join("link"));
    fs::write(&file, "old").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    symlink("file", &link).unwrap();
    succeed(&["virtual", "self", "-o", link.to_str().unwrap()]);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(fs::read_to_string(&file)
        .unwrap()
        .starts_with("       VADDR"));
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o640
    );
    // A new file has the default mode.
    let new = dir.path().join("new");
    succeed(&["virtual", "self", "-o", new.to_str().unwrap()]);
    fs::write(dir.path().join("plain"), "").unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&new), mode(&dir.path().join("plain")));
}

#[test]
fn a_link_that_leads_to_nothing_yet_stays_and_its_file_is_made() {
    let dir = TempDir::new().unwrap();
    let (elsewhere, links) = (dir.path().join("elsewhere"), dir.path().join("links"));
    for dir in [&elsewhere, &links] {
        fs::create_dir(dir).unwrap();
    }
    let (first, second) = (links.join("first"), links.join("second"));
    symlink("second", &first).unwrap();
    symlink("../elsewhere/file", &second).unwrap();
    for _ in 0..2 {
        succeed(&["virtual", "self", "-o", first.to_str().unwrap()]);
        for link in [&first, &second] {
            assert!(fs::symlink_metadata(link).unwrap().is_symlink());
        }
        assert_eq!(names_in(&elsewhere), ["file"]);
        assert_eq!(names_in(&links), ["first", "second"]);
        let written = fs::read_to_string(elsewhere.join("file")).unwrap();
        assert!(written.starts_with("       VADDR"), "{written}");
    }
    let round = links.join("round");
    symlink("round", &round).unwrap();
    let failed = fail(&["virtual", "self", "-o", round.to_str().unwrap()]);
    assert!(failed.contains("cannot open"), "{failed}");
}

#[test]
fn standard_output_by_a_name_is_written_on_and_not_replaced() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "before\n").unwrap();
    for name in ["/dev/stdout", "/dev/fd/1", "-"] {
        let append = fs::OpenOptions::new().append(true).open(&file).unwrap();
        let mut command = introspect();
        command.args(["virtual", "self", "-o", name]).stdout(append);
        assert!(command.status().unwrap().success());
    }
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("before\n"), "{text}");
    assert_eq!(text.matches("VADDR").count(), 3, "{text}");
}

#[test]
fn a_fifo_is_written_in_place() {
    let dir = TempDir::new().unwrap();
    let fifo = dir.path().join("fifo");
    let made = Command::new("mkfifo").arg(&fifo).status();
    assert!(made.unwrap().success());
    let mut reader = Command::new("cat");
    reader.arg(&fifo).stdout(Stdio::piped());
    let mut reader = Running(reader.spawn().unwrap());
    succeed(&["virtual", "self", "-o", fifo.to_str().unwrap()]);
    let mut text = String::new();
    let mut output = reader.0.stdout.take().unwrap();
    output.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("       VADDR"), "{text}");
    assert!(fs::metadata(&fifo).unwrap().file_type().is_fifo());
}

#[test]
fn a_special_file_is_written_in_place() {
    succeed(&["virtual", "self", "-o", "/dev/null"]);
    assert!(fs::metadata("/dev/null")
        .unwrap()
        .file_type()
        .is_char_device());
    assert!(succeed(&["virtual", "self", "-o", "-"])
        .stdout
        .contains("VADDR"));
    let full = fail(&["virtual", "self", "-o", "/dev/full"]);
    assert!(
        full.contains("cannot write to /dev/full: No space left"),
        "{full}"
    );
    let nowhere = fail(&["virtual", "self", "-o", "/no/such/dir/file"]);
    assert!(
        nowhere.contains("cannot open /no/such/dir/file for writing"),
        "{nowhere}"
    );
    let dir = fail(&["virtual", "self", "-o", "/"]);
    assert!(dir.contains("cannot open / for writing"), "{dir}");
}

#[test]
fn completions_are_made_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = succeed(&["completions", shell]).stdout;
        assert!(
            script.contains("pagetable") && script.contains("mapping"),
            "{shell}"
        );
    }
}

#[test]
fn completions_offer_files_only_where_files_are_meant() {
    let script = succeed(&["completions", "bash"]).stdout;
    let offered = |option: &str| {
        let mut lines = script.lines();
        let found = lines.any(|line| line.trim() == format!("{option})"));
        assert!(found, "{option}");
        // Up to the end of the case of the option.
        lines
            .take_while(|line| line.trim() != ";;")
            .collect::<String>()
    };
    assert!(!offered("--mapping").contains("compgen -f"));
    assert!(offered("--output").contains("compgen -f"));
}

#[test]
fn man_pages_are_made_for_every_subcommand() {
    let dir = TempDir::new().unwrap();
    let pages = dir.path().join("man1");
    succeed(&["man", pages.to_str().unwrap()]);
    let expected = [
        "introspect-completions.1",
        "introspect-extents.1",
        "introspect-frame.1",
        "introspect-object.1",
        "introspect-owner.1",
        "introspect-pagetable.1",
        "introspect-physical.1",
        "introspect-read.1",
        "introspect-resident.1",
        "introspect-summary.1",
        "introspect-virtual.1",
        "introspect.1",
    ];
    assert_eq!(names_in(&pages), expected);
    for name in expected {
        let page = fs::read_to_string(pages.join(name)).unwrap();
        assert!(page.contains("\n.SH DESCRIPTION\n"), "{name}: {page}");
        assert!(!page.contains("EXTRA"), "{name}: {page}");
        let has_examples = name != "introspect-completions.1";
        assert_eq!(page.contains("\n.SH EXAMPLES\n"), has_examples, "{name}");
    }
    let page = fs::read_to_string(pages.join("introspect-physical.1")).unwrap();
    assert!(page.contains("introspect physical self"), "{page}");
    let page = fs::read_to_string(pages.join("introspect.1")).unwrap();
    for title in [
        "\"PRIVILEGES\"",
        "\"EXIT STATUS\"",
        "SUBCOMMANDS",
        "OPTIONS",
    ] {
        assert!(
            page.contains(&format!("\n.SH {title}\n")),
            "{title}: {page}"
        );
    }
}
