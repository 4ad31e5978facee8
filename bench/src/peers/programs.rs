//! Whole programs: `page-types`, built once from Debian's kernel source, and
//! `pmap`. Their start is a part of their cost.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Runs a program on a process, and discards its output.
pub(crate) fn run(program: &Path, arguments: &[&str], pid: u32) {
    run_alone(program, &[arguments, &[&pid.to_string()]].concat());
}

/// Runs a program, and discards its output.
pub(crate) fn run_alone(program: &Path, arguments: &[&str]) {
    let status = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status();
    let status = status.expect("a program that ran before");
    assert!(status.success(), "{}: {status}", program.display());
}

/// `pmap`, if it is installed.
pub(crate) fn pmap() -> Result<PathBuf, String> {
    let pmap = PathBuf::from("pmap");
    succeed(Command::new(&pmap).arg("-V")).map(|()| pmap)
}

/// The package, and the directory in its archive.
const SOURCE: &str = "linux-source-6.12";

/// `page-types` of Debian's kernel source: built now, unless it is in
/// `directory` already.
pub(crate) fn page_types(directory: &Path) -> Result<PathBuf, String> {
    let program = directory.join("page-types");
    if program.exists() {
        return Ok(program);
    }
    let source = directory.join("page-types-source");
    let built = build_page_types(&source, &program);
    // 150 MB that are no longer needed.
    let _ = fs::remove_dir_all(&source);
    built.map(|()| program)
}

fn build_page_types(source: &Path, program: &Path) -> Result<(), String> {
    eprintln!("building page-types from Debian's {SOURCE}, once");
    fs::create_dir_all(source).map_err(|error| format!("{}: {error}", source.display()))?;
    // apt drops its privileges for a download, and then warns if it cannot write here.
    succeed(
        Command::new("apt-get")
            .args([
                "download",
                "--quiet",
                "-o",
                "APT::Sandbox::User=root",
                SOURCE,
            ])
            .current_dir(source),
    )?;
    let package = fs::read_dir(source)
        .map_err(|error| error.to_string())?
        .flatten()
        .map(|file| file.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .ok_or("apt-get downloaded no package")?;
    succeed(Command::new("dpkg-deb").arg("-x").arg(package).arg(source))?;
    succeed(
        Command::new("tar")
            .arg("-xf")
            .arg(format!("usr/src/{SOURCE}.tar.xz"))
            .args(["--strip-components=1", "--wildcards"])
            .args(
                [
                    "tools/mm/page-types.c",
                    "tools/lib/api/*",
                    "tools/include/*",
                ]
                .map(inside),
            )
            .args(
                ["magic.h", "kernel-page-flags.h"]
                    .map(|name| inside(&format!("include/uapi/linux/{name}"))),
            )
            .current_dir(source),
    )?;
    let cc = std::env::var_os("CC").unwrap_or("cc".into());
    succeed(
        Command::new(cc)
            .args(["-O2", "-w", "-D_GNU_SOURCE", "-pthread"])
            .args([
                "-I",
                "tools/lib",
                "-I",
                "tools/lib/api",
                "-I",
                "tools/include",
            ])
            .args(["-o", "page-types", "tools/mm/page-types.c"])
            .args(["tools/lib/api/fs/fs.c", "tools/lib/api/debug.c"])
            .current_dir(source),
    )?;
    fs::rename(source.join("page-types"), program).map_err(|error| error.to_string())
}

fn inside(path: &str) -> String {
    format!("{SOURCE}/{path}")
}

fn succeed(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .map_err(|error| format!("{name}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let why = String::from_utf8_lossy(&output.stderr);
    let why = why.lines().last().unwrap_or_default();
    Err(format!("{name} ended with {}: {why}", output.status))
}
