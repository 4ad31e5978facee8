//! Values of metrics from the last walks. Reads nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use process_introspection::{
    lock_time, FrameUse, MappingKind, MemoryBalance, MemoryCounters, PageSize, UseCounter,
};
use process_introspection_export::{GroupRecord, Metric, MetricRecord, Name};

use super::family::{self, Family};
use super::groups;
use super::reading::{Cost, Processes, Walked};
use super::text::Samples;
use super::Selection;
use crate::grouping::Property;
use crate::pace::cpu_time;

/// Walks of one part of the machine.
#[derive(Debug)]
struct Part<T> {
    last: Option<Walked<T>>,
    walks: u64,
    failures: u64,
    /// Why the last walk failed.
    failed: Option<String>,
}

impl<T> Part<T> {
    const NONE: Self = Self {
        last: None,
        walks: 0,
        failures: 0,
        failed: None,
    };

    /// Takes in a walk. After one that has failed, the values of the last one stay.
    fn take(&mut self, walk: Result<Walked<T>, String>) {
        match walk {
            Ok(walked) => {
                self.walks += 1;
                self.failed = None;
                self.last = Some(walked);
            }
            Err(why) => {
                self.failures += 1;
                self.failed = Some(why);
            }
        }
    }

    fn cost(&self) -> Option<&Cost> {
        self.last.as_ref().map(|walked| &walked.cost)
    }
}

/// Known facts of the machine.
#[derive(Debug)]
pub(super) struct Known {
    frames: Part<MemoryBalance>,
    processes: Part<Processes>,
    counters: Option<MemoryCounters>,
    started: SystemTime,
    /// Part of one CPU that walks may use, in thousandths; `None` without a limit.
    pub(super) budget: Option<u32>,
}

impl Known {
    /// Nothing is known yet.
    pub(super) fn new() -> Self {
        Self {
            frames: Part::NONE,
            processes: Part::NONE,
            counters: None,
            started: SystemTime::now(),
            budget: None,
        }
    }

    pub(super) fn take_frames(&mut self, walk: Result<Walked<MemoryBalance>, String>) {
        self.frames.take(walk);
    }

    pub(super) fn take_processes(&mut self, walk: Walked<Processes>) {
        self.processes.take(Ok(walk));
    }

    pub(super) fn fail_processes(&mut self, why: String) {
        self.processes.take(Err(why));
    }

    pub(super) fn take_counters(&mut self, counters: MemoryCounters) {
        self.counters = Some(counters);
    }

    /// Returns why metrics are missing, a line for each reason.
    pub(super) fn complaints(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(why) = &self.frames.failed {
            lines.push(format!("no metrics of frames: {why}"));
        }
        if let Some(why) = &self.processes.failed {
            lines.push(format!("no metrics of processes: {why}"));
        }
        lines
    }
}

/// Returns the name of the label of groups.
fn group_label(by: Property) -> &'static str {
    match by {
        Property::Command => "command",
        Property::Cgroup => "cgroup",
        Property::Unit => "unit",
        Property::Container => "container",
        Property::User => "user",
    }
}

/// Returns the values of all series. `listed` has the labels of the groups of the last ones.
pub(super) fn samples(
    known: &Known,
    selection: &Selection,
    listed: &mut BTreeSet<String>,
) -> Samples {
    let mut samples = Samples::default();
    let balance = known.frames.last.as_ref().map(|walked| &walked.found);
    if let Some(counters) = &known.counters {
        add_counters(&mut samples, counters);
    }
    if let Some(balance) = balance {
        add_frames(&mut samples, balance);
    }
    if let Some(walked) = &known.processes.last {
        add_processes(&mut samples, &walked.found);
        add_groups(&mut samples, &walked.found, selection, listed);
    }
    add_own(&mut samples, known);
    samples
}

/// Adds what the kernel counts.
fn add_counters(samples: &mut Samples, counters: &MemoryCounters) {
    let page = PageSize::base();
    let mut nodes = BTreeMap::<u32, u64>::new();
    for zone in counters.zones() {
        *nodes.entry(zone.node).or_default() += zone.present * page.bytes();
    }
    for (node, bytes) in nodes {
        let node = node.to_string();
        samples.add(&family::PRESENT, &[("node", &node)], bytes as f64);
    }
    for counter in UseCounter::ALL {
        let value = counter.value(counters).map(|bytes| bytes as f64);
        samples.add_known(&family::COUNTER, &[("counter", counter.name)], value);
    }
    let zones = counters.free_blocks().iter();
    for metric in zones.flat_map(|zone| MetricRecord::of_free_blocks(zone, page)) {
        add_of_zone(samples, &metric);
    }
}

/// Adds a metric of the free blocks of a zone.
fn add_of_zone(samples: &mut Samples, metric: &MetricRecord<'_>) {
    let family = match metric.name {
        Metric::UnusableFreeSpace => &family::UNUSABLE,
        Metric::FragmentationIndex => &family::FRAGMENTATION,
        // Other metrics are of the whole machine, not of a zone.
        _ => return,
    };
    let (node, order) = (text(metric.node), text(metric.page_order));
    let zone = metric.zone.as_deref().unwrap_or_default();
    let labels = [("node", &node[..]), ("zone", zone), ("order", &order)];
    samples.add_known(family, &labels, metric.value.map(|value| value.get()));
}

fn text(number: Option<impl ToString>) -> String {
    number.map_or(String::new(), |number| number.to_string())
}

/// Adds what a walk of all frames has found.
fn add_frames(samples: &mut Samples, balance: &MemoryBalance) {
    let census = balance.census();
    let page = census.page_size().bytes();
    // Zones of a node are neighbours, and frames outside of all zones come last.
    let mut nodes = BTreeMap::<Option<u32>, BTreeMap<&str, u64>>::new();
    for zone in census.zones() {
        let uses = nodes.entry(zone.node).or_default();
        for (frame_use, frames) in zone.uses.iter() {
            *uses.entry(frame_use.name()).or_default() += frames * page;
        }
    }
    for (node, uses) in nodes {
        let is_empty = uses.values().all(|&bytes| bytes == 0);
        let label = text(node);
        for frame_use in FrameUse::ALL.map(FrameUse::name) {
            let bytes = uses.get(frame_use).copied().unwrap_or_default();
            if node.is_some() || !is_empty {
                let labels = [("use", frame_use), ("node", &label)];
                samples.add(&family::MEMORY, &labels, bytes as f64);
            }
        }
    }
    let total = census.total();
    for counter in UseCounter::ALL {
        let frames: u64 = counter.uses.iter().map(|&one| total[one]).sum();
        let labels = [("counter", counter.name)];
        samples.add(&family::COUNTED, &labels, (frames * page) as f64);
    }
    for (part, bytes) in balance.unflagged() {
        samples.add(&family::UNFLAGGED, &[("part", part.name())], bytes as f64);
    }
    samples.add(&family::UNEXPLAINED, &[], balance.unexplained() as f64);
    for metric in MetricRecord::of_machine(balance) {
        let family = match (metric.zone.is_none(), metric.name) {
            (true, Metric::FreeContiguity) => &family::FREE_CONTIGUITY,
            (true, Metric::UnmovableBlocks) => &family::UNMOVABLE,
            (true, Metric::UnknownBlocks) => &family::UNKNOWN_BLOCKS,
            _ => continue,
        };
        let labels = [("size", &text(metric.size)[..])];
        samples.add_known(family, &labels, metric.value.map(|value| value.get()));
    }
}

/// Adds sums over all processes.
fn add_processes(samples: &mut Samples, processes: &Processes) {
    let counts = &processes.counts;
    for (result, count) in [
        ("read", counts.read),
        ("denied", counts.denied),
        ("silent", counts.silent),
        ("failed", counts.failed),
        ("ended", counts.ended),
        ("hidden", counts.hidden),
    ] {
        samples.add(&family::PROCESSES, &[("result", result)], count as f64);
    }
    let mut all = (0, 0);
    let mut add = |kind: &str, resident: u64, huge: u64| {
        let labels = [("kind", kind)];
        samples.add(&family::MAPPED, &labels, resident as f64);
        if processes.knows_huge {
            samples.add(&family::HUGE_MAPPED, &labels, huge as f64);
            if resident > 0 {
                let ratio = huge as f64 / resident as f64;
                samples.add(&family::COVERAGE, &labels, ratio);
            }
        }
    };
    for kind in MappingKind::ALL.map(MappingKind::name) {
        let mapped = processes.kinds.get(kind).copied().unwrap_or_default();
        add(kind, mapped.resident, mapped.huge);
        all = (all.0 + mapped.resident, all.1 + mapped.huge);
    }
    add("all", all.0, all.1);
}

/// Adds the largest groups, and the sum of the others.
fn add_groups(
    samples: &mut Samples,
    processes: &Processes,
    selection: &Selection,
    listed: &mut BTreeSet<String>,
) {
    let rows = processes.groups.rows.iter();
    let records = rows.map(|(name, memory)| GroupRecord::new(Name(name), None, memory));
    let records: Vec<_> = records.collect();
    samples.add(&family::GROUPS, &[], records.len() as f64);
    let by = group_label(selection.by);
    for (label, group) in groups::choose(&records, selection.top, listed) {
        let labels = [(by, &label[..])];
        let known = |bytes: Option<u64>| bytes.map(|bytes| bytes as f64);
        let values: [(&'static Family, Option<f64>); 6] = [
            (&family::GROUP_MEMORY, known(group.memory)),
            (&family::GROUP_SHARED, known(group.shared)),
            (&family::GROUP_PROPORTIONAL, known(group.proportional)),
            (&family::GROUP_RESIDENT, known(Some(group.resident))),
            (&family::GROUP_SWAP, known(Some(group.swap))),
            (&family::GROUP_PROCESSES, known(Some(group.processes))),
        ];
        for (family, value) in values {
            samples.add_known(family, &labels, value);
        }
    }
}

/// Adds what the command costs, and how old values are.
fn add_own(samples: &mut Samples, known: &Known) {
    let lock = lock_time();
    let seconds = Duration::from_nanos(lock.nanoseconds).as_secs_f64();
    samples.add(&family::LOCK, &[], seconds);
    samples.add(&family::LOCK_CALLS, &[], lock.calls as f64);
    samples.add(&family::CPU, &[], cpu_time().as_secs_f64());
    let budget = known.budget.map(|budget| f64::from(budget) / 1000.0);
    samples.add_known(&family::BUDGET, &[], budget);
    let (frames, processes) = (&known.frames, &known.processes);
    for (part, walks, failures, cost) in [
        ("frames", frames.walks, frames.failures, frames.cost()),
        (
            "processes",
            processes.walks,
            processes.failures,
            processes.cost(),
        ),
    ] {
        let labels = [("part", part)];
        samples.add(&family::WALKS, &labels, walks as f64);
        samples.add(&family::FAILURES, &labels, failures as f64);
        if let Some(cost) = cost {
            let (duration, cpu) = (cost.duration.as_secs_f64(), cost.cpu.as_secs_f64());
            samples.add(&family::WALK_END, &labels, unix(cost.end));
            samples.add(&family::WALK_DURATION, &labels, duration);
            samples.add(&family::WALK_CPU, &labels, cpu);
            samples.add(&family::WALK_LOCK, &labels, cost.lock.as_secs_f64());
        }
    }
    samples.add(&family::START, &[], unix(known.started));
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    samples.add(&family::BUILD, &version, 1.0);
}

/// Returns a time as seconds since 1970, exact to a millisecond.
fn unix(time: SystemTime) -> f64 {
    let time = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    time.as_millis() as f64 / 1000.0
}
