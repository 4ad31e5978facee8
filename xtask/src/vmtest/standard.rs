//! The standard library of another architecture, from Debian's package, for a
//! compiler that has only this machine's. Knows nothing of what is compiled.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::kernels::Arch;
use super::packages;
use crate::run::{output, Result};

/// Names of the package: of the compiler for browsers, and of the ordinary one.
const NAMES: [&str; 2] = ["libstd-rust-web-dev", "libstd-rust-dev"];

/// Returns a directory that `rustc` accepts as `--sysroot` for `target`.
///
/// # Errors
/// No package of the compiler's version can be fetched, or the compiler rejects it
/// because it was built from other sources.
pub(super) fn sysroot(
    cache: &Path,
    rustc: &Path,
    arch: Arch,
    target: &str,
    cc: &str,
) -> Result<PathBuf> {
    let about = output(Command::new(rustc).arg("-vV"))?;
    let mut lines = about.lines();
    let version = lines.find_map(|line| line.strip_prefix("release: "));
    let version = version.ok_or_else(|| format!("{} has no release", rustc.display()))?;
    let (found, mut why) = packages::of_version(cache, arch, &NAMES, version);
    for directory in found {
        let sysroot = directory.join("usr");
        match try_out(rustc, &sysroot, target, cc) {
            Ok(()) => return Ok(sysroot),
            Err(error) => why += &format!("\n{}: {error}", directory.display()),
        }
    }
    Err(format!("no {} {version} for it: {why}", NAMES.join(" or ")))
}

/// Compiles and links an empty program.
fn try_out(rustc: &Path, sysroot: &Path, target: &str, cc: &str) -> Result<()> {
    let [source, program] = ["empty.rs", "empty"].map(|name| sysroot.join(name));
    fs::write(&source, "fn main() {}\n")
        .map_err(|error| format!("{}: {error}", source.display()))?;
    let mut command = Command::new(rustc);
    command.args(["--target", target, "-C", &format!("linker={cc}")]);
    command.args(["-C", "target-feature=+crt-static", "--sysroot"]);
    command.arg(sysroot).arg("-o").args([&program, &source]);
    output(&mut command).map(drop)
}
