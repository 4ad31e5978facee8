//! Records of published metrics of contiguity and fragmentation: of processes, and of the
//! machine. `docs/METRICS.md` defines them. Knows no source of the numbers.

use process_introspection::{
    ContiguityMetrics, FoliosOfKind, FrameUse, FreeBlocks, MemoryBalance, PageSize, ThpBytes,
};

use crate::field::{record, Extra, Fields, Show};
use crate::number::{rough, Real};
use crate::process::ProcessIdentity;
use crate::record::Record;
use crate::table::Row;
use crate::types::word_list;

word_list! {
    /// Metric; the end of its name is its unit.
    #[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
    pub enum Metric {
        /// Memory that the page map calls present.
        Present = "present_bytes",
        /// Maximal runs of present pages with consecutive virtual addresses.
        VirtualRuns = "virtual_runs_count",
        /// Maximal runs with consecutive virtual and physical addresses.
        RmmRanges = "rmm_ranges_count",
        /// Such runs by the base-2 logarithm of their pages, rounded down.
        RmmHistogram = "rmm_ranges_histogram_count",
        /// Share of present pages in the 32 largest such runs.
        RmmCoverage32 = "rmm_coverage_32_largest_ratio",
        /// Share of present pages in the 64 largest.
        RmmCoverage64 = "rmm_coverage_64_largest_ratio",
        /// Share of present pages in the 128 largest.
        RmmCoverage128 = "rmm_coverage_128_largest_ratio",
        /// Share of present pages in the 256 largest.
        RmmCoverage256 = "rmm_coverage_256_largest_ratio",
        /// Fewest such runs that have 80 % of the present pages.
        RmmFor80 = "rmm_ranges_for_80_percent_count",
        /// Fewest that have 90 %.
        RmmFor90 = "rmm_ranges_for_90_percent_count",
        /// Fewest that have 99 %.
        RmmFor99 = "rmm_ranges_for_99_percent_count",
        /// Different distances between virtual page number and PFN.
        SpotOffsets = "spot_offsets_count",
        /// Share of resident memory that huge entries map.
        HugeCoverage = "huge_page_coverage_ratio",
        /// Folios mapped whole at a multiple of their size, by PTEs.
        ThpAlignedPte = "thp_aligned_pte_bytes",
        /// Folios mapped whole at a multiple of their size, by PMD entries.
        ThpAlignedPmd = "thp_aligned_pmd_bytes",
        /// Folios mapped whole and consecutively at other addresses.
        ThpUnaligned = "thp_unaligned_bytes",
        /// Folios that are not mapped whole and consecutively.
        ThpPartial = "thp_partial_bytes",
        /// Aligned blocks of consecutive frames of one folio, mapped by PTEs.
        ContPte = "cont_pte_bytes",
        /// Aligned blocks of consecutive frames of one folio, mapped by PMD entries.
        ContPmd = "cont_pmd_bytes",
        /// Share of blocks mapped by PTEs in the resident memory of their kind.
        ContPteShare = "cont_pte_ratio",
        /// Share of blocks mapped by PMD entries in the resident memory of their kind.
        ContPmdShare = "cont_pmd_ratio",
        /// Share of a zone's free memory in blocks smaller than an order.
        UnusableFreeSpace = "unusable_free_space_ratio",
        /// Fragmentation index of a zone and order.
        FragmentationIndex = "fragmentation_index_ratio",
        /// Share of a zone's free memory in aligned free blocks of a size.
        FreeContiguity = "free_contiguity_ratio",
        /// Share of aligned blocks of a size with a frame that the kernel cannot move, as far as
        /// flags show that: pinned pages are unknown.
        UnmovableBlocks = "unmovable_blocks_ratio",
        /// Share of other aligned blocks with a frame of which the kernel reports nothing: they
        /// may be unmovable, too.
        UnknownBlocks = "unknown_blocks_ratio",
    }
}

word_list! {
    /// Unit of a metric.
    #[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
    pub enum MetricUnit {
        /// Number of things.
        Count = "count",
        /// Bytes.
        Bytes = "bytes",
        /// Part of a whole, or an index.
        Ratio = "ratio",
    }
}

word_list! {
    /// Source of a metric's definition.
    #[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
    pub enum MetricSource {
        /// Redundant Memory Mappings, ISCA 2015.
        Rmm = "rmm",
        /// SpOT, ISCA 2020.
        Spot = "spot",
        /// page-collect.cpp of the artifact contiguity-isca2020.
        PageCollect = "page-collect",
        /// Contiguitas, ISCA 2023.
        Contiguitas = "contiguitas",
        /// TEMERAIRE, OSDI 2021.
        Temeraire = "temeraire",
        /// tools/mm/thpmaps of the kernel.
        Thpmaps = "thpmaps",
        /// mm/vmstat.c of the kernel.
        Vmstat = "vmstat",
    }
}

impl Metric {
    /// Returns the unit of the values.
    pub fn unit(self) -> MetricUnit {
        match self.name().rsplit('_').next() {
            Some("bytes") => MetricUnit::Bytes,
            Some("count") => MetricUnit::Count,
            _ => MetricUnit::Ratio,
        }
    }

    /// Returns the source of the definition.
    pub const fn source(self) -> MetricSource {
        match self {
            Self::RmmRanges | Self::RmmHistogram => MetricSource::Rmm,
            Self::SpotOffsets => MetricSource::Spot,
            Self::Present
            | Self::VirtualRuns
            | Self::RmmCoverage32
            | Self::RmmCoverage64
            | Self::RmmCoverage128
            | Self::RmmCoverage256
            | Self::RmmFor80
            | Self::RmmFor90
            | Self::RmmFor99 => MetricSource::PageCollect,
            Self::HugeCoverage => MetricSource::Temeraire,
            Self::ThpAlignedPte
            | Self::ThpAlignedPmd
            | Self::ThpUnaligned
            | Self::ThpPartial
            | Self::ContPte
            | Self::ContPmd
            | Self::ContPteShare
            | Self::ContPmdShare => MetricSource::Thpmaps,
            Self::UnusableFreeSpace | Self::FragmentationIndex => MetricSource::Vmstat,
            Self::FreeContiguity | Self::UnmovableBlocks | Self::UnknownBlocks => {
                MetricSource::Contiguitas
            }
        }
    }
}

record! {
    /// Value of one published metric. Sizes of which a process has nothing have no record.
    pub struct MetricRecord<'a> {
        /// Process, in lists of several.
        pub process: Option<ProcessIdentity<'a>> = flat().optional().extra(Extra::Process),
        /// Metric, which ends with its unit.
        pub name: Metric = text(3, "METRIC", 31),
        /// Kind of the memory: anon or file of folios, the kind of mapping of huge page
        /// coverage.
        pub kind: Option<&'static str> = text(6, "KIND OR ZONE", 12)
            .null("if the value is that of all kinds"),
        /// NUMA node.
        pub node: Option<u32> = number(4, "NODE", 4).column_extra(Extra::Node)
            .null("if the value is that of no single node"),
        /// Zone of physical memory.
        pub zone: Option<String> = also(6, Show::Left)
            .null("if the value is that of no single zone"),
        /// Base-2 logarithm of the number of base pages of a block, folio or free block; of
        /// a histogram that of the smallest ranges.
        pub page_order: Option<u32> = null("if the value is that of no single size"),
        /// Path of the control group.
        pub cgroup: Option<String> = null("if the value is that of no control group"),
        /// Size of page_order in bytes.
        pub size: Option<u64> = bytes().rough(5, "SIZE", 5).null("as for page_order"),
        /// Value.
        pub value: Option<Real> = number(7, "VALUE", 8)
            .null("if it is unknown, or a part of nothing"),
        /// Unit of the value.
        pub unit: MetricUnit,
        /// Source of the definition.
        pub source: MetricSource = text(8, "SOURCE", 0),
    }
}

impl MetricRecord<'_> {
    /// Returns the value of a metric without parameters.
    pub fn new(name: Metric, value: Option<Real>) -> Self {
        Self {
            process: None,
            name,
            kind: None,
            node: None,
            zone: None,
            page_order: None,
            cgroup: None,
            size: None,
            value,
            unit: name.unit(),
            source: name.source(),
        }
    }

    /// Returns the record with a size, as an order of base pages.
    #[must_use]
    pub fn of_order(self, order: u32, page: PageSize) -> Self {
        Self {
            page_order: Some(order),
            size: Some(page.bytes() << order),
            ..self
        }
    }

    fn of_kind(self, kind: &'static str) -> Self {
        Self {
            kind: Some(kind),
            ..self
        }
    }

    /// Returns the metrics of a process.
    pub fn of_process(metrics: &ContiguityMetrics) -> Vec<Self> {
        let page = metrics.page_size;
        let count = |number: Option<u64>| number.map(Real::from);
        let present = metrics.present_pages;
        let ranges = metrics.ranges.as_ref();
        let mut all = vec![
            Self::new(Metric::Present, Some((present << page.shift()).into())),
            Self::new(Metric::VirtualRuns, Some(metrics.virtual_runs.into())),
            Self::new(
                Metric::RmmRanges,
                count(ranges.map(|ranges| ranges.extents())),
            ),
        ];
        match ranges {
            Some(ranges) => all.extend(ranges.classes().into_iter().map(|class| {
                let order = class.least.ilog2() - page.shift();
                let record = Self::new(Metric::RmmHistogram, Some(class.count.into()));
                record.of_order(order, page)
            })),
            None => all.push(Self::new(Metric::RmmHistogram, None)),
        }
        let coverages = [
            (Metric::RmmCoverage32, 32),
            (Metric::RmmCoverage64, 64),
            (Metric::RmmCoverage128, 128),
            (Metric::RmmCoverage256, 256),
        ];
        all.extend(coverages.map(|(name, largest)| {
            let covered = metrics.pages_in_largest_ranges(largest);
            Self::new(name, covered.and_then(|pages| Real::ratio(pages, present)))
        }));
        let shares = [
            (Metric::RmmFor80, 80),
            (Metric::RmmFor90, 90),
            (Metric::RmmFor99, 99),
        ];
        all.extend(
            shares
                .map(|(name, percent)| Self::new(name, count(metrics.ranges_for_percent(percent)))),
        );
        all.push(Self::new(Metric::SpotOffsets, count(metrics.offsets)));
        let total = (None, metrics.total_huge_coverage());
        let kinds = metrics.huge_coverage.iter();
        let kinds = kinds.map(|(kind, bytes)| (Some(kind.name()), *bytes));
        all.extend(std::iter::once(total).chain(kinds).map(|(kind, bytes)| {
            Self {
                kind,
                ..Self::new(
                    Metric::HugeCoverage,
                    bytes
                        .huge
                        .and_then(|huge| Real::ratio(huge, bytes.resident)),
                )
            }
        }));
        let folios = metrics.folios.as_ref();
        let anonymous = folios.map(|folios| &folios.anonymous);
        add_folios(anonymous, "anon", page, &mut all);
        add_folios(folios.map(|folios| &folios.file), "file", page, &mut all);
        all
    }

    /// Returns the metrics of the free memory of a zone that follow from the blocks of the
    /// page allocator: of every order, and of blocks of 2 MiB, 4 MiB, 32 MiB and 1 GiB that
    /// are no larger than its blocks.
    pub fn of_free_blocks(zone: &FreeBlocks, page: PageSize) -> Vec<Self> {
        let of_zone = |record: Self| Self {
            node: Some(zone.node),
            zone: Some(zone.zone.clone()),
            ..record
        };
        let mut all = Vec::new();
        for order in 0..zone.counts.len() as u32 {
            let unusable = zone.unusable_free_space_thousandths(order);
            let values = [
                (Metric::UnusableFreeSpace, unusable as i32),
                (
                    Metric::FragmentationIndex,
                    zone.fragmentation_index_thousandths(order),
                ),
            ];
            all.extend(values.map(|(name, value)| {
                of_zone(Self::new(name, Some(Real::thousandths(value))).of_order(order, page))
            }));
        }
        for size in [2u64 << 20, 4 << 20, 32 << 20, 1 << 30] {
            let order = size.ilog2().checked_sub(page.shift());
            let blocks = order.and_then(|order| zone.pages_in_aligned_blocks(order));
            if let Some((order, (pages, free))) = order.zip(blocks) {
                let record = Self::new(Metric::FreeContiguity, Real::ratio(pages, free));
                all.push(of_zone(record.of_order(order, page)));
            }
        }
        all
    }
}

impl MetricRecord<'_> {
    /// Returns the metrics of the machine's memory: those of the free blocks of each zone, and
    /// of the aligned blocks of all RAM.
    pub fn of_machine(balance: &MemoryBalance) -> Vec<Self> {
        let census = balance.census();
        let page = census.page_size();
        let zones = balance.counters().free_blocks().iter();
        let mut all: Vec<_> = zones
            .flat_map(|zone| Self::of_free_blocks(zone, page))
            .collect();
        let free = census.total()[FrameUse::Free] * page.bytes();
        for block in census.blocks() {
            let order = block.size.ilog2() - page.shift();
            let values = [
                (Metric::FreeContiguity, block.free * block.size, free),
                (Metric::UnmovableBlocks, block.unmovable, block.blocks),
                (Metric::UnknownBlocks, block.unflagged, block.blocks),
            ];
            all.extend(values.map(|(name, part, whole)| {
                Self::new(name, Real::ratio(part, whole)).of_order(order, page)
            }));
        }
        all
    }
}

/// Adds the layout of the folios of one kind; `None` if it is unknown.
fn add_folios(
    folios: Option<&FoliosOfKind>,
    kind: &'static str,
    page: PageSize,
    all: &mut Vec<MetricRecord<'_>>,
) {
    use Metric::{
        ContPmd, ContPmdShare, ContPte, ContPteShare, ThpAlignedPmd, ThpAlignedPte, ThpPartial,
        ThpUnaligned,
    };
    let Some(folios) = folios else {
        let unknown = [
            ThpAlignedPte,
            ThpAlignedPmd,
            ThpUnaligned,
            ThpPartial,
            ContPte,
            ContPmd,
            ContPteShare,
            ContPmdShare,
        ];
        let unknown = unknown.map(|name| MetricRecord::new(name, None).of_kind(kind));
        return all.extend(unknown);
    };
    let whole = Some(folios.resident);
    type Part = fn(&ThpBytes) -> Option<u64>;
    let (pte, pmd): (Part, Part) = (ThpBytes::pte, |bytes| bytes.pmd);
    for (name, map, part, whole) in [
        (ThpAlignedPte, &folios.aligned, pte, None),
        (ThpAlignedPmd, &folios.aligned, pmd, None),
        (ContPte, &folios.contiguous, pte, None),
        (ContPmd, &folios.contiguous, pmd, None),
        (ContPteShare, &folios.contiguous, pte, whole),
        (ContPmdShare, &folios.contiguous, pmd, whole),
    ] {
        for (&order, bytes) in map {
            let value = part(bytes).and_then(|bytes| match whole {
                Some(whole) => Real::ratio(bytes, whole),
                None => Some(bytes.into()),
            });
            // Null is unknown, and not left out.
            if value != Some(Real::default()) {
                let record = MetricRecord::new(name, value).of_kind(kind);
                all.push(record.of_order(order, page));
            }
        }
    }
    for (&order, &bytes) in &folios.unaligned {
        let record = MetricRecord::new(ThpUnaligned, Some(bytes.into()));
        all.push(record.of_kind(kind).of_order(order, page));
    }
    let partial = MetricRecord::new(ThpPartial, Some(folios.partial.into()));
    all.push(partial.of_kind(kind));
}

impl Record for MetricRecord<'_> {
    fn row(&self, row: &mut Row<'_>) {
        self.visit(row);
        if let Some(value) = self.value {
            let cell = match self.unit {
                MetricUnit::Bytes => rough(value.get() as u64),
                MetricUnit::Ratio => format!("{:.3}", value.get()),
                MetricUnit::Count => value.to_string(),
            };
            row.set("VALUE", cell);
        }
    }
}
