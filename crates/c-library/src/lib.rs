//! Builds the C library as it is installed, the archive by cargo, the shared
//! object by the C compiler from that archive, and installs it. Owns the build;
//! of tests it contains only the compilation of their programs ([`program`]), the
//! loaded library ([`loaded`]), the stack of its code ([`stack`]) and the table of
//! its system calls ([`system_calls`]).
//!
//! Cargo's own `cdylib` is not used: rustc hands the linker an anonymous
//! version script, with which a script that gives symbols versions cannot be
//! combined.

pub mod loaded;
pub mod program;
pub mod stack;
pub mod system_calls;

use std::ffi::OsString;
use std::os::unix::fs::{symlink, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

/// Name by which programs find the library at run time.
pub const SONAME: &str = "libintrospection.so.1";

/// Headers for sources written for QNX.
pub const QNX_HEADERS: [&str; 9] = [
    "asm/mman.h",
    "errno.h",
    "linux/mman.h",
    "sys/debug.h",
    "sys/introspection.h",
    "sys/mman.h",
    "sys/neutrino.h",
    "sys/procfs.h",
    "sys/states.h",
];

/// The built files of the library.
#[derive(Clone, Debug)]
pub struct Library {
    /// The directory of the archive and the shared object, the latter also
    /// under its soname: what `-L` and `LD_LIBRARY_PATH` take.
    pub dir: PathBuf,
    /// `libintrospection.a`.
    pub archive: PathBuf,
    /// `libintrospection.so`.
    pub shared: PathBuf,
    /// The directory that holds `sys/introspection.h`.
    pub include: PathBuf,
    /// The directory of the headers for sources written for QNX, which comes before
    /// the other.
    pub include_qnx: PathBuf,
}

impl Library {
    /// Builds the release profile of the library in the workspace at `root`,
    /// into `target`, and puts its files into `target/c-library`.
    ///
    /// # Errors
    /// The command that failed, with its output.
    pub fn build(root: &Path, target: &Path) -> Result<Self, String> {
        run(Command::new(cargo())
            .current_dir(root)
            .args([
                "build",
                "--quiet",
                "--release",
                "--package",
                "libintrospection",
            ])
            .arg("--target-dir")
            .arg(target)
            // A build for another machine has its files elsewhere.
            .env_remove("CARGO_BUILD_TARGET"))?;
        let source = root.join("crates/libintrospection");
        let dir = target.join("c-library");
        let library = Self {
            archive: dir.join("libintrospection.a"),
            shared: dir.join("libintrospection.so"),
            include: source.join("include"),
            include_qnx: source.join("include-qnx"),
            dir,
        };
        library
            .fill(&target.join("release/libintrospection.a"), &source)
            .map_err(|error| format!("{}: {error}", library.dir.display()))?;
        Ok(library)
    }

    fn fill(&self, archive: &Path, source: &Path) -> io::Result<()> {
        fs::create_dir_all(&self.dir)?;
        // Other processes may do the same now: every file appears whole.
        let new = |path: &Path| path.with_extension(format!("new-{}", std::process::id()));
        fs::copy(archive, new(&self.archive))?;
        fs::rename(new(&self.archive), &self.archive)?;
        let map = source.join("libintrospection.map");
        link_shared(&self.archive, &map, &new(&self.shared)).map_err(io::Error::other)?;
        fs::rename(new(&self.shared), &self.shared)?;
        let named = self.dir.join(SONAME);
        let link = self.dir.join(format!("soname-{}", std::process::id()));
        symlink("libintrospection.so", &link)?;
        fs::rename(&link, &named)
    }
}

/// Where the parts of an installation go.
#[derive(Clone, Debug)]
pub struct Places<'a> {
    /// The absolute directory under which programs will find it: `/usr/local`.
    pub prefix: &'a Path,
    /// The libraries' directory under the prefix: `lib`, or
    /// `lib/x86_64-linux-gnu`.
    pub libdir: &'a str,
    /// A directory to put everything under, for packaging.
    pub destdir: Option<&'a Path>,
}

impl Library {
    /// Installs the library, its headers, its pkg-config files and its manual
    /// pages, and returns the files made.
    ///
    /// # Errors
    /// Whatever could not be written.
    pub fn install(&self, root: &Path, places: &Places<'_>) -> io::Result<Vec<PathBuf>> {
        let source = root.join("crates/libintrospection");
        let prefix = match (places.destdir, places.prefix.strip_prefix("/")) {
            (Some(destdir), Ok(relative)) => destdir.join(relative),
            _ => places.prefix.to_path_buf(),
        };
        let libdir = prefix.join(places.libdir);
        let mut made = Vec::new();
        let mut place = |to: PathBuf, bytes: &[u8], mode: u32| -> io::Result<()> {
            fs::create_dir_all(to.parent().unwrap_or(&prefix))?;
            // A library that is in use must be replaced, not written into.
            let new = to.with_extension("new");
            fs::write(&new, bytes)?;
            fs::set_permissions(&new, fs::Permissions::from_mode(mode))?;
            fs::rename(new, &to)?;
            made.push(to);
            Ok(())
        };
        let header = "include/sys/introspection.h";
        place(prefix.join(header), &fs::read(source.join(header))?, 0o644)?;
        place(
            libdir.join("libintrospection.a"),
            &fs::read(&self.archive)?,
            0o644,
        )?;
        place(libdir.join(SONAME), &fs::read(&self.shared)?, 0o755)?;
        for header in QNX_HEADERS {
            let to = prefix.join("include/introspection-qnx").join(header);
            place(to, &fs::read(self.include_qnx.join(header))?, 0o644)?;
        }
        for name in ["introspection.pc", "introspection-qnx.pc"] {
            let description = fs::read_to_string(source.join(format!("{name}.in")))?
                .replace("@PREFIX@", &places.prefix.to_string_lossy())
                .replace("@LIBDIR@", &format!("${{prefix}}/{}", places.libdir))
                .replace("@VERSION@", env!("CARGO_PKG_VERSION"));
            let pkg_config = libdir.join("pkgconfig").join(name);
            place(pkg_config, description.as_bytes(), 0o644)?;
        }
        for page in fs::read_dir(source.join("man"))? {
            let page = page?.path();
            let (Some(name), Some(section)) = (page.file_name(), page.extension()) else {
                continue;
            };
            let directory = format!("share/man/man{}", section.to_string_lossy());
            place(prefix.join(directory).join(name), &fs::read(&page)?, 0o644)?;
        }
        let link = libdir.join("libintrospection.so");
        if link.symlink_metadata().is_ok() {
            fs::remove_file(&link)?;
        }
        symlink(SONAME, &link)?;
        made.push(link);
        Ok(made)
    }
}

/// Links the shared object from the archive.
///
/// # Errors
/// The command that failed, with its output.
pub fn link_shared(archive: &Path, version_script: &Path, output: &Path) -> Result<(), String> {
    run(Command::new(cc())
        // Nothing runs at start or end, so no start files.
        .args(["-shared", "-nostartfiles", "-pthread", "-o"])
        .arg(output)
        .arg(format!("-Wl,-soname,{SONAME}"))
        .arg(joined("-Wl,--version-script=", version_script))
        .arg("-Wl,--whole-archive")
        .arg(archive)
        .arg("-Wl,--no-whole-archive")
        // Keep only what the versioned symbols need; nothing undefined
        // but libc's; bound at load time, because lazy binding takes more stack
        // than the library itself and is no business of a signal handler.
        .args(["-Wl,--gc-sections", "-Wl,--as-needed", "-Wl,-z,defs"])
        .args([
            "-Wl,-z,now",
            "-Wl,-z,relro",
            "-Wl,-z,noexecstack",
            "-Wl,--strip-debug",
        ]))
    .map(drop)
}

/// Runs a command and returns its output.
///
/// # Errors
/// The command, if it failed, with its output.
pub fn run(command: &mut Command) -> Result<String, String> {
    let output = command
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!(
            "{command:?}: {}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        ))
    }
}

/// Returns the C compiler: `$CC`, or `cc`.
pub fn cc() -> PathBuf {
    env::var_os("CC").map_or("cc".into(), PathBuf::from)
}

fn cargo() -> PathBuf {
    env::var_os("CARGO").map_or("cargo".into(), PathBuf::from)
}

/// Returns an option and its path, of any bytes, as one argument.
fn joined(option: &str, path: &Path) -> OsString {
    let mut argument = OsString::from(option);
    argument.push(path);
    argument
}
