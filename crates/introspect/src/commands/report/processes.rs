//! Processes of a report: their rows in order, the largest first. Must not know where they
//! come from.

use std::cmp::Reverse;

use process_introspection_export::{MappingUsageRecord, SummaryRecord};
use process_introspection_picture::report::document::Document;
use process_introspection_picture::report::records::{ProcessFacts, ProcessRecord};
use process_introspection_picture::report::spaces::SpacePicture;

use crate::commands::summaries::rank;

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
                document.other_processes_bytes += row.usage.resident + row.usage.hugetlb;
            }
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
