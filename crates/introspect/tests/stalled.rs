//! A process that maps a file of a FUSE server that does not answer: every subcommand ends,
//! by itself and by a signal.

mod support;

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{json, Value};
use support::{introspect, run};
use testkit::fuse::{FileSystem, Request};
use testkit::machine::is_root_or_skip;
use testkit::memory::{self, page};
use testkit::oracle::{self, State};
use testkit::target::Target;

/// The first pages of an executable.
fn executable() -> Vec<u8> {
    let mut content = fs::read("/proc/self/exe").unwrap();
    content.truncate(4 * page() as usize);
    content
}

/// Maps the beginning of a file and reads its first byte.
fn map(path: &Path, size: u64) -> u64 {
    let file = File::open(path).unwrap();
    // SAFETY: a new mapping at an address of the kernel's choice.
    let at = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            size as usize,
            libc::PROT_READ,
            libc::MAP_PRIVATE,
            file.as_raw_fd(),
            0,
        )
    };
    assert_ne!(at, libc::MAP_FAILED);
    // SAFETY: the page was just mapped.
    unsafe { at.cast::<u8>().read_volatile() };
    at as u64
}

/// A file system, and a process that maps one of its files.
fn target(test: &str) -> Option<(FileSystem, Target)> {
    if !is_root_or_skip(test) {
        return None;
    }
    let files = FileSystem::mount_or_skip(test, executable())?;
    let path = files.file();
    let target = Target::spawn(|| vec![map(&path, 4 * page())]);
    Some((files, target))
}

/// State that a test compares with.
fn untouched() -> (Target, u64) {
    let target = Target::spawn(|| {
        let at = memory::anonymous(page());
        memory::touch(at, 1, 1);
        vec![at]
    });
    let address = address_of(&target);
    (target, address)
}

/// Returns the physical address of a target's first page.
fn address_of(target: &Target) -> u64 {
    let at = target.addresses()[0];
    match oracle::runs(target.pid(), at, at + page())[0].state {
        State::Memory(address) => address,
        ref other => panic!("not in memory: {other:?}"),
    }
}

/// A process whose mmap lock is held: another process reads its memory, for which a server
/// must answer, while it maps memory. Fields are dropped in an order that lets all end.
struct Locked {
    files: FileSystem,
    target: Target,
    reader: Target,
}

impl Locked {
    fn new(test: &str) -> Option<Self> {
        if !is_root_or_skip(test) {
            return None;
        }
        // More than readahead.
        const SIZE: u64 = 4 << 20;
        let files = FileSystem::mount_or_skip(test, vec![1; SIZE as usize])?;
        let path = files.file();
        let mapped = move || vec![map(&path, SIZE)];
        let wait = || {
            // Every program that reads it waits as long: it ends by itself, also if the test
            // fails.
            // SAFETY: takes no memory.
            unsafe { libc::alarm(60) };
            _ = memory::anonymous(page());
        };
        let mut target = Target::spawn_then(mapped, wait);
        files.stop_answering(Request::Read);
        let (pid, at) = (target.pid(), target.addresses()[0] + SIZE - page());
        let read = move || {
            let memory = File::open(format!("/proc/{pid}/mem")).unwrap();
            _ = memory.read_at(&mut [0], at);
        };
        let mut reader = Target::spawn_then(Vec::new, read);
        reader.release();
        while !files.keeps_waiting(Request::Read) {
            thread::sleep(Duration::from_millis(5));
        }
        target.release();
        let is_waiting = || {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
            stat.rsplit(") ").next().unwrap().starts_with('D')
        };
        while !is_waiting() {
            thread::sleep(Duration::from_millis(5));
        }
        Some(Self {
            files,
            target,
            reader,
        })
    }
}

/// Longest time that a command may need.
const LONG: Duration = Duration::from_secs(30);

/// Returns the status of a child that must end, and kills it otherwise.
fn end_of(mut child: Child, what: &str) -> ExitStatus {
    let until = Instant::now() + LONG;
    while Instant::now() < until {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        thread::sleep(Duration::from_millis(5));
    }
    let _ = child.kill();
    panic!("does not end: {what}");
}

fn commands(pid: u32, at: u64) -> [Vec<String>; 6] {
    let (pid, at) = (pid.to_string(), format!("{at:x}"));
    [
        vec!["physical", &pid],
        vec!["virtual", &pid],
        vec!["summary", &pid],
        vec!["object", &pid, &at],
        vec!["extents", &pid, &at],
        vec!["pagetable", &pid, &at],
    ]
    .map(|words| words.into_iter().map(str::to_owned).collect())
}

#[test]
fn a_servers_file_is_classified_by_its_resident_pages_which_it_keeps() {
    let Some((files, target)) = target("a server's file in memory") else {
        return;
    };
    let (pid, at) = (target.pid().to_string(), target.addresses()[0]);
    let first = || {
        let found = run(&["physical", &pid, &format!("{at:x}"), "--format", "json"]);
        assert_eq!((found.status, found.stderr.as_str()), (0, ""));
        found.array().swap_remove(0)
    };
    let before = first();
    assert_eq!(
        (&before["kind"], &before["state"]),
        (&json!("elf"), &json!("ram"))
    );
    for request in Request::ALL {
        files.stop_answering(request);
        let began = Instant::now();
        assert_eq!(first(), before, "{request:?}");
        // No server was waited for.
        assert!(began.elapsed() < Duration::from_secs(1), "{request:?}");
        assert!(!files.keeps_waiting(request), "{request:?}");
    }
}

#[test]
fn a_server_that_does_not_answer_keeps_no_subcommand_from_its_end() {
    for request in Request::ALL {
        let Some((files, target)) = target("ends beside a server") else {
            return;
        };
        files.stop_answering(request);
        for words in commands(target.pid(), target.addresses()[0]) {
            let mut command = introspect();
            command
                .args(&words)
                .stdout(Stdio::null())
                .stderr(Stdio::piped());
            let mut child = command.spawn().unwrap();
            let stderr = child.stderr.take().unwrap();
            let status = end_of(child, &format!("{words:?}, {request:?}"));
            assert_eq!(status.code(), Some(0), "{words:?}, {request:?}: {stderr:?}");
            // No abandoned process has it open.
            assert_eq!(std::io::read_to_string(stderr).unwrap(), "");
        }
    }
}

#[test]
fn a_signal_ends_every_subcommand_while_a_server_does_not_answer() {
    for request in Request::ALL {
        let Some((files, target)) = target("signals beside a server") else {
            return;
        };
        files.stop_answering(request);
        for words in commands(target.pid(), target.addresses()[0]) {
            for signal in [libc::SIGINT, libc::SIGTERM] {
                let mut command = introspect();
                command
                    .args(&words)
                    .stdout(Stdio::null())
                    .stderr(Stdio::null());
                let child = command.spawn().unwrap();
                thread::sleep(Duration::from_millis(200));
                let sent = Instant::now();
                // SAFETY: a child of this process that was not reaped.
                unsafe { libc::kill(child.id() as i32, signal) };
                let status = end_of(child, &format!("{words:?}, {request:?}"));
                assert!(
                    sent.elapsed() < Duration::from_secs(2),
                    "{words:?}, {request:?}"
                );
                // Some subcommands need nothing from the server.
                assert!(
                    status.signal() == Some(signal) || status.success(),
                    "{words:?}, {request:?}: {status:?}"
                );
            }
        }
    }
}

#[test]
fn a_pass_is_complete_beside_a_server_that_does_not_answer() {
    for request in Request::ALL {
        let test = "a pass beside a server";
        let Some((files, target)) = target(test) else {
            return;
        };
        files.stop_answering(request);
        let (other, address) = untouched();
        let of_file = address_of(&target);
        for (address, pid, kind) in [
            (address, other.pid(), "anon"),
            (of_file, target.pid(), "elf"),
        ] {
            let found = run(&["owner", &format!("{address:x}"), "--format", "json"]);
            assert_eq!(found.status, 0, "{found:?}");
            let owner = found.array().into_iter().find(|it| it["pid"] == pid);
            assert_eq!(owner.expect("an owner")["kind"], kind, "{request:?}");
        }
        for format in ["json", "table"] {
            let all = run(&["summary", "--all", "--format", format]);
            assert_eq!(all.status, 0, "{all:?}");
            for pid in [target.pid(), other.pid()] {
                assert!(all.stdout.contains(&pid.to_string()), "{request:?} {all:?}");
                assert!(
                    !all.stderr.contains(&pid.to_string()),
                    "{request:?} {all:?}"
                );
            }
        }
        let listed = run(&["files", "--all"]);
        assert_eq!(listed.status, 0, "{listed:?}");
        let name = files.file();
        let said = format!(
            "such as {}: opening a file of a FUSE server",
            name.display()
        );
        assert!(listed.stderr.contains(&said), "{request:?} {listed:?}");
        assert!(!files.keeps_waiting(request), "{request:?}");
    }
}

#[test]
fn a_pass_leaves_a_process_that_does_not_answer_and_says_so() {
    let Some(locked) = Locked::new("a process that does not answer") else {
        return;
    };
    let (other, address) = untouched();
    let (pid, reason) = (locked.target.pid(), "it did not answer within 300ms");
    let began = Instant::now();
    let found = run(&[
        "owner",
        &format!("{address:x}"),
        "--deadline",
        "300ms",
        "--unread",
    ]);
    assert_eq!(found.status, 0, "{found:?}");
    assert!(found.stdout.contains(&other.pid().to_string()), "{found:?}");
    assert!(found.stdout.contains(reason), "{found:?}");
    assert!(found.stderr.contains("did not answer"), "{found:?}");
    // An unread process is never reported as an owner.
    let form = format!("{address:x}");
    let json = ["owner", &form, "--deadline", "300ms", "--format", "json"];
    let owners = run(&json).array();
    assert!(owners.iter().all(|record| record["record"] != "unread"));
    let records = run(&[&json[..], &["--unread"]].concat()).array();
    let whole = Value::Array(records.clone());
    if let Err(error) = support::schema("owner").validate(&whole) {
        panic!("{error}");
    }
    let is_unread = |record: &&Value| record["record"] == "unread";
    let unread: Vec<_> = records.iter().filter(is_unread).collect();
    assert!(
        unread.iter().all(|record| record["pid"].is_null()),
        "{unread:?}"
    );
    let its = unread.iter().find(|record| record["unread_pid"] == pid);
    let why = its.expect("a record")["reason"].as_str().unwrap();
    assert_eq!(why, format!("cannot read the process: {reason}"));
    let all = run(&[
        "summary",
        "--all",
        "--deadline",
        "300ms",
        "--format",
        "json",
    ]);
    assert_eq!(all.status, 0, "{all:?}");
    let pids: Vec<_> = all.array().iter().map(|it| it["pid"].clone()).collect();
    assert!(pids.contains(&json!(other.pid())), "{all:?}");
    assert!(!pids.contains(&json!(pid)), "{all:?}");
    let line = format!("not in the list: process {pid}: cannot read the process: {reason}");
    // Newer kernels show mappings without the lock.
    let listed = run(&["files", "--deadline", "300ms", "--all", "--format", "json"]);
    assert_eq!(listed.status, 0, "{listed:?}");
    let is_used = |record: &Value| {
        let pids = record["pids"].as_array().into_iter().flatten();
        pids.into_iter().any(|it| *it == pid)
    };
    let is_said = listed.stderr.contains(&line);
    assert_ne!(
        listed.array().iter().any(is_used),
        is_said,
        "{}",
        listed.stderr
    );
    assert!(all.stderr.contains(&line), "{all:?}");
    for list in ["physical", "virtual", "resident"] {
        let all = [list, "--all", "--mapping", "[heap]", "--deadline", "300ms"];
        let all = run(&[&all[..], &["--format", "jsonl"]].concat());
        assert_eq!(all.status, 0, "{}", all.stderr);
        let has = |pid: u32| all.stdout.contains(&format!("{{\"pid\":{pid},"));
        assert!(has(other.pid()) && !has(pid), "{list}");
        assert!(all.stderr.contains(&line), "{list}: {}", all.stderr);
    }
    assert!(began.elapsed() < LONG);
    assert!(locked.files.keeps_waiting(Request::Read));
    // It did so all the time.
    assert!(fs::read_to_string(format!("/proc/{}/stat", locked.reader.pid())).is_ok());
}

#[test]
fn a_search_for_a_name_ends_although_a_command_line_cannot_be_read() {
    let Some(locked) = Locked::new("a command line that cannot be read") else {
        return;
    };
    let began = Instant::now();
    let found = run(&["summary", "a-name-that-no-process-has"]);
    assert_eq!(found.status, 1, "{found:?}");
    assert!(found.stderr.contains("did not end within 5 s"), "{found:?}");
    assert!(began.elapsed() < LONG);
    assert!(locked.files.keeps_waiting(Request::Read));
}
