//! Columns of text under construction: texts one after the other, names with their bytes, and
//! words as keys of a dictionary. Knows no fields.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::types::{ArrowDictionaryKeyType, Int32Type, Int8Type};
use arrow_array::{
    ArrayRef, ArrowPrimitiveType, BinaryArray, DictionaryArray, PrimitiveArray, StringArray,
};
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};

use crate::columns::nulls::Nulls;

/// Column of texts.
#[derive(Debug)]
pub(super) struct Texts {
    text: Vec<u8>,
    /// End of each text.
    ends: Vec<i32>,
    nulls: Nulls,
}

impl Texts {
    pub(super) fn new() -> Self {
        Self {
            text: Vec::new(),
            ends: vec![0],
            nulls: Nulls::default(),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.text.len()
    }

    #[inline]
    pub(super) fn push(&mut self, text: &str) {
        self.text.extend_from_slice(text.as_bytes());
        self.end();
    }

    #[inline]
    pub(super) fn push_nulls(&mut self, count: usize) {
        let start = self.ends.len() - 1;
        self.nulls.extend(start..start + count);
        self.ends.resize(start + count + 1, end_of(self.text.len()));
    }

    fn last(&self) -> &[u8] {
        let start = match *self.ends {
            [.., start, _] => start as usize,
            _ => 0,
        };
        &self.text[start..]
    }

    #[inline]
    fn end(&mut self) {
        self.ends.push(end_of(self.text.len()));
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
    /// Bytes of the names that are not UTF-8, and the index and the end of each.
    bytes: Vec<u8>,
    others: Vec<(usize, i32)>,
    /// Number of times that the last text follows itself, not stored yet.
    run: usize,
}

impl Names {
    pub(super) fn new() -> Self {
        Self {
            texts: Texts::new(),
            bytes: Vec::new(),
            others: Vec::new(),
            run: 0,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.texts.bytes() + self.bytes.len() + self.run * self.texts.last().len()
    }

    /// Appends a name; an empty one is null.
    #[inline]
    pub(super) fn push(&mut self, name: &[u8]) {
        // Records of one mapping follow each other.
        if !name.is_empty() && is_same(name, self.texts.last()) {
            self.run += 1;
        } else {
            self.end_run();
            self.push_other(name);
        }
    }

    #[cold]
    fn end_run(&mut self) {
        let start = self.texts.text.len() - self.texts.last().len();
        let end = self.texts.text.len();
        self.texts.text.reserve(self.run * (end - start));
        for _ in 0..self.run {
            self.texts.text.extend_from_within(start..end);
            self.texts.end();
        }
        self.run = 0;
    }

    #[cold]
    fn push_other(&mut self, name: &[u8]) {
        match std::str::from_utf8(name) {
            Ok("") => self.push_nulls(1),
            Ok(text) => self.texts.push(text),
            Err(_) => {
                self.bytes.extend_from_slice(name);
                let index = self.texts.ends.len() - 1;
                self.others.push((index, end_of(self.bytes.len())));
                self.texts.push(&String::from_utf8_lossy(name));
            }
        }
    }

    #[inline]
    pub(super) fn push_nulls(&mut self, count: usize) {
        self.end_run();
        self.texts.push_nulls(count);
    }

    pub(super) fn finish(&mut self) -> [ArrayRef; 2] {
        self.end_run();
        let text = self.texts.finish();
        let count = text.len();
        if self.others.is_empty() {
            return [text, Arc::new(BinaryArray::new_null(count))];
        }
        let (mut ends, mut nulls, mut end) = (vec![0], Nulls::default(), 0);
        let mut others = self.others.drain(..).peekable();
        for index in 0..count {
            match others.next_if(|(other, _)| *other == index) {
                Some((_, its_end)) => end = its_end,
                None => nulls.extend(index..index + 1),
            }
            ends.push(end);
        }
        drop(others);
        let (ends, nulls) = finished(ends, nulls);
        let bytes = Buffer::from(std::mem::take(&mut self.bytes));
        [text, Arc::new(BinaryArray::new(ends, bytes, nulls))]
    }
}

/// Column of words, each stored once.
#[derive(Debug)]
pub(super) struct Words {
    keys: Vec<i32>,
    /// Key that the latest rows have, and their number, which are not stored yet.
    run: (i32, usize),
    nulls: Nulls,
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
    /// In place of the key of a null.
    const NULL: i32 = -1;

    /// A column of words that are not known yet.
    pub(super) fn open() -> Self {
        Self {
            keys: Vec::new(),
            run: (Self::NULL, 0),
            nulls: Nulls::default(),
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
        if self.last.1 < 0 || !is_same(self.last.0.as_bytes(), word.as_bytes()) {
            self.set_last(word);
        }
        self.push_key(self.last.1, 1);
    }

    /// Appends the latest word again, if there is one.
    #[inline]
    pub(super) fn push_again(&mut self) -> bool {
        let is_there = self.last.1 >= 0;
        if is_there {
            self.push_key(self.last.1, 1);
        }
        is_there
    }

    #[inline]
    pub(super) fn push_nulls(&mut self, count: usize) {
        self.push_key(Self::NULL, count);
    }

    #[inline]
    fn push_key(&mut self, key: i32, count: usize) {
        if self.run.0 != key {
            self.end_run();
            self.run.0 = key;
        }
        self.run.1 += count;
    }

    #[cold]
    fn end_run(&mut self) {
        let (key, count) = self.run;
        let (start, end) = (self.keys.len(), self.keys.len() + count);
        if key == Self::NULL {
            self.nulls.extend(start..end);
        }
        self.keys.resize(end, key.max(0));
        self.run.1 = 0;
    }

    #[cold]
    fn set_last(&mut self, word: &str) {
        self.last.1 = self.key(word);
        self.last.0.clear();
        self.last.0.push_str(word);
    }

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
        self.end_run();
        let keys = std::mem::take(&mut self.keys);
        self.keys.reserve(keys.len());
        let nulls = self.nulls.finish(keys.len());
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

/// Returns whether two texts are equal, without a call for those of up to 64 bytes.
#[inline]
fn is_same(one: &[u8], other: &[u8]) -> bool {
    /// First and last bytes, which overlap if there are less than twice as many.
    fn ends<const SIZE: usize>(text: &[u8]) -> Option<([u8; SIZE], [u8; SIZE])> {
        Some((*text.first_chunk()?, *text.last_chunk()?))
    }
    one.len() == other.len()
        && match one.len() {
            0 => true,
            1 => one[0] == other[0],
            2 | 3 => ends::<2>(one) == ends(other),
            4..=7 => ends::<4>(one) == ends(other),
            8..=16 => ends::<8>(one) == ends(other),
            17..=32 => ends::<16>(one) == ends(other),
            33..=64 => ends::<32>(one) == ends(other),
            _ => one == other,
        }
}

/// Returns where a text ends. Batches end long before 2 GiB, see `Builder::is_full`.
#[inline]
pub(super) fn end_of(length: usize) -> i32 {
    i32::try_from(length).expect("a batch under 2 GiB")
}

pub(super) fn finished(
    ends: Vec<i32>,
    mut nulls: Nulls,
) -> (OffsetBuffer<i32>, Option<NullBuffer>) {
    let nulls = nulls.finish(ends.len() - 1);
    (OffsetBuffer::new(ends.into()), nulls)
}
