//! A program that was started is seen with all its memory before it ends, and
//! ends as it would have.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{channel, Receiver};
use std::time::{Duration, Instant};

use process_introspection::{LaunchError, Moment, Process, Program};
use testkit::memory;
use testkit::scale::scaled;

/// What the variable of this name tells the program to do.
const ROLE: &str = "PROCESS_INTROSPECTION_LAUNCH_ROLE";

/// Pages that the program touches for others to see.
const PAGES: u64 = 300;

/// No test but the program: this binary, started by the tests below with one
/// thread for tests, the first.
#[test]
fn the_program_of_the_other_tests() {
    let Ok(role) = std::env::var(ROLE) else {
        return;
    };
    let at = memory::anonymous(PAGES * memory::page());
    memory::touch(at, PAGES, 1);
    match role.as_str() {
        "exit" => std::process::exit(3),
        "killed" => kill(libc::SIGKILL),
        "aborts" => std::process::abort(),
        "thread-exits" => {
            std::thread::spawn(|| std::process::exit(4));
            std::thread::sleep(Duration::from_secs(60));
        }
        "threads-live-on" => {
            std::thread::spawn(|| {
                std::thread::sleep(Duration::from_millis(200));
                // SAFETY: takes no memory.
                unsafe { libc::_exit(5) };
            });
            // SAFETY: ends this thread only, whose stack stays mapped.
            unsafe { libc::syscall(libc::SYS_exit, 0) };
        }
        "both-at-once" => {
            static GO: AtomicBool = AtomicBool::new(false);
            std::thread::spawn(|| {
                while !GO.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
                // SAFETY: takes no memory.
                unsafe { libc::_exit(9) };
            });
            GO.store(true, Ordering::Relaxed);
            // SAFETY: ends this thread only, whose stack stays mapped.
            unsafe { libc::syscall(libc::SYS_exit, 0) };
        }
        "many-threads" => {
            for _ in 0..scaled(200) {
                let one = std::thread::spawn(|| std::thread::sleep(Duration::from_micros(10)));
                one.join().unwrap();
            }
            for _ in 0..8 {
                std::thread::spawn(|| std::thread::sleep(Duration::from_secs(60)));
            }
            std::process::exit(6);
        }
        "executes" => {
            let mut next = Command::new(std::env::current_exe().unwrap());
            next.args(ARGUMENTS).env(ROLE, "exit");
            // Not by the first thread, whose number it then takes over.
            let executed = std::thread::spawn(move || next.exec());
            panic!("{}", executed.join().unwrap());
        }
        "children" => {
            for _ in 0..3 {
                assert!(Command::new("true").status().unwrap().success());
            }
            std::process::exit(7);
        }
        "stops" => {
            // This thread, which is to get no further.
            // SAFETY: takes no memory.
            unsafe { libc::raise(libc::SIGSTOP) };
            std::process::exit(8);
        }
        role => panic!("{role}"),
    }
}

const ARGUMENTS: [&str; 5] = [
    "--exact",
    "the_program_of_the_other_tests",
    "--test-threads=1",
    "--nocapture",
    "--quiet",
];

fn kill(signal: i32) {
    // SAFETY: takes no memory.
    unsafe { libc::kill(libc::getpid(), signal) };
}

fn program(role: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(ARGUMENTS)
        .env(ROLE, role)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

const LIMIT: Duration = Duration::from_secs(60);

fn traced(command: Command) -> (Program, Receiver<Moment>) {
    let (send, moments) = channel();
    let program = Program::start_traced(command, || (), move |moment| drop(send.send(moment)));
    (program.expect("it starts"), moments)
}

/// The pages of mappings of exactly the size that the program makes, which are
/// in memory; and how the program ends.
fn seen(command: Command) -> (u64, ExitStatus) {
    let (program, moments) = traced(command);
    let mut pages = None;
    loop {
        match moments.recv_timeout(LIMIT).expect("it comes to its end") {
            Moment::AtExit(standing) => {
                assert_eq!(pages, None, "once");
                let process = Process::open(program.pid()).unwrap();
                let size = PAGES * memory::page();
                let regions = process.resident_regions(..).unwrap().map(Result::unwrap);
                let own = regions
                    .filter(|region| region.virt.size() >= size && region.backing.is_backed());
                pages = Some(own.map(|region| region.virt.size() / memory::page()).sum());
                standing.release();
            }
            Moment::Ended(status) => return (pages.expect("it was seen"), status.unwrap()),
            other => panic!("{other:?}"),
        }
    }
}

#[track_caller]
fn is_seen(role: &str) -> ExitStatus {
    let (pages, status) = seen(program(role));
    assert!(pages >= PAGES, "{role}: {pages} pages");
    status
}

#[test]
fn a_program_that_exits_is_seen_before() {
    assert_eq!(is_seen("exit").code(), Some(3));
}

#[test]
fn a_program_that_is_killed_is_seen_before() {
    assert_eq!(is_seen("killed").signal(), Some(libc::SIGKILL));
    assert_eq!(is_seen("aborts").signal(), Some(libc::SIGABRT));
}

#[test]
fn it_is_the_last_thread_that_ends_a_program() {
    assert_eq!(is_seen("thread-exits").code(), Some(4));
    assert_eq!(is_seen("threads-live-on").code(), Some(5));
    assert_eq!(is_seen("many-threads").code(), Some(6));
}

/// The first thread's stop at its end is lost when the program is killed then.
#[test]
fn a_thread_may_end_just_when_the_program_does() {
    for _ in 0..scaled(200) {
        assert!(matches!(is_seen("both-at-once").code(), Some(9)));
    }
}

#[test]
fn a_program_that_executes_another_is_seen_as_that() {
    assert_eq!(is_seen("executes").code(), Some(3));
}

#[test]
fn what_a_program_starts_is_its_own_affair() {
    assert_eq!(is_seen("children").code(), Some(7));
}

#[test]
fn a_program_that_is_killed_from_outside_is_seen_before() {
    let (program, moments) = traced({
        let mut command = Command::new("sleep");
        command.arg("60");
        command
    });
    // Before its exec is over there is nothing to see.
    wait_for_state(program.pid(), "S");
    // SAFETY: takes no memory; it cannot have been reaped.
    unsafe { libc::kill(program.pid() as i32, libc::SIGKILL) };
    let mut has_stood = false;
    loop {
        match moments.recv_timeout(LIMIT).unwrap() {
            Moment::AtExit(_standing) => has_stood = true,
            Moment::Ended(status) => {
                assert_eq!(status.unwrap().signal(), Some(libc::SIGKILL));
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(has_stood);
}

fn state(pid: u32) -> String {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(") ").next().unwrap_or_default();
    state.chars().take(1).collect()
}

fn wait_for_state(pid: u32, wanted: &str) {
    let begun = Instant::now();
    while state(pid) != wanted {
        assert!(begun.elapsed() < LIMIT);
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_stop_by_job_control_lasts_until_sigcont() {
    let (program, moments) = traced(program("stops"));
    // Held by the tracer, as at each exec and signal, but for longer.
    let mut since = Instant::now();
    let begun = since;
    while since.elapsed() < Duration::from_millis(200) {
        if state(program.pid()) != "t" {
            since = Instant::now();
        }
        assert!(begun.elapsed() < LIMIT);
        std::thread::sleep(Duration::from_millis(1));
    }
    let nothing = moments.recv_timeout(Duration::from_millis(100));
    assert!(nothing.is_err(), "{nothing:?}");
    // SAFETY: takes no memory; it cannot have been reaped.
    unsafe { libc::kill(program.pid() as i32, libc::SIGCONT) };
    assert!(matches!(moments.recv_timeout(LIMIT), Ok(Moment::AtExit(_))));
    match moments.recv_timeout(LIMIT) {
        Ok(Moment::Ended(Ok(status))) => assert_eq!(status.code(), Some(8)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_cannot_be_executed_is_an_error_and_leaves_nothing() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let not_executable = file.path().to_str().unwrap();
    for (name, kind) in [
        ("/no/such/program", std::io::ErrorKind::NotFound),
        (not_executable, std::io::ErrorKind::PermissionDenied),
    ] {
        let start = |traced: bool| match traced {
            true => Program::start_traced(Command::new(name), || (), |_| ()),
            false => Program::start(Command::new(name), || (), |_| ()),
        };
        for traced in [true, false] {
            match start(traced).map(drop) {
                Err(LaunchError::Start(error)) => assert_eq!(error.kind(), kind, "{name}"),
                other => panic!("{name}: {other:?}"),
            }
        }
    }
}

#[test]
fn many_short_programs_are_all_seen() {
    // More at once than there are processors: the tracers come late, and meet
    // a program before its exec, in it and after it.
    let many = || {
        for _ in 0..scaled(100) {
            let (_program, moments) = traced(Command::new("true"));
            assert!(matches!(moments.recv_timeout(LIMIT), Ok(Moment::AtExit(_))));
            let Ok(Moment::Ended(Ok(status))) = moments.recv_timeout(LIMIT) else {
                panic!("it ends");
            };
            assert!(status.success());
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(many);
        }
    });
}

#[test]
fn a_program_is_asked_to_end() {
    for traced in [true, false] {
        let (send, moments) = channel();
        let notify = move |moment| drop(send.send(moment));
        let mut command = Command::new("sleep");
        command.arg("60");
        let program = match traced {
            true => Program::start_traced(command, || (), notify),
            false => Program::start(command, || (), notify),
        }
        .unwrap();
        program.terminate().unwrap();
        let status = moments.iter().find_map(|moment| match moment {
            Moment::Ended(status) => Some(status.unwrap()),
            _ => None,
        });
        assert_eq!(
            status.and_then(|status| status.signal()),
            Some(libc::SIGTERM)
        );
        assert!(program.terminate().is_err(), "it has ended");
    }
}

#[test]
fn a_program_that_reads_and_writes_is_not_disturbed() {
    let mut command = Command::new("cat");
    let (its_input, mut ours) = UnixStream::pair().unwrap();
    let (mut output, its_output) = UnixStream::pair().unwrap();
    command
        .stdin(OwnedFd::from(its_input))
        .stdout(OwnedFd::from(its_output));
    let (_program, moments) = traced(command);
    ours.write_all(b"through it").unwrap();
    drop(ours);
    let mut text = String::new();
    for moment in moments {
        drop(moment);
    }
    output.read_to_string(&mut text).unwrap();
    assert_eq!(text, "through it");
}
