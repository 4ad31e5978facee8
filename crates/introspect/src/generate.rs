//! Completions and man pages, from the definition of the command line.

use std::fs;
use std::io::Write;
use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;
use process_introspection::with_user_rights;

use crate::arguments::Arguments;
use crate::destination::Destination;
use crate::failure::Failure;
use crate::place::Place;

/// Prints completions.
pub(crate) fn completions(shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "introspect", &mut script);
    Destination::open(&Place::StandardOutput)
        .and_then(|mut out| out.write_all(&script))
        .map_err(|error| Place::StandardOutput.write(&error))
}

/// Writes `introspect.1` and one page for each subcommand.
pub(crate) fn man_pages(dir: &Path) -> Result<(), Failure> {
    let generate = || {
        fs::create_dir_all(dir)?;
        clap_mangen::generate_to(Arguments::command(), dir)
    };
    with_user_rights(generate).map_err(|error| Place::At(dir.to_owned()).write(&error))
}
