//! Names: bytes that anybody could have chosen, as text.

use process_introspection_export::Name;
use proptest::prelude::*;
use unicode_width::UnicodeWidthChar;

fn columns(text: &str) -> usize {
    text.chars()
        .map(|character| character.width().unwrap_or(0))
        .sum()
}

/// Returns whether a character is a control character, has no width of its own, or turns the
/// direction of the text that follows.
fn upsets_terminals(character: char) -> bool {
    character.is_control()
        || matches!(u32::from(character),
            0xad | 0x61c | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0xfeff
            | 0xfff9..=0xfffb | 0xe0000..=0xe007f)
}

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
        prop_assert!(!text.contains(|c: char| upsets_terminals(c)));
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
