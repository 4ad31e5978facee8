//! JSON: an array, or a line for each record. Knows nothing of what a record
//! holds.

use std::io::{self, Write};

use serde::Serialize;

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
        serde_json::to_writer(&mut self.line, record)?;
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
