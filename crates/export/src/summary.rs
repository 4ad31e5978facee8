//! The records of a summary: what the memory of one process, and of one mapping,
//! is made of. What the caller cannot know is null, never 0.

use std::collections::BTreeMap;
use std::ffi::OsStr;

use process_introspection::{MappingSummary, PageClass, Summary, Usage};
use serde::Serialize;

use crate::delimited::Fields;
use crate::huge_pages::HugePagesRecord;
use crate::name::Name;
use crate::number::Hex;
use crate::record::{inserted, protection_name, Column, Layout, Record};
use crate::table::Cells;

/// How much memory, in bytes.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UsageRecord {
    /// Mapped, in memory or not.
    #[serde(rename = "virtual")]
    pub virt: u64,
    /// In memory; without hugetlb and the zero page.
    pub resident: u64,
    /// That, each page divided by how often it is mapped.
    pub pss: Option<u64>,
    /// That, what is mapped by this process alone.
    pub uss: Option<u64>,
    /// Swapped out.
    pub swap: u64,
    /// The zero page.
    pub zero: Option<u64>,
    /// Huge pages that were set aside.
    pub hugetlb: u64,
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

    fn fields(&self, fields: &mut Fields) {
        fields
            .number(self.virt)
            .number(self.resident)
            .number(self.pss)
            .number(self.uss)
            .number(self.swap)
            .number(self.zero)
            .number(self.hugetlb);
    }
}

/// What the summary's caller could see.
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

/// How much memory mappings of one kind have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KindRecord {
    /// The kind.
    pub kind: &'static str,
    /// Of all of them.
    #[serde(flatten)]
    pub usage: UsageRecord,
    /// Their memory, hugetlb included, by NUMA node.
    pub nodes: Option<Vec<NodeRecord>>,
}

/// How much memory comes in pages of one sort.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PagesRecord {
    /// `base`, `folio`, `part` (of larger folios, not whole), or `hugetlb`.
    pub pages: &'static str,
    /// The size of each, in bytes; none for `part`, and if unknown.
    pub size: Option<u64>,
    /// Of all of them.
    pub bytes: u64,
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

/// The bytes in extents of at least one size.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AtLeastRecord {
    /// The size.
    pub size: u64,
    /// The bytes.
    pub bytes: u64,
}

/// Extents of at least a power of two, and less than the next.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExtentClassRecord {
    /// The power of two, in bytes.
    pub least: u64,
    /// How many.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// How consecutive memory is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ContiguityRecord {
    /// The bytes of all extents.
    pub bytes: u64,
    /// Their number: so many descriptors a scatter-gather list has.
    pub extents: u64,
    /// The median of their sizes.
    pub median: Option<u64>,
    /// At least half of the memory is in extents of at least this size.
    pub half_in: Option<u64>,
    /// The sizes of the largest ones.
    pub largest: Vec<u64>,
    /// How much is in extents of at least 64 KiB, 2 MiB, 1 GiB.
    pub at_least: Vec<AtLeastRecord>,
    /// All of them by size.
    pub histogram: Vec<ExtentClassRecord>,
}

/// How much memory is on a node.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeRecord {
    /// The node; none where it is not known.
    pub node: Option<u32>,
    /// In bytes.
    pub bytes: u64,
}

/// What the memory of a process is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SummaryRecord {
    /// Its PID.
    pub pid: u32,
    /// What it was started with; what is not UTF-8 is replaced.
    pub command: String,
    /// All its bytes in hexadecimal, if it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command_hex: Option<String>,
    /// How many mappings it has.
    pub mappings: u64,
    /// Of all of them.
    pub total: UsageRecord,
    /// By kind of mapping.
    pub kinds: Vec<KindRecord>,
    /// By what the memory comes in.
    pub page_sizes: Option<Vec<PagesRecord>>,
    /// What huge entries map.
    pub huge_pages: Option<HugePagesRecord>,
    /// How consecutive it is.
    pub contiguity: Option<ContiguityRecord>,
    /// By NUMA node.
    pub nodes: Option<Vec<NodeRecord>>,
}

fn node_records(nodes: &BTreeMap<Option<u32>, u64>) -> Vec<NodeRecord> {
    let each = nodes.iter();
    each.map(|(&node, &bytes)| NodeRecord { node, bytes })
        .collect()
}

/// So many of the largest extents are told.
const LARGEST: usize = 5;

impl SummaryRecord {
    /// Of a process with this PID and command line. `base` is the base page size
    /// in bytes.
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
            page_sizes: knows.frames.then(|| pages.collect()),
            huge_pages: HugePagesRecord::of(summary),
            contiguity,
            nodes,
        }
    }
}

/// In CSV a line for each number or group of numbers: `group` and `item` say
/// which.
impl Record for SummaryRecord {
    const LAYOUT: Layout = Layout {
        fields: &[
            "pid",
            "command",
            "command_hex",
            "group",
            "item",
            "virtual",
            "resident",
            "pss",
            "uss",
            "swap",
            "zero",
            "hugetlb",
            "size",
            "count",
            "bytes",
        ],
        columns: &[],
    };

    fn fields(&self, fields: &mut Fields) {
        let mut rows = Rows {
            summary: self,
            fields,
            is_first: true,
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
                    rows.numbers(group, policy.reason, None, None, Some(bytes));
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

    fn cells(&self, _cells: &mut Cells<'_>) {}
}

/// The lines of CSV of one summary.
struct Rows<'a> {
    summary: &'a SummaryRecord,
    fields: &'a mut Fields,
    is_first: bool,
}

impl Rows<'_> {
    fn begin(&mut self, group: &str, item: &str) {
        if !std::mem::take(&mut self.is_first) {
            self.fields.next_line();
        }
        self.fields
            .number(u64::from(self.summary.pid))
            .others_text(&self.summary.command)
            .text(self.summary.command_hex.as_deref().unwrap_or_default())
            .text(group)
            .text(item);
    }

    fn usage(&mut self, group: &str, item: &str, usage: &UsageRecord) {
        self.begin(group, item);
        usage.fields(self.fields);
        self.fields.null().null().null();
    }

    fn numbers(
        &mut self,
        group: &str,
        item: &str,
        size: Option<u64>,
        count: Option<u64>,
        bytes: Option<u64>,
    ) {
        self.begin(group, item);
        for _ in 0..7 {
            self.fields.null();
        }
        self.fields.number(size).number(count).number(bytes);
    }
}

/// What the memory of one mapping is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MappingUsageRecord<'a> {
    /// The process.
    pub pid: u32,
    /// Its first virtual address.
    pub vaddr: Hex,
    /// How much of it.
    #[serde(flatten)]
    pub usage: UsageRecord,
    /// Mapped by huge entries; hugetlb is not in it.
    pub huge: Option<u64>,
    /// How many extents of memory.
    pub extents: Option<u64>,
    /// The median of their sizes.
    pub median: Option<u64>,
    /// The size of the largest.
    pub largest: Option<u64>,
    /// `rwx`, with `-` for what is not allowed.
    pub prot: &'static str,
    /// Mapped shared, not private.
    pub shared: bool,
    /// The kind of mapping.
    pub kind: &'static str,
    /// The mapping's name.
    #[serde(flatten)]
    pub path: Name<'a>,
}

impl<'a> MappingUsageRecord<'a> {
    /// Of a mapping of the process of this summary.
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

    /// Memory without a name is known by its kind.
    fn name_or_kind(&self) -> Name<'_> {
        match self.path.0.is_empty() {
            true => Name(self.kind.as_bytes()),
            false => self.path,
        }
    }
}

impl Record for MappingUsageRecord<'_> {
    const LAYOUT: Layout = Layout {
        fields: &[
            "pid", "vaddr", "virtual", "resident", "pss", "uss", "swap", "zero", "hugetlb", "huge",
            "extents", "median", "largest", "prot", "shared", "kind", "path", "path_hex",
        ],
        columns: &[
            Column::number("VADDR", 12),
            Column::number("VIRTUAL", 7),
            Column::number("MEMORY", 6),
            Column::number("PSS", 6),
            Column::number("USS", 6),
            Column::number("SWAP", 5),
            Column::number("HUGE", 5),
            Column::number("EXTENTS", 7),
            Column::text("PATH", 0),
        ],
    };

    fn fields(&self, fields: &mut Fields) {
        fields.number(u64::from(self.pid)).hex(self.vaddr);
        self.usage.fields(fields);
        fields
            .number(self.huge)
            .number(self.extents)
            .number(self.median)
            .number(self.largest)
            .text(self.prot)
            .truth(self.shared)
            .text(self.kind)
            .name(self.path);
    }

    fn cells(&self, cells: &mut Cells<'_>) {
        let usage = &self.usage;
        if cells.is_next(PID.title) {
            cells.number(u64::from(self.pid));
        }
        cells
            .hex(self.vaddr)
            .rough(usage.virt)
            .rough(usage.resident + usage.hugetlb)
            .rough(usage.pss)
            .rough(usage.uss)
            .rough(usage.swap)
            .rough(self.huge)
            .optional(self.extents)
            .name(self.name_or_kind());
    }
}

const PID: Column = Column::number("PID", 7);
const WITH_PID: [Column; 10] = inserted(MappingUsageRecord::LAYOUT.columns, 0, &[PID]);

/// The same, and a column for the process in the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct WithPid<'a>(pub MappingUsageRecord<'a>);

impl Record for WithPid<'_> {
    const LAYOUT: Layout = Layout {
        fields: MappingUsageRecord::LAYOUT.fields,
        columns: &WITH_PID,
    };

    fn fields(&self, fields: &mut Fields) {
        self.0.fields(fields);
    }

    fn cells(&self, cells: &mut Cells<'_>) {
        self.0.cells(cells);
    }
}

/// A line of a table of many processes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ProcessLine<'a>(pub &'a SummaryRecord);

impl Record for ProcessLine<'_> {
    const LAYOUT: Layout = Layout {
        fields: SummaryRecord::LAYOUT.fields,
        columns: &[
            Column::number("PID", 7),
            Column::number("RESIDENT", 8),
            Column::number("PSS", 5),
            Column::number("USS", 5),
            Column::number("SWAP", 5),
            Column::number("HUGETLB", 7),
            Column::number("HUGE", 4),
            Column::number("EXTENTS", 7),
            Column::text("COMMAND", 0),
        ],
    };

    fn fields(&self, fields: &mut Fields) {
        self.0.fields(fields);
    }

    fn cells(&self, cells: &mut Cells<'_>) {
        let record = self.0;
        let usage = &record.total;
        let huge_pages = record.huge_pages.as_ref();
        let share = huge_pages.filter(|_| usage.resident > 0);
        let share = share.map(|huge| (huge.mapped * 100) / usage.resident);
        match record.pid {
            // No process has it: the line of all.
            0 => cells.text("total"),
            pid => cells.number(u64::from(pid)),
        };
        cells
            .rough(usage.resident)
            .rough(usage.pss)
            .rough(usage.uss)
            .rough(usage.swap)
            .rough(usage.hugetlb)
            .text(&share.map_or("-".to_owned(), |share| format!("{share}%")));
        let contiguity = record.contiguity.as_ref();
        cells
            .optional(contiguity.map(|contiguity| contiguity.extents))
            .command(Name(record.command.as_bytes()));
    }
}
