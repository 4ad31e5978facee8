//! Processes of a report: their rows in order, the largest first. Must not know where they
//! come from.

use std::cmp::Reverse;

use process_introspection_export::{MappingUsageRecord, SummaryRecord, UsageRecord};
use process_introspection_picture::report::document::{Document, MOST_SPACES};
use process_introspection_picture::report::records::{ProcessFacts, ProcessRecord};
use process_introspection_picture::report::spaces::SpacePicture;

use crate::commands::summaries::{rank, Rank};

/// Rows of processes.
#[derive(Debug, Default)]
pub(super) struct Processes(Vec<ProcessRecord>);

impl Processes {
    /// Adds a process.
    pub(super) fn add(&mut self, facts: ProcessFacts, summary: &SummaryRecord) {
        self.0.push(ProcessRecord::new(facts, summary));
    }

    /// Moves the rows to the document.
    pub(super) fn finish(mut self, document: &mut Document) {
        self.0
            .sort_by_key(|row| (Reverse(rank(&row.usage)), row.pid));
        for row in &self.0 {
            if !document.processes.push(row) {
                document.other_processes_bytes += row.usage.pss.unwrap_or(row.usage.resident);
            }
        }
    }
}

/// Parts about the processes with the most memory of those that were named.
#[derive(Debug, Default)]
pub(super) struct Spaces(Vec<(Reverse<Rank>, SpacePicture)>);

impl Spaces {
    /// Returns whether the part about a process with this memory belongs to those so far.
    pub(super) fn have_room_for(&self, usage: &UsageRecord) -> bool {
        let last = self.0.get(MOST_SPACES - 1);
        last.is_none_or(|(last, _)| Reverse(rank(usage)) < *last)
    }

    /// Adds the part about a process.
    pub(super) fn add(&mut self, usage: &UsageRecord, picture: SpacePicture) {
        let rank = Reverse(rank(usage));
        let at = self.0.partition_point(|(other, _)| *other <= rank);
        self.0.insert(at, (rank, picture));
        self.0.truncate(MOST_SPACES);
    }

    /// Moves the parts to the document; `named` is the number of processes.
    pub(super) fn finish(self, named: usize, document: &mut Document) {
        let pictures = self.0.into_iter().map(|(_, picture)| picture);
        document.spaces.extend(pictures);
        if named > MOST_SPACES {
            let text = format!(
                "{named} processes were named: the {MOST_SPACES} with the most memory are shown"
            );
            document.header.lacks(Some("spaces"), text);
        }
    }
}

/// Returns the name of a process in legends.
pub(super) fn name(facts: &ProcessFacts, pid: u32) -> String {
    format!("{} ({pid})", String::from_utf8_lossy(&facts.name))
}

/// Adds the mappings of a process to its part, the largest first.
pub(super) fn add_mappings(usages: &mut [MappingUsageRecord<'_>], picture: &mut SpacePicture) {
    usages.sort_by_key(|one| (Reverse(rank(&one.usage)), one.vaddr.0));
    for usage in usages.iter() {
        picture.mappings.push(usage);
    }
}
