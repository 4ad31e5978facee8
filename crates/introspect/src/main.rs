//! The command `introspect`: arguments to library to output. What it knows of
//! Linux it knows through the library.
// One attribute in `startup` excepted.
#![deny(unsafe_code)]

mod commands;
mod control;
mod failure;
mod memory_errors;
mod options;
mod output;
mod usage;

use std::io::Write;
use std::process::ExitCode;

use crate::commands::{completions, frame, man, owner, physical as walks, read, summary, Command};
use crate::failure::Failure;

fn main() -> ExitCode {
    let arguments = match usage::parse() {
        Ok(arguments) => arguments,
        Err(status) => return status,
    };
    let target = arguments.command.target();
    match run(&arguments.command) {
        Ok(status) => ExitCode::from(status),
        Err(Failure::ReaderGone) => ExitCode::SUCCESS,
        Err(Failure::Usage(error)) => usage::end(error),
        Err(failure) => {
            if let Failure::Interrupted(signal) = failure {
                control::interruption::end_by(signal);
            }
            // Where nobody can be told, the status still tells.
            let _ = writeln!(std::io::stderr(), "introspect: {}", failure.message(target));
            ExitCode::from(failure.status())
        }
    }
}

/// Gives the exit status.
fn run(command: &Command) -> Result<u8, Failure> {
    command.check()?;
    match command {
        Command::Physical(physical) => match (&physical.pid, physical.launch.is_asked_for()) {
            (Some(pid), false) => walks::physical(pid, physical),
            _ => return walks::physical_of_command(physical),
        },
        Command::Summary(asked) => return summary::summary(asked),
        Command::Extents(extents) => walks::extents(extents),
        Command::Virtual(mappings) => walks::mappings(mappings),
        Command::Pagetable(pagetable) => walks::page_table(pagetable),
        Command::Object(object) => walks::object(object),
        Command::Address(addresses) => frame::address(addresses),
        Command::Owner(arguments) => owner::owner(arguments),
        Command::Read(read) => read::read(read),
        Command::Completions(completions) => completions::completions(completions.shell),
        Command::Man(man) => man::man_pages(&man.dir),
    }
    .map(|()| 0)
}
