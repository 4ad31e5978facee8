//! The text `PID`. Performs no I/O; the search for the process is in `options::target`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use process_introspection::{Target, UniquePid};

/// A process, as the command line names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TargetText {
    /// The command itself.
    This,
    /// A PID or a unique PID.
    Number(u64),
    /// Digits that are no number of 64 bits.
    TooLarge(String),
    /// An exact name.
    Named(OsString),
    /// An exact name after `name:`, which can also be a number.
    NamedExplicitly(OsString),
}

/// Prefix of a name that could be taken for a number or `self`.
pub(crate) const NAME_PREFIX: &str = "name:";

impl From<OsString> for TargetText {
    fn from(text: OsString) -> Self {
        match text.to_str() {
            Some("self") => Self::This,
            Some(digits)
                if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) =>
            {
                match digits.parse() {
                    Ok(0) => Self::This,
                    Ok(number) => Self::Number(number),
                    Err(_) => Self::TooLarge(digits.to_owned()),
                }
            }
            _ => match text.as_bytes().strip_prefix(NAME_PREFIX.as_bytes()) {
                Some(name) => Self::NamedExplicitly(OsStr::from_bytes(name).to_owned()),
                None => Self::Named(text),
            },
        }
    }
}

/// Returns the process of a number that is not 0; `None` if no process can have it.
pub(crate) fn target_of_number(number: u64) -> Option<Target> {
    match i32::try_from(number) {
        Ok(pid) => Some(Target::Pid(pid.unsigned_abs())),
        Err(_) => {
            let unique = number.to_string().parse::<UniquePid>().ok()?;
            Some(unique.into())
        }
    }
}
