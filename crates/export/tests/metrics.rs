//! Records of metrics: names with units, numbers that are those of the library, and none for an
//! unknown one.

use std::sync::Arc;

use process_introspection::{
    AddrRange, Attributed, Backing, ContiguityMetrics, ContiguityMetricsAccumulator, Device,
    FrameFlags, FrameRun, FrameTally, FrameUse, FreeBlocks, Mapping, MappingKind, MappingParts,
    MemoryBalance, MemoryCounters, PageSize, Pfn, PhysAddr, PhysicalRegion, Protection, Unlisted,
};
use process_introspection_export::{Metric, MetricRecord, MetricUnit, Real};

const PAGE: PageSize = PageSize::SIZE_4K;

/// Metrics of four pages at 64 KiB and 16 pages of one folio behind them, or of the same without
/// addresses.
fn metrics(has_addresses: bool) -> ContiguityMetrics {
    let range = |first: u64, end: u64| AddrRange::new(first << 12, end << 12).unwrap();
    let mapping = Arc::new(Mapping::from_parts(MappingParts {
        range: range(12, 100),
        protection: Protection::new(true, true, false),
        shared: false,
        offset: 0,
        device: Device { major: 0, minor: 0 },
        inode: 0,
        page_size: Some(PAGE),
        kind: MappingKind::Heap,
        unlisted: Unlisted::Nothing,
        name: Box::default(),
    }));
    let mut metrics = ContiguityMetricsAccumulator::new(PAGE);
    let (single, thp) = (FrameFlags::ANON, FrameFlags::ANON | FrameFlags::THP);
    let mut folio = vec![thp | FrameFlags::COMPOUND_TAIL; 16];
    folio[0] = thp | FrameFlags::COMPOUND_HEAD;
    folio.push(single);
    for (first, end, pfn, flags) in [(12, 16, 100, vec![single; 5]), (16, 32, 160, folio)] {
        let backing = match has_addresses {
            true => Backing::Ram(PhysAddr::new(pfn << 12)),
            false => Backing::Resident,
        };
        let region = PhysicalRegion::new(range(first, end), backing, true, Arc::clone(&mapping));
        let mut region = Attributed::new(region);
        region.page_size = Some(PAGE);
        metrics.push(&region, has_addresses.then_some(&flags[..]));
    }
    metrics.finish()
}

/// Name, kind, order and value of each record.
fn values<'a>(
    records: &'a [MetricRecord<'_>],
) -> Vec<(&'static str, &'a str, Option<u32>, Option<f64>)> {
    let record = |record: &'a MetricRecord<'_>| {
        let kind = record.kind.unwrap_or_default();
        let value = record.value.map(Real::get);
        (record.name.name(), kind, record.page_order, value)
    };
    records.iter().map(record).collect()
}

#[test]
fn records_have_the_numbers_of_the_metrics() {
    let records = MetricRecord::of_process(&metrics(true));
    let values = values(&records);
    let expected = [
        ("present_bytes", "", None, Some(81920.0)),
        ("virtual_runs_count", "", None, Some(1.0)),
        ("rmm_ranges_count", "", None, Some(2.0)),
        ("rmm_ranges_histogram_count", "", Some(2), Some(1.0)),
        ("rmm_ranges_histogram_count", "", Some(4), Some(1.0)),
        ("rmm_coverage_32_largest_ratio", "", None, Some(1.0)),
        ("rmm_coverage_64_largest_ratio", "", None, Some(1.0)),
        ("rmm_coverage_128_largest_ratio", "", None, Some(1.0)),
        ("rmm_coverage_256_largest_ratio", "", None, Some(1.0)),
        ("rmm_ranges_for_80_percent_count", "", None, Some(1.0)),
        ("rmm_ranges_for_90_percent_count", "", None, Some(2.0)),
        ("rmm_ranges_for_99_percent_count", "", None, Some(2.0)),
        ("spot_offsets_count", "", None, Some(2.0)),
        ("huge_page_coverage_ratio", "", None, Some(0.0)),
        ("huge_page_coverage_ratio", "heap", None, Some(0.0)),
        ("thp_aligned_pte_bytes", "anon", Some(4), Some(65536.0)),
        ("cont_pte_bytes", "anon", Some(1), Some(65536.0)),
        ("cont_pte_bytes", "anon", Some(2), Some(65536.0)),
        ("cont_pte_bytes", "anon", Some(3), Some(65536.0)),
        ("cont_pte_bytes", "anon", Some(4), Some(65536.0)),
        ("cont_pte_ratio", "anon", Some(1), Some(0.8)),
        ("cont_pte_ratio", "anon", Some(2), Some(0.8)),
        ("cont_pte_ratio", "anon", Some(3), Some(0.8)),
        ("cont_pte_ratio", "anon", Some(4), Some(0.8)),
        ("thp_partial_bytes", "anon", None, Some(0.0)),
        ("thp_partial_bytes", "file", None, Some(0.0)),
    ];
    assert_eq!(values, expected);
    let sizes = records.iter().filter(|record| record.size.is_some());
    for record in sizes {
        assert_eq!(record.size, record.page_order.map(|order| 4096 << order));
    }
}

#[test]
fn unknown_numbers_are_null_and_every_metric_is_there() {
    let records = MetricRecord::of_process(&metrics(false));
    for (name, kind, order, value) in values(&records) {
        let is_known = [
            "present_bytes",
            "virtual_runs_count",
            "huge_page_coverage_ratio",
        ];
        assert_eq!(value.is_some(), is_known.contains(&name), "{name} {kind}");
        assert_eq!(order, None, "{name}");
    }
    let of_machine = [
        Metric::UnusableFreeSpace,
        Metric::FragmentationIndex,
        Metric::FreeContiguity,
        Metric::UnmovableBlocks,
        Metric::UnknownBlocks,
    ];
    for metric in Metric::ALL {
        let is_there = records.iter().any(|record| record.name == metric);
        assert_eq!(is_there, !of_machine.contains(&metric), "{metric:?}");
    }
}

/// Four blocks of 2 MiB: free, free but for a frame of slab, anonymous with an unflagged frame,
/// anonymous.
#[test]
fn blocks_of_the_machine_are_free_unmovable_or_unknown() {
    use FrameUse::{Anonymous, Free, Slab, Unflagged};
    let mut tally = FrameTally::new(PAGE, vec![(0, "Normal".to_owned())], false);
    let mut at = 512;
    for (pages, frame_use) in [
        (512, Free),
        (511, Free),
        (1, Slab),
        (1, Unflagged),
        (1023, Anonymous),
    ] {
        tally.add(&FrameRun {
            pfn: Pfn::new(at),
            pages,
            frame_use,
            flags: FrameFlags::default(),
            mapcount: 0,
            cgroup: None,
            zone: Some(0),
        });
        at += pages;
    }
    let none = MemoryCounters::from_parts(|_| None, Vec::new(), Vec::new(), true, PAGE);
    let balance = MemoryBalance::new(tally.finish(), none.clone(), none);
    let records = MetricRecord::of_machine(&balance);
    let value = |metric, order| {
        let mut records = records.iter();
        let found = records.find(|one| one.name == metric && one.page_order == Some(order));
        found.and_then(|one| one.value).map(Real::get)
    };
    assert_eq!(value(Metric::FreeContiguity, 9), Some(512.0 / 1023.0));
    assert_eq!(value(Metric::UnmovableBlocks, 9), Some(0.25));
    assert_eq!(value(Metric::UnknownBlocks, 9), Some(0.25));
    // The only aligned block of 4 MiB has the second and the third one.
    assert_eq!(value(Metric::UnmovableBlocks, 10), Some(1.0));
    assert_eq!(value(Metric::FreeContiguity, 10), Some(0.0));
    // There is none of 1 GiB.
    assert_eq!(value(Metric::UnmovableBlocks, 18), None);
}

#[test]
fn a_part_of_nothing_has_no_ratio() {
    let nothing = ContiguityMetricsAccumulator::new(PAGE).finish();
    for record in MetricRecord::of_process(&nothing) {
        let is_ratio = record.unit == MetricUnit::Ratio;
        assert_eq!(record.value.is_none(), is_ratio, "{record:?}");
    }
}

#[test]
fn every_name_ends_with_its_unit() {
    for metric in Metric::ALL {
        let end = format!("_{}", metric.unit().name());
        assert!(metric.name().ends_with(&end), "{metric:?}");
    }
}

#[test]
fn zones_have_indices_by_order_and_shares_of_aligned_blocks() {
    let text = "Node 1, zone Normal 0 0 0 0 0 0 0 0 1 1 0\n";
    let [zone] = <[FreeBlocks; 1]>::try_from(FreeBlocks::parse(text)).unwrap();
    let records = MetricRecord::of_free_blocks(&zone, PAGE);
    assert!(records
        .iter()
        .all(|record| record.node == Some(1) && record.zone.as_deref() == Some("Normal")));
    let of = |metric: Metric, order: u32| {
        let mut of = records.iter().filter(|record| record.name == metric);
        let record = of.find(|record| record.page_order == Some(order))?;
        record.value.map(Real::get)
    };
    assert_eq!(of(Metric::UnusableFreeSpace, 8), Some(0.0));
    assert_eq!(of(Metric::UnusableFreeSpace, 9), Some(0.333));
    assert_eq!(of(Metric::UnusableFreeSpace, 10), Some(1.0));
    assert_eq!(of(Metric::FragmentationIndex, 9), Some(-1.0));
    // 1000 - (1000 + 768 * 1000 / 1024) / 2.
    assert_eq!(of(Metric::FragmentationIndex, 10), Some(0.125));
    assert_eq!(of(Metric::FreeContiguity, 9), Some(512.0 / 768.0));
    assert_eq!(of(Metric::FreeContiguity, 10), Some(0.0));
    let shares = records
        .iter()
        .filter(|record| record.name == Metric::FreeContiguity);
    // The allocator has no blocks of 32 MiB and 1 GiB.
    assert_eq!(shares.count(), 2);
    // No share of no memory.
    let [empty] = <[FreeBlocks; 1]>::try_from(FreeBlocks::parse("Node 0, zone DMA 0 0\n")).unwrap();
    let records = MetricRecord::of_free_blocks(&empty, PageSize::from_bytes(1 << 20).unwrap());
    let shares: Vec<_> = records
        .iter()
        .filter(|record| record.name == Metric::FreeContiguity)
        .collect();
    assert_eq!((shares.len(), shares[0].value), (1, None));
}

#[test]
fn numbers_that_are_not_whole_are_finite_and_in_order() {
    assert_eq!(Real::new(f64::NAN), None);
    assert_eq!(Real::ratio(1, 0), None);
    assert_eq!(Real::ratio(0, 0), None);
    assert_eq!(Real::new(-0.0), Some(Real::default()));
    assert_eq!(Real::new(-0.0).unwrap().to_string(), "0");
    assert_eq!(Real::from(1u64 << 53).to_string(), "9007199254740992");
    assert_eq!(Real::thousandths(-1000).to_string(), "-1");
    assert_eq!(Real::thousandths(333).to_string(), "0.333");
}
