//! Packages from Debian's archive, verified by signed indexes and unpacked into a
//! cache: the newest kernel of a line, and other packages by name and version. Uses
//! apt with its own configuration and state, and leaves the machine's apt alone.
//! Each architecture has its own, so that a missing index affects no other.

use std::cmp::Ordering;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::kernels::{Arch, Kernel};
use crate::run::{output, Result};

/// Maximum age of an index before it is fetched again.
const FRESH: Duration = Duration::from_secs(12 * 60 * 60);

/// Lock of the private apts: kernels are fetched while programs are built.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An unpacked kernel package.
#[derive(Clone, Debug)]
pub(crate) struct Unpacked {
    pub(crate) arch: Arch,
    /// `PACKAGE VERSION`.
    pub(crate) name: String,
    /// File of the kernel.
    pub(crate) image: PathBuf,
    /// Directory `kernel/` of its modules.
    pub(crate) modules: PathBuf,
    /// First characters of its release.
    pub(crate) release: &'static str,
}

/// Returns the newest kernel of a line, downloaded or from the cache.
///
/// # Errors
/// No kernel exists, or it cannot be downloaded.
pub(crate) fn newest(cache: &Path, kernel: &Kernel) -> Result<Unpacked> {
    let _turn = turn();
    let apt = Apt::new(cache, kernel.arch);
    let refreshed = apt.refresh();
    let mut why = refreshed.as_ref().err().cloned().unwrap_or_default();
    for &(begin, end, release) in kernel.packages {
        // The mirror may no longer have the newest.
        for (package, version) in apt.candidates(begin, end)?.into_iter().take(3) {
            let place = cache.join("kernels");
            match unpacked_together(&place, &apt, &with_kernel(&package), &version, |_| Ok(())) {
                Ok(directory) => return found(&directory, kernel.arch, release),
                Err(error) => why += &format!("\n{package} {version}: {error}"),
            }
        }
        if let Some(directory) = kept(cache, begin, end) {
            eprintln!("vmtest: {begin}*{end}: none in the index; the cached one is taken");
            return found(&directory, kernel.arch, release);
        }
    }
    Err(format!("no kernel {}: {why}", kernel.line))
}

/// Unpacks all packages with one of these names and this upstream version; also
/// returns the errors of those that could not be fetched.
pub(super) fn of_version(
    cache: &Path,
    arch: Arch,
    names: &[&str],
    version: &str,
) -> (Vec<PathBuf>, String) {
    let _turn = turn();
    let apt = Apt::new(cache, arch);
    let place = cache.join("others").join(arch.debian());
    // Some indexes may exist even if others could not be fetched.
    let refreshed = apt.refresh();
    let mut why = refreshed.err().unwrap_or_default();
    let mut found = Vec::new();
    for (package, full) in apt.versions(names) {
        // The upstream version, without Debian's revision and suffixes.
        if full.split(['+', '-']).next() != Some(version) {
            continue;
        }
        match unpacked(&place, &apt, &package, &full) {
            Ok(directory) => found.push(directory),
            Err(error) => why += &format!("\n{package} {full}: {error}"),
        }
    }
    (found, why)
}

/// Returns the directory of a kernel's headers, for `make -C`. Uses the indexes that
/// [`newest`] has fetched.
///
/// # Errors
/// No package has exactly this version, or it cannot be downloaded.
pub(super) fn headers(cache: &Path, kernel: &Unpacked) -> Result<PathBuf> {
    let _turn = turn();
    let (package, version) = kernel.name.split_once(' ').unwrap_or_default();
    // linux-image-RELEASE.
    let release = package.splitn(3, '-').nth(2).unwrap_or_default();
    let package = format!("linux-headers-{release}");
    let apt = Apt::new(cache, kernel.arch);
    let place = cache.join("headers");
    let whole = place.join(format!("{package}_{version}"));
    let directory = whole.join("usr/src").join(&package);
    if whole.exists() {
        return Ok(directory);
    }
    let parts = apt.headers(&package, version)?;
    unpacked_together(&place, &apt, &parts, version, |new| {
        // It contains the path at which the other package would be installed.
        let makefile = new.join("usr/src").join(&package).join("Makefile");
        let failed = |error: std::io::Error| format!("{}: {error}", makefile.display());
        let text = fs::read_to_string(&makefile).map_err(failed)?;
        let text = text.replace("/usr/src/", "../");
        fs::write(&makefile, text).map_err(failed)
    })?;
    Ok(directory)
}

/// A private apt, for one architecture.
struct Apt {
    directory: PathBuf,
    arch: Arch,
}

impl Apt {
    fn new(cache: &Path, arch: Arch) -> Self {
        Self {
            directory: cache.join("apt").join(arch.debian()),
            arch,
        }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.arg("-c").arg(self.directory.join("apt.conf"));
        command.env("LC_ALL", "C");
        command
    }

    /// Fetches the indexes unless they are fresh. After an error some may exist.
    fn refresh(&self) -> Result<()> {
        let done = self.directory.join("refreshed");
        let age = fs::metadata(&done)
            .and_then(|metadata| metadata.modified())
            .map(|time| SystemTime::now().duration_since(time));
        if matches!(age, Ok(Ok(age)) if age < FRESH) {
            return Ok(());
        }
        eprintln!("vmtest: {}: fetching the indexes", self.arch.debian());
        self.configure()?;
        let result = output(self.command("apt-get").args(["update", "-qq"]));
        if let Err(why) = result {
            let lines = why.lines().filter(|line| line.starts_with("E:"));
            let why: Vec<&str> = lines.collect();
            let why = why.join("\n");
            eprintln!("vmtest: {}: {why}", self.arch.debian());
            return Err(why);
        }
        fs::write(&done, "").map_err(|error| format!("{}: {error}", done.display()))
    }

    /// Writes its configuration, with the mirrors of this machine's apt.
    fn configure(&self) -> Result<()> {
        let write = |name: &str, text: &str| {
            let path = self.directory.join(name);
            fs::create_dir_all(path.parent().unwrap_or(&path))
                .and_then(|()| fs::write(&path, text))
                .map_err(|error| format!("{}: {error}", path.display()))
        };
        let mut sources = String::new();
        for suite in self.arch.suites() {
            let label = match suite.ends_with("-security") {
                true => "Debian-Security",
                false => "Debian",
            };
            let mirror = mirror(label)?;
            let arch = self.arch.debian();
            sources += &format!(
                "deb [arch={arch} target=Packages \
                 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {mirror} {suite} main\n"
            );
        }
        write("sources.list", &sources)?;
        write("status", "")?;
        write("state/lists/partial/.keep", "")?;
        write("cache/archives/partial/.keep", "")?;
        write("parts/.keep", "")?;
        let (directory, arch) = (self.directory.display(), self.arch.debian());
        write(
            "apt.conf",
            &format!(
                "#clear APT::Update::Post-Invoke;\n\
                 #clear APT::Update::Post-Invoke-Success;\n\
                 #clear DPkg::Post-Invoke;\n\
                 APT::Architecture \"{arch}\";\n\
                 #clear APT::Architectures;\n\
                 APT::Architectures {{ \"{arch}\"; }};\n\
                 APT::Sandbox::User \"\";\n\
                 Acquire::Languages \"none\";\n\
                 Acquire::Retries \"3\";\n\
                 Dir::State \"{directory}/state\";\n\
                 Dir::State::status \"{directory}/status\";\n\
                 Dir::Cache \"{directory}/cache\";\n\
                 Dir::Cache::pkgcache \"pkgcache.bin\";\n\
                 Dir::Cache::srcpkgcache \"srcpkgcache.bin\";\n\
                 Dir::Etc::sourcelist \"{directory}/sources.list\";\n\
                 Dir::Etc::sourceparts \"{directory}/parts\";\n\
                 Dir::Etc::preferences \"{directory}/none\";\n\
                 Dir::Etc::preferencesparts \"{directory}/parts\";\n"
            ),
        )
    }

    /// Returns packages of a line and their versions, the newest first.
    fn candidates(&self, begin: &str, end: &str) -> Result<Vec<(String, String)>> {
        if !self.directory.join("apt.conf").exists() {
            return Ok(Vec::new());
        }
        let pattern = format!("^{}.*{end}$", begin.replace('.', "\\."));
        let found = output(
            self.command("apt-cache")
                .args(["search", "--names-only", &pattern]),
        )?;
        let names = found.lines().filter_map(|line| line.split(' ').next());
        let names: Vec<&str> = names.filter(|name| is_of_line(name, begin, end)).collect();
        Ok(self.versions(&names))
    }

    /// Returns packages with these names and their versions, the newest first.
    fn versions(&self, names: &[&str]) -> Vec<(String, String)> {
        if names.is_empty() {
            return Vec::new();
        }
        // It fails if there is no such package.
        let shown = output(self.command("apt-cache").arg("show").args(names)).unwrap_or_default();
        let mut candidates = Vec::new();
        let mut package = "";
        for line in shown.lines() {
            if let Some(name) = line.strip_prefix("Package: ") {
                package = name;
            } else if let Some(version) = line.strip_prefix("Version: ") {
                candidates.push((package.to_owned(), version.to_owned()));
            }
        }
        candidates.sort_by(|one, other| compare_versions(&other.1, &one.1));
        candidates
    }

    /// Returns a package of headers and the packages of the same source that it needs:
    /// common headers, and programs for building.
    fn headers(&self, package: &str, version: &str) -> Result<Vec<String>> {
        let what = format!("{package}={version}");
        let shown = output(self.command("apt-cache").args(["show", &what]))?;
        let depends = shown
            .lines()
            .find_map(|line| line.strip_prefix("Depends: "));
        let names = depends.unwrap_or_default().split(", ");
        let names = names.filter_map(|depend| depend.split(' ').next());
        let of_source =
            |name: &&str| name.starts_with("linux-headers-") || name.starts_with("linux-kbuild-");
        let parts = [package].into_iter().chain(names.filter(of_source));
        Ok(parts.map(str::to_owned).collect())
    }

    /// Downloads a package; apt compares it with the signed index.
    fn download(&self, package: &str, version: &str, into: &Path) -> Result<PathBuf> {
        fs::create_dir_all(into).map_err(|error| format!("{}: {error}", into.display()))?;
        eprintln!("vmtest: downloading {package} {version}");
        let what = format!("{package}={version}");
        let mut command = self.command("apt-get");
        output(command.args(["download", "-qq", &what]).current_dir(into))?;
        let files = fs::read_dir(into).map_err(|error| error.to_string())?;
        let mut files = files.flatten().map(|entry| entry.path());
        files
            .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
            .ok_or_else(|| format!("{what} was not downloaded"))
    }
}

/// Returns a package and, if it contains only modules, the package of their kernel.
fn with_kernel(package: &str) -> Vec<String> {
    let modules = package.strip_prefix("linux-modules-");
    let kernel = modules.map(|rest| format!("linux-binary-{rest}"));
    [package.to_owned()].into_iter().chain(kernel).collect()
}

/// Whether a package belongs to a line: only version numbers are between `begin` and
/// `end`, no flavour such as `rt`.
fn is_of_line(name: &str, begin: &str, end: &str) -> bool {
    let middle = name
        .strip_prefix(begin)
        .and_then(|rest| rest.strip_suffix(end));
    middle.is_some_and(|middle| {
        let mut parts = middle.split('-');
        parts.all(|part| part.starts_with(|first: char| first.is_ascii_digit()))
    })
}

/// Compares versions by Debian's rules.
fn compare_versions(one: &str, other: &str) -> Ordering {
    let is = |relation: &str| {
        let mut dpkg = Command::new("dpkg");
        dpkg.args(["--compare-versions", one, relation, other]);
        dpkg.status().is_ok_and(|status| status.success())
    };
    match (is("lt"), is("gt")) {
        (true, _) => Ordering::Less,
        (_, true) => Ordering::Greater,
        _ => Ordering::Equal,
    }
}

/// Returns the mirror from which this machine gets packages of this label.
fn mirror(label: &str) -> Result<String> {
    let targets = output(Command::new("apt-get").args([
        "indextargets",
        "--format",
        "$(ORIGIN)|$(LABEL)|$(REPO_URI)",
        "Created-By: Packages",
    ]))?;
    let mut found = targets
        .lines()
        .filter_map(|line| line.strip_prefix(&format!("Debian|{label}|")));
    found.next().map(str::to_owned).ok_or_else(|| {
        format!("this machine's apt has no source of {label}; run `apt-get update` first")
    })
}

/// Returns a directory in `place` with the content of a package.
fn unpacked(place: &Path, apt: &Apt, package: &str, version: &str) -> Result<PathBuf> {
    unpacked_together(place, apt, &[package.to_owned()], version, |_| Ok(()))
}

/// Returns a directory in `place`, named after the first of these packages, with the
/// content of all. `then` completes it after it was unpacked.
fn unpacked_together(
    place: &Path,
    apt: &Apt,
    packages: &[String],
    version: &str,
    then: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let first = packages.first().map_or("", String::as_str);
    let directory = place.join(format!("{first}_{version}"));
    if directory.exists() {
        return Ok(directory);
    }
    let new = directory.with_extension(format!("new-{}", std::process::id()));
    for package in packages {
        let download = new.join("download");
        let package = apt.download(package, version, &download)?;
        output(Command::new("dpkg").arg("-x").arg(&package).arg(&new))?;
        fs::remove_dir_all(&download).map_err(|error| format!("{}: {error}", new.display()))?;
    }
    then(&new)?;
    fs::rename(&new, &directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    Ok(directory)
}

/// Returns the newest kernel of a line in the cache.
fn kept(cache: &Path, begin: &str, end: &str) -> Option<PathBuf> {
    let entries = fs::read_dir(cache.join("kernels")).ok()?;
    let names = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok());
    let kernels = names.filter_map(|name| {
        let (package, version) = name.split_once('_')?;
        let is_whole = !version.contains(".new-");
        (is_whole && is_of_line(package, begin, end)).then(|| (version.to_owned(), name.clone()))
    });
    let newest = kernels.max_by(|one, other| compare_versions(&one.0, &other.0))?;
    Some(cache.join("kernels").join(newest.1))
}

/// Finds the parts of an unpacked kernel package.
fn found(directory: &Path, arch: Arch, release: &'static str) -> Result<Unpacked> {
    let name = directory.file_name().unwrap_or_default().to_string_lossy();
    // Newer packages have everything below /usr.
    let modules = ["lib/modules", "usr/lib/modules"]
        .iter()
        .find_map(|place| only_entry(&directory.join(place)))
        .ok_or_else(|| format!("{name} holds no modules"))?;
    let in_boot = fs::read_dir(directory.join("boot"))
        .into_iter()
        .flatten()
        .flatten();
    let image = in_boot
        .map(|entry| entry.path())
        .chain([modules.join("vmlinuz")])
        .find(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("vmlinu") && path.is_file()
        })
        .ok_or_else(|| format!("{name} holds no kernel"))?;
    Ok(Unpacked {
        arch,
        name: name.replace('_', " "),
        image,
        modules: modules.join("kernel"),
        release,
    })
}

fn only_entry(directory: &Path) -> Option<PathBuf> {
    fs::read_dir(directory)
        .ok()?
        .flatten()
        .next()
        .map(|entry| entry.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_flavours_are_not_of_the_line() {
        let is = |name| is_of_line(name, "linux-image-6.1.", "-686-pae");
        assert!(is("linux-image-6.1.0-50-686-pae"));
        assert!(!is("linux-image-6.1.0-50-rt-686-pae"));
        assert!(!is("linux-image-6.12.95-686-pae"));
        assert!(!is("linux-image-6.1.0-50-686-pae-dbg"));
        let is = |name| is_of_line(name, "linux-image-6.12.", "-cloud-amd64");
        assert!(is("linux-image-6.12.117+deb12-cloud-amd64"));
        assert!(!is("linux-image-6.12.117+deb12-cloud-arm64"));
        let is = |name| is_of_line(name, "linux-image-6.12.", "-amd64");
        assert!(is("linux-image-6.12.117+deb12-amd64"));
        assert!(!is("linux-image-6.12.117+deb12-cloud-amd64"));
        assert!(!is("linux-image-6.12.117+deb12-rt-amd64"));
    }
}
