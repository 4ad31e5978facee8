//! Why the command fails, and what it says then.

use std::fmt::Display;
use std::io;

use process_introspection::Error;

use crate::pid::TargetText;

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
}

impl Failure {
    /// Of reading or writing something.
    pub(crate) fn io(doing: impl Display, error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::ReaderGone;
        }
        Self::Message(format!("cannot {doing}: {error}"))
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
            (Self::Message(message), _) => message.clone(),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Library(error)
    }
}
