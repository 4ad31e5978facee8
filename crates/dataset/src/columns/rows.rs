//! Records from the rows of a batch.

use std::marker::PhantomData;

use arrow_array::{Array, Int64Array, ListArray, RecordBatch};
use process_introspection_export::{Field, FromSource, MissingField, Source};

use crate::columns::stored::{find, Stored, WrongType};

/// Records of a batch, in order.
///
/// Columns that the record does not have are ignored; a field without a column is null.
///
/// ```
/// use std::collections::HashMap;
///
/// use process_introspection_dataset::columns::{Builder, Rows};
/// use process_introspection_export::{Fields, NodeRecord};
///
/// let record = NodeRecord { node: Some(1), bytes: 4096 };
/// let mut builder = Builder::new(NodeRecord::FIELDS, &[], HashMap::new());
/// builder.push(&record);
/// let rows = Rows::<NodeRecord>::new(&builder.finish()).expect("columns of the record");
/// assert_eq!(rows.collect::<Vec<_>>(), [Ok(record)]);
/// ```
#[derive(Debug)]
pub struct Rows<R> {
    columns: Vec<Stored>,
    next: usize,
    count: usize,
    record: PhantomData<R>,
}

impl<R: FromSource> Rows<R> {
    /// Finds the columns of the record in a batch.
    ///
    /// # Errors
    /// [`WrongType`] if a column has another type than those that its field can have.
    pub fn new(batch: &RecordBatch) -> Result<Self, WrongType> {
        Ok(Self {
            columns: find(R::FIELDS, batch)?,
            next: 0,
            count: batch.num_rows(),
            record: PhantomData,
        })
    }
}

impl<R: FromSource> Iterator for Rows<R> {
    type Item = Result<R, MissingField>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next == self.count {
            return None;
        }
        let row = self.next;
        self.next += 1;
        Some(R::from_source(&mut Row {
            columns: &self.columns,
            next: 0,
            row,
        }))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.count - self.next;
        (left, Some(left))
    }
}

/// Values of one row. Fields are read in the order of their declaration.
struct Row<'a> {
    columns: &'a [Stored],
    next: usize,
    row: usize,
}

impl<'a> Row<'a> {
    /// Returns the column of the next field.
    fn column(&mut self) -> Option<&'a Stored> {
        let column = self.columns.get(self.next);
        self.next += 1;
        column
    }

    /// Returns the list in the next column, and the column of its items.
    fn items(&mut self) -> Option<(std::ops::Range<usize>, &'a Stored)> {
        match self.column()? {
            Stored::List(list, items) if list.is_valid(self.row) => {
                Some((range(list, self.row), items))
            }
            _ => None,
        }
    }

    /// Reads a part of the row, or of a row of a list.
    fn within<R>(
        &mut self,
        columns: &'a [Stored],
        row: usize,
        read: impl FnOnce(&mut Self) -> R,
    ) -> R {
        let part = Self {
            columns,
            next: 0,
            row,
        };
        let whole = std::mem::replace(self, part);
        let value = read(self);
        *self = whole;
        value
    }
}

fn range(list: &ListArray, row: usize) -> std::ops::Range<usize> {
    let offsets = list.value_offsets();
    offsets[row] as usize..offsets[row + 1] as usize
}

fn number(numbers: &Int64Array, row: usize) -> Option<u64> {
    numbers.is_valid(row).then(|| numbers.value(row) as u64)
}

impl Source for Row<'_> {
    fn number(&mut self, _field: &'static Field) -> Option<u64> {
        match self.column()? {
            Stored::Numbers(numbers) => number(numbers, self.row),
            _ => None,
        }
    }

    fn truth(&mut self, _field: &'static Field) -> Option<bool> {
        match self.column()? {
            Stored::Truths(truths) => truths.is_valid(self.row).then(|| truths.value(self.row)),
            _ => None,
        }
    }

    fn text(&mut self, _field: &'static Field) -> Option<&str> {
        match self.column()? {
            Stored::Texts(texts) | Stored::Words(texts, _) => texts.get(self.row),
            _ => None,
        }
    }

    fn word(&mut self, field: &'static Field) -> Result<Option<&'static str>, MissingField> {
        let Some(Stored::Words(texts, words)) = self.column() else {
            return Ok(None);
        };
        let Some(text) = texts.get(self.row) else {
            return Ok(None);
        };
        let known = words.iter().find(|word| **word == text);
        let missing = || MissingField { name: field.name };
        known.copied().map(Some).ok_or_else(missing)
    }

    fn name(&mut self, _field: &'static Field) -> Option<Vec<u8>> {
        match self.column()? {
            Stored::Names(_, Some(bytes)) if bytes.is_valid(self.row) => {
                Some(bytes.value(self.row).to_vec())
            }
            Stored::Names(texts, _) => texts.get(self.row).map(|text| text.as_bytes().to_vec()),
            _ => None,
        }
    }

    fn texts(&mut self, _field: &'static Field) -> Option<Vec<String>> {
        match self.items()? {
            (range, Stored::Texts(texts)) => range
                .map(|item| texts.get(item).map(str::to_owned))
                .collect(),
            _ => None,
        }
    }

    fn numbers(&mut self, _field: &'static Field) -> Option<Vec<u64>> {
        match self.items()? {
            (range, Stored::Numbers(numbers)) => range.map(|item| number(numbers, item)).collect(),
            _ => None,
        }
    }

    fn counts(&mut self, _field: &'static Field) -> Option<Vec<(String, u64)>> {
        let (range, Stored::Struct(_, columns)) = self.items()? else {
            return None;
        };
        let [Stored::Texts(names), Stored::Numbers(counts)] = &columns[..] else {
            return None;
        };
        let pair = |item| Some((names.get(item)?.to_owned(), number(counts, item)?));
        range.map(pair).collect()
    }

    fn group<R>(&mut self, _field: &'static Field, read: impl FnOnce(&mut Self) -> R) -> Option<R> {
        let column = self.column()?;
        if column.is_null(self.row) {
            return None;
        }
        match column {
            Stored::Struct(_, columns) | Stored::Flat(columns) => {
                Some(self.within(columns, self.row, read))
            }
            _ => None,
        }
    }

    fn list<R>(
        &mut self,
        _field: &'static Field,
        mut read: impl FnMut(&mut Self) -> R,
    ) -> Option<Vec<R>> {
        let (range, Stored::Struct(_, columns)) = self.items()? else {
            return None;
        };
        Some(
            range
                .map(|row| self.within(columns, row, &mut read))
                .collect(),
        )
    }
}
