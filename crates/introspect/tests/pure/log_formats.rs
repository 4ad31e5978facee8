//! Formats of logs.

#[path = "../../src/commands/owner/log/source.rs"]
#[allow(dead_code)]
mod source;

use std::io::{Read, Write};

use source::{text, Format, Unreadable, FORMATS};

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn read(bytes: &[u8]) -> String {
    let mut read = String::new();
    text(bytes, "log")
        .unwrap()
        .read_to_string(&mut read)
        .unwrap();
    read
}

#[test]
fn gzip_is_read_as_its_text_also_of_several_members() {
    let mut bytes = gzip("one\n");
    bytes.extend(gzip("two\n"));
    assert_eq!(read(&bytes), "one\ntwo\n");
    assert_eq!(read(b"one\ntwo\n"), "one\ntwo\n");
    assert_eq!(read(b""), "");
}

#[test]
fn other_formats_are_named_with_the_pipe_that_reads_them() {
    for (magic, format) in FORMATS {
        let bytes = [magic, &[0; 20]].concat();
        let said = |name| match text(&*bytes, name) {
            Err(Unreadable::Format(said)) => said,
            _ => panic!("{format:?}"),
        };
        match format {
            Format::Gzip => {}
            Format::Compressed(program) => {
                let pipe = format!("{program} old.log | introspect owner --from-log -");
                assert!(said("old.log").ends_with(&pipe), "{}", said("old.log"));
                assert!(said("-").contains(&format!("| {program} |")));
            }
            Format::Records(command) => assert!(said("f").contains(command)),
        }
    }
}
