//! Reads facts: frames in sorted runs, entries in runs of neighbours. Knows
//! nothing of how regions are found.

use process_introspection_core::pagemap::read_entries;
use process_introspection_core::physical::Backing;
use process_introspection_core::{AddrRange, PageSize, Pfn};

use super::pieces::{Pieces, Run, PIECE};
use super::{EntryFlags, NotedEntries, PageFacts};
use crate::{Error, FrameFlags, Frames, Process};

/// Reads facts of a process's pages, for many regions at a time: the more, the
/// longer the runs of frames. Memory for the regions given, and a constant.
#[derive(Debug)]
pub struct PageFactsReader<'a> {
    process: &'a Process,
    frames: Frames,
    page: PageSize,
    /// Whether entries are read as well.
    with_entries: bool,
    /// Of a piece of frames their flags and numbers of mappings, or its entries.
    flags: Vec<u64>,
    words: Vec<u64>,
    /// Runs of frames and of pages, and facts, of the regions read last.
    runs: Vec<Run>,
    pages: Vec<Run>,
    facts: Vec<PageFacts>,
}

impl<'a> PageFactsReader<'a> {
    pub(crate) fn new(process: &'a Process) -> Result<Self, Error> {
        Ok(Self {
            process,
            frames: Frames::open()?,
            page: process.page_size(),
            with_entries: true,
            flags: vec![0; PIECE],
            words: vec![0; PIECE],
            runs: Vec::new(),
            pages: Vec::new(),
            facts: Vec::new(),
        })
    }

    /// Leaves the entries alone: of frames only, in half of the time.
    pub(crate) fn of_frames_only(mut self) -> Self {
        self.with_entries = false;
        self
    }

    /// The facts of each of these regions, in their order: their addresses, and what is behind
    /// them as a walk found it.
    ///
    /// A region can have changed since it was found. Its entries are those of
    /// its addresses now, its frames those that it had.
    ///
    /// # Errors
    /// [`Error::is_gone`]; the system's.
    pub fn read(
        &mut self,
        regions: impl IntoIterator<Item = (AddrRange, Backing)>,
    ) -> Result<&[PageFacts], Error> {
        let none = |(virt, backing)| (virt, backing, None);
        self.read_noted(regions.into_iter().map(none))
    }

    /// The same with what the walk has noted of their entries, see
    /// [`Process::physical_regions_noting`]: those are not read again, and are as
    /// old as their frames.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_noted(
        &mut self,
        regions: impl IntoIterator<Item = (AddrRange, Backing, Option<NotedEntries>)>,
    ) -> Result<&[PageFacts], Error> {
        self.pages.clear();
        self.runs.clear();
        let shift = self.page.shift();
        let mut given = 0;
        for (region, (virt, backing, noted)) in regions.into_iter().enumerate() {
            given = region + 1;
            // In its place: regions can be as short as a page.
            match self.facts.get_mut(region) {
                Some(facts) => facts.clear(),
                None => self.facts.push(PageFacts::default()),
            }
            let facts = &mut self.facts[region];
            let count = virt.size() >> shift;
            if let Some(address) = backing.address() {
                let start = address.pfn(self.page).as_u64();
                let end = start.saturating_add(count);
                self.runs.push(Run { start, end, region });
            }
            let has_entries = backing.is_backed() || matches!(backing, Backing::Swapped(_));
            if has_entries && self.with_entries {
                match noted {
                    Some(noted) => facts.entry_flags = noted.0,
                    None => {
                        let start = virt.start().as_u64() >> shift;
                        let end = start + count;
                        self.pages.push(Run { start, end, region });
                    }
                }
            }
        }
        self.facts.truncate(given);
        // Frames of neighbours often ascend or descend for a while: the stable sort
        // finds such stretches, and takes a tenth of the instructions then.
        self.runs.sort_by_key(|run| run.start);
        self.pages.sort_by_key(|run| run.start);
        self.read_frames()?;
        self.read_entries()?;
        Ok(&self.facts)
    }

    fn read_frames(&mut self) -> Result<(), Error> {
        let mut pieces = Pieces::of(&self.runs);
        while let Some((start, size)) = pieces.next() {
            let first = Pfn::new(start);
            let (frames, flags) = (&self.frames, &mut self.flags[..size]);
            let told = frames.read_flag_words(first, flags)?;
            let told = frames.read_mapcounts(first, &mut self.words[..told])?;
            for (region, part) in pieces.parts(told) {
                self.facts[region].add_frames(&self.flags[part.clone()], &self.words[part]);
            }
            // Of frames past those that were told of, nothing is known.
            pieces.advance(size);
        }
        self.close_folios()
    }

    /// Where a region ends within a folio, or may: the frame behind it tells.
    fn close_folios(&mut self) -> Result<(), Error> {
        for run in &self.runs {
            let folios = &mut self.facts[run.region].folios;
            let mut next = [FrameFlags::default()];
            if folios.needs_next() {
                let frame = Pfn::new(run.end);
                self.frames.read_flags(frame, &mut next)?;
            }
            folios.close(!next[0].contains(FrameFlags::COMPOUND_TAIL));
        }
        Ok(())
    }

    fn read_entries(&mut self) -> Result<(), Error> {
        let mut pieces = Pieces::of(&self.pages);
        while let Some((start, size)) = pieces.next() {
            let at = start << self.page.shift();
            let entries = &mut self.words[..size];
            let read = read_entries(self.process.as_core(), self.page, at, entries)
                .map_err(|error| self.process.error(error))?;
            for (region, part) in pieces.parts(read) {
                let flags = self.words[part]
                    .iter()
                    .map(|&word| EntryFlags::from_entry(word).bits());
                self.facts[region].entry_flags.add(flags);
            }
            pieces.advance(read);
        }
        Ok(())
    }
}

impl Process {
    /// A reader of facts of this process's pages.
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
    ///             let facts = &reader.read([(region.virt, region.backing)])?[0];
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
        self.physical_regions(0..0)?;
        PageFactsReader::new(self)
    }
}
