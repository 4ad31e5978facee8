//! Frames that mappings map, in the form in which they can be added up over processes.
//! Pure.

use std::collections::BTreeMap;
use std::ops::Range;

use process_introspection_core::{AddrRange, PageSize};

use crate::process::mapping::Mapping;

/// Frames that a mapping maps, or several mappings of one process. Frames with one mapping
/// are amounts; of the others 16 bytes are stored for each run of consecutive frames.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct MappedFrames {
    /// Memory that is mapped once, by NUMA node, in bytes.
    pub(super) once: BTreeMap<Option<u32>, u64>,
    /// True if some of it is in large folios.
    pub(super) has_large: bool,
    /// Other frames, and those beside them in regions.
    pub(super) several: Vec<Range<u64>>,
    /// Frames of hugetlb.
    pub(super) hugetlb: Vec<Range<u64>>,
    /// Those of them whose page tables several processes can share, see [`in_shared_tables`].
    pub(super) in_shared_tables: Vec<Range<u64>>,
}

impl MappedFrames {
    /// Adds memory of one node that is mapped once.
    pub(super) fn add_once(&mut self, node: Option<u32>, bytes: u64) {
        *self.once.entry(node).or_default() += bytes;
    }

    /// Adds other resident frames, without hugetlb.
    pub(super) fn add(&mut self, frames: Range<u64>) {
        push(&mut self.several, frames);
    }

    /// Adds frames of hugetlb that a mapping maps at these addresses.
    pub(super) fn add_hugetlb(
        &mut self,
        frames: Range<u64>,
        virt: AddrRange,
        mapping: &Mapping,
        page: PageSize,
    ) {
        if let Some(part) =
            in_shared_tables(mapping, page).and_then(|range| range.intersection(virt))
        {
            let skipped = part.start().as_u64() - virt.start().as_u64();
            let start = frames.start + (skipped >> page.shift());
            let count = part.size() >> page.shift();
            push(&mut self.in_shared_tables, start..start + count);
        }
        push(&mut self.hugetlb, frames);
    }

    /// Adds the frames of another mapping of the same process.
    pub fn append(&mut self, mut further: Self) {
        self.has_large |= further.has_large;
        for (node, bytes) in further.once {
            *self.once.entry(node).or_default() += bytes;
        }
        self.several.append(&mut further.several);
        self.hugetlb.append(&mut further.hugetlb);
        self.in_shared_tables.append(&mut further.in_shared_tables);
    }
}

fn push(runs: &mut Vec<Range<u64>>, frames: Range<u64>) {
    match runs.last_mut() {
        Some(last) if last.end == frames.start => last.end = frames.end,
        _ => runs.push(frames),
    }
}

/// Returns the size of the block that one PUD entry maps: 1 GiB with base pages of 4 KiB.
fn table_block(page: PageSize) -> u64 {
    let bits = page.pmd().shift() - page.shift();
    page.pmd().bytes() << bits
}

/// Returns the addresses of a mapping of hugetlb in which its pages' mapcounts do not count
/// processes: whole blocks of a shared mapping, where the kernel can have one table of PMD
/// entries for several processes (mm/hugetlb.c `huge_pmd_share`, 5.10 to 6.18, on x86-64,
/// arm64 and RISC-V).
fn in_shared_tables(mapping: &Mapping, page: PageSize) -> Option<AddrRange> {
    let is_of_pmd = mapping.page_size.is_none_or(|size| size == page.pmd());
    if !mapping.shared || !is_of_pmd {
        return None;
    }
    let block = table_block(page);
    let (start, end) = (mapping.range.start().as_u64(), mapping.range.end().as_u64());
    let start = start.checked_next_multiple_of(block)?;
    AddrRange::new(start, end - end % block).filter(|range| !range.is_empty())
}
