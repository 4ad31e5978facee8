//! Whether the programs and tests that rows name exist: asked of the programs
//! themselves once they are built, before any guest is started. A misspelt name
//! would else be noticed by running all rows only.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::table::{Row, BASE, LONG, LONG_IN_C};
use crate::run::{output, Result};

/// The names of a test program's tests, by its harness.
pub(super) fn tests_of(program: &Path) -> Result<Vec<String>> {
    let listed = output(Command::new(program).arg("--list"))?;
    let tests = listed
        .lines()
        .filter_map(|line| line.strip_suffix(": test"));
    Ok(tests.map(str::to_owned).collect())
}

/// Checks what `rows` name against Rust's test programs, which this machine can
/// execute, and the names of the C programs.
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
            "named by rows, and not there: {}",
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

#[cfg(test)]
mod tests {
    use super::super::table::TRUTH;
    use super::*;

    #[test]
    fn a_test_program_lists_its_tests() {
        let listed = tests_of(&std::env::current_exe().unwrap()).unwrap();
        let this = "vmtest::names::tests::a_test_program_lists_its_tests";
        assert!(listed.iter().any(|test| test == this), "{listed:?}");
    }

    #[test]
    fn names_without_a_program_or_a_test_are_missing() {
        let mut listed: BTreeMap<&str, Vec<String>> = (BASE.iter().chain(LONG))
            .map(|name| (*name, vec!["works".to_owned()]))
            .collect();
        let row = |also, runs, lacks| Row {
            also,
            runs,
            lacks,
            ..TRUTH
        };
        let good = [row(&["storm"], &["oracle::works"], &["storm::works"])];
        assert_eq!(missing(&good, &listed, LONG_IN_C), [""; 0]);
        assert_eq!(missing(&good, &listed, &[]), LONG_IN_C);
        let bad = [
            row(&["snow"], &["oracle::work"], &[]),
            row(&[], &["rain::works"], &["storm::wokrs", "storm"]),
        ];
        assert_eq!(
            missing(&bad, &listed, LONG_IN_C),
            [
                "oracle::work",
                "rain::works",
                "snow",
                "storm",
                "storm::wokrs"
            ]
        );
        listed.remove(BASE[0]);
        assert_eq!(missing(&[], &listed, LONG_IN_C), [BASE[0]]);
    }
}
