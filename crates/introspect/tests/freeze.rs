//! `--freeze`: the target is frozen during the walk, and always continues.

mod support;

use std::fs;
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::{fail, finish, introspect, run, Running, Waiting};
use tempfile::TempDir;
use testkit::machine::is_root_or_skip;
use testkit::memory;
use testkit::target::Target;

const LIMIT: Duration = Duration::from_secs(60);

/// Returns the state of a process, as ps shows it.
fn state(pid: u32) -> String {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(") ").next().unwrap_or_default();
    state.chars().take(1).collect()
}

#[track_caller]
fn wait_until(reached: impl Fn() -> bool) {
    let begun = Instant::now();
    while !reached() {
        assert!(begun.elapsed() < LIMIT, "it does not come about");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn kill(pid: impl std::fmt::Display, signal: &str) {
    let line = format!("kill -{signal} {pid}");
    let sent = Command::new("sh").args(["-c", &line]).status();
    assert!(sent.unwrap().success());
}

/// Starts a target whose walk takes long.
fn large() -> (Target, String) {
    let size = 256u64 << 30;
    let target = Target::spawn(|| vec![memory::anonymous(size)]);
    let range = format!("{:x}+{size}", target.addresses()[0]);
    (target, range)
}

/// Starts a walk in a separate process group.
fn walking(target: &Target, range: &str) -> Running {
    let mut command = introspect();
    command.args(["pagetable", &target.pid().to_string(), range, "--freeze"]);
    command.args(["--format", "csv"]).process_group(0);
    let command = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let walking = Running(command.spawn().unwrap());
    wait_until(|| state(target.pid()) == "T");
    walking
}

#[test]
fn every_walk_can_stop_its_target_and_says_for_how_long() {
    let root = is_root_or_skip("--freeze with physical addresses");
    let target = Target::spawn(|| {
        let at = memory::anonymous(8 * memory::page());
        memory::touch(at, 8, 1);
        vec![at]
    });
    let (pid, at) = (target.pid().to_string(), target.addresses()[0]);
    let range = format!("{at:x}+{}", 8 * memory::page());
    let mut walks = vec![
        vec!["virtual", &pid],
        vec!["resident", &pid],
        vec!["read", &pid, &range, "--hex"],
    ];
    if root {
        walks.push(vec!["physical", &pid]);
        walks.push(vec!["extents", &pid, &range]);
        walks.push(vec!["pagetable", &pid, &range]);
    }
    for mut walk in walks {
        let plain = run(&walk);
        walk.push("--freeze");
        let frozen = run(&walk);
        assert_eq!(frozen.status, 0, "{frozen:?}");
        assert_eq!(frozen.stdout, plain.stdout, "{walk:?}");
        let beginning = format!("introspect: process {pid} was frozen for ");
        assert!(frozen.stderr.starts_with(&beginning), "{frozen:?}");
        assert!(frozen.stderr.ends_with("s\n"), "{frozen:?}");
        assert_eq!(frozen.stderr.lines().count(), 1, "{frozen:?}");
        wait_until(|| state(target.pid()) == "S");
    }
}

#[test]
fn the_target_runs_on_however_the_command_ends() {
    if !is_root_or_skip("the_target_runs_on_however_the_command_ends") {
        return;
    }
    let (target, range) = large();
    // A panic ends the command by SIGABRT.
    let signals = [
        ("KILL", 9),
        ("ABRT", 6),
        ("INT", 2),
        ("TERM", 15),
        ("HUP", 1),
        ("PIPE", 13),
    ];
    for (signal, number) in signals {
        let mut walking = walking(&target, &range);
        kill(walking.0.id(), signal);
        if signal == "PIPE" {
            // A Rust program ignores this signal.
            assert_eq!(walking.0.try_wait().unwrap(), None);
            kill(walking.0.id(), "KILL");
            walking.0.wait().unwrap();
        } else {
            assert_eq!(walking.0.wait().unwrap().signal(), Some(number));
        }
        wait_until(|| state(target.pid()) == "S");
    }
}

#[test]
fn the_target_runs_on_when_the_whole_process_group_is_killed() {
    if !is_root_or_skip("the_target_runs_on_when_the_whole_process_group_is_killed") {
        return;
    }
    let (target, range) = large();
    let mut walking = walking(&target, &range);
    kill(format!("-{}", walking.0.id()), "KILL");
    walking.0.wait().unwrap();
    wait_until(|| state(target.pid()) == "S");
}

#[test]
fn the_target_runs_on_when_the_walk_fails() {
    let target = Target::spawn(|| {
        let at = memory::anonymous(2 * memory::page());
        memory::unmap(at + memory::page(), memory::page());
        vec![at]
    });
    let (pid, at) = (target.pid().to_string(), target.addresses()[0]);
    let range = format!("{at:x}+{}", 2 * memory::page());
    for arguments in [
        &["read", &pid, &range, "--raw", "--freeze"][..],
        &["virtual", &pid, "--mapping", "no such thing", "--freeze"],
        &["virtual", &pid, "--freeze", "-o", "/no/such/dir/file"],
        &["virtual", &pid, "--freeze", "-o", "/dev/full"],
    ] {
        let failed = run(arguments);
        assert_eq!(failed.status, 1, "{failed:?}");
        wait_until(|| state(target.pid()) == "S");
        if arguments[0] == "read" {
            // The records before the failure are written.
            assert_eq!(failed.stdout.len() as u64, memory::page());
        }
    }
}

#[test]
fn a_target_that_was_stopped_stays_stopped() {
    let target = Target::spawn(Vec::new);
    let pid = target.pid();
    kill(pid, "STOP");
    wait_until(|| state(pid) == "T");
    let walk = run(&["virtual", &pid.to_string(), "--freeze"]);
    assert_eq!(walk.status, 0, "{walk:?}");
    assert_eq!(
        walk.stderr,
        format!("introspect: process {pid} was stopped before, and stays so\n")
    );
    assert_eq!(state(pid), "T");
}

#[test]
fn a_reader_who_takes_his_time_keeps_nobody_standing() {
    if !is_root_or_skip("a_reader_who_takes_his_time_keeps_nobody_standing") {
        return;
    }
    // A zero page is a record: the text is far larger than a pipe.
    const PAGES: u64 = 50_000;
    let target = Target::spawn(|| {
        let at = memory::anonymous(PAGES * memory::page());
        memory::read(at, PAGES);
        vec![at]
    });
    let mut command = introspect();
    command.args([
        "physical",
        &target.pid().to_string(),
        "--freeze",
        "--no-fold",
    ]);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command.stderr(Stdio::piped());
    let mut walking = Running(command.spawn().unwrap());
    // Written when the process continues, before a record was read.
    let mut said = vec![0; 12];
    let mut stderr = walking.0.stderr.take().unwrap();
    stderr.read_exact(&mut said).unwrap();
    assert_eq!(said, b"introspect: ");
    wait_until(|| state(target.pid()) == "S");
    assert_eq!(walking.0.try_wait().unwrap(), None, "the pipe is full");
    let mut text = String::new();
    let mut stdout = walking.0.stdout.take().unwrap();
    stdout.read_to_string(&mut text).unwrap();
    assert!(text.lines().count() as u64 > PAGES);
    assert!(walking.0.wait().unwrap().success());
}

#[test]
fn the_command_itself_is_refused_and_its_parent_is_not() {
    let refused = fail(&["virtual", "self", "--freeze"]);
    assert!(
        refused.contains("it is the calling process itself"),
        "{refused}"
    );
    let mut shell = Command::new("sh");
    let program = env!("CARGO_BIN_EXE_introspect");
    // The shell also reads the output.
    let line = format!("n=$('{program}' virtual $$ --freeze | wc -l); test \"$n\" -gt 5");
    shell.args(["-c", &line]);
    let run = finish(shell);
    assert_eq!(run.status, 0, "{run:?}");
    assert!(run.stderr.contains(" was frozen for "), "{run:?}");
}

#[test]
fn a_file_is_complete_and_the_target_runs_on() {
    let waiting = Waiting::named("cat");
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("out.json");
    let path = file.to_str().unwrap();
    let pid = waiting.pid().to_string();
    let walk = run(&["virtual", &pid, "--freeze", "--format", "json", "-o", path]);
    assert_eq!((walk.status, walk.stdout.as_str()), (0, ""), "{walk:?}");
    let records: Vec<serde_json::Value> =
        serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert!(records.len() > 5);
    wait_until(|| state(waiting.pid()) == "S");
}

#[test]
fn the_terminal_that_shows_the_records_can_be_the_target() {
    let test = "the_terminal_that_shows_the_records_can_be_the_target";
    if !is_root_or_skip(test) {
        return;
    }
    let there = Command::new("script").arg("--version").output();
    if !there.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED {test}: needs util-linux's script");
        return;
    }
    // Far more text than a terminal buffers; the frozen process is its reader.
    let program = env!("CARGO_BIN_EXE_introspect");
    let line = format!("'{program}' pagetable $PPID --mapping /lib --freeze; echo status $?");
    let mut command = Command::new("timeout");
    command.args(["60", "script", "-qec", &line, "/dev/null"]);
    command.env("SHELL", "/bin/sh").env("TERM", "xterm");
    let run = finish(command);
    assert_eq!(run.status, 0, "{run:?}");
    assert!(run.stdout.len() > 16 << 10, "{} bytes", run.stdout.len());
    assert!(run.stdout.contains(" was frozen for "), "{}", run.stdout);
    assert!(run.stdout.contains("status 0"), "{}", run.stdout);
}

#[test]
fn what_has_no_memory_is_not_called_stopped() {
    let zombie = support::Zombie::new();
    let run = run(&["virtual", &zombie.pid().to_string(), "--freeze"]);
    let said = format!(
        "introspect: process {} was not frozen: it has no memory\n",
        zombie.pid()
    );
    assert_eq!(run.status, 0, "{run:?}");
    assert!(run.stderr.contains(&said), "{run:?}");
    assert!(!run.stderr.contains("stopped before"), "{run:?}");
}
