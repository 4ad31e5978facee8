//! CSV: a header line and a line for each record (RFC 4180, lines end in a line feed
//! alone). Knows no kind of record.

use std::io::{self, Write};

use crate::field::{Extra, Field, Fields, Kind, Visit};
use crate::name::Name;
use crate::number::decimal;
use crate::value::Value;

/// First characters that make a spreadsheet take a cell for a formula, and the mark that
/// keeps it from that (OWASP, CSV Injection).
const FORMULA: [char; 12] = [
    '=', '+', '-', '@', '\t', '\r', '\n', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}', MARK,
];
const MARK: char = '\'';

/// Writer of CSV.
#[derive(Debug)]
pub(crate) struct CsvWriter<W> {
    out: W,
    /// Lines of one record: one call of the output for each.
    text: Vec<u8>,
    extra: &'static [Extra],
    for_terminal: bool,
}

impl<W: Write> CsvWriter<W> {
    pub(crate) fn begin(
        mut out: W,
        fields: &'static [Field],
        extra: &'static [Extra],
    ) -> io::Result<Self> {
        out.write_all((header(fields, extra).join(",") + "\n").as_bytes())?;
        Ok(Self {
            out,
            text: Vec::new(),
            extra,
            for_terminal: false,
        })
    }

    /// Writes the lines that `record` hands on.
    pub(crate) fn write(&mut self, record: impl FnOnce(&mut Lines<'_>)) -> io::Result<()> {
        self.text.clear();
        record(&mut Lines {
            text: &mut self.text,
            extra: self.extra,
            for_terminal: self.for_terminal,
        });
        self.out.write_all(&self.text)
    }

    /// Escapes what follows as a table does.
    pub(crate) fn for_terminal(&mut self) {
        self.for_terminal = true;
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}

/// Returns the names of the fields in CSV: those of a group follow its own name.
pub(crate) fn header(fields: &'static [Field], extra: &'static [Extra]) -> Vec<String> {
    let mut names = Vec::new();
    for field in fields.iter().filter(|field| is_in(field, extra)) {
        let name = field.name.to_owned();
        match field.kind {
            Kind::Group(fields) if field.is_flat => names.extend(header(fields, extra)),
            Kind::Group(fields) => {
                let inner = header(fields, extra).into_iter();
                names.extend(inner.map(|inner| format!("{name}_{inner}")));
            }
            Kind::Name => names.extend([name.clone(), name + "_hex"]),
            _ => names.push(name),
        }
    }
    names
}

#[inline]
fn is_in(field: &Field, extra: &'static [Extra]) -> bool {
    field.extra.is_none_or(|needed| extra.contains(&needed))
}

/// Visitor that appends the lines of one record.
#[derive(Debug)]
pub struct Lines<'a> {
    text: &'a mut Vec<u8>,
    extra: &'static [Extra],
    for_terminal: bool,
}

impl Lines<'_> {
    /// Appends a line with the fields of `record`.
    #[inline]
    pub fn line(&mut self, record: &impl Fields) {
        record.visit(self);
        // In place of the last comma.
        if let Some(last) = self.text.last_mut() {
            *last = b'\n';
        }
    }

    /// Appends a field that needs no quotes.
    #[inline]
    fn plain(&mut self, text: impl AsRef<[u8]>) {
        self.text.extend_from_slice(text.as_ref());
        self.text.push(b',');
    }

    fn quoted(&mut self, text: &str) {
        if !text.contains(['"', ',', '\n', '\r']) {
            return self.plain(text);
        }
        self.text.push(b'"');
        self.text
            .extend_from_slice(text.replace('"', "\"\"").as_bytes());
        self.text.extend_from_slice(b"\",");
    }

    /// Appends text that anybody could have chosen. No spreadsheet takes it for a
    /// formula: an apostrophe comes before what begins like one, and before an
    /// apostrophe. On a terminal it is escaped as in a table.
    fn others_text(&mut self, text: &str) {
        let is_formula = text.starts_with(FORMULA);
        if !is_formula && !self.for_terminal {
            return self.quoted(text);
        }
        let mut cell = Vec::new();
        if is_formula {
            cell.push(MARK as u8);
        }
        match self.for_terminal {
            true => Name(text.as_bytes()).push_printable(None, &mut cell),
            false => cell.extend_from_slice(text.as_bytes()),
        }
        self.quoted(&String::from_utf8_lossy(&cell));
    }
}

impl Visit for Lines<'_> {
    #[inline]
    fn value(&mut self, field: &'static Field, value: Value<'_>) {
        if !is_in(field, self.extra) {
            return;
        }
        match value {
            Value::Null => match field.kind {
                Kind::Group(fields) => {
                    let count = header(fields, self.extra).len();
                    (0..count).for_each(|_| self.plain(""));
                }
                _ => self.plain(""),
            },
            Value::Number(number) | Value::Decimal(number) => {
                self.plain(decimal(number, &mut [0; 21]));
            }
            Value::Real(number) => self.plain(number.to_string()),
            Value::Hex(number) => self.plain(number.prefixed(&mut [0; 18])),
            Value::SignedHex(number) => self.plain(number.text()),
            Value::Truth(true) => self.plain("true"),
            Value::Truth(false) => self.plain("false"),
            Value::Word(word) => self.quoted(word),
            Value::Text(text) => self.others_text(text),
            Value::Device(device) => self.plain(device.text(&mut [0; 18])),
            Value::Time(time) => self.plain(time.to_string()),
            Value::Name(name) => {
                self.others_text(&name.lossy());
                self.plain(name.hex().unwrap_or_default());
            }
            Value::Texts(_) => self.others_text(&value.joined()),
            Value::Numbers(_) | Value::Flags(_) | Value::Counts(_) => self.quoted(&value.joined()),
        }
    }

    #[inline]
    fn group(&mut self, field: &'static Field, record: &impl Fields) {
        if is_in(field, self.extra) {
            record.visit(self);
        }
    }

    /// Appends a list of records as one cell: `0:4096|1:8192`.
    fn list(&mut self, field: &'static Field, records: &[impl Fields]) {
        if !is_in(field, self.extra) {
            return;
        }
        let mut cell = Vec::new();
        for record in records {
            if !cell.is_empty() {
                cell.push(b'|');
            }
            let mut values = Vec::new();
            record.visit(&mut Lines {
                text: &mut values,
                extra: self.extra,
                for_terminal: self.for_terminal,
            });
            // A comma follows each value.
            values.pop();
            values
                .iter_mut()
                .filter(|byte| **byte == b',')
                .for_each(|byte| *byte = b':');
            cell.append(&mut values);
        }
        self.quoted(&String::from_utf8_lossy(&cell));
    }
}
