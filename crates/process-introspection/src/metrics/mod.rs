//! Published metrics of the contiguity of a process's memory, each as its source defines it;
//! `docs/METRICS.md` has the definitions. Pure except for [`walk`], which reads live
//! processes; nothing else here knows where regions come from.

mod folios;
mod walk;

use process_introspection_core::backing::Backing;
use process_introspection_core::mapping::MappingKind;
use process_introspection_core::{AddrRange, PageSize};

use crate::machine::frames::FrameFlags;
use crate::summary::{Contiguity, ContiguityCounter};
use crate::walk::attributed::Attributed;
use crate::walk::regions::PhysicalRegion;

use folios::FolioCounter;
pub use folios::{FolioLayout, FoliosOfKind, ThpBytes};

/// Published metrics of the contiguity of a process's memory.
///
/// A page is present if the page map says so: memory, hugetlb, the zero page, and
/// memory of devices as far as the page map has it. Swapped and migrating pages are not.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ContiguityMetrics {
    /// Base page size.
    pub page_size: PageSize,
    /// Number of present base pages: T of the definitions.
    pub present_pages: u64,
    /// Number of virtual runs: maximal runs of present pages with consecutive virtual
    /// addresses within one mapping (page-collect.cpp of contiguity-isca2020).
    pub virtual_runs: u64,
    /// Range translations: maximal runs with consecutive virtual and physical addresses
    /// within one mapping, of any alignment (RMM, ISCA 2015). `None` without addresses.
    pub ranges: Option<Contiguity>,
    /// Number of different distances between virtual page number and PFN, over all
    /// mappings (`SpOT`, ISCA 2020). `None` without addresses.
    pub offsets: Option<u64>,
    /// Layout of folios (tools/mm/thpmaps of the kernel). `None` if the flags of some
    /// frame are unknown.
    pub folios: Option<FolioLayout>,
    /// Memory that huge entries map, by kind of mapping, without kinds that have no
    /// resident memory (TEMERAIRE, OSDI 2021).
    pub huge_coverage: Vec<(MappingKind, HugeBytes)>,
}

/// Resident memory, and the part of it that huge entries map, in bytes. hugetlb is included;
/// the zero page and device memory are not.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct HugeBytes {
    /// Resident memory.
    pub resident: u64,
    /// Memory that entries above the PTE level map; `None` if that of some page is unknown
    /// (always before Linux 6.7).
    pub huge: Option<u64>,
}

impl HugeBytes {
    const NONE: Self = Self {
        resident: 0,
        huge: Some(0),
    };

    /// Returns the sum of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            resident: self.resident + other.resident,
            huge: self.huge.zip(other.huge).map(|(one, other)| one + other),
        }
    }
}

/// Accumulator that makes [`ContiguityMetrics`] of regions as they come, from any source.
/// [`Process::contiguity_metrics`](crate::Process::contiguity_metrics) does so with a live
/// walk.
///
/// It keeps 8 bytes for each different distance between virtual and physical addresses.
#[derive(Debug)]
pub struct ContiguityMetricsAccumulator {
    page: PageSize,
    present: u64,
    runs: ContiguityCounter,
    /// Range translations; `None` after a region without an address.
    ranges: Option<ContiguityCounter>,
    offsets: Offsets,
    folios: Option<FolioCounter>,
    /// By the index of the kind among all kinds.
    huge: [HugeBytes; MappingKind::ALL.len()],
    mapping: Option<AddrRange>,
}

impl ContiguityMetricsAccumulator {
    /// Returns an empty accumulator for memory of this base page size.
    pub fn new(page: PageSize) -> Self {
        Self {
            page,
            present: 0,
            runs: ContiguityCounter::default(),
            ranges: Some(ContiguityCounter::default()),
            offsets: Offsets::default(),
            folios: Some(FolioCounter::new(page)),
            huge: [HugeBytes::NONE; MappingKind::ALL.len()],
            mapping: None,
        }
    }

    /// Adds the next region, or piece of a region, in the order of addresses.
    ///
    /// Its [`page_size`](Attributed::page_size) says whether huge entries map it, see
    /// [`Walk::split_page_sizes`](crate::Walk::split_page_sizes). `flags` are those of its
    /// frames and of the frame after the last one, which is missing only where memory ends;
    /// `None` if they are unknown. They are needed for RAM that is not hugetlb.
    pub fn push(&mut self, region: &Attributed<PhysicalRegion>, flags: Option<&[FrameFlags]>) {
        let (virt, mapping) = (region.virt, &region.mapping);
        if self.mapping != Some(mapping.range) {
            self.mapping = Some(mapping.range);
            self.runs.close();
            self.ranges.iter_mut().for_each(ContiguityCounter::close);
            self.folios.iter_mut().for_each(FolioCounter::end_run);
        }
        // The page map leaves these out: their addresses are those of the device's memory,
        // whether pages are present or not.
        let is_unlisted = mapping.core().unlisted.memory().is_some();
        if !region.backing.is_backed() || is_unlisted {
            return;
        }
        let (start, size) = (virt.start().as_u64(), virt.size());
        self.present += size >> self.page.shift();
        self.runs.add(start, start, size);
        match (region.backing.address(), &mut self.ranges) {
            (Some(address), Some(ranges)) => {
                ranges.add(start, address.as_u64(), size);
                self.offsets.add(start.wrapping_sub(address.as_u64()));
            }
            (None, ranges) => *ranges = None,
            (Some(_), None) => {}
        }
        if matches!(region.backing, Backing::Ram(_) | Backing::Resident) {
            self.add_resident(region, flags);
        }
    }

    fn add_resident(&mut self, region: &Attributed<PhysicalRegion>, flags: Option<&[FrameFlags]>) {
        let (size, kind) = (region.virt.size(), region.mapping.kind());
        let is_hugetlb = kind == MappingKind::HugeTlb;
        let is_huge = match region.page_size {
            _ if is_hugetlb => Some(true),
            Some(page_size) => Some(page_size > self.page),
            None => None,
        };
        let bytes = HugeBytes {
            resident: size,
            huge: is_huge.map(|is_huge| if is_huge { size } else { 0 }),
        };
        let index = MappingKind::ALL.iter().position(|&other| other == kind);
        let of_kind = &mut self.huge[index.unwrap_or_default()];
        *of_kind = of_kind.and(bytes);
        if is_hugetlb {
            return;
        }
        let pages = (size >> self.page.shift()) as usize;
        let known = flags.filter(|flags| flags.len() >= pages);
        match (&mut self.folios, known.zip(region.backing.address())) {
            (Some(folios), Some((flags, address))) => {
                let first = address.pfn(self.page).as_u64();
                let at = region.virt.start().as_u64() >> self.page.shift();
                folios.add(at, first, &flags[..pages], flags.get(pages), is_huge);
            }
            (folios, _) => *folios = None,
        }
    }

    /// Returns the metrics of everything that was added.
    pub fn finish(self) -> ContiguityMetrics {
        let ranges = self.ranges.map(ContiguityCounter::finish);
        ContiguityMetrics {
            page_size: self.page,
            present_pages: self.present,
            virtual_runs: self.runs.finish().extents(),
            offsets: ranges.is_some().then(|| self.offsets.count()),
            ranges,
            folios: self.folios.map(FolioCounter::finish),
            huge_coverage: MappingKind::ALL
                .into_iter()
                .zip(self.huge)
                .filter(|(_, bytes)| bytes.resident > 0)
                .collect(),
        }
    }
}

impl ContiguityMetrics {
    /// Returns the pages of the `count` largest range translations, of all if there are
    /// fewer.
    pub fn pages_in_largest_ranges(&self, count: u64) -> Option<u64> {
        let bytes = self.ranges.as_ref()?.bytes_in_largest(count);
        Some(bytes >> self.page_size.shift())
    }

    /// Returns the minimum number of range translations that have at least `percent` of the
    /// present pages, rounded up to whole pages.
    pub fn ranges_for_percent(&self, percent: u64) -> Option<u64> {
        let pages = (self.present_pages * percent).div_ceil(100);
        self.ranges
            .as_ref()?
            .fewest_with(pages << self.page_size.shift())
    }

    /// Returns the resident memory of all kinds, and the part that huge entries map.
    pub fn total_huge_coverage(&self) -> HugeBytes {
        let each = self.huge_coverage.iter();
        each.fold(HugeBytes::NONE, |sum, (_, bytes)| sum.and(*bytes))
    }
}

/// Set of distances, as a list that is sorted when it has doubled.
#[derive(Debug, Default)]
struct Offsets {
    list: Vec<u64>,
    /// Number of elements at the beginning that ascend.
    sorted: usize,
}

impl Offsets {
    /// Number of elements below which a list is not sorted.
    const FEW: usize = 1 << 16;

    fn add(&mut self, offset: u64) {
        // Neighbours often have one distance.
        if self.list.last() == Some(&offset) {
            return;
        }
        self.list.push(offset);
        if self.list.len() >= (2 * self.sorted).max(Self::FEW) {
            self.sort();
        }
    }

    fn sort(&mut self) {
        self.list.sort_unstable();
        self.list.dedup();
        self.sorted = self.list.len();
    }

    fn count(mut self) -> u64 {
        self.sort();
        self.list.len() as u64
    }
}
