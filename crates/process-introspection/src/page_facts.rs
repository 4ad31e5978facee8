//! Facts of a process's pages, on request: of how many pages of a region each
//! is true. Frames are read in sorted runs, entries in runs of neighbours.
//! Knows nothing of how regions are found.

use std::fmt;
use std::ops::Range;

use process_introspection_core::pagemap::read_entries;
use process_introspection_core::physical::Backing;
use process_introspection_core::{AddrRange, PageSize, Pfn};

use crate::summary::FolioPages;
use crate::{Error, FrameFlags, Frames, Process};

/// The flags of an entry of `/proc/PID/pagemap`: its bits from 55 on, also
/// those without a name here. They are of the page's mapping in this process.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Default)]
#[repr(transparent)]
pub struct EntryFlags(u64);

impl EntryFlags {
    /// Written since soft-dirty was last cleared, or mapped since then. Always
    /// clear on kernels without CONFIG_MEM_SOFT_DIRTY.
    pub const SOFT_DIRTY: Self = Self(1 << 55);
    /// Mapped by this process only (Linux 4.2).
    pub const MMAP_EXCLUSIVE: Self = Self(1 << 56);
    /// Write-protected by userfaultfd (Linux 5.13).
    pub const UFFD_WP: Self = Self(1 << 57);
    /// A guard region (Linux 6.15).
    pub const GUARD_REGION: Self = Self(1 << 58);
    /// Of a file or of shared memory (Linux 3.5).
    pub const FILE: Self = Self(1 << 61);
    /// An entry that is not present: swap and others.
    pub const SWAP: Self = Self(1 << 62);
    /// In memory and mapped.
    pub const PRESENT: Self = Self(1 << 63);

    /// The lowest bit that is a flag.
    const LOWEST: u32 = 55;

    /// The flags in an entry's 64 bits.
    pub const fn from_entry(entry: u64) -> Self {
        Self(entry & (u64::MAX << Self::LOWEST))
    }

    /// The bits, where they are in an entry.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Whether all of these are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The kernel's name for a bit of an entry, in small letters, without `PM_`
    /// (fs/proc/task_mmu.c, 5.10 to 6.18); `None` for bits without one.
    pub const fn name_of(bit: u32) -> Option<&'static str> {
        Some(match bit {
            55 => "soft_dirty",
            56 => "mmap_exclusive",
            57 => "uffd_wp",
            58 => "guard_region",
            61 => "file",
            62 => "swap",
            63 => "present",
            _ => return None,
        })
    }
}

impl fmt::Debug for EntryFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EntryFlags({:#x})", self.0)
    }
}

/// Words, each with the number of pages that have it. Pages of one region are
/// mostly alike: a few words, and most often one.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
struct WordCounts {
    first: (u64, u64),
    more: Vec<(u64, u64)>,
}

impl WordCounts {
    /// Adds words, of which neighbours are mostly alike.
    fn add(&mut self, words: impl Iterator<Item = u64>) {
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

    fn add_times(&mut self, word: u64, times: u64) {
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

    fn words(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        std::iter::once(self.first).chain(self.more.iter().copied())
    }

    /// How many pages have all of these bits.
    fn of(&self, bits: u64) -> u64 {
        let having = self.words().filter(|(word, _)| word & bits == bits);
        having.map(|(_, count)| count).sum()
    }

    /// Each bit that any page has, with the number of pages.
    fn each(&self) -> impl Iterator<Item = (u32, u64)> + use<> {
        let mut counts = [0; 64];
        for (word, count) in self.words() {
            for bit in FrameFlags::from_bits(word).set_bits() {
                counts[bit as usize] += count;
            }
        }
        (0..).zip(counts).filter(|&(_, count)| count > 0)
    }
}

/// Facts of the pages of one region, as counts of pages.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct PageFacts {
    frames: u64,
    flags: WordCounts,
    entries: u64,
    entry_flags: WordCounts,
    mapcounts: Option<(u64, u64)>,
    times_mapped: WordCounts,
    folios: FolioPages,
}

impl PageFacts {
    /// Of how many pages the frame's flags are known: those in memory, less
    /// frames that the kernel knows nothing of.
    pub fn frames(&self) -> u64 {
        self.frames
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
        self.entries
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
    /// [`Frames::read_mapcounts`]; `None` if no frame's is known.
    pub fn mapcounts(&self) -> Option<(u64, u64)> {
        self.mapcounts
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

    /// Adds frames, of which neighbours are mostly alike.
    fn add_frames(&mut self, flags: &[FrameFlags], counts: &[u64]) {
        self.frames += flags.len() as u64;
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

    fn add_alike(&mut self, (flags, &count): (&FrameFlags, &u64), times: u64) {
        self.flags.add_times(flags.bits(), times);
        self.folios.add(*flags, times);
        // Of a frame without a `struct page` the kernel says 0.
        if *flags != FrameFlags::default() && !flags.contains(FrameFlags::NOPAGE) {
            let (least, most) = self.mapcounts.unwrap_or((count, count));
            self.mapcounts = Some((least.min(count), most.max(count)));
            self.times_mapped.add_times(count, times);
        }
    }
}

/// Frames or pages that follow each other, of one region.
#[derive(Copy, Clone, Debug)]
struct Run {
    start: u64,
    end: u64,
    region: usize,
}

/// So many frames, or entries, are read at once.
const PIECE: usize = 2048;
/// So many frames between two runs cost less to read than a call.
const SMALL_GAP: u64 = 2;

/// Reads facts of a process's pages, for many regions at a time: the more, the
/// longer the runs of frames. Memory for the regions given, and a constant.
#[derive(Debug)]
pub struct PageFactsReader<'a> {
    process: &'a Process,
    frames: Frames,
    page: PageSize,
    /// Whether entries are read as well.
    with_entries: bool,
    flags: Vec<FrameFlags>,
    words: Vec<u64>,
    /// The bytes of as many words.
    buffer: Vec<u8>,
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
            flags: vec![FrameFlags::default(); PIECE],
            words: vec![0; PIECE],
            buffer: vec![0; 8 * PIECE],
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
        self.facts.clear();
        self.pages.clear();
        self.runs.clear();
        let shift = self.page.shift();
        for (region, (virt, backing)) in regions.into_iter().enumerate() {
            self.facts.push(PageFacts::default());
            let count = virt.size() >> shift;
            if let Some(address) = backing.address() {
                let start = address.pfn(self.page).as_u64();
                let end = start.saturating_add(count);
                self.runs.push(Run { start, end, region });
            }
            if !self.with_entries {
                continue;
            }
            if backing.is_backed() || matches!(backing, Backing::Swapped(_)) {
                let start = virt.start().as_u64() >> shift;
                let end = start + count;
                self.pages.push(Run { start, end, region });
            }
        }
        self.runs.sort_unstable_by_key(|run| run.start);
        self.pages.sort_unstable_by_key(|run| run.start);
        self.read_frames()?;
        self.read_entries()?;
        Ok(&self.facts)
    }

    fn read_frames(&mut self) -> Result<(), Error> {
        let mut pieces = Pieces::of(&self.runs);
        while let Some((start, size)) = pieces.next() {
            let first = Pfn::new(start);
            let (frames, buffer) = (&self.frames, &mut self.buffer);
            let told = frames.read_flags_through(buffer, first, &mut self.flags[..size])?;
            let counts = &mut self.words[..told];
            let told = frames.read_mapcounts_through(buffer, first, counts)?;
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
                self.frames
                    .read_flags_through(&mut [0; 8], frame, &mut next)?;
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
                self.facts[region].entries += part.len() as u64;
                let flags = self.words[part]
                    .iter()
                    .map(|&word| EntryFlags::from_entry(word).0);
                self.facts[region].entry_flags.add(flags);
            }
            pieces.advance(read);
        }
        Ok(())
    }
}

/// Cuts runs, which ascend and may overlap, into pieces to be read at once.
#[derive(Debug)]
struct Pieces<'a> {
    /// Those that are not yet passed wholly.
    runs: &'a [Run],
    at: u64,
}

impl<'a> Pieces<'a> {
    fn of(runs: &'a [Run]) -> Self {
        Self { runs, at: 0 }
    }

    /// The next piece: where it begins, and its length, up to [`PIECE`].
    fn next(&mut self) -> Option<(u64, usize)> {
        let is_over = |run: &Run| run.end <= self.at.max(run.start);
        while self.runs.first().is_some_and(is_over) {
            self.runs = &self.runs[1..];
        }
        let first = self.runs.first()?;
        self.at = self.at.max(first.start);
        let most = self.at.saturating_add(PIECE as u64);
        let mut end = first.end;
        for run in &self.runs[1..] {
            if run.start > end.saturating_add(SMALL_GAP) || end >= most {
                break;
            }
            end = end.max(run.end);
        }
        Some((self.at, (end.min(most) - self.at) as usize))
    }

    /// Which regions the first `size` of the current piece belong to.
    fn parts(&self, size: usize) -> impl Iterator<Item = (usize, Range<usize>)> + 'a {
        let (start, end) = (self.at, self.at + size as u64);
        let runs = self.runs.iter().take_while(move |run| run.start < end);
        runs.filter_map(move |run| {
            let (from, to) = (run.start.max(start), run.end.min(end));
            (from < to).then(|| (run.region, (from - start) as usize..(to - start) as usize))
        })
    }

    fn advance(&mut self, size: usize) {
        self.at += size as u64;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn run(start: u64, end: u64, region: usize) -> Run {
        Run { start, end, region }
    }

    /// Each region's numbers, as the pieces give them, and how many pieces.
    fn read(runs: &[Run], step: usize) -> (Vec<Vec<u64>>, usize) {
        let mut seen = vec![Vec::new(); runs.len()];
        let mut pieces = Pieces::of(runs);
        let mut count = 0;
        while let Some((start, size)) = pieces.next() {
            assert!((1..=PIECE).contains(&size));
            let read = size.min(step);
            for (region, part) in pieces.parts(read) {
                seen[region].extend(part.map(|index| start + index as u64));
            }
            pieces.advance(read);
            count += 1;
        }
        (seen, count)
    }

    #[test]
    fn every_page_of_every_region_is_counted_once_however_runs_overlap() {
        let long = PIECE as u64 * 3 + 7;
        let runs = [
            run(0, long, 0),
            run(2, 3, 1),
            run(2, 3, 2),
            run(5, long + 4, 3),
            run(long + 4, long + 5, 4),
            run(long + 9, long + 9, 5),
            run(2 * long, 2 * long + 1, 6),
        ];
        for step in [1, 100, PIECE] {
            let (seen, _) = read(&runs, step);
            for run in &runs {
                assert!(
                    seen[run.region].iter().copied().eq(run.start..run.end),
                    "{step} {run:?}"
                );
            }
        }
    }

    #[test]
    fn runs_that_touch_are_read_together() {
        let touching: Vec<_> = (0..100).map(|at| run(at, at + 1, at as usize)).collect();
        assert_eq!(read(&touching, PIECE).1, 1);
        let apart = |distance: u64| -> Vec<_> {
            let place = |at: u64| run(distance * at, distance * at + 1, at as usize);
            (0..100).map(place).collect()
        };
        assert_eq!(read(&apart(SMALL_GAP + 1), PIECE).1, 1);
        assert_eq!(read(&apart(SMALL_GAP + 2), PIECE).1, 100);
    }

    #[test]
    fn words_that_repeat_count_as_often() {
        let mut counts = WordCounts::default();
        counts.add([0, 5, 5, 5, 4, 1 << 63, 5].into_iter());
        let expected = [(0, 4), (2, 5), (63, 1)];
        assert!(counts.each().eq(expected));
        assert_eq!(counts.of(5), 4);
        assert_eq!((counts.of(4), counts.of(1 << 63), counts.of(2)), (5, 1, 0));
    }

    #[test]
    fn a_count_of_mappings_is_not_taken_from_frames_without_a_page() {
        let mut facts = PageFacts::default();
        let flags = [FrameFlags::NOPAGE, FrameFlags::default()];
        facts.add_frames(&flags, &[0, 0]);
        assert_eq!((facts.frames(), facts.mapcounts()), (2, None));
        facts.add_frames(&[FrameFlags::ANON; 2], &[3, 1]);
        assert_eq!((facts.frames(), facts.mapcounts()), (4, Some((1, 3))));
    }
}
