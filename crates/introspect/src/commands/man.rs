//! `introspect man`: manual pages, from the definition of the command line and the texts
//! in `manual/`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use process_introspection::with_user_rights;

use crate::failure::Failure;
use crate::output::place::Place;

/// Write the manual pages into a directory
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Directory, which is created if necessary
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

impl Arguments {
    /// Writes a page for the command and one for each subcommand. `manual` is the text
    /// that a page has beside the help, by the name of the subcommand.
    pub(crate) fn run(
        &self,
        mut command: clap::Command,
        manual: fn(&str) -> &'static str,
    ) -> Result<(), Failure> {
        command.build();
        let generate = || {
            fs::create_dir_all(&self.dir)?;
            let subcommands = command.get_subcommands();
            for shown in subcommands.filter(|it| !it.is_hide_set()).chain([&command]) {
                // A page about the help would contain nothing more.
                if shown.get_name() != "help" {
                    page(shown, manual(shown.get_name()), &self.dir)?;
                }
            }
            Ok(())
        };
        with_user_rights(generate).map_err(|error| Place::At(self.dir.clone()).write(&error))
    }
}

/// Writes the page of one command.
fn page(command: &clap::Command, manual: &str, dir: &Path) -> io::Result<()> {
    let man = clap_mangen::Man::new(command.clone());
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    let help = command.get_after_help().map(ToString::to_string);
    let help = help.unwrap_or_default();
    let (mut examples, mut sections) = (String::new(), String::new());
    for paragraph in manual.split("\n\n").chain(help.split("\n\n")) {
        match paragraph.split_once(":\n") {
            Some(("Examples", body)) => examples.push_str(&lines(body)),
            Some((title @ ("Exit status" | "Privileges"), body)) => {
                sections.push_str(&format!(
                    ".SH \"{}\"\n{}",
                    title.to_uppercase(),
                    lines(body)
                ));
            }
            _ => text.extend_from_slice(format!(".PP\n{}", lines(paragraph)).as_bytes()),
        }
    }
    if command.get_arguments().next().is_some() {
        man.render_options_section(&mut text)?;
    }
    if command.get_subcommands().any(|it| !it.is_hide_set()) {
        man.render_subcommands_section(&mut text)?;
    }
    if !examples.is_empty() {
        sections.push_str(&format!(".SH EXAMPLES\n.nf\n{examples}.fi\n"));
    }
    text.extend_from_slice(sections.as_bytes());
    fs::write(dir.join(man.get_filename()), text)
}

/// Lines of text for roff, without requests or escapes.
fn lines(paragraph: &str) -> String {
    let line = |line: &str| {
        let escaped = line.replace('\\', "\\e").replace('-', "\\-");
        format!("\\&{}\n", escaped.trim_start_matches(' '))
    };
    paragraph.lines().map(line).collect()
}
