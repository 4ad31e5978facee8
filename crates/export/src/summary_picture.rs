//! Picture of a summary: one screen of text with bars. Knows no source of the numbers.

use std::cmp::Reverse;

use crate::delimited::Lines;
use crate::field::{Field, Fields, Visit};
use crate::huge_advice;
use crate::huge_pages::HugePagesRecord;
use crate::name::Name;
use crate::number::rough;
use crate::record::{Layout, Record};
use crate::screen::{or_dash, percent, Screen};
use crate::summary::{ContiguityRecord, NodeRecord, SummaryRecord, UsageRecord};
use crate::thp::ThpRecord;

/// Summary as a picture in tables; in other formats the summary itself.
#[derive(Clone, Debug)]
pub struct SummaryPicture<'a> {
    /// Summary that is shown.
    pub record: &'a SummaryRecord,
    /// Facts that the caller cannot know, in words: a line each.
    pub missing: &'a [String],
    /// Whether the machine has several NUMA nodes: shows memory by kind and node.
    pub by_node: bool,
    /// Whether bars are of `#` alone, for terminals that have no other blocks.
    pub ascii: bool,
}

impl Fields for SummaryPicture<'_> {
    const FIELDS: &'static [Field] = SummaryRecord::FIELDS;
    const MEANING: &'static str = SummaryRecord::MEANING;

    fn visit(&self, visit: &mut impl Visit) {
        self.record.visit(visit);
    }
}

impl Record for SummaryPicture<'_> {
    const LAYOUT: Layout = SummaryRecord::LAYOUT;

    fn lines(&self, lines: &mut Lines<'_>) {
        self.record.lines(lines);
    }

    fn picture(&self, width: Option<usize>) -> String {
        let mut screen = Screen::new(width, self.ascii);
        screen.draw(self);
        screen.into_text()
    }
}

impl Screen {
    fn draw(&mut self, picture: &SummaryPicture<'_>) {
        let SummaryPicture {
            record, missing, ..
        } = *picture;
        let mut title = format!("{} ", record.pid).into_bytes();
        let left = self.width - title.len();
        Name(record.command.as_bytes()).push_command(Some(left), &mut title);
        self.line(&String::from_utf8_lossy(&title));
        for why in missing {
            self.prose("  ", &format!("({why})"));
        }
        if record.mappings == 0 {
            self.prose(
                "  ",
                "(it has no memory: it belongs to the kernel, or has ended)",
            );
            return;
        }
        self.line("");
        self.usage(record);
        self.pages(record);
        if let Some(huge) = &record.huge_pages {
            self.huge_pages(huge, record.thp.as_ref(), &record.total);
        }
        if let Some(contiguity) = &record.contiguity {
            self.contiguity(contiguity);
        }
        match (&record.nodes, picture.by_node) {
            (Some(nodes), true) => self.nodes_by_kind(record, nodes),
            (Some(nodes), false) => self.nodes(nodes),
            (None, _) => {}
        }
    }

    /// Appends a line of all nodes.
    fn nodes(&mut self, nodes: &[NodeRecord]) {
        let all: u64 = nodes.iter().map(|node| node.bytes).sum();
        let each = nodes.iter().map(|node| {
            let share = percent(node.bytes, all);
            let name = node
                .node
                .map_or("unknown".to_owned(), |node| node.to_string());
            format!("{name}: {} {share}", rough(node.bytes))
        });
        if !nodes.is_empty() {
            self.line("");
            let title = std::iter::once("nodes".to_owned());
            self.phrases("", "   ", title.chain(each));
        }
    }

    /// Appends a row for each kind that has memory, with a column for each node. The nodes
    /// with the most memory have columns, as many as fit; one column has all others.
    fn nodes_by_kind(&mut self, record: &SummaryRecord, nodes: &[NodeRecord]) {
        const FIRST: usize = 13;
        const WIDTH: usize = 9;
        let mut shown: Vec<_> = nodes.iter().collect();
        shown.sort_by_key(|node| Reverse(node.bytes));
        let fitting = (self.width - FIRST) / WIDTH;
        let has_others = shown.len() > fitting;
        shown.truncate(if has_others { fitting - 1 } else { fitting });
        shown.sort_by_key(|node| node.node.map_or(u64::MAX, u64::from));
        let shown: Vec<_> = shown.iter().map(|node| node.node).collect();
        let row = |name: &str, cells: &mut dyn Iterator<Item = String>| {
            cells.fold(format!("{name:<FIRST$}"), |row, cell| {
                row + &format!("{cell:>WIDTH$}")
            })
        };
        let bytes = |of: &[NodeRecord]| {
            let on = |wanted: &Option<u32>| {
                let same = of.iter().filter(|node| node.node == *wanted);
                same.map(|node| node.bytes).sum::<u64>()
            };
            let mut bytes: Vec<_> = shown.iter().map(on).collect();
            if has_others {
                let all: u64 = of.iter().map(|node| node.bytes).sum();
                bytes.push(all - bytes.iter().sum::<u64>());
            }
            bytes
        };
        if nodes.is_empty() {
            return;
        }
        self.line("");
        let title = |node: &Option<u32>| node.map_or("N?".to_owned(), |node| format!("N{node}"));
        let others = has_others.then(|| "OTHERS".to_owned());
        let mut titles = shown.iter().map(title).chain(others);
        self.line(&row("MEMORY ON", &mut titles));
        for kind in &record.kinds {
            let of_kind = bytes(kind.nodes.as_deref().unwrap_or_default());
            if of_kind.iter().any(|&bytes| bytes > 0) {
                self.line(&row(kind.kind, &mut of_kind.into_iter().map(rough)));
            }
        }
        let (of_all, all) = (bytes(nodes), nodes.iter().map(|node| node.bytes).sum());
        self.line(&row("all", &mut of_all.iter().copied().map(rough)));
        let mut shares = of_all.iter().map(|&bytes| percent(bytes, all));
        self.line(&row("", &mut shares));
    }

    fn usage(&mut self, record: &SummaryRecord) {
        const TITLES: [&str; 7] = [
            "VIRTUAL", "RESIDENT", "PSS", "USS", "SWAP", "ZERO", "HUGETLB",
        ];
        let plural = if record.mappings == 1 { "" } else { "s" };
        let mut all = format!("{} mapping{plural}", record.mappings);
        let mut first = all.len().max(13);
        // Without room between columns, numbers have five characters at most.
        let is_wide = first + 9 * TITLES.len() <= self.width;
        if !is_wide {
            all = format!("{} map{plural}", record.mappings);
            let kinds = record.kinds.iter().map(|kind| kind.kind.len());
            first = kinds.fold(all.len(), usize::max);
        }
        let row = |name: &str, cells: [String; 7]| {
            let mut row = format!("{name:<first$}");
            for (title, cell) in TITLES.iter().zip(cells) {
                let width = if is_wide { 9 } else { 1 + title.len().max(5) };
                row.push_str(&format!("{cell:>width$}"));
            }
            row
        };
        self.line(&row("KIND", TITLES.map(str::to_owned)));
        let cells = |usage: &UsageRecord| {
            [
                rough(usage.virt),
                rough(usage.resident),
                or_dash(usage.pss),
                or_dash(usage.uss),
                rough(usage.swap),
                or_dash(usage.zero),
                rough(usage.hugetlb),
            ]
        };
        for kind in &record.kinds {
            self.line(&row(kind.kind, cells(&kind.usage)));
        }
        self.line(&row(&all, cells(&record.total)));
    }

    fn pages(&mut self, record: &SummaryRecord) {
        let Some(pages) = record.page_sizes.as_ref().filter(|pages| !pages.is_empty()) else {
            return;
        };
        let all: u64 = pages.iter().map(|pages| pages.bytes).sum();
        self.line("");
        self.line("PAGES (of memory)");
        for pages in pages {
            let size = pages.size.map(rough).unwrap_or_default();
            let name = match pages.pages {
                "base" => size,
                "part" => "parts of larger".to_owned(),
                other => format!("{size} {other}"),
            };
            self.bar_line(&name, pages.bytes, all, "");
        }
    }

    fn huge_pages(&mut self, huge: &HugePagesRecord, thp: Option<&ThpRecord>, usage: &UsageRecord) {
        self.line("");
        let (size, resident) = (rough(huge.size), usage.resident + usage.hugetlb);
        if resident == 0 {
            self.line(&format!("HUGE PAGES of {size}: nothing is resident"));
            return;
        }
        let mapped = huge.mapped + usage.hugetlb;
        let share = format!("map {}, {}", rough(mapped), percent(mapped, resident));
        let (pages, of_what) = match usage.hugetlb {
            0 => (
                format!("HUGE PAGES of {size}"),
                "what is resident".to_owned(),
            ),
            hugetlb => {
                let (hugetlb, thp) = (rough(hugetlb), rough(huge.mapped));
                let parts = format!("memory (hugetlb {hugetlb}, THP of {size} {thp})");
                ("HUGE PAGES".to_owned(), parts)
            }
        };
        let rest = match mapped {
            all if all == resident => "",
            _ => "; the rest:",
        };
        self.prose("", &format!("{pages} {share} of {of_what}{rest}"));
        let mut policies: Vec<_> = huge.policies.iter().collect();
        policies.sort_by_key(|policy| Reverse(policy.bytes));
        for policy in policies {
            self.bar_line(&huge_advice::label(policy), policy.bytes, resident, "");
        }
        for (name, bytes) in huge.reasons() {
            self.bar_line(name, bytes, resident, "");
        }
        for line in huge_advice::advice(huge) {
            self.prose("  ", &line);
        }
        if huge.mapped > 0 {
            self.prose("  ", huge_advice::LIMIT);
        }
        let settings = huge_advice::settings(&huge.settings);
        if huge.missed().iter().all(|&(_, bytes)| bytes == 0) {
            return;
        }
        if !settings.is_empty() {
            self.prose("  ", &format!("set: {settings}"));
        }
        let more = thp.map(ThpRecord::settings).unwrap_or_default();
        if !more.is_empty() {
            self.prose("  ", &more);
        }
    }

    fn contiguity(&mut self, contiguity: &ContiguityRecord) {
        self.line("");
        let largest: Vec<_> = contiguity.largest.iter().map(|&size| rough(size)).collect();
        let told = format!(
            "EXTENTS {} (scatter-gather descriptors for all {})",
            contiguity.extents,
            rough(contiguity.bytes)
        );
        self.prose("", &told);
        if contiguity.extents == 0 {
            return;
        }
        let told = format!(
            "median {}, half of the memory in {} or more, largest {}",
            or_dash(contiguity.median),
            or_dash(contiguity.half_in),
            largest.join(" ")
        );
        self.prose("  ", &told);
        let at_least = contiguity.at_least.iter().map(|least| {
            let share = match least.bytes {
                0 => String::new(),
                bytes => format!(" ({})", percent(bytes, contiguity.bytes)),
            };
            format!("{}: {}{share}", rough(least.size), rough(least.bytes))
        });
        let at_least = at_least.collect::<Vec<_>>().join(", ");
        self.prose("  ", &format!("in extents of at least {at_least}"));
        for class in &contiguity.histogram {
            let name = format!("{}-{}", rough(class.least), rough(2 * class.least));
            let count = format!("{:>9}", format!("{}x", class.count));
            self.bar_line(&name, class.bytes, contiguity.bytes, &count);
        }
    }
}
