//! A program that was started is seen with all its memory before it ends, and
//! ends as it would have.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
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
        "leaves-its-group" => {
            // SAFETY: takes no memory.
            assert_eq!(unsafe { libc::setpgid(0, 0) }, 0);
            std::process::exit(11);
        }
        "leaves-its-session" => {
            // SAFETY: takes no memory.
            assert!(unsafe { libc::setsid() } > 0);
            std::process::exit(12);
        }
        "daemon" => {
            let mut left = Command::new("sleep");
            left.arg("1").stdin(Stdio::null()).stderr(Stdio::null());
            // SAFETY: one system call.
            unsafe { left.pre_exec(|| (libc::setsid() > 0).then_some(()).ok_or(last())) };
            left.spawn().unwrap();
            std::process::exit(13);
        }
        "traces" => {
            let (program, moments) = traced(program("counts"));
            println!("{}", program.pid());
            drop(moments.recv());
            panic!("this process is killed before");
        }
        "counts" => counts(),
        "stops" => {
            static CONTINUED: AtomicBool = AtomicBool::new(false);
            extern "C" fn on_continue(_: libc::c_int) {
                CONTINUED.store(true, Ordering::Relaxed);
            }
            // Before, it can stand still at its exec.
            fs::write(std::env::var(FILE).unwrap(), "stops").unwrap();
            let handler = on_continue as extern "C" fn(libc::c_int) as libc::sighandler_t;
            // SAFETY: the handler stores into an atomic. This thread is to get no
            // further than its stop.
            unsafe {
                libc::signal(libc::SIGCONT, handler);
                libc::raise(libc::SIGSTOP);
            }
            // Runs, and can be seen to, should the stop not last.
            while !CONTINUED.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
            std::process::exit(8);
        }
        role => panic!("{role}"),
    }
}

fn last() -> std::io::Error {
    std::io::Error::last_os_error()
}

/// Counts signals of the first real-time number, and says how many came when
/// SIGTERM does.
///
/// One thread handles both signals, the first, and SIGTERM only when no other handler
/// runs. A thread that has taken a signal from the queue has not called its handler yet:
/// SIGTERM in another thread would end the count before that.
fn counts() {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    static END: AtomicBool = AtomicBool::new(false);
    extern "C" fn count(_: i32) {
        COUNT.fetch_add(1, Ordering::Relaxed);
    }
    extern "C" fn end(_: i32) {
        END.store(true, Ordering::Relaxed);
    }
    let (count, end): (extern "C" fn(i32), extern "C" fn(i32)) = (count, end);
    // SAFETY: the structures are filled in before they are used; zero bytes are valid for
    // them. The handlers do nothing but set an atomic.
    unsafe {
        let mut counted: libc::sigaction = std::mem::zeroed();
        counted.sa_sigaction = count as libc::sighandler_t;
        counted.sa_flags = libc::SA_RESTART;
        libc::sigaddset(&mut counted.sa_mask, libc::SIGTERM);
        libc::sigaction(libc::SIGRTMIN(), &counted, std::ptr::null_mut());
        libc::signal(libc::SIGTERM, end as libc::sighandler_t);
        let mut both: libc::sigset_t = std::mem::zeroed();
        libc::sigaddset(&mut both, libc::SIGRTMIN());
        libc::sigaddset(&mut both, libc::SIGTERM);
        libc::pthread_sigmask(libc::SIG_BLOCK, &both, std::ptr::null_mut());
    }
    let file = std::env::var(FILE).unwrap();
    fs::write(&file, "ready").unwrap();
    while !END.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(1));
    }
    fs::write(&file, COUNT.load(Ordering::Relaxed).to_string()).unwrap();
}

/// The file that the variable of this name names is written by programs that
/// count signals or stop.
const FILE: &str = "PROCESS_INTROSPECTION_LAUNCH_FILE";

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

/// A wait for the children of this process's own group misses all of these.
#[test]
fn a_program_is_followed_out_of_its_group_and_session() {
    assert_eq!(is_seen("leaves-its-group").code(), Some(11));
    assert_eq!(is_seen("leaves-its-session").code(), Some(12));
}

/// The program is the process that was started, not what it leaves behind.
#[test]
fn a_daemon_ends_with_the_process_that_was_started() {
    let begun = Instant::now();
    assert_eq!(is_seen("daemon").code(), Some(13));
    assert!(begun.elapsed() < Duration::from_secs(30));
    let jobs = "set -m; sleep 0.01 & wait; (exit 3); exit 14";
    let mut lines = vec![
        (vec!["setsid", "--fork", "sleep", "0.2"], 0),
        (vec!["timeout", "60", "sleep", "0.01"], 0),
        (vec!["bash", "-c", jobs], 14),
    ];
    let this = std::env::current_exe().unwrap();
    if testkit::machine::is_root_or_skip("unshare --pid --fork") {
        let mut words = vec!["unshare", "--pid", "--fork", this.to_str().unwrap()];
        words.extend(ARGUMENTS);
        lines.push((words, 3));
    }
    for (words, status) in lines {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).env(ROLE, "exit");
        command.stdout(Stdio::null()).stderr(Stdio::null());
        if Command::new(words[0]).arg("--version").output().is_err() {
            eprintln!("SKIPPED {words:?}: needs {}", words[0]);
            continue;
        }
        assert_eq!(ended(command).code(), Some(status), "{words:?}");
    }
}

/// How a command ends that is seen at its exit.
fn ended(command: Command) -> ExitStatus {
    let (_program, moments) = traced(command);
    let standing = moments.recv_timeout(LIMIT);
    assert!(matches!(standing, Ok(Moment::AtExit(_))), "{standing:?}");
    drop(standing);
    match moments.recv_timeout(LIMIT) {
        Ok(Moment::Ended(Ok(status))) => status,
        other => panic!("{other:?}"),
    }
}

/// The tracer's thread can have children of its own: those that are started in
/// it, and those of a thread that has ended.
#[test]
fn other_children_of_this_process_are_left_to_who_waits_for_them() {
    let (send, moments) = channel();
    let notify = move |moment| {
        let other = matches!(moment, Moment::AtExit(_)).then(|| {
            let other = Command::new("true").spawn().unwrap();
            // It has ended and is not reaped while the program still runs.
            wait_for_state(other.id(), "Z");
            other
        });
        drop(send.send((moment, other)));
    };
    let _program = Program::start_traced(program("exit"), || (), notify).unwrap();
    let (standing, other) = moments.recv_timeout(LIMIT).unwrap();
    assert!(matches!(standing, Moment::AtExit(_)), "{standing:?}");
    drop(standing);
    match moments.recv_timeout(LIMIT) {
        Ok((Moment::Ended(Ok(status)), None)) => assert_eq!(status.code(), Some(3)),
        other => panic!("{other:?}"),
    }
    assert!(other.expect("it was started").wait().unwrap().success());
}

#[test]
fn no_signal_is_lost_when_the_tracer_is_killed() {
    const SIGNALS: usize = 1000;
    for round in 0..scaled(120) {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        let mut command = program("traces");
        command.env(FILE, path).stdout(Stdio::piped());
        let mut tracer = command.spawn().unwrap();
        let mut output = BufReader::new(tracer.stdout.take().unwrap());
        let pid: i32 = loop {
            let mut line = String::new();
            assert!(output.read_line(&mut line).unwrap() > 0, "it says a number");
            if let Ok(pid) = line.trim().parse() {
                break pid;
            }
        };
        wait_for_text(path, |text| text == "ready");
        // SAFETY: takes no memory; it is not reaped before it has ended.
        let send = |signal| unsafe { libc::kill(pid, signal) };
        // Some have been delivered then, one is perhaps in the tracer's hands,
        // others are on their way or still to come.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..SIGNALS {
                    assert_eq!(send(libc::SIGRTMIN()), 0);
                }
            });
            std::thread::sleep(Duration::from_micros(100 + 13 * round));
            tracer.kill().unwrap();
        });
        tracer.wait().unwrap();
        // It runs on, untraced.
        wait_for_text(&format!("/proc/{pid}/status"), |text| {
            text.contains("TracerPid:\t0\n") && !is_pending(text)
        });
        assert_eq!(send(libc::SIGTERM), 0);
        wait_for_text(path, |text| text.parse::<usize>().is_ok());
        let came = fs::read_to_string(path).unwrap();
        assert_eq!(came, SIGNALS.to_string(), "round {round}");
    }
}

/// Whether a process with this status has signals to come.
fn is_pending(status: &str) -> bool {
    let masks = status.lines().filter_map(|line| {
        let mask = line.strip_prefix("SigPnd:");
        mask.or_else(|| line.strip_prefix("ShdPnd:"))
    });
    masks
        .into_iter()
        .any(|mask| mask.trim().contains(|digit| digit != '0'))
}

fn wait_for_text(path: &str, reached: impl Fn(&str) -> bool) {
    let begun = Instant::now();
    while !reached(&fs::read_to_string(path).unwrap_or_default()) {
        assert!(begun.elapsed() < LIMIT, "{path}");
        std::thread::sleep(Duration::from_millis(1));
    }
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
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let mut command = program("stops");
    command.env(FILE, path);
    let (program, moments) = traced(command);
    wait_for_text(path, |text| text == "stops");
    // Held by the tracer, as at each exec and signal, but for longer. If its stop
    // did not last, it would be seen to run.
    let mut since = Instant::now();
    let begun = since;
    while since.elapsed() < Duration::from_millis(200) {
        if state(program.pid()) != "t" {
            since = Instant::now();
        }
        assert!(begun.elapsed() < LIMIT);
        std::thread::sleep(Duration::from_millis(1));
    }
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
        program.signal(libc::SIGTERM).unwrap();
        let status = moments.iter().find_map(|moment| match moment {
            Moment::Ended(status) => Some(status.unwrap()),
            _ => None,
        });
        assert_eq!(
            status.and_then(|status| status.signal()),
            Some(libc::SIGTERM)
        );
        let gone = program.signal(libc::SIGTERM).unwrap_err();
        assert_eq!(gone.raw_os_error(), Some(libc::ESRCH));
        let none = program.signal(1000).unwrap_err();
        assert_eq!(none.raw_os_error(), Some(libc::EINVAL));
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
