//! The text PID: what it means, before any process is looked for. Pure.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use process_introspection::{Target, UniquePid};

/// A process, as it is named to the command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TargetText {
    /// This command itself.
    This,
    /// A PID or a unique PID.
    Number(u64),
    /// Digits that are no number of 64 bits, as they were typed.
    TooLarge(String),
    /// An exact name.
    Named(OsString),
    /// An exact name after `name:`, which can be a number, too.
    NamedExplicitly(OsString),
}

/// What comes before a name that could be taken for something else.
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

/// Whose number it is, which is not 0; `None` if it can be nobody's.
pub(crate) fn target_of_number(number: u64) -> Option<Target> {
    match i32::try_from(number) {
        Ok(pid) => Some(Target::Pid(pid.unsigned_abs())),
        Err(_) => {
            let unique = number.to_string().parse::<UniquePid>().ok()?;
            Some(unique.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_alone_are_a_number_and_anything_else_a_name() {
        let text = |text: &str| TargetText::from(OsString::from(text));
        assert_eq!(text("self"), TargetText::This);
        assert_eq!(text("0"), TargetText::This);
        assert_eq!(text("4711"), TargetText::Number(4711));
        let digits = "99999999999999999999";
        assert_eq!(text(digits), TargetText::TooLarge(digits.into()));
        assert_eq!(text("7z"), TargetText::Named("7z".into()));
        assert_eq!(text("-1"), TargetText::Named("-1".into()));
        assert_eq!(text(""), TargetText::Named("".into()));
        for name in ["123", "self", "name:x", ""] {
            let explicit = TargetText::NamedExplicitly(name.into());
            assert_eq!(text(&format!("name:{name}")), explicit);
        }
    }
}
