//! Table of numbers of the machine: the kernel's counters, and metrics of free memory.

use std::collections::HashMap;

use process_introspection::{FreeBlocks, MemoryCounter, MemoryCounters, PageSize, Zone};
use process_introspection_export::{record, MetricRecord, Real};

record! {
    /// Number of the machine. Only with --frames.
    pub struct MetricRow: Readable {
        /// Name, which ends with the unit: a counter of the kernel with _bytes behind it, a
        /// count of a zone, or a published metric (docs/METRICS.md).
        pub name: String,
        /// Value.
        pub value: Option<Real> = null("if it is unknown"),
        /// When a counter was read: before the frames, or after them.
        pub kind: Option<String> = null("if it is no counter"),
        /// NUMA node.
        pub node: Option<u32> = null("if it is of no single node"),
        /// Zone.
        pub zone: Option<String> = null("if it is of no single zone"),
        /// Order of blocks of free memory: 2^page_order base pages.
        pub page_order: Option<u32> = null("if it is of no single size"),
        /// Path of the memory cgroup.
        pub cgroup: Option<String> = null("if it is of no cgroup"),
    }
}

/// Moment at which counters were read.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Before the frames were read.
    Before,
    /// After the frames were read.
    After,
}

impl Moment {
    /// Returns its name in column kind.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
        }
    }
}

/// Name of the count of free blocks.
const FREE_BLOCKS: &str = "free_blocks_count";
/// Name of the truth whether kernel stacks are memory of vmalloc.
const STACKS: &str = "stacks_in_vmalloc_count";

/// Returns the name of a counter of the kernel.
fn counter_name(counter: MemoryCounter) -> String {
    format!("{}_bytes", counter.name())
}

/// Returns the name of a count of a zone.
fn zone_name(count: &str) -> String {
    format!("zone_{count}_pages")
}

impl MetricRow {
    fn new(name: impl Into<String>, value: u64, moment: Moment) -> Self {
        Self {
            name: name.into(),
            value: Some(value.into()),
            kind: Some(moment.name().to_owned()),
            node: None,
            zone: None,
            page_order: None,
            cgroup: None,
        }
    }

    fn of_zone(self, node: u32, zone: &str) -> Self {
        Self {
            node: Some(node),
            zone: Some(zone.to_owned()),
            ..self
        }
    }

    /// Returns the rows of counters that were read at this moment.
    pub fn of_counters(counters: &MemoryCounters, moment: Moment) -> Vec<Self> {
        let known = MemoryCounter::ALL.into_iter();
        let known = known.filter_map(|counter| Some((counter, counters.get(counter)?)));
        let mut rows: Vec<_> = known
            .map(|(counter, bytes)| Self::new(counter_name(counter), bytes, moment))
            .collect();
        let stacks = u64::from(counters.stacks_in_vmalloc());
        rows.push(Self::new(STACKS, stacks, moment));
        for zone in counters.zones() {
            rows.extend(zone.counts().map(|(name, pages)| {
                Self::new(zone_name(name), pages, moment).of_zone(zone.node, &zone.name)
            }));
        }
        for zone in counters.free_blocks() {
            rows.extend((0..).zip(&zone.counts).map(|(order, &blocks)| Self {
                page_order: Some(order),
                ..Self::new(FREE_BLOCKS, blocks, moment).of_zone(zone.node, &zone.zone)
            }));
        }
        rows
    }

    /// Returns the row of a published metric.
    pub fn of_metric(metric: MetricRecord<'_>) -> Self {
        Self {
            name: metric.name.name().to_owned(),
            value: metric.value,
            kind: None,
            node: metric.node,
            zone: metric.zone,
            page_order: metric.page_order,
            cgroup: None,
        }
    }

    /// Returns the counters that were read at a moment, from all rows of a snapshot. `page` is
    /// the base page size of its machine.
    pub fn counters(rows: &[Self], moment: Moment, page: PageSize) -> MemoryCounters {
        let rows = rows.iter();
        let rows = rows.filter(|row| row.kind.as_deref() == Some(moment.name()));
        let whole = |row: &Self| row.value.map(|value| value.get() as u64);
        let mut values = HashMap::new();
        // In the order of the rows, which is the kernel's.
        let mut zones: Vec<(u32, String, HashMap<&str, u64>)> = Vec::new();
        let mut free: Vec<(u32, String, Vec<u64>)> = Vec::new();
        for row in rows {
            let Some(value) = whole(row) else { continue };
            let (Some(node), Some(zone)) = (row.node, &row.zone) else {
                values.insert(&*row.name, value);
                continue;
            };
            let is_same = |of: u32, name: &String| of == node && name == zone;
            match row.page_order {
                Some(_) if row.name == FREE_BLOCKS => {
                    match free.iter_mut().find(|(of, name, _)| is_same(*of, name)) {
                        Some((_, _, counts)) => counts.push(value),
                        None => free.push((node, zone.clone(), vec![value])),
                    }
                }
                Some(_) => {}
                None => {
                    let at = zones.iter().position(|(of, name, _)| is_same(*of, name));
                    let at = at.unwrap_or_else(|| {
                        zones.push((node, zone.clone(), HashMap::new()));
                        zones.len() - 1
                    });
                    zones[at].2.insert(&row.name, value);
                }
            }
        }
        let zones = zones.into_iter().map(|(node, name, counts)| {
            Zone::from_counts(node, name, |count| {
                counts.get(&*zone_name(count)).copied().unwrap_or(0)
            })
        });
        let free = free.into_iter();
        MemoryCounters::from_parts(
            |counter| values.get(&*counter_name(counter)).copied(),
            zones.collect(),
            free.map(|(node, zone, counts)| FreeBlocks { node, zone, counts })
                .collect(),
            values.get(STACKS) != Some(&0),
            page,
        )
    }
}
