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

/// One process or several, as the command line names them: what [`TargetText`] is, or
/// numbers with commas between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TargetList(
    /// At least one.
    pub(crate) Vec<TargetText>,
);

impl TargetList {
    /// Parses the text; an error if a list lacks a number.
    pub(crate) fn parse(text: OsString) -> Result<Self, &'static str> {
        let is_list = |text: &str| {
            text.contains(',') && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b','))
        };
        let texts = match text.to_str() {
            Some(list) if is_list(list) => {
                let numbers = list.split(',');
                if numbers.clone().any(str::is_empty) {
                    return Err("a list of processes is numbers with one comma between two");
                }
                numbers
                    .map(|number| OsString::from(number).into())
                    .collect()
            }
            _ => vec![text.into()],
        };
        Ok(Self(texts))
    }
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
