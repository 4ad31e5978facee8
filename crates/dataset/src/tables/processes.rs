//! Table of processes, also of those that could not be read.

use process_introspection_export::{
    record, ContiguityRecord, HugePagesRecord, KindRecord, Name, NameBuf, NodeRecord, PagesRecord,
    SummaryRecord, Time, UsageRecord,
};

/// Reasons for which a process could not be read.
fn unread() -> Vec<&'static str> {
    vec!["gone", "refused", "silent", "failed"]
}

record! {
    /// Process.
    #[derive(Default)]
    pub struct ProcessRow: Readable {
        /// Unique PID: a number that no other process of the machine ever has.
        pub unique_pid: u64,
        /// PID in the namespace of the program that wrote the snapshot.
        pub pid: u32,
        /// PID of the parent.
        pub ppid: Option<u32> = null("if it is unknown"),
        /// Effective user.
        pub uid: Option<u32> = null("if it is unknown"),
        /// Time at which it started.
        pub started_at: Option<Time> = null("if it is unknown"),
        /// Name, at most 15 bytes (comm).
        pub name: NameBuf = null("if it is unknown"),
        /// Command line, arguments separated by blanks.
        pub command: NameBuf = null("if it is empty"),
        /// Path of the executable file.
        pub exe: NameBuf = null("if it is unknown"),
        /// Path of the control group, in the hierarchy of the memory controller.
        pub cgroup: NameBuf = null("if it is unknown"),
        /// Unit of systemd.
        pub unit: Option<String> = null("if it is in none"),
        /// Id of the container.
        pub container: Option<String> = null("if it is in none"),
        /// Reason for which it could not be read. Rows of other tables about such a process
        /// are a part of its memory.
        pub unread: Option<&'static str> = one_of(unread).null("if it was read"),
        /// Error with which reading failed.
        pub error: Option<String> = null("if it was read"),
        /// Number of mappings.
        pub mappings: Option<u64> = null("if it was not read"),
        /// Bytes mapped, in memory or not.
        pub virtual_size: Option<u64> = bytes().null("if it was not read"),
        /// Bytes in memory, without hugetlb and the zero page (Rss).
        pub resident: Option<u64> = bytes().null("if it was not read"),
        /// Proportional set size.
        pub pss: Option<u64> = bytes().null("if it is unknown"),
        /// Unique set size.
        pub uss: Option<u64> = bytes().null("if it is unknown"),
        /// Bytes in swap, by page-table entries.
        pub swap: Option<u64> = bytes().null("if it was not read"),
        /// Bytes of the zero page.
        pub zero: Option<u64> = bytes().null("if it is unknown"),
        /// Bytes of hugetlb pages.
        pub hugetlb: Option<u64> = bytes().null("if it was not read"),
        /// Amounts by kind of mapping.
        pub kinds: Option<Vec<KindRecord>> = null("if it was not read"),
        /// Resident memory and hugetlb by class of page.
        pub page_sizes: Option<Vec<PagesRecord>> = null("if it is unknown"),
        /// Resident memory by huge page-table entries.
        pub huge_pages: Option<HugePagesRecord> = null("if it is unknown"),
        /// Contiguity of the memory in both address spaces.
        pub contiguity: Option<ContiguityRecord> = null("if it is unknown"),
        /// Memory of all extents by NUMA node.
        pub memory_by_node: Option<Vec<NodeRecord>> = null("if it is unknown"),
    }
}

impl ProcessRow {
    /// Stores a summary of the process.
    pub fn set_summary(&mut self, summary: SummaryRecord) {
        let UsageRecord {
            virt,
            resident,
            pss,
            uss,
            swap,
            zero,
            hugetlb,
        } = summary.total;
        self.mappings = Some(summary.mappings);
        (self.virtual_size, self.resident) = (Some(virt), Some(resident));
        (self.pss, self.uss) = (pss, uss);
        (self.swap, self.zero, self.hugetlb) = (Some(swap), zero, Some(hugetlb));
        self.kinds = Some(summary.kinds);
        self.page_sizes = summary.page_sizes;
        self.huge_pages = summary.huge_pages;
        self.contiguity = summary.contiguity;
        self.memory_by_node = summary.nodes;
    }

    /// Returns the summary of the process; `None` if it was not read.
    pub fn summary(&self) -> Option<SummaryRecord> {
        let command = Name(&self.command.0);
        Some(SummaryRecord {
            pid: self.pid,
            command: command.lossy().into_owned(),
            command_hex: command.hex(),
            mappings: self.mappings?,
            total: UsageRecord {
                virt: self.virtual_size?,
                resident: self.resident?,
                pss: self.pss,
                uss: self.uss,
                swap: self.swap?,
                zero: self.zero,
                hugetlb: self.hugetlb?,
            },
            kinds: self.kinds.clone()?,
            page_sizes: self.page_sizes.clone(),
            huge_pages: self.huge_pages.clone(),
            thp: None,
            contiguity: self.contiguity.clone(),
            nodes: self.memory_by_node.clone(),
        })
    }
}
