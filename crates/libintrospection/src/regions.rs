//! The three array calls: a walk, and as much of it stored as fits. Knows
//! nothing of how a walk is made.

use core::ffi::c_int;

use process_introspection_core::page_table::LeafCursor;
use process_introspection_core::physical::PhysicalCursor;
use process_introspection_core::process::Access;
use process_introspection_core::virtual_regions::VirtualCursor;
use process_introspection_core::{AddrRange, Errno, Error, Operation, Process, Target};

use crate::output::Output;
use crate::record::{Record, RecordRun};
use crate::{range, Result};

/// Storage for an area's name, of which only its kind is wanted: as long as the
/// core makes use of to look at the object.
pub(crate) type Name = [u8; 512];
pub(crate) const NO_NAME: Name = [0; 512];

/// The same in a walk that has other uses for its stack. Objects with longer
/// names are looked at through the mapping itself: it takes the privilege that
/// physical addresses take, too.
pub(crate) type ShortName = [u8; 192];
pub(crate) const NO_SHORT_NAME: ShortName = [0; 192];

/// Something that gives records.
pub(crate) trait Walk {
    /// The next records that are alike; `None` past the last.
    fn next_records(&mut self, process: &Process) -> Result<Option<RecordRun>>;
}

impl Walk for VirtualCursor<Name> {
    fn next_records(&mut self, process: &Process) -> Result<Option<RecordRun>> {
        let mapping = self.next(process)?;
        Ok(mapping.map(|mapping| RecordRun::one(Record::of_mapping(&mapping))))
    }
}

impl Walk for PhysicalCursor<ShortName> {
    fn next_records(&mut self, process: &Process) -> Result<Option<RecordRun>> {
        let run = self.next_run(process)?;
        Ok(run
            .zip(self.mapping())
            .map(|(run, mapping)| RecordRun::one(Record::of_run(mapping, &run))))
    }
}

impl Walk for LeafCursor<ShortName> {
    fn next_records(&mut self, process: &Process) -> Result<Option<RecordRun>> {
        let run = self.next(process)?;
        Ok(run.map(|run| RecordRun::of_leaves(&run)))
    }
}

/// Stores what fits and gives the size in bytes of all of it.
fn fill(walk: &mut impl Walk, process: &Process, mut output: Output) -> Result<u64> {
    const MOST: u64 = c_int::MAX as u64 / size_of::<Record>() as u64;
    let capacity = (output.size() / size_of::<Record>()) as u64;
    let mut count = 0u64;
    while let Some(mut run) = walk.next_records(process)? {
        let all = count.saturating_add(run.count());
        while count < capacity && run.count() > 0 {
            output.store(count as usize * size_of::<Record>(), run.first().as_bytes())?;
            run.advance();
            count += 1;
        }
        count = all;
        if count > MOST {
            return Err(Error::new(Errno::EOVERFLOW, Operation::Argument));
        }
    }
    Ok(count * size_of::<Record>() as u64)
}

// Opening a target and walking it each have a function of their own, so that
// their stack frames are not added up. A walk is never moved, not even out of
// its result: that would be a second copy of it on the stack.

pub(crate) fn virtual_regions(
    pid64: i64,
    start: usize,
    last: usize,
    output: Output,
) -> Result<u64> {
    let range = range(start, last)?;
    let process = open(pid64, Access::Layout)?;
    fill(
        &mut VirtualCursor::new(&process, range, NO_NAME),
        &process,
        output,
    )
}

pub(crate) fn physical_regions(
    pid64: i64,
    start: usize,
    last: usize,
    output: Output,
) -> Result<u64> {
    let range = range(start, last)?;
    walk_physical(&open(pid64, Access::Frames)?, range, output)
}

#[inline(never)]
fn walk_physical(process: &Process, range: AddrRange, output: Output) -> Result<u64> {
    match &mut PhysicalCursor::new(process, range, Access::Frames, NO_SHORT_NAME) {
        Ok(walk) => fill(walk, process, output),
        Err(error) => Err(*error),
    }
}

pub(crate) fn page_table_entries(
    pid64: i64,
    start: usize,
    last: usize,
    output: Output,
) -> Result<u64> {
    let range = range(start, last)?;
    walk_page_table(&open(pid64, Access::Frames)?, range, output)
}

#[inline(never)]
fn walk_page_table(process: &Process, range: AddrRange, output: Output) -> Result<u64> {
    match &mut LeafCursor::new(process, range, NO_SHORT_NAME) {
        Ok(walk) => fill(walk, process, output),
        Err(error) => Err(*error),
    }
}

/// Opens a target by C's number.
#[inline(never)]
pub(crate) fn open(pid64: i64, access: Access) -> Result<Process> {
    Process::open(Target::from_pid64(pid64)?, access)
}
