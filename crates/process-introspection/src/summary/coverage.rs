//! Memory that huge entries map, and reasons why they do not map the rest, block by
//! block; a block is what one huge entry can map. Pure; this module does not know
//! processes, and only the policies that it receives.

use std::collections::BTreeMap;

use process_introspection_core::AddrRange;

use super::huge_policy::{Decision, HugePolicy, MappingClass};

/// Resident memory by what maps it, in bytes, without hugetlb. `huge` and the others
/// add up to all resident memory. Each byte has one reason: policy, if the kernel may
/// not use huge pages for it, before all others.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Default)]
pub struct HugeCoverage {
    /// Memory that huge entries map.
    pub huge: u64,
    /// Memory in mappings for which a policy forbids huge pages, or allows them only
    /// with advice that was not read.
    pub policy: u64,
    /// Memory in mappings that are smaller than a huge page.
    pub too_small: u64,
    /// Memory outside the whole blocks of its mapping, or of a mapping whose addresses
    /// are not aligned with its file as huge pages require.
    pub alignment: u64,
    /// Memory in blocks of which some pages are not present.
    pub holes: u64,
    /// Memory in full blocks whose frames are not consecutive, or not aligned.
    pub fragmented: u64,
    /// Memory in full blocks of files, which the page cache keeps in smaller folios.
    pub page_cache: u64,
    /// Memory in full blocks whose frames would be suitable, yet are mapped by small
    /// entries.
    pub small_entries: u64,
    /// Memory in full blocks whose frames this caller cannot see.
    pub frames_hidden: u64,
}

impl HugeCoverage {
    /// Returns the sum of all of them, in bytes.
    pub fn resident(&self) -> u64 {
        self.huge + self.missed()
    }

    /// Returns the bytes that huge entries do not map.
    pub fn missed(&self) -> u64 {
        self.policy
            + self.too_small
            + self.alignment
            + self.holes
            + self.fragmented
            + self.page_cache
            + self.small_entries
            + self.frames_hidden
    }
}

/// Resident memory for which one policy prevents huge pages, in bytes.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct PolicyBytes {
    /// All memory with this policy.
    pub bytes: u64,
    /// Memory that another policy would make eligible: anonymous and shared memory in
    /// whole blocks of its mapping.
    pub eligible: u64,
    /// Eligible memory in blocks whose pages are all present.
    pub eligible_full: u64,
}

/// Memory of one mapping that huge entries map, and layout of the rest, independent of
/// policies. All but `huge` is mapped by small entries, in bytes.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Layout {
    pub(crate) huge: u64,
    too_small: u64,
    alignment: u64,
    holes: u64,
    fragmented: u64,
    small_entries: u64,
    frames_hidden: u64,
    /// Memory in blocks with private copies of a file's pages.
    copies: u64,
}

impl Layout {
    /// Returns all memory that small entries map.
    pub(crate) fn missed(&self) -> u64 {
        self.too_small + self.alignment + self.copies + self.eligible().bytes
    }

    /// Returns the memory that huge pages could map if no policy forbids them.
    pub(crate) fn eligible(&self) -> PolicyBytes {
        let full = self.fragmented + self.small_entries + self.frames_hidden;
        PolicyBytes {
            bytes: self.holes + full,
            eligible: self.holes + full,
            eligible_full: full,
        }
    }
}

/// Sum of mappings by the reasons why their memory is not huge.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reasons {
    pub(crate) coverage: HugeCoverage,
    pub(crate) policies: BTreeMap<HugePolicy, PolicyBytes>,
}

impl Reasons {
    /// Adds a mapping with its decision.
    pub(crate) fn add(&mut self, layout: &Layout, class: MappingClass, decision: Decision) {
        self.coverage.huge += layout.huge;
        if let Decision::Forbidden(policy) = decision {
            // Folios of a file depend on its file system, too.
            let depends = matches!(class, MappingClass::Anonymous | MappingClass::Shared(_));
            let of_it = PolicyBytes {
                bytes: layout.missed(),
                ..if depends {
                    layout.eligible()
                } else {
                    PolicyBytes::default()
                }
            };
            return self.add_policy(policy, of_it);
        }
        let copies = PolicyBytes {
            bytes: layout.copies,
            ..PolicyBytes::default()
        };
        self.add_policy(HugePolicy::PrivateCopy, copies);
        let coverage = &mut self.coverage;
        coverage.too_small += layout.too_small;
        coverage.alignment += layout.alignment;
        if decision == Decision::Undecided {
            // The layout is no reason if a policy may forbid huge pages.
            return self.add_policy(HugePolicy::AdviceUnread, layout.eligible());
        }
        coverage.holes += layout.holes;
        coverage.small_entries += layout.small_entries;
        coverage.frames_hidden += layout.frames_hidden;
        match class {
            MappingClass::File => coverage.page_cache += layout.fragmented,
            _ => coverage.fragmented += layout.fragmented,
        }
    }

    fn add_policy(&mut self, policy: HugePolicy, of_it: PolicyBytes) {
        if of_it.bytes > 0 {
            self.coverage.policy += of_it.bytes;
            let all = self.policies.entry(policy).or_default();
            all.bytes += of_it.bytes;
            all.eligible += of_it.eligible;
            all.eligible_full += of_it.eligible_full;
        }
    }
}

/// Resident pages of one mapping.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Present {
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// The physical address of the first page; `None` if it is hidden.
    pub(crate) phys: Option<u64>,
    /// True if huge entries map them.
    pub(crate) huge: bool,
    /// True for private copies of a file's pages.
    pub(crate) copies: bool,
}

/// The current block, which is not full yet.
#[derive(Copy, Clone, Debug)]
struct Block {
    start: u64,
    small: u64,
    huge: u64,
    /// Distance of the first page's physical address from its virtual one.
    distance: Option<u64>,
    is_one_run: bool,
    hidden: bool,
    has_copies: bool,
}

/// Counter of the [`Layout`] of a mapping, page by page in ascending order.
#[derive(Clone, Debug)]
pub(crate) struct LayoutCount {
    /// A power of two.
    block_size: u64,
    layout: Layout,
    /// Start and end of the whole blocks of the current mapping, and a flag that it is
    /// too small.
    blocks: (u64, u64),
    too_small: bool,
    block: Option<Block>,
}

impl LayoutCount {
    pub(crate) fn new(block_size: u64) -> Self {
        debug_assert!(block_size.is_power_of_two());
        Self {
            block_size,
            layout: Layout::default(),
            blocks: (0, 0),
            too_small: true,
            block: None,
        }
    }

    /// Begins a mapping, at `offset` of its file if it has one. The layout of the one
    /// before must have been taken.
    pub(crate) fn begin(&mut self, mapping: AddrRange, offset: Option<u64>) {
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

    /// Returns true if a huge page fits into the current mapping.
    pub(crate) fn has_block(&self) -> bool {
        self.blocks.0 < self.blocks.1
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
                let layout = &mut self.layout;
                let reason = match (pages.huge, self.too_small) {
                    (true, _) => &mut layout.huge,
                    (_, true) => &mut layout.too_small,
                    (_, false) => &mut layout.alignment,
                };
                *reason += end - at;
                at = end;
                continue;
            }
            let start = at & !(self.block_size - 1);
            let end = pages.end.min(start + self.block_size);
            let phys = pages.phys.map(|phys| phys + (at - pages.start));
            self.add_to_block(
                start,
                Present {
                    start: at,
                    end,
                    phys,
                    ..pages
                },
            );
            at = end;
        }
    }

    fn add_to_block(&mut self, block: u64, pages: Present) {
        if self.block.is_some_and(|open| open.start != block) {
            self.end_block();
        }
        let distance = pages.phys.map(|phys| phys.wrapping_sub(pages.start));
        let open = self.block.get_or_insert(Block {
            start: block,
            small: 0,
            huge: 0,
            distance,
            is_one_run: true,
            hidden: false,
            has_copies: false,
        });
        open.is_one_run &= open.distance == distance;
        open.hidden |= pages.phys.is_none();
        open.has_copies |= pages.copies;
        match pages.huge {
            true => open.huge += pages.end - pages.start,
            false => open.small += pages.end - pages.start,
        }
    }

    /// Ends the current block, or mapping.
    fn end_block(&mut self) {
        let Some(block) = self.block.take() else {
            return;
        };
        let layout = &mut self.layout;
        layout.huge += block.huge;
        let aligned = |distance: u64| distance % self.block_size == 0;
        let is_full = block.small + block.huge == self.block_size;
        if block.has_copies {
            layout.copies += block.small;
            return;
        }
        let reason = if !is_full {
            &mut layout.holes
        } else if block.hidden {
            &mut layout.frames_hidden
        } else if block.is_one_run && block.distance.is_some_and(aligned) {
            &mut layout.small_entries
        } else {
            &mut layout.fragmented
        };
        *reason += block.small;
    }

    /// Ends the current mapping and returns its layout.
    pub(crate) fn take(&mut self) -> Layout {
        self.end_block();
        std::mem::take(&mut self.layout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::random::Random;

    const PAGE: u64 = 4096;
    /// Size of a block, of few pages, so that random input fills it.
    const BLOCK: u64 = 4 * PAGE;

    /// A page: its address, its frame, and flags for huge and for copy.
    type Page = (u64, Option<u64>, bool, bool);

    /// Counts the layout with a separate search for each page.
    fn naive(mapping: (u64, u64), offset: Option<u64>, pages: &[Page]) -> Layout {
        let mut coverage = Layout::default();
        let (start, end) = mapping;
        for &(at, _, huge, _) in pages {
            let block = at / BLOCK * BLOCK;
            let within: Vec<_> = pages
                .iter()
                .filter(|page| page.0 / BLOCK * BLOCK == block)
                .collect();
            let fits = block >= start
                && block + BLOCK <= end
                && offset.is_none_or(|offset| start.wrapping_sub(offset) % BLOCK == 0);
            let frames: Option<Vec<u64>> = within.iter().map(|page| page.1).collect();
            let is_full = within.len() as u64 * PAGE == BLOCK;
            let reason = if huge {
                &mut coverage.huge
            } else if end - start < BLOCK {
                &mut coverage.too_small
            } else if !fits {
                &mut coverage.alignment
            } else if within.iter().any(|page| page.3) {
                &mut coverage.copies
            } else if !is_full {
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
            let mut counter = LayoutCount::new(BLOCK);
            counter.begin(AddrRange::new(mapping.0, mapping.1).unwrap(), offset);
            let mut pages = Vec::new();
            let (mut at, mut phys) = (mapping.0, 0x10_0000 + first * PAGE);
            for _ in 0..random.below(20) {
                let (hole, jump) = (random.below(2), random.below(2));
                let length = 1 + random.below(9);
                let (huge, is_hidden) = (random.below(2) == 0, random.below(10) == 0);
                let copies = !huge && random.below(8) == 0;
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
                    copies,
                });
                for page in 0..(end - start) / PAGE {
                    pages.push((
                        start + page * PAGE,
                        seen.map(|seen| seen + page * PAGE),
                        huge,
                        copies,
                    ));
                }
                phys += end - start;
                at = end;
            }
            let layout = counter.take();
            assert_eq!(layout, naive(mapping, offset, &pages), "seed {seed}");
            assert_eq!(layout.huge + layout.missed(), pages.len() as u64 * PAGE);
            assert_eq!(counter.take(), Layout::default());
            check_reasons(&layout);
        }
    }

    /// Checks that each byte has one reason, for every decision.
    fn check_reasons(layout: &Layout) {
        use Decision::{Allowed, Forbidden, Undecided};
        for class in [MappingClass::Anonymous, MappingClass::File] {
            for decision in [Allowed, Undecided, Forbidden(HugePolicy::EnabledNever)] {
                let mut reasons = Reasons::default();
                reasons.add(layout, class, decision);
                let coverage = reasons.coverage;
                assert_eq!(coverage.missed(), layout.missed(), "{decision:?}");
                assert_eq!(coverage.huge, layout.huge);
                let policies = reasons.policies.values();
                let by_policy: u64 = policies.clone().map(|of_it| of_it.bytes).sum();
                assert_eq!(by_policy, coverage.policy);
                for of_it in policies {
                    assert!(of_it.eligible_full <= of_it.eligible && of_it.eligible <= of_it.bytes);
                }
                if matches!(decision, Forbidden(_)) {
                    assert_eq!(
                        coverage.policy,
                        layout.missed(),
                        "policy is the first reason"
                    );
                }
                let scattered = (coverage.fragmented, coverage.page_cache);
                match (decision, class) {
                    (Allowed, MappingClass::File) => assert_eq!(scattered, (0, layout.fragmented)),
                    (Allowed, _) => assert_eq!(scattered, (layout.fragmented, 0)),
                    _ => assert_eq!(scattered, (0, 0), "{decision:?}"),
                }
            }
        }
    }
}
