//! The text PID: what it means, before any process is looked for. Pure.

use std::ffi::OsString;

use process_introspection::{Target, UniquePid};

/// A process, as it is named to the command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TargetText {
    /// This command itself.
    This,
    /// A PID or a unique PID.
    Number(u64),
    /// An exact name.
    Named(OsString),
}

impl From<OsString> for TargetText {
    fn from(text: OsString) -> Self {
        match text.to_str() {
            Some("self") => Self::This,
            Some(digits)
                if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) =>
            {
                // What has more than 64 bits is no process's either.
                match digits.parse().unwrap_or(u64::MAX) {
                    0 => Self::This,
                    number => Self::Number(number),
                }
            }
            _ => Self::Named(text),
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
        assert_eq!(text("99999999999999999999"), TargetText::Number(u64::MAX));
        assert_eq!(text("7z"), TargetText::Named("7z".into()));
        assert_eq!(text("-1"), TargetText::Named("-1".into()));
        assert_eq!(text(""), TargetText::Named("".into()));
    }
}
