//! Facts of a process's pages, on request: for each fact, the number of pages of a region
//! for which it is true. [`reader`] reads them.

mod counts;
mod entries;
mod folios;
mod frame_facts;
mod pieces;
mod reader;
mod rest;

use crate::machine::frames::FrameFlags;
use counts::WordCounts;

pub(crate) use entries::EntryNotes;
pub use entries::{EntryFlags, NotedEntries};
use folios::FolioPages;
use frame_facts::FrameFacts;
pub use reader::PageFactsReader;
use rest::Rest;

/// Facts of the pages of one region, as counts of pages.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct PageFacts {
    frames: FrameFacts,
    entry_flags: WordCounts,
}

impl PageFacts {
    /// Returns the facts of these pages and of those that `further` counts.
    pub(crate) fn and(mut self, further: &Self) -> Self {
        let (frames, others) = (&mut self.frames, &further.frames);
        frames.flags.add_all(&others.flags);
        frames.times_mapped.add_all(&others.times_mapped);
        frames.folios.add_all(&others.folios);
        self.entry_flags.add_all(&further.entry_flags);
        self
    }

    /// Returns the number of pages whose frame's flags are known: the resident ones, except
    /// frames of which the kernel knows nothing.
    pub fn frames(&self) -> u64 {
        self.frames.flags.of(0)
    }

    /// Returns the number of pages whose frame has this flag. (With several flags: all of
    /// them.)
    pub fn frames_with(&self, flag: FrameFlags) -> u64 {
        self.frames.flags.of(flag.bits())
    }

    /// Returns each bit of kpageflags that any frame has, with the number of pages.
    pub fn frame_flags(&self) -> impl Iterator<Item = (u32, u64)> {
        self.frames.flags.each()
    }

    /// Returns the number of pages whose entry was read: all if they are resident or
    /// swapped, none otherwise.
    pub fn entries(&self) -> u64 {
        self.entry_flags.of(0)
    }

    /// Returns the number of pages whose entry has this flag. (With several flags: all of
    /// them.)
    pub fn entries_with(&self, flag: EntryFlags) -> u64 {
        self.entry_flags.of(flag.bits())
    }

    /// Returns each flag that any entry has, as its bit, with the number of pages.
    pub fn entry_flags(&self) -> impl Iterator<Item = (u32, u64)> {
        self.entry_flags.each()
    }

    /// Returns the least and the greatest mapcount of a frame, see
    /// [`Frames::read_mapcounts`](crate::Frames::read_mapcounts); `None` if no frame's is
    /// known.
    pub fn mapcounts(&self) -> Option<(u64, u64)> {
        let counts = || self.times_mapped().map(|(count, _)| count);
        counts().min().zip(counts().max())
    }

    /// Returns the mapcounts of frames, each with the number of pages; frames without a
    /// `struct page` are left out.
    pub fn times_mapped(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.frames
            .times_mapped
            .words()
            .filter(|&(_, pages)| pages > 0)
    }

    /// Returns the page counts of the folios that contain the frames.
    pub(crate) fn folios(&self) -> &FolioPages {
        &self.frames.folios
    }
}
