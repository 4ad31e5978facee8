//! What the README shows is what the command does.

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
fn every_subcommand_is_in_the_readme_and_every_one_there_exists() {
    let readme = project_file("README.md");
    let help = introspect(&["--help"]);
    for subcommand in [
        "physical",
        "extents",
        "virtual",
        "pagetable",
        "object",
        "read",
    ] {
        assert!(
            readme.contains(&format!("    introspect {subcommand}")),
            "{subcommand}"
        );
        assert!(help.contains(&format!("  {subcommand} ")), "{subcommand}");
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

/// The files below a directory of the project whose names end so.
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
    documents.extend(["README.md", "SECURITY.md", "CHANGELOG.md"].map(|name| root.join(name)));
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
        "setcap cap_sys_admin,cap_dac_read_search+ep /usr/local/bin/introspect",
    ];
    let commands = lines.map(|line| format!("    {line}\n")).concat();
    for name in ["README.md", "docs/SAFETY.md"] {
        assert!(project_file(name).contains(&commands), "{name}");
    }
    for path in documents() {
        let text = fs::read_to_string(&path).expect("text");
        let given = text.lines().filter(|line| line.contains("setcap cap"));
        for line in given {
            assert_eq!(line.trim(), lines[3], "{}", path.display());
        }
    }
}

#[test]
fn every_document_that_the_readme_links_exists() {
    let readme = project_file("README.md");
    for link in readme.split("](").skip(1) {
        let target = link.split(')').next().unwrap_or_default();
        if !target.starts_with('#') {
            let path = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("../..")
                .join(target.split('#').next().unwrap_or_default());
            assert!(path.exists(), "{target}");
        }
    }
}
