//! Installs the command, the C library and their documentation.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use c_library::{Library, Places};

use crate::run::{cargo, output, root, run, target, Result};

/// Directories.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Absolute directory from which programs will use the files
    #[arg(long, default_value = "/usr/local")]
    pub(crate) prefix: PathBuf,
    /// Directory to prepend to the prefix, for packaging
    #[arg(long)]
    pub(crate) destdir: Option<PathBuf>,
    /// Directory of libraries below the prefix, such as lib/x86_64-linux-gnu
    #[arg(long, default_value = "lib")]
    pub(crate) libdir: String,
    /// Profile of the command's build; the C library's is always release
    #[arg(long, default_value = "release")]
    pub(crate) profile: String,
}

pub(crate) fn install(arguments: &Arguments) -> Result<()> {
    let Arguments {
        prefix,
        destdir,
        libdir,
        profile,
    } = arguments;
    let below_root = prefix
        .strip_prefix("/")
        .map_err(|_| format!("--prefix must be absolute, not {}", prefix.display()))?;
    if Path::new(libdir).is_absolute() {
        return Err(format!(
            "--libdir is below the prefix, not absolute as {libdir}"
        ));
    }
    let base = match destdir {
        Some(destdir) => destdir.join(below_root),
        None => prefix.clone(),
    };
    let places = Places {
        prefix,
        libdir,
        destdir: destdir.as_deref(),
    };
    let library = Library::build(&root(), &target())?;
    let made = library.install(&root(), &places);
    let mut made = made.map_err(|error| format!("{}: {error}", base.display()))?;
    command(&base, profile, &mut made)?;
    for document in ["LICENSE-MIT", "LICENSE-APACHE", "README.md", "CHANGELOG.md"] {
        let to = base.join("share/doc/introspection").join(document);
        copy(&root().join(document), &to, &mut made)?;
    }
    for file in &made {
        println!("{}", file.display());
    }
    if destdir.is_none() {
        let directory = base.join(libdir);
        eprintln!(
            "If the loader looks in {}, run ldconfig now.",
            directory.display()
        );
    }
    Ok(())
}

/// Installs the command with its manual pages and completions.
fn command(base: &Path, profile: &str, made: &mut Vec<PathBuf>) -> Result<()> {
    let mut build = cargo(&["build", "--package", "introspect-cli", "--profile"]);
    run(build.arg(profile))?;
    let folder = if profile == "dev" { "debug" } else { profile };
    let command = target().join(folder).join("introspect");
    copy(&command, &base.join("bin/introspect"), made)?;
    let manuals = base.join("share/man/man1");
    fs::create_dir_all(&manuals).map_err(|error| format!("{}: {error}", manuals.display()))?;
    run(Command::new(&command).arg("man").arg(&manuals))?;
    let pages =
        fs::read_dir(&manuals).map_err(|error| format!("{}: {error}", manuals.display()))?;
    let pages = pages.flatten().map(|page| page.path());
    made.extend(pages.filter(|page| {
        page.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("introspect"))
    }));
    for (shell, to) in [
        ("bash", "share/bash-completion/completions/introspect"),
        ("zsh", "share/zsh/site-functions/_introspect"),
        ("fish", "share/fish/vendor_completions.d/introspect.fish"),
    ] {
        let completions = output(Command::new(&command).args(["completions", shell]))?;
        write(&base.join(to), completions.as_bytes(), made)?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path, made: &mut Vec<PathBuf>) -> Result<()> {
    let bytes = fs::read(from).map_err(|error| format!("{}: {error}", from.display()))?;
    write(to, &bytes, made)?;
    let permissions = fs::metadata(from).map(|metadata| metadata.permissions());
    permissions
        .and_then(|permissions| fs::set_permissions(to, permissions))
        .map_err(|error| format!("{}: {error}", to.display()))
}

fn write(to: &Path, bytes: &[u8], made: &mut Vec<PathBuf>) -> Result<()> {
    let written = || {
        fs::create_dir_all(to.parent().unwrap_or(to))?;
        // Replaces the file, because a running program keeps using the old one.
        let new = to.with_extension("new");
        fs::write(&new, bytes)?;
        fs::rename(new, to)
    };
    written().map_err(|error: std::io::Error| format!("{}: {error}", to.display()))?;
    made.push(to.to_owned());
    Ok(())
}
