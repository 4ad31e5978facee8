//! What the README shows is what the command does.

use std::fs;
use std::path::Path;
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

#[test]
fn every_document_that_the_readme_links_exists() {
    let readme = project_file("README.md");
    for link in readme.split("](").skip(1) {
        let target = link.split(')').next().unwrap_or_default();
        if !target.starts_with('#') {
            let path = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("../..")
                .join(target);
            assert!(path.exists(), "{target}");
        }
    }
}
