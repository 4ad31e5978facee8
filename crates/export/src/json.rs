//! JSON: an array, or a line for each record. Knows no kind of record.

use std::io::{self, Write};

use crate::field::{Field, Fields, Visit};
use crate::name::{upsets_terminals, Name};
use crate::number::decimal;
use crate::value::{FlagCounts, Value};

/// Writer of JSON.
#[derive(Debug)]
pub(crate) struct JsonWriter<W> {
    out: W,
    /// Text of one record: one call of the output for each.
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

    pub(crate) fn write(&mut self, record: &impl Fields) -> io::Result<()> {
        self.line.clear();
        if self.array {
            let separator: &[u8] = if self.first { b"\n" } else { b",\n" };
            self.line.extend_from_slice(separator);
        }
        self.first = false;
        push_object(record, &mut self.line);
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

/// Appends the object of a record, as in every output in JSON.
pub fn push_object(record: &impl Fields, line: &mut Vec<u8>) {
    line.push(b'{');
    let mut object = Object {
        line,
        is_first: true,
    };
    record.visit(&mut object);
    line.push(b'}');
}

/// Visitor that appends the fields of an object.
struct Object<'a> {
    line: &'a mut Vec<u8>,
    is_first: bool,
}

impl Object<'_> {
    #[inline]
    fn key(&mut self, name: &str, suffix: &str) {
        if !std::mem::take(&mut self.is_first) {
            self.line.push(b',');
        }
        self.line.push(b'"');
        self.line.extend_from_slice(name.as_bytes());
        self.line.extend_from_slice(suffix.as_bytes());
        self.line.extend_from_slice(b"\":");
    }

    /// Appends text that needs no escape.
    #[inline]
    fn plain(&mut self, text: impl AsRef<[u8]>) {
        self.line.push(b'"');
        self.line.extend_from_slice(text.as_ref());
        self.line.push(b'"');
    }

    fn array<T>(&mut self, items: impl Iterator<Item = T>, push: impl Fn(T, &mut Vec<u8>)) {
        self.line.push(b'[');
        for (index, item) in items.enumerate() {
            if index > 0 {
                self.line.push(b',');
            }
            push(item, self.line);
        }
        self.line.push(b']');
    }

    fn name(&mut self, field: &Field, Name(bytes): Name<'_>) {
        match std::str::from_utf8(bytes) {
            Ok("") => self.line.extend_from_slice(b"null"),
            Ok(text) => push_string(text, self.line),
            Err(_) => {
                push_string(&Name(bytes).lossy(), self.line);
                self.key(field.name, "_hex");
                self.plain(Name(bytes).hex().unwrap_or_default());
            }
        }
    }
}

impl Visit for Object<'_> {
    #[inline]
    fn value(&mut self, field: &'static Field, value: Value<'_>) {
        if field.is_optional && matches!(value, Value::Null) {
            return;
        }
        self.key(field.name, "");
        match value {
            Value::Null => self.line.extend_from_slice(b"null"),
            Value::Number(number) => push_number(number, self.line),
            Value::Real(number) => self.line.extend_from_slice(number.to_string().as_bytes()),
            Value::Hex(number) => self.plain(number.prefixed(&mut [0; 18])),
            Value::SignedHex(number) => self.plain(number.text()),
            Value::Decimal(number) => self.plain(decimal(number, &mut [0; 21])),
            Value::Truth(true) => self.line.extend_from_slice(b"true"),
            Value::Truth(false) => self.line.extend_from_slice(b"false"),
            Value::Word(word) => self.plain(word),
            Value::Text(text) => push_string(text, self.line),
            Value::Device(device) => self.plain(device.text(&mut [0; 18])),
            Value::Time(time) => self.plain(time.to_string()),
            Value::Name(name) => self.name(field, name),
            Value::Texts(texts) => self.array(texts.iter(), |text, line| push_string(text, line)),
            Value::Numbers(numbers) => self.array(numbers.iter().copied(), push_number),
            Value::Flags(flags) => self.array(flags.names(), |name, line| push_string(&name, line)),
            Value::Counts(FlagCounts(counts)) => {
                self.line.push(b'{');
                let mut object = Object {
                    line: self.line,
                    is_first: true,
                };
                for (name, count) in counts {
                    object.key(name, "");
                    push_number(*count, object.line);
                }
                self.line.push(b'}');
            }
        }
    }

    fn group(&mut self, field: &'static Field, record: &impl Fields) {
        if field.is_flat {
            return record.visit(self);
        }
        self.key(field.name, "");
        push_object(record, self.line);
    }

    fn list(&mut self, field: &'static Field, records: &[impl Fields]) {
        self.key(field.name, "");
        self.array(records.iter(), push_object);
    }
}

fn push_number(number: u64, line: &mut Vec<u8>) {
    line.extend_from_slice(decimal(number, &mut [0; 21]));
}

/// Appends a string in which nothing could upset a terminal: what could is `\uXXXX`,
/// which is the same text to every reader of JSON.
fn push_string(text: &str, line: &mut Vec<u8>) {
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
    line.push(b'"');
    if text.as_bytes().iter().all(is_plain) {
        line.extend_from_slice(text.as_bytes());
    } else {
        text.chars()
            .for_each(|character| push_char(character, line));
    }
    line.push(b'"');
}

fn push_char(character: char, line: &mut Vec<u8>) {
    let short = match character {
        '"' | '\\' => character as u8,
        '\u{8}' => b'b',
        '\u{c}' => b'f',
        '\n' => b'n',
        '\r' => b'r',
        '\t' => b't',
        _ if upsets_terminals(character) => {
            for unit in character.encode_utf16(&mut [0; 2]) {
                line.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
            }
            return;
        }
        _ => return line.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
    };
    line.extend_from_slice(&[b'\\', short]);
}
