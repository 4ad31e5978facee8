//! Text for people: counted nouns, and names that are safe to print.

use std::ffi::OsStr;

use process_introspection_export::Name;

/// Returns `1 page` or `2 pages`.
pub(crate) fn counted(count: u64, one: &str, several: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        _ => format!("{count} {several}"),
    }
}

/// Returns `1 process` or `2 processes`.
pub(crate) fn processes(count: u64) -> String {
    counted(count, "process", "processes")
}

/// Returns a name as one line without control characters.
pub(crate) fn printable(text: &OsStr) -> String {
    Name(text.as_encoded_bytes()).printable()
}

/// Returns the bytes of a name as one line without control characters.
pub(crate) fn printable_bytes(name: &[u8]) -> String {
    Name(name).printable()
}

/// Returns the first 100 characters of a command line, enough to tell processes apart.
pub(crate) fn shortened(line: &str) -> String {
    const LONGEST: usize = 100;
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

/// Returns whether the locale has block characters.
pub(crate) fn has_utf8() -> bool {
    let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let locale = set("LC_ALL")
        .or_else(|| set("LC_CTYPE"))
        .or_else(|| set("LANG"));
    locale.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_command_line_is_cut_between_characters() {
        assert_eq!(shortened("sleep 5"), "sleep 5");
        let long = "é".repeat(101);
        assert_eq!(shortened(&long), format!("{}…", "é".repeat(100)));
        assert_eq!(shortened(&long[2..]), "é".repeat(100));
    }
}
