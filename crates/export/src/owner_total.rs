//! Record of how much of some physical memory a process maps, or no process.

use std::sync::Arc;

use process_introspection::{Cgroup, PassedProcess};

use crate::field::{record, Fields, Show};
use crate::name::{Name, NameBuf};
use crate::owner::{cgroup_path, note_payer, note_places, OwnerKind, Searched};
use crate::record::Record;
use crate::table::{Notes, Row};
use crate::value::{Decimal, Text};
use crate::words::page_uses;

record! {
    /// Sum of the memory in question that a process maps, or that no process maps.
    #[derive(Default)]
    pub struct OwnerTotalRecord<'a> {
        /// Statement of the record: a process maps the memory, or lost it to a memory error
        /// (mapped), no process maps it (unmapped), no process that was read maps it but
        /// others may (not-found), a process could not be read (unread, with --unread).
        pub record: OwnerKind = one_of(kinds),
        /// Size of the memory, each page once.
        pub size: Option<u64> = bytes().rough(0, "SIZE", 6)
            .null("in records of unread processes"),
        /// Size of memory that the process had until memory errors took it away.
        pub lost: Option<u64> = bytes().rough(1, "LOST", 5)
            .null("without a process"),
        /// Use of memory that no process maps.
        pub page_use: Option<&'static str> = named("use").one_of(page_uses).text(2, "USE", 14)
            .null("in records of processes, and where a snapshot does not have it"),
        /// Process.
        pub pid: Option<u32> = number(3, "PID", 7)
            .null("in records of unmapped memory and of unread processes"),
        /// Unique number of the process, in decimal. It is a string because JSON numbers
        /// lose bits past 2^53.
        pub unique_pid: Option<Decimal> = null("without a process"),
        /// Its comm. Bytes that are not UTF-8 are replaced.
        pub command: Name<'a> = text(4, "COMMAND", 0).null("without a process"),
        /// Its cgroup. Bytes that are not UTF-8 are replaced.
        pub cgroup: Name<'a> = null("without a process, and if it is unknown"),
        /// Innermost systemd unit of its cgroup that is not a slice.
        pub unit: Option<Text<'a>> = null("if it is in none, and as for cgroup"),
        /// Identifier of its innermost container.
        pub container: Option<Text<'a>> = null("if it is in none, and as for cgroup"),
        /// Processes that were read, as in the records of single pages.
        pub searched: Option<Searched> = null("in records of processes"),
        /// Cgroup that pays for page cache that no process maps, by its path. Bytes that are not
        /// UTF-8 are replaced.
        pub payer: NameBuf = null("in other records, if no cgroup pays or it is unknown, and in records of a snapshot without frames"),
        /// Innermost systemd unit of that cgroup that is not a slice.
        pub payer_unit: Option<String> = null("if it is in none, and as for payer"),
        /// Identifier of the innermost container of that cgroup.
        pub payer_container: Option<String> = null("if it is in none, and as for payer"),
        /// Process that could not be read, which is no owner.
        pub unread_pid: Option<u32> = also(3, Show::Right).null("in other records"),
        /// Its comm.
        pub unread_command: Option<String> = also(4, Show::Left)
            .null("if it could not be read, and in other records"),
        /// Reason for which the process could not be read.
        pub reason: Option<String> = null("in other records"),
    }
}

fn kinds() -> Vec<&'static str> {
    use OwnerKind::{Mapped, NotFound, Unmapped, Unread};
    [Mapped, Unmapped, NotFound, Unread]
        .map(OwnerKind::name)
        .to_vec()
}

impl<'a> OwnerTotalRecord<'a> {
    /// Returns the record of a process, with the sizes of what it maps and of what it lost.
    pub fn mapped(process: &'a Arc<PassedProcess>, size: u64, lost: u64) -> Self {
        let cgroup = process.cgroup.as_ref();
        Self {
            record: OwnerKind::Mapped,
            size: Some(size),
            lost: Some(lost),
            pid: Some(process.pid),
            unique_pid: process
                .unique_pid
                .map(|pid| Decimal(pid.as_i64().unsigned_abs())),
            command: Name(process.command().as_encoded_bytes()),
            cgroup: cgroup_path(process),
            unit: cgroup.and_then(|cgroup| cgroup.unit.as_deref()).map(Text),
            container: cgroup
                .and_then(|cgroup| cgroup.container.as_deref())
                .map(Text),
            ..Self::default()
        }
    }

    /// Returns the record of memory of one use and one payer that no process maps.
    pub fn unmapped(
        record: OwnerKind,
        page_use: Option<&'static str>,
        size: u64,
        searched: Searched,
        payer: Option<Cgroup>,
    ) -> Self {
        let payer = payer.unwrap_or_else(|| Cgroup::new("", None, None));
        Self {
            record,
            size: Some(size),
            page_use,
            searched: Some(searched),
            payer: NameBuf(payer.path.into_encoded_bytes()),
            payer_unit: payer.unit,
            payer_container: payer.container,
            ..Self::default()
        }
    }

    /// Returns the record of a process that could not be read.
    pub fn unread(process: &PassedProcess, reason: String) -> Self {
        let command = process.command().to_string_lossy();
        Self {
            record: OwnerKind::Unread,
            unread_pid: Some(process.pid),
            unread_command: (!command.is_empty()).then(|| command.into_owned()),
            reason: Some(reason),
            ..Self::default()
        }
    }
}

impl Record for OwnerTotalRecord<'_> {
    fn row(&self, row: &mut Row<'_>) {
        self.visit(row);
        let text = match self.record {
            OwnerKind::Unmapped => "mapped by no process",
            OwnerKind::NotFound => "not found in the processes that were read",
            _ if self.command.0.is_empty() && self.unread_command.is_none() => "?",
            _ => return,
        };
        row.set("COMMAND", text);
    }

    fn notes(&self, notes: &mut Notes<'_>) {
        let [unit, container] = [self.unit, self.container].map(|name| name.map(|Text(name)| name));
        note_places(notes, unit, container);
        let (unit, container) = (self.payer_unit.as_deref(), self.payer_container.as_deref());
        note_payer(notes, &self.payer, unit, container);
        if let Some(reason) = &self.reason {
            notes.phrase(reason);
        }
    }
}
