//! JSON of records in a form that can stand in a script element: no text can end it. Lists are
//! bounded in rows and bytes. Must not know which records there are.

use process_introspection_export::{push_object, Fields};

/// List of records of one kind, bounded in rows and in bytes.
#[derive(Clone, Debug)]
pub struct List {
    most_rows: usize,
    most_bytes: usize,
    rows: usize,
    left_out: u64,
    text: Vec<u8>,
}

impl List {
    /// Returns an empty list of at most so many rows, in at most so many bytes.
    pub fn new(most_rows: usize, most_bytes: usize) -> Self {
        Self {
            most_rows,
            most_bytes,
            rows: 0,
            left_out: 0,
            text: Vec::new(),
        }
    }

    /// Adds a record. Returns false if there is no room for it, nor for any later one: the first
    /// records are those that are kept.
    pub fn push(&mut self, record: &impl Fields) -> bool {
        if self.left_out > 0 || self.rows == self.most_rows {
            self.left_out += 1;
            return false;
        }
        let mut object = Vec::new();
        push_object(record, &mut object);
        let object = escaped(&object);
        let separator = usize::from(self.rows > 0);
        if self.text.len() + separator + object.len() > self.most_bytes {
            self.left_out += 1;
            return false;
        }
        if self.rows > 0 {
            self.text.push(b',');
        }
        self.text.extend_from_slice(&object);
        self.rows += 1;
        true
    }

    /// Returns the number of records.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Returns the number of records for which there was no room.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Appends the array.
    pub(super) fn write(&self, text: &mut Vec<u8>) {
        text.push(b'[');
        text.extend_from_slice(&self.text);
        text.push(b']');
    }
}

/// Appends the object of a record.
pub(super) fn write_record(record: &impl Fields, text: &mut Vec<u8>) {
    let mut object = Vec::new();
    push_object(record, &mut object);
    text.extend_from_slice(&escaped(&object));
}

/// Appends an array of records.
pub(super) fn write_records<R: Fields>(records: &[R], text: &mut Vec<u8>) {
    let mut list = List::new(usize::MAX, usize::MAX);
    for record in records {
        list.push(record);
    }
    list.write(text);
}

/// Returns JSON without characters that mean something in HTML: they occur in strings only,
/// where an escape is the same text.
fn escaped(json: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(json.len() + 16);
    for &byte in json {
        match byte {
            b'<' => text.extend_from_slice(b"\\u003c"),
            b'>' => text.extend_from_slice(b"\\u003e"),
            b'&' => text.extend_from_slice(b"\\u0026"),
            _ => text.push(byte),
        }
    }
    text
}
