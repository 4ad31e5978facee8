//! What memory is made of: adds up what walks find. Pure but for [`walk`], which
//! feeds it; nothing here knows where records come from.
//!
//! Memory is that of the answer, and of a batch of regions: none for each page.

mod contiguity;
mod coverage;
mod folios;
mod usage;
mod walk;

use std::collections::BTreeMap;
use std::sync::Arc;

use process_introspection_core::object::MappingKind;
use process_introspection_core::physical::Backing;
use process_introspection_core::{AddrRange, PageSize};

pub use contiguity::{Contiguity, ExtentClass};
pub use coverage::HugeCoverage;
pub(crate) use folios::FolioPages;
pub use usage::Usage;
pub use walk::SummaryStep;

use crate::{Mapping, PageFacts, PhysicalMap};
use coverage::{CoverageCount, Present};

/// What the memory of a process is made of, see [`crate::Process::summary`].
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Summary {
    /// How many mappings.
    pub mappings: u64,
    /// Of all of them.
    pub total: Usage,
    /// The same by kind of mapping, without kinds that there are not.
    pub kinds: Vec<(MappingKind, Usage)>,
    /// Memory by what it comes in, ascending: what is resident (but for pages in
    /// migration), and hugetlb. Without [`Summary::knows_frames`] only hugetlb.
    pub pages: Vec<(PageClass, u64)>,
    /// What huge entries map; `None` where the kernel does not tell (before
    /// Linux 6.7). Without pages in migration.
    pub coverage: Option<HugeCoverage>,
    /// The size of the huge pages of `coverage`, in bytes.
    pub huge_page: u64,
    /// Extents of memory, hugetlb included, the zero page not; `None` without
    /// addresses.
    pub contiguity: Option<Contiguity>,
    /// The same memory by NUMA node, in bytes; `None` without addresses. Under
    /// the key `None` is memory whose node is not known.
    pub nodes: Option<BTreeMap<Option<u32>, u64>>,
    /// Whether flags and counts of frames could be read: without them there is no
    /// PSS and no USS, and device memory mapped as pages counts as resident.
    pub knows_frames: bool,
    /// Whether addresses could be read: without them the zero page counts as
    /// resident, and migrating pages as swapped.
    pub knows_addresses: bool,
}

/// What memory comes in.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum PageClass {
    /// Single base pages.
    Base,
    /// Folios of this many bytes that are mapped whole: mTHP, THP, and large
    /// folios of the page cache.
    Folio(u64),
    /// Pages of larger folios that are not mapped whole.
    PartOfFolio,
    /// hugetlb pages of this many bytes; `None` where the kernel does not tell.
    HugeTlb(Option<u64>),
}

/// What the memory of one mapping is made of.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MappingSummary {
    /// Which one.
    pub mapping: Arc<Mapping>,
    /// How much of it.
    pub usage: Usage,
    /// How many bytes huge entries map; hugetlb is not in it.
    pub huge: u64,
    /// How many extents of memory it has, ended at its borders; 0 without
    /// addresses.
    pub extents: u64,
    /// The median of their sizes in bytes.
    pub median: Option<u64>,
    /// The size of the largest in bytes.
    pub largest: Option<u64>,
}

/// Pages that a walk found, of one mapping, and all that is known of them.
#[derive(Clone, Debug)]
struct Pages<'a> {
    virt: AddrRange,
    backing: Backing,
    facts: Option<&'a PageFacts>,
    /// Those that huge entries map, in ascending order.
    huge: &'a [(u64, u64)],
}

/// Adds up.
#[derive(Debug)]
struct Adder<'a> {
    page: PageSize,
    map: &'a PhysicalMap,
    total: Usage,
    kinds: [Usage; MappingKind::ALL.len()],
    pages: BTreeMap<PageClass, u64>,
    coverage: CoverageCount,
    contiguity: Contiguity,
    nodes: BTreeMap<Option<u32>, u64>,
    mappings: u64,
    current: Option<MappingSummary>,
    /// The extents of that.
    of_current: Contiguity,
}

/// Whether it is of huge pages that were set aside, which the kernel counts
/// apart.
fn is_hugetlb(mapping: &Mapping) -> bool {
    mapping.kind() == MappingKind::HugeTlb
}

impl<'a> Adder<'a> {
    fn new(page: PageSize, map: &'a PhysicalMap) -> Self {
        Self {
            page,
            map,
            total: Usage::default(),
            kinds: [Usage::default(); MappingKind::ALL.len()],
            pages: BTreeMap::new(),
            coverage: CoverageCount::new(page.pmd().bytes()),
            contiguity: Contiguity::default(),
            nodes: BTreeMap::new(),
            mappings: 0,
            current: None,
            of_current: Contiguity::default(),
        }
    }

    /// What follows is of this mapping. Gives what there is to say of the one
    /// before, if it is another.
    fn begin(&mut self, mapping: &Arc<Mapping>) -> Option<MappingSummary> {
        let same = |current: &MappingSummary| {
            Arc::ptr_eq(&current.mapping, mapping) || current.mapping.range == mapping.range
        };
        if self.current.as_ref().is_some_and(same) {
            return None;
        }
        let offset = mapping.has_object().then_some(mapping.offset);
        self.coverage.begin(mapping.range, offset);
        self.mappings += 1;
        let ended = self.end();
        self.current = Some(MappingSummary {
            mapping: Arc::clone(mapping),
            usage: Usage::default(),
            huge: 0,
            extents: 0,
            median: None,
            largest: None,
        });
        ended
    }

    /// Nothing more of the current mapping.
    fn end(&mut self) -> Option<MappingSummary> {
        let mut ended = self.current.take()?;
        let mut contiguity = std::mem::take(&mut self.of_current);
        contiguity.close();
        ended.extents = contiguity.extents();
        ended.median = contiguity.median();
        ended.largest = contiguity.largest(1).first().copied();
        self.total.add(&ended.usage);
        let kinds = MappingKind::ALL.iter().zip(&mut self.kinds);
        for (_, usage) in kinds.filter(|(&kind, _)| kind == ended.mapping.kind()) {
            usage.add(&ended.usage);
        }
        Some(ended)
    }

    /// Adds pages of the mapping that was begun.
    fn add(&mut self, pages: &Pages<'_>) {
        let Some(current) = &mut self.current else {
            return;
        };
        let (size, page) = (pages.virt.size(), self.page.bytes());
        let usage = &mut current.usage;
        usage.virt += size;
        match pages.backing {
            Backing::Ram(_) | Backing::Resident if is_hugetlb(&current.mapping) => {
                usage.hugetlb += size;
                let size_of_page = current.mapping.page_size.map(PageSize::bytes);
                *self
                    .pages
                    .entry(PageClass::HugeTlb(size_of_page))
                    .or_default() += size;
            }
            Backing::Ram(_) | Backing::Resident => {
                let before = usage.resident;
                match pages.facts {
                    Some(facts) => {
                        for (times, count) in facts.times_mapped() {
                            usage.add_mapped(count, times, page);
                        }
                    }
                    None => usage.resident += size,
                }
                if usage.resident == before {
                    // Frames without a `struct page`: no memory of the kernel's.
                    return;
                }
                self.add_resident(pages);
            }
            Backing::Zero(_) => {
                usage.zero += size;
                return;
            }
            Backing::Swapped(_) => {
                usage.swap += size;
                return;
            }
            Backing::Migrating => {
                usage.add_migrating(size);
                return;
            }
            _ => return,
        }
        let Some(address) = pages.backing.address() else {
            return;
        };
        let (virt, phys) = (pages.virt.start().as_u64(), address.as_u64());
        self.contiguity.add(virt, phys, size);
        self.of_current.add(virt, phys, size);
        for (node, size) in self.map.nodes_of(address, size) {
            *self.nodes.entry(node).or_default() += size;
        }
    }

    fn add_resident(&mut self, pages: &Pages<'_>) {
        let page = self.page.bytes();
        if let Some(facts) = pages.facts {
            let folios = facts.folios();
            let whole = folios.whole.iter();
            let classes = whole.map(|&(order, count)| (PageClass::Folio(page << order), count));
            let others = [
                (PageClass::Base, folios.single),
                (PageClass::PartOfFolio, folios.part),
            ];
            for (class, count) in classes.chain(others).filter(|&(_, count)| count > 0) {
                *self.pages.entry(class).or_default() += count * page;
            }
        }
        let (start, end) = (pages.virt.start().as_u64(), pages.virt.end().as_u64());
        let address = pages.backing.address();
        let mut present = |from: u64, to: u64, huge: bool| {
            if from < to {
                let phys = address.map(|address| address.as_u64() + (from - start));
                self.coverage.add(Present {
                    start: from,
                    end: to,
                    phys,
                    huge,
                });
            }
        };
        let mut at = start;
        for &(from, to) in pages.huge {
            present(at, from, false);
            present(from, to, true);
            at = to;
        }
        present(at, end, false);
        if let Some(current) = &mut self.current {
            current.huge += pages.huge.iter().map(|(from, to)| to - from).sum::<u64>();
        }
    }

    /// All that was added; also what there is to say of the last mapping.
    fn finish(mut self) -> (Summary, Option<MappingSummary>) {
        let last = self.end();
        self.contiguity.close();
        let kinds = MappingKind::ALL.into_iter().zip(self.kinds);
        let summary = Summary {
            mappings: self.mappings,
            total: self.total,
            kinds: kinds.filter(|(_, usage)| usage.virt > 0).collect(),
            pages: self.pages.into_iter().collect(),
            coverage: Some(self.coverage.finish()),
            huge_page: self.page.pmd().bytes(),
            contiguity: Some(self.contiguity),
            nodes: Some(self.nodes),
            knows_frames: true,
            knows_addresses: true,
        };
        (summary, last)
    }
}
