//! Record of a snapshot in a lake.

use crate::field::{record, Fields};
use crate::name::Name;
use crate::number::Time;
use crate::record::Record;
use crate::table::{Notes, Row};
use crate::types::word_list;
use crate::value::Text;

word_list! {
    /// Whether a snapshot can be read.
    #[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
    pub enum SnapshotState {
        /// All of its tables are there.
        Complete = "complete",
        /// A table is missing, cut or changed.
        Incomplete = "incomplete",
        /// Its row in table snapshots cannot be read.
        Unreadable = "unreadable",
    }
}

record! {
    /// Snapshot of a lake.
    #[derive(Copy)]
    pub struct SnapshotRecord<'a> {
        /// Id.
        pub snapshot_id: &'a str = text(0, "SNAPSHOT", 36),
        /// Time at which it began. If the row cannot be read, it is that of the id, in
        /// milliseconds.
        pub taken_at: Time = text(1, "TAKEN", 20),
        /// Host.
        pub host: Name<'a> = text(4, "HOST", 0).null("if the machine had no name"),
        /// Whether it can be read.
        pub state: SnapshotState,
        /// What is wrong with it.
        pub error: Option<Text<'a>> = null("if it is complete"),
        /// Time that it took, in microseconds.
        pub duration: Option<u64> = null("if its row cannot be read"),
        /// Release of the kernel.
        pub kernel: Option<Text<'a>> = null("if its row cannot be read"),
        /// Number of processes that were read.
        pub processes: Option<u64> = number(2, "PROCS", 5).null("if its row cannot be read"),
        /// Number of processes that could not be read.
        pub unread: Option<u64> = null("if its row cannot be read"),
        /// Number of mappings.
        pub mappings: Option<u64> = null("if its row cannot be read"),
        /// Number of regions.
        pub regions: Option<u64> = null("if its row cannot be read"),
        /// Number of runs of frames of the machine.
        pub frames: Option<u64> = null("without --frames, or if its row cannot be read"),
        /// Size of its files, without that of its row.
        pub size: Option<u64> = bytes().rough(3, "SIZE", 5).null("if its row cannot be read"),
        /// Whether all processes were requested.
        pub all_processes: Option<bool> = null("if its row cannot be read"),
        /// Whether regions have details.
        pub details: Option<bool> = null("if its row cannot be read"),
        /// Whether names are replaced by hashes.
        pub redacted: Option<bool> = null("if its row cannot be read"),
    }
}

impl Record for SnapshotRecord<'_> {
    fn row(&self, row: &mut Row<'_>) {
        self.visit(row);
        // To the second.
        let time = self.taken_at.to_string();
        let seconds = time.split('.').next().unwrap_or_default();
        row.set("TAKEN", format!("{seconds}Z"));
    }

    fn notes(&self, notes: &mut Notes<'_>) {
        if let Some(Text(error)) = self.error {
            let error = Name(error.as_bytes()).printable();
            notes.phrase(self.state.name()).phrase(&error);
        }
    }
}
