//! Records of groups: the memory of several processes, or of the files that they map, each
//! frame once; and the rows below them in tables.

use process_introspection::{GroupFrames, GroupMemory, HugePool};

use crate::field::{record, Field, Fields, Visit};
use crate::name::Name;
use crate::number::{rough, DeviceNumber};
use crate::record::{Layout, Record};
use crate::summary::{node_records, NodeRecord, ProcessLine, SummaryRecord};
use crate::table::{Notes, Row};

record! {
    /// Memory of a group of processes, or of one file or name that processes map.
    pub struct GroupRecord<'a> {
        /// Name of the group: the path of a cgroup, a unit, the identifier of a container, a
        /// comm, the number of a user; or the name of mappings, or their kind if they have
        /// none. Bytes that are not UTF-8 are replaced.
        pub group: Name<'a> = text(10, "GROUP", 0)
            .null("for processes in no such group, and for all processes"),
        /// Device number of the mapped object.
        pub dev: Option<DeviceNumber> = null("unless the mappings of an object are summed"),
        /// Inode number of the mapped object.
        pub ino: Option<u64> = null("as dev"),
        /// Number of processes.
        pub processes: u64 = number(0, "PROCS", 5),
        /// Number of their mappings.
        pub mappings: u64,
        /// Memory that only the group maps, each page once and whole, hugetlb included. With
        /// mappings the group is all listed processes.
        pub memory: Option<u64> = bytes().rough(1, "MEMORY", 6)
            .null("if it is unknown, even for one page: without the kernel's files on page \
                   frames; of large folios, if the kernel may export only the average of \
                   their mapcounts; of hugetlb whose page tables processes can share, unless \
                   all processes were read"),
        /// Memory that others map, too, each page once and whole, hugetlb included.
        pub shared: Option<u64> = bytes().rough(2, "SHARED", 6).null("as memory"),
        /// Sum of the bytes that are mapped, in memory or not.
        pub virt: u64 = named("virtual").bytes(),
        /// Sum of the bytes in memory, without hugetlb and the zero page: a page counts in
        /// each process.
        pub resident: u64 = bytes().rough(3, "RSS", 5),
        /// Sum of the proportional set sizes, without hugetlb.
        pub pss: Option<u64> = bytes().rough(4, "PSS", 5).null("if it is unknown"),
        /// Sum of the unique set sizes, without hugetlb.
        pub uss: Option<u64> = bytes().rough(5, "USS", 5).null("if it is unknown"),
        /// Sum of the bytes in swap, by page-table entries: a place counts in each process.
        pub swap: u64 = bytes().rough(6, "SWAP", 5),
        /// Bytes of hugetlb pages, each once.
        pub hugetlb: Option<u64> = bytes().rough(7, "HUGETLB", 7).null("if it is unknown"),
        /// Sum of the resident bytes that huge page-table entries map.
        pub huge: Option<u64> = bytes().rough(8, "HUGE", 4)
            .null("if the kernel does not export it (before Linux 6.7)"),
        /// Number of the extents of all processes.
        pub extents: Option<u64> = number(9, "EXTENTS", 7).null("without addresses"),
        /// Memory by NUMA node, each page once, hugetlb included.
        pub nodes: Option<Vec<NodeRecord>> = null("if it is unknown"),
    }
}

impl<'a> GroupRecord<'a> {
    /// Returns the record of a group with this name, or of mappings of this object.
    pub fn new(name: Name<'a>, object: Option<(DeviceNumber, u64)>, of: &GroupMemory) -> Self {
        let (usage, frames) = (&of.usage, of.frames.as_ref());
        Self {
            group: name,
            dev: object.map(|(dev, _)| dev),
            ino: object.map(|(_, ino)| ino),
            processes: of.processes,
            mappings: of.mappings,
            memory: frames.and_then(|frames| frames.own),
            shared: frames.and_then(|frames| frames.shared),
            virt: usage.virt,
            resident: usage.resident,
            pss: frames.map(|_| usage.proportional()),
            uss: frames.map(|_| usage.unique),
            swap: usage.swap,
            hugetlb: hugetlb(frames, usage.hugetlb),
            huge: of.huge,
            extents: of.extents,
            nodes: frames.map(|frames| node_records(&frames.nodes)),
        }
    }
}

/// Returns the bytes of hugetlb pages, each once; `sum` counts them in each process.
fn hugetlb(frames: Option<&GroupFrames>, sum: u64) -> Option<u64> {
    match (frames, sum) {
        (Some(frames), _) => Some(frames.hugetlb),
        (None, 0) => Some(0),
        (None, _) => None,
    }
}

impl GroupRecord<'_> {
    /// Sorts records of groups: those with the most memory first, equals by their names.
    pub fn sort_largest_first(records: &mut [Self]) {
        records.sort_by(|one, other| {
            let sizes = |record: &Self| {
                let mapped = record.memory.zip(record.shared);
                let mapped = mapped.map(|(own, shared)| own + shared);
                (record.memory, mapped, record.pss, record.resident)
            };
            let by_size = sizes(other).cmp(&sizes(one));
            by_size.then_with(|| one.group.0.cmp(other.group.0))
        });
    }
}

impl Record for GroupRecord<'_> {
    fn row(&self, row: &mut Row<'_>) {
        self.visit(row);
        if let Some(huge) = self.huge {
            let share = (u128::from(huge) * 100).checked_div(u128::from(self.resident));
            row.set(
                "HUGE",
                share.map_or(String::new(), |share| format!("{share}%")),
            );
        }
        if self.group.0.is_empty() {
            row.set("GROUP", "-");
        }
    }
}

/// Row below a table of processes: the sum of all, in which each page of resident memory and
/// of hugetlb counts once.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct TotalLine<'a> {
    /// Sum of all.
    pub record: &'a SummaryRecord,
    /// Memory of all as one group; `None` if it is not known.
    pub memory: Option<&'a GroupMemory>,
}

impl Fields for TotalLine<'_> {
    const FIELDS: &'static [Field] = SummaryRecord::FIELDS;
    const MEANING: &'static str = SummaryRecord::MEANING;

    fn visit(&self, visit: &mut impl Visit) {
        self.record.visit(visit);
    }
}

impl Record for TotalLine<'_> {
    const LAYOUT: Layout = ProcessLine::LAYOUT;

    fn row(&self, row: &mut Row<'_>) {
        ProcessLine(self.record).row(row);
        let cell = |bytes: Option<u64>| bytes.map(rough).unwrap_or_default();
        let frames = self.frames();
        row.set("RESIDENT", cell(frames.map(|frames| frames.resident)));
        row.set("HUGETLB", cell(hugetlb(frames, self.record.total.hugetlb)));
        row.set("PID", "total");
    }

    fn notes(&self, notes: &mut Notes<'_>) {
        if let Some((own, shared)) = self
            .frames()
            .and_then(|frames| frames.own.zip(frames.shared))
        {
            let (own, shared) = (rough(own), rough(shared));
            notes.phrase(&format!(
                "of their own: {own}, shared with others: {shared},"
            ));
            notes.phrase("each page once");
        }
    }
}

impl TotalLine<'_> {
    fn frames(&self) -> Option<&GroupFrames> {
        self.memory.and_then(|memory| memory.frames.as_ref())
    }
}

record! {
    /// Row below a table of processes or groups: hugetlb pages of one size that are set aside
    /// and that nothing uses.
    #[derive(Copy)]
    pub struct UnusedHugePages {
        /// Size of a page in bytes.
        pub size: u64 = bytes(),
        /// Bytes of unused pages.
        pub unused: u64 = bytes(),
        /// Part of them that mappings have reserved.
        pub reserved: u64 = bytes(),
    }
}

impl From<&HugePool> for UnusedHugePages {
    fn from(pool: &HugePool) -> Self {
        Self {
            size: pool.size,
            unused: pool.free * pool.size,
            reserved: pool.reserved * pool.size,
        }
    }
}

impl Record for UnusedHugePages {
    fn row(&self, row: &mut Row<'_>) {
        row.set("COMMAND", "unused hugetlb");
        row.set("GROUP", "unused hugetlb");
        row.set("HUGETLB", rough(self.unused));
    }

    fn notes(&self, notes: &mut Notes<'_>) {
        let (size, reserved) = (rough(self.size), rough(self.reserved));
        notes.phrase(&format!("pages of {size} that are set aside and not used;"));
        notes.phrase(&format!("reserved by mappings: {reserved}"));
    }
}
