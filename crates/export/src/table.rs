//! Tables for people: columns of fixed width, so that a row needs no other row. Knows no
//! kind of record.

use std::io::{self, Write};

use crate::field::{Column, Extra, Field, Fields, Kind, Show, Unit, Visit};
use crate::name::Name;
use crate::number::{decimal, rough, size, SIZE};
use crate::value::Value;

/// Number of places that a table can have.
const PLACES: usize = 12;

/// Fewer characters show nothing of a name: it is written whole, and the terminal
/// continues it in its next line.
const LEAST_NAME: usize = 4;

/// Place of a column in a line.
#[derive(Copy, Clone, Debug, Default)]
struct Slot {
    start: usize,
    /// 0 for a place that this table does not have.
    width: usize,
    is_right: bool,
}

/// Places of all columns in a line.
#[derive(Debug)]
struct Line {
    columns: Vec<Column>,
    slots: [Slot; PLACES],
    /// The last column, if it has the rest of the line.
    last: Option<Column>,
    /// Line in which every cell is `-`.
    empty: Vec<u8>,
}

impl Line {
    fn new(mut columns: Vec<Column>) -> Self {
        let all = columns.clone();
        let last = columns.last().copied().filter(|last| last.width == 0);
        columns.truncate(columns.len() - usize::from(last.is_some()));
        let (mut slots, mut empty) = ([Slot::default(); PLACES], Vec::new());
        for column in columns {
            let (start, width) = (empty.len(), column.width);
            let is_right = column.show != Show::Left;
            slots[column.place] = Slot {
                start,
                width,
                is_right,
            };
            empty.resize(start + width + 1, b' ');
            empty[start + if is_right { width - 1 } else { 0 }] = b'-';
        }
        Self {
            columns: all,
            slots,
            last,
            empty,
        }
    }
}

/// Visitor that puts the cells of one row into their places. A cell without a value is `-`.
#[derive(Debug)]
pub struct Row<'a> {
    layout: &'a Line,
    line: &'a mut Vec<u8>,
    /// Cells that are wider than their column.
    wide: Vec<(Slot, Vec<u8>)>,
    /// Text of the last column.
    rest: &'a mut Vec<u8>,
    /// Places that have a value, as bits.
    filled: u32,
}

impl Row<'_> {
    /// Replaces the cell of the column of this title.
    pub fn set(&mut self, title: &str, cell: impl AsRef<[u8]>) {
        let mut columns = self.layout.columns.iter();
        let Some(column) = columns.find(|column| column.title == title) else {
            return;
        };
        let slot = self.layout.slots[column.place];
        let all = slot.start..slot.start + slot.width;
        self.wide.retain(|(wide, _)| wide.start != slot.start);
        self.line[all.clone()].copy_from_slice(&self.layout.empty[all.clone()]);
        if !cell.as_ref().is_empty() {
            self.line[all].fill(b' ');
            self.put(column, cell.as_ref());
        }
    }

    #[inline]
    fn put(&mut self, column: &Column, cell: &[u8]) {
        self.filled |= 1 << column.place;
        let slot = self.layout.slots[column.place];
        if cell.len() <= slot.width {
            let start = slot.start
                + if slot.is_right {
                    slot.width - cell.len()
                } else {
                    0
                };
            self.line[start..start + cell.len()].copy_from_slice(cell);
        } else if slot.width > 0 {
            self.wide.push((slot, cell.to_vec()));
        } else if self
            .layout
            .last
            .is_some_and(|last| last.place == column.place)
        {
            self.rest.clear();
            self.rest.extend_from_slice(cell);
        }
    }

    /// Completes the line.
    fn finish(mut self, width: Option<usize>) {
        // From the right, so that the places before stay where they are.
        self.wide.sort_by_key(|(slot, _)| slot.start);
        for (slot, cell) in self.wide.into_iter().rev() {
            self.line.splice(slot.start..slot.start + slot.width, cell);
        }
        if let Some(last) = self.layout.last {
            let left = width.map(|width| width.saturating_sub(self.line.len()));
            let left = left.filter(|&left| left >= LEAST_NAME);
            match last.show {
                Show::Command => Name(self.rest).push_command(left, self.line),
                _ => Name(self.rest).push_printable(left, self.line),
            }
        }
        let used = self.line.iter().rposition(|&byte| byte != b' ');
        self.line.truncate(used.map_or(0, |last| last + 1));
        self.line.push(b'\n');
    }

    #[inline]
    fn cell(&mut self, field: &Field, column: &Column, value: Value<'_>) {
        match value {
            Value::Null => {}
            // The protection is in front of it.
            Value::Truth(is_shared) if column.show == Show::Sharing => {
                let slot = self.layout.slots[column.place];
                if let Some(end) = (slot.start + slot.width).checked_sub(1) {
                    self.line[end] = if is_shared { b's' } else { b'p' };
                }
            }
            _ if self.filled & (1 << column.place) != 0 => {}
            Value::Number(bytes) if field.unit == Unit::Bytes => match column.show {
                Show::Rough => self.put(column, rough(bytes).as_bytes()),
                _ => self.put(column, size(bytes, &mut [0; SIZE])),
            },
            Value::Number(number) | Value::Decimal(number) => {
                self.put(column, decimal(number, &mut [0; 21]));
            }
            Value::Real(number) => self.put(column, number.to_string().as_bytes()),
            Value::Hex(number) => self.put(column, number.plain(&mut [0; 18])),
            Value::SignedHex(number) => self.put(column, number.text().as_bytes()),
            Value::Truth(true) => self.put(column, b"yes"),
            Value::Truth(false) => self.put(column, b"no"),
            Value::Word(word) | Value::Text(word) => self.put(column, word.as_bytes()),
            Value::Device(device) => self.put(column, device.text(&mut [0; 18])),
            Value::Time(time) => self.put(column, time.to_string().as_bytes()),
            Value::Name(Name(b"")) => {}
            // Those of the last column are escaped with the line.
            Value::Name(name) if column.width > 0 => {
                self.put(column, name.printable().as_bytes());
            }
            Value::Name(Name(name)) => self.put(column, name),
            Value::Texts(_) | Value::Numbers(_) | Value::Flags(_) | Value::Counts(_) => {
                self.put(column, value.joined().as_bytes());
            }
        }
    }
}

impl Visit for Row<'_> {
    #[inline(always)]
    fn value(&mut self, field: &'static Field, value: Value<'_>) {
        if let Some(column) = &field.column {
            self.cell(field, column, value);
        }
    }

    /// Only a flat group has columns.
    #[inline]
    fn group(&mut self, field: &'static Field, record: &impl Fields) {
        if field.is_flat {
            record.visit(self);
        }
    }

    fn list(&mut self, _field: &'static Field, _records: &[impl Fields]) {}
}

/// Returns the columns of a table of these fields, in order.
fn columns(fields: &'static [Field], extra: &[Extra]) -> Vec<Column> {
    let mut all = Vec::new();
    for field in fields {
        match (field.kind, field.column) {
            (Kind::Group(inner), _) if field.is_flat => all.extend(columns(inner, extra)),
            (_, Some(column)) if !column.title.is_empty() => all.push(column),
            _ => {}
        }
    }
    all.retain(|column| column.extra.is_none_or(|needed| extra.contains(&needed)));
    all.sort_by_key(|column| column.place);
    all
}

/// Text below a row, indented: phrases, in as many lines as they need.
#[derive(Debug)]
pub struct Notes<'a> {
    text: &'a mut Vec<u8>,
    /// Characters in the current line; 0 before the first phrase.
    used: usize,
    width: usize,
}

/// Indent of notes.
const INDENT: usize = 4;
/// Width of notes where no width is given.
const NOTE_WIDTH: usize = 80;

impl Notes<'_> {
    /// Appends a word, or words that stand in one line; printable.
    pub fn phrase(&mut self, phrase: &str) -> &mut Self {
        let length = phrase.chars().count();
        if self.used == 0 || self.used + 1 + length > self.width {
            if self.used > 0 {
                self.text.push(b'\n');
            }
            self.text.resize(self.text.len() + INDENT, b' ');
            self.used = INDENT;
        } else {
            self.text.push(b' ');
            self.used += 1;
        }
        self.text.extend_from_slice(phrase.as_bytes());
        self.used += length;
        self
    }

    /// Lets the next phrase begin a line.
    pub fn end_line(&mut self) -> &mut Self {
        if self.used > 0 {
            self.used = usize::MAX / 2;
        }
        self
    }
}

/// Writer of tables.
#[derive(Debug)]
pub(crate) struct TableWriter<W> {
    out: W,
    layout: Line,
    width: Option<usize>,
    line: Vec<u8>,
    /// Text of the last column.
    rest: Vec<u8>,
}

impl<W: Write> TableWriter<W> {
    pub(crate) fn begin(
        out: W,
        fields: &'static [Field],
        extra: &'static [Extra],
        width: Option<usize>,
    ) -> io::Result<Self> {
        let layout = Line::new(columns(fields, extra));
        let columns = layout.columns.clone();
        let mut table = Self {
            out,
            layout,
            // The header line is not cut.
            width: None,
            line: Vec::new(),
            rest: Vec::new(),
        };
        if table.has_columns() {
            table.row(|row| {
                columns
                    .iter()
                    .for_each(|column| row.set(column.title, column.title))
            })?;
        }
        table.width = width;
        Ok(table)
    }

    /// Whether its records are rows, not pictures.
    pub(crate) fn has_columns(&self) -> bool {
        !self.layout.columns.is_empty()
    }

    /// Writes a row of the cells that `fill` hands on.
    pub(crate) fn row(&mut self, fill: impl FnOnce(&mut Row<'_>)) -> io::Result<()> {
        self.rest.clear();
        self.line.clone_from(&self.layout.empty);
        let mut row = Row {
            layout: &self.layout,
            line: &mut self.line,
            wide: Vec::new(),
            rest: &mut self.rest,
            filled: 0,
        };
        fill(&mut row);
        row.finish(self.width);
        self.out.write_all(&self.line)
    }

    /// Writes the notes that `fill` hands on, if there are any.
    pub(crate) fn notes(&mut self, fill: impl FnOnce(&mut Notes<'_>)) -> io::Result<()> {
        self.line.clear();
        fill(&mut Notes {
            text: &mut self.line,
            used: 0,
            width: self.width.unwrap_or(NOTE_WIDTH),
        });
        if self.line.is_empty() {
            return Ok(());
        }
        self.line.push(b'\n');
        self.out.write_all(&self.line)
    }

    /// Writes a picture, and a blank line between two.
    pub(crate) fn picture(&mut self, draw: impl FnOnce(Option<usize>) -> String) -> io::Result<()> {
        let before: &[u8] = if self.line.is_empty() { b"" } else { b"\n" };
        self.out.write_all(before)?;
        self.line = draw(self.width).into_bytes();
        self.out.write_all(&self.line)
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}
