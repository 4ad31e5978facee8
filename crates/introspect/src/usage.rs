//! Parses the command line, and prints help, the version, and usage errors. Must not know
//! what the arguments mean.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory, Parser};

use crate::commands::{Command, CommandLine};
use crate::failure::{warn, Failure};
use crate::output::destination::print;

/// Exit status of wrong usage.
const WRONG_USAGE: u8 = 2;

/// Parses the arguments of this process. Otherwise prints help, the version or the error,
/// and returns the exit status.
pub(crate) fn parse() -> Result<Command, ExitCode> {
    match CommandLine::try_parse() {
        Ok(line) => Ok(line.command),
        Err(error) => Err(end(error)),
    }
}

/// Prints a usage error that clap did not find, with the usage of the subcommand, and returns
/// the exit status.
pub(crate) fn end_by_wrong_usage(error: clap::Error) -> ExitCode {
    let mut command = CommandLine::command();
    command.build();
    let name = std::env::args_os().nth(1).unwrap_or_default();
    match command.find_subcommand_mut(&name) {
        Some(subcommand) => end(error.format(subcommand)),
        None => end(error.format(&mut command)),
    }
}

/// Prints the text of clap's result, and returns the exit status.
fn end(mut error: clap::Error) -> ExitCode {
    correct(&mut error);
    let text = error.render().to_string();
    if error.use_stderr() {
        // If this fails, the exit status still reports the error.
        let _ = io::stderr().write_all(text.as_bytes());
        return ExitCode::from(WRONG_USAGE);
    }
    match print(text.as_bytes()) {
        Ok(()) | Err(Failure::ReaderGone) => ExitCode::SUCCESS,
        Err(failure) => {
            warn(failure.message(None));
            ExitCode::from(failure.status())
        }
    }
}

/// Removes misleading suggestions: hidden subcommands, and `--` before an argument, which
/// would start a program of that name.
fn correct(error: &mut clap::Error) {
    if let Some(ContextValue::Strings(mut names)) = error.remove(ContextKind::SuggestedSubcommand) {
        let command = CommandLine::command();
        names.retain(|name| {
            let mut subcommands = command.get_subcommands();
            subcommands.any(|command| command.get_name() == name && !command.is_hide_set())
        });
        if !names.is_empty() {
            error.insert(
                ContextKind::SuggestedSubcommand,
                ContextValue::Strings(names),
            );
        }
    }
    if let Some(ContextValue::StyledStrs(mut tips)) = error.remove(ContextKind::Suggested) {
        tips.retain(|tip| !tip.to_string().contains("-- "));
        if !tips.is_empty() {
            error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
        }
    }
}
