//! Leaf entries of a process's page table: one for each present page of any size, and one
//! base page for each page that is not present. Returned in runs of equal records, so
//! that holes are counted and not walked.

use crate::addr::{AddrRange, PageSize};
use crate::backing::Backing;
use crate::elf_file::ElfFile;
use crate::error::Result;
use crate::mapping::ClassifiedVma;
use crate::pagemap::HugeRuns;
use crate::physical::{FewEntries, PhysicalCursor, Run};
use crate::process::ProcessHandle;
use crate::vma::{Vma, VmaName};

/// Run of leaf entries of one size with consecutive memory, or of base pages that are
/// unbacked in one state. It represents `virt.size() / page_size` records. The next run
/// may continue it: a run ends where finding its end would cost more than its records are
/// worth.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeafRun {
    /// Addresses from the start of the first entry to the end of the last.
    pub virt: AddrRange,
    /// Size that each entry maps.
    pub page_size: PageSize,
    /// Backing of the first entry; the backing of the others follows it.
    pub backing: Backing,
    /// True for anonymous memory, see [`crate::physical::PageState::anonymous`].
    pub anonymous: bool,
    /// True if it lies in a mapping, which is [`LeafCursor::mapping`] then; false for the
    /// record of a start address outside all mappings.
    pub is_mapped: bool,
}

impl LeafRun {
    /// Returns the number of records that the run represents. (The last page of the space
    /// lacks a byte in every range.)
    pub fn count(&self) -> u64 {
        self.virt.size().div_ceil(self.page_size.bytes())
    }

    /// Returns the backing of the record with this index.
    pub fn backing_of(&self, index: u64) -> Backing {
        self.backing.further(index << self.page_size.shift())
    }
}

/// Walks the leaf entries of a range. `N` is the storage for a VMA's name, `E` the
/// storage for entries.
#[derive(Debug)]
pub struct LeafCursor<N, E = FewEntries> {
    regions: PhysicalCursor<N, E>,
    /// Part of the mapping that `regions` returned last: consecutive memory to its end,
    /// or the unbacked pages that were known at once.
    region: Option<Run>,
    huge: HugeRuns,
    range: AddrRange,
    /// Position of the walk, within `region` if there is one.
    next: u64,
    started: bool,
    page: PageSize,
}

impl<N: AsRef<[u8]> + AsMut<[u8]>, E: AsRef<[u64]> + AsMut<[u64]>> LeafCursor<N, E> {
    /// Starts a walk of the leaf entries that touch `range`.
    ///
    /// # Errors
    /// EPERM if frame numbers are hidden.
    // Inline for the same reason as `PhysicalCursor::start`.
    #[inline(always)]
    pub fn new(process: &ProcessHandle, range: AddrRange, name: N, entries: E) -> Result<Self> {
        process.frames()?;
        let page = process.page_size();
        let widened = range.widened(page);
        Ok(Self {
            regions: PhysicalCursor::start(process, range, true, true, name, entries),
            region: None,
            huge: HugeRuns::new(),
            range: widened,
            next: widened.start().as_u64(),
            started: false,
            page,
        })
    }

    /// Returns the mapping that the last run belongs to, if there is one.
    pub fn mapping(&self) -> Option<&ClassifiedVma> {
        self.regions.mapping()
    }

    /// Returns the image, as [`crate::physical::VmaPartCursor::take_image`].
    pub fn take_image(&mut self) -> Option<ElfFile> {
        self.regions.take_image()
    }

    /// Returns the name of the VMA that the last run belongs to.
    pub fn name(&self) -> VmaName<'_> {
        self.regions.name()
    }

    /// Returns the next run; `None` past the last.
    ///
    /// # Errors
    /// Those of [`PhysicalCursor::next_run`].
    pub fn next(&mut self, process: &ProcessHandle) -> Result<Option<LeafRun>> {
        loop {
            if let Some(run) = self.split(process)? {
                return Ok(Some(run));
            }
            // Unbacked base pages need not be counted to the last.
            self.region = self.regions.next_part(process)?;
            let region_start = self.region.map(|region| region.start);
            if let Some(region_start) = region_start {
                self.next = region_start;
            }
            let start = self.range.start().as_u64();
            let first = !core::mem::replace(&mut self.started, true);
            if first && process.has_memory() && !self.range.is_empty() {
                let hole = region_start.is_none_or(|region_start| region_start > start);
                if hole {
                    return Ok(Some(self.nothing_at(start)));
                }
            }
            if region_start.is_none() {
                return Ok(None);
            }
        }
    }

    fn nothing_at(&self, start: u64) -> LeafRun {
        LeafRun {
            virt: AddrRange::new(start, start.saturating_add(self.page.bytes()))
                .unwrap_or_default(),
            page_size: self.page,
            backing: Backing::NotPresent,
            anonymous: false,
            is_mapped: false,
        }
    }

    /// Returns the next run of equal entries of the region, within the range.
    fn split(&mut self, process: &ProcessHandle) -> Result<Option<LeafRun>> {
        let (Some(region), Some(mapping)) = (self.region, self.regions.mapping()) else {
            return Ok(None);
        };
        while self.next < region.end {
            let at = self.next;
            let (page_size, end) = match region.state.backing.address() {
                Some(address) => {
                    let (huge, vma) = (&mut self.huge, &mapping.vma);
                    leaves(huge, self.page, process, vma, &region, address.as_u64(), at)?
                }
                None => (self.page, region.end),
            };
            self.next = end;
            // Base pages are cut to the range; a larger leaf is returned whole.
            let size = page_size.bytes();
            let (low, high) = (self.range.start().as_u64(), self.range.end().as_u64());
            let skipped = low.saturating_sub(at) / size * size;
            let past = end.saturating_sub(high) / size * size;
            if at + skipped < end.saturating_sub(past) {
                let (start, end) = (at + skipped, end - past);
                return Ok(Some(LeafRun {
                    virt: AddrRange::new(start, end).unwrap_or_default(),
                    page_size,
                    backing: region.state.backing.further(start - region.start),
                    anonymous: region.state.anonymous,
                    is_mapped: true,
                }));
            }
        }
        Ok(None)
    }
}

/// Returns the size of the leaf entries from `at` on, and the end of their run. The
/// region is known to be physically consecutive, so an entry that has been split
/// meanwhile changes sizes, never addresses.
fn leaves(
    huge: &mut HugeRuns,
    base: PageSize,
    process: &ProcessHandle,
    vma: &Vma,
    region: &Run,
    address: u64,
    at: u64,
) -> Result<(PageSize, u64)> {
    let (start, end) = (region.start, region.end);
    let hugetlb = vma.page_size.filter(|&size| size > base);
    let size = match hugetlb {
        Some(size) => size,
        // The text does not contain the size of an object's huge pages.
        None if vma.page_size.is_none() && vma.has_object() => return Ok((base, end)),
        None => base.pmd(),
    };
    let mask = size.bytes() - 1;
    let Some(block) = at.checked_add(mask).map(|at| at & !mask) else {
        return Ok((base, end));
    };
    let whole_blocks = end.saturating_sub(block) & !mask;
    let aligned = (address + block.saturating_sub(start)) & mask == 0;
    if whole_blocks == 0 || !aligned {
        return Ok((base, end));
    }
    if block > at {
        return Ok((base, block));
    }
    if hugetlb.is_some() {
        return Ok((size, block + whole_blocks));
    }
    let last = block + whole_blocks;
    // A huge entry maps whole blocks, so a run of them ends at a border.
    let (is_huge, run_end) = huge.next(process, block, last)?.unwrap_or((false, last));
    Ok(match is_huge {
        true => (size, run_end),
        false if run_end == last => (base, end),
        false => (base, run_end),
    })
}
