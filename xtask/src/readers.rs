//! Other readers of lakes: installs engines for Python, and runs the tests that need them.

use std::path::PathBuf;
use std::process::Command;

use crate::run::{cargo, root, run, target, Result};

/// Versions of the engines and of all that they depend on.
pub(crate) const VERSIONS: &str = "crates/introspect/tests/readers.txt";

/// Installs the engines and runs the tests.
pub(crate) fn readers() -> Result<()> {
    let python = install(&[VERSIONS])?;
    let mut tests = cargo(&["test", "--package", "introspect-cli"]);
    tests.args(["--test", "readers", "--test", "arrow"]);
    run(tests.env("INTROSPECT_PYTHON", python))
}

/// Installs packages of these lists below the target directory, where they are kept, and returns
/// the Python that has them.
pub(crate) fn install(versions: &[&str]) -> Result<PathBuf> {
    let environment = target().join("readers");
    let python = environment.join("bin/python");
    run(Command::new("python3")
        .args(["-m", "venv"])
        .arg(&environment))?;
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "--no-deps"]);
    install.arg("--disable-pip-version-check");
    for list in versions {
        install.arg("--requirement").arg(root().join(list));
    }
    run(&mut install)?;
    Ok(python)
}
