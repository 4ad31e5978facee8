//! Reports in a browser: installs what drives it, makes reports with the built command, and runs
//! the tests in `browser`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::{cargo, output, root, run, target, Result};

/// Variable with the path of the browser, and the path if it is not set.
const CHROMIUM: (&str, &str) = ("CHROMIUM", "/usr/bin/chromium");

/// Installs the packages of the lock file, makes reports and runs the tests, file by file: two
/// files at once would disturb each other's times.
pub(crate) fn browser() -> Result<()> {
    let chromium = std::env::var(CHROMIUM.0).unwrap_or(CHROMIUM.1.to_owned());
    check_programs(&chromium)?;
    let folder = root().join("browser");
    let mut install = Command::new("npm");
    install.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
    run(install.current_dir(&folder))?;
    run(&mut cargo(&["build", "--package", "introspect-cli"]))?;
    let reports = target().join("browser");
    let mut make = Command::new("node");
    make.arg("documents.mjs")
        .arg(target().join("debug/introspect"))
        .arg(&reports);
    run(make.current_dir(&folder))?;
    for test in tests(&folder.join("tests"))? {
        let mut node = Command::new("node");
        node.args(["--test", "--test-reporter=spec"]).arg(test);
        node.env("REPORTS", &reports).env(CHROMIUM.0, &chromium);
        run(node.current_dir(&folder))?;
    }
    Ok(())
}

fn check_programs(chromium: &str) -> Result<()> {
    let programs = ["node", "npm", chromium];
    let missing: Vec<_> = programs
        .into_iter()
        .filter(|program| output(Command::new(program).arg("--version")).is_err())
        .collect();
    match missing.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "no {}; install nodejs, npm and chromium, or set {}",
            missing.join(", no "),
            CHROMIUM.0
        )),
    }
}

/// Returns the files with tests, in the order of their names.
fn tests(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = folder.read_dir().map_err(|error| error.to_string())?;
    let mut files: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.to_string_lossy().ends_with(".test.mjs"))
        .collect();
    files.sort();
    Ok(files)
}
