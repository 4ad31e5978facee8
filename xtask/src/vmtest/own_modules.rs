//! Kernel modules of our own, in `vmtest/modules`, for what no driver in a
//! package gives: built for a guest's kernel with the headers in Debian's
//! archive. Knows neither guests nor tests.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::packages::{self, Unpacked};
use crate::run::{output, root, Result};

/// Builds `NAME.c` for a kernel, in a directory that nobody else has.
///
/// # Errors
/// There are no headers of this kernel, or it cannot be built with them.
pub(super) fn build(
    name: &str,
    kernel: &Unpacked,
    cache: &Path,
    directory: &Path,
) -> Result<Vec<u8>> {
    let headers = packages::headers(cache, kernel)?;
    // The kernel's makefiles know no spaces.
    let of_kernel = kernel.name.replace(' ', "_");
    let place = directory.join("modules").join(of_kernel);
    let failed = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    fs::create_dir_all(&place).map_err(|error| failed(&place, error))?;
    let source = root().join("vmtest/modules").join(format!("{name}.c"));
    fs::copy(&source, place.join(format!("{name}.c"))).map_err(|error| failed(&source, error))?;
    let kbuild = place.join("Kbuild");
    fs::write(&kbuild, format!("obj-m := {name}.o\n")).map_err(|error| failed(&kbuild, error))?;
    let mut make = Command::new("make");
    make.arg("-C").arg(&headers);
    make.arg(format!("M={}", place.display()));
    // This machine's compiler; and types for BPF would need one more program.
    make.args(["CC=gcc", "CONFIG_DEBUG_INFO_BTF_MODULES=", "modules"]);
    make.env_remove("MAKEFLAGS").env_remove("MAKELEVEL");
    output(&mut make)?;
    let built = place.join(format!("{name}.ko"));
    fs::read(&built).map_err(|error| failed(&built, error))
}
