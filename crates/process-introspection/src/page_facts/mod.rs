//! Facts of a process's pages, on request: of how many pages of a region each
//! is true. [`reader`] reads them.

mod counts;
mod entries;
mod pieces;
mod reader;
mod rest;

use crate::summary::FolioPages;
use crate::FrameFlags;

use counts::WordCounts;
pub use entries::{EntryFlags, EntryNotes, NotedEntries};
pub use reader::PageFactsReader;
pub(crate) use rest::Rest;

/// Facts of the pages of one region, as counts of pages.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct PageFacts {
    flags: WordCounts,
    entry_flags: WordCounts,
    times_mapped: WordCounts,
    folios: FolioPages,
}

impl PageFacts {
    /// Of how many pages the frame's flags are known: those in memory, less
    /// frames that the kernel knows nothing of.
    pub fn frames(&self) -> u64 {
        self.flags.of(0)
    }

    /// Of how many pages the frame has this flag. (Of several: all of them.)
    pub fn frames_with(&self, flag: FrameFlags) -> u64 {
        self.flags.of(flag.bits())
    }

    /// Each bit of kpageflags that any frame has, with the number of pages.
    pub fn frame_flags(&self) -> impl Iterator<Item = (u32, u64)> {
        self.flags.each()
    }

    /// Of how many pages the entry was looked at: all if they are in memory or
    /// in swap, none otherwise.
    pub fn entries(&self) -> u64 {
        self.entry_flags.of(0)
    }

    /// Of how many pages the entry has this flag. (Of several: all of them.)
    pub fn entries_with(&self, flag: EntryFlags) -> u64 {
        self.entry_flags.of(flag.bits())
    }

    /// Each flag that any entry has, as its bit, with the number of pages.
    pub fn entry_flags(&self) -> impl Iterator<Item = (u32, u64)> {
        self.entry_flags.each()
    }

    /// The least and the greatest number of mappings of a frame, see
    /// [`Frames::read_mapcounts`](crate::Frames::read_mapcounts); `None` if no frame's is known.
    pub fn mapcounts(&self) -> Option<(u64, u64)> {
        let counts = || self.times_mapped().map(|(count, _)| count);
        counts().min().zip(counts().max())
    }

    /// How often frames are mapped, each number with the number of pages;
    /// without frames that have no `struct page`.
    pub fn times_mapped(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.times_mapped.words().filter(|&(_, pages)| pages > 0)
    }

    /// The folios that the frames are a part of.
    pub(crate) fn folios(&self) -> &FolioPages {
        &self.folios
    }

    /// As if new.
    fn clear(&mut self) {
        self.flags.clear();
        self.entry_flags.clear();
        self.times_mapped.clear();
        self.folios.clear();
    }

    /// Adds frames, of which neighbours are mostly alike.
    fn add_frames(&mut self, flags: &[u64], counts: &[u64]) {
        let mut frames = flags.iter().zip(counts);
        let Some(mut last) = frames.next() else {
            return;
        };
        let mut times = 1;
        for frame in frames {
            if frame == last {
                times += 1;
            } else {
                self.add_alike(last, times);
                (last, times) = (frame, 1);
            }
        }
        self.add_alike(last, times);
    }

    fn add_alike(&mut self, (&flags, &count): (&u64, &u64), times: u64) {
        let flags = FrameFlags::from_bits(flags);
        self.flags.add_times(flags.bits(), times);
        self.folios.add(flags, times);
        // Of a frame without a `struct page` the kernel says 0.
        if flags != FrameFlags::default() && !flags.contains(FrameFlags::NOPAGE) {
            self.times_mapped.add_times(count, times);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_of_mappings_is_not_taken_from_frames_without_a_page() {
        let mut facts = PageFacts::default();
        facts.add_frames(&[FrameFlags::NOPAGE.bits(), 0], &[0, 0]);
        assert_eq!((facts.frames(), facts.mapcounts()), (2, None));
        facts.add_frames(&[FrameFlags::ANON.bits(); 2], &[3, 1]);
        assert_eq!((facts.frames(), facts.mapcounts()), (4, Some((1, 3))));
    }
}
