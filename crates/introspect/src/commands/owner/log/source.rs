//! Text of a log: a file, compressed or not, or standard input. Recognizes formats by
//! their first bytes; must not know the meaning of lines.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use flate2::bufread::MultiGzDecoder;

/// Longest magic number.
const MAX_MAGIC: usize = 16;

/// A format that is not text.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Gzip,
    /// Another compression, and the program that prints its text.
    Compressed(&'static str),
    /// Another file of records, and the command that prints them as text.
    Records(&'static str),
}

pub(super) const FORMATS: [(&[u8], Format); 10] = [
    (b"\x1f\x8b", Format::Gzip),
    (b"\xfd7zXZ\0", Format::Compressed("xzcat")),
    (b"\x28\xb5\x2f\xfd", Format::Compressed("zstdcat")),
    (b"BZh", Format::Compressed("bzcat")),
    (b"\x04\x22\x4d\x18", Format::Compressed("lz4cat")),
    (b"\x1f\x9d", Format::Compressed("zcat")),
    (b"LZIP", Format::Compressed("lzip -dc")),
    (b"PK\x03\x04", Format::Compressed("unzip -p")),
    (b"SQLite format 3\0", Format::Records("ras-mc-ctl --errors")),
    (b"LPKSHHRH", Format::Records("journalctl -k --file")),
];

/// Reason for which there is no text.
#[derive(Debug)]
pub(super) enum Unreadable {
    Io(io::Error),
    /// Format of the file, and how to read it.
    Format(String),
}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Returns the text of a log. `name` is its name on the command line, `-` for standard
/// input.
pub(super) fn text<'a>(
    mut from: impl Read + 'a,
    name: &str,
) -> Result<Box<dyn BufRead + 'a>, Unreadable> {
    let mut first = Vec::with_capacity(MAX_MAGIC);
    // A read from a pipe can return one byte.
    from.by_ref()
        .take(MAX_MAGIC as u64)
        .read_to_end(&mut first)?;
    let format = FORMATS.iter().find(|(magic, _)| first.starts_with(magic));
    let all = BufReader::new(Cursor::new(first).chain(from));
    match format.map(|&(_, format)| format) {
        None => Ok(Box::new(all)),
        Some(Format::Gzip) => Ok(Box::new(BufReader::new(MultiGzDecoder::new(all)))),
        Some(Format::Compressed(program)) => Err(Unreadable::Format(match name {
            "-" => format!(
                "standard input is compressed: … | {program} | introspect owner --from-log -"
            ),
            name => format!(
                "{name} is compressed: {program} {name} | introspect owner --from-log -"
            ),
        })),
        Some(Format::Records("ras-mc-ctl --errors")) => Err(Unreadable::Format(format!(
            "{name} is a database; rasdaemon's is read by: ras-mc-ctl --errors | introspect owner --from-log -"
        ))),
        Some(Format::Records(command)) => Err(Unreadable::Format(format!(
            "{name} is a journal: {command} {name} | introspect owner --from-log -"
        ))),
    }
}
