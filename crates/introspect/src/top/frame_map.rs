//! Map of the machine's frames by their uses, in as many cells as a screen has. Must not know
//! how cells are drawn.

use std::ops::Range;

use process_introspection::{FrameRun, FrameUse, PageSize};
use process_introspection_picture::map::pyramid::{self, Tally};
use process_introspection_picture::map::space::Space;

/// Level of the finest cells: 4^7 of them, more than a screen has.
const LEVEL: u32 = 7;

/// Frames of each use in consecutive parts of RAM.
#[derive(Clone, Debug)]
pub(crate) struct FrameMap {
    space: Space,
    shift: u32,
    /// Frames of each use in the finest cells, without cells behind the last frame.
    cells: Vec<[u32; FrameUse::ALL.len()]>,
}

/// Cell of a map: consecutive frames, some of which may not exist.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct MapCell {
    /// Address of the first frame.
    pub(crate) address: u64,
    /// Most frequent use; `None` for a cell without frames.
    pub(crate) most: Option<FrameUse>,
    /// Whether all frames have this use.
    pub(crate) is_pure: bool,
}

impl MapCell {
    fn new(address: u64, cells: &[[u32; FrameUse::ALL.len()]]) -> Self {
        let mut counts = [0u64; FrameUse::ALL.len()];
        for cell in cells {
            for (sum, &more) in counts.iter_mut().zip(cell) {
                *sum += u64::from(more);
            }
        }
        let cell = pyramid::Cell::of(&counts);
        Self {
            address,
            most: cell.class.map(|class| FrameUse::ALL[usize::from(class)]),
            is_pure: cell.purity == u8::MAX,
        }
    }
}

impl FrameMap {
    /// Makes a map of these ranges of frames, which ascend. `visit` passes all runs of frames to
    /// its argument, in any order; its result is returned, too.
    pub(crate) fn new<T, E>(
        page: PageSize,
        ranges: impl IntoIterator<Item = Range<u64>>,
        visit: impl FnOnce(&mut dyn FnMut(&FrameRun)) -> Result<T, E>,
    ) -> Result<(Self, T), E> {
        let space = Space::new(page.bytes(), ranges);
        let mut tally = Tally::new(&space, LEVEL, FrameUse::ALL.len());
        let visited = visit(&mut |run| {
            let start = run.pfn.as_u64();
            tally.add(start..start + run.pages, run.frame_use as u8);
        })?;
        let shift = tally.shift();
        let used = space.places().div_ceil(1 << shift) as usize;
        let counts = |cell| {
            let mut counts = [0; FrameUse::ALL.len()];
            counts.copy_from_slice(tally.counts(cell));
            counts
        };
        let mut cells: Vec<_> = (0..used).map(counts).collect();
        // The line of places can be longer than RAM.
        let last = cells
            .iter()
            .rposition(|counts| counts.iter().any(|&count| count > 0));
        cells.truncate(last.map_or(0, |last| last + 1));
        let map = Self {
            space,
            shift,
            cells,
        };
        Ok((map, visited))
    }

    /// Returns the address of the first frame of the last of the finest cells.
    pub(crate) fn last_address(&self) -> u64 {
        let place = (self.cells.len().saturating_sub(1) as u64) << self.shift;
        self.space.frame_at(place).unwrap_or_default() * self.space.page()
    }

    /// Returns at most `most` cells in the order of addresses, and the bytes of each, a power of
    /// two.
    pub(crate) fn cells(&self, most: usize) -> (Vec<MapCell>, u64) {
        let least = self.cells.len().div_ceil(most.max(1));
        let together = least.max(1).next_power_of_two();
        let cells = self.cells.chunks(together).enumerate();
        let cells = cells.map(|(index, cells)| {
            let place = ((index * together) as u64) << self.shift;
            let address = self.space.frame_at(place).unwrap_or_default() * self.space.page();
            MapCell::new(address, cells)
        });
        let size = (self.space.page() << self.shift) * together as u64;
        (cells.collect(), size)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use process_introspection::{FrameFlags, Pfn};

    use super::*;

    fn run(pfn: u64, pages: u64, frame_use: FrameUse) -> FrameRun {
        FrameRun {
            pfn: Pfn::new(pfn),
            pages,
            frame_use,
            flags: FrameFlags::default(),
            mapcount: 0,
            cgroup: None,
            zone: None,
        }
    }

    #[test]
    fn cells_have_the_most_frequent_use_at_any_resolution() {
        use FrameUse::{Anonymous, Free, Slab};
        let page = PageSize::SIZE_4K;
        let runs = [
            run(0, 4096, Free),
            run(4096, 4000, Anonymous),
            run(8096, 96, Slab),
            run(8192, 8192, Slab),
        ];
        let visit = |each: &mut dyn FnMut(&FrameRun)| {
            runs.iter().for_each(each);
            Ok::<(), Infallible>(())
        };
        let ram = std::iter::once(0..(64 << 20) / page.bytes());
        let Ok((map, ())) = FrameMap::new(page, ram, visit);
        let found = |count| -> Vec<_> {
            let cells = map.cells(count).0.into_iter();
            cells.map(|cell| (cell.most, cell.is_pure)).collect()
        };
        let (free, anonymous, slab) = (Some(Free), Some(Anonymous), Some(Slab));
        let in_four = [(free, true), (anonymous, false), (slab, true), (slab, true)];
        assert_eq!(found(4), in_four);
        assert_eq!(found(2), [(free, false), (slab, true)]);
        assert_eq!(found(3), found(2));
        let (cells, size) = map.cells(4);
        let at: Vec<_> = cells.iter().map(|cell| cell.address).collect();
        assert_eq!(at, [0, size, 2 * size, 3 * size]);
        assert_eq!(size, 16 << 20);
        let (finest, size) = map.cells(usize::MAX);
        assert_eq!(finest.len() as u64 * size, 64 << 20);
    }
}
