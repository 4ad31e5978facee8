//! Names: bytes that anybody could have chosen. Shown so that they break no line and upset no
//! terminal, and kept whole.

use std::borrow::Cow;
use std::fmt;

use unicode_width::UnicodeWidthChar;

/// Name of any bytes: a mapping's as the last column of the `maps` file has it (a path, a
/// name of the kernel's in brackets, or empty), another path, or a command.
///
/// In JSON it is a field of text (null if empty), and where it is not UTF-8 a second one,
/// `..._hex`, with all its bytes.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Default)]
pub struct Name<'a>(pub &'a [u8]);

/// Owned [`Name`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct NameBuf(pub Vec<u8>);

impl<'a> Name<'a> {
    /// Returns the name as text; bytes that are not UTF-8 are replaced.
    pub fn lossy(self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.0)
    }

    /// Returns its bytes in hexadecimal; `None` if it is UTF-8.
    pub fn hex(self) -> Option<String> {
        let digits = |byte: &u8| format!("{byte:02x}");
        match std::str::from_utf8(self.0) {
            Ok(_) => None,
            Err(_) => Some(self.0.iter().map(digits).collect()),
        }
    }

    /// Appends it in one line of printable text. With a width, its middle is cut out if it has
    /// more columns. Different names give different text, unless they are cut.
    pub fn push_printable(self, width: Option<usize>, line: &mut Vec<u8>) {
        let limit = width.unwrap_or(usize::MAX);
        let plain = |byte: &u8| matches!(byte, b' '..=b'~') && *byte != b'\\';
        if self.0.len() <= limit && self.0.iter().all(plain) {
            return line.extend_from_slice(self.0);
        }
        let escaped = self.printable();
        if limit == usize::MAX || columns(&escaped) <= limit {
            return line.extend_from_slice(escaped.as_bytes());
        }
        push_cut(&escaped, limit, line);
    }

    /// Appends a command line in one line of printable text. With a width, its end is cut off
    /// if it has more columns, but first the program's directory, if the program's name does
    /// not fit behind it.
    pub fn push_command(self, width: Option<usize>, line: &mut Vec<u8>) {
        let limit = width.unwrap_or(usize::MAX);
        let escaped = self.printable();
        if columns(&escaped) <= limit {
            return line.extend_from_slice(escaped.as_bytes());
        }
        if limit == 0 {
            return;
        }
        let program = escaped.split(' ').next().unwrap_or_default();
        // Is there room for the program's path, and the ellipsis that ends the rest?
        let shown = match program.rfind('/') {
            Some(slash) if columns(program) >= limit => {
                line.extend_from_slice("…".as_bytes());
                (&escaped[slash..], limit - 1)
            }
            _ => (&*escaped, limit),
        };
        push_beginning(shown.0, shown.1, line);
    }

    /// Returns it in one line of printable text. Different names give different text.
    pub fn printable(self) -> String {
        let mut text = String::with_capacity(self.0.len() + 16);
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                match character {
                    '\\' => text.push_str("\\\\"),
                    '\n' => text.push_str("\\n"),
                    '\t' => text.push_str("\\t"),
                    '\r' => text.push_str("\\r"),
                    '\0'..='\u{7f}' if character.is_control() => {
                        text.push_str(&format!("\\x{:02x}", character as u8));
                    }
                    _ if upsets_terminals(character) => {
                        text.extend(character.escape_unicode());
                    }
                    _ => text.push(character),
                }
            }
            for &byte in chunk.invalid() {
                text.push_str(&format!("\\x{byte:02x}"));
            }
        }
        text
    }
}

/// Whether it is a control character, has no width of its own, or turns the direction of the
/// text that follows.
pub(crate) fn upsets_terminals(character: char) -> bool {
    // Nearly all characters are of this range.
    if matches!(character, ' '..='~') {
        return false;
    }
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

fn width_of(character: char) -> usize {
    character.width().unwrap_or(0)
}

fn columns(text: &str) -> usize {
    text.chars().map(width_of).sum()
}

/// Returns the longest beginning of `text` that fits in `room` columns.
fn beginning(text: &str, room: usize) -> &str {
    let mut taken = 0;
    let end = text.char_indices().find(|&(_, character)| {
        taken += width_of(character);
        taken > room
    });
    end.map_or(text, |(at, _)| &text[..at])
}

/// Appends the beginning of `text` that fits in `limit` columns, with an ellipsis if that is
/// not all.
fn push_beginning(text: &str, limit: usize, line: &mut Vec<u8>) {
    if columns(text) <= limit {
        return line.extend_from_slice(text.as_bytes());
    }
    let Some(room) = limit.checked_sub(1) else {
        return;
    };
    line.extend_from_slice(beginning(text, room).as_bytes());
    line.extend_from_slice("…".as_bytes());
}

/// Appends the start and the end of `text` in `limit` columns, with an ellipsis between. The
/// end, where a file's name is, gets the larger half.
fn push_cut(text: &str, limit: usize, line: &mut Vec<u8>) {
    let Some(room) = limit.checked_sub(1) else {
        return;
    };
    let tail_room = room - room / 2;
    let (mut tail, mut taken) = (text.len(), 0);
    for (at, character) in text.char_indices().rev() {
        taken += width_of(character);
        if taken > tail_room {
            break;
        }
        tail = at;
    }
    line.extend_from_slice(beginning(text, room / 2).as_bytes());
    line.extend_from_slice("…".as_bytes());
    line.extend_from_slice(&text.as_bytes()[tail..]);
}

impl fmt::Debug for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn printable(name: &[u8], width: Option<usize>) -> String {
        let mut line = Vec::new();
        Name(name).push_printable(width, &mut line);
        String::from_utf8(line).unwrap()
    }

    /// Returns the bytes of an escaped name, as a reader of the table can.
    fn unescaped(text: &str) -> Vec<u8> {
        let (mut bytes, mut rest) = (Vec::new(), text.chars());
        while let Some(character) = rest.next() {
            let mut push = |character: char| {
                bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            };
            match (character, character == '\\') {
                (_, false) => push(character),
                (_, true) => match rest.next().unwrap() {
                    'n' => push('\n'),
                    't' => push('\t'),
                    'r' => push('\r'),
                    'x' => {
                        let digits: String = rest.by_ref().take(2).collect();
                        bytes.push(u8::from_str_radix(&digits, 16).unwrap());
                    }
                    'u' => {
                        let digits: String = rest.by_ref().take_while(|&c| c != '}').collect();
                        let code = u32::from_str_radix(digits.trim_start_matches('{'), 16).unwrap();
                        push(char::from_u32(code).unwrap());
                    }
                    other => push(other),
                },
            }
        }
        bytes
    }

    #[test]
    fn hostile_names_stay_in_one_line_of_harmless_text() {
        assert_eq!(printable(b"/a\nb", None), r"/a\nb");
        assert_eq!(printable(b"/\x1b[31mred\x07", None), r"/\x1b[31mred\x07");
        assert_eq!(printable(b"/back\\slash", None), r"/back\\slash");
        assert_eq!(printable(b"/caf\xe9", None), r"/caf\xe9");
        assert_eq!(printable("/café, \"x\"".as_bytes(), None), "/café, \"x\"");
        assert_eq!(
            printable("/a\u{202e}b\u{9b}c".as_bytes(), None),
            r"/a\u{202e}b\u{9b}c"
        );
    }

    #[test]
    fn a_long_name_loses_its_middle() {
        assert_eq!(printable(b"/usr/lib/libc.so.6", Some(11)), "/usr/….so.6");
        assert_eq!(
            printable(b"/usr/lib/libc.so.6", Some(18)),
            "/usr/lib/libc.so.6"
        );
        assert_eq!(printable(b"/usr/lib", Some(1)), "…");
        assert_eq!(printable(b"/usr/lib", Some(0)), "");
        assert_eq!(printable("/漢字漢字漢字".as_bytes(), Some(7)), "/漢…字");
    }

    fn command(line: &str, width: usize) -> String {
        let mut text = Vec::new();
        Name(line.as_bytes()).push_command(Some(width), &mut text);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn a_long_command_keeps_its_programs_name_and_loses_its_end() {
        let redis = "redis-server *:16379";
        assert_eq!(command(redis, 20), redis);
        assert_eq!(command(redis, 14), "redis-server …");
        assert_eq!(command("postgres: walwriter ", 14), "postgres: wal…");
        let path = "/usr/lib/postgresql/15/bin/postgres -D /var/lib/postgresql";
        assert_eq!(command(path, 58), path);
        assert_eq!(command(path, 36), "/usr/lib/postgresql/15/bin/postgres…");
        assert_eq!(command(path, 24), "…/postgres -D /var/lib/…");
        assert_eq!(command(path, 10), "…/postgre…");
        assert_eq!(command(path, 1), "…");
        assert_eq!(command(path, 0), "");
        assert_eq!(command("é/漢字漢字", 5), "…/漢…");
    }

    proptest! {
        #[test]
        fn a_cut_command_is_never_too_wide(name: Vec<u8>, width in 0usize..40) {
            let mut text = Vec::new();
            Name(&name).push_command(Some(width), &mut text);
            let text = String::from_utf8(text).unwrap();
            prop_assert!(columns(&text) <= width);
            if columns(&printable(&name, None)) <= width {
                prop_assert_eq!(unescaped(&text), name);
            }
        }

        #[test]
        fn any_name_is_printable_and_can_be_read_back(name: Vec<u8>) {
            let text = printable(&name, None);
            prop_assert!(!text.contains(|c: char| c.is_control() || upsets_terminals(c)));
            prop_assert_eq!(unescaped(&text), name);
        }

        #[test]
        fn a_cut_name_is_never_too_wide(name: Vec<u8>, width in 0usize..40) {
            let text = printable(&name, Some(width));
            prop_assert!(columns(&text) <= width);
            if columns(&printable(&name, None)) <= width {
                prop_assert_eq!(unescaped(&text), name);
            }
        }

        #[test]
        fn hex_keeps_every_byte_of_what_is_not_text(name: Vec<u8>) {
            match Name(&name).hex() {
                None => prop_assert_eq!(Name(&name).lossy().as_bytes().to_vec(), name),
                Some(hex) => {
                    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
                    prop_assert_eq!((0..hex.len()).step_by(2).map(byte).collect::<Vec<_>>(), name);
                }
            }
        }
    }
}
