//! Puts everything where packagers and `make install` users expect it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::{cargo, root, run, target, Result};

/// Where to.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The directory that programs will find the files in
    #[arg(long, default_value = "/usr/local")]
    prefix: PathBuf,
    /// A directory to put before that, for packaging
    #[arg(long)]
    destdir: Option<PathBuf>,
    /// Where libraries go, below the prefix
    #[arg(long, default_value = "lib")]
    libdir: PathBuf,
}

pub(crate) fn install(arguments: &Arguments) -> Result<()> {
    let Arguments {
        prefix,
        destdir,
        libdir,
    } = arguments;
    if !prefix.is_absolute() {
        return Err(format!(
            "--prefix must be an absolute path, not {}",
            prefix.display()
        ));
    }
    if !libdir.is_relative() {
        return Err(format!(
            "--libdir is below the prefix: a relative path, not {}",
            libdir.display()
        ));
    }
    run(&mut cargo(&[
        "build",
        "--release",
        "--package",
        "libintrospection",
        "--package",
        "introspect-cli",
    ]))?;
    let built = target().join("release");
    let below = prefix.strip_prefix("/").unwrap_or(prefix);
    let tree = Tree {
        base: destdir
            .as_ref()
            .map_or(prefix.clone(), |destdir| destdir.join(below)),
    };
    let project = root();
    let library = project.join("crates/libintrospection");

    let shared = libdir.join(format!("libintrospection.so.{}", env!("CARGO_PKG_VERSION")));
    tree.copy(&built.join("libintrospection.so"), &shared, 0o755)?;
    let shared_name = Path::new(shared.file_name().unwrap_or_default());
    tree.link(shared_name, &libdir.join("libintrospection.so.1"))?;
    tree.link(
        Path::new("libintrospection.so.1"),
        &libdir.join("libintrospection.so"),
    )?;
    tree.copy(
        &built.join("libintrospection.a"),
        &libdir.join("libintrospection.a"),
        0o644,
    )?;
    let header = "include/sys/introspection.h";
    tree.copy(&library.join(header), Path::new(header), 0o644)?;

    let template = read(&library.join("introspection.pc.in"))?;
    let pc = template
        .replace("@PREFIX@", &prefix.display().to_string())
        .replace("@LIBDIR@", &libdir.display().to_string())
        .replace("@VERSION@", env!("CARGO_PKG_VERSION"));
    tree.write(&libdir.join("pkgconfig/introspection.pc"), pc.as_bytes())?;

    let command = built.join("introspect");
    tree.copy(&command, Path::new("bin/introspect"), 0o755)?;
    let manuals = target().join("man");
    fs::create_dir_all(&manuals).map_err(|error| format!("{}: {error}", manuals.display()))?;
    run(Command::new(&command).arg("man").arg(&manuals))?;
    for directory in [manuals, library.join("man")] {
        for page in files(&directory)? {
            let section = page
                .extension()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let name = page.file_name().unwrap_or_default();
            tree.copy(
                &page,
                &Path::new("share/man")
                    .join(format!("man{section}"))
                    .join(name),
                0o644,
            )?;
        }
    }
    for (shell, to) in [
        ("bash", "share/bash-completion/completions/introspect"),
        ("zsh", "share/zsh/site-functions/_introspect"),
        ("fish", "share/fish/vendor_completions.d/introspect.fish"),
    ] {
        let completions = crate::run::output(Command::new(&command).args(["completions", shell]))?;
        tree.write(Path::new(to), completions.as_bytes())?;
    }
    for document in ["LICENSE-MIT", "LICENSE-APACHE", "README.md", "CHANGELOG.md"] {
        tree.copy(
            &project.join(document),
            &Path::new("share/doc/introspection").join(document),
            0o644,
        )?;
    }
    if destdir.is_none() {
        eprintln!(
            "If {} is where the loader looks, run ldconfig now.",
            tree.base.join(libdir).display()
        );
    }
    Ok(())
}

/// Where files are put.
struct Tree {
    base: PathBuf,
}

impl Tree {
    fn place(&self, to: &Path) -> Result<PathBuf> {
        let to = self.base.join(to);
        let directory = to.parent().unwrap_or(&self.base);
        fs::create_dir_all(directory)
            .map_err(|error| format!("{}: {error}", directory.display()))?;
        // Replaced, not written over: a running program keeps its own.
        match fs::remove_file(&to) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(format!("{}: {error}", to.display()));
            }
            _ => {}
        }
        println!("{}", to.display());
        Ok(to)
    }

    fn copy(&self, from: &Path, to: &Path, mode: u32) -> Result<()> {
        use std::os::unix::fs::PermissionsExt;
        let to = self.place(to)?;
        fs::copy(from, &to).map_err(|error| format!("{}: {error}", from.display()))?;
        fs::set_permissions(&to, fs::Permissions::from_mode(mode))
            .map_err(|error| format!("{}: {error}", to.display()))
    }

    fn write(&self, to: &Path, bytes: &[u8]) -> Result<()> {
        let to = self.place(to)?;
        fs::write(&to, bytes).map_err(|error| format!("{}: {error}", to.display()))
    }

    fn link(&self, original: &Path, to: &Path) -> Result<()> {
        let to = self.place(to)?;
        std::os::unix::fs::symlink(original, &to)
            .map_err(|error| format!("{}: {error}", to.display()))
    }
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        fs::read_dir(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    Ok(files)
}
