//! Text of pictures: characters that are safe to show, widths, and cuts. Must not know where
//! text stands.

use process_introspection_export::Name;
use unicode_width::UnicodeWidthChar;

/// Style of text.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// Title of a picture.
    Title,
    /// Title of a part.
    Heading,
    /// Words and numbers.
    Plain,
    /// Words and numbers of less weight.
    Muted,
    /// Names and addresses.
    Code,
    /// Names and addresses of less weight.
    MutedCode,
}

impl Style {
    /// All styles.
    pub(crate) const ALL: [Self; 6] = [
        Self::Title,
        Self::Heading,
        Self::Plain,
        Self::Muted,
        Self::Code,
        Self::MutedCode,
    ];

    /// Returns its name in the style sheet.
    pub(crate) const fn class(self) -> &'static str {
        match self {
            Self::Title => "tt",
            Self::Heading => "th",
            Self::Plain => "tp",
            Self::Muted => "tm",
            Self::Code => "tc",
            Self::MutedCode => "td",
        }
    }

    /// Returns the size of the font.
    pub(crate) const fn size(self) -> f64 {
        match self {
            Self::Title => 18.0,
            Self::Heading => 13.0,
            Self::Plain | Self::Muted => 12.0,
            Self::Code | Self::MutedCode => 11.0,
        }
    }

    /// Returns whether characters are bold.
    pub(crate) const fn is_bold(self) -> bool {
        matches!(self, Self::Title | Self::Heading)
    }

    /// Returns whether characters have one width.
    pub(crate) const fn is_fixed(self) -> bool {
        matches!(self, Self::Code | Self::MutedCode)
    }

    /// Returns whether the text has less weight than other text.
    pub(crate) const fn is_muted(self) -> bool {
        matches!(self, Self::Muted | Self::MutedCode)
    }
}

/// Widths of the characters from blank to tilde in hundredths of the font's size, rounded up,
/// in DejaVu Sans, which is among the widest fonts in use.
const WIDTHS: [u8; 95] = [
    32, 41, 46, 84, 64, 96, 78, 28, 40, 40, 50, 84, 32, 37, 32, 34, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 34, 34, 84, 84, 84, 54, 100, 69, 69, 70, 78, 64, 58, 78, 76, 30, 30, 66, 56, 87, 75,
    79, 61, 79, 70, 64, 62, 74, 69, 99, 69, 62, 69, 40, 34, 40, 84, 50, 50, 62, 64, 55, 64, 62, 36,
    64, 64, 28, 28, 58, 28, 98, 64, 62, 64, 64, 42, 53, 40, 64, 60, 82, 60, 60, 53, 64, 34, 64, 84,
];
/// Width of a bold character, as a multiple of its usual one, at most.
const BOLD: f64 = 1.27;
/// Width of a column of text whose characters have one width, in sizes of the font: 0.602 in
/// DejaVu Sans Mono and Liberation Mono.
const COLUMN: f64 = 0.61;

/// Returns the width of text, at least as large as in the fonts in which it is shown.
pub(crate) fn width(text: &str, style: Style) -> f64 {
    let of = |character: char| {
        let columns = character.width().unwrap_or(0) as f64;
        if style.is_fixed() {
            return columns * COLUMN;
        }
        let plain = (character as usize).checked_sub(usize::from(b' '));
        let plain = plain.and_then(|index| WIDTHS.get(index));
        let width = plain.map_or(columns, |&width| f64::from(width) / 100.0);
        width * if style.is_bold() { BOLD } else { 1.0 }
    };
    text.chars().map(of).sum::<f64>() * style.size()
}

/// Returns the number of columns of a name that fit in a width.
pub(crate) fn columns(room: f64, style: Style) -> usize {
    (room / (COLUMN * style.size())) as usize
}

/// Returns whether a character is as wide as [`width`] assumes, stays on its line, and leaves
/// the direction of the text alone: letters of scripts without marks, written from left to right.
fn is_tame(character: char) -> bool {
    matches!(character,
        ' '..='~' | '\u{a1}'..='\u{17f}' | '\u{370}'..='\u{3ff}' | '\u{400}'..='\u{482}'
        | '\u{48a}'..='\u{52f}' | '\u{2026}' | '\u{3041}'..='\u{3096}' | '\u{30a1}'..='\u{30fa}'
        | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}')
        && character != '\u{ad}'
        && character.width().is_some_and(|width| width > 0)
}

/// Returns text in one line in which other characters than tame ones are escapes.
pub(crate) fn tame(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match is_tame(character) {
            true => shown.push(character),
            false => shown.extend(character.escape_unicode()),
        }
    }
    shown
}

/// Returns a name in one line, as tables have it, in which more characters are escapes.
pub(crate) fn name(name: &[u8]) -> String {
    // Longer names are cut to a part of this; parts of an escape are of no use.
    const LONGEST: usize = 2048;
    let half = LONGEST / 2;
    if name.len() <= LONGEST {
        return tame(&Name(name).printable());
    }
    let (start, end) = (&name[..half], &name[name.len() - half..]);
    tame(&Name(start).printable()) + "…" + &tame(&Name(end).printable())
}

/// Returns the bytes of a command line from the fields of a record.
pub(crate) fn command_bytes(command: &str, hex: Option<&str>) -> Vec<u8> {
    let bytes = hex.and_then(|hex| {
        let digits = (0..hex.len() / 2).map(|at| hex.get(2 * at..2 * at + 2));
        let bytes = digits.map(|digits| u8::from_str_radix(digits?, 16).ok());
        bytes.collect::<Option<Vec<u8>>>()
    });
    bytes.unwrap_or_else(|| command.as_bytes().to_vec())
}

/// Returns a command line in so many columns: its end is cut off, but first the program's
/// directory, if the program's name does not fit behind it.
pub(crate) fn command(command: &[u8], columns: usize) -> String {
    let shown = name(command);
    let program = shown.split(' ').next().unwrap_or_default();
    let shown = match program.rfind('/') {
        Some(slash) if program.chars().count() >= columns => format!("…{}", &shown[slash..]),
        _ => shown,
    };
    match columns_of(&shown) <= columns {
        true => shown,
        false => beginning(&mut shown.chars(), columns.saturating_sub(1)) + "…",
    }
}

fn columns_of(text: &str) -> usize {
    let widths = text.chars().map(|character| character.width().unwrap_or(0));
    widths.sum()
}

/// Returns the first characters that fit in so many columns.
fn beginning(characters: &mut dyn Iterator<Item = char>, columns: usize) -> String {
    let mut left = columns;
    let fitting = characters.map_while(|character| {
        left = left.checked_sub(character.width().unwrap_or(0))?;
        Some(character)
    });
    fitting.collect()
}

/// Returns the start and the end of text in so many columns, with an ellipsis between. The
/// end, where a file's name is, gets the larger half.
pub(crate) fn cut(text: &str, columns: usize) -> String {
    if columns_of(text) <= columns {
        return text.to_owned();
    }
    let room = columns.saturating_sub(1);
    let start = beginning(&mut text.chars(), room / 2);
    let end = beginning(&mut text.chars().rev(), room - room / 2);
    let end: String = end.chars().rev().collect();
    format!("{start}…{end}")
}

/// Returns the beginning of text that fits in a width, with an ellipsis if that is not all.
pub(crate) fn fitting(text: &str, room: f64, style: Style) -> String {
    if width(text, style) <= room {
        return text.to_owned();
    }
    let room = room - width("…", style);
    let mut shown = String::new();
    for character in text.chars() {
        shown.push(character);
        if width(&shown, style) > room {
            shown.pop();
            break;
        }
    }
    shown + "…"
}

/// Appends text as the content of an element or of an attribute in quotes.
pub(crate) fn push_escaped(text: &str, markup: &mut String) {
    for character in text.chars() {
        match character {
            '&' => markup.push_str("&amp;"),
            '<' => markup.push_str("&lt;"),
            '>' => markup.push_str("&gt;"),
            '"' => markup.push_str("&quot;"),
            '\'' => markup.push_str("&#39;"),
            _ if is_tame(character) => markup.push(character),
            _ => markup.extend(character.escape_unicode()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_to_its_columns_between_characters() {
        assert_eq!(cut("/usr/lib/libc.so.6", 18), "/usr/lib/libc.so.6");
        assert_eq!(cut("/usr/lib/libc.so.6", 11), "/usr/….so.6");
        assert_eq!(cut("", 3), "");
        assert_eq!(cut("abc", 0), "…");
        assert_eq!(cut("漢字漢字", 5), "漢…字");
        let shown = fitting("mmmmmmmmmm", 60.0, Style::Plain);
        assert!(
            shown.ends_with('…') && width(&shown, Style::Plain) <= 60.0,
            "{shown}"
        );
    }

    #[test]
    fn only_tame_characters_are_left() {
        for (text, shown) in [
            ("<a&b>\"'", "<a&b>\"'"),
            ("a\u{202e}b", "a\\u{202e}b"),
            ("e\u{301}", "e\\u{301}"),
            ("\u{fffe}\u{ffff}\u{fdfd}", "\\u{fffe}\\u{ffff}\\u{fdfd}"),
            ("\u{5d0}", "\\u{5d0}"),
            ("größe 漢 й", "größe 漢 й"),
            ("\n\0", "\\u{a}\\u{0}"),
        ] {
            assert_eq!(tame(text), shown);
        }
        assert_eq!(name(b"a\xff\n\\"), "a\\xff\\n\\\\");
        assert!(name(&[b'x'; 1 << 20]).len() < 3000);
        let mut markup = String::new();
        push_escaped("<&>\"'\u{1b}", &mut markup);
        assert_eq!(markup, "&lt;&amp;&gt;&quot;&#39;\\u{1b}");
    }
}
