//! Kernel modules from `vmtest/modules`, which do what no packaged driver does. Built
//! for a guest's kernel with headers from Debian's archive. Knows no test.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::packages::{self, Unpacked};
use crate::run::{output, root, Result};

/// Builds `NAME.c` for a kernel, in a directory of that kernel.
///
/// # Errors
/// Headers of this kernel are missing, or the module does not compile with them.
pub(super) fn build(
    name: &str,
    kernel: &Unpacked,
    cache: &Path,
    directory: &Path,
) -> Result<Vec<u8>> {
    let headers = packages::headers(cache, kernel)?;
    // The kernel's makefiles do not support spaces.
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
    // This machine's compiler. Type information for BPF would need one more program.
    make.args(["CC=gcc", "CONFIG_DEBUG_INFO_BTF_MODULES=", "modules"]);
    make.env_remove("MAKEFLAGS").env_remove("MAKELEVEL");
    output(&mut make)?;
    let built = place.join(format!("{name}.ko"));
    fs::read(&built).map_err(|error| failed(&built, error))
}
