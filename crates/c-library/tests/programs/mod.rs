//! Compiles the C programs against the library and runs their cases. Knows no
//! case.

// Each test binary uses a part of this module.
#![allow(dead_code)]

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use c_library::loaded::Functions;
pub(crate) use c_library::program::Linked;
use c_library::program::{self, OPTIONS};
use c_library::{cc, run, Library};

/// All linkages.
pub(crate) const ALL_LINKS: [Linked; 3] = [Linked::Shared, Linked::Archive, Linked::Static];

/// All inclusions of the header beside `<sys/mman.h>`.
pub(crate) const INCLUSIONS: [&[&str]; 6] = [
    &[],
    &["-DBEFORE"],
    &["-DAFTER"],
    &["-DINTROSPECTION_QNX_NAMES"],
    &["-DINTROSPECTION_QNX_NAMES", "-DBEFORE"],
    &["-DINTROSPECTION_QNX_NAMES", "-DAFTER"],
];

/// Returns the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("a workspace around this package")
        .to_path_buf()
}

/// Returns the library, built once.
pub(crate) fn library() -> &'static Library {
    static LIBRARY: OnceLock<Library> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .parent()
            .expect("a target directory");
        Library::build(&root(), target).unwrap_or_else(|error| panic!("{error}"))
    })
}

/// Returns the functions of the shared object, loaded once.
pub(crate) fn functions() -> Functions {
    static FUNCTIONS: OnceLock<Functions> = OnceLock::new();
    *FUNCTIONS.get_or_init(|| Functions::load(&library().shared).unwrap())
}

/// A compiled program, kept in the target directory under a constant name.
pub(crate) struct Program {
    pub(crate) path: PathBuf,
}

/// Returns the file of one of the C programs.
pub(crate) fn source(name: &str) -> PathBuf {
    program::directory(&root()).join(name)
}

impl Program {
    /// Compiles one of the programs with the C compiler.
    pub(crate) fn compile(source: &Path, linked: Linked) -> Self {
        let stem = source.file_stem().unwrap_or_default().to_string_lossy();
        let mut command = Command::new(cc());
        command.args(OPTIONS);
        Self::compile_with(command, &format!("{stem}-{linked:?}"), source, linked)
    }

    /// Compiles with a compiler and options of its own, to a name of its own.
    pub(crate) fn compile_with(
        command: Command,
        name: &str,
        source: &Path,
        linked: Linked,
    ) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("c-{name}"));
        // Other processes may do the same now: it appears whole.
        let new = path.with_extension(format!("new-{}", std::process::id()));
        program::compile(command, library(), linked, source, &new)
            .unwrap_or_else(|error| panic!("{error}"));
        std::fs::rename(&new, &path).expect("renaming in target/tmp");
        Self { path }
    }

    /// Returns its path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns a command that runs it, for further arguments.
    pub(crate) fn command(&self) -> Command {
        self.command_under(&self.path)
    }

    /// Returns a command that runs another program, which runs this one.
    pub(crate) fn command_under(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env("LD_LIBRARY_PATH", &library().dir);
        command
    }

    /// Runs it and returns its output; panics if it fails.
    pub(crate) fn print(&self, arguments: &[&str]) -> String {
        run(self.command().args(arguments)).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Runs one case.
    pub(crate) fn run_case(&self, case: &str, linked: Linked) {
        run_case_of(self.command(), case, linked);
    }
}

/// Runs one case by a command that takes its name.
pub(crate) fn run_case_of(mut command: Command, case: &str, linked: Linked) {
    let Output { status, stderr, .. } = command
        .arg(case)
        // A case creates files in the target directory.
        .current_dir(env!("CARGO_TARGET_TMPDIR"))
        .output()
        .expect("a compiled program");
    let stderr = String::from_utf8_lossy(&stderr);
    match status.code() {
        Some(0) => print!("{stderr}"),
        Some(77) => println!("skipped ({linked:?}): {stderr}"),
        _ => panic!("{case} ({linked:?}): {status}\n{stderr}"),
    }
}

/// Defines the tests of all programs, as [`cases`] those of one, and the programs'
/// names in `PROGRAMS`.
#[macro_export]
macro_rules! all_cases {
    ($($module:ident: $($case:ident),* $(,)?;)*) => {
        $($crate::cases! { $module: $($case),* })*

        const PROGRAMS: [&str; [$(stringify!($module)),*].len()] = [$(stringify!($module)),*];
    };
}

/// Defines a test for each case of a program, run with every linkage, and a test that
/// no case of the program is missing.
#[macro_export]
macro_rules! cases {
    ($module:ident: $($case:ident),* $(,)?) => {
        mod $module {
            use $crate::programs::{source, Linked, Program, ALL_LINKS};

            fn compiled() -> &'static [(Linked, Program)] {
                use std::sync::OnceLock;
                static COMPILED: OnceLock<Vec<(Linked, Program)>> = OnceLock::new();
                COMPILED.get_or_init(|| {
                    let file = source(concat!(stringify!($module), ".c"));
                    let compile = |linked| (linked, Program::compile(&file, linked));
                    ALL_LINKS.map(compile).into()
                })
            }

            $(
                #[test]
                fn $case() {
                    for (linked, program) in compiled() {
                        program.run_case(stringify!($case), *linked);
                    }
                }
            )*

            #[test]
            fn no_case_of_the_program_is_forgotten() {
                let (_, program) = &compiled()[0];
                let listed = program.print(&[]);
                let listed: Vec<&str> = listed.lines().collect();
                assert_eq!(listed, [$(stringify!($case)),*]);
            }
        }
    };
}
