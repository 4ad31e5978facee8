//! Numbers of pages by word, where most pages have the same word. Pure.

use super::Rest;
use crate::machine::frames::FrameFlags;

/// Words, each with the number of pages that have it. The pages of one region mostly have
/// equal words: a few different ones, and usually one.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct WordCounts {
    first: (u64, u64),
    more: Rest<(u64, u64)>,
}

impl WordCounts {
    pub(super) const fn of_word(word: u64, times: u64) -> Self {
        Self {
            first: (word, times),
            more: Rest::EMPTY,
        }
    }

    /// Adds words, of which neighbours are mostly equal.
    pub(super) fn add(&mut self, words: impl Iterator<Item = u64>) {
        let (mut last, mut times) = (0, 0);
        for word in words {
            if word == last {
                times += 1;
            } else {
                self.add_times(last, times);
                (last, times) = (word, 1);
            }
        }
        self.add_times(last, times);
    }

    pub(super) fn add_times(&mut self, word: u64, times: u64) {
        if times == 0 {
            return;
        }
        if self.first.1 == 0 {
            self.first.0 = word;
        }
        if self.first.0 == word {
            self.first.1 += times;
            return;
        }
        match self.more.iter_mut().find(|known| known.0 == word) {
            Some(known) => known.1 += times,
            None => self.more.push((word, times)),
        }
    }

    /// Adds the pages that `further` counts.
    pub(super) fn add_all(&mut self, further: &Self) {
        for (word, times) in further.words() {
            self.add_times(word, times);
        }
    }

    pub(super) fn words(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        std::iter::once(self.first).chain(self.more.iter().copied())
    }

    /// Returns the number of pages that have all of these bits.
    pub(super) fn of(&self, bits: u64) -> u64 {
        let having = self.words().filter(|(word, _)| word & bits == bits);
        having.map(|(_, count)| count).sum()
    }

    /// Returns each bit that any page has, with the number of pages that have it.
    pub(super) fn each(&self) -> impl Iterator<Item = (u32, u64)> + use<> {
        let mut counts = [0; 64];
        for (word, count) in self.words() {
            for bit in FrameFlags::from_bits(word).set_bits() {
                counts[bit as usize] += count;
            }
        }
        (0..).zip(counts).filter(|&(_, count)| count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_repeat_count_as_often() {
        let mut counts = WordCounts::default();
        counts.add([0, 5, 5, 5, 4, 1 << 63, 5].into_iter());
        let expected = [(0, 4), (2, 5), (63, 1)];
        assert!(counts.each().eq(expected));
        assert_eq!(counts.of(5), 4);
        assert_eq!((counts.of(4), counts.of(1 << 63), counts.of(2)), (5, 1, 0));
    }
}
