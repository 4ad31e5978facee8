//! Runs of the command as a user starts it, their results, and their targets.

// Each test program uses a part of this module.
#![allow(dead_code)]

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use testkit::memory;
use testkit::target::Target;

/// The command under test, without arguments.
pub(crate) fn introspect() -> Command {
    with_usual_signals(env!("CARGO_BIN_EXE_introspect"))
}

/// A program without arguments, which ignores no signal that a test sends.
pub(crate) fn with_usual_signals(program: &str) -> Command {
    let mut command = Command::new(program);
    let as_usual = || {
        for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM] {
            // SAFETY: one system call; no handler of this program is concerned.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        Ok(())
    };
    // Tests in the background of a script start with ignored signals, which programs inherit.
    // SAFETY: what runs in the child allocates nothing and takes no lock.
    unsafe { command.pre_exec(as_usual) };
    command
}

/// An unprivileged user and group.
pub(crate) const NOBODY: u32 = 65534;

/// Runs a copy of the command as an unprivileged user.
pub(crate) fn as_nobody(arguments: &[&str]) -> Run {
    let dir = TempDir::new().unwrap();
    let mut command = of_nobody(&copy_into(&dir));
    command.args(arguments);
    finish(command)
}

/// Copies the command into a directory that everybody can read.
pub(crate) fn copy_into(dir: &TempDir) -> PathBuf {
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let copy = dir.path().join("introspect");
    // A child that another test forks would inherit a descriptor of this process that is
    // open for writing, and the kernel would refuse to execute the file.
    let program = env!("CARGO_BIN_EXE_introspect");
    let copied = Command::new("install")
        .args(["-m", "755", program])
        .arg(&copy)
        .status();
    assert!(copied.unwrap().success());
    copy
}

/// A program without arguments that runs as an unprivileged user.
pub(crate) fn of_nobody(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.uid(NOBODY).gid(NOBODY).current_dir("/");
    command
}

/// Result of one run of the command.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    fn new(output: Output) -> Self {
        assert_eq!(
            output.status.signal(),
            None,
            "ended by a signal: {output:?}"
        );
        Self {
            status: output.status.code().expect("a status"),
            stdout: String::from_utf8(output.stdout).expect("text"),
            stderr: String::from_utf8(output.stderr).expect("text"),
        }
    }

    /// Returns the records of a JSON array.
    pub(crate) fn array(&self) -> Vec<Value> {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Returns the records of JSON lines.
    pub(crate) fn lines(&self) -> Vec<Value> {
        let record =
            |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.stdout.lines().map(record).collect()
    }
}

/// Runs a command to its end.
pub(crate) fn finish(mut command: Command) -> Run {
    Run::new(
        command
            .stdin(Stdio::null())
            .output()
            .expect("the command starts"),
    )
}

/// Runs the command with these arguments.
pub(crate) fn run<A: AsRef<OsStr>>(arguments: &[A]) -> Run {
    let mut command = introspect();
    command.args(arguments);
    finish(command)
}

/// Runs the command, which must succeed and write nothing to standard error.
pub(crate) fn succeed<A: AsRef<OsStr>>(arguments: &[A]) -> Run {
    let run = run(arguments);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{}", run.stdout);
    run
}

/// Runs the command, which must fail with status 1 and one line, which is returned.
pub(crate) fn fail<A: AsRef<OsStr>>(arguments: &[A]) -> String {
    let run = run(arguments);
    assert_eq!(run.status, 1, "{run:?}");
    assert!(run.stderr.starts_with("introspect: "), "{run:?}");
    assert_eq!(run.stderr.matches('\n').count(), 1, "{run:?}");
    run.stderr
}

/// Returns the number in a field of a record: decimal, or a string in hexadecimal.
pub(crate) fn number(record: &Value, field: &str) -> u64 {
    let value = &record[field];
    let hexadecimal = || value.as_str()?.strip_prefix("0x");
    match hexadecimal() {
        Some(digits) => u64::from_str_radix(digits, 16).expect("hexadecimal"),
        None => value
            .as_u64()
            .unwrap_or_else(|| panic!("no number in {field}: {record}")),
    }
}

/// A `cat -` that waits for input; killed and reaped when dropped.
#[derive(Debug)]
pub(crate) struct Waiting(Child);

impl Waiting {
    /// Starts a process with the name `name`.
    pub(crate) fn named(name: impl AsRef<OsStr>) -> Self {
        Self::start(Command::new("cat").arg0(name))
    }

    /// Starts a process of this user.
    pub(crate) fn of(user: u32) -> Self {
        Self::start(Command::new("cat").uid(user).gid(user))
    }

    /// Starts a process of this user with the name `name`.
    pub(crate) fn named_of(name: impl AsRef<OsStr>, user: u32) -> Self {
        Self::start(Command::new("cat").arg0(name).uid(user).gid(user))
    }

    fn start(command: &mut Command) -> Self {
        command
            .arg("-")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut waiting = Self(command.spawn().expect("cat is there"));
        // Once it has answered, its mappings no longer change.
        let mut answer = [0];
        waiting
            .0
            .stdin
            .as_mut()
            .expect("a pipe")
            .write_all(b"?")
            .expect("it reads");
        waiting
            .0
            .stdout
            .as_mut()
            .expect("a pipe")
            .read_exact(&mut answer)
            .expect("it answers");
        waiting
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A process that has ended and is reaped when this is dropped.
#[derive(Debug)]
pub(crate) struct Zombie(Child);

impl Zombie {
    pub(crate) fn new() -> Self {
        let child = Command::new("true").stdout(Stdio::piped()).spawn();
        let mut zombie = Self(child.expect("true is there"));
        // The pipe is closed before the writer is a zombie, so that its state is read.
        let stat = format!("/proc/{}/stat", zombie.pid());
        let mut output = zombie.0.stdout.take().expect("a pipe");
        output.read_to_end(&mut Vec::new()).expect("it ends");
        while !fs::read_to_string(&stat)
            .expect("its state")
            .contains(") Z ")
        {
            std::thread::yield_now();
        }
        zombie
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Zombie {
    fn drop(&mut self) {
        let _ = self.0.wait();
    }
}

/// A command that is killed, if it has not ended, and reaped when dropped.
#[derive(Debug)]
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a target with dense, zero, sparse, read-only and shared memory.
pub(crate) fn target() -> Target {
    Target::spawn(|| {
        let page = memory::page();
        let dense = memory::anonymous(16 * page);
        memory::touch(dense, 16, 1);
        let sparse = memory::anonymous(64 * page);
        memory::touch(sparse, 8, 3);
        memory::read(sparse + 40 * page, 4);
        let shared = memory::map(8 * page, libc::MAP_SHARED, memory::memfd(8 * page));
        memory::touch(shared, 4, 2);
        vec![dense, sparse, shared]
    })
}

/// Returns the names in a directory, sorted.
pub(crate) fn names_in(dir: &Path) -> Vec<String> {
    let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
    let mut names: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| name(entry.unwrap()))
        .collect();
    names.sort();
    names
}

/// Returns the JSON schema of a subcommand.
pub(crate) fn schema(name: &str) -> jsonschema::Validator {
    let path = format!(
        "{}/../../docs/schemas/{name}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    jsonschema::draft202012::new(&serde_json::from_str(&text).unwrap()).unwrap()
}
