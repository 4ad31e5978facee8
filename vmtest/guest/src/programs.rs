//! The few programs that tests start: just what they ask of `cat`, `sh`,
//! `sleep`, `true` and `unshare`; and a parent for them. Which one is told by the
//! file, not by argument 0: one test names itself by that.

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;
use std::{env, io, thread};

/// Runs the one that this file is named as.
pub(crate) fn run() -> ExitCode {
    let path = env::current_exe().unwrap_or_default();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match (&*name, &arguments[..]) {
        ("cat", [] | ["-"]) => cat(),
        ("sh", ["-c", script, zero]) if script == zero => again(&path, script, &arguments),
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

/// What the shell makes of `exec sh -c "$0" "$0"`, given to it twice: it
/// executes itself with the same arguments, for ever; each time it says so and
/// waits for a line if that is in front.
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

/// The children of this process from now on are in a new PID namespace.
fn unshare_pid(program: &str, arguments: &[&str]) -> io::Result<ExitCode> {
    // SAFETY: takes no memory.
    if unsafe { libc::unshare(libc::CLONE_NEWPID) } != 0 {
        return Err(io::Error::last_os_error());
    }
    run_program(program, arguments)
}

/// Runs a program and ends as it does: a parent that is compiled for the same
/// processor as the tests, which process 1 need not be.
fn run_program(program: &str, arguments: &[&str]) -> io::Result<ExitCode> {
    let status = Command::new(program).args(arguments).status()?;
    let code = status
        .code()
        .unwrap_or(128 + status.signal().unwrap_or_default());
    Ok(ExitCode::from(code as u8))
}
