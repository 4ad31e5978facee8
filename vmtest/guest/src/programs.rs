//! Programs that tests start: the parts of `cat`, `sh`, `sleep`, `true` and `unshare`
//! that tests use, a parent for them, and one with scattered memory. The file's name
//! selects one, not argument 0, which one test sets.

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;
use std::{env, io, thread};

/// Runs the program that this file is named after.
pub(crate) fn run() -> ExitCode {
    let path = env::current_exe().unwrap_or_default();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match (&*name, &arguments[..]) {
        ("cat", [] | ["-"]) => cat(),
        ("sh", ["-c", script, zero]) if script == zero => again(&path, script, &arguments),
        ("scatter", [mebibytes]) => scatter(mebibytes),
        ("sleep", [seconds]) => sleep(seconds),
        ("true", []) => Ok(ExitCode::SUCCESS),
        ("parent", [program, rest @ ..]) => run_program(program, rest),
        ("unshare", ["--pid", "--fork", program, rest @ ..]) => unshare_pid(program, rest),
        _ => Err(io::Error::other("nothing to do under this name")),
    };
    done.unwrap_or_else(|error| {
        eprintln!("{name} {}: {error}", arguments.join(" "));
        ExitCode::FAILURE
    })
}

fn cat() -> io::Result<ExitCode> {
    use io::{Read, Write};
    let (mut from, mut to) = (io::stdin().lock(), io::stdout().lock());
    let mut bytes = [0; 512];
    loop {
        match from.read(&mut bytes)? {
            0 => return Ok(ExitCode::SUCCESS),
            count => to.write_all(&bytes[..count])?,
        }
        to.flush()?;
    }
}

/// Executes itself with the same arguments forever, as the shell does with
/// `exec sh -c "$0" "$0"`. A script that begins with `echo; read line` first prints and
/// reads a line.
fn again(file: &Path, script: &str, arguments: &[&str]) -> io::Result<ExitCode> {
    use io::{Read, Write};
    if script.starts_with("echo; read line; ") {
        io::stdout().write_all(b"\n")?;
        io::stdin().lock().read_exact(&mut [0])?;
    }
    Err(Command::new(file).args(arguments).exec())
}

fn sleep(seconds: &str) -> io::Result<ExitCode> {
    let seconds = seconds.parse().map_err(io::Error::other)?;
    thread::sleep(Duration::from_secs(seconds));
    Ok(ExitCode::SUCCESS)
}

/// Writes to the pages of so much memory in an order in which few neighbours are written one
/// after the other, so that few are neighbours in physical memory, and waits for the end of
/// standard input.
fn scatter(mebibytes: &str) -> io::Result<ExitCode> {
    /// Bytes between two writes: more than a page of any machine.
    const STEP: usize = (1 << 20) + (64 << 10);
    let size: usize = mebibytes.parse().map_err(io::Error::other)?;
    let mut memory = vec![0u8; size << 20];
    for begin in (0..STEP).step_by(4096) {
        for byte in memory.iter_mut().skip(begin).step_by(STEP) {
            *byte = 1;
        }
    }
    let ended = cat();
    std::hint::black_box(memory);
    ended
}

/// Runs a program in a new PID namespace.
fn unshare_pid(program: &str, arguments: &[&str]) -> io::Result<ExitCode> {
    // SAFETY: no pointer is passed.
    if unsafe { libc::unshare(libc::CLONE_NEWPID) } != 0 {
        return Err(io::Error::last_os_error());
    }
    run_program(program, arguments)
}

/// Runs a program and ends with its status: a parent that is compiled for the tests'
/// architecture, which process 1 need not be.
fn run_program(program: &str, arguments: &[&str]) -> io::Result<ExitCode> {
    let status = Command::new(program).args(arguments).status()?;
    let code = status
        .code()
        .unwrap_or(128 + status.signal().unwrap_or_default());
    Ok(ExitCode::from(code as u8))
}
