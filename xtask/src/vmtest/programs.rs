//! Static programs for guests: the tests of the core, of the Rust library and of the
//! C library, and the guest's first program. Knows which compiler builds for which
//! architecture.
//!
//! The Rust in use builds for this machine's own architecture. Debian's compiler,
//! which is also the oldest supported Rust, builds for the others, with Debian's
//! package of the standard library or, where that package cannot be fetched, with a
//! standard library built from Debian's sources.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use c_library::program::{self, Linked};
use c_library::{stack, Library};
use serde_json::Value;

use super::image::Image;
use super::kernels::Arch;
use super::row::Row;
use super::table::ROWS;
use super::{cache, names, standard};
use crate::run::{cargo, output, root, Result};

/// Packages whose tests run in guests.
const PACKAGES: [&str; 2] = ["process-introspection-core", "process-introspection"];

/// Parts of the standard library that are compiled quickly and without assertions
/// when they are compiled for tests. For the archive they are compiled as usual,
/// because the stack use of a call depends on them.
const QUICK_STANDARD: [&str; 4] = ["core", "alloc", "std", "compiler_builtins"];

/// Names under which the guest's program is installed for tests.
pub(super) const AROUND_TESTS: [&str; 7] =
    ["cat", "parent", "scatter", "sh", "sleep", "true", "unshare"];

/// Static programs for one architecture.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    /// Name and file of each Rust test program.
    tests: Vec<(String, PathBuf)>,
    /// Name and file of each C test program.
    cases: Vec<(String, PathBuf)>,
    /// The guest's first program.
    guest: PathBuf,
}

impl Programs {
    /// Builds the programs that these rows run, or only `program`, into `directory`.
    pub(crate) fn build(
        arch: Arch,
        rows: &[&Row],
        program: Option<&str>,
        directory: &Path,
    ) -> Result<Self> {
        let compiler = Compiler::for_arch(arch, directory)?;
        let is_needed = |name: &str, has: fn(&Row, &str) -> bool| {
            let rows = rows.iter().filter(|row| row.programs == arch);
            program.is_none_or(|program| program == name) && rows.clone().any(|row| has(row, name))
        };
        let tests = compiler.tests(|name| is_needed(name, Row::has))?;
        let is_all = rows.len() == ROWS.len() && program.is_none();
        if is_all && matches!(compiler.standard, Standard::Installed) {
            names::check(ROWS, &tests, &program::WITH_CASES)?;
        }
        let guest = compiler.guest()?;
        let cases = compiler.cases(|name| is_needed(name, Row::has_in_c))?;
        Ok(Self {
            tests,
            cases,
            guest,
        })
    }

    /// Packs the programs that `row` runs. The guest's first program is from `first`,
    /// because a kernel starts programs of its own architecture.
    pub(crate) fn image(&self, first: &Self, row: &Row) -> Result<Image> {
        let mut image = Image::new(&[
            "bin", "cases", "dev", "modules", "options", "proc", "sys", "tests", "tmp",
        ]);
        image.add_file("init", &first.guest)?;
        for name in AROUND_TESTS {
            image.add_file(&format!("bin/{name}"), &self.guest)?;
        }
        for (name, file) in self.tests.iter().filter(|(name, _)| row.has(name)) {
            image.add_file(&format!("tests/{name}"), file)?;
        }
        for (name, file) in self.cases.iter().filter(|(name, _)| row.has_in_c(name)) {
            image.add_file(&format!("cases/{name}"), file)?;
        }
        Ok(image)
    }
}

/// Compilers for one architecture.
struct Compiler {
    /// Name of the target in Rust.
    target: &'static str,
    /// C compiler and linker.
    cc: &'static str,
    standard: Standard,
    directory: PathBuf,
}

/// Source of the standard library.
enum Standard {
    /// The Rust in use contains it.
    Installed,
    /// For this compiler, in that sysroot.
    Unpacked(PathBuf, PathBuf),
    /// Built by this compiler from its sources.
    Sources(PathBuf),
}

impl Compiler {
    fn for_arch(arch: Arch, directory: &Path) -> Result<Self> {
        let (target, cc) = match arch {
            Arch::Amd64 => ("x86_64-unknown-linux-gnu", "x86_64-linux-gnu-gcc"),
            Arch::I386 => ("i686-unknown-linux-gnu", "i686-linux-gnu-gcc"),
            Arch::Arm64 => ("aarch64-unknown-linux-gnu", "aarch64-linux-gnu-gcc"),
            Arch::Riscv64 => ("riscv64gc-unknown-linux-gnu", "riscv64-linux-gnu-gcc"),
        };
        output(Command::new(cc).arg("--version")).map_err(|why| {
            format!("{cc} is needed (on Debian 12 in the package of that name): {why}")
        })?;
        let (standard, directory) = match target.starts_with(std::env::consts::ARCH) {
            true => (Standard::Installed, directory.join("own")),
            false => {
                let standard = Standard::of_debian(arch, target, cc)?;
                (standard, directory.join("foreign"))
            }
        };
        Ok(Self {
            target,
            cc,
            standard,
            directory,
        })
    }

    /// Returns a cargo that builds for the target. `crates` are the parts of the
    /// standard library that have to be built if it is built from sources.
    fn cargo(&self, arguments: &[&str], crates: &str) -> Command {
        let mut command = cargo(arguments);
        command.args(["--quiet", "--target", self.target]);
        let variable = |name: &str| {
            let target = self.target.to_uppercase().replace('-', "_");
            format!("CARGO_TARGET_{target}_{name}")
        };
        command
            .env("CARGO_TARGET_DIR", &self.directory)
            .env(variable("LINKER"), self.cc)
            .env(format!("CC_{}", self.target.replace('-', "_")), self.cc)
            .env_remove("CARGO_BUILD_TARGET");
        let mut flags = OsString::from("-Ctarget-feature=+crt-static");
        let rustc = match &self.standard {
            Standard::Installed => None,
            Standard::Unpacked(rustc, sysroot) => {
                flags.push("\x1f--sysroot\x1f");
                flags.push(sysroot);
                Some(rustc)
            }
            Standard::Sources(rustc) => {
                command
                    .arg(format!("-Zbuild-std={crates}"))
                    // Without backtraces.
                    .arg("-Zbuild-std-features=panic-unwind")
                    .arg("--config=profile.vmtest.package.test.opt-level=1")
                    .env("RUSTC_BOOTSTRAP", "1");
                for name in QUICK_STANDARD {
                    let profile = format!("--config=profile.vmtest.package.{name}");
                    command.arg(format!("{profile}.opt-level=1"));
                    command.arg(format!("{profile}.debug-assertions=false"));
                    command.arg(format!("{profile}.overflow-checks=false"));
                }
                Some(rustc)
            }
        };
        if let Some(rustc) = rustc {
            command
                .env("RUSTC", rustc)
                // Wrappers of rustup and clippy are for another compiler.
                .env_remove("RUSTC_WRAPPER")
                .env_remove("RUSTC_WORKSPACE_WRAPPER");
        }
        // Replaces the flags of the cargo that runs this program. With a target, the
        // flags do not apply to build scripts.
        command.env("CARGO_ENCODED_RUSTFLAGS", flags);
        command
    }

    /// Builds the unit tests and test programs that are needed.
    fn tests(&self, is_needed: impl Fn(&str) -> bool) -> Result<Vec<(String, PathBuf)>> {
        let arguments = [
            "test",
            "--no-run",
            "--profile=vmtest",
            "--message-format=json-render-diagnostics",
        ];
        let mut command = self.cargo(&arguments, "std,panic_unwind,test,proc_macro");
        let mut count = 0;
        for package in PACKAGES {
            command.args(["--package", package]);
        }
        if PACKAGES
            .iter()
            .any(|package| is_needed(&package.replace('-', "_")))
        {
            command.arg("--lib");
            count += 1;
        }
        for name in test_programs()?.iter().filter(|name| is_needed(name)) {
            command.args(["--test", name]);
            count += 1;
        }
        if count == 0 {
            return Ok(Vec::new());
        }
        let mut tests = executables(&output(&mut command)?)?;
        tests.sort();
        Ok(tests)
    }

    fn guest(&self) -> Result<PathBuf> {
        self.program("vmtest", "vmtest-guest", "vmtest-guest", None)
    }

    /// Builds a program of a package, with a variable of the environment if it needs one.
    fn program(
        &self,
        profile: &str,
        package: &str,
        name: &str,
        variable: Option<(&str, &Path)>,
    ) -> Result<PathBuf> {
        let arguments = ["build", "--message-format=json-render-diagnostics"];
        let mut command = self.cargo(&arguments, "std,panic_unwind,test,proc_macro");
        command.args(["--profile", profile, "--package", package, "--bin", name]);
        let mut built = executables(&output(command.envs(variable))?)?;
        let (_, path) = built.pop().ok_or_else(|| format!("{name} was not built"))?;
        Ok(path)
    }

    /// Builds the archive as it is installed.
    fn archive(&self) -> Result<PathBuf> {
        let arguments = ["build", "--release", "--package=libintrospection"];
        let from_sources;
        let compiler = match (&self.standard, self.target) {
            // Division in Debian's package for i386 needs Rust's unwinder, which no C
            // program has.
            (Standard::Unpacked(rustc, _), "i686-unknown-linux-gnu") => {
                from_sources = Self {
                    standard: Standard::of_sources(rustc)?,
                    directory: self.directory.clone(),
                    ..*self
                };
                &from_sources
            }
            _ => self,
        };
        output(&mut compiler.cargo(&arguments, "core"))?;
        let built = self.directory.join(self.target).join("release");
        Ok(built.join("libintrospection.a"))
    }

    /// Checks that no call can need more stack than is promised.
    fn check_stack(&self, archive: &Path) -> Result<()> {
        let objdump = match self.target {
            "aarch64-unknown-linux-gnu" => "aarch64-linux-gnu-objdump",
            // A test of the C library checks this machine's own architecture.
            _ => return Ok(()),
        };
        for (call, chain) in stack::of_calls(&stack::Code::of_archive(objdump, archive)?)? {
            if chain.bytes >= stack::PROMISED {
                let chain = format!("{} bytes of stack: {:#?}", chain.bytes, chain.frames);
                return Err(format!("{}: {call} can take {chain}", self.target));
            }
        }
        Ok(())
    }

    /// Builds the C programs that are needed, with the library.
    fn cases(&self, is_needed: impl Fn(&str) -> bool) -> Result<Vec<(String, PathBuf)>> {
        let names: Vec<&str> = program::WITH_CASES
            .into_iter()
            .filter(|name| is_needed(name))
            .collect();
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let library = Library {
            archive: self.archive()?,
            shared: PathBuf::new(),
            include: root().join("crates/libintrospection/include"),
            include_qnx: root().join("crates/libintrospection/include-qnx"),
            dir: PathBuf::new(),
        };
        let built = self.directory.join(self.target).join("release");
        self.check_stack(&library.archive)?;
        let build = |&name: &&str| {
            let mut compiler = Command::new(self.cc);
            // Without debug information.
            compiler.args(program::OPTIONS).arg("-s");
            let source = program::directory(&root()).join(format!("{name}.c"));
            let path = built.join(format!("case-{name}"));
            program::compile(compiler, &library, Linked::Static, &source, &path)?;
            Ok((name.to_owned(), path))
        };
        names.iter().map(build).collect()
    }
}

impl Standard {
    /// For `MSRV_RUSTC` or Debian's own compiler, with Debian's standard library.
    fn of_debian(arch: Arch, target: &str, cc: &str) -> Result<Self> {
        let rustc = std::env::var_os("MSRV_RUSTC").map_or("/usr/bin/rustc".into(), PathBuf::from);
        let why = match standard::sysroot(&cache(), &rustc, arch, target, cc) {
            Ok(sysroot) => return Ok(Self::Unpacked(rustc, sysroot)),
            Err(why) => why,
        };
        let name = arch.debian();
        eprintln!("vmtest: {name}: the standard library is built from its sources: {why}");
        Self::of_sources(&rustc)
    }

    fn of_sources(rustc: &Path) -> Result<Self> {
        let sysroot = output(Command::new(rustc).args(["--print", "sysroot"]))?;
        let library = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library");
        match library.join("std").exists() {
            true => Ok(Self::Sources(rustc.to_owned())),
            false => Err(format!(
                "{} has no source of the standard library; install rustc-web and rust-web-src",
                rustc.display()
            )),
        }
    }
}

/// Names of the packages' test programs.
fn test_programs() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for package in ["core", "process-introspection"] {
        let tests = root().join("crates").join(package).join("tests");
        let failed = |error: std::io::Error| format!("{}: {error}", tests.display());
        for entry in std::fs::read_dir(&tests).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_some() || path.join("main.rs").exists() {
                let name = path.file_stem().unwrap_or_default();
                names.push(name.to_string_lossy().into_owned());
            }
        }
    }
    names.sort();
    Ok(names)
}

/// Builds the programs of a guest that takes a snapshot of itself: its first program, and the
/// command.
pub(super) fn of_snapshots(arch: Arch, directory: &Path) -> Result<[PathBuf; 2]> {
    let compiler = Compiler::for_arch(arch, directory)?;
    let introspect = compiler.program("vmtest", "introspect-cli", "introspect", None)?;
    Ok([compiler.guest()?, introspect])
}

/// Builds the programs of the guest whose RAM is a file: its first program, and the
/// one that fills memory.
pub(crate) fn of_truth(directory: &Path) -> Result<[PathBuf; 2]> {
    let compiler = Compiler::for_arch(Arch::Amd64, directory)?;
    let guest = compiler.guest()?;
    let object = own_symbols(&compiler.archive()?)?;
    let variable = Some(("TRUTH_C_OBJECT", object.as_path()));
    let program = compiler.program("release", "truth", "truth-guest", variable)?;
    Ok([guest, program])
}

/// Links the library's functions and what they need of the archive into one object
/// that has no other symbols, because a Rust program has its own panic handler.
fn own_symbols(archive: &Path) -> Result<PathBuf> {
    let object = archive.with_extension("o");
    let mut link = Command::new("ld");
    link.arg("-r").arg("-o").arg(&object);
    for name in ["physical_regions", "pagetableinfo"] {
        link.arg(format!("--undefined=introspection_get_{name}"));
    }
    link.arg("--undefined=introspection_cursor_open");
    output(link.arg(archive))?;
    let mut keep = Command::new("objcopy");
    keep.args(["--wildcard", "--keep-global-symbol=introspection_*"]);
    output(keep.arg(&object))?;
    Ok(object)
}

/// Programs that cargo's messages name. Unit tests have the name of their library,
/// which no test program has.
fn executables(messages: &str) -> Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for line in messages.lines() {
        let message: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
        let (name, file) = (&message["target"]["name"], &message["executable"]);
        if let (Some(name), Some(file)) = (name.as_str(), file.as_str()) {
            found.push((name.to_owned(), PathBuf::from(file)));
        }
    }
    Ok(found)
}
