//! `owner --by-process`: how much of the memory each process maps. Must not know how
//! processes are read.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use process_introspection::{
    Cgroup, Owner, OwnerEvent, PageRun, PageSize, PageUses, PassedProcess, PhysAddr, PhysRange,
};
use process_introspection_export::{
    OwnedPages, OwnerKind, OwnerRecord, OwnerTotalRecord, Searched,
};

use crate::failure::{continue_unless, Failure};
use crate::options::sorting::SortOptions;
use crate::output::sink::Sink;

/// Physical memory, in ranges in any order that can overlap.
#[derive(Debug, Default)]
struct Memory(Vec<(u64, u64)>);

impl Memory {
    fn add(&mut self, start: PhysAddr, size: u64) {
        let (start, end) = (start.as_u64(), start.as_u64().saturating_add(size));
        match self.0.last_mut() {
            Some(last) if last.1 == start => last.1 = end,
            _ => self.0.push((start, end)),
        }
    }

    /// Returns the size, each byte once.
    fn size(mut self) -> u64 {
        self.0.sort_unstable();
        let (mut size, mut done) = (0, 0);
        for (start, end) in self.0 {
            size += end.saturating_sub(start.max(done));
            done = done.max(end);
        }
        size
    }
}

/// Process with the memory that it maps, while it is read.
#[derive(Debug)]
struct Current {
    process: Arc<PassedProcess>,
    mapped: Memory,
    lost: Memory,
}

/// Memory that no process maps, by what is said of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Unmapped {
    is_sure: bool,
    page_use: Option<&'static str>,
    payer: Option<u64>,
}

/// Sums of a pass. The owners of one process follow each other.
#[derive(Debug, Default)]
pub(super) struct Totals {
    current: Option<Current>,
    /// Processes with the sizes of what they map and of what they lost.
    done: Vec<(Arc<PassedProcess>, u64, u64)>,
    unmapped: BTreeMap<Unmapped, u64>,
    searched: Option<Searched>,
    unread: Vec<(Arc<PassedProcess>, String)>,
}

impl Totals {
    /// Adds what a live pass has found.
    pub(super) fn take(
        &mut self,
        event: OwnerEvent,
        uses: &mut PageUses,
        sink: &Sink,
    ) -> Result<(), Failure> {
        match event {
            OwnerEvent::Owner(owner) => {
                if let Some(start) = owner.region.backing.address() {
                    self.current(&owner).mapped.add(start, owner.region.size());
                }
            }
            OwnerEvent::Lost(owner, first) => {
                self.current(&owner).lost.add(first, owner.region.size());
            }
            OwnerEvent::Unmapped(range, coverage) => {
                let (mut failed, searched) = (None, coverage.into());
                uses.visit_by_payer(range, |run| {
                    self.add_unmapped(run, searched);
                    continue_unless(&mut failed, sink.check())
                })?;
                return failed.map_or(Ok(()), Err);
            }
            _ => {}
        }
        Ok(())
    }

    /// Adds pages of an owner in a snapshot.
    pub(super) fn add_stored(&mut self, owner: &Owner, pages: &OwnedPages) {
        let range = pages.range;
        self.current(owner).mapped.add(range.start(), range.size());
    }

    /// Adds memory that no process of a snapshot maps, and of which nothing else is known.
    pub(super) fn add_unknown(&mut self, range: PhysRange) {
        self.searched = Some(Searched::Snapshot);
        let unknown = Unmapped {
            is_sure: false,
            page_use: None,
            payer: None,
        };
        *self.unmapped.entry(unknown).or_default() += range.size();
    }

    /// Adds memory of one payer that no process maps among those that were searched.
    pub(super) fn add_unmapped(&mut self, run: &PageRun, searched: Searched) {
        self.searched = Some(searched);
        let record = OwnerRecord::unmapped(run, searched, PageSize::base());
        let key = Unmapped {
            is_sure: record.record == OwnerKind::Unmapped,
            page_use: record.page_use,
            payer: run.payer,
        };
        *self.unmapped.entry(key).or_default() += run.range.size();
    }

    /// Adds a process that could not be read.
    pub(super) fn add_unread(&mut self, process: Arc<PassedProcess>, why: String) {
        self.unread.push((process, why));
    }

    fn current(&mut self, owner: &Owner) -> &mut Current {
        let is_same = |current: &Current| Arc::ptr_eq(&current.process, &owner.process);
        if !self.current.as_ref().is_some_and(is_same) {
            self.end();
        }
        self.current.get_or_insert_with(|| Current {
            process: Arc::clone(&owner.process),
            mapped: Memory::default(),
            lost: Memory::default(),
        })
    }

    fn end(&mut self) {
        if let Some(current) = self.current.take() {
            let sizes = (current.mapped.size(), current.lost.size());
            self.done.push((current.process, sizes.0, sizes.1));
        }
    }

    /// Writes the sums: processes, then memory that none maps, the largest first.
    pub(super) fn write(
        mut self,
        sorting: &SortOptions,
        payer: impl Fn(Option<u64>) -> Option<Cgroup>,
        sink: &mut Sink,
    ) -> Result<(), Failure> {
        self.end();
        let mut records: Vec<_> = self
            .done
            .iter()
            .map(|(process, size, lost)| OwnerTotalRecord::mapped(process, *size, *lost))
            .collect();
        records.sort_by_key(|record| (Reverse(record.size), record.pid));
        let searched = self.searched.unwrap_or(Searched::All);
        let unmapped = self.unmapped.into_iter().map(|(key, size)| {
            let kind = match key.is_sure {
                true => OwnerKind::Unmapped,
                false => OwnerKind::NotFound,
            };
            OwnerTotalRecord::unmapped(kind, key.page_use, size, searched, payer(key.payer))
        });
        let mut unmapped: Vec<_> = unmapped.collect();
        unmapped.sort_by_key(|record| Reverse(record.size));
        records.append(&mut unmapped);
        let unread = self.unread.into_iter();
        records.extend(unread.map(|(process, why)| OwnerTotalRecord::unread(&process, why)));
        sorting.arrange(&mut records)?;
        records.iter().try_for_each(|record| sink.write(record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_is_mapped_twice_counts_once() {
        let mut memory = Memory::default();
        for (start, size) in [
            (0x3000, 0x1000),
            (0x4000, 0x1000),
            (0x1000, 0x1000),
            (0x3000, 0x3000),
        ] {
            memory.add(PhysAddr::new(start), size);
        }
        assert_eq!(memory.size(), 0x4000);
        assert_eq!(Memory::default().size(), 0);
    }
}
