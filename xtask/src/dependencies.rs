//! Checks of dependencies: licences, sources, duplicates, known vulnerabilities, and the
//! minimum versions in the manifests.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::{cargo, output, root, run, target, Result};
use crate::steps::workspaces;

/// Database of advisories that `cargo deny` uses.
const ADVISORIES: &str = "https://github.com/RustSec/advisory-db";

/// Checks of dependencies.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Exit with an error if the advisories cannot be fetched
    #[arg(long)]
    advisories: bool,
}

/// Checks all workspaces by the rules in `deny.toml`. Prints a message if the database of
/// advisories cannot be reached.
pub(crate) fn deny(arguments: &Arguments) -> Result<()> {
    run(&mut cargo(&["deny", "--version"]))
        .map_err(|why| format!("cargo install cargo-deny --locked ({why})"))?;
    for manifest in workspaces() {
        run(deny_check(manifest).args(["bans", "licenses", "sources"]))?;
    }
    let reached = output(
        Command::new("git")
            // Ends also where a firewall drops packets.
            .args(["-c", "http.lowSpeedLimit=1", "-c", "http.lowSpeedTime=20"])
            .args(["ls-remote", "--exit-code", ADVISORIES, "HEAD"])
            .env("GIT_TERMINAL_PROMPT", "0"),
    );
    match reached {
        Ok(_) => workspaces().try_for_each(|manifest| run(deny_check(manifest).arg("advisories"))),
        Err(why) if arguments.advisories => Err(why),
        Err(why) => {
            eprintln!("  advisories NOT checked, their database cannot be reached: {why}");
            Ok(())
        }
    }
}

fn deny_check(manifest: &str) -> Command {
    let mut command = cargo(&["deny", "--manifest-path", manifest]);
    command.args(["--config", "deny.toml", "check"]);
    // No workspace has all dependencies of the common list of exceptions.
    command.args(["--allow", "unmatched-skip"]);
    command
}

/// Builds everything with the oldest versions that the manifests allow, in a copy of the
/// sources, because cargo writes the versions into the lock file.
pub(crate) fn minimal_versions() -> Result<()> {
    let directory = target().join("minimal-versions");
    let source = directory.join("source");
    let _ = fs::remove_dir_all(&source);
    fs::create_dir_all(&source).map_err(|error| format!("{}: {error}", source.display()))?;
    for part in [
        "Cargo.toml",
        "README.md",
        "SECURITY.md",
        "crates",
        "dashboards",
        "docs",
        "examples",
        "vmtest",
        "xtask",
    ] {
        copy(&root().join(part), &source.join(part)).map_err(|error| format!("{part}: {error}"))?;
    }
    // The variable makes the stable cargo accept an unstable option. The build itself
    // does not need it.
    let mut lock = cargo(&["generate-lockfile", "-Z", "direct-minimal-versions"]);
    run(lock.current_dir(&source).env("RUSTC_BOOTSTRAP", "1"))?;
    let mut check = cargo(&["check", "--locked", "--workspace", "--all-targets"]);
    let build: PathBuf = directory.join("build");
    run(check.current_dir(&source).env("CARGO_TARGET_DIR", build))
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if !from.is_dir() {
        return fs::copy(from, to).map(drop);
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let name = entry?.file_name();
        copy(&from.join(&name), &to.join(&name))?;
    }
    Ok(())
}
