//! What huge entries map, and what keeps the rest from it: block by block, a
//! block being what one huge entry can map. Pure; knows no process.

use process_introspection_core::AddrRange;

/// Resident memory by what maps it, in bytes; hugetlb is not in it. `huge` and
/// the others add up to all resident memory.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Default)]
pub struct HugeCoverage {
    /// Mapped by huge entries.
    pub huge: u64,
    /// Of mappings that are smaller than a huge page.
    pub too_small: u64,
    /// Outside the whole blocks of its mapping, or of a mapping whose addresses
    /// do not lie in its file as huge pages need it.
    pub alignment: u64,
    /// In blocks of which some pages are not there.
    pub holes: u64,
    /// In full blocks whose frames are not consecutive, or not aligned.
    pub fragmented: u64,
    /// In full blocks whose frames would do, yet are mapped by small entries.
    pub small_entries: u64,
    /// In full blocks whose frames cannot be seen by this caller.
    pub frames_hidden: u64,
}

impl HugeCoverage {
    /// All of it, in bytes.
    pub fn resident(&self) -> u64 {
        self.huge + self.missed()
    }

    /// What huge entries do not map, in bytes.
    pub fn missed(&self) -> u64 {
        self.too_small
            + self.alignment
            + self.holes
            + self.fragmented
            + self.small_entries
            + self.frames_hidden
    }
}

/// Pages of one mapping, in memory.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Present {
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// The physical address of the first; `None` if it is hidden.
    pub(crate) phys: Option<u64>,
    /// Mapped by huge entries.
    pub(crate) huge: bool,
}

/// What is known of the current block, which is not full yet.
#[derive(Copy, Clone, Debug)]
struct Block {
    start: u64,
    small: u64,
    huge: u64,
    /// What the first page's physical address lies above its virtual one.
    distance: Option<u64>,
    is_one_run: bool,
    hidden: bool,
}

/// Counts [`HugeCoverage`] mapping by mapping, page by page in ascending order.
#[derive(Clone, Debug)]
pub(crate) struct CoverageCount {
    block_size: u64,
    coverage: HugeCoverage,
    /// Of the current mapping: its whole blocks; and whether it is too small.
    blocks: (u64, u64),
    too_small: bool,
    block: Option<Block>,
}

impl CoverageCount {
    pub(crate) fn new(block_size: u64) -> Self {
        Self {
            block_size,
            coverage: HugeCoverage::default(),
            blocks: (0, 0),
            too_small: true,
            block: None,
        }
    }

    /// What follows is of this mapping, and of a file from `offset` on if it
    /// has one.
    pub(crate) fn begin(&mut self, mapping: AddrRange, offset: Option<u64>) {
        self.end();
        let (start, end) = (mapping.start().as_u64(), mapping.end().as_u64());
        self.too_small = end - start < self.block_size;
        let in_step = offset.is_none_or(|offset| start.wrapping_sub(offset) % self.block_size == 0);
        let first = start.checked_next_multiple_of(self.block_size);
        let last = end - end % self.block_size;
        self.blocks = match first {
            Some(first) if in_step && first < last => (first, last),
            _ => (0, 0),
        };
    }

    /// Adds pages.
    pub(crate) fn add(&mut self, pages: Present) {
        let mut at = pages.start;
        while at < pages.end {
            let (from, to) = self.blocks;
            if !(from..to).contains(&at) {
                let end = if at < from {
                    pages.end.min(from)
                } else {
                    pages.end
                };
                let size = end - at;
                match (pages.huge, self.too_small) {
                    (true, _) => self.coverage.huge += size,
                    (_, true) => self.coverage.too_small += size,
                    (_, false) => self.coverage.alignment += size,
                }
                at = end;
                continue;
            }
            let start = at - at % self.block_size;
            let end = pages.end.min(start + self.block_size);
            let phys = pages.phys.map(|phys| phys + (at - pages.start));
            self.add_to_block(start, at, end, phys, pages.huge);
            at = end;
        }
    }

    fn add_to_block(&mut self, block: u64, start: u64, end: u64, phys: Option<u64>, huge: bool) {
        if self.block.is_some_and(|open| open.start != block) {
            self.end();
        }
        let distance = phys.map(|phys| phys.wrapping_sub(start));
        let open = self.block.get_or_insert(Block {
            start: block,
            small: 0,
            huge: 0,
            distance,
            is_one_run: true,
            hidden: false,
        });
        open.is_one_run &= open.distance == distance;
        open.hidden |= phys.is_none();
        match huge {
            true => open.huge += end - start,
            false => open.small += end - start,
        }
    }

    /// Nothing more of the current block, or mapping.
    fn end(&mut self) {
        let Some(block) = self.block.take() else {
            return;
        };
        self.coverage.huge += block.huge;
        let aligned = |distance: u64| distance % self.block_size == 0;
        let reason = if block.small + block.huge < self.block_size {
            &mut self.coverage.holes
        } else if block.hidden {
            &mut self.coverage.frames_hidden
        } else if block.is_one_run && block.distance.is_some_and(aligned) {
            &mut self.coverage.small_entries
        } else {
            &mut self.coverage.fragmented
        };
        *reason += block.small;
    }

    /// All that was added.
    pub(crate) fn finish(mut self) -> HugeCoverage {
        self.end();
        self.coverage
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::random::Random;

    const PAGE: u64 = 4096;
    /// Few pages, so that chance fills it.
    const BLOCK: u64 = 4 * PAGE;

    /// Each page asks for itself.
    fn naive(
        mapping: (u64, u64),
        offset: Option<u64>,
        pages: &[(u64, Option<u64>, bool)],
    ) -> HugeCoverage {
        let mut coverage = HugeCoverage::default();
        let (start, end) = mapping;
        for &(at, _, huge) in pages {
            let block = at / BLOCK * BLOCK;
            let within: Vec<_> = pages
                .iter()
                .filter(|page| page.0 / BLOCK * BLOCK == block)
                .collect();
            let fits = block >= start
                && block + BLOCK <= end
                && offset.is_none_or(|offset| start.wrapping_sub(offset) % BLOCK == 0);
            let frames: Option<Vec<u64>> = within.iter().map(|page| page.1).collect();
            let reason = if huge {
                &mut coverage.huge
            } else if end - start < BLOCK {
                &mut coverage.too_small
            } else if !fits {
                &mut coverage.alignment
            } else if (within.len() as u64) * PAGE < BLOCK {
                &mut coverage.holes
            } else {
                match frames {
                    None => &mut coverage.frames_hidden,
                    Some(frames)
                        if frames[0] % BLOCK == 0
                            && frames.windows(2).all(|two| two[0] + PAGE == two[1]) =>
                    {
                        &mut coverage.small_entries
                    }
                    Some(_) => &mut coverage.fragmented,
                }
            };
            *reason += PAGE;
        }
        coverage
    }

    #[test]
    fn each_page_has_the_reason_that_it_finds_alone() {
        for seed in 0..1000 {
            let mut random = Random::new(seed);
            let (first, count) = (random.below(9), 1 + random.below(39));
            let has_offset = random.below(4) > 0;
            let offset = has_offset.then(|| random.below(9));
            let mapping = ((first + 16) * PAGE, (first + 16 + count) * PAGE);
            let offset = offset.map(|offset| offset * PAGE);
            let mut counter = CoverageCount::new(BLOCK);
            counter.begin(AddrRange::new(mapping.0, mapping.1).unwrap(), offset);
            let mut pages = Vec::new();
            let (mut at, mut phys) = (mapping.0, 0x10_0000 + first * PAGE);
            for _ in 0..random.below(20) {
                let (hole, jump) = (random.below(2), random.below(2));
                let length = 1 + random.below(9);
                let (huge, is_hidden) = (random.below(2) == 0, random.below(10) == 0);
                let start = at + hole * PAGE;
                let end = (start + length * PAGE).min(mapping.1);
                if start >= end {
                    break;
                }
                phys += hole * PAGE + jump * PAGE;
                let seen = (!is_hidden).then_some(phys);
                counter.add(Present {
                    start,
                    end,
                    phys: seen,
                    huge,
                });
                for page in 0..(end - start) / PAGE {
                    pages.push((
                        start + page * PAGE,
                        seen.map(|seen| seen + page * PAGE),
                        huge,
                    ));
                }
                phys += end - start;
                at = end;
            }
            let coverage = counter.finish();
            assert_eq!(coverage, naive(mapping, offset, &pages), "seed {seed}");
            assert_eq!(coverage.resident(), pages.len() as u64 * PAGE);
        }
    }
}
