//! Remarks on standard error about a list: why it is empty, and what its table cannot
//! show. Reads no memory.

use process_introspection::{Backing, Mapping, MappingKind, Mounts, SwapAreas};

use crate::failure::{warn, Failure};
use crate::options::output::OutputOptions;
use crate::options::range::RangeText;
use crate::options::selection::Selection;
use crate::output::place::Place;
use crate::source::Source;
use crate::text::printable;

/// State of a list while it is written.
#[derive(Debug, Default)]
pub(crate) struct Remarks {
    is_listed: bool,
    is_left_out: bool,
    /// Bytes of swap in use, if the list is a table.
    swap: u64,
    is_shared_absent: bool,
    /// Records, no table, are written to standard error.
    is_silent: bool,
}

impl Remarks {
    /// Remarks about a list of a process's memory; `is_launched` if standard output
    /// belongs to that process.
    pub(crate) fn new(
        process: &Source<'_>,
        options: &OutputOptions,
        is_launched: bool,
    ) -> Result<Self, Failure> {
        let mounts = match process {
            Source::Live(process) => Some(process.mounts()),
            Source::Stored(_) => None,
        };
        Self::about(mounts, options, is_launched)
    }

    fn about(
        mounts: Option<&Mounts>,
        options: &OutputOptions,
        is_launched: bool,
    ) -> Result<Self, Failure> {
        let place = Place::of(options.file.output.as_deref(), is_launched);
        let mut remarks = Self {
            is_silent: place == Place::StandardError && !options.is_table(),
            ..Self::default()
        };
        if let (true, Some(mounts)) = (options.is_table(), mounts) {
            let swap = SwapAreas::read_in(mounts)?;
            remarks.swap = swap.areas().iter().map(|area| area.used).sum();
        }
        Ok(remarks)
    }

    /// Remarks about a list of the memory of several processes: live ones of these mounts, or
    /// stored ones.
    pub(crate) fn of_several(
        mounts: Option<&Mounts>,
        options: &OutputOptions,
    ) -> Result<Self, Failure> {
        Self::about(mounts, options, false)
    }

    /// Records a listed record.
    pub(crate) fn listed(&mut self, mapping: Option<&Mapping>, backing: Backing) {
        self.is_listed = true;
        if self.swap > 0 && !self.is_shared_absent && backing == Backing::NotPresent {
            let kind = mapping.map(Mapping::kind);
            self.is_shared_absent = kind == Some(MappingKind::SharedMemory);
        }
    }

    /// Records a record that an option leaves out.
    pub(crate) fn left_out(&mut self) {
        self.is_left_out = true;
    }

    /// Writes the remark about a complete list, if there is one.
    pub(crate) fn finish(&self, process: &Source<'_>, selection: &Selection<'_>) {
        if let Some(remark) = self.remark(process, selection) {
            warn(remark);
        }
    }

    /// Writes the remark about a complete list of several processes, if there is one.
    pub(crate) fn finish_several(&self, selection: &Selection<'_>) {
        if let Some(remark) = self.remark_with(|| self.reason_of_several(selection)) {
            warn(remark);
        }
    }

    fn remark(&self, process: &Source<'_>, selection: &Selection<'_>) -> Option<String> {
        self.remark_with(|| self.reason(process, selection))
    }

    fn remark_with(&self, reason: impl FnOnce() -> String) -> Option<String> {
        match (self.is_listed, self.is_shared_absent) {
            _ if self.is_silent => None,
            (false, _) => Some(format!("nothing is listed: {}", reason())),
            (true, true) => Some(format!(
                "shared memory that is not-present can be in swap, which page tables do not show \
                 ({}K of swap are in use)",
                self.swap / 1024
            )),
            (true, false) => None,
        }
    }

    fn reason(&self, process: &Source<'_>, selection: &Selection<'_>) -> String {
        if !process.has_memory() {
            return match process {
                Source::Live(_) => {
                    "the process has no memory (it is a kernel thread, or it has ended and was \
                     not yet waited for)"
                }
                Source::Stored(_) => "the snapshot has no memory of the process",
            }
            .to_owned();
        }
        self.reason_of_selection(selection)
            .unwrap_or_else(|| "the process has no mappings".to_owned())
    }

    fn reason_of_several(&self, selection: &Selection<'_>) -> String {
        let reason = self.reason_of_selection(selection);
        reason.unwrap_or_else(|| match selection.mapping {
            Some(name) => format!("no mapping has \"{}\" in its name", printable(name)),
            None => "the processes have no mappings, or none of them was read".to_owned(),
        })
    }

    fn reason_of_selection(&self, selection: &Selection<'_>) -> Option<String> {
        if self.is_left_out {
            return Some("nothing of it is backed by memory (--backed)".to_owned());
        }
        Some(match selection.range? {
            RangeText::Page(address) => format!("nothing is mapped at {address:#x}"),
            RangeText::Span(range) => format!(
                "nothing is mapped from {:#x} to {:#x}",
                range.start(),
                range.end()
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use process_introspection::Process;
    use testkit::memory;

    use super::*;

    #[test]
    fn absent_shared_memory_can_be_in_swap_where_some_is_in_use() {
        let page = memory::page();
        let shared = memory::map(2 * page, libc::MAP_SHARED, memory::memfd(2 * page));
        let private = memory::anonymous(2 * page);
        memory::touch(shared, 1, 1);
        let process = Process::current().unwrap();
        let selection = Selection::default();
        let remark = |at: u64, pages: u64, swap| {
            let mut remarks = Remarks {
                swap,
                ..Remarks::default()
            };
            for region in process.resident_regions(at..at + pages * page).unwrap() {
                let region = region.unwrap();
                remarks.listed(Some(&region.mapping), region.backing);
            }
            remarks.remark(&Source::Live(&process), &selection)
        };
        let said = remark(shared, 2, 12 << 10).unwrap();
        assert!(said.ends_with("(12K of swap are in use)"), "{said}");
        // All of it is present; no swap is in use; private memory in swap is seen.
        assert_eq!(remark(shared, 1, 12 << 10), None);
        assert_eq!(remark(shared, 2, 0), None);
        assert_eq!(remark(private, 2, 12 << 10), None);
    }
}
