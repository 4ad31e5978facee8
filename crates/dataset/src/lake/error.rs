//! Errors of lakes. Each names the file and says what can be done.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Error of a lake.
#[derive(Debug)]
#[non_exhaustive]
pub enum LakeError {
    /// A file or folder cannot be read or written.
    Io {
        /// What was tried: `create`, `read` …
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Error of the system.
        error: io::Error,
    },
    /// A file is not a Parquet file, or lacks columns, rows or values of its table.
    Damaged {
        /// The file.
        path: PathBuf,
        /// The reason, as text.
        why: String,
    },
    /// The folder has no snapshots.
    Empty(PathBuf),
    /// No snapshot is the one that was requested.
    NotFound {
        /// The lake.
        root: PathBuf,
        /// What was requested, as text.
        when: String,
    },
    /// The lake has snapshots of several hosts, and none was selected.
    SeveralHosts {
        /// The lake.
        root: PathBuf,
        /// Names of its hosts.
        hosts: Vec<String>,
    },
    /// A later version of this program wrote the file.
    LaterVersion {
        /// The file.
        path: PathBuf,
        /// Version of its tables.
        version: u32,
    },
}

impl LakeError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |error| Self::Io {
            action,
            path,
            error,
        }
    }

    pub(crate) fn damaged(path: &Path, why: impl fmt::Display) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            why: why.to_string(),
        }
    }
}

impl fmt::Display for LakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io {
                action,
                path,
                error,
            } => write!(f, "cannot {action} {}: {error}", path.display()),
            Self::Damaged { path, why } => {
                write!(f, "{} is not usable: {why}", path.display())
            }
            Self::Empty(root) => write!(
                f,
                "{} has no snapshots (a lake is a folder with tables, such as snapshots/date=.../)",
                root.display()
            ),
            Self::NotFound { root, when } => write!(
                f,
                "{} has no snapshot {when} (introspect snapshots {0} lists all)",
                root.display()
            ),
            Self::SeveralHosts { root, hosts } => write!(
                f,
                "{} has snapshots of several hosts; choose one with --host: {}",
                root.display(),
                hosts.join(", ")
            ),
            Self::LaterVersion { path, version } => write!(
                f,
                "{} has tables of version {version}, which a later version of this program wrote",
                path.display()
            ),
        }
    }
}

impl std::error::Error for LakeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { error, .. } => Some(error),
            _ => None,
        }
    }
}
