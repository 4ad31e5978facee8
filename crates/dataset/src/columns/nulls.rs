//! Which values of a column under construction are null. Values that are there cost nothing.

use std::ops::Range;

use arrow_buffer::{BooleanBuffer, NullBuffer};

/// Null values of a column.
#[derive(Debug, Default)]
pub(super) struct Nulls {
    /// A bit for each value, up to the last word with a null; set if the value is null.
    words: Vec<u64>,
}

impl Nulls {
    /// Records that the values with these indexes, behind all others that are, are null.
    pub(super) fn extend(&mut self, indexes: Range<usize>) {
        let Range { mut start, end } = indexes;
        if start < end {
            self.words.resize(end.div_ceil(64), 0);
        }
        while start < end {
            let (word, first) = (start / 64, start % 64);
            let count = (64 - first).min(end - start);
            self.words[word] |= (u64::MAX >> (64 - count)) << first;
            start += count;
        }
    }

    /// Returns the nulls of so many values, and begins again; `None` if no value is null.
    pub(super) fn finish(&mut self, count: usize) -> Option<NullBuffer> {
        if self.words.is_empty() {
            return None;
        }
        let mut words = std::mem::take(&mut self.words);
        self.words.reserve(words.len());
        words.resize(count.div_ceil(64), 0);
        words.iter_mut().for_each(|word| *word = (!*word).to_le());
        let valid = BooleanBuffer::new(words.into(), 0, count);
        Some(NullBuffer::new(valid))
    }
}
