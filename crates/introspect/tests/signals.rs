//! Signals to the command while its program runs: the program receives them, the command
//! ends soon, and no process stays stopped or traced, and no file stays behind.

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use support::{introspect, with_usual_signals, Running};
use tempfile::TempDir;
use testkit::machine::is_root_or_skip;
use testkit::memory;
use testkit::random::Random;
use testkit::scale::scaled;
use testkit::target::Target;

/// Longest wait.
const LIMIT: Duration = Duration::from_secs(30);

/// Time in which a program can end by a signal.
const PATIENCE: Duration = Duration::from_millis(500);

const SIGNALS: [i32; 4] = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM];

/// Moments at which a program is walked.
const MOMENTS: [&[&str]; 3] = [&[], &["--after", "1h"], &["--on", "USR1"]];

fn kill(pid: u32, signal: i32) {
    // SAFETY: takes no memory; the process is not reaped.
    assert_eq!(unsafe { libc::kill(pid as i32, signal) }, 0);
}

/// Starts `introspect summary` with these options on a shell's line.
fn started(options: &[&str], line: &str) -> Running {
    let mut command = introspect();
    command.arg("summary").args(options);
    command.args(["--", "sh", "-c", line]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    Running(command.stderr(Stdio::null()).spawn().unwrap())
}

fn line_of(output: &mut impl BufRead) -> String {
    let mut line = String::new();
    assert!(output.read_line(&mut line).unwrap() > 0, "it says a line");
    line.trim().to_owned()
}

/// Waits for the end of a command. Its standard input stays open.
#[track_caller]
fn ended(child: &mut Child) -> ExitStatus {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(begun.elapsed() < LIMIT, "it does not end");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Returns the fields of a process's status, by name.
fn field(pid: u32, name: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let mut lines = status.lines();
    let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(value.trim().to_owned())
}

/// Returns whether a process is neither traced nor stopped, or has ended.
fn is_free(pid: u32) -> bool {
    let tracer = field(pid, "TracerPid");
    let state = field(pid, "State");
    tracer.is_none_or(|tracer| tracer == "0")
        && state.is_none_or(|state| !state.starts_with(['t', 'T']))
}

#[track_caller]
fn wait_until(what: &str, reached: impl Fn() -> bool) {
    let begun = Instant::now();
    while !reached() {
        assert!(begun.elapsed() < LIMIT, "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A program that prints its PID and becomes `cat`, which runs while its input is open.
const CAT: &str = "echo $$; exec cat";

#[test]
fn a_program_gets_the_signal_and_its_end_counts() {
    for moment in MOMENTS {
        for signal in SIGNALS {
            let mut running = started(moment, CAT);
            let mut output = BufReader::new(running.0.stdout.take().unwrap());
            line_of(&mut output);
            kill(running.0.id(), signal);
            let status = ended(&mut running.0);
            assert_eq!(status.code(), Some(128 + signal), "{moment:?}");
        }
        // It ends after a moment with any status.
        let line = "trap 'sleep 0.2; exit 7' TERM; echo $$; while :; do sleep 0.02; done";
        let mut running = started(moment, line);
        let mut output = BufReader::new(running.0.stdout.take().unwrap());
        line_of(&mut output);
        kill(running.0.id(), libc::SIGTERM);
        assert_eq!(ended(&mut running.0).code(), Some(7), "{moment:?}");
    }
}

#[test]
fn a_program_that_a_signal_ends_is_still_walked() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("out.json");
    let options = ["--format", "json", "-o", file.to_str().unwrap()];
    let mut running = started(&options, CAT);
    line_of(&mut BufReader::new(running.0.stdout.take().unwrap()));
    kill(running.0.id(), libc::SIGTERM);
    assert_eq!(ended(&mut running.0).code(), Some(128 + libc::SIGTERM));
    let records: Vec<serde_json::Value> =
        serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(records.len(), 1);
}

#[test]
fn a_program_that_goes_on_is_left_to_itself_in_time() {
    for moment in MOMENTS {
        for signal in SIGNALS {
            let line = format!("trap '' HUP INT QUIT TERM; {CAT}");
            let mut running = started(moment, &line);
            let mut output = BufReader::new(running.0.stdout.take().unwrap());
            let program: u32 = line_of(&mut output).parse().unwrap();
            let sent = Instant::now();
            kill(running.0.id(), signal);
            let status = ended(&mut running.0);
            assert_eq!(status.code(), Some(128 + signal), "{moment:?}");
            assert!(sent.elapsed() >= PATIENCE, "{:?}", sent.elapsed());
            assert!(sent.elapsed() < 10 * PATIENCE, "{:?}", sent.elapsed());
            wait_until("it is free", || is_free(program));
            // It still runs as before.
            let stdin = running.0.stdin.as_mut().unwrap();
            stdin.write_all(b"still there\n").unwrap();
            assert_eq!(line_of(&mut output), "still there");
            drop(running.0.stdin.take());
            assert_eq!(output.read_to_string(&mut String::new()).unwrap(), 0);
        }
    }
}

#[test]
fn a_program_that_is_stopped_stays_stopped() {
    for moment in MOMENTS {
        let mut running = started(moment, CAT);
        let mut output = BufReader::new(running.0.stdout.take().unwrap());
        let program: u32 = line_of(&mut output).parse().unwrap();
        // It is `cat` by now and waits: the signal stops it.
        let stdin = running.0.stdin.as_mut().unwrap();
        stdin.write_all(b"there\n").unwrap();
        assert_eq!(line_of(&mut output), "there");
        kill(program, libc::SIGSTOP);
        let stopped = || field(program, "State").is_some_and(|it| it.starts_with(['t', 'T']));
        wait_until("it stops", stopped);
        kill(running.0.id(), libc::SIGINT);
        assert_eq!(ended(&mut running.0).code(), Some(128 + libc::SIGINT));
        let is_untraced = || field(program, "TracerPid").as_deref() == Some("0");
        let what = format!("{moment:?}: process {program} is let go");
        wait_until(&what, is_untraced);
        // From the tracer's stop to its own.
        wait_until("it is stopped", stopped);
        // The signal is pending when it continues.
        kill(program, libc::SIGCONT);
        assert_eq!(output.read_to_string(&mut String::new()).unwrap(), 0);
    }
}

#[test]
fn sighup_stays_ignored_where_it_was() {
    for moment in MOMENTS {
        let mut command = introspect();
        // The effect of nohup.
        let ignore = || {
            // SAFETY: one system call.
            unsafe { libc::signal(libc::SIGHUP, libc::SIG_IGN) };
            Ok(())
        };
        // SAFETY: it allocates nothing and takes no lock.
        unsafe { command.pre_exec(ignore) };
        command.arg("summary").args(moment);
        command.args(["--", "sh", "-c", CAT]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut running = Running(command.stderr(Stdio::null()).spawn().unwrap());
        let mut output = BufReader::new(running.0.stdout.take().unwrap());
        let program: u32 = line_of(&mut output).parse().unwrap();
        kill(running.0.id(), libc::SIGHUP);
        kill(program, libc::SIGHUP);
        std::thread::sleep(PATIENCE + PATIENCE);
        let stdin = running.0.stdin.as_mut().unwrap();
        stdin.write_all(b"still there\n").unwrap();
        assert_eq!(line_of(&mut output), "still there");
        assert_eq!(running.0.try_wait().unwrap(), None);
        kill(running.0.id(), libc::SIGTERM);
        assert_eq!(ended(&mut running.0).code(), Some(128 + libc::SIGTERM));
    }
}

/// Standard error is a full socket without reader.
#[test]
fn a_report_that_hangs_does_not_keep_the_command() {
    if !is_root_or_skip("a_report_that_hangs_does_not_keep_the_command") {
        return;
    }
    for moment in [&[][..], &["--on", "USR1"], &["--after", "10ms"]] {
        let mut command = introspect();
        command.args(["physical", "--format", "json"]).args(moment);
        command.args(["--", "sh", "-c", CAT]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let (reader, mut writer) = UnixStream::pair().unwrap();
        writer.set_nonblocking(true).unwrap();
        while writer.write(&[0; 4096]).is_ok() {}
        writer.set_nonblocking(false).unwrap();
        command.stderr(OwnedFd::from(writer));
        let mut running = Running(command.spawn().unwrap());
        drop(command);
        let mut output = BufReader::new(running.0.stdout.take().unwrap());
        let program: u32 = line_of(&mut output).parse().unwrap();
        match moment.first() {
            // Its exit, at which it is walked.
            None => drop(running.0.stdin.take()),
            Some(&"--on") => kill(running.0.id(), libc::SIGUSR1),
            _ => {}
        }
        let is_blocked = || {
            let tasks = fs::read_dir(format!("/proc/{}/task", running.0.id()));
            tasks.unwrap().flatten().any(|task| {
                let call = fs::read_to_string(task.path().join("syscall"));
                call.is_ok_and(|call| call.starts_with(&format!("{} ", libc::SYS_write)))
            })
        };
        wait_until("the report is blocked", is_blocked);
        let sent = Instant::now();
        kill(running.0.id(), libc::SIGTERM);
        let status = ended(&mut running.0);
        assert_eq!(status.code(), Some(128 + libc::SIGTERM), "{moment:?}");
        assert!(sent.elapsed() < 10 * PATIENCE, "{:?}", sent.elapsed());
        // The program has received the signal, or has ended.
        let gone = || !Path::new(&format!("/proc/{program}")).exists() || is_zombie(program);
        wait_until("the program ends", gone);
        drop(reader);
    }
}

/// Stops only the first thread of a child, the one that walks.
fn hang(child: &Child) {
    let pid = child.id() as i32;
    // SAFETY: these requests take no memory.
    unsafe {
        assert_eq!(libc::ptrace(libc::PTRACE_SEIZE, pid, 0usize, 0usize), 0);
        assert_eq!(libc::ptrace(libc::PTRACE_INTERRUPT, pid, 0usize, 0usize), 0);
    }
    // SAFETY: the call takes no memory. It takes the stop.
    let stopped = unsafe { libc::waitpid(pid, std::ptr::null_mut(), libc::__WALL) };
    assert_eq!(stopped, pid);
}

#[test]
fn a_walk_that_hangs_is_ended_and_leaves_no_file_behind() {
    if !is_root_or_skip("a_walk_that_hangs_is_ended_and_leaves_no_file_behind") {
        return;
    }
    // More records than can be written before it is stopped.
    let size = 256u64 << 30;
    let target = Target::spawn(|| vec![memory::anonymous(size)]);
    let (pid, range) = (target.pid(), format!("{:x}+{size}", target.addresses()[0]));
    for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGTERM] {
        let dir = TempDir::new().unwrap();
        let files = || fs::read_dir(dir.path()).unwrap().count();
        let mut command = introspect();
        command.args(["pagetable", &pid.to_string(), &range]);
        command
            .args(["--format", "csv", "-o"])
            .arg(dir.path().join("out"));
        let mut running = Running(command.stdin(Stdio::null()).spawn().unwrap());
        wait_until("the file is begun", || files() == 1);
        hang(&running.0);
        let sent = Instant::now();
        kill(running.0.id(), signal);
        let status = ended(&mut running.0);
        assert_eq!(status.signal(), Some(signal), "{status:?}");
        assert!(sent.elapsed() >= PATIENCE, "{:?}", sent.elapsed());
        assert!(sent.elapsed() < 10 * PATIENCE, "{:?}", sent.elapsed());
        assert_eq!(files(), 0);
    }
}

/// The first thread of the command handles events and walks.
#[test]
fn a_command_that_hangs_is_ended_beside_its_program() {
    for moment in MOMENTS {
        let line = format!("trap '' TERM; {CAT}");
        let mut running = started(moment, &line);
        let mut output = BufReader::new(running.0.stdout.take().unwrap());
        let program: u32 = line_of(&mut output).parse().unwrap();
        hang(&running.0);
        kill(running.0.id(), libc::SIGTERM);
        let status = ended(&mut running.0);
        assert_eq!(status.code(), Some(128 + libc::SIGTERM), "{moment:?}");
        wait_until("it is free", || is_free(program));
        drop(running.0.stdin.take());
        assert_eq!(output.read_to_string(&mut String::new()).unwrap(), 0);
    }
}

fn is_zombie(pid: u32) -> bool {
    field(pid, "State").is_none_or(|state| state.starts_with('Z'))
}

/// Returns the start time of a process, in the kernel's ticks (proc_pid_stat(5)).
fn start(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let after_name = stat.rsplit(") ").next()?;
    after_name.split(' ').nth(19)?.parse().ok()
}

/// Returns the processes with this word among their arguments. Processes older than this
/// one are not read: reading arguments can wait for an mmap lock.
fn with_argument(word: &str) -> Vec<u32> {
    let own = start(std::process::id());
    let pids = fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse::<u32>().ok()?;
            if start(pid) < own {
                return None;
            }
            let line = fs::read(entry.path().join("cmdline")).ok()?;
            let mut words = line.split(|&byte| byte == 0);
            words.any(|found| found == word.as_bytes()).then_some(pid)
        });
    pids.collect()
}

/// Lines of a shell for several kinds of programs. `$0` is a word that identifies the
/// processes that remain.
const PROGRAMS: [&str; 8] = [
    // Programs that end by the signal, ignore it, or need a moment.
    "exec sh -c 'while :; do sleep 0.01; done' $0",
    "trap '' HUP INT TERM; exec sh -c 'sleep 0.05; sleep 2' $0",
    "trap 'sleep 0.1; exit 7' HUP INT TERM; while :; do sleep 0.01; done",
    // Programs in their own session, process group or namespace.
    "exec setsid sh -c 'while :; do sleep 0.01; done' $0",
    "exec timeout 2 sh -c 'while :; do sleep 0.01; done' $0",
    "exec unshare --fork --pid sh -c 'sleep 0.03' $0",
    // Programs that leave a process behind, or end by themselves.
    "setsid sh -c 'sleep 0.7' $0 & sleep 0.04; exit 7",
    "set -m; sleep 0.01 & wait; exit 7",
];

#[test]
fn a_signal_at_any_moment_leaves_nothing_traced_stopped_or_behind() {
    let is_root = is_root_or_skip("programs in a PID namespace of their own");
    let mut random = Random::new(5);
    let signals = [libc::SIGHUP, libc::SIGINT, libc::SIGTERM, libc::SIGKILL];
    let moments: [&[&str]; 4] = [
        &[],
        &["--after", "20ms"],
        &["--after", "10ms", "--freeze"],
        &["--on", "USR1"],
    ];
    for round in 0..scaled(96) {
        let program = PROGRAMS[round as usize % PROGRAMS.len()];
        if program.contains("unshare") && !is_root {
            continue;
        }
        let moment = moments[random.below(moments.len() as u64) as usize];
        let signal = signals[random.below(signals.len() as u64) as usize];
        let delay = Duration::from_micros(random.below(60_000));
        let what = format!("round {round}: {program}, {moment:?}, signal {signal}, {delay:?}");
        let word = format!("signals-{}-{round}", std::process::id());
        let dir = TempDir::new().unwrap();
        let mut command = introspect();
        command.args(["summary", "-o"]).arg(dir.path().join("out"));
        command
            .args(moment)
            .args(["--", "sh", "-c", program, &word]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(Stdio::null()).process_group(0);
        let mut running = Running(command.spawn().unwrap());
        std::thread::sleep(delay);
        kill(running.0.id(), signal);
        let sent = Instant::now();
        let status = ended(&mut running.0);
        assert!(
            sent.elapsed() < 10 * PATIENCE,
            "{what}: {:?}",
            sent.elapsed()
        );
        // Ended by the signal before the program was started; otherwise the program's
        // status or the signal's. 125: the program ended before it was walked.
        let is_due = match (status.signal(), status.code()) {
            (Some(by), _) => by == signal,
            (_, Some(code)) => code == 128 + signal || [0, 7, 125].contains(&code),
            _ => false,
        };
        assert!(is_due, "{what}: {status:?}");
        // Remaining processes are neither stopped nor traced.
        wait_until(&what, || with_argument(&word).into_iter().all(is_free));
        if signal != libc::SIGKILL {
            let left: Vec<_> = fs::read_dir(dir.path()).unwrap().flatten().collect();
            let others = left.iter().filter(|entry| entry.file_name() != "out");
            assert_eq!(others.count(), 0, "{what}: {left:?}");
        }
        // Repeated, because they start others.
        let is_gone = |pid: u32| {
            // SAFETY: takes no memory. It has this test's word.
            unsafe { libc::kill(pid as i32, libc::SIGKILL) };
            is_zombie(pid)
        };
        wait_until(&what, || with_argument(&word).into_iter().all(is_gone));
    }
}

/// Starts a shell's line on a terminal; `introspect` is the command under test.
fn on_terminal(test: &str, line: &str) -> Option<Running> {
    let there = Command::new("script").arg("--version").output();
    if !there.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED {test}: needs util-linux's script");
        return None;
    }
    let program = env!("CARGO_BIN_EXE_introspect");
    let line = format!("introspect() {{ '{program}' \"$@\"; }}; {line}");
    let mut command = with_usual_signals("script");
    command.args(["-qec", &line, "/dev/null"]);
    command.env("SHELL", "/bin/bash").env("TERM", "xterm");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    Some(Running(command.spawn().unwrap()))
}

/// ^C reaches a program of the terminal's process group once directly, and a program that
/// left it once through the command.
#[test]
fn the_terminals_interrupt_reaches_a_program_once() {
    let test = "the_terminals_interrupt_reaches_a_program_once";
    let dir = TempDir::new().unwrap();
    let fifo = dir.path().join("fifo");
    let made = Command::new("mkfifo").arg(&fifo).status();
    assert!(made.unwrap().success());
    // Without programs of its own: a shell can leave out a trap for a signal that arrives
    // while one ends.
    let counts = format!(
        "exec 3<>{}; n=; trap \"echo got; n=1\" INT; echo ready; i=0; \
         until [ $n ] || [ $i = 600 ]; do read -t 0.05 -u 3; i=$((i + 1)); done; \
         for i in 1 2 3 4 5 6; do read -t 0.05 -u 3; done; echo done; exit 7",
        fifo.display()
    );
    // The outer shell must not end by a ^C that arrives while it is busy.
    for program in ["bash", "setsid bash"] {
        for moment in ["", "--on USR1"] {
            let line = format!(
                "trap : INT; introspect summary {moment} -o /dev/null -- {program} -c '{counts}'; echo status $?"
            );
            let Some(mut running) = on_terminal(test, &line) else {
                return;
            };
            let mut output = BufReader::new(running.0.stdout.take().unwrap());
            let mut seen = String::new();
            while !seen.contains("ready") {
                seen = line_of(&mut output);
            }
            let stdin = running.0.stdin.as_mut().unwrap();
            stdin.write_all(b"\x03").unwrap();
            while !seen.contains("done") {
                seen += &line_of(&mut output);
            }
            assert_eq!(seen.matches("got").count(), 1, "{program} {moment}: {seen}");
            assert_eq!(line_of(&mut output), "status 7", "{program} {moment}");
            ended(&mut running.0);
        }
    }
}

#[test]
fn a_shell_with_job_control_is_followed() {
    let test = "a_shell_with_job_control_is_followed";
    let line = "introspect summary -o /dev/null -- \
        bash --norc -ic 'sleep 0.01; sleep 0.01 & wait; echo jobs; exit 9'; echo status $?";
    let Some(mut running) = on_terminal(test, line) else {
        return;
    };
    let mut text = String::new();
    let mut output = running.0.stdout.take().unwrap();
    output.read_to_string(&mut text).unwrap();
    ended(&mut running.0);
    assert!(text.contains("jobs") && text.contains("status 9"), "{text}");
}
