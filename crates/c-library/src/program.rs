//! The C programs that the library is tested with: which there are and how one
//! is compiled. Knows no case and runs nothing.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{run, Library};

/// The programs of cases in `programs`, without `.c`: each lists its cases,
/// and runs the one it is given. Exit status 77: it cannot be tried here.
pub const WITH_CASES: [&str; 12] = [
    "buffer",
    "confined",
    "cursor",
    "handlers",
    "idioms",
    "objects",
    "own_memory",
    "regions",
    "safety",
    "stack",
    "tagged",
    "targets",
];

/// The other programs: each is compiled in a way of its own, by a test of its own.
pub const OTHERS: [&str; 5] = ["constants", "header", "panic", "race", "thread_sanitizer"];

/// How a program is linked.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Linked {
    /// With the shared object.
    Shared,
    /// With the archive, but with the system's shared libc.
    Archive,
    /// Wholly static.
    Static,
}

/// The strictest warnings that both C and C++ know.
pub const WARNINGS: [&str; 4] = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"];

/// The options of a C compiler that a program of cases is compiled with.
pub const OPTIONS: [&str; 3] = ["-std=gnu11", "-O2", "-g"];

/// Where the programs are, given the workspace.
pub fn directory(root: &Path) -> PathBuf {
    root.join("crates/c-library/programs")
}

/// Compiles `source` to `output` with `compiler`, which may have arguments of
/// its own already. Of the library only the files are used that this way of
/// linking needs.
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
    compiler
        .args(WARNINGS)
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
