//! Lines of hex dumps.

#[path = "../../src/output/hex_dump.rs"]
#[allow(dead_code)]
mod dump;

use dump::HexDump;
use proptest::prelude::*;

fn dump(address: u64, pieces: &[&[u8]]) -> String {
    let mut text = Vec::new();
    let mut dump = HexDump::new(&mut text, address);
    for piece in pieces {
        dump.write(piece).unwrap();
    }
    dump.finish().unwrap();
    String::from_utf8(text).unwrap()
}

#[test]
fn a_line_has_address_bytes_and_text() {
    assert_eq!(
        dump(
            0x7f0000001000,
            &[b"\x7fELF", b"\x02\x01\x01 and a bit more"]
        ),
        "7f0000001000  7f 45 4c 46 02 01 01 20  61 6e 64 20 61 20 62 69  |.ELF... and a bi|\n\
         7f0000001010  74 20 6d 6f 72 65                                 |t more|\n\
         7f0000001016\n"
    );
}

#[test]
fn lines_that_repeat_are_left_out() {
    let text = dump(0, &[&[0; 64], b"x"]);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert_eq!(lines[1], "*");
    assert!(lines[2].starts_with("000000000040  78"), "{text}");
}

proptest! {
    #[test]
    fn a_dump_does_not_depend_on_how_bytes_are_split(bytes: Vec<u8>, piece in 1usize..40) {
        let pieces: Vec<_> = bytes.chunks(piece).collect();
        prop_assert_eq!(dump(0x1000, &pieces), dump(0x1000, &[&bytes]));
    }
}
