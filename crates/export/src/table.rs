//! Tables for people: columns of fixed width, so that a row needs no other.
//! Knows nothing of what a record holds.

use std::io::{self, Write};

use crate::name::Name;
use crate::number::{decimal, rough, size, DeviceNumber, Hex, SIZE};
use crate::record::{Align, Column, Layout, Record, Swap};

/// The cells of one row. What is null is `-`.
#[derive(Debug)]
pub struct Cells<'a> {
    line: &'a mut Vec<u8>,
    columns: std::slice::Iter<'static, Column>,
    width: Option<usize>,
}

impl Cells<'_> {
    /// Whether the next cell is in the column of this title: of cells that only
    /// some tables of a record have.
    pub fn is_next(&self, title: &str) -> bool {
        let next = self.columns.as_slice().first();
        next.is_some_and(|column| column.title == title)
    }

    /// Text that is known to be printable ASCII.
    pub fn text(&mut self, text: &str) -> &mut Self {
        let Some(column) = self.columns.next() else {
            debug_assert!(false, "a row has no more cells than the table has columns");
            return self;
        };
        if !self.line.is_empty() {
            self.line.push(b' ');
        }
        let padding = column.width.saturating_sub(text.len());
        let (before, after) = match column.align {
            Align::Left => (0, padding),
            Align::Right => (padding, 0),
        };
        self.line.resize(self.line.len() + before, b' ');
        self.line.extend_from_slice(text.as_bytes());
        self.line.resize(self.line.len() + after, b' ');
        self
    }

    /// A number in hexadecimal, without `0x`.
    pub fn hex(&mut self, number: impl Into<Option<Hex>>) -> &mut Self {
        match number.into() {
            Some(number) => self.text(number.plain(&mut [0; 18])),
            None => self.text("-"),
        }
    }

    /// A number in decimal.
    pub fn number(&mut self, number: u64) -> &mut Self {
        self.text(decimal(number, &mut [0; 21]))
    }

    /// A number in decimal, or `-`.
    pub fn optional(&mut self, number: Option<u64>) -> &mut Self {
        match number {
            Some(number) => self.number(number),
            None => self.text("-"),
        }
    }

    /// An exact size: `132K`, `1G+4K`.
    pub fn size(&mut self, bytes: impl Into<Option<u64>>) -> &mut Self {
        match bytes.into() {
            Some(bytes) => self.text(size(bytes, &mut [0; SIZE])),
            None => self.text("-"),
        }
    }

    /// About so many bytes, in at most five characters.
    pub fn rough(&mut self, bytes: impl Into<Option<u64>>) -> &mut Self {
        match bytes.into() {
            Some(bytes) => self.text(&rough(bytes)),
            None => self.text("-"),
        }
    }

    /// A physical address, or for swapped memory the area and the slot (in
    /// hexadecimal, after a colon).
    pub fn place(&mut self, address: Option<Hex>, swap: Option<Swap>) -> &mut Self {
        let Some(swap) = swap else {
            return self.hex(address);
        };
        let mut text = [0; 24];
        let mut rest = &mut text[..];
        // 3 digits, a colon and 16 digits always fit.
        let _ = write!(rest, "{}:{:x}", swap.area, swap.offset);
        let left = rest.len();
        self.text(std::str::from_utf8(&text[..24 - left]).unwrap_or_default())
    }

    /// The same, or why the place is unknown.
    pub fn place_or_reason(
        &mut self,
        address: Option<Hex>,
        swap: Option<Swap>,
        reason: Option<&str>,
    ) -> &mut Self {
        match reason {
            Some(reason) => self.text(reason),
            None => self.place(address, swap),
        }
    }

    /// A protection and `s` or `p` for shared or private, as in
    /// the `maps` file.
    pub fn protection(&mut self, protection: &str, shared: bool) -> &mut Self {
        let mut text = *b"----";
        for (to, from) in text.iter_mut().zip(protection.bytes()) {
            *to = from;
        }
        text[3] = if shared { b's' } else { b'p' };
        self.text(std::str::from_utf8(&text).unwrap_or_default())
    }

    /// `yes`, `no`, or `-` if not known.
    pub fn truth(&mut self, value: Option<bool>) -> &mut Self {
        self.text(match value {
            Some(true) => "yes",
            Some(false) => "no",
            None => "-",
        })
    }

    /// A device's number.
    pub fn device(&mut self, device: DeviceNumber) -> &mut Self {
        self.text(device.text(&mut [0; 18]))
    }

    /// A name, escaped, cut to what is left of the line's width; whole where that
    /// is next to nothing, and the terminal goes on in its next line.
    pub fn name(&mut self, name: Name<'_>) -> &mut Self {
        let left = self.rest_of_line();
        name.push_printable(left, self.line);
        self
    }

    /// A command line, escaped, in what is left of the line's width: its end is
    /// cut off, see [`Name::push_command`].
    pub fn command(&mut self, command: Name<'_>) -> &mut Self {
        let left = self.rest_of_line();
        command.push_command(left, self.line);
        self
    }

    /// Begins the last cell. Returns the columns that are left for it, if there is
    /// a width, and more than next to nothing left of it.
    fn rest_of_line(&mut self) -> Option<usize> {
        self.columns.next();
        self.line.push(b' ');
        let left = self.width?.saturating_sub(self.line.len());
        (left >= LEAST_NAME).then_some(left)
    }
}

/// Fewer columns tell nothing of a name.
const LEAST_NAME: usize = 4;

/// Where notes begin, and their lines go on.
const INDENT: usize = 4;
/// How wide lines of notes are where no width is given.
const NOTE_WIDTH: usize = 80;

/// What stands below a row, indented: phrases, in as many lines as they need.
#[derive(Debug)]
pub struct Notes<'a> {
    text: &'a mut Vec<u8>,
    /// In the current line; 0 before the first phrase.
    used: usize,
    width: usize,
}

impl Notes<'_> {
    /// A word, or words that stand in one line; printable.
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

    /// The next phrase begins a line.
    pub fn end_line(&mut self) -> &mut Self {
        if self.used > 0 {
            self.used = usize::MAX / 2;
        }
        self
    }
}

/// Writes records as a table.
#[derive(Debug)]
pub(crate) struct TableWriter<W> {
    out: W,
    columns: &'static [Column],
    width: Option<usize>,
    line: Vec<u8>,
}

impl<W: Write> TableWriter<W> {
    pub(crate) fn begin(out: W, layout: &Layout, width: Option<usize>) -> io::Result<Self> {
        let columns = layout.columns;
        let mut table = Self {
            out,
            columns,
            width,
            line: Vec::new(),
        };
        if columns.is_empty() {
            return Ok(table);
        }
        table.row(|cells| {
            for column in columns {
                cells.text(column.title);
            }
        })?;
        Ok(table)
    }

    fn row(&mut self, fill: impl FnOnce(&mut Cells<'_>)) -> io::Result<()> {
        self.line.clear();
        let (line, columns) = (&mut self.line, self.columns.iter());
        let mut cells = Cells {
            line,
            columns,
            width: self.width,
        };
        fill(&mut cells);
        debug_assert!(
            cells.columns.next().is_none(),
            "a row has a cell for each column"
        );
        let used = self
            .line
            .iter()
            .rposition(|&byte| byte != b' ')
            .map_or(0, |last| last + 1);
        self.line.truncate(used);
        self.line.push(b'\n');
        self.out.write_all(&self.line)
    }

    pub(crate) fn write(&mut self, record: &impl Record) -> io::Result<()> {
        if self.columns.is_empty() {
            // A blank line between two.
            let before: &[u8] = if self.line.is_empty() { b"" } else { b"\n" };
            self.out.write_all(before)?;
            self.line = record.picture(self.width).into_bytes();
            return self.out.write_all(&self.line);
        }
        self.row(|cells| record.cells(cells))?;
        self.line.clear();
        record.notes(&mut Notes {
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

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}
