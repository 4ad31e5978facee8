//! The command `introspect`: arguments to library to output. What it knows of
//! Linux it knows through the library.
#![forbid(unsafe_code)]

mod address;
mod arguments;
mod conditions;
mod destination;
mod details;
mod examples;
mod failure;
mod generate;
mod hex_dump;
mod interruption;
mod pid;
mod progress;
mod range;
mod read;
mod selection;
mod sink;
mod target;
mod walks;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use crate::arguments::{Arguments, Command};
use crate::failure::Failure;

fn main() -> ExitCode {
    // Wrong usage ends here, with status 2.
    let arguments = Arguments::parse();
    let target = arguments.command.target();
    match run(&arguments.command) {
        Ok(()) | Err(Failure::ReaderGone) => ExitCode::SUCCESS,
        Err(failure) => {
            if let Failure::Interrupted(signal) = failure {
                interruption::end_by(signal);
            }
            // Where nobody can be told, the status still tells.
            let _ = writeln!(std::io::stderr(), "introspect: {}", failure.message(target));
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Physical(physical) => walks::physical(physical),
        Command::Extents(extents) => walks::extents(extents),
        Command::Virtual(mappings) => walks::mappings(mappings),
        Command::Pagetable(pagetable) => walks::page_table(pagetable),
        Command::Object(object) => walks::object(object),
        Command::Address(addresses) => address::address(addresses),
        Command::Read(read) => read::read(read),
        Command::Completions(completions) => generate::completions(completions.shell),
        Command::Man(man) => generate::man_pages(&man.dir),
    }
}
