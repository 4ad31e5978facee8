//! Texts that name processes.

#[path = "../../src/options/pid.rs"]
#[allow(dead_code)]
mod pid;

use std::ffi::OsString;

use pid::TargetText;

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
