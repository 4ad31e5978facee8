//! Sizes of the folios behind pages, from the flags of consecutive frames. Pure; knows no
//! process.

use super::rest::Rest;
use crate::machine::frames::FrameFlags;

/// Numbers of pages by the size of their folio.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct FolioPages {
    /// Pages of folios of one page.
    pub(crate) single: u64,
    /// Pages of whole large folios, by the base-2 logarithm of the folio's pages.
    pub(crate) whole: Rest<(u32, u64)>,
    /// Pages of large folios of which not all pages are consecutive here.
    pub(crate) part: u64,
    /// Pages so far of the folio that may continue, and whether they begin with its first
    /// page.
    open: u64,
    from_first: bool,
}

impl FolioPages {
    /// Returns the counts of folios of one page each.
    pub(crate) const fn of_single(pages: u64) -> Self {
        Self {
            single: pages,
            whole: Rest::EMPTY,
            part: 0,
            open: 0,
            from_first: false,
        }
    }

    /// Adds frames with these flags, which follow the previous ones.
    pub(crate) fn add(&mut self, flags: FrameFlags, frames: u64) {
        if flags.contains(FrameFlags::COMPOUND_HEAD) {
            for _ in 0..frames {
                self.close(true);
                (self.open, self.from_first) = (1, true);
            }
        } else if flags.contains(FrameFlags::COMPOUND_TAIL) {
            if self.open == 0 {
                self.from_first = false;
            }
            self.open += frames;
        } else {
            self.close(true);
            self.single += frames;
        }
    }

    /// Adds the pages that `further` counts. Both must be closed.
    pub(crate) fn add_all(&mut self, further: &Self) {
        self.single += further.single;
        self.part += further.part;
        for &(order, pages) in further.whole.iter() {
            self.add_whole(order, pages);
        }
    }

    fn add_whole(&mut self, order: u32, pages: u64) {
        match self.whole.iter_mut().find(|known| known.0 == order) {
            Some(known) => known.1 += pages,
            None => self.whole.push((order, pages)),
        }
    }

    /// Returns whether the frame after the last one decides the size of the last folio.
    pub(crate) fn needs_next(&self) -> bool {
        self.open > 0 && self.from_first && self.open.is_power_of_two()
    }

    /// Closes the last folio: no frame follows. `ends` is true if the folio does not
    /// continue elsewhere.
    pub(crate) fn close(&mut self, ends: bool) {
        let pages = std::mem::take(&mut self.open);
        if pages == 0 {
            return;
        }
        if !(ends && self.from_first && pages.is_power_of_two() && pages > 1) {
            self.part += pages;
            return;
        }
        self.add_whole(pages.ilog2(), pages);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: FrameFlags = FrameFlags::COMPOUND_HEAD;
    const TAIL: FrameFlags = FrameFlags::COMPOUND_TAIL;
    const SINGLE: FrameFlags = FrameFlags::ANON;

    fn pages(frames: &[(FrameFlags, u64)], ends: bool) -> FolioPages {
        let mut pages = FolioPages::default();
        for &(flags, times) in frames {
            pages.add(flags, times);
        }
        pages.close(ends);
        pages
    }

    #[test]
    fn first_frames_and_following_frames_determine_folios() {
        let seen = pages(
            &[
                (SINGLE, 3),
                (HEAD, 1),
                (TAIL, 15),
                (HEAD, 1),
                (TAIL, 3),
                (HEAD, 1),
                (TAIL, 15),
            ],
            true,
        );
        assert_eq!((seen.single, seen.part), (3, 0));
        assert_eq!(*seen.whole, [(4, 32), (2, 4)]);
    }

    #[test]
    fn a_folio_that_begins_before_or_goes_on_behind_is_a_part() {
        let seen = pages(&[(TAIL, 4), (SINGLE, 1), (HEAD, 1), (TAIL, 3)], false);
        assert_eq!((seen.single, seen.part, seen.whole.len()), (1, 8, 0));
        // Three of four pages; the fourth is elsewhere.
        let seen = pages(&[(HEAD, 1), (TAIL, 2), (SINGLE, 1)], true);
        assert_eq!((seen.single, seen.part), (1, 3));
    }

    #[test]
    fn the_next_frame_is_looked_at_only_where_it_decides() {
        let mut seen = FolioPages::default();
        assert!(!seen.needs_next());
        seen.add(HEAD, 1);
        assert!(seen.needs_next());
        seen.add(TAIL, 2);
        assert!(!seen.needs_next());
        seen.add(TAIL, 1);
        assert!(seen.needs_next());
        seen.add(SINGLE, 1);
        assert!(!seen.needs_next());
    }
}
