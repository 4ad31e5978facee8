//! The C programs that test the library: their names and their compilation. Knows
//! no case and runs nothing.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{run, Library};

/// Programs of cases in `programs`, without `.c`: each lists its cases, and runs a
/// case by its name. Exit status 77: it cannot be tried here.
pub const WITH_CASES: [&str; 19] = [
    "buffer",
    "confined",
    "cursor",
    "handlers",
    "idioms",
    "objects",
    "own_memory",
    "processes",
    "qnx_debugger",
    "qnx_dumper",
    "qnx_lister",
    "qnx_mapping",
    "qnx_profiler",
    "qnx_sanitizer",
    "regions",
    "safety",
    "stack",
    "tagged",
    "targets",
];

/// Other programs, each with a compilation and a test of its own.
pub const OTHERS: [&str; 6] = [
    "constants",
    "header",
    "panic",
    "qnx_header",
    "race",
    "thread_sanitizer",
];

/// Linkage of a program.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Linked {
    /// With the shared object.
    Shared,
    /// With the archive, but with the system's shared libc.
    Archive,
    /// Fully static.
    Static,
}

/// The strictest warnings of both C and C++.
pub const WARNINGS: [&str; 4] = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"];

/// Options of the C compiler for a program of cases.
pub const OPTIONS: [&str; 3] = ["-std=gnu11", "-O2", "-g"];

/// Returns the directory of the programs, given the workspace.
pub fn directory(root: &Path) -> PathBuf {
    root.join("crates/c-library/programs")
}

/// Returns whether a program is written for QNX, and needs the headers for it: its
/// name begins so.
pub fn is_for_qnx(source: &Path) -> bool {
    source
        .file_name()
        .is_some_and(|name| name.as_encoded_bytes().starts_with(b"qnx_"))
}

/// Compiles `source` to `output` with `compiler`, which may already have arguments.
/// Uses only the files of the library that the linkage needs.
///
/// # Errors
/// The command that failed, with its output.
pub fn compile(
    mut compiler: Command,
    library: &Library,
    linked: Linked,
    source: &Path,
    output: &Path,
) -> Result<(), String> {
    compiler.args(WARNINGS);
    if is_for_qnx(source) {
        compiler.arg("-I").arg(&library.include_qnx);
    }
    compiler
        .arg("-I")
        .arg(&library.include)
        .arg("-o")
        .arg(output)
        .arg(source);
    match linked {
        Linked::Shared => compiler.arg("-L").arg(&library.dir).arg("-lintrospection"),
        Linked::Archive => compiler.arg(&library.archive),
        Linked::Static => compiler.arg("-static").arg(&library.archive),
    };
    compiler.arg("-pthread");
    run(&mut compiler).map(drop)
}
