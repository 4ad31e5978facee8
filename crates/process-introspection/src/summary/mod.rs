//! Summary of memory: adds up regions. Pure except for [`walk`], which adds the regions
//! of a live walk, and [`groups`], which reads mapcounts; nothing else here knows where
//! regions come from.
//!
//! Memory use is that of the result and of a batch of regions: none for each page.

mod contiguity;
mod coverage;
mod frame_counts;
mod groups;
mod huge_policy;
mod mapcounts;
mod mapped_frames;
mod tmpfs;
mod usage;
mod walk;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use process_introspection_core::backing::Backing;
use process_introspection_core::mapping::MappingKind;
use process_introspection_core::{AddrRange, PageSize, PhysAddr};

use crate::facts::page_facts::PageFacts;
use crate::facts::vm_flags::VmFlags;
use crate::machine::huge_pages::HugePageSettings;
use crate::machine::physical_map::PhysicalMap;
use crate::process::mapping::Mapping;
use crate::walk::regions::PhysicalRegion;

pub use contiguity::{Contiguity, ContiguityCounter, ExtentClass};
pub use coverage::{HugeCoverage, PolicyBytes};
pub use groups::{GroupFrames, GroupMemory, GroupPart, GroupScope, GroupedMemory, MemoryGroups};
pub use huge_policy::HugePolicy;
use huge_policy::{Decision, HugeRules, MappingClass};
pub use mapped_frames::MappedFrames;
pub use usage::Usage;
pub use walk::{AdviceReading, SummaryOptions, SummaryStep};

use coverage::{Layout, LayoutCount, Present, Reasons};

/// Summary of the memory of a process, see [`crate::Process::summary`].
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Summary {
    /// Number of mappings.
    pub mappings: u64,
    /// Usage of all mappings.
    pub total: Usage,
    /// Usage by kind of mapping, without kinds that do not occur.
    pub kinds: Vec<(MappingKind, Usage)>,
    /// Memory by class of its pages, ascending: resident memory (but for pages in
    /// migration), and hugetlb. Without [`Summary::knows_frames`] only hugetlb.
    pub pages: Vec<(PageClass, u64)>,
    /// Memory that huge entries map, without pages in migration; `None` where the
    /// kernel does not report it (before Linux 6.7).
    pub coverage: Option<HugeCoverage>,
    /// Size of the huge pages of `coverage`, in bytes.
    pub huge_page: u64,
    /// Policies that prevent huge pages for some memory; they add up to the `policy` of
    /// `coverage`.
    pub policies: BTreeMap<HugePolicy, PolicyBytes>,
    /// The machine's settings of huge pages.
    pub huge_settings: HugePageSettings,
    /// True if the process has disabled huge pages (`PR_SET_THP_DISABLE`); `None` where
    /// the kernel does not report it (before Linux 5.0).
    pub huge_disabled: Option<bool>,
    /// True if advice of mappings (`MADV_HUGEPAGE`, `MADV_NOHUGEPAGE`) was read, see
    /// [`AdviceReading`]. It is not read where it makes no difference.
    pub advice_read: bool,
    /// Extents of memory, with hugetlb and without the zero page; `None` without
    /// addresses.
    pub contiguity: Option<Contiguity>,
    /// Memory of these extents by NUMA node, in bytes; `None` without addresses. The
    /// key `None` contains memory whose node is not known.
    pub nodes: Option<BTreeMap<Option<u32>, u64>>,
    /// Memory by NUMA node for each of `kinds`, in their order.
    pub nodes_of_kinds: Option<Vec<BTreeMap<Option<u32>, u64>>>,
    /// True if flags and mapcounts of frames could be read: without them there is no
    /// PSS and no USS, and device memory mapped as pages counts as resident.
    pub knows_frames: bool,
    /// True if [`Summary::pages`] has all classes that [`Summary::knows_frames`] allows: not left
    /// out on request ([`SummaryOptions::without_page_classes`]).
    pub knows_page_classes: bool,
    /// True if addresses could be read: without them the zero page counts as resident,
    /// and migrating pages as swapped.
    pub knows_addresses: bool,
}

/// Class of the pages that make up memory.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum PageClass {
    /// Single base pages.
    Base,
    /// Folios of this size in bytes that are mapped whole: mTHP, THP, and large folios
    /// of the page cache.
    Folio(u64),
    /// Pages of larger folios that are not mapped whole.
    PartOfFolio,
    /// hugetlb pages of this size in bytes; `None` where the kernel does not report it.
    HugeTlb(Option<u64>),
}

/// Summary of the memory of one mapping.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MappingSummary {
    /// The mapping.
    pub mapping: Arc<Mapping>,
    /// Its usage.
    pub usage: Usage,
    /// Bytes that huge entries map, without hugetlb.
    pub huge: u64,
    /// Number of its extents of memory, which end at its borders; 0 without addresses.
    pub extents: u64,
    /// Median of their sizes in bytes.
    pub median: Option<u64>,
    /// Size of the largest in bytes.
    pub largest: Option<u64>,
    /// Frames that it maps; `None` unless requested ([`SummaryOptions::frames`]), and
    /// where facts of frames cannot be read.
    pub frames: Option<MappedFrames>,
}

/// How often the pages of a region are mapped.
#[derive(Copy, Clone)]
enum PagesMapped<'a> {
    /// As these facts say.
    By(&'a PageFacts),
    /// Each by this process alone, once.
    Once,
    /// Unknown.
    Unknown,
}

/// Accumulator that makes a [`Summary`] of regions as they come, from any source.
/// [`Process::summary`](crate::Process::summary) does so with a live walk.
///
/// ```
/// use process_introspection::{HugePageSettings, PhysicalMap, Process, SummaryAccumulator};
///
/// let process = Process::current()?;
/// let settings = HugePageSettings::read(process.page_size().pmd().bytes());
/// let map = PhysicalMap::read()?;
/// let mut accumulator = SummaryAccumulator::new(process.page_size(), &map, &settings, None);
/// if let Ok(regions) = process.physical_regions(..) {
///     for region in regions {
///         accumulator.push(&region?, None, &[]);
///     }
///     let summary = accumulator.finish(None);
///     assert!(summary.total.virt >= summary.total.resident);
/// }
/// # Ok::<(), process_introspection::Error>(())
/// ```
#[derive(Debug)]
pub struct SummaryAccumulator<'a> {
    page: PageSize,
    map: &'a PhysicalMap,
    total: Usage,
    kinds: [Usage; MappingKind::ALL.len()],
    pages: BTreeMap<PageClass, u64>,
    rules: HugeRules<'a>,
    layout: LayoutCount,
    reasons: Reasons,
    /// Mappings whose flags decide if they may have huge pages.
    undecided: Vec<Waiting>,
    /// Maximum memory of one mapping that small entries map: the cost of one VMA to a
    /// reader of the flags.
    most_small: u64,
    contiguity: ContiguityCounter,
    nodes: [BTreeMap<Option<u32>, u64>; MappingKind::ALL.len()],
    /// Memory of the current mapping that is not in `nodes` yet.
    on_node: OnNode,
    mappings: u64,
    current: Option<MappingSummary>,
    /// Index of its kind among all kinds.
    kind: usize,
    /// Class of its rules.
    class: MappingClass,
    /// Its extents.
    of_current: ContiguityCounter,
    /// True if the frames of mappings are kept.
    keeps_frames: bool,
}

/// Memory of one node: what comes next is mostly of the same node.
#[derive(Debug, Default)]
struct OnNode {
    node: Option<u32>,
    /// Addresses that are known to be of this node.
    addresses: Range<u64>,
    bytes: u64,
    /// Part that counts as mapped once.
    once: u64,
}

impl OnNode {
    fn add(&mut self, bytes: u64, are_mapped_once: bool) {
        self.bytes += bytes;
        if are_mapped_once {
            self.once += bytes;
        }
    }
}

/// A mapping without a decision yet.
#[derive(Debug)]
struct Waiting {
    mapping: Arc<Mapping>,
    class: MappingClass,
    has_block: bool,
    layout: Layout,
}

/// Returns true for a mapping of hugetlb, which the kernel counts separately.
fn is_hugetlb(mapping: &Mapping) -> bool {
    mapping.kind() == MappingKind::HugeTlb
}

impl<'a> SummaryAccumulator<'a> {
    /// Returns an empty accumulator. `huge_disabled` is true if the process has
    /// disabled transparent huge pages, `None` if that is not known.
    pub fn new(
        page: PageSize,
        map: &'a PhysicalMap,
        settings: &'a HugePageSettings,
        huge_disabled: Option<bool>,
    ) -> Self {
        Self::with_rules(page, map, HugeRules::new(settings, huge_disabled))
    }

    fn with_rules(page: PageSize, map: &'a PhysicalMap, rules: HugeRules<'a>) -> Self {
        Self {
            page,
            map,
            total: Usage::default(),
            kinds: [Usage::default(); MappingKind::ALL.len()],
            pages: BTreeMap::new(),
            rules,
            layout: LayoutCount::new(page.pmd().bytes()),
            reasons: Reasons::default(),
            undecided: Vec::new(),
            most_small: 0,
            contiguity: ContiguityCounter::default(),
            nodes: Default::default(),
            on_node: OnNode::default(),
            mappings: 0,
            current: None,
            kind: 0,
            class: MappingClass::Anonymous,
            of_current: ContiguityCounter::default(),
            keeps_frames: false,
        }
    }

    /// Begins a mapping. Returns the summary of the one before, if it is another.
    fn begin(&mut self, mapping: &Arc<Mapping>) -> Option<MappingSummary> {
        let same = |current: &MappingSummary| {
            Arc::ptr_eq(&current.mapping, mapping) || current.mapping.range == mapping.range
        };
        if self.current.as_ref().is_some_and(same) {
            return None;
        }
        let ended = self.end_mapping();
        self.class = self.rules.class(mapping);
        let mut kinds = MappingKind::ALL.iter();
        self.kind = kinds
            .position(|&kind| kind == mapping.kind())
            .unwrap_or_default();
        let has_file = self.class != MappingClass::Anonymous && mapping.has_object();
        self.layout
            .begin(mapping.range, has_file.then_some(mapping.offset));
        self.mappings += 1;
        self.current = Some(MappingSummary {
            mapping: Arc::clone(mapping),
            usage: Usage::default(),
            huge: 0,
            extents: 0,
            median: None,
            largest: None,
            frames: self.keeps_frames.then(MappedFrames::default),
        });
        ended
    }

    /// Ends the current mapping, and returns its summary.
    pub fn end_mapping(&mut self) -> Option<MappingSummary> {
        self.end_node();
        let mut ended = self.current.take()?;
        self.decide(&ended);
        let contiguity = std::mem::take(&mut self.of_current).finish();
        ended.extents = contiguity.extents();
        ended.median = contiguity.median();
        ended.largest = contiguity.largest(1).first().copied();
        self.total.add(&ended.usage);
        self.kinds[self.kind].add(&ended.usage);
        Some(ended)
    }

    /// Decides why memory of a mapping that ends is not huge, if its flags are not
    /// needed for that.
    fn decide(&mut self, ended: &MappingSummary) {
        let (layout, has_block) = (self.layout.take(), self.layout.has_block());
        self.most_small = self.most_small.max(layout.missed() + ended.usage.swap);
        let decision = match layout.missed() {
            0 => Decision::Allowed,
            _ => self.rules.decide(self.class, None, has_block),
        };
        match decision {
            Decision::Undecided => self.undecided.push(Waiting {
                mapping: Arc::clone(&ended.mapping),
                class: self.class,
                has_block,
                layout,
            }),
            decided => self.reasons.add(&layout, self.class, decided),
        }
    }

    /// Returns true if there is memory that huge pages could map, if flags that were
    /// not read allow it.
    fn needs_flags(&self) -> bool {
        let mut undecided = self.undecided.iter();
        undecided.any(|waiting| waiting.layout.eligible().bytes > 0)
    }

    /// Adds the next region in the order of addresses, with the facts of its pages, if
    /// they are known, and the parts of it that huge entries map, ascending. Returns
    /// the summary of the mapping before it, if the region is the first of another one.
    pub fn push(
        &mut self,
        region: &PhysicalRegion,
        facts: Option<&PageFacts>,
        huge: &[AddrRange],
    ) -> Option<MappingSummary> {
        let facts = facts.map_or(PagesMapped::Unknown, PagesMapped::By);
        self.push_mapped(region, facts, huge)
    }

    fn push_mapped(
        &mut self,
        region: &PhysicalRegion,
        mapped: PagesMapped<'_>,
        huge: &[AddrRange],
    ) -> Option<MappingSummary> {
        let ended = self.begin(&region.mapping);
        self.add(region, mapped, huge);
        ended
    }

    fn add(&mut self, pages: &PhysicalRegion, mapped: PagesMapped<'_>, huge: &[AddrRange]) {
        let Some(current) = &mut self.current else {
            return;
        };
        let (size, page) = (pages.virt.size(), self.page.bytes());
        let usage = &mut current.usage;
        let mut are_mapped_once = true;
        let facts = match mapped {
            PagesMapped::By(facts) => Some(facts),
            PagesMapped::Once | PagesMapped::Unknown => None,
        };
        let folios = facts.map(PageFacts::folios);
        let is_large = folios.is_some_and(|folios| folios.part > 0 || !folios.whole.is_empty());
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
                match mapped {
                    PagesMapped::By(facts) => {
                        for (times, count) in facts.times_mapped() {
                            usage.add_mapped(count, times, page);
                            are_mapped_once &= times < 2;
                        }
                    }
                    PagesMapped::Once => usage.add_mapped(size / page, 1, page),
                    PagesMapped::Unknown => usage.resident += size,
                }
                if usage.resident == before {
                    // Frames without a `struct page` are not memory of the kernel.
                    return;
                }
                self.add_resident(pages, facts, huge);
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
        let mut counts_once = false;
        if let Some(MappingSummary {
            mapping,
            frames: Some(frames),
            ..
        }) = &mut self.current
        {
            let first = address.pfn(self.page).as_u64();
            let run = first..first + (size >> self.page.shift());
            match is_hugetlb(mapping) {
                true => frames.add_hugetlb(run, pages.virt, mapping, self.page),
                false if are_mapped_once => {
                    counts_once = true;
                    frames.has_large |= is_large;
                }
                false => frames.add(run),
            }
        }
        if self.on_node.addresses.contains(&phys) && phys + size <= self.on_node.addresses.end {
            return self.on_node.add(size, counts_once);
        }
        for (node, size) in self.map.nodes_of(address, size) {
            if node != self.on_node.node {
                self.end_node();
                self.on_node.node = node;
            }
            self.on_node.add(size, counts_once);
        }
        self.on_node.addresses = self.map.node_around(PhysAddr::new(phys + size - 1));
    }

    /// Adds the memory of the last node to the sums.
    fn end_node(&mut self) {
        let OnNode {
            node, bytes, once, ..
        } = std::mem::take(&mut self.on_node);
        if bytes > 0 {
            *self.nodes[self.kind].entry(node).or_default() += bytes;
        }
        let frames = self.current.as_mut().and_then(|it| it.frames.as_mut());
        if let Some(frames) = frames.filter(|_| once > 0) {
            frames.add_once(node, once);
        }
    }

    fn add_resident(
        &mut self,
        pages: &PhysicalRegion,
        facts: Option<&PageFacts>,
        huge: &[AddrRange],
    ) {
        let page = self.page.bytes();
        if let Some(facts) = facts {
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
        // Private copies of a file's pages.
        let copies = pages.anonymous
            && pages.mapping.has_object()
            && matches!(self.class, MappingClass::File | MappingClass::Shared(_));
        let mut present = |from: u64, to: u64, huge: bool| {
            if from < to {
                let phys = address.map(|address| address.as_u64() + (from - start));
                self.layout.add(Present {
                    start: from,
                    end: to,
                    phys,
                    huge,
                    copies,
                });
            }
        };
        let mut at = start;
        for part in huge {
            let (from, to) = (part.start().as_u64(), part.end().as_u64());
            present(at, from, false);
            present(from, to, true);
            at = to;
        }
        present(at, end, false);
        if let Some(current) = &mut self.current {
            current.huge += huge.iter().map(|part| part.size()).sum::<u64>();
        }
    }

    /// Returns the summary of everything that was added. `flags` are those of the
    /// mappings, if they were read.
    pub fn finish(mut self, flags: Option<&VmFlags>) -> Summary {
        self.end_mapping();
        for waiting in self.undecided {
            let flags = flags.and_then(|flags| flags.of(&waiting.mapping));
            let decision = self.rules.decide(waiting.class, flags, waiting.has_block);
            self.reasons.add(&waiting.layout, waiting.class, decision);
        }
        let mut nodes = BTreeMap::new();
        for (node, bytes) in self.nodes.iter().flatten() {
            *nodes.entry(*node).or_default() += bytes;
        }
        let of_kinds = self.nodes.into_iter().zip(self.kinds);
        let of_kinds = of_kinds.filter(|(_, usage)| usage.virt > 0);
        let kinds = MappingKind::ALL.into_iter().zip(self.kinds);
        Summary {
            mappings: self.mappings,
            total: self.total,
            kinds: kinds.filter(|&(_, usage)| usage.virt > 0).collect(),
            pages: self.pages.into_iter().collect(),
            coverage: Some(self.reasons.coverage),
            huge_page: self.page.pmd().bytes(),
            policies: self.reasons.policies,
            huge_settings: self.rules.settings.clone(),
            huge_disabled: self.rules.is_disabled,
            advice_read: flags.is_some(),
            contiguity: Some(self.contiguity.finish()),
            nodes: Some(nodes),
            nodes_of_kinds: Some(of_kinds.map(|(nodes, _)| nodes).collect()),
            knows_frames: true,
            knows_page_classes: true,
            knows_addresses: true,
        }
    }
}
