//! `PID`: the process that a [`TargetText`] names, and its handle. The text itself is
//! in [`pid`](crate::options::pid).

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use clap::builder::{
    MapValueParser, OsStringValueParser, TryMapValueParser, TypedValueParser, ValueParserFactory,
};
use clap::{Args, ValueHint};
use process_introspection::{Mounts, NamedProcess, Process, Target};

use crate::failure::Failure;
use crate::options::mounts::MountOptions;
use crate::options::pid::{target_of_number, TargetList, TargetText, NAME_PREFIX};
use crate::text::{printable, shortened};

/// Longest search for a process by its name. It takes some milliseconds for a thousand
/// processes.
const SEARCH: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
pub(crate) struct TargetArgument {
    /// Process: PID, unique PID, `self`, or exact name
    #[arg(value_name = "PID", value_hint = ValueHint::Other)]
    pub(crate) pid: TargetText,
    #[command(flatten)]
    pub(crate) mounts: MountOptions,
}

impl TargetArgument {
    /// Opens the process.
    pub(crate) fn open(&self) -> Result<Process, Failure> {
        self.pid.open(&self.mounts.mounts()?)
    }
}

/// Accepts any bytes, because a process can have any name.
impl ValueParserFactory for TargetText {
    type Parser = MapValueParser<OsStringValueParser, fn(OsString) -> Self>;

    fn value_parser() -> Self::Parser {
        OsStringValueParser::new().map(Self::from as fn(OsString) -> Self)
    }
}

/// Accepts any bytes, too.
impl ValueParserFactory for TargetList {
    type Parser =
        TryMapValueParser<OsStringValueParser, fn(OsString) -> Result<TargetList, &'static str>>;

    fn value_parser() -> Self::Parser {
        OsStringValueParser::new().try_map(Self::parse)
    }
}

impl fmt::Display for TargetList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&texts.join(","))
    }
}

/// Formats the text so that the command accepts it again.
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

    /// Returns the process; an error if several have the name.
    fn find(&self, mounts: &Mounts) -> Result<Target, Failure> {
        match self.find_all(mounts)? {
            Found::Number(target) => Ok(target),
            Found::Name(processes) => match &processes[..] {
                [process] => Ok(process.into()),
                several => Err(several_named(self.name(), several)),
            },
        }
    }

    /// Returns the name; empty for a number.
    fn name(&self) -> &OsStr {
        match self {
            Self::Named(name) | Self::NamedExplicitly(name) => name,
            Self::This | Self::Number(_) | Self::TooLarge(_) => OsStr::new(""),
        }
    }

    /// Returns the process of this number, or all processes of this name.
    pub(crate) fn find_all(&self, mounts: &Mounts) -> Result<Found, Failure> {
        match self {
            Self::This => Ok(Found::Number(Target::Caller)),
            Self::Number(number) => match target_of_number(*number) {
                Some(target) => Ok(Found::Number(target)),
                None => Err(no_such_number(number)),
            },
            Self::TooLarge(digits) => Err(no_such_number(digits)),
            Self::Named(name) | Self::NamedExplicitly(name) => {
                find_named(mounts, name).map(Found::Name)
            }
        }
    }
}

/// Processes that a text names.
#[derive(Debug)]
pub(crate) enum Found {
    /// The process of a number, which need not exist.
    Number(Target),
    /// Processes of a name, at least one.
    Name(Vec<NamedProcess>),
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
    // The command itself is only found as `self`.
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

/// Searches processes by name on a thread that is abandoned if it does not end: the
/// command line is memory of a process, and the mmap lock of that process can be held.
fn search(mounts: &Mounts, name: &OsStr) -> Result<Vec<NamedProcess>, Failure> {
    let (sender, found) = mpsc::channel();
    let run = {
        let (mounts, name) = (mounts.clone(), name.to_owned());
        // The receiver is gone after the time limit.
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
        let line = shortened(&printable(&process.command_line));
        message.push_str(&format!("\n{:>10}  {line}", process.pid()));
    }
    Failure::Message(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_no_process_can_have_is_an_error() {
        for number in [1 << 31, u64::from(u32::MAX), 1 << 32, u64::MAX] {
            let Err(Failure::Message(message)) = TargetText::Number(number).find(&Mounts::new())
            else {
                panic!("{number} was found");
            };
            assert!(message.contains("no such process"), "{message}");
        }
    }
}
