//! Records of a summary: the memory of one process, and of one mapping, by its parts. A
//! number that the caller cannot know is null, never 0.

use std::collections::BTreeMap;
use std::ffi::OsStr;

use process_introspection::{MappingSummary, PageClass, Summary, Usage};

use crate::delimited::Lines;
use crate::field::{record, Extra, Field, Fields, Visit};
use crate::huge_pages::HugePagesRecord;
use crate::name::Name;
use crate::number::{rough, Hex};
use crate::page::protection_name;
use crate::record::{Layout, Record};
use crate::table::Row;
use crate::thp::ThpRecord;
use crate::value::Text;
use crate::words::{mapping_kinds, BYTES, PROTECTION};

record! {
    /// Amounts of memory, in bytes.
    #[derive(Copy)]
    pub struct UsageRecord: Readable {
        /// Bytes mapped, in memory or not.
        pub virt: u64 = named("virtual").bytes().rough(2, "VIRTUAL", 7),
        /// Bytes in memory, without hugetlb and the zero page (Rss).
        pub resident: u64 = bytes().rough(3, "MEMORY", 6),
        /// Proportional set size: resident memory, each page divided by its number of
        /// mappings (Pss).
        pub pss: Option<u64> = bytes().rough(4, "PSS", 6).null("if it is unknown"),
        /// Unique set size: resident memory that no other process maps (Private_Clean and
        /// Private_Dirty).
        pub uss: Option<u64> = bytes().rough(5, "USS", 6).null("if it is unknown"),
        /// Bytes in swap, by page-table entries: without shared memory in swap.
        pub swap: u64 = bytes().rough(6, "SWAP", 5),
        /// Bytes of the zero page.
        pub zero: Option<u64> = bytes().null("if it is unknown"),
        /// Bytes of hugetlb pages.
        pub hugetlb: u64 = bytes(),
    }
}

impl UsageRecord {
    fn new(usage: &Usage, knows: Knows) -> Self {
        Self {
            virt: usage.virt,
            resident: usage.resident,
            pss: knows.frames.then(|| usage.proportional()),
            uss: knows.frames.then_some(usage.unique),
            swap: usage.swap,
            zero: knows.addresses.then_some(usage.zero),
            hugetlb: usage.hugetlb,
        }
    }
}

/// Facts that the summary's caller could see.
#[derive(Copy, Clone, Debug)]
struct Knows {
    frames: bool,
    addresses: bool,
}

impl From<&Summary> for Knows {
    fn from(summary: &Summary) -> Self {
        Self {
            frames: summary.knows_frames,
            addresses: summary.knows_addresses,
        }
    }
}

record! {
    /// Memory of mappings of one kind.
    pub struct KindRecord: Readable {
        /// Kind of the mappings.
        pub kind: &'static str = one_of(mapping_kinds),
        /// Amounts of memory of all of them.
        pub usage: UsageRecord = flat(),
        /// Their memory, hugetlb included, by NUMA node.
        pub nodes: Option<Vec<NodeRecord>> = null("without addresses"),
    }
}

record! {
    /// Memory in pages of one class.
    #[derive(Copy)]
    pub struct PagesRecord: Readable {
        /// Class: single base pages; larger folios that are mapped whole; parts of larger
        /// folios; hugetlb.
        pub pages: &'static str = one_of(|| vec!["base", "folio", "part", "hugetlb"]),
        /// Size of each page in bytes.
        pub size: Option<u64> = bytes()
            .null("for parts, and where the kernel does not export it"),
        /// Bytes of all pages.
        pub bytes: u64 = bytes(),
    }
}

impl PagesRecord {
    fn new(class: PageClass, bytes: u64, base: u64) -> Self {
        let (pages, size) = match class {
            PageClass::Base => ("base", Some(base)),
            PageClass::Folio(size) => ("folio", Some(size)),
            PageClass::HugeTlb(size) => ("hugetlb", size),
            _ => ("part", None),
        };
        Self { pages, size, bytes }
    }
}

record! {
    /// Memory in extents of at least one size.
    #[derive(Copy)]
    pub struct AtLeastRecord: Readable {
        /// Size in bytes.
        pub size: u64 = bytes(),
        /// Bytes in such extents.
        pub bytes: u64 = bytes(),
    }
}

record! {
    /// Extents from one power of two to the next.
    #[derive(Copy)]
    pub struct ExtentClassRecord: Readable {
        /// Power of two, in bytes.
        pub least: u64 = bytes(),
        /// Number of extents.
        pub count: u64,
        /// Their bytes.
        pub bytes: u64 = bytes(),
    }
}

record! {
    /// Contiguity of memory in both address spaces.
    pub struct ContiguityRecord: Readable {
        /// Bytes of all extents: of memory, with hugetlb and without the zero page.
        pub bytes: u64 = bytes(),
        /// Number of extents: the descriptors of a scatter-gather list of all of it.
        pub extents: u64,
        /// Median of the extents' sizes in bytes.
        pub median: Option<u64> = bytes().null("without extents"),
        /// Largest size for which extents of at least this size have half of the bytes.
        pub half_in: Option<u64> = bytes().null("without extents"),
        /// Sizes of the largest extents, in descending order.
        pub largest: Vec<u64> = bytes(),
        /// Bytes in extents of at least 64 KiB, 2 MiB and 1 GiB.
        pub at_least: Vec<AtLeastRecord>,
        /// Extents by size, without classes that have none.
        pub histogram: Vec<ExtentClassRecord>,
    }
}

record! {
    /// Memory on a NUMA node.
    #[derive(Copy)]
    pub struct NodeRecord: Readable {
        /// NUMA node.
        pub node: Option<u32> = null("if it is unknown"),
        /// Bytes on the node.
        pub bytes: u64 = bytes(),
    }
}

record! {
    /// Summary of the memory of a process.
    pub struct SummaryRecord: Readable {
        /// Process; 0 if it was opened without a PID.
        pub pid: u32,
        /// Command line. Bytes that are not UTF-8 are replaced.
        pub command: String,
        /// All bytes of a command line that is not UTF-8, in hexadecimal.
        pub command_hex: Option<String> = pattern(BYTES).optional(),
        /// Number of mappings.
        pub mappings: u64,
        /// Amounts of memory of all mappings.
        pub total: UsageRecord,
        /// Amounts by kind of mapping, without kinds that the process does not have.
        pub kinds: Vec<KindRecord>,
        /// Resident memory and hugetlb by class of page.
        pub page_sizes: Option<Vec<PagesRecord>> = null("if it is unknown"),
        /// Resident memory by huge page-table entries, in bytes: the part that they map, and
        /// the reasons why they do not map the rest.
        pub huge_pages: Option<HugePagesRecord>
            = null("if the kernel does not export it (before Linux 6.7)"),
        /// Settings and statistics of transparent huge pages of the machine.
        pub thp: Option<ThpRecord> = null("in lists of several processes, and from snapshots"),
        /// Contiguity of the memory in both address spaces.
        pub contiguity: Option<ContiguityRecord> = null("without addresses"),
        /// Memory of all extents by NUMA node.
        pub nodes: Option<Vec<NodeRecord>> = null("without addresses"),
    }
}

record! {
    /// Line of a summary in CSV: one number, or one group of numbers.
    pub(crate) struct SummaryLine<'a> {
        /// Process; 0 if it was opened without a PID.
        pub(crate) pid: u32,
        /// Command line. Bytes that are not UTF-8 are replaced.
        pub(crate) command: Text<'a>,
        /// All bytes of a command line that is not UTF-8, in hexadecimal.
        pub(crate) command_hex: Option<&'a str> = null("if it is UTF-8"),
        /// Group of numbers.
        pub(crate) group: &'a str,
        /// Item of the group.
        pub(crate) item: &'a str,
        /// Amounts of memory.
        pub(crate) usage: Option<UsageRecord> = flat().null("in groups of other numbers"),
        /// Size in bytes.
        pub(crate) size: Option<u64> = bytes().null("in groups without a size"),
        /// Number.
        pub(crate) count: Option<u64> = null("in groups without a number"),
        /// Amount in bytes.
        pub(crate) bytes: Option<u64> = bytes().null("in groups without an amount"),
    }
}

record! {
    /// Row of a process in a table of many.
    pub(crate) struct ProcessRow<'a> {
        /// Process.
        pub(crate) pid: u32 = number(0, "PID", 7),
        /// Bytes in memory.
        pub(crate) resident: u64 = bytes().rough(1, "RESIDENT", 8),
        /// Proportional set size.
        pub(crate) pss: Option<u64> = bytes().rough(2, "PSS", 5).null("if it is unknown"),
        /// Unique set size.
        pub(crate) uss: Option<u64> = bytes().rough(3, "USS", 5).null("if it is unknown"),
        /// Bytes in swap.
        pub(crate) swap: u64 = bytes().rough(4, "SWAP", 5),
        /// Bytes of hugetlb pages.
        pub(crate) hugetlb: u64 = bytes().rough(5, "HUGETLB", 7),
        /// Part of resident memory that huge page-table entries map.
        pub(crate) huge: Option<String> = number(6, "HUGE", 4).null("if it is unknown"),
        /// Number of extents.
        pub(crate) extents: Option<u64> = number(7, "EXTENTS", 7).null("without addresses"),
        /// Command line.
        pub(crate) command: Text<'a> = command(8, "COMMAND"),
    }
}

pub(crate) fn node_records(nodes: &BTreeMap<Option<u32>, u64>) -> Vec<NodeRecord> {
    let each = nodes.iter();
    each.map(|(&node, &bytes)| NodeRecord { node, bytes })
        .collect()
}

/// Number of largest extents that a record contains.
const LARGEST: usize = 5;

impl SummaryRecord {
    /// Returns the record of a process with this PID and command line. `base` is the base
    /// page size in bytes.
    pub fn new(pid: u32, command: &OsStr, summary: &Summary, base: u64) -> Self {
        let command = Name(command.as_encoded_bytes());
        let knows = Knows::from(summary);
        let of_kinds = summary.nodes_of_kinds.as_ref();
        let kinds = summary.kinds.iter().enumerate();
        let kinds = kinds.map(|(index, (kind, usage))| KindRecord {
            kind: kind.name(),
            usage: UsageRecord::new(usage, knows),
            nodes: of_kinds.and_then(|all| all.get(index)).map(node_records),
        });
        let pages = summary.pages.iter();
        let pages = pages.map(|&(class, bytes)| PagesRecord::new(class, bytes, base));
        let contiguity = summary.contiguity.as_ref().map(|contiguity| {
            let at_least = |size| AtLeastRecord {
                size,
                bytes: contiguity.bytes_in_extents_of(size),
            };
            let classes = contiguity.classes().into_iter();
            ContiguityRecord {
                bytes: contiguity.bytes(),
                extents: contiguity.extents(),
                median: contiguity.median(),
                half_in: contiguity.half_in(),
                largest: contiguity.largest(LARGEST),
                at_least: [64 << 10, 2 << 20, 1 << 30].map(at_least).to_vec(),
                histogram: classes
                    .map(|class| ExtentClassRecord {
                        least: class.least,
                        count: class.count,
                        bytes: class.bytes,
                    })
                    .collect(),
            }
        });
        let nodes = summary.nodes.as_ref().map(node_records);
        Self {
            pid,
            command: command.lossy().into_owned(),
            command_hex: command.hex(),
            mappings: summary.mappings,
            total: UsageRecord::new(&summary.total, knows),
            kinds: kinds.collect(),
            page_sizes: (knows.frames && summary.knows_page_classes).then(|| pages.collect()),
            huge_pages: HugePagesRecord::of(summary),
            thp: None,
            contiguity,
            nodes,
        }
    }
}

/// In CSV a line for each number or group of numbers: `group` and `item` name them.
impl Record for SummaryRecord {
    const LAYOUT: Layout = Layout {
        lines: SummaryLine::FIELDS,
        table: &[],
        ..Layout::of(Self::FIELDS)
    };

    fn lines(&self, lines: &mut Lines<'_>) {
        let mut rows = Rows {
            summary: self,
            lines,
        };
        rows.usage("total", "", &self.total);
        for kind in &self.kinds {
            rows.usage("kind", kind.kind, &kind.usage);
        }
        for pages in self.page_sizes.iter().flatten() {
            rows.numbers("pages", pages.pages, pages.size, None, Some(pages.bytes));
        }
        if let Some(huge) = &self.huge_pages {
            for (item, bytes) in [("mapped", huge.mapped)].into_iter().chain(huge.missed()) {
                rows.numbers("huge_pages", item, Some(huge.size), None, Some(bytes));
            }
            for policy in &huge.policies {
                let of = [
                    ("huge_policy", policy.bytes),
                    ("huge_policy_eligible", policy.eligible),
                    ("huge_policy_eligible_full", policy.eligible_full),
                ];
                for (group, bytes) in of {
                    rows.numbers(group, policy.reason.name(), None, None, Some(bytes));
                }
            }
            for (name, setting) in huge.settings.words() {
                rows.numbers(
                    "huge_setting",
                    &format!("{name}={setting}"),
                    None,
                    None,
                    None,
                );
            }
            for (name, pages) in huge.settings.numbers() {
                rows.numbers("huge_setting", name, None, pages, None);
            }
        }
        if let Some(thp) = &self.thp {
            for (name, number) in thp.khugepaged.numbers() {
                rows.numbers("khugepaged", name, None, Some(number), None);
            }
            for size in &thp.sizes {
                let bytes = Some(size.size);
                for (name, word) in [
                    ("enabled", &size.enabled),
                    ("shmem_enabled", &size.shmem_enabled),
                ] {
                    if let Some(word) = word {
                        rows.numbers("thp_size", &format!("{name}={word}"), bytes, None, None);
                    }
                }
                for counter in &size.statistics {
                    rows.numbers("thp_size", &counter.name, bytes, Some(counter.count), None);
                }
            }
            for counter in &thp.events {
                rows.numbers("thp_event", &counter.name, None, Some(counter.count), None);
            }
        }
        if let Some(contiguity) = &self.contiguity {
            let (extents, bytes) = (Some(contiguity.extents), Some(contiguity.bytes));
            rows.numbers("contiguity", "extents", None, extents, bytes);
            rows.numbers("contiguity", "median", contiguity.median, None, None);
            rows.numbers("contiguity", "half_in", contiguity.half_in, None, None);
            for &size in &contiguity.largest {
                rows.numbers("contiguity", "largest", Some(size), None, None);
            }
            for least in &contiguity.at_least {
                let bytes = Some(least.bytes);
                rows.numbers("contiguity", "at_least", Some(least.size), None, bytes);
            }
            for class in &contiguity.histogram {
                let (count, bytes) = (Some(class.count), Some(class.bytes));
                rows.numbers("histogram", "", Some(class.least), count, bytes);
            }
        }
        for node in self.nodes.iter().flatten() {
            let name = node.node.map(|node| node.to_string()).unwrap_or_default();
            rows.numbers("node", &name, None, None, Some(node.bytes));
        }
        for kind in &self.kinds {
            for node in kind.nodes.iter().flatten() {
                let name = node.node.map(|node| node.to_string()).unwrap_or_default();
                let item = format!("{}:{name}", kind.kind);
                rows.numbers("kind_node", &item, None, None, Some(node.bytes));
            }
        }
    }
}

/// Lines of CSV of one summary.
struct Rows<'a, 'b> {
    summary: &'a SummaryRecord,
    lines: &'a mut Lines<'b>,
}

impl<'a> Rows<'a, '_> {
    /// Returns a line without numbers.
    fn empty<'c>(&self, group: &'c str, item: &'c str) -> SummaryLine<'c>
    where
        'a: 'c,
    {
        SummaryLine {
            pid: self.summary.pid,
            command: Text(&self.summary.command),
            command_hex: self.summary.command_hex.as_deref(),
            group,
            item,
            usage: None,
            size: None,
            count: None,
            bytes: None,
        }
    }

    fn usage(&mut self, group: &str, item: &str, usage: &UsageRecord) {
        self.lines.line(&SummaryLine {
            usage: Some(*usage),
            ..self.empty(group, item)
        });
    }

    fn numbers(
        &mut self,
        group: &str,
        item: &str,
        size: Option<u64>,
        count: Option<u64>,
        bytes: Option<u64>,
    ) {
        self.lines.line(&SummaryLine {
            size,
            count,
            bytes,
            ..self.empty(group, item)
        });
    }
}

record! {
    /// Summary of the memory of one mapping.
    pub struct MappingUsageRecord<'a> {
        /// Process; 0 if it was opened without a PID.
        pub pid: u32 = number(0, "PID", 7).column_extra(Extra::Pid),
        /// First virtual address.
        pub vaddr: Hex = number(1, "VADDR", 12),
        /// Amounts of memory.
        pub usage: UsageRecord = flat(),
        /// Bytes that huge page-table entries map, without hugetlb.
        pub huge: Option<u64> = bytes().rough(7, "HUGE", 5)
            .null("if the kernel does not export it (before Linux 6.7)"),
        /// Number of extents.
        pub extents: Option<u64> = number(8, "EXTENTS", 7).null("without addresses"),
        /// Median of the extents' sizes in bytes.
        pub median: Option<u64> = bytes().null("without extents"),
        /// Size of the largest extent in bytes.
        pub largest: Option<u64> = bytes().null("without extents"),
        /// Protection of the mapping: read, write, execute, with - for what is not allowed.
        pub prot: &'static str = pattern(PROTECTION),
        /// Whether the mapping is shared, not private.
        pub shared: bool,
        /// Kind of the mapping.
        pub kind: &'static str = one_of(mapping_kinds),
        /// Name of the mapping: the path of its object, or a name of the kernel's in
        /// brackets. Bytes that are not UTF-8 are replaced.
        pub path: Name<'a> = text(9, "PATH", 0).null("if it has no name"),
    }
}

impl<'a> MappingUsageRecord<'a> {
    /// Returns the record of a mapping of the process of this summary.
    pub fn new(pid: u32, summary: &Summary, of: &'a MappingSummary) -> Self {
        let mapping = &*of.mapping;
        let has_addresses = summary.knows_addresses;
        Self {
            pid,
            vaddr: mapping.range.start().into(),
            usage: UsageRecord::new(&of.usage, summary.into()),
            huge: summary.coverage.map(|_| of.huge),
            extents: has_addresses.then_some(of.extents),
            median: of.median,
            largest: of.largest,
            prot: protection_name(mapping.protection),
            shared: mapping.shared,
            kind: mapping.kind().name(),
            path: Name(mapping.name().as_bytes()),
        }
    }
}

impl Record for MappingUsageRecord<'_> {
    fn row(&self, row: &mut Row<'_>) {
        self.visit(row);
        let usage = &self.usage;
        if usage.hugetlb > 0 {
            row.set("MEMORY", rough(usage.resident + usage.hugetlb));
        }
        // Memory without a name is known by its kind.
        if self.path.0.is_empty() {
            row.set("PATH", self.kind);
        }
    }
}

/// Summary of a process as a row in a table of many; in other formats the summary itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessLine<'a>(pub &'a SummaryRecord);

impl Fields for ProcessLine<'_> {
    const FIELDS: &'static [Field] = SummaryRecord::FIELDS;
    const MEANING: &'static str = SummaryRecord::MEANING;

    fn visit(&self, visit: &mut impl Visit) {
        self.0.visit(visit);
    }
}

impl Record for ProcessLine<'_> {
    const LAYOUT: Layout = Layout {
        table: ProcessRow::FIELDS,
        ..SummaryRecord::LAYOUT
    };

    fn lines(&self, lines: &mut Lines<'_>) {
        self.0.lines(lines);
    }

    fn row(&self, row: &mut Row<'_>) {
        let record = self.0;
        let usage = &record.total;
        let huge_pages = record.huge_pages.as_ref();
        let share = huge_pages.filter(|_| usage.resident > 0);
        let share = share.map(|huge| (huge.mapped * 100) / usage.resident);
        let contiguity = record.contiguity.as_ref();
        ProcessRow {
            pid: record.pid,
            resident: usage.resident,
            pss: usage.pss,
            uss: usage.uss,
            swap: usage.swap,
            hugetlb: usage.hugetlb,
            huge: share.map(|share| format!("{share}%")),
            extents: contiguity.map(|contiguity| contiguity.extents),
            command: Text(&record.command),
        }
        .visit(row);
    }
}
