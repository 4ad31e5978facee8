//! Reasons for which the command fails, their exit statuses and messages. Must not know
//! any option or command.

use std::fmt::Display;
use std::io::{self, Write};
use std::ops::ControlFlow;

use process_introspection::Error;
use process_introspection_dataset::lake::LakeError;

/// Reason for which the command ends early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Error of the library.
    Library(Error),
    /// The reader of the output is gone, which is no error.
    ReaderGone,
    /// Signal that ends the command.
    Interrupted(i32),
    /// Any other error, as text.
    Message(String),
    /// A program was not started, or could not be traced.
    Launch {
        /// Exit status that says which.
        status: u8,
        /// Text of the error.
        message: String,
    },
    /// Any other error of a command whose exit status 1 is a result, as text.
    Trouble(String),
    /// Wrong usage that only several arguments together show.
    Usage(clap::Error),
}

impl Failure {
    /// Error of reading or writing a file.
    pub(crate) fn io(doing: impl Display, error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::ReaderGone;
        }
        Self::Message(format!("cannot {doing}: {error}"))
    }

    /// Returns the exit status.
    pub(crate) fn status(&self) -> u8 {
        match self {
            Self::ReaderGone => 0,
            Self::Launch { status, .. } => *status,
            Self::Trouble(_) => 2,
            _ => 1,
        }
    }

    /// Returns the failure of a command whose exit status 1 is a result.
    pub(crate) fn with_result_status(self) -> Self {
        match self {
            Self::Library(_) | Self::Message(_) => Self::Trouble(self.message(None)),
            other => other,
        }
    }

    /// Returns the text of the error; `target` is the process that the command line
    /// names, if it is one.
    pub(crate) fn message(&self, target: Option<&dyn Display>) -> String {
        match (self, target) {
            (Self::Library(error), Some(target)) if error.is_frames_hidden() => format!(
                "{error}; what is in memory, without addresses: introspect resident {target}"
            ),
            (Self::Library(error), _) => error.to_string(),
            (Self::ReaderGone, _) => "the reader of the output has gone".to_owned(),
            (Self::Interrupted(signal), _) => format!("ended by signal {signal}"),
            (Self::Message(message) | Self::Trouble(message) | Self::Launch { message, .. }, _) => {
                message.clone()
            }
            (Self::Usage(error), _) => error.to_string(),
        }
    }
}

impl From<clap::Error> for Failure {
    fn from(error: clap::Error) -> Self {
        Self::Usage(error)
    }
}

impl From<LakeError> for Failure {
    fn from(error: LakeError) -> Self {
        Self::Message(error.to_string())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Library(error)
    }
}

/// Continues a walk, or ends it with an error, which is stored in `failed`.
pub(crate) fn continue_unless(
    failed: &mut Option<Failure>,
    step: Result<(), Failure>,
) -> ControlFlow<()> {
    *failed = step.err();
    match failed {
        None => ControlFlow::Continue(()),
        Some(_) => ControlFlow::Break(()),
    }
}

/// Writes a line to standard error. If that fails, the exit status and the records are
/// still right.
pub(crate) fn warn(message: impl Display) {
    let _ = writeln!(io::stderr(), "introspect: {message}");
}
