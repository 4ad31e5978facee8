//! A kind of record, for the writer: its fields, and what tables and CSV show in another
//! form than a cell for each field.

use crate::delimited::{header, Lines};
use crate::field::{Extra, Field, Fields};
use crate::table::{Notes, Row};

/// A record that can be written in every format.
pub trait Record: Fields {
    /// Its fields and columns.
    const LAYOUT: Layout = Layout::of(Self::FIELDS);

    /// Appends its line of CSV, or its lines if the layout has other fields for them.
    #[inline]
    fn lines(&self, lines: &mut Lines<'_>)
    where
        Self: Sized,
    {
        lines.line(self);
    }

    /// Fills the row of the table.
    #[inline]
    fn row(&self, row: &mut Row<'_>) {
        self.visit(row);
    }

    /// Appends the notes below its row.
    fn notes(&self, _notes: &mut Notes<'_>) {}

    /// Returns the lines that stand for it in the table if the layout has no columns;
    /// `width` is the terminal's.
    fn picture(&self, _width: Option<usize>) -> String {
        String::new()
    }
}

/// Fields of one kind of record, as each format has them.
#[derive(Copy, Clone, Debug)]
pub struct Layout {
    /// Fields of JSON.
    pub fields: &'static [Field],
    /// Fields of a line of CSV.
    pub lines: &'static [Field],
    /// Fields of which some have columns in the table. None have: the table is a picture.
    pub table: &'static [Field],
    /// Extra columns of this output.
    pub extra: &'static [Extra],
}

impl Layout {
    /// A layout in which every format has these fields.
    pub const fn of(fields: &'static [Field]) -> Self {
        Self {
            fields,
            lines: fields,
            table: fields,
            extra: &[],
        }
    }

    /// Returns the layout with these extra columns.
    pub const fn with(self, extra: &'static [Extra]) -> Self {
        Self { extra, ..self }
    }

    /// Returns the names of the fields in the header line of CSV.
    pub fn header(&self) -> Vec<String> {
        header(self.lines, self.extra)
    }
}
