//! The command line: parses it, and prints help, the version and what is wrong
//! with it. Knows nothing of what the arguments ask for.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory, Parser};

use crate::commands::Arguments;
use crate::failure::Failure;
use crate::output::destination::Destination;
use crate::output::place::Place;

/// Exit status of wrong usage.
const WRONG_USAGE: u8 = 2;

/// Parses the arguments of this process. Otherwise help, the version or the
/// mistake has been printed, and the status to end with is returned.
pub(crate) fn parse() -> Result<Arguments, ExitCode> {
    Arguments::try_parse().map_err(end)
}

/// Prints what clap has to say, and returns the status to end with.
pub(crate) fn end(mut error: clap::Error) -> ExitCode {
    correct(&mut error);
    let text = error.render().to_string();
    if error.use_stderr() {
        // Where nobody can be told, the status still tells.
        let _ = io::stderr().write_all(text.as_bytes());
        return ExitCode::from(WRONG_USAGE);
    }
    match print(text.as_bytes()) {
        Ok(()) | Err(Failure::ReaderGone) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(io::stderr(), "introspect: {}", failure.message(None));
            ExitCode::from(failure.status())
        }
    }
}

/// Prints a text on standard output.
pub(crate) fn print(text: &[u8]) -> Result<(), Failure> {
    let place = Place::StandardOutput;
    Destination::open(&place)
        .and_then(|mut out| out.write_all(text))
        .map_err(|error| place.write(&error))
}

/// Takes suggestions away that would not help: hidden subcommands, and `--`
/// before an argument, which would start a program of that name.
fn correct(error: &mut clap::Error) {
    if let Some(ContextValue::Strings(names)) = error.remove(ContextKind::SuggestedSubcommand) {
        let is_shown = |name: &String| {
            Arguments::command()
                .get_subcommands()
                .any(|command| command.get_name() == name && !command.is_hide_set())
        };
        let names: Vec<_> = names.into_iter().filter(is_shown).collect();
        if !names.is_empty() {
            error.insert(
                ContextKind::SuggestedSubcommand,
                ContextValue::Strings(names),
            );
        }
    }
    if let Some(ContextValue::StyledStrs(tips)) = error.remove(ContextKind::Suggested) {
        let tips: Vec<_> = tips
            .into_iter()
            .filter(|tip| !tip.to_string().contains("-- "))
            .collect();
        if !tips.is_empty() {
            error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
        }
    }
}
