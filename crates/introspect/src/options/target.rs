//! The process that a text PID means, and its handle.

use std::ffi::OsStr;
use std::fmt;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use process_introspection::{Mounts, NamedProcess, Process, Target};
use process_introspection_export::Name;

use crate::failure::Failure;
use crate::options::pid::{target_of_number, TargetText, NAME_PREFIX};

/// Longest search for a process by its name. It takes some milliseconds for a thousand
/// processes.
const SEARCH: Duration = Duration::from_secs(5);

/// As it can be given to the command again.
impl fmt::Display for TargetText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::This => f.write_str("self"),
            Self::Number(number) => number.fmt(f),
            Self::TooLarge(digits) => f.write_str(digits),
            Self::Named(name) => f.write_str(&printable(name)),
            Self::NamedExplicitly(name) => write!(f, "{NAME_PREFIX}{}", printable(name)),
        }
    }
}

impl TargetText {
    /// Opens the process, below these mounts.
    pub(crate) fn open(&self, mounts: &Mounts) -> Result<Process, Failure> {
        Ok(mounts.process(self.find(mounts)?)?)
    }

    /// Returns the process that is meant; an error if several have the name.
    pub(crate) fn find(&self, mounts: &Mounts) -> Result<Target, Failure> {
        let (Self::Named(name) | Self::NamedExplicitly(name)) = self else {
            return self.find_all(mounts).map(|all| all[0]);
        };
        match &find_named(mounts, name)?[..] {
            [process] => Ok(process.into()),
            several => Err(several_named(name, several)),
        }
    }

    /// Returns the processes that are meant, at least one: all that have the name.
    pub(crate) fn find_all(&self, mounts: &Mounts) -> Result<Vec<Target>, Failure> {
        match self {
            Self::This => Ok(vec![Target::Caller]),
            Self::Number(number) => match target_of_number(*number) {
                Some(target) => Ok(vec![target]),
                None => Err(no_such_number(number)),
            },
            Self::TooLarge(digits) => Err(no_such_number(digits)),
            Self::Named(name) | Self::NamedExplicitly(name) => {
                Ok(find_named(mounts, name)?.iter().map(Target::from).collect())
            }
        }
    }
}

fn no_such_number(number: impl fmt::Display) -> Failure {
    Failure::Message(format!(
        "process {number}: there is no such process (the number is neither a PID nor a unique \
         PID; {NAME_PREFIX}{number} is a process of that name)"
    ))
}

/// Returns the processes of this name, at least one.
fn find_named(mounts: &Mounts, name: &OsStr) -> Result<Vec<NamedProcess>, Failure> {
    let mut found = search(mounts, name)?;
    // Whoever means this command says `self`.
    let this = mounts.own_number();
    found.retain(|process| Some(process.pid()) != this);
    match found.is_empty() {
        true => Err(Failure::Message(format!(
            "no process that is visible here is named \"{}\" (give its exact name or its PID)",
            printable(name)
        ))),
        false => Ok(found),
    }
}

/// Looks for processes by their name, on a thread that is left behind if it does not
/// end: the command line is memory of a process, and its mmap lock can be held.
fn search(mounts: &Mounts, name: &OsStr) -> Result<Vec<NamedProcess>, Failure> {
    let (sender, found) = mpsc::channel();
    let run = {
        let (mounts, name) = (mounts.clone(), name.to_owned());
        // Nobody waits for what comes too late.
        move || _ = sender.send(mounts.processes_named(name))
    };
    let builder = thread::Builder::new().name("search".to_owned());
    if builder.spawn(run).is_err() {
        return Ok(mounts.processes_named(name)?);
    }
    match found.recv_timeout(SEARCH) {
        Ok(found) => Ok(found?),
        Err(RecvTimeoutError::Timeout) => Err(Failure::Message(format!(
            "the search for a process named \"{}\" did not end within {} s, because the command \
             line of some process cannot be read (another program holds its mmap lock); give a PID",
            printable(name),
            SEARCH.as_secs()
        ))),
        Err(RecvTimeoutError::Disconnected) => panic!("the thread that searches has panicked"),
    }
}

fn several_named(name: &OsStr, several: &[NamedProcess]) -> Failure {
    let mut message = format!(
        "{} processes are named \"{}\"; give the PID of one:",
        several.len(),
        printable(name)
    );
    for process in several {
        let line = beginning(&printable(&process.command_line));
        message.push_str(&format!("\n{:>10}  {line}", process.pid()));
    }
    Failure::Message(message)
}

/// As much of a command line as tells processes apart; a browser's fills screens.
pub(crate) fn beginning(line: &str) -> String {
    const LONGEST: usize = 100;
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

/// In one line, and harmless to a terminal.
pub(crate) fn printable(text: &OsStr) -> String {
    let mut line = Vec::new();
    Name(text.as_encoded_bytes()).push_printable(None, &mut line);
    String::from_utf8_lossy(&line).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_command_line_is_cut_between_characters() {
        assert_eq!(beginning("sleep 5"), "sleep 5");
        let long = "é".repeat(101);
        assert_eq!(beginning(&long), format!("{}…", "é".repeat(100)));
        assert_eq!(beginning(&long[2..]), "é".repeat(100));
    }

    #[test]
    fn a_number_that_can_be_nobodys_names_no_process() {
        for number in [1 << 31, u64::from(u32::MAX), 1 << 32, u64::MAX] {
            let Err(Failure::Message(message)) = TargetText::Number(number).find(&Mounts::new())
            else {
                panic!("{number} was found");
            };
            assert!(message.contains("no such process"), "{message}");
        }
    }
}
