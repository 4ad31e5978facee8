//! Table of snapshots: a row for each, written when all else is complete.

use process_introspection_export::{record, NameBuf, Time};

use crate::tables::Table;

record! {
    /// What lists of snapshots show of each.
    #[derive(Default)]
    pub struct SnapshotHead: Readable {
        /// Time at which it began.
        pub taken_at: Time,
        /// Time that it took, in microseconds.
        pub duration: u64,
        /// Version of the tables.
        pub schema_version: u32,
        /// Release of the kernel.
        pub kernel: String,
        /// Whether all processes were requested.
        pub all_processes: bool,
        /// Whether regions have details.
        pub details: bool,
        /// Whether names are replaced by keyed hashes.
        pub redacted: bool,
        /// Number of processes that were read.
        pub processes_read: u64,
        /// Number of processes that ended before they were read.
        pub unread_gone: u64,
        /// Number of processes that this user may not read.
        pub unread_refused: u64,
        /// Number of processes that did not answer within the deadline.
        pub unread_silent: u64,
        /// Number of processes that could not be read for other reasons.
        pub unread_failed: u64,
        /// Rows of table processes.
        pub processes_rows: u64,
        /// Size of the file of table processes.
        pub processes_bytes: u64 = bytes(),
        /// Rows of table mappings.
        pub mappings_rows: u64,
        /// Size of the file of table mappings.
        pub mappings_bytes: u64 = bytes(),
        /// Rows of table regions.
        pub regions_rows: u64,
        /// Size of the file of table regions.
        pub regions_bytes: u64 = bytes(),
        /// Rows of table frames.
        pub frames_rows: Option<u64> = null("without --frames"),
        /// Size of the file of table frames.
        pub frames_bytes: Option<u64> = bytes().null("without --frames"),
        /// Rows of table metrics.
        pub metrics_rows: Option<u64> = null("without --frames"),
        /// Size of the file of table metrics.
        pub metrics_bytes: Option<u64> = bytes().null("without --frames"),
    }
}

impl SnapshotHead {
    /// Returns the size of the file of a table; `None` if the snapshot does not have the table.
    pub fn bytes_of(&self, table: Table) -> Option<u64> {
        match table {
            Table::Snapshots => None,
            Table::Processes => Some(self.processes_bytes),
            Table::Mappings => Some(self.mappings_bytes),
            Table::Regions => Some(self.regions_bytes),
            Table::Frames => self.frames_bytes,
            Table::Metrics => self.metrics_bytes,
        }
    }
}

record! {
    /// Snapshot. A snapshot without this row does not exist.
    #[derive(Default)]
    pub struct SnapshotRow: Readable {
        /// Its time and amounts.
        pub head: SnapshotHead = flat(),
        /// Version of the program that wrote it.
        pub tool_version: String,
        /// Boot of the machine, as /proc/sys/kernel/random/boot_id.
        pub boot_id: Option<String> = null("if it is unknown"),
        /// Hash of the machine's id, the same in all snapshots of a machine, from which
        /// /etc/machine-id cannot be computed.
        pub machine_id_hash: Option<String> = null("if the machine has no id"),
        /// Architecture, as uname reports it.
        pub arch: String,
        /// Size of a base page in bytes.
        pub page_size: u64 = bytes().least(1),
        /// Memory that the kernel manages, in bytes (MemTotal).
        pub mem_total: Option<u64> = bytes().null("if it is unknown"),
        /// Number of NUMA nodes with memory.
        pub nodes: Option<u32> = null("if it is unknown"),
        /// Time of the machine's boot.
        pub booted_at: Option<Time> = null("if it is unknown"),
        /// Whether the process was frozen meanwhile.
        pub frozen: bool,
        /// Whether flags and counts of page frames were visible.
        pub has_frames: bool,
        /// Setting of transparent huge pages for anonymous memory.
        pub thp_enabled: Option<String> = null("if it is unknown"),
        /// Setting of compaction for huge pages.
        pub thp_defrag: Option<String> = null("if it is unknown"),
        /// Value of vm.defrag_mode.
        pub defrag_mode: Option<u64> = null("before Linux 6.15"),
        /// Value of vm.swappiness.
        pub swappiness: Option<u64> = null("if it is unknown"),
        /// Value of kernel.numa_balancing.
        pub numa_balancing: Option<u64> = null("if the kernel has none"),
        /// Part of the last 10 seconds in which some tasks waited for memory, in hundredths
        /// of a percent.
        pub memory_some_avg10: Option<u64> = null("without pressure information"),
        /// Part of the last 10 seconds in which all tasks waited for memory, in hundredths
        /// of a percent.
        pub memory_full_avg10: Option<u64> = null("without pressure information"),
        /// Time since boot in which some tasks waited for memory, in microseconds.
        pub memory_some_total: Option<u64> = null("without pressure information"),
        /// Time since boot in which all tasks waited for memory, in microseconds.
        pub memory_full_total: Option<u64> = null("without pressure information"),
        /// Paths of swap areas, in the order of their numbers.
        pub swap_areas: Vec<String>,
        /// Name of the machine, which is also in the path of the file.
        pub host_name: NameBuf = null("if it is empty"),
    }
}
