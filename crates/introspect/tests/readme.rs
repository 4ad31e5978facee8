//! The README and the other documents show what the command does, and link to
//! what exists.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn project_file(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::read_to_string(root.join(path)).expect(path)
}

fn introspect(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_introspect"))
        .args(arguments)
        .output()
        .expect("the command");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn the_tables_header_in_the_readme_is_the_commands() {
    // Layout needs no privilege; the header of physical is another, so that
    // one is looked at when it can be had.
    let readme = project_file("README.md");
    let output = introspect(&["physical", "self"]);
    match output.lines().next() {
        Some(header) => assert!(readme.contains(&format!("    {header}\n")), "{header}"),
        None => eprintln!("SKIPPED the README's header: physical addresses need root"),
    }
}

#[test]
fn every_subcommand_is_documented_and_every_documented_one_exists() {
    let help = introspect(&["--help"]);
    let (_, list) = help.split_once("\nCommands:\n").expect("subcommands");
    let list = list.split("\n\n").next().unwrap_or_default();
    let first_word = |line: &str| line.split([' ', ':']).next().unwrap_or_default().to_owned();
    let real: Vec<_> = list.lines().map(|line| first_word(line.trim())).collect();
    assert!(real.contains(&"physical".to_owned()), "{help}");
    let documented = |name: &str| -> Vec<_> {
        let text = project_file(name);
        let commands = text
            .lines()
            .filter_map(|line| line.strip_prefix("    introspect "));
        commands.map(first_word).collect()
    };
    let (readme, using) = (documented("README.md"), documented("docs/USING.md"));
    for subcommand in readme.iter().chain(&using) {
        assert!(real.contains(subcommand), "no subcommand {subcommand}");
    }
    for subcommand in real.iter().filter(|name| *name != "help") {
        assert!(
            using.contains(subcommand),
            "docs/USING.md lacks {subcommand}"
        );
    }
}

#[test]
fn the_readmes_test_command_is_the_one_that_integration_runs() {
    let command = "cargo test --workspace";
    assert!(project_file("README.md").contains(&format!("    $ {command}\n")));
    assert!(project_file(".ci/run").contains(&format!("\nstep {command}\n")));
}

#[test]
fn the_command_in_an_examples_header_runs_it() {
    let header = project_file("examples/rust/one_extent.rs");
    let line = header.lines().find_map(|line| line.split('`').nth(1));
    let mut words = line.expect("a command").split(' ');
    assert_eq!(words.next(), Some("cargo"));
    let output = Command::new(env!("CARGO"))
        .args(words)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."))
        .output()
        .expect("cargo");
    let (printed, said) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    let is_right = printed.contains("within a page: 100 bytes") || said.contains("CAP_SYS_ADMIN");
    assert!(is_right, "{printed}{said}");
}

/// The files below a directory of the project whose names end with `end`.
fn files_below(dir: &str, end: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let (mut found, mut left) = (Vec::new(), vec![root.join(dir)]);
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(&dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => left.push(path),
                false if path.to_string_lossy().ends_with(end) => found.push(path),
                false => {}
            }
        }
    }
    found
}

fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut documents = files_below("docs", ".md");
    let in_root = [
        "README",
        "ARCHITECTURE",
        "CONTRIBUTING",
        "SECURITY",
        "CHANGELOG",
    ];
    documents.extend(in_root.map(|name| root.join(name).with_extension("md")));
    documents
}

#[test]
fn every_table_has_a_header() {
    let sources = files_below("crates", ".rs");
    let mut count = 0;
    for path in documents().into_iter().chain(sources) {
        let is_source = path.extension().is_some_and(|end| end == "rs");
        let text = fs::read_to_string(&path).expect("text");
        let row = |line: &str| {
            let line = match is_source {
                true => line.trim_start().strip_prefix("//")?.get(1..)?.trim_start(),
                false => line,
            };
            line.starts_with("| ").then(|| line.to_owned())
        };
        let lines: Vec<_> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let is_first = at == 0 || row(lines[at - 1]).is_none();
            if row(line).is_none() || !is_first || lines[at - 1].contains("|--") {
                continue;
            }
            let below = lines.get(at + 1).copied().unwrap_or_default();
            assert!(below.contains("|--"), "{}: {line}", path.display());
            count += 1;
        }
    }
    assert!(count > 10, "{count} tables");
}

#[test]
fn capabilities_are_given_to_a_group_and_leave_the_bytes_of_others_alone() {
    let lines = [
        "groupadd introspect",
        "chown root:introspect /usr/local/bin/introspect",
        "chmod 750 /usr/local/bin/introspect",
        "setcap cap_sys_admin,cap_dac_read_search+p /usr/local/bin/introspect",
    ];
    let commands = lines.map(|line| format!("    {line}\n")).concat();
    assert!(project_file("docs/PRIVILEGES.md").contains(&commands));
    for path in documents() {
        let text = fs::read_to_string(&path).expect("text");
        let given = text.lines().filter(|line| line.contains("setcap cap"));
        for line in given {
            assert_eq!(line.trim(), lines[3], "{}", path.display());
        }
    }
}

/// The anchor that a heading gets: lower case, hyphens for spaces, nothing else.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let text = text.replace(' ', "-");
    let is_kept = |c: &char| c.is_alphanumeric() || matches!(c, '-' | '_');
    text.chars().filter(is_kept).collect()
}

#[test]
fn every_source_file_that_a_document_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut count = 0;
    for path in documents() {
        let text = fs::read_to_string(&path).expect("text");
        let names = text.split('`').skip(1).step_by(2);
        for name in names.filter(|name| name.contains("/src/") || name.contains("/tests/")) {
            let is_there = ["", "crates"].map(|dir| root.join(dir).join(name).exists());
            assert!(is_there.contains(&true), "{}: {name}", path.display());
            count += 1;
        }
    }
    assert!(count > 10, "{count} files");
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    let mut count = 0;
    for path in documents() {
        let text = fs::read_to_string(&path).expect("text");
        for link in text.split("](").skip(1) {
            let link = link.split(')').next().unwrap_or_default();
            if link.starts_with("http") {
                continue;
            }
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => path.clone(),
                file => path.parent().expect("a directory").join(file),
            };
            assert!(target.exists(), "{}: {link}", path.display());
            if !heading.is_empty() {
                let text = fs::read_to_string(&target).expect("text");
                let mut headings = text.lines().filter(|line| line.starts_with('#'));
                let is_there = headings.any(|line| anchor(line) == heading);
                assert!(is_there, "{}: {link}", path.display());
            }
            count += 1;
        }
    }
    assert!(count > 10, "{count} links");
}
