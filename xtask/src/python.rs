//! The package for Python: builds the wheel, and runs its tests, its types and its example with
//! the engines that take its results.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::{cargo, root, run, target, Result};

/// Versions of all packages that are installed, relative to the folder of the package.
const VERSIONS: &str = "requirements.txt";

/// Options.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Measure an optimized build instead (2 GiB of free memory, root)
    #[arg(long)]
    bench: bool,
}

/// Installs the packages below the target directory, where they are kept, builds the wheel,
/// installs it, and uses it.
pub(crate) fn python(arguments: &Arguments) -> Result<()> {
    let python = environment().join("bin/python");
    let profile = if arguments.bench { "release" } else { "dev" };
    let wheel = wheel(profile)?;
    pip(&python, &["--force-reinstall", &wheel.to_string_lossy()])?;
    if arguments.bench {
        return run(of_package(&python).arg("bench.py"));
    }
    let sources = ["package", "tests", "examples", "bench.py"];
    run(of_package(&python).args(["-m", "mypy"]).args(sources))?;
    let stubs = ["-m", "mypy.stubtest", "process_introspection"];
    let config = ["--mypy-config-file", "pyproject.toml"];
    run(of_package(&python).args(stubs).args(config))?;
    run(&mut cargo(&["build", "--package", "introspect-cli"]))?;
    let mut tests = of_package(&python);
    tests.env("INTROSPECT", target().join("debug/introspect"));
    run(tests.args(["-m", "pytest"]))?;
    run(of_package(&python).arg("examples/contiguity.py"))
}

fn environment() -> PathBuf {
    target().join("python")
}

/// Builds the wheel in a folder of its own and returns its path.
pub(crate) fn wheel(profile: &str) -> Result<PathBuf> {
    let environment = environment();
    let python = environment.join("bin/python");
    run(Command::new("python3")
        .args(["-m", "venv"])
        .arg(&environment))?;
    pip(&python, &["--requirement", VERSIONS])?;
    let wheels = environment.join("wheels").join(profile);
    let _ = fs::remove_dir_all(&wheels);
    let mut maturin = Command::new(environment.join("bin/maturin"));
    maturin.args(["build", "--profile", profile, "--interpreter"]);
    maturin.arg(&python).arg("--out").arg(&wheels);
    run(maturin.current_dir(folder()))?;
    let made = fs::read_dir(&wheels).map_err(|error| format!("{}: {error}", wheels.display()))?;
    let mut made = made.flatten().map(|wheel| wheel.path());
    made.next()
        .ok_or_else(|| format!("no wheel in {}", wheels.display()))
}

fn pip(python: &Path, arguments: &[&str]) -> Result<()> {
    let install = ["-m", "pip", "install", "--quiet", "--no-deps"];
    let mut pip = of_package(python);
    pip.args(install).arg("--disable-pip-version-check");
    run(pip.args(arguments))
}

/// Returns a command of Python in the folder of the package.
fn of_package(python: &Path) -> Command {
    let mut command = Command::new(python);
    command.current_dir(folder());
    command
}

fn folder() -> PathBuf {
    root().join("python")
}
