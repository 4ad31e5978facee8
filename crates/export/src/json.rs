//! JSON: an array, or a line for each record. Knows nothing of what a record
//! holds.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::Formatter;
use serde_json::Serializer;

use crate::name::upsets_terminals;

/// Writes records as JSON.
#[derive(Debug)]
pub(crate) struct JsonWriter<W> {
    out: W,
    /// A record at a time: one call of the output for each.
    line: Vec<u8>,
    array: bool,
    first: bool,
}

impl<W: Write> JsonWriter<W> {
    pub(crate) fn begin(mut out: W, array: bool) -> io::Result<Self> {
        if array {
            out.write_all(b"[")?;
        }
        Ok(Self {
            out,
            line: Vec::new(),
            array,
            first: true,
        })
    }

    pub(crate) fn write(&mut self, record: &impl Serialize) -> io::Result<()> {
        self.line.clear();
        if self.array {
            let separator: &[u8] = if self.first { b"\n" } else { b",\n" };
            self.line.extend_from_slice(separator);
        }
        self.first = false;
        record.serialize(&mut Serializer::with_formatter(&mut self.line, Harmless))?;
        if !self.array {
            self.line.push(b'\n');
        }
        self.out.write_all(&self.line)
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    pub(crate) fn finish(mut self) -> io::Result<W> {
        if self.array {
            let end: &[u8] = if self.first { b"]\n" } else { b"\n]\n" };
            self.out.write_all(end)?;
        }
        self.out.flush()?;
        Ok(self.out)
    }
}

/// JSON in which nothing could upset a terminal: what could is `\uXXXX`, which is
/// the same text to every reader of JSON.
struct Harmless;

impl Formatter for Harmless {
    fn write_string_fragment<W>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()>
    where
        W: ?Sized + Write,
    {
        let mut rest = fragment;
        while let Some((at, character)) = rest.char_indices().find(|&(_, it)| upsets_terminals(it))
        {
            writer.write_all(&rest.as_bytes()[..at])?;
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = &rest[at + character.len_utf8()..];
        }
        writer.write_all(rest.as_bytes())
    }
}
