//! Where an output is to go, and what that is called in messages.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::options::target::printable;

/// A place for an output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Standard output.
    StandardOutput,
    /// Standard error: standard output is another program's.
    StandardError,
    /// A file, a directory for man pages.
    At(PathBuf),
}

impl Place {
    /// What `-o` says: `-` is standard output, nothing is `otherwise`. The names
    /// of this process's descriptors mean these themselves, and not a file that
    /// would be replaced behind their back.
    pub(crate) fn of(path: Option<&Path>, otherwise: Self) -> Self {
        let Some(path) = path else {
            return otherwise;
        };
        match path.to_str() {
            Some("-" | "/dev/stdout" | "/dev/fd/1") => Self::StandardOutput,
            Some("/dev/stderr" | "/dev/fd/2") => Self::StandardError,
            _ => Self::At(path.to_owned()),
        }
    }

    /// That it cannot be opened.
    pub(crate) fn open(&self, error: &io::Error) -> Failure {
        Failure::io(format_args!("open {self} for writing"), error)
    }

    /// That it cannot be written.
    pub(crate) fn write(&self, error: &io::Error) -> Failure {
        Failure::io(format_args!("write to {self}"), error)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StandardOutput => f.write_str("standard output"),
            Self::StandardError => f.write_str("standard error"),
            Self::At(path) => f.write_str(&printable(path.as_os_str())),
        }
    }
}
