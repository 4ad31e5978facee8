//! Runs the test programs and prints the result of each test: a line `ok NAME`,
//! `skipped NAME: WHY` or `FAILED NAME`, and one closing line. `/tests` contains Rust
//! test programs, `/cases` programs that list their cases and run one.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::command_line::Words;
use crate::machine;

/// Maximum duration of a test program or case.
const LIMIT: Duration = Duration::from_secs(300);

/// Number of tests by result.
#[derive(Default)]
struct Counts {
    ok: usize,
    skipped: usize,
    failed: usize,
}

impl Counts {
    fn ok(&mut self, name: &str) {
        println!("ok {name}");
        self.ok += 1;
    }

    fn skipped(&mut self, name: &str, why: &str) {
        println!("skipped {name}: {}", why.replace('\n', " "));
        self.skipped += 1;
    }

    fn failed(&mut self, name: &str, why: &str) {
        println!("FAILED {name}");
        for line in why.lines() {
            println!("    {line}");
        }
        self.failed += 1;
    }
}

/// Runs everything and returns the closing line.
pub(crate) fn run(words: &Words) -> String {
    let mut counts = Counts::default();
    let scale = words.value("scale").unwrap_or("1");
    let program = |path: &Path| {
        let mut command = Command::new(path);
        command
            .current_dir("/tmp")
            .env_clear()
            .env("PATH", "/bin")
            .env("INTROSPECTION_TEST_SCALE", scale)
            .envs(words.values("env").filter_map(|both| both.split_once('=')));
        command
    };
    let chosen = words.value("program");
    for path in programs("/tests", chosen) {
        let begun = Instant::now();
        let mut command = program(&path);
        command.args(["--show-output", "--test-threads=2"]);
        rust_tests(&name_of(&path), command, &mut counts);
        print_time(&name_of(&path), begun);
    }
    for path in programs("/cases", chosen) {
        let begun = Instant::now();
        cases(&path, program, &mut counts);
        print_time(&name_of(&path), begun);
    }
    let Counts {
        ok,
        skipped,
        failed,
    } = counts;
    let about = machine::about();
    format!("vmtest: closing ok={ok} failed={failed} skipped={skipped} {about}")
}

/// Runs `/program` instead, on the console; returns the closing line.
pub(crate) fn one_program() -> String {
    match Command::new("/program").status() {
        Ok(status) => format!("vmtest: closing: {status}"),
        Err(error) => format!("vmtest: closing: {error}"),
    }
}

fn print_time(name: &str, begun: Instant) {
    let seconds = begun.elapsed().as_secs_f64();
    println!("vmtest: {name} took {seconds:.1} s");
}

/// Programs in a directory: all, or the one with this name.
fn programs(directory: &str, chosen: Option<&str>) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut programs: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    programs.retain(|path| chosen.is_none_or(|chosen| name_of(path) == chosen));
    programs.sort();
    programs
}

fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// Output and exit status of a program.
struct Ended {
    status: Option<libc::c_int>,
    output: String,
}

/// Runs a program; it is killed after [`LIMIT`] and then has no status.
fn run_program(mut command: Command) -> io::Result<Ended> {
    const OUTPUT: &str = "/output";
    let output = File::create(OUTPUT)?;
    // A session of its own. Orphans become children of this process; in its session
    // the kernel would send SIGHUP to a process group with stopped members whenever
    // an orphan ends (kernel/exit.c, `kill_orphaned_pgrp`, 6.12).
    // SAFETY: makes one system call.
    unsafe {
        command.pre_exec(|| match libc::setsid() {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        })
    };
    let child = command
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn()?;
    let until = Instant::now() + LIMIT;
    let status = loop {
        let mut status = 0;
        // SAFETY: writes to a live integer. Process 1 reaps every child.
        let ended = unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG) };
        if ended == child.id() as libc::pid_t {
            break Some(status);
        }
        if ended > 0 {
            continue;
        }
        if Instant::now() > until {
            // SAFETY: `status` is a live integer, and the PID is that of a child that
            // is not reaped yet.
            unsafe {
                libc::kill(-(child.id() as libc::pid_t), libc::SIGKILL);
                libc::waitpid(child.id() as libc::pid_t, &mut status, 0);
            }
            break None;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let output = String::from_utf8_lossy(&fs::read(OUTPUT)?).into_owned();
    Ok(Ended { status, output })
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// Runs one Rust test program and reads the report of its harness.
fn rust_tests(name: &str, command: Command, counts: &mut Counts) {
    let ended = match run_program(command) {
        Ok(ended) => ended,
        Err(error) => return counts.failed(name, &error.to_string()),
    };
    let output = &ended.output;
    let mut failed_before = counts.failed;
    for line in output.lines() {
        let result = line.strip_prefix("test ").and_then(|rest| {
            let (test, result) = rest.rsplit_once(" ... ")?;
            // "test x - should panic" and the like.
            Some((test.split(' ').next().unwrap_or(test), result))
        });
        let Some((test, result)) = result else {
            continue;
        };
        let full = format!("{name}::{test}");
        match (result, said(output, test)) {
            ("ok", Some(why)) => counts.skipped(&full, &why),
            ("ok", None) => {
                counts.ok(&full);
                // Numbers that the test has measured.
                for line in section(output, test).unwrap_or_default().lines() {
                    println!("    {line}");
                }
            }
            ("FAILED", _) => counts.failed(&full, section(output, test).unwrap_or_default()),
            // `ignored`: a part of another test.
            _ => {}
        }
    }
    failed_before = counts.failed - failed_before;
    match ended.status {
        Some(0) => {}
        Some(_) if failed_before > 0 => {}
        Some(status) => {
            let tail = last_lines(output, 30);
            counts.failed(name, &format!("ended with status {status:#x}\n{tail}"));
        }
        None => {
            let tail = last_lines(output, 30);
            let seconds = LIMIT.as_secs();
            counts.failed(name, &format!("not done within {seconds} s\n{tail}"));
        }
    }
}

/// Output of a test, from the harness's report.
fn section<'a>(output: &'a str, test: &str) -> Option<&'a str> {
    let title = format!("---- {test} stdout ----\n");
    let from = output.find(&title)? + title.len();
    let section = &output[from..];
    let to = section.find("\n---- ").unwrap_or(section.len());
    let section = &section[..to];
    let to = section.find("\nsuccesses:\n").unwrap_or(section.len());
    Some(&section[..to])
}

/// Reason why a test, or a part of it, was skipped.
fn said(output: &str, test: &str) -> Option<String> {
    let mut lines = section(output, test)?.lines();
    lines.find_map(|line| {
        let why = line.strip_prefix("SKIPPED")?;
        Some(why.trim_start_matches(':').trim_start().to_owned())
    })
}

/// Runs a program's cases one by one.
fn cases(path: &Path, program: impl Fn(&Path) -> Command, counts: &mut Counts) {
    let name = name_of(path);
    let listed = match run_program(program(path)) {
        Ok(listed) if listed.status == Some(0) && !listed.output.is_empty() => listed.output,
        Ok(listed) => return counts.failed(&name, &format!("lists no cases: {}", listed.output)),
        Err(error) => return counts.failed(&name, &error.to_string()),
    };
    for case in listed.lines() {
        let full = format!("{name}::{case}");
        // Cases inspect their parent, which must have the same word size.
        let mut command = program(Path::new("/bin/parent"));
        command.arg(path).arg(case);
        match run_program(command) {
            Err(error) => counts.failed(&full, &error.to_string()),
            Ok(Ended { status, output }) => match status {
                Some(0) => counts.ok(&full),
                // Exit status 77: not possible on this machine.
                Some(status) if libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 77 => {
                    counts.skipped(&full, output.trim());
                }
                Some(status) => counts.failed(&full, &format!("status {status:#x}\n{output}")),
                None => counts.failed(&full, &format!("not done in time\n{output}")),
            },
        }
    }
}
