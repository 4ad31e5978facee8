//! Other readers of lakes: installs engines for Python, and runs the tests that need them.

use std::process::Command;

use crate::run::{cargo, root, run, target, Result};

/// Versions of the engines and of all that they depend on.
const VERSIONS: &str = "crates/introspect/tests/readers.txt";

/// Installs the engines below the target directory, where they are kept, and runs the tests.
pub(crate) fn readers() -> Result<()> {
    let environment = target().join("readers");
    let python = environment.join("bin/python");
    run(Command::new("python3")
        .args(["-m", "venv"])
        .arg(&environment))?;
    let install = ["-m", "pip", "install", "--quiet", "--no-deps"];
    run(Command::new(&python)
        .args(install)
        .args(["--disable-pip-version-check", "--requirement"])
        .arg(root().join(VERSIONS)))?;
    let mut tests = cargo(&["test", "--package", "introspect-cli"]);
    tests.args(["--test", "readers", "--test", "arrow"]);
    run(tests.env("INTROSPECT_PYTHON", python))
}
