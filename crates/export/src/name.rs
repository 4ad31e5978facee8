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
