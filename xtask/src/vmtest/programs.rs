//! The programs that go into a guest, wholly static: the tests of the core, of
//! the Rust library and of the C library, and the guest's first program. Knows
//! which compiler builds for which architecture.
//!
//! For this machine's own architecture that is the Rust in use. For others it
//! is Debian's compiler, which is also the oldest Rust that is promised, with
//! Debian's package of the standard library, or one built from Debian's sources
//! of it where that package cannot be had.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use c_library::program::{self, Linked};
use c_library::{stack, Library};
use serde_json::Value;

use super::image::Image;
use super::kernels::Arch;
use super::table::{Row, ROWS};
use super::{cache, names, standard};
use crate::run::{cargo, output, root, Result};

/// Packages whose tests are run.
const PACKAGES: [&str; 2] = ["process-introspection-core", "process-introspection"];

/// What is compiled of the standard library for the tests is not what is tested:
/// compiled quickly, and without looking for errors of its own, which a package
/// of it does not do either. For the archive it is compiled as for everybody: the
/// stack that a call takes depends on it.
const QUICK_STANDARD: [&str; 13] = [
    "--config=profile.vmtest.package.core.opt-level=1",
    "--config=profile.vmtest.package.core.debug-assertions=false",
    "--config=profile.vmtest.package.core.overflow-checks=false",
    "--config=profile.vmtest.package.alloc.opt-level=1",
    "--config=profile.vmtest.package.alloc.debug-assertions=false",
    "--config=profile.vmtest.package.alloc.overflow-checks=false",
    "--config=profile.vmtest.package.std.opt-level=1",
    "--config=profile.vmtest.package.std.debug-assertions=false",
    "--config=profile.vmtest.package.std.overflow-checks=false",
    "--config=profile.vmtest.package.compiler_builtins.opt-level=1",
    "--config=profile.vmtest.package.compiler_builtins.debug-assertions=false",
    "--config=profile.vmtest.package.compiler_builtins.overflow-checks=false",
    "--config=profile.vmtest.package.test.opt-level=1",
];

/// Names under which the guest's program is one that tests start, or are started
/// by.
const AROUND_TESTS: [&str; 6] = ["cat", "parent", "sh", "sleep", "true", "unshare"];

/// Static programs for one architecture.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    /// Name and file of each of Rust's test programs.
    tests: Vec<(String, PathBuf)>,
    /// Name and file of each C program of cases.
    cases: Vec<(String, PathBuf)>,
    /// The guest's first program.
    guest: PathBuf,
}

impl Programs {
    /// Builds them into `directory`.
    pub(crate) fn build(arch: Arch, directory: &Path) -> Result<Self> {
        let compiler = Compiler::for_arch(arch, directory)?;
        let tests = compiler.tests(&needed(arch)?)?;
        if matches!(compiler.standard, Standard::Installed) {
            names::check(ROWS, &tests, &program::WITH_CASES)?;
        }
        let guest = compiler.guest()?;
        let cases = compiler.cases()?;
        Ok(Self {
            tests,
            cases,
            guest,
        })
    }

    /// Packs those that `row` runs, with `first` as the guest's first program: a
    /// kernel starts programs of its own architecture, whatever the tests are
    /// built for.
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

/// What builds for one architecture.
struct Compiler {
    /// Rust's name of the target.
    target: &'static str,
    /// The C compiler, which also links.
    cc: &'static str,
    standard: Standard,
    directory: PathBuf,
}

/// Where the standard library comes from.
enum Standard {
    /// The Rust in use has it.
    Installed,
    /// It is in this sysroot, for that compiler.
    Unpacked(PathBuf, PathBuf),
    /// It is built by that compiler from its sources.
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

    /// A cargo that builds for the target. `crates`: those of the standard
    /// library that are needed, if they have to be built.
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
                    // Not what tells where a panic came from.
                    .arg("-Zbuild-std-features=panic-unwind")
                    .args(QUICK_STANDARD)
                    .env("RUSTC_BOOTSTRAP", "1");
                Some(rustc)
            }
        };
        if let Some(rustc) = rustc {
            command
                .env("RUSTC", rustc)
                // What rustup and clippy may have set is for another compiler.
                .env_remove("RUSTC_WRAPPER")
                .env_remove("RUSTC_WORKSPACE_WRAPPER");
        }
        // Instead of those of the cargo that runs us. As there is a target, they
        // are not for what runs while building.
        command.env("CARGO_ENCODED_RUSTFLAGS", flags);
        command
    }

    /// The libraries' own tests, and those of these names.
    fn tests(&self, names: &[String]) -> Result<Vec<(String, PathBuf)>> {
        let arguments = [
            "test",
            "--no-run",
            "--profile=vmtest",
            "--message-format=json-render-diagnostics",
        ];
        let mut command = self.cargo(&arguments, "std,panic_unwind,test,proc_macro");
        for package in PACKAGES {
            command.args(["--package", package]);
        }
        command.arg("--lib");
        for name in names {
            command.args(["--test", name]);
        }
        let mut tests = executables(&output(&mut command)?)?;
        tests.sort();
        Ok(tests)
    }

    fn guest(&self) -> Result<PathBuf> {
        let arguments = [
            "build",
            "--profile=vmtest",
            "--message-format=json-render-diagnostics",
        ];
        let mut command = self.cargo(&arguments, "std,panic_unwind,test,proc_macro");
        command.args(["--package", "vmtest-guest"]);
        let mut built = executables(&output(&mut command)?)?;
        let (_, path) = built.pop().ok_or("vmtest-guest was not built")?;
        Ok(path)
    }

    /// The archive as it is installed.
    fn archive(&self) -> Result<PathBuf> {
        let arguments = ["build", "--release", "--package=libintrospection"];
        let from_sources;
        let compiler = match (&self.standard, self.target) {
            // Debian's package for i386 needs, to divide, an unwinder of Rust's,
            // which no C program has.
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

    /// That no call can take more stack than is promised, where its code tells.
    fn check_stack(&self, archive: &Path) -> Result<()> {
        let objdump = match self.target {
            "aarch64-unknown-linux-gnu" => "aarch64-linux-gnu-objdump",
            // This machine's own is for a test of the C library.
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

    /// The C programs with the library.
    fn cases(&self) -> Result<Vec<(String, PathBuf)>> {
        let library = Library {
            archive: self.archive()?,
            shared: PathBuf::new(),
            include: root().join("crates/libintrospection/include"),
            dir: PathBuf::new(),
        };
        let built = self.directory.join(self.target).join("release");
        self.check_stack(&library.archive)?;
        let build = |&name: &&str| {
            let mut compiler = Command::new(self.cc);
            // Without what only a debugger reads.
            compiler.args(program::OPTIONS).arg("-s");
            let source = program::directory(&root()).join(format!("{name}.c"));
            let path = built.join(format!("case-{name}"));
            program::compile(compiler, &library, Linked::Static, &source, &path)?;
            Ok((name.to_owned(), path))
        };
        program::WITH_CASES.iter().map(build).collect()
    }
}

impl Standard {
    /// For the compiler of which Debian has the standard library, too:
    /// `MSRV_RUSTC` or Debian's own.
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

/// The names of the packages' test programs that some row of this architecture
/// runs.
fn needed(arch: Arch) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for package in ["core", "process-introspection"] {
        let tests = root().join("crates").join(package).join("tests");
        let failed = |error: std::io::Error| format!("{}: {error}", tests.display());
        for entry in std::fs::read_dir(&tests).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let is_program = path.extension().is_some() || path.join("main.rs").exists();
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            let runs = |row: &Row| row.programs == arch && row.has(&name);
            if is_program && ROWS.iter().any(runs) {
                names.push(name.into_owned());
            }
        }
    }
    names.sort();
    Ok(names)
}

/// The programs of a guest whose RAM is looked into, in `directory`: its first
/// program, and the one that fills memory.
pub(crate) fn of_truth(directory: &Path) -> Result<[PathBuf; 2]> {
    let compiler = Compiler::for_arch(Arch::Amd64, directory)?;
    let guest = compiler.guest()?;
    let object = own_symbols(&compiler.archive()?)?;
    let arguments = [
        "build",
        "--release",
        "--message-format=json-render-diagnostics",
        "--package=truth",
        "--bin=truth-guest",
    ];
    let mut command = compiler.cargo(&arguments, "std,panic_unwind");
    command.env("TRUTH_C_OBJECT", object);
    let mut built = executables(&output(&mut command)?)?;
    let (_, program) = built.pop().ok_or("truth-guest was not built")?;
    Ok([guest, program])
}

/// What of an archive the library's own functions need, as one object with no
/// other symbols: a Rust program has a panic handler already.
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

/// The programs that cargo's messages name. A library's own tests are named by
/// the library and stand beside its tests' files, so none has another's name.
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
