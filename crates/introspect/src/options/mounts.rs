//! `--procfs`, `--sysfs` and `HOST_PROC`: the mounts of proc and sysfs that are read.

use std::env;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use process_introspection::{with_user_rights, Mounts};

use crate::failure::Failure;

/// Environment variable that names the host's proc in a container; other tools use
/// it as well.
const VARIABLE: &str = "HOST_PROC";

#[derive(Debug, Args)]
pub(crate) struct ProcOption {
    /// Read processes of the proc at DIR [env: HOST_PROC]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    procfs: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct MountOptions {
    #[command(flatten)]
    proc: ProcOption,
    /// Read devices and nodes from the sysfs at DIR
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    sysfs: Option<PathBuf>,
}

impl MountOptions {
    /// Returns whether an option names a mount.
    pub(crate) fn is_present(&self) -> bool {
        self.proc.procfs.is_some() || self.sysfs.is_some()
    }

    /// Opens the mounts with the user's own rights. A line on standard error says so if
    /// the environment names one.
    pub(crate) fn mounts(&self) -> Result<Mounts, Failure> {
        let mut mounts = self.proc.mounts()?;
        if let Some(directory) = &self.sysfs {
            mounts = with_user_rights(|| mounts.sysfs(directory))
                .map_err(|error| refused("--sysfs", directory, &error))?;
        }
        Ok(mounts)
    }
}

impl ProcOption {
    /// Opens the mount as [`MountOptions::mounts`] does.
    pub(crate) fn mounts(&self) -> Result<Mounts, Failure> {
        let mut mounts = Mounts::new();
        let variable = env::var_os(VARIABLE).filter(|directory| !directory.is_empty());
        if let Some(directory) = &self.procfs {
            mounts = with_user_rights(|| mounts.procfs(directory))
                .map_err(|error| refused("--procfs", directory, &error))?;
        } else if let Some(directory) = variable.map(PathBuf::from) {
            mounts = with_user_rights(|| mounts.procfs(&directory))
                .map_err(|error| refused(VARIABLE, &directory, &error))?;
            // The answers are the same if this cannot be written.
            let _ = writeln!(
                io::stderr(),
                "introspect: {VARIABLE} is set: process numbers are those of {}",
                directory.display()
            );
        }
        Ok(mounts)
    }
}

fn refused(what: &str, directory: &Path, error: &io::Error) -> Failure {
    Failure::Message(format!("{what} {}: {error}", directory.display()))
}
