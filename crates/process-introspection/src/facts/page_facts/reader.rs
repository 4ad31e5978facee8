//! Reader of facts: frames in sorted runs, entries in runs of neighbours. Knows nothing of
//! the search for regions.

use std::ops::Range;

use process_introspection_core::backing::Backing;
use process_introspection_core::pagemap::read_entries;
use process_introspection_core::{AddrRange, PageSize, Pfn};

use super::counts::WordCounts;
use super::frame_facts::FrameFactsOfRegions;
use super::pieces::{Part, Pieces, Run, PIECE};
use super::{EntryFlags, NotedEntries, PageFacts};
use crate::error::Error;
use crate::machine::frames::{FrameFlags, Frames};
use crate::process::Process;

/// Reader of facts of a process's pages, for many regions at a time: the more regions, the
/// longer the runs of frames. Takes some hundred bytes for each added region, and a
/// constant.
#[derive(Debug)]
pub struct PageFactsReader<'a> {
    process: &'a Process,
    frames: Frames,
    page: PageSize,
    /// True if flags of frames are read also where the mapcounts are enough.
    with_flags: bool,
    /// Flags and mapcounts of a piece of frames, or its entries.
    flags: Vec<u64>,
    words: Vec<u64>,
    /// For the added regions: runs of frames, runs of pages whose entries are to be read,
    /// and the facts that were read of both.
    runs: Vec<Run>,
    pages: Vec<Run>,
    frame_facts: FrameFactsOfRegions,
    entries: Vec<WordCounts>,
    /// True if the regions were read: the next addition removes them.
    are_read: bool,
}

impl<'a> PageFactsReader<'a> {
    pub(crate) fn new(process: &'a Process) -> Result<Self, Error> {
        Ok(Self {
            process,
            frames: Frames::open_in(process.mounts())?,
            page: process.page_size(),
            with_flags: true,
            flags: vec![0; PIECE],
            words: vec![0; PIECE],
            runs: Vec::new(),
            pages: Vec::new(),
            frame_facts: FrameFactsOfRegions::default(),
            entries: Vec::new(),
            are_read: false,
        })
    }

    /// Returns the files that facts of frames come from.
    pub(crate) fn source(&self) -> &Frames {
        &self.frames
    }

    /// Returns the reader of frames' mapcounts only, in half of the time. Their flags are then
    /// MMAP alone, except where the mapcount is 0: only flags distinguish frames that have
    /// none.
    pub(crate) fn of_mapcounts_only(mut self) -> Self {
        self.with_flags = false;
        self
    }

    /// Adds a region to those whose facts [`Self::read`] reads next: its addresses, its
    /// backing as a walk found it, and the entries that the walk has noted (see
    /// [`Walk::entry_flags`](crate::Walk::entry_flags)). Noted entries are not read again,
    /// nor is the mapcount of a frame that they show to be mapped once.
    ///
    /// A region can have changed since it was found: the noted entries are as old as the
    /// region. Entries that were not noted are those of its addresses at the time of the
    /// read, its frames those that it had when it was found.
    ///
    /// # Panics
    /// If 2^32 regions are added without a [`Self::read`].
    pub fn add(&mut self, virt: AddrRange, backing: Backing, noted: Option<NotedEntries>) {
        if self.are_read {
            self.forget();
        }
        let has_entries = backing.is_backed() || matches!(backing, Backing::Swapped(_));
        let noted = noted.filter(|_| has_entries);
        if noted.is_none() && has_entries {
            let run = self.run(virt.start().as_u64() >> self.page.shift(), virt, false);
            self.pages.push(run);
        }
        let is_exclusive = noted.as_ref().is_some_and(NotedEntries::are_exclusive);
        self.add_frames(virt, backing, is_exclusive);
        if let (Some(noted), Some(entries)) = (noted, self.entries.last_mut()) {
            *entries = noted.0;
        }
    }

    /// Adds a region as [`Self::add`] does, but reads nothing of its entries. `is_exclusive` is
    /// true if these are known to mark their mapping of the frame as the only one.
    pub(crate) fn add_frames(&mut self, virt: AddrRange, backing: Backing, is_exclusive: bool) {
        if self.are_read {
            self.forget();
        }
        if let Some(address) = backing.address() {
            let run = self.run(address.pfn(self.page).as_u64(), virt, is_exclusive);
            self.runs.push(run);
        }
        self.frame_facts.push();
        self.entries.push(WordCounts::default());
    }

    /// Returns the next region's run of frames or pages from `start` on.
    fn run(&self, start: u64, virt: AddrRange, is_mapped_once: bool) -> Run {
        Run {
            start,
            end: start.saturating_add(virt.size() >> self.page.shift()),
            region: u32::try_from(self.entries.len()).expect("fewer than 2^32 regions"),
            is_mapped_once,
        }
    }

    /// Returns the facts of each region that was added since the last call, in their order.
    ///
    /// # Errors
    /// [`Error::is_gone`]; errors of the system. The regions are removed in this case too.
    pub fn read(&mut self) -> Result<impl ExactSizeIterator<Item = PageFacts> + '_, Error> {
        if self.are_read {
            self.forget();
        }
        self.are_read = true;
        // Frames of neighbours often ascend or descend for a while: the stable sort finds
        // such runs, and then takes a tenth of the instructions.
        self.runs.sort_by_key(|run| run.start);
        self.pages.sort_by_key(|run| run.start);
        self.read_frames()?;
        self.read_entries()?;
        let frames = &self.frame_facts;
        let entries = self.entries.iter_mut().enumerate();
        Ok(entries.map(|(region, entries)| PageFacts {
            frames: frames.of(region),
            entry_flags: std::mem::take(entries),
        }))
    }

    fn forget(&mut self) {
        self.are_read = false;
        self.runs.clear();
        self.pages.clear();
        self.frame_facts.clear();
        self.entries.clear();
    }

    fn read_frames(&mut self) -> Result<(), Error> {
        let frames = &self.frames;
        let mut pieces = Pieces::of(&self.runs);
        while let Some((start, size)) = pieces.next() {
            self.process.beat();
            let first = Pfn::new(start);
            let (flags, counts) = (&mut self.flags[..size], &mut self.words[..size]);
            let known = match self.with_flags {
                true => read_both(frames, &pieces, first, flags, counts)?,
                false => read_mapcounts(frames, &pieces, first, flags, counts)?,
            };
            for part in pieces.parts(known) {
                let (flags, counts) = (&self.flags[part.at.clone()], &self.words[part.at.clone()]);
                self.frame_facts.add(&part, start, flags, counts);
            }
            // Nothing is known of frames after those that were read.
            pieces.advance(size);
        }
        self.frame_facts.close_folios(|end| {
            let mut next = [FrameFlags::default()];
            frames.read_flags(Pfn::new(end), &mut next)?;
            Ok(next[0].contains(FrameFlags::COMPOUND_TAIL))
        })
    }

    fn read_entries(&mut self) -> Result<(), Error> {
        let mut pieces = Pieces::of(&self.pages);
        while let Some((start, size)) = pieces.next() {
            self.process.beat();
            let at = start << self.page.shift();
            let entries = &mut self.words[..size];
            let read = read_entries(self.process.as_core(), self.page, at, entries)
                .map_err(|error| self.process.error(error))?;
            for part in pieces.parts(read) {
                let flags = self.words[part.at]
                    .iter()
                    .map(|&word| EntryFlags::from_entry(word).bits());
                self.entries[part.region as usize].add(flags);
            }
            pieces.advance(read);
        }
        Ok(())
    }
}

/// Reads the flags of a piece of frames from `first` on, and the mapcounts that do not follow
/// from them. Returns the number of frames read.
fn read_both(
    frames: &Frames,
    pieces: &Pieces<'_>,
    first: Pfn,
    flags: &mut [u64],
    counts: &mut [u64],
) -> Result<usize, Error> {
    let known = frames.read_flag_words(first, flags)?;
    let unknown = times_unknown(pieces.parts(known), flags);
    counts[..known].fill(1);
    let at = Pfn::new(first.as_u64() + unknown.start as u64);
    Ok(
        match frames.read_mapcounts(at, &mut counts[unknown.clone()])? {
            read if read == unknown.len() => known,
            read => unknown.start + read,
        },
    )
}

/// Reads the mapcounts of a piece of frames from `first` on, and their flags if one of them
/// may have no mapcount. Returns the number of frames read.
fn read_mapcounts(
    frames: &Frames,
    pieces: &Pieces<'_>,
    first: Pfn,
    flags: &mut [u64],
    counts: &mut [u64],
) -> Result<usize, Error> {
    let known = frames.read_mapcounts(first, counts)?;
    if pieces.parts(known).any(|part| counts[part.at].contains(&0)) {
        return Ok(known.min(frames.read_flag_words(first, flags)?));
    }
    flags.fill(FrameFlags::MMAP.bits());
    Ok(known)
}

/// Returns the range of frames of a piece, with these flags, that contains all whose
/// mapcount has to be read.
///
/// For a frame that is mapped, and not part of a large folio, an entry has MMAP_EXCLUSIVE
/// if and only if the mapcount is 1 (fs/proc/task_mmu.c `pte_to_pagemap_entry`, against
/// fs/proc/page.c: 5.10, 6.12, 6.15 and later); for a large folio the flag can describe the
/// process instead. A frame that was merged since then can be mapped more often.
fn times_unknown(parts: impl Iterator<Item = Part>, flags: &[u64]) -> Range<usize> {
    const MAPPED: u64 = FrameFlags::MMAP.bits();
    const OTHERS: u64 = FrameFlags::COMPOUND_HEAD.bits()
        | FrameFlags::COMPOUND_TAIL.bits()
        | FrameFlags::KSM.bits();
    let mut unknown = 0..0;
    for part in parts {
        let flags = &flags[part.at.clone()];
        let is_one = |&word: &u64| word & (MAPPED | OTHERS) == MAPPED;
        if part.is_mapped_once && flags.iter().all(is_one) {
            continue;
        }
        unknown = match unknown.is_empty() {
            true => part.at,
            false => unknown.start.min(part.at.start)..unknown.end.max(part.at.end),
        };
    }
    unknown
}

impl Process {
    /// Returns a reader of facts of this process's pages.
    ///
    /// ```
    /// use process_introspection::{FrameFlags, Process};
    ///
    /// let process = Process::current()?;
    /// let byte = Box::new(1u8);
    /// let address = &raw const *byte as u64;
    /// match process.page_facts() {
    ///     Ok(mut reader) => {
    ///         for region in process.physical_regions(address..=address)? {
    ///             let region = region?;
    ///             reader.add(region.virt, region.backing, None);
    ///         }
    ///         for facts in reader.read()? {
    ///             assert_eq!(facts.frames_with(FrameFlags::ANON), 1);
    ///         }
    ///     }
    ///     Err(error) => {
    ///         assert!(error.is_permission_denied() || error.is_unsupported(), "{error}");
    ///     }
    /// }
    /// # Ok::<(), process_introspection::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Frames::open`], and as [`Process::physical_regions`].
    pub fn page_facts(&self) -> Result<PageFactsReader<'_>, Error> {
        self.require_frames()?;
        PageFactsReader::new(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPPED: u64 = FrameFlags::MMAP.bits() | FrameFlags::ANON.bits();
    const HEAD: u64 = MAPPED | FrameFlags::COMPOUND_HEAD.bits();
    const TAIL: u64 = MAPPED | FrameFlags::COMPOUND_TAIL.bits();
    const MERGED: u64 = MAPPED | FrameFlags::KSM.bits();

    #[test]
    fn a_number_of_mappings_is_read_unless_the_entry_and_the_frame_tell_that_it_is_one() {
        let cases: [(&[u64], &[bool], Range<usize>); 7] = [
            (&[MAPPED, MAPPED], &[true, true], 0..0),
            (&[MAPPED, MAPPED, MAPPED], &[true, false, true], 1..2),
            (&[MAPPED; 4], &[true, false, true, false], 1..4),
            (&[HEAD, TAIL, MAPPED], &[true; 3], 0..2),
            (&[MAPPED, MERGED], &[true; 2], 1..2),
            (&[MAPPED, FrameFlags::BUDDY.bits()], &[true; 2], 1..2),
            (&[0, FrameFlags::NOPAGE.bits()], &[true; 2], 0..2),
        ];
        for (flags, once, unknown) in cases {
            let parts = once.iter().enumerate().map(|(at, &is_mapped_once)| Part {
                region: at as u32,
                is_mapped_once,
                at: at..at + 1,
                is_first: true,
            });
            assert_eq!(times_unknown(parts, flags), unknown, "{flags:x?} {once:?}");
        }
    }
}
