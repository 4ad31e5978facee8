//! Errors as exceptions of Python: which class an error has. The classes are those of
//! `package/process_introspection/errors.py`. Must not know what was tried.

use std::ffi::OsString;

use process_introspection::Error;
use process_introspection_dataset::lake::LakeError;
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;

/// Module with the classes.
const MODULE: &str = "process_introspection.errors";

/// Error of a query.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Error of the library.
    Library(Error),
    /// Error of a lake.
    Lake(LakeError),
    /// Exception that a signal handler raised, or that Python made of an argument.
    Python(PyErr),
    /// Exception of another class of the package, with its arguments.
    Other(Class, String),
}

/// Class of an exception that no error of the library has.
#[derive(Copy, Clone, Debug)]
pub(crate) enum Class {
    /// No process is the one that was named.
    NoProcess,
    /// An argument is invalid.
    Argument,
    /// This kernel lacks what is requested.
    Unsupported,
    /// The lake lacks what is requested.
    NotInLake,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Library(error)
    }
}

impl From<LakeError> for Failure {
    fn from(error: LakeError) -> Self {
        Self::Lake(error)
    }
}

impl From<PyErr> for Failure {
    fn from(error: PyErr) -> Self {
        Self::Python(error)
    }
}

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> Self {
        let (class, errno, message) = match failure {
            Failure::Python(error) => return error,
            Failure::Lake(error) => return of_lake(error),
            Failure::Library(error) => (class_of(&error), error.errno(), error.to_string()),
            Failure::Other(class, message) => {
                let (class, errno) = match class {
                    Class::NoProcess => ("ProcessGoneError", libc::ESRCH),
                    Class::Argument => ("InvalidArgumentError", libc::EINVAL),
                    Class::Unsupported => ("UnsupportedError", libc::ENOSYS),
                    Class::NotInLake => return raise("SnapshotNotFoundError", (message,)),
                };
                (class, errno, message)
            }
        };
        raise(class, (errno, message))
    }
}

/// Returns the class of an error of the library, by its predicates.
fn class_of(error: &Error) -> &'static str {
    match error {
        _ if error.is_silent() => "NoAnswerError",
        _ if error.is_frames_hidden() => "FramesHiddenError",
        _ if error.is_permission_denied() => "AccessDeniedError",
        _ if error.is_gone() => "ProcessGoneError",
        _ if error.is_not_mapped() => "NotMappedError",
        _ if error.is_unsupported() => "UnsupportedError",
        _ if error.is_invalid_argument() => "InvalidArgumentError",
        _ => "IntrospectionError",
    }
}

/// Returns the exception of a lake: of a file that cannot be read the one that Python itself
/// raises, such as `FileNotFoundError`.
fn of_lake(error: LakeError) -> PyErr {
    let message = error.to_string();
    match error {
        LakeError::Io { path, error, .. } => match error.raw_os_error() {
            Some(errno) => {
                let why = error.to_string();
                let why = why
                    .split(" (os error")
                    .next()
                    .unwrap_or_default()
                    .to_owned();
                PyOSError::new_err((errno, why, OsString::from(path)))
            }
            None => PyOSError::new_err(message),
        },
        LakeError::Empty(_) | LakeError::NotFound { .. } | LakeError::SeveralHosts { .. } => {
            raise("SnapshotNotFoundError", (message,))
        }
        _ => raise("LakeError", (message,)),
    }
}

fn raise(class: &str, arguments: impl for<'py> pyo3::call::PyCallArgs<'py>) -> PyErr {
    Python::attach(|py| {
        let made = py.import(MODULE).and_then(|module| {
            let class = module.getattr(class)?;
            class.call1(arguments)
        });
        made.map_or_else(|error| error, PyErr::from_value)
    })
}
