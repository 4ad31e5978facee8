//! A clean root: Debian's minimal system in a folder, made from the archive that this machine's
//! apt uses. Runs commands in it. Knows no package of the project.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::run::{output, run, Result};

/// What the trial needs of Debian, beside what its packages depend on: a compiler, manual
/// pages, completions, and checks of units.
const INCLUDED: &str = "gcc,libc6-dev,pkg-config,man-db,bash-completion,systemd";

/// What apt, dpkg and others change for good when any package is installed and removed: lists,
/// caches, logs, what ends with the machine, and earlier versions of lists of users.
const CHANGES: [&str; 9] = [
    "./run/",
    "./var/cache/",
    "./var/lib/apt/",
    "./var/lib/dpkg/",
    "./var/log/",
    "./etc/ld.so.cache",
    "./etc/.pwd.lock",
    "./etc/passwd-",
    "./etc/group-",
];

/// Files whose lines must be as before, too.
const ACCOUNTS: [&str; 4] = ["etc/passwd", "etc/group", "etc/shadow", "etc/gshadow"];

/// Script that mounts the machine's processes and devices in the root, for one command.
const ENTER: &str = "\
root=$0
for folder in proc sys dev; do mount --rbind /$folder $root/$folder || exit; done
exec chroot $root \"$@\"";

/// Folder with the system, and its name for other users of it.
pub(crate) struct CleanRoot(PathBuf);

/// Everything that is in a root.
#[derive(PartialEq, Eq)]
pub(crate) struct Contents(BTreeSet<String>);

impl CleanRoot {
    /// Makes the system in a folder that does not exist yet.
    pub(crate) fn new(folder: PathBuf) -> Result<Self> {
        let release = fs::read_to_string("/etc/os-release").map_err(|error| error.to_string())?;
        let codename = release
            .lines()
            .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
            .ok_or("/etc/os-release has no VERSION_CODENAME")?;
        let format = "deb $(REPO_URI) $(CODENAME) $(COMPONENT)";
        let mut targets = Command::new("apt-get");
        targets.args(["indextargets", "--format", format]);
        let sources = output(targets.args(["Created-By: Packages", "Origin: Debian"]))?;
        let mut make = Command::new("mmdebstrap");
        make.args(["--quiet", "--variant=minbase", "--format=directory"]);
        // The trial installs from the lists.
        make.args(["--skip=cleanup/apt/lists", "--include", INCLUDED]);
        // Proxies, and dates of an archive that is a copy of another day's.
        let settings = output(Command::new("apt-config").args(["dump", "Acquire"]))?;
        for setting in settings.lines().filter(|line| !line.ends_with("\"\";")) {
            make.arg("--aptopt").arg(setting.trim_end_matches(';'));
        }
        make.arg(codename).arg(&folder).arg("-");
        // Names of mirrors are this machine's, and not printed.
        eprintln!("+ mmdebstrap {codename} {}", folder.display());
        let mut making = make
            .stdin(Stdio::piped())
            .spawn()
            .map_err(|error| format!("mmdebstrap: {error}"))?;
        let mut input = making.stdin.take().ok_or("mmdebstrap has no input")?;
        let written = input.write_all(sources.as_bytes());
        drop(input);
        let status = making.wait().map_err(|error| error.to_string())?;
        written.map_err(|error| format!("mmdebstrap: {error}"))?;
        match status.success() {
            true => Ok(Self(folder)),
            false => Err(format!("mmdebstrap ended with {status}")),
        }
    }

    /// Returns a path of the root as this machine sees it.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.0.join(path.trim_start_matches('/'))
    }

    /// Returns a command that runs in the root, with this machine's processes and devices.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation=private", "sh", "-c", ENTER]);
        command.arg(&self.0).args(words);
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("LC_ALL", "C.UTF-8");
        command
    }

    /// Runs a command in the root, which must succeed.
    pub(crate) fn run(&self, words: &[&str]) -> Result<()> {
        eprintln!("  {}", words.join(" "));
        run_quietly(&mut self.command(words)).map(drop)
    }

    /// Runs a command in the root and returns its standard output.
    pub(crate) fn output(&self, words: &[&str]) -> Result<String> {
        eprintln!("  {}", words.join(" "));
        run_quietly(&mut self.command(words))
    }

    /// Returns everything that is there: paths with types, owners and modes, targets of links,
    /// and accounts.
    pub(crate) fn contents(&self) -> Result<Contents> {
        let format = "%p %y %u:%g %m %l\n";
        let mut find = Command::new("find");
        find.args([".", "-printf", format]).current_dir(&self.0);
        let listed = output(&mut find)?;
        let is_kept = |line: &&str| !CHANGES.iter().any(|path| line.starts_with(path));
        let mut lines: BTreeSet<_> = listed.lines().filter(is_kept).map(str::to_owned).collect();
        for file in ACCOUNTS {
            let text = fs::read_to_string(self.path(file));
            let text = text.map_err(|error| format!("{file}: {error}"))?;
            lines.extend(text.lines().map(|line| format!("{file}: {line}")));
        }
        Ok(Contents(lines))
    }

    /// Copies a file into a folder of the root.
    pub(crate) fn take(&self, file: &Path, folder: &str) -> Result<()> {
        let to = self.path(folder);
        fs::create_dir_all(&to).map_err(|error| format!("{}: {error}", to.display()))?;
        run(Command::new("cp").arg(file).arg(to))
    }
}

impl Contents {
    /// Fails with the differences to an earlier state, if there are any.
    pub(crate) fn is_as(&self, before: &Self) -> Result<()> {
        let left = self.0.difference(&before.0).map(|line| format!("+ {line}"));
        let lost = before.0.difference(&self.0).map(|line| format!("- {line}"));
        let lines: Vec<_> = left.chain(lost).collect();
        match lines.is_empty() {
            true => Ok(()),
            false => Err(format!("the root is another one:\n{}", lines.join("\n"))),
        }
    }
}

/// Runs a command and returns its standard output. What it printed is in the error only.
fn run_quietly(command: &mut Command) -> Result<String> {
    let done = command.stdin(Stdio::null()).output();
    let done = done.map_err(|error| error.to_string())?;
    let printed = String::from_utf8_lossy(&done.stdout).into_owned();
    match done.status.success() {
        true => Ok(printed),
        false => Err(format!(
            "it ended with {}:\n{printed}{}",
            done.status,
            String::from_utf8_lossy(&done.stderr)
        )),
    }
}
