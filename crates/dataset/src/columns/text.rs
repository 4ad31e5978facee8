//! Columns of text under construction: texts one after the other, names with their bytes, and
//! words as keys of a dictionary. Knows no fields.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::types::{ArrowDictionaryKeyType, Int32Type, Int8Type};
use arrow_array::{
    ArrayRef, ArrowPrimitiveType, BinaryArray, DictionaryArray, PrimitiveArray, StringArray,
};
use arrow_buffer::{Buffer, NullBuffer, NullBufferBuilder, OffsetBuffer, ScalarBuffer};

/// Column of texts.
#[derive(Debug)]
pub(super) struct Texts {
    text: Vec<u8>,
    /// End of each text.
    ends: Vec<i32>,
    nulls: NullBufferBuilder,
}

impl Texts {
    pub(super) fn new() -> Self {
        Self {
            text: Vec::new(),
            ends: vec![0],
            nulls: NullBufferBuilder::new(0),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.text.len()
    }

    #[inline]
    pub(super) fn push(&mut self, text: &str) {
        self.text.extend_from_slice(text.as_bytes());
        self.end(true);
    }

    #[inline]
    pub(super) fn push_null(&mut self) {
        self.end(false);
    }

    fn last(&self) -> &[u8] {
        let start = match *self.ends {
            [.., start, _] => start as usize,
            _ => 0,
        };
        &self.text[start..]
    }

    #[inline]
    fn end(&mut self, is_valid: bool) {
        self.ends.push(end_of(self.text.len()));
        self.nulls.append(is_valid);
    }

    pub(super) fn finish(&mut self) -> ArrayRef {
        let Self { text, ends, nulls } = std::mem::replace(self, Self::new());
        let (ends, nulls) = finished(ends, nulls);
        self.text.reserve(text.len());
        self.ends.reserve(ends.len());
        let text = Buffer::from(text);
        Arc::new(StringArray::new(ends, text, nulls))
    }
}

/// Column of names as text, and column of the bytes of those that are not UTF-8.
#[derive(Debug)]
pub(super) struct Names {
    texts: Texts,
    bytes: Vec<u8>,
    ends: Vec<i32>,
    nulls: NullBufferBuilder,
}

impl Names {
    pub(super) fn new() -> Self {
        Self {
            texts: Texts::new(),
            bytes: Vec::new(),
            ends: vec![0],
            nulls: NullBufferBuilder::new(0),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.texts.bytes() + self.bytes.len()
    }

    /// Appends a name; an empty one is null.
    #[inline]
    pub(super) fn push(&mut self, name: &[u8]) {
        // Records of one mapping follow each other.
        if !name.is_empty() && name == self.texts.last() {
            let start = self.texts.text.len() - name.len();
            self.texts.text.extend_from_within(start..);
            self.texts.end(true);
            self.end(false);
        } else {
            self.push_other(name);
        }
    }

    fn push_other(&mut self, name: &[u8]) {
        match std::str::from_utf8(name) {
            Ok("") => self.push_null(),
            Ok(text) => {
                self.texts.push(text);
                self.end(false);
            }
            Err(_) => {
                self.texts.push(&String::from_utf8_lossy(name));
                self.bytes.extend_from_slice(name);
                self.end(true);
            }
        }
    }

    #[inline]
    pub(super) fn push_null(&mut self) {
        self.texts.push_null();
        self.end(false);
    }

    #[inline]
    fn end(&mut self, is_valid: bool) {
        self.ends.push(end_of(self.bytes.len()));
        self.nulls.append(is_valid);
    }

    pub(super) fn finish(&mut self) -> [ArrayRef; 2] {
        let text = self.texts.finish();
        let ends = std::mem::replace(&mut self.ends, vec![0]);
        let nulls = std::mem::replace(&mut self.nulls, NullBufferBuilder::new(0));
        let (ends, nulls) = finished(ends, nulls);
        self.ends.reserve(ends.len());
        let bytes = Buffer::from(std::mem::take(&mut self.bytes));
        [text, Arc::new(BinaryArray::new(ends, bytes, nulls))]
    }
}

/// Column of words, each stored once.
#[derive(Debug)]
pub(super) struct Words {
    keys: Vec<i32>,
    nulls: NullBufferBuilder,
    /// Latest word, and its key.
    last: (String, i32),
    dictionary: HashMap<Box<str>, i32>,
    /// The words in the order of their keys, unless some were added since.
    values: Option<ArrayRef>,
    /// Whether the words were known at the beginning: keys have one byte.
    is_closed: bool,
}

impl Words {
    /// Largest number of words that the next batch still has from the ones before.
    const KEPT: usize = 1024;

    /// A column of words that are not known yet.
    pub(super) fn open() -> Self {
        Self {
            keys: Vec::new(),
            nulls: NullBufferBuilder::new(0),
            last: (String::new(), -1),
            dictionary: HashMap::new(),
            values: None,
            is_closed: false,
        }
    }

    /// A column of words of a list.
    pub(super) fn closed(words: &[&'static str]) -> Self {
        let mut column = Self::open();
        for word in words {
            column.key(word);
        }
        column.is_closed = true;
        column
    }

    #[inline]
    pub(super) fn push(&mut self, word: &str) {
        if self.last.1 < 0 || self.last.0 != word {
            self.last.1 = self.key(word);
            self.last.0.clear();
            self.last.0.push_str(word);
        }
        self.keys.push(self.last.1);
        self.nulls.append_non_null();
    }

    /// Appends the latest word again, if there is one.
    #[inline]
    pub(super) fn push_again(&mut self) -> bool {
        let is_there = self.last.1 >= 0;
        if is_there {
            self.keys.push(self.last.1);
            self.nulls.append_non_null();
        }
        is_there
    }

    #[inline]
    pub(super) fn push_null(&mut self) {
        self.keys.push(0);
        self.nulls.append_null();
    }

    #[cold]
    fn key(&mut self, word: &str) -> i32 {
        if let Some(&key) = self.dictionary.get(word) {
            return key;
        }
        debug_assert!(!self.is_closed, "{word} is not in its list");
        let key = end_of(self.dictionary.len());
        self.dictionary.insert(word.into(), key);
        self.values = None;
        key
    }

    pub(super) fn finish(&mut self) -> ArrayRef {
        let keys = std::mem::take(&mut self.keys);
        self.keys.reserve(keys.len());
        let nulls = self.nulls.finish();
        let words = self.values.get_or_insert_with(|| {
            let mut words: Vec<_> = self.dictionary.iter().collect();
            words.sort_unstable_by_key(|(_, key)| **key);
            let words = words.into_iter().map(|(word, _)| Some(&**word));
            Arc::new(words.collect::<StringArray>())
        });
        let words = Arc::clone(words);
        if !self.is_closed {
            if self.dictionary.len() > Self::KEPT {
                *self = Self::open();
            }
            return dictionary::<Int32Type>(keys.into(), nulls, words);
        }
        let keys: Vec<i8> = keys.into_iter().map(|key| key as i8).collect();
        dictionary::<Int8Type>(keys.into(), nulls, words)
    }
}

fn dictionary<K: ArrowDictionaryKeyType>(
    keys: ScalarBuffer<<K as ArrowPrimitiveType>::Native>,
    nulls: Option<NullBuffer>,
    words: ArrayRef,
) -> ArrayRef {
    let keys = PrimitiveArray::<K>::new(keys, nulls);
    Arc::new(DictionaryArray::new(keys, words))
}

/// Returns where a text ends. Batches end long before 2 GiB, see `Builder::is_full`.
#[inline]
pub(super) fn end_of(length: usize) -> i32 {
    i32::try_from(length).expect("a batch under 2 GiB")
}

pub(super) fn finished(
    ends: Vec<i32>,
    mut nulls: NullBufferBuilder,
) -> (OffsetBuffer<i32>, Option<NullBuffer>) {
    (OffsetBuffer::new(ends.into()), nulls.finish())
}
