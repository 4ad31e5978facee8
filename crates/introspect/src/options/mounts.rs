//! `--procfs`, `--sysfs` and HOST_PROC: which mounts of proc and sysfs are read.

use std::env;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use process_introspection::{with_user_rights, Mounts};

use crate::failure::Failure;

/// What other tools call a proc of the host that is mounted in a container.
const VARIABLE: &str = "HOST_PROC";

#[derive(Debug, Args)]
pub(crate) struct MountOptions {
    /// Reads the processes of the proc mounted on DIR, by their numbers there [env: HOST_PROC]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    procfs: Option<PathBuf>,
    /// Looks devices and NUMA nodes up in the sysfs mounted on DIR
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    sysfs: Option<PathBuf>,
}

impl MountOptions {
    /// Whether an option names a mount.
    pub(crate) fn is_given(&self) -> bool {
        self.procfs.is_some() || self.sysfs.is_some()
    }

    /// The mounts to read, which are looked at with the user's own rights. If the environment names one, that is said.
    pub(crate) fn mounts(&self) -> Result<Mounts, Failure> {
        let refused = |what: &str, directory: &Path, error: &io::Error| {
            Failure::Message(format!("{what} {}: {error}", directory.display()))
        };
        let mut mounts = Mounts::new();
        let variable = env::var_os(VARIABLE).filter(|directory| !directory.is_empty());
        if let Some(directory) = &self.procfs {
            mounts = with_user_rights(|| mounts.procfs(directory))
                .map_err(|error| refused("--procfs", directory, &error))?;
        } else if let Some(directory) = variable.map(PathBuf::from) {
            mounts = with_user_rights(|| mounts.procfs(&directory))
                .map_err(|error| refused(VARIABLE, &directory, &error))?;
            // Where nobody can be told, the answers are the same.
            let _ = writeln!(
                io::stderr(),
                "introspect: {VARIABLE} is set: process numbers are those of {}",
                directory.display()
            );
        }
        if let Some(directory) = &self.sysfs {
            mounts = with_user_rights(|| mounts.sysfs(directory))
                .map_err(|error| refused("--sysfs", directory, &error))?;
        }
        Ok(mounts)
    }
}
