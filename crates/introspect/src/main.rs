//! The command `introspect`: from arguments through the library to output. Everything
//! that it knows of Linux is in the library.
// Except one attribute in `output::startup`.
#![deny(unsafe_code)]

mod commands;
mod control;
mod failure;
mod grouping;
mod memory_errors;
mod metrics;
mod options;
mod output;
mod pace;
mod source;
mod text;
mod top;
mod usage;

use std::fmt::Display;
use std::process::ExitCode;

use crate::failure::{warn, Failure};

fn main() -> ExitCode {
    // A call that fails for lack of a capability says so itself.
    let _ = process_introspection::raise_permitted_capabilities();
    let command = match usage::parse() {
        Ok(command) => command,
        Err(status) => return status,
    };
    match command.run() {
        Ok(status) => ExitCode::from(status),
        Err(Failure::ReaderGone) => ExitCode::SUCCESS,
        Err(Failure::Usage(error)) => usage::end_by_wrong_usage(error),
        Err(failure) => {
            if let Failure::Interrupted(signal) = failure {
                control::interruption::end_by(signal);
            }
            let target = command.target().map(|target| target as &dyn Display);
            warn(failure.message(target));
            ExitCode::from(failure.status())
        }
    }
}
