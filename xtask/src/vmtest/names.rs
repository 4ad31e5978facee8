//! Existence of the programs and tests that rows name. The built test programs list
//! their tests, so a misspelt name is found before any guest starts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::row::{Row, BASE, LONG, LONG_IN_C};
use crate::run::{output, Result};

/// Names of a test program's tests, as its harness lists them.
fn tests_of(program: &Path) -> Result<Vec<String>> {
    let listed = output(Command::new(program).arg("--list"))?;
    let tests = listed
        .lines()
        .filter_map(|line| line.strip_suffix(": test"));
    Ok(tests.map(str::to_owned).collect())
}

/// Compares the names in `rows` with the Rust test programs, which this machine can
/// execute, and with the names of the C programs.
///
/// # Errors
/// Names without a program or a test, or a program that lists none.
pub(super) fn check(rows: &[Row], tests: &[(String, PathBuf)], in_c: &[&str]) -> Result<()> {
    let mut listed = BTreeMap::new();
    for (name, path) in tests {
        listed.insert(name.as_str(), tests_of(path)?);
    }
    match missing(rows, &listed, in_c)[..] {
        [] => Ok(()),
        ref missing => Err(format!(
            "rows name programs or tests that do not exist: {}",
            missing.join(", ")
        )),
    }
}

fn missing(rows: &[Row], listed: &BTreeMap<&str, Vec<String>>, in_c: &[&str]) -> Vec<String> {
    let also = rows.iter().flat_map(|row| row.also);
    let programs = also.chain(BASE).chain(LONG).chain(LONG_IN_C);
    let mut missing: Vec<String> = programs
        .filter(|name| !listed.contains_key(*name) && !in_c.contains(name))
        .map(|name| (*name).to_owned())
        .collect();
    let tests = rows.iter().flat_map(|row| row.runs.iter().chain(row.lacks));
    let is_there = |test: &str| {
        let (program, name) = test.split_once("::")?;
        listed.get(program)?.iter().find(|it| *it == name)
    };
    missing.extend(
        tests
            .filter(|test| is_there(test).is_none())
            .map(|test| (*test).to_owned()),
    );
    missing.sort();
    missing.dedup();
    missing
}
