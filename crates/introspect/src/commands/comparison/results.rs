//! Results of a comparison, held until all are known: the largest changes come first. Knows
//! no source of regions.

use std::cmp::Reverse;
use std::marker::PhantomData;

use process_introspection::{
    compare_regions, Attributed, MappingChanges, MemoryChanges, PageSize, PhysicalRegion,
    RegionSource,
};
use process_introspection_export::{ChangeKind, ChangeOf, ChangeRecord, Decimal, Name, Time};

use super::Watch;
use crate::failure::Failure;

/// Process that was compared.
#[derive(Clone, Debug)]
pub(crate) struct Compared {
    pub(crate) pid: Option<u32>,
    pub(crate) unique_pid: Option<u64>,
    pub(crate) command: Vec<u8>,
}

/// Changes of a process.
#[derive(Debug)]
struct Found {
    process: Compared,
    change: ChangeKind,
    changes: MemoryChanges,
    /// Mappings in which something differs; empty for a process that started or ended.
    mappings: Vec<MappingChanges>,
}

/// Results of the comparison of two times. Memory use grows with the number of mappings
/// that differ.
#[derive(Debug)]
pub(crate) struct Results {
    before_at: Time,
    after_at: Time,
    found: Vec<Found>,
    same: u64,
    unread: u64,
    total: MemoryChanges,
}

impl Results {
    pub(crate) fn new(before_at: impl Into<Time>, after_at: impl Into<Time>) -> Self {
        Self {
            before_at: before_at.into(),
            after_at: after_at.into(),
            found: Vec::new(),
            same: 0,
            unread: 0,
            total: MemoryChanges::default(),
        }
    }

    /// Compares two streams of one process. `change` says whether it existed both times.
    pub(crate) fn compare(
        &mut self,
        process: Compared,
        change: ChangeKind,
        before: &mut impl RegionSource<Failure>,
        after: &mut impl RegionSource<Failure>,
        base: PageSize,
    ) -> Result<(), Failure> {
        let mut mappings = Vec::new();
        let changes = compare_regions(before, after, base, |row| {
            if change == ChangeKind::Changed && row.changes.differ() {
                mappings.push(row);
            }
        })?;
        self.total.add(&changes);
        if change == ChangeKind::Changed && !changes.differ() {
            self.same += 1;
            return Ok(());
        }
        mappings.sort_by_key(|row| {
            let mapping = row.after.as_ref().or(row.before.as_ref());
            (
                size(&row.changes),
                mapping.map(|mapping| mapping.range.start()),
            )
        });
        self.found.push(Found {
            process,
            change,
            changes,
            mappings,
        });
        Ok(())
    }

    /// Counts a process that could not be read at one of the times.
    pub(crate) fn add_unread(&mut self) {
        self.unread += 1;
    }

    /// Returns whether anything differs.
    pub(crate) fn differ(&self) -> bool {
        !self.found.is_empty()
    }

    /// Passes the records to `each`: each process with its mappings, then the total.
    pub(crate) fn visit(
        mut self,
        mut each: impl FnMut(&ChangeRecord<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        self.found
            .sort_by_key(|found| (size(&found.changes), found.process.unique_pid));
        let times = ChangeRecord {
            before_at: self.before_at,
            after_at: self.after_at,
            ..ChangeRecord::default()
        };
        for found in &self.found {
            let of_process = ChangeRecord {
                pid: found.process.pid,
                unique_pid: found.process.unique_pid.map(Decimal),
                ..times
            };
            each(&ChangeRecord {
                record: ChangeOf::Process,
                change: found.change,
                command: Name(&found.process.command),
                ..with_subject(ChangeRecord::of(&found.changes), &of_process)
            })?;
            for mapping in &found.mappings {
                each(&with_subject(
                    ChangeRecord::of_mapping(mapping),
                    &of_process,
                ))?;
            }
        }
        let count = |change: ChangeKind| {
            let found = self.found.iter().filter(|found| found.change == change);
            Some(found.count() as u64)
        };
        each(&ChangeRecord {
            record: ChangeOf::Total,
            change: match self.found.is_empty() {
                true => ChangeKind::Same,
                false => ChangeKind::Changed,
            },
            processes_started: count(ChangeKind::Started),
            processes_ended: count(ChangeKind::Ended),
            processes_changed: count(ChangeKind::Changed),
            processes_same: Some(self.same),
            processes_unread: Some(self.unread),
            ..with_subject(ChangeRecord::of(&self.total), &times)
        })
    }
}

/// Returns the record with times and process of another.
fn with_subject<'a>(record: ChangeRecord<'a>, subject: &ChangeRecord<'a>) -> ChangeRecord<'a> {
    ChangeRecord {
        before_at: subject.before_at,
        after_at: subject.after_at,
        pid: subject.pid,
        unique_pid: subject.unique_pid,
        ..record
    }
}

/// Key by which the largest changes are first.
fn size(changes: &MemoryChanges) -> (Reverse<u64>, Reverse<u64>) {
    (
        Reverse(changes.changed),
        Reverse(changes.mapped + changes.unmapped),
    )
}

/// Source that ends with an error when a signal ended the command.
pub(crate) struct Checked<'a, W, S, E> {
    watch: &'a W,
    source: S,
    error: PhantomData<E>,
}

impl<'a, W: Watch, S: RegionSource<E>, E> Checked<'a, W, S, E> {
    pub(crate) fn new(watch: &'a W, source: S) -> Self {
        Self {
            watch,
            source,
            error: PhantomData,
        }
    }
}

impl<W: Watch, S: RegionSource<E>, E: Into<Failure>> RegionSource<Failure>
    for Checked<'_, W, S, E>
{
    fn next_region(&mut self) -> Result<Option<&Attributed<PhysicalRegion>>, Failure> {
        self.watch.check()?;
        self.source.next_region().map_err(Into::into)
    }
}
