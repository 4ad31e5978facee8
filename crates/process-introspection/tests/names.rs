//! Search for processes by name.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use process_introspection::{processes_named, NamedProcess, UniquePid};

/// `cat -` that waits for input; killed and reaped, also when a test fails.
struct Waiting(Child);

impl Waiting {
    fn named(argument0: &str) -> Self {
        let mut command = Command::new("cat");
        command
            .arg0(argument0)
            .arg("-")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut waiting = Self(command.spawn().expect("cat is there"));
        // An exec continues after `spawn` has returned; a process that answers has its
        // names.
        let mut answer = [0];
        waiting.0.stdin.as_mut().unwrap().write_all(b"?").unwrap();
        waiting
            .0
            .stdout
            .as_mut()
            .unwrap()
            .read_exact(&mut answer)
            .unwrap();
        waiting
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_process_is_found_by_the_last_component_of_argument_0() {
    let name = format!("introspect test {}", std::process::id());
    let (one, other) = (Waiting::named(&format!("/a/{name}")), Waiting::named(&name));
    let found = processes_named(&name).unwrap();
    let mut pids = [one.0.id(), other.0.id()];
    pids.sort_unstable();
    assert_eq!(
        found.iter().map(NamedProcess::pid).collect::<Vec<_>>(),
        pids
    );
    for process in &found {
        let line = process.command_line.to_str().unwrap();
        assert!(line.ends_with(&format!("{name} -")), "{line}");
        assert_eq!(process.unique_pid, UniquePid::of(process.pid()).unwrap());
    }
    // The match is exact: no part of the name, no path.
    assert!(processes_named(&name[1..]).unwrap().is_empty());
    assert!(processes_named(format!("/a/{name}")).unwrap().is_empty());
}

#[test]
fn a_process_is_found_by_its_program_and_by_its_comm() {
    let target = Waiting::named("something else");
    let pid = target.0.id();
    let program = fs::read_link(format!("/proc/{pid}/exe")).unwrap();
    let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap();
    for name in [program.file_name().unwrap(), OsStr::new(comm.trim_end())] {
        let found = processes_named(name).unwrap();
        assert!(found.iter().any(|process| process.pid() == pid), "{name:?}");
    }
}

#[test]
fn a_process_that_was_reaped_is_not_found() {
    let name = format!("introspect gone {}", std::process::id());
    drop(Waiting::named(&name));
    assert!(processes_named(&name).unwrap().is_empty());
    assert!(processes_named("").unwrap().is_empty());
}
