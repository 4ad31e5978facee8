//! `-- COMMAND`: the program runs as without the command, and is walked at the requested
//! moments.

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{as_nobody, finish, introspect, run, Running};
use tempfile::TempDir;
use testkit::machine::is_root_or_skip;

const LIMIT: Duration = Duration::from_secs(60);

/// Skips a test that needs physical addresses.
macro_rules! root_or_return {
    ($test:literal) => {
        if !is_root_or_skip($test) {
            return;
        }
    };
}

/// Runs `introspect physical` with these options on a shell's line.
fn of_shell(options: &[&str], line: &str) -> support::Run {
    run(&[&["physical"], options, &["--", "sh", "-c", line]].concat())
}

fn kill(pid: impl std::fmt::Display, signal: &str) {
    let line = format!("kill -{signal} {pid}");
    let sent = Command::new("sh").args(["-c", &line]).status();
    assert!(sent.unwrap().success());
}

fn json(text: &str) -> Vec<Value> {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn has_memory_of(records: &[Value], program: &str) -> bool {
    records.iter().any(|record| {
        let path = record["path"].as_str().unwrap_or_default();
        path.ends_with(program) && record["state"] == "ram"
    })
}

#[test]
fn the_programs_output_and_status_are_its_own() {
    root_or_return!("the_programs_output_and_status_are_its_own");
    for options in [&[][..], &["--at-exit"], &["--on", "USR1"]] {
        let run = of_shell(options, "echo out; exit 7");
        assert_eq!((run.status, run.stdout.as_str()), (7, "out\n"), "{run:?}");
    }
    // The shell's own memory, at its end, on standard error.
    let run = of_shell(&["--format", "json"], "exit 0");
    assert_eq!(run.status, 0, "{run:?}");
    assert!(has_memory_of(&json(&run.stderr), "sh"), "{run:?}");
}

#[test]
fn a_program_that_a_signal_kills_is_128_more_and_is_seen_before() {
    root_or_return!("a_program_that_a_signal_kills_is_128_more_and_is_seen_before");
    for (signal, number) in [("KILL", 9), ("TERM", 15), ("SEGV", 11)] {
        let run = of_shell(&["--format", "json"], &format!("kill -{signal} $$"));
        assert_eq!(run.status, 128 + number, "{run:?}");
        assert!(has_memory_of(&json(&run.stderr), "sh"), "{run:?}");
    }
}

#[test]
fn what_cannot_be_started_has_the_statuses_of_env() {
    root_or_return!("what_cannot_be_started_has_the_statuses_of_env");
    for (program, status) in [("/no/such/program", 127), ("/etc/passwd", 126), ("/", 126)] {
        for options in [&[][..], &["--after", "1s"]] {
            let arguments = [&["physical"], options, &["--", program]].concat();
            let run = run(&arguments);
            assert_eq!((run.status, run.stdout.as_str()), (status, ""), "{run:?}");
            let beginning = format!("introspect: cannot start {program}: ");
            assert!(run.stderr.starts_with(&beginning), "{run:?}");
            assert_eq!(run.stderr.lines().count(), 1, "{run:?}");
        }
    }
}

#[test]
fn without_the_privilege_the_program_is_not_started() {
    root_or_return!("without_the_privilege_the_program_is_not_started");
    let run = as_nobody(&["physical", "--", "echo", "started"]);
    assert_eq!((run.status, run.stdout.as_str()), (125, ""), "{run:?}");
    assert!(run.stderr.contains("CAP_SYS_ADMIN"), "{run:?}");
}

#[test]
fn the_records_go_to_a_file_if_one_is_named() {
    root_or_return!("the_records_go_to_a_file_if_one_is_named");
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("out.json");
    let path = file.to_str().unwrap();
    let options = ["--format", "json", "-o", path, "--mapping", "[stack]"];
    let run = of_shell(&options, "echo out; echo err >&2");
    assert_eq!(
        (run.status, run.stdout.as_str(), run.stderr.as_str()),
        (0, "out\n", "err\n")
    );
    let records = json(&fs::read_to_string(&file).unwrap());
    assert!(!records.is_empty() && records.iter().all(|record| record["kind"] == "stack"));
}

#[test]
fn a_range_stands_before_the_command() {
    root_or_return!("a_range_stands_before_the_command");
    let run = of_shell(&["0-ffffffffffffffff", "--format", "json"], "exit 0");
    assert!(has_memory_of(&json(&run.stderr), "sh"), "{run:?}");
    // A range in which nothing can be mapped.
    let run = of_shell(&["0+1", "--format", "json"], "exit 0");
    assert_eq!((run.status, json(&run.stderr).len()), (0, 0), "{run:?}");
}

#[test]
fn a_report_that_fails_is_125_unless_the_program_fails_too() {
    root_or_return!("a_report_that_fails_is_125_unless_the_program_fails_too");
    for (line, status) in [("exit 0", 125), ("exit 7", 7)] {
        let run = of_shell(&["--mapping", "no such thing"], line);
        assert_eq!(run.status, status, "{run:?}");
        assert!(
            run.stderr.contains("no mapping has \"no such thing\""),
            "{run:?}"
        );
    }
}

#[test]
fn after_a_time_a_program_is_walked_and_runs_on() {
    root_or_return!("after_a_time_a_program_is_walked_and_runs_on");
    for freeze in [&[][..], &["--freeze"]] {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("out.json");
        let mut options = vec!["--after", "100ms", "--format", "json", "-o"];
        options.push(path.to_str().unwrap());
        options.extend(freeze);
        // It ends after the walk.
        let wait = format!(
            "while ! test -s {}; do sleep 0.05; done; exit 3",
            path.display()
        );
        let run = of_shell(&options, &wait);
        assert_eq!(run.status, 3, "{run:?}");
        let was_frozen = run.stderr.contains(" was frozen for ");
        assert_eq!(was_frozen, !freeze.is_empty(), "{run:?}");
        assert!(has_memory_of(
            &json(&fs::read_to_string(&path).unwrap()),
            "sh"
        ));
    }
    let run = of_shell(&["--after", "1h"], "exit 0");
    assert_eq!(run.status, 125, "{run:?}");
    assert!(
        run.stderr.contains("ended before it could be looked at"),
        "{run:?}"
    );
}

/// Starts `cat`, which is walked as requested, with its input open.
fn cat(options: &[&str]) -> Running {
    let mut command = introspect();
    command.arg("physical").args(options).args(["--", "cat"]);
    command.process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command.stderr(Stdio::piped());
    let mut running = Running(command.spawn().unwrap());
    echo(&mut running, "ready");
    running
}

/// Has `cat` repeat a word, which shows that it runs.
fn echo(running: &mut Running, word: &str) {
    let line = format!("{word}\n");
    let stdin = running.0.stdin.as_mut().unwrap();
    stdin.write_all(line.as_bytes()).unwrap();
    let mut answer = vec![0; line.len()];
    running
        .0
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut answer)
        .unwrap();
    assert_eq!(answer, line.as_bytes());
}

#[test]
fn on_a_signal_a_program_is_walked_each_time() {
    root_or_return!("on_a_signal_a_program_is_walked_each_time");
    let options = ["--on", "usr1", "--format", "json", "--mapping", "[stack]"];
    let mut running = cat(&options);
    let mut said = BufReader::new(running.0.stderr.take().unwrap());
    for round in ["one", "two"] {
        kill(running.0.id(), "USR1");
        let mut text = String::new();
        while !text.ends_with("]\n") {
            assert!(said.read_line(&mut text).unwrap() > 0, "{text}");
        }
        assert!(!json(&text).is_empty());
        echo(&mut running, round);
    }
    drop(running.0.stdin.take());
    assert_eq!(running.0.wait().unwrap().code(), Some(0));
}

#[test]
fn a_program_runs_on_when_introspect_is_killed() {
    root_or_return!("a_program_runs_on_when_introspect_is_killed");
    for options in [&[][..], &["--on", "USR1"]] {
        let mut running = cat(options);
        running.0.kill().unwrap();
        // `wait` would close cat's input.
        let begun = Instant::now();
        while running.0.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < LIMIT);
            std::thread::sleep(Duration::from_millis(1));
        }
        echo(&mut running, "by itself");
        // That ends it: no other process has its input open.
        drop(running.0.stdin.take());
        let mut rest = String::new();
        running
            .0
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut rest)
            .unwrap();
        assert_eq!(rest, "");
    }
}

#[test]
fn what_is_ignored_stays_ignored_in_the_program() {
    root_or_return!("what_is_ignored_stays_ignored_in_the_program");
    // The state in the background of a script.
    let program = env!("CARGO_BIN_EXE_introspect");
    let line = format!(
        "trap '' INT QUIT TERM; exec '{program}' physical -o /dev/null -- grep SigIgn: /proc/self/status"
    );
    let mut shell = Command::new("sh");
    shell.args(["-c", &line]);
    let run = finish(shell);
    let mask = run.stdout.trim().rsplit('\t').next().unwrap_or_default();
    let mask = u64::from_str_radix(mask, 16).unwrap_or_else(|_| panic!("{run:?}"));
    for signal in [2, 3, 15] {
        assert_ne!(mask & 1 << (signal - 1), 0, "{run:?}");
    }
}

/// Compiles a program from the body of `main` with these options; `None` if that is not
/// possible.
fn compiled(test: &str, body: &str, options: &[&str]) -> Option<(TempDir, String)> {
    let dir = TempDir::new().unwrap();
    let (source, program) = (dir.path().join("program.c"), dir.path().join("program"));
    let text = format!("#include <stdlib.h>\nint main(void) {{ {body} }}\n");
    fs::write(&source, text).unwrap();
    let built = Command::new("gcc")
        .args(options)
        .arg("-o")
        .args([&program, &source])
        .stderr(Stdio::null())
        .status();
    if !built.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED {test}: needs gcc with {options:?}");
        return None;
    }
    Some((dir, program.to_str().unwrap().to_owned()))
}

#[test]
fn a_program_that_cannot_be_traced_to_its_end_is_warned_of() {
    let test = "a_program_that_cannot_be_traced_to_its_end_is_warned_of";
    let summary = |options: &[&str], program: &str, variable: Option<&str>| {
        let mut command = introspect();
        command.args(["summary", "-o", "/dev/null"]).args(options);
        command.args(["--", program]);
        command
            .env_remove("ASAN_OPTIONS")
            .env_remove("LSAN_OPTIONS");
        if let Some(variable) = variable {
            command.env(variable, "verbosity=0:detect_leaks=0");
        }
        finish(command)
    };
    let sorts: [&[&str]; 4] = [
        &["-fsanitize=address", "-s"],
        &["-fsanitize=leak"],
        &["-fsanitize=address", "-static-libasan", "-s"],
        &["-fsanitize=leak", "-static-liblsan", "-s"],
    ];
    for options in sorts {
        let Some((_dir, program)) = compiled(test, "return malloc(1) == 0;", options) else {
            continue;
        };
        let warned = summary(&[], &program, None).stderr;
        let line = format!("introspect: {program} has LeakSanitizer, ");
        assert!(warned.starts_with(&line), "{options:?}: {warned}");
        for way in ["--after TIME", "ASAN_OPTIONS=detect_leaks=0"] {
            assert!(warned.contains(way), "{warned}");
        }
        // Both alternatives keep the program's status and print no warning.
        for variable in ["ASAN_OPTIONS", "LSAN_OPTIONS"] {
            let run = summary(&[], &program, Some(variable));
            assert!(!run.stderr.contains("introspect:"), "{run:?}");
        }
        let own = Command::new(&program).output().unwrap().status.code();
        let run = summary(&["--on", "USR1"], &program, None);
        assert_eq!(Some(run.status), own, "{run:?}");
        assert!(!run.stderr.contains("introspect:"), "{run:?}");
    }
    // A program without leaks fails as well while it is traced.
    if let Some((_dir, program)) = compiled(test, "return 0;", &["-fsanitize=address"]) {
        let run = summary(&[], &program, Some("ASAN_OPTIONS"));
        assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{run:?}");
        assert_ne!(summary(&[], &program, None).status, 0);
    }
    let run = summary(&[], "true", None);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{run:?}");
}
