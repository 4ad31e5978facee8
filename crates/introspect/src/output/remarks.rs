//! What is said on standard error about a list: why it is empty, and what a table
//! of it does not show. Looks at no memory.

use std::io::{self, Write};

use process_introspection::{Backing, Mapping, MappingKind, Process, SwapAreas};
use process_introspection_export::Format;

use crate::commands::OutputOptions;
use crate::failure::Failure;
use crate::options::range::RangeText;
use crate::options::selection::Selection;
use crate::output::place::Place;

/// Gathered while a list is written.
#[derive(Debug)]
pub(crate) struct Remarks {
    is_listed: bool,
    is_left_out: bool,
    /// Bytes of swap in use, if the list is a table.
    swap: u64,
    is_shared_absent: bool,
    /// Records go where this would be said.
    is_silent: bool,
}

impl Remarks {
    /// For a list of a process's memory in this form.
    pub(crate) fn new(
        process: &Process,
        options: &OutputOptions,
        beside_program: bool,
    ) -> Result<Self, Failure> {
        let otherwise = match beside_program {
            true => Place::StandardError,
            false => Place::StandardOutput,
        };
        let place = Place::of(options.output.as_deref(), otherwise);
        let is_table = options.format.0 == Format::Table;
        let swap = match is_table {
            true => SwapAreas::read_in(process.mounts())?
                .areas()
                .iter()
                .map(|area| area.used)
                .sum(),
            false => 0,
        };
        Ok(Self {
            is_listed: false,
            is_left_out: false,
            swap,
            is_shared_absent: false,
            is_silent: place == Place::StandardError && !is_table,
        })
    }

    /// Notes a record that is listed.
    pub(crate) fn listed(&mut self, mapping: Option<&Mapping>, backing: Backing) {
        self.is_listed = true;
        if self.swap > 0 && !self.is_shared_absent && backing == Backing::NotPresent {
            let kind = mapping.map(Mapping::kind);
            self.is_shared_absent = kind == Some(MappingKind::SharedMemory);
        }
    }

    /// Notes a record that an option leaves out.
    pub(crate) fn left_out(&mut self) {
        self.is_left_out = true;
    }

    /// Says what there is to say of a complete list.
    pub(crate) fn say(&self, process: &Process, selection: &Selection<'_>) {
        if let Some(remark) = self.remark(process, selection) {
            // Where nobody can be told, the list is still true.
            let _ = writeln!(io::stderr(), "introspect: {remark}");
        }
    }

    fn remark(&self, process: &Process, selection: &Selection<'_>) -> Option<String> {
        match (self.is_listed, self.is_shared_absent) {
            _ if self.is_silent => None,
            (false, _) => {
                let reason = self.reason(process, selection);
                Some(format!("nothing is listed: {reason}"))
            }
            (true, true) => Some(format!(
                "shared memory that is not-present can be in swap, which page tables do not tell \
                 ({}K of swap are in use)",
                self.swap / 1024
            )),
            (true, false) => None,
        }
    }

    fn reason(&self, process: &Process, selection: &Selection<'_>) -> String {
        if !process.has_memory() {
            return "the process has no memory (it is a kernel thread, or it has ended and was not \
                    yet waited for)"
                .to_owned();
        }
        if self.is_left_out {
            return "nothing of it is backed by memory (--backed)".to_owned();
        }
        match selection.range {
            Some(RangeText::Page(address)) => format!("nothing is mapped at {address:#x}"),
            Some(RangeText::Span(range)) => format!(
                "nothing is mapped from {:#x} to {:#x}",
                range.start(),
                range.end()
            ),
            None => "the process has no mappings".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use testkit::memory;

    use super::*;

    #[test]
    fn absent_shared_memory_can_be_in_swap_where_some_is_in_use() {
        let page = memory::page();
        let shared = memory::map(2 * page, libc::MAP_SHARED, memory::memfd(2 * page));
        let private = memory::anonymous(2 * page);
        memory::touch(shared, 1, 1);
        let process = Process::current().unwrap();
        let selection = Selection {
            range: None,
            mapping: None,
        };
        let remark = |at: u64, pages: u64, swap| {
            let mut remarks = Remarks {
                is_listed: false,
                is_left_out: false,
                swap,
                is_shared_absent: false,
                is_silent: false,
            };
            for region in process.resident_regions(at..at + pages * page).unwrap() {
                let region = region.unwrap();
                remarks.listed(Some(&region.mapping), region.backing);
            }
            remarks.remark(&process, &selection)
        };
        let said = remark(shared, 2, 12 << 10).unwrap();
        assert!(said.ends_with("(12K of swap are in use)"), "{said}");
        // All of it is there; nothing is in swap; it would be seen in swap.
        assert_eq!(remark(shared, 1, 12 << 10), None);
        assert_eq!(remark(shared, 2, 0), None);
        assert_eq!(remark(private, 2, 12 << 10), None);
    }
}
