//! Build of the packages with Debian's tools, and Debian's check of them.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::notices;
use crate::install;
use crate::python;
use crate::run::{output, root, run, target, Result};

/// What the source of the packages has of the project, beside what is installed.
const PARTS: [&str; 7] = [
    "packaging/debian",
    "packaging/systemd",
    "README.md",
    "SECURITY.md",
    "CHANGELOG.md",
    "docs",
    "examples",
];

/// Debian packages, each with the workspace and the Rust package that is in it.
const LINKED: [(&str, &str, &str); 4] = [
    ("introspect", "Cargo.toml", "introspect-cli"),
    ("libintrospection1", "Cargo.toml", "libintrospection"),
    ("libintrospection-dev", "Cargo.toml", "libintrospection"),
    (
        "python3-process-introspection",
        "python/Cargo.toml",
        "process-introspection-python",
    ),
];

/// What was built.
pub(crate) struct Built {
    /// Files of the packages.
    pub(crate) packages: Vec<PathBuf>,
    /// The list of them that Debian's tools take.
    changes: PathBuf,
}

/// Builds the packages in `target/packages`. The command is built with this profile.
pub(crate) fn build(profile: &str) -> Result<Built> {
    let folder = target().join("packages");
    let source = folder.join("source");
    // What an earlier build has left would be packaged too.
    let emptied = match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => fs::create_dir_all(&source),
    };
    emptied.map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut copies = Command::new("cp");
    copies.arg("--archive").args(PARTS).arg(&source);
    run(copies.current_dir(root()))?;
    has_version(&source.join("debian/changelog"), env!("CARGO_PKG_VERSION"))?;
    let architecture = output(Command::new("dpkg-architecture").arg("-qDEB_HOST_MULTIARCH"))?;
    install::install(&install::Arguments {
        prefix: "/usr".into(),
        destdir: Some(source.join("staged")),
        libdir: format!("lib/{}", architecture.trim()),
        profile: profile.to_owned(),
    })?;
    let mut copy = Command::new("install");
    copy.args(["-D", "-t"]).arg(source.join("wheel"));
    run(copy.arg(python::wheel(profile)?))?;
    for (package, manifest, of) in LINKED {
        write_notices(&source, package, manifest, of)?;
    }
    let mut build = Command::new("dpkg-buildpackage");
    build.args(["--build=binary", "--no-sign", "--no-pre-clean"]);
    run(build.current_dir(&source))?;
    let mut built = with_extension(&folder, "changes")?;
    let changes = built.pop().ok_or("dpkg-buildpackage made no .changes")?;
    let packages = with_extension(&folder, "deb")?;
    Ok(Built { packages, changes })
}

/// Writes the licences of what a Rust package contains into the documents of a Debian package.
fn write_notices(source: &Path, package: &str, manifest: &str, of: &str) -> Result<()> {
    let path = source.join("notices").join(package).join("THIRD-PARTY");
    let written = notices::notices(manifest, of).map(|text| {
        fs::create_dir_all(path.parent().unwrap_or(source))?;
        fs::write(&path, text)
    })?;
    written.map_err(|error| format!("{}: {error}", path.display()))
}

/// Fails if the newest entry of Debian's changelog is of another version than the crates.
fn has_version(changelog: &Path, version: &str) -> Result<()> {
    let text = fs::read_to_string(changelog)
        .map_err(|error| format!("{}: {error}", changelog.display()))?;
    let begin = format!("libintrospection ({version}-");
    match text.starts_with(&begin) {
        true => Ok(()),
        false => Err(format!(
            "packaging/debian/changelog does not begin with {begin}"
        )),
    }
}

/// Checks the packages with lintian: warnings are errors.
pub(crate) fn check(built: &Built) -> Result<()> {
    let mut lintian = Command::new("lintian");
    lintian.args(["--allow-root", "--info", "--show-overrides"]);
    lintian.args(["--fail-on", "error,warning"]);
    run(lintian.arg(&built.changes))
}

fn with_extension(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let paths = entries.flatten().map(|entry| entry.path());
    let mut files: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|it| it == extension))
        .collect();
    files.sort();
    Ok(files)
}
