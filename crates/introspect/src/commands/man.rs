//! Man pages, from the definition of the command line.

use std::fs;
use std::io;
use std::path::Path;

use clap::CommandFactory;
use process_introspection::with_user_rights;

use crate::commands::Arguments;
use crate::failure::Failure;
use crate::output::place::Place;

/// Writes `introspect.1` and one page for each subcommand.
pub(crate) fn man_pages(dir: &Path) -> Result<(), Failure> {
    let generate = || {
        fs::create_dir_all(dir)?;
        let mut command = Arguments::command();
        command.build();
        let subcommands = command.get_subcommands().filter(|it| !it.is_hide_set());
        for shown in subcommands.chain([&command]) {
            // The help of a help says nothing more.
            if shown.get_name() != "help" {
                page(shown, dir)?;
            }
        }
        Ok(())
    };
    with_user_rights(generate).map_err(|error| Place::At(dir.to_owned()).write(&error))
}

/// Writes the page of one command: what stands below its help is a part of the
/// description, or a section of its own where it has a title.
fn page(command: &clap::Command, dir: &Path) -> io::Result<()> {
    let man = clap_mangen::Man::new(command.clone());
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    let below = command.get_after_help().map(ToString::to_string);
    let below = below.unwrap_or_default();
    let mut sections = Vec::new();
    for paragraph in below.split("\n\n") {
        let title = TITLES
            .iter()
            .find(|(begin, _)| paragraph.starts_with(begin));
        match title {
            None => text.extend_from_slice(format!(".PP\n{}", lines(paragraph)).as_bytes()),
            Some(&(begin, title)) => {
                let body = lines(paragraph[begin.len()..].trim_start_matches(['\n']));
                let body = match title {
                    EXAMPLES => format!(".nf\n{body}.fi\n"),
                    _ => body,
                };
                sections.push(format!(".SH {title}\n{body}"));
            }
        }
    }
    if command.get_arguments().next().is_some() {
        man.render_options_section(&mut text)?;
    }
    if command.get_subcommands().any(|it| !it.is_hide_set()) {
        man.render_subcommands_section(&mut text)?;
    }
    text.extend_from_slice(sections.concat().as_bytes());
    fs::write(dir.join(man.get_filename()), text)
}

const EXAMPLES: &str = "EXAMPLES";
/// Beginnings of paragraphs that are sections, and the titles of these.
const TITLES: [(&str, &str); 3] = [
    ("Examples:", EXAMPLES),
    ("Exit status:", "\"EXIT STATUS\""),
    ("Privileges:", "PRIVILEGES"),
];

/// Lines of text for roff, in which nothing is a request or an escape.
fn lines(paragraph: &str) -> String {
    let line = |line: &str| {
        let escaped = line.replace('\\', "\\e").replace('-', "\\-");
        format!("\\&{}\n", escaped.trim_start_matches(' '))
    };
    paragraph.lines().map(line).collect()
}
