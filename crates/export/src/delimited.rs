//! CSV: a header line and a line for each record (RFC 4180, lines end in a
//! line feed alone). Knows nothing of what a record holds.

use std::io::{self, Write};

use crate::name::Name;
use crate::number::{decimal, DeviceNumber, Hex};
use crate::record::{Layout, Record, Swap};

/// The fields of one record: of one line, or of several.
#[derive(Debug, Default)]
pub struct Fields {
    row: csv::ByteRecord,
    /// The lines before it.
    complete: Vec<csv::ByteRecord>,
    /// A person sees them, on a terminal.
    is_seen: bool,
}

/// What makes a spreadsheet take a cell for a formula, and the mark that keeps it
/// from that (OWASP, CSV Injection).
const FORMULA: [char; 12] = [
    '=', '+', '-', '@', '\t', '\r', '\n', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}', MARK,
];
const MARK: char = '\'';

impl Fields {
    /// A field of text that anybody could have chosen: a name, a path, arguments.
    /// No spreadsheet takes it for a formula: an apostrophe comes before what
    /// begins like one, and before an apostrophe. On a terminal it is escaped as in
    /// a table.
    pub fn others_text(&mut self, text: &str) -> &mut Self {
        let is_plain = !text.starts_with(FORMULA) && !self.is_seen;
        if is_plain {
            return self.text(text);
        }
        let mut cell = Vec::new();
        if text.starts_with(FORMULA) {
            cell.push(MARK as u8);
        }
        match self.is_seen {
            true => Name(text.as_bytes()).push_printable(None, &mut cell),
            false => cell.extend_from_slice(text.as_bytes()),
        }
        self.row.push_field(&cell);
        self
    }

    /// A field of text that only this program and the kernel can have chosen.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.row.push_field(text.as_bytes());
        self
    }

    /// A field without a value.
    pub fn null(&mut self) -> &mut Self {
        self.text("")
    }

    /// What follows is in a line of its own.
    pub fn next_line(&mut self) -> &mut Self {
        self.complete.push(std::mem::take(&mut self.row));
        self
    }

    /// A number in decimal.
    pub fn number(&mut self, number: impl Into<Option<u64>>) -> &mut Self {
        match number.into() {
            Some(number) => self.text(decimal(number, &mut [0; 21])),
            None => self.null(),
        }
    }

    /// A number in hexadecimal, with `0x`.
    pub fn hex(&mut self, number: impl Into<Option<Hex>>) -> &mut Self {
        match number.into() {
            Some(number) => self.text(number.prefixed(&mut [0; 18])),
            None => self.null(),
        }
    }

    /// `true` or `false`.
    pub fn truth(&mut self, value: impl Into<Option<bool>>) -> &mut Self {
        self.text(match value.into() {
            Some(true) => "true",
            Some(false) => "false",
            None => "",
        })
    }

    /// A device's number.
    pub fn device(&mut self, device: DeviceNumber) -> &mut Self {
        self.text(device.text(&mut [0; 18]))
    }

    /// Two fields: the area and the slot.
    pub fn swap(&mut self, swap: Option<Swap>) -> &mut Self {
        self.number(swap.map(|swap| u64::from(swap.area)))
            .number(swap.map(|swap| swap.offset))
    }

    /// Two fields: the name as text, and its bytes if it is not UTF-8.
    pub fn name(&mut self, name: Name<'_>) -> &mut Self {
        self.others_text(&name.lossy());
        match name.hex() {
            Some(hex) => self.text(&hex),
            None => self.null(),
        }
    }
}

/// Writes records as CSV.
#[derive(Debug)]
pub(crate) struct CsvWriter<W: Write> {
    out: csv::Writer<W>,
    fields: Fields,
}

impl<W: Write> CsvWriter<W> {
    pub(crate) fn begin(out: W, layout: &Layout) -> io::Result<Self> {
        let mut out = csv::WriterBuilder::new().from_writer(out);
        out.write_record(layout.fields).map_err(of_output)?;
        Ok(Self {
            out,
            fields: Fields::default(),
        })
    }

    pub(crate) fn write(&mut self, record: &impl Record) -> io::Result<()> {
        self.fields.row.clear();
        record.fields(&mut self.fields);
        for line in self.fields.complete.drain(..) {
            self.out.write_byte_record(&line).map_err(of_output)?;
        }
        // Fails if the number of fields is not the header's.
        self.out
            .write_byte_record(&self.fields.row)
            .map_err(of_output)
    }

    /// Escapes what follows as a table does.
    pub(crate) fn escape(&mut self) {
        self.fields.is_seen = true;
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    pub(crate) fn finish(self) -> io::Result<W> {
        let mut out = self.out.into_inner().map_err(|error| error.into_error())?;
        out.flush()?;
        Ok(out)
    }
}

/// The output's own error: the conversion that csv has loses its kind.
fn of_output(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}
