//! Why the command fails, and what it says then.

use std::fmt::Display;
use std::io;

use process_introspection::Error;

use crate::options::pid::TargetText;

/// Why the command ends early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The library could not find something out.
    Library(Error),
    /// Whoever read the output has gone, which is no error.
    ReaderGone,
    /// A signal came that ends the command.
    Interrupted(i32),
    /// Something else, in words.
    Message(String),
    /// A program that was to be started was not, or not followed.
    Launch {
        /// The exit status that tells which.
        status: u8,
        /// What is to be said.
        message: String,
    },
    /// Wrong usage that shows only when several arguments are seen together.
    Usage(clap::Error),
}

impl Failure {
    /// Of reading or writing something.
    pub(crate) fn io(doing: impl Display, error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::ReaderGone;
        }
        Self::Message(format!("cannot {doing}: {error}"))
    }

    /// The exit status.
    pub(crate) fn status(&self) -> u8 {
        match self {
            Self::ReaderGone => 0,
            Self::Launch { status, .. } => *status,
            _ => 1,
        }
    }

    /// What to say.
    pub(crate) fn message(&self, target: Option<&TargetText>) -> String {
        match (self, target) {
            (Self::Library(error), Some(target)) if error.is_frames_hidden() => format!(
                "{error}; what is in memory, without addresses: introspect virtual {target} --resident"
            ),
            (Self::Library(error), _) => error.to_string(),
            (Self::ReaderGone, _) => "the reader of the output has gone".to_owned(),
            (Self::Interrupted(signal), _) => format!("ended by signal {signal}"),
            (Self::Message(message) | Self::Launch { message, .. }, _) => message.clone(),
            (Self::Usage(error), _) => error.to_string(),
        }
    }
}

impl From<clap::Error> for Failure {
    fn from(error: clap::Error) -> Self {
        Self::Usage(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Library(error)
    }
}
