//! Places for output, and their names in messages.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::text::printable;

/// A place for an output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Standard output.
    StandardOutput,
    /// Standard error, if standard output belongs to a started program.
    StandardError,
    /// A file, or a directory for manual pages.
    At(PathBuf),
}

impl Place {
    /// Returns the place for the value of `-o`; without one, standard error if standard
    /// output belongs to a launched program. Names of this process's descriptors are the
    /// descriptors, not files that would be replaced.
    pub(crate) fn of(path: Option<&Path>, is_launched: bool) -> Self {
        let Some(path) = path else {
            return match is_launched {
                true => Self::StandardError,
                false => Self::StandardOutput,
            };
        };
        match path.to_str() {
            Some("-" | "/dev/stdout" | "/dev/fd/1") => Self::StandardOutput,
            Some("/dev/stderr" | "/dev/fd/2") => Self::StandardError,
            _ => Self::At(path.to_owned()),
        }
    }

    /// Returns the error of opening it.
    pub(crate) fn open(&self, error: &io::Error) -> Failure {
        Failure::io(format_args!("open {self} for writing"), error)
    }

    /// Returns the error of writing to it.
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
