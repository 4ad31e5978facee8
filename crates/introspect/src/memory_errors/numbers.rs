//! Numbers in the text of a line. Performs no I/O.

/// A number and the text after it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Found<'a> {
    pub(super) number: u64,
    pub(super) rest: &'a str,
}

/// Returns whether a character belongs to a word.
pub(super) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Returns the positions of a text that do not begin within a word.
pub(super) fn occurrences<'a>(line: &'a str, text: &'a str) -> impl Iterator<Item = usize> + 'a {
    line.match_indices(text)
        .map(|(at, _)| at)
        .filter(move |&at| {
            let inside = text.starts_with(is_word) && line[..at].ends_with(is_word);
            !inside
        })
}

/// Returns the line after a text that does not begin within a word.
pub(super) fn after<'a>(line: &'a str, text: &'a str) -> Option<&'a str> {
    occurrences(line, text)
        .next()
        .map(|at| &line[at + text.len()..])
}

/// Returns the first hexadecimal number after a text.
pub(super) fn hexadecimal_after(line: &str, text: &str) -> Option<u64> {
    let mut rests = occurrences(line, text).map(|at| &line[at + text.len()..]);
    rests.find_map(hexadecimal).map(|found| found.number)
}

/// Parses a word that is a hexadecimal number, with or without `0x`.
pub(super) fn hexadecimal(text: &str) -> Option<Found<'_>> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let (digits, rest) = split(digits, |c| c.is_ascii_hexdigit())?;
    let number = u64::from_str_radix(digits, 16).ok()?;
    Some(Found { number, rest })
}

/// Returns whether hexadecimal digits are no English word such as `add`: they have `0x`,
/// a decimal digit, or are at least 8.
pub(super) fn is_number(text: &str) -> bool {
    let end = text.find(|c: char| !c.is_ascii_hexdigit());
    let digits = &text[..end.unwrap_or(text.len())];
    text.starts_with("0x") || digits.len() >= 8 || digits.bytes().any(|byte| byte.is_ascii_digit())
}

/// Parses a word that is a decimal number.
pub(super) fn decimal(text: &str) -> Option<Found<'_>> {
    let (digits, rest) = split(text, |c| c.is_ascii_digit())?;
    digits.parse().ok().map(|number| Found { number, rest })
}

/// Parses the decimal number at the start of a text, whatever follows.
pub(super) fn first_decimal(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit());
    text[..end.unwrap_or(text.len())].parse().ok()
}

/// Splits a word of digits from the rest; not from `00:1b:63` or `1.5`.
fn split(text: &str, is_digit: impl Fn(char) -> bool) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !is_digit(c)).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let joined = rest
        .strip_prefix([':', '.'])
        .is_some_and(|rest| rest.starts_with(is_word));
    (!digits.is_empty() && !rest.starts_with(is_word) && !joined).then_some((digits, rest))
}
