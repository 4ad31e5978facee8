//! One writer for all formats.

use std::fmt;
use std::io::{self, Write};
use std::str::FromStr;

use crate::delimited::CsvWriter;
use crate::json::JsonWriter;
use crate::record::{Layout, Record};
use crate::table::TableWriter;

/// Format in which records can be written.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// Columns for people.
    Table,
    /// One array of objects.
    Json,
    /// An object a line.
    JsonLines,
    /// Comma-separated values with a header line.
    Csv,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 4] = [Self::Table, Self::Json, Self::JsonLines, Self::Csv];

    /// Its name, as the command takes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Json => "json",
            Self::JsonLines => "jsonl",
            Self::Csv => "csv",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Error: no format has this name.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct UnknownFormat;

impl fmt::Display for UnknownFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no such format; there are table, json, jsonl and csv")
    }
}

impl std::error::Error for UnknownFormat {}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        Self::ALL
            .into_iter()
            .find(|format| format.name() == name)
            .ok_or(UnknownFormat)
    }
}

/// Writer of records of one kind, each as it comes, in constant memory. The output
/// should be buffered: each record is at least one write.
#[derive(Debug)]
pub struct Writer<W: Write>(Form<W>);

#[derive(Debug)]
enum Form<W: Write> {
    Table(Box<TableWriter<W>>),
    Json(JsonWriter<W>),
    Csv(CsvWriter<W>),
}

impl<W: Write> Writer<W> {
    /// Writes what comes before the first record. `layout` is that of the records that
    /// will be written. `width` is the terminal's in characters: names in rows of a table
    /// are cut to it.
    ///
    /// # Errors
    /// Those of the output.
    pub fn begin(
        format: Format,
        out: W,
        layout: &Layout,
        width: Option<usize>,
    ) -> io::Result<Self> {
        Ok(Self(match format {
            Format::Table => {
                let Layout { table, extra, .. } = *layout;
                Form::Table(Box::new(TableWriter::begin(out, table, extra, width)?))
            }
            Format::Json => Form::Json(JsonWriter::begin(out, true)?),
            Format::JsonLines => Form::Json(JsonWriter::begin(out, false)?),
            Format::Csv => Form::Csv(CsvWriter::begin(out, layout.lines, layout.extra)?),
        }))
    }

    /// Escapes in CSV what could upset a terminal, as in a table. The other formats do so
    /// anyway.
    pub fn for_terminal(mut self) -> Self {
        if let Form::Csv(csv) = &mut self.0 {
            csv.for_terminal();
        }
        self
    }

    /// Writes one record.
    ///
    /// # Errors
    /// Those of the output.
    pub fn write(&mut self, record: &impl Record) -> io::Result<()> {
        match &mut self.0 {
            Form::Table(table) if table.has_columns() => {
                table.row(|row| record.row(row))?;
                table.notes(|notes| record.notes(notes))
            }
            Form::Table(table) => table.picture(|width| record.picture(width)),
            Form::Json(json) => json.write(record),
            Form::Csv(csv) => csv.write(|lines| record.lines(lines)),
        }
    }

    /// Flushes the output.
    ///
    /// # Errors
    /// Those of the output.
    pub fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Form::Table(table) => table.flush(),
            Form::Json(json) => json.flush(),
            Form::Csv(csv) => csv.flush(),
        }
    }

    /// Writes what comes after the last record, flushes, and returns the output. Without
    /// this call a JSON array stays open.
    ///
    /// # Errors
    /// Those of the output.
    pub fn finish(self) -> io::Result<W> {
        match self.0 {
            Form::Table(table) => table.finish(),
            Form::Json(json) => json.finish(),
            Form::Csv(csv) => csv.finish(),
        }
    }
}
