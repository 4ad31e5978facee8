//! Pictures of summaries: what the memory of a process consists of, or of several beside each
//! other. Must not know where records come from.

use std::cmp::Reverse;

use process_introspection::{FrameUse, MappingKind};
use process_introspection_export::{
    percent, policy_label, rough, ContiguityRecord, HugePagesRecord, KindRecord, NodeRecord,
    PagesRecord, State, SummaryRecord, UsageRecord,
};

use crate::palette;
use crate::svg::canvas::{Canvas, Fill};
use crate::svg::chart::{BarRow, Column, Part};
use crate::svg::size_fill;
use crate::svg::text::{self, Style};

/// Number of processes that have a row.
const PROCESSES: usize = 30;
/// Number of nodes that have a row.
const NODES: usize = 16;

/// Returns the picture of the summary of one process. `missing` are facts that the caller of
/// the command could not see, in words.
pub fn draw(record: &SummaryRecord, missing: &[String]) -> String {
    let mut canvas = Canvas::default();
    let title = format!("Memory of process {}", record.pid);
    let mut figures = vec![figures(record)];
    figures.extend(missing.iter().map(|why| format!("({why})")));
    let top = canvas.title(
        &title,
        &text::command_bytes(&record.command, record.command_hex.as_deref()),
        &figures,
    );
    let mut y = canvas.kinds(record, top);
    let (mut left, mut right) = (y, y);
    if let Some(pages) = record.page_sizes.as_ref().filter(|pages| !pages.is_empty()) {
        left = canvas.pages(pages, left);
    }
    if let Some(huge) = &record.huge_pages {
        left = canvas.huge_pages(huge, &record.total, left);
    }
    if let Some(contiguity) = &record.contiguity {
        right = canvas.contiguity(contiguity, right);
    }
    let nodes = record.nodes.as_deref().unwrap_or_default();
    if nodes.len() > 1 {
        right = canvas.nodes(nodes, right);
    }
    y = left.max(right);
    canvas.finish(y + 14.0, &title, &description(record))
}

/// Returns the picture of summaries of several processes, in this order.
pub fn draw_several(records: &[SummaryRecord]) -> String {
    let mut canvas = Canvas::default();
    let title = match records.len() {
        1 => "Memory of 1 process".to_owned(),
        count => format!("Memory of {count} processes"),
    };
    let sum = |of: fn(&SummaryRecord) -> Option<u64>| records.iter().map(of).sum::<Option<u64>>();
    let pss = sum(|record| record.total.pss).map(rough);
    let resident = sum(|record| Some(record.total.resident + record.total.hugetlb));
    let mut words = format!("PSS {} in all", pss.as_deref().unwrap_or("unknown"));
    if let Some(most) = records.first() {
        let size = rough(most.total.resident + most.total.hugetlb);
        words += &format!("; the first, process {}, maps {size}", most.pid);
    }
    let figures = format!(
        "{words}. Bars are memory that a process maps, with hugetlb, by kind: memory that several \
         map is in the bar of each, so that the sum of bars, {}, can be more than there is.",
        rough(resident.unwrap_or(0))
    );
    let y = canvas.title(&title, b"", std::slice::from_ref(&figures));
    let shown = &records[..records.len().min(PROCESSES)];
    let mut used = vec![false; palette::KINDS.len()];
    let parts_of = |record: &SummaryRecord| -> Vec<Part> {
        let kinds = palette::KINDS.iter().map(|class| {
            let of_kind = record.kinds.iter().filter(|kind| kind.kind == class.word);
            let bytes = of_kind.map(|kind| kind.usage.resident + kind.usage.hugetlb);
            Part::new(class.word, class, bytes.sum())
        });
        kinds.collect()
    };
    let all: Vec<_> = records.iter().map(parts_of).collect();
    for parts in &all {
        let used = used.iter_mut().zip(parts);
        used.for_each(|(used, part)| *used |= part.bytes > 0);
    }
    let classes = palette::KINDS.iter().zip(&used);
    let legend: Vec<_> = classes
        .filter(|(_, &used)| used)
        .map(|(class, _)| (Fill::from(class), class.word.to_owned()))
        .collect();
    let mut y = canvas.legend(Column::ALL, y, &legend) + 6.0;
    let memory = |parts: &[Part]| parts.iter().map(|part| part.bytes).sum::<u64>();
    let largest = all.iter().map(|parts| memory(parts)).max().unwrap_or(0);
    y = canvas.process_head(y);
    for (record, parts) in shown.iter().zip(&all) {
        y = canvas.process(y, record, parts, largest);
    }
    let rest = &all[shown.len()..];
    if !rest.is_empty() {
        let bytes = rest.iter().map(|parts| memory(parts)).sum();
        let words = format!("{} others map {}.", rest.len(), rough(bytes));
        y = canvas.prose(Column::ALL, y, Style::Muted, &words) + 8.0;
    }
    canvas.finish(y + 14.0, &title, &figures)
}

/// Returns a size, `unknown` without one.
fn known(bytes: Option<u64>) -> String {
    bytes.map_or("unknown".to_owned(), rough)
}

fn figures(record: &SummaryRecord) -> String {
    let total = &record.total;
    let mut words = format!(
        "{} in {} mappings, {} resident, PSS {}, USS {}",
        rough(total.virt),
        record.mappings,
        rough(total.resident),
        known(total.pss),
        known(total.uss),
    );
    for (bytes, what) in [(total.hugetlb, "hugetlb"), (total.swap, "in swap")] {
        if bytes > 0 {
            words += &format!(", {} {what}", rough(bytes));
        }
    }
    words + "."
}

fn description(record: &SummaryRecord) -> String {
    let mut words = figures(record);
    words.pop();
    let mut kinds: Vec<_> = record.kinds.iter().collect();
    let memory = |usage: &UsageRecord| usage.resident + usage.hugetlb;
    kinds.sort_by_key(|kind| Reverse(memory(&kind.usage)));
    let all = memory(&record.total);
    if let Some(most) = kinds.first().filter(|kind| memory(&kind.usage) > 0) {
        let share = percent(memory(&most.usage), all);
        words += &format!("; {share} of the memory is of kind {}", most.kind);
    }
    if let Some(huge) = &record.huge_pages {
        let share = percent(huge.mapped + record.total.hugetlb, all);
        words += &format!("; huge pages map {share} of it");
    }
    if let Some(contiguity) = &record.contiguity {
        words += &format!("; it is in {} extents", contiguity.extents);
    }
    words + "."
}

/// Returns the parts of memory by state.
fn states(usage: &UsageRecord) -> [Part; 5] {
    let state = |state, bytes| {
        let class = palette::of_state(state);
        Part::new(class.word, class, bytes)
    };
    let hugetlb = palette::of_use(FrameUse::HugetlbMapped);
    let shared = palette::of_use(FrameUse::SwapCache);
    let unique = usage.uss.unwrap_or(usage.resident).min(usage.resident);
    [
        Part::new("resident", palette::of_state(State::Ram), unique),
        Part::new(
            "resident, mapped by others too",
            shared,
            usage.resident - unique,
        ),
        Part::new("hugetlb", hugetlb, usage.hugetlb),
        state(State::Zero, usage.zero.unwrap_or(0)),
        state(State::Swapped, usage.swap),
    ]
}

impl Canvas {
    /// Draws a bar for each kind, in which memory is by state.
    fn kinds(&mut self, record: &SummaryRecord, top: f64) -> f64 {
        let sum = |usage: &UsageRecord| states(usage).iter().map(|part| part.bytes).sum::<u64>();
        let y = self.heading(Column::ALL, top - 8.0, "Kinds of mappings", "by state");
        let total = states(&record.total);
        let shown = total.iter().filter(|part| part.bytes > 0);
        let legend: Vec<_> = shown
            .map(|part| (part.fill, format!("{} {}", part.word, rough(part.bytes))))
            .collect();
        let mut y = self.legend(Column::ALL, y, &legend) + 4.0;
        let largest = record.kinds.iter().map(|kind| sum(&kind.usage)).max();
        let mut kinds: Vec<&KindRecord> = record.kinds.iter().collect();
        let of = |word: &str| MappingKind::ALL.iter().position(|kind| kind.name() == word);
        kinds.sort_by_key(|kind| (Reverse(sum(&kind.usage)), of(kind.kind)));
        y = self.kind_head(y);
        for kind in kinds {
            y = self.kind(y, kind, &states(&kind.usage), largest.unwrap_or(0));
        }
        y
    }

    /// Draws memory by class of page.
    fn pages(&mut self, pages: &[PagesRecord], top: f64) -> f64 {
        let all = pages.iter().map(|pages| pages.bytes).sum();
        let y = self.heading(Column::LEFT, top, "Pages", "of memory");
        let base = pages.iter().filter(|pages| pages.pages == "base");
        let base = base.filter_map(|pages| pages.size).next().unwrap_or(4096);
        let rows = pages.iter().map(|pages| {
            let size = pages.size.map(rough).unwrap_or_default();
            let fill = match pages.size {
                Some(size) => size_fill(size, base),
                None => Fill::from(&palette::OTHER),
            };
            match pages.pages {
                "base" => BarRow::word(size, fill, pages.bytes),
                "part" => BarRow::word("parts of larger", fill, pages.bytes),
                other => BarRow::word(format!("{size} {other}"), fill, pages.bytes),
            }
        });
        self.bars(Column::LEFT, y, &rows.collect::<Vec<_>>(), all)
    }

    /// Draws what huge pages map, and what keeps the rest.
    fn huge_pages(&mut self, huge: &HugePagesRecord, total: &UsageRecord, top: f64) -> f64 {
        let whole = total.resident + total.hugetlb;
        let mapped = huge.mapped + total.hugetlb;
        let words = match whole {
            0 => "nothing is resident".to_owned(),
            _ => format!("map {} of {}", percent(mapped, whole), rough(whole)),
        };
        let y = self.heading(Column::LEFT, top, "Huge pages", &words);
        let mut rows = Vec::new();
        let hugetlb = palette::of_use(FrameUse::HugetlbMapped);
        if total.hugetlb > 0 {
            rows.push(BarRow::word("hugetlb", hugetlb, total.hugetlb));
        }
        let size = format!("huge, {}", rough(huge.size));
        rows.push(BarRow::word(size, &palette::KINDS[0], huge.mapped));
        let why = &palette::OTHER;
        let mut policies: Vec<_> = huge.policies.iter().collect();
        policies.sort_by_key(|policy| Reverse(policy.bytes));
        let policies = policies.iter();
        rows.extend(policies.map(|policy| {
            let label = text::tame(&policy_label(policy));
            BarRow::word(label, why, policy.bytes)
        }));
        let reasons = huge.reasons();
        rows.extend(reasons.map(|(reason, bytes)| BarRow::word(reason, why, bytes)));
        let y = self.bars(Column::LEFT, y, &rows, whole);
        let words = "Grey: why small entries map it.";
        self.prose(Column::LEFT, y - 2.0, Style::Muted, words) + 8.0
    }

    /// Draws the memory on each node.
    fn nodes(&mut self, nodes: &[NodeRecord], top: f64) -> f64 {
        let all = nodes.iter().map(|node| node.bytes).sum();
        let y = self.heading(Column::RIGHT, top, "Nodes", "");
        let colors = palette::SERIES.iter().cycle();
        let mut rows: Vec<_> = nodes
            .iter()
            .take(NODES)
            .zip(colors)
            .map(|(node, &color)| {
                let name = match node.node {
                    Some(node) => format!("node {node}"),
                    None => "unknown".to_owned(),
                };
                BarRow::word(name, Fill::new(color, color), node.bytes)
            })
            .collect();
        let rest = nodes.get(NODES..).unwrap_or_default();
        if !rest.is_empty() {
            let bytes = rest.iter().map(|node| node.bytes).sum();
            let words = format!("{} others", rest.len());
            rows.push(BarRow::word(words, &palette::OTHER, bytes));
        }
        self.bars(Column::RIGHT, y, &rows, all)
    }

    fn contiguity(&mut self, contiguity: &ContiguityRecord, top: f64) -> f64 {
        let column = Column::RIGHT;
        let words = format!("{} for {}", contiguity.extents, rough(contiguity.bytes));
        let y = self.heading(column, top, "Extents", &words);
        let classes = &contiguity.histogram;
        let smallest = classes.iter().map(|class| class.least).min().unwrap_or(1);
        let rows = classes.iter().map(|class| {
            let fill = size_fill(class.least, smallest.min(4096));
            let name = format!("{}-{}", rough(class.least), rough(2 * class.least));
            BarRow::word(name, fill, class.bytes).with(format!("{}x", class.count))
        });
        let y = self.bars(column, y, &rows.collect::<Vec<_>>(), contiguity.bytes);
        let at_least = contiguity.at_least.iter().map(|least| {
            let share = percent(least.bytes, contiguity.bytes);
            format!("{share} in extents of at least {}", rough(least.size))
        });
        let largest: Vec<_> = contiguity.largest.iter().map(|&size| rough(size)).collect();
        let words = format!(
            "Median {}, half of the memory in {} or more, largest {}; {}.",
            known(contiguity.median),
            known(contiguity.half_in),
            largest.join(" "),
            at_least.collect::<Vec<_>>().join(", ")
        );
        match contiguity.extents {
            0 => y,
            _ => self.prose(column, y - 2.0, Style::Muted, &words) + 8.0,
        }
    }
}
