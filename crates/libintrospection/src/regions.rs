//! The three array calls: a walk, of which as many records are stored as fit. Knows
//! nothing of the walk itself.

use core::ffi::c_int;
use core::ops::ControlFlow;

use process_introspection_core::mapping::ClassifiedVma;
use process_introspection_core::page_table::LeafCursor;
use process_introspection_core::physical::{PhysicalCursor, Run};
use process_introspection_core::process::Access;
use process_introspection_core::virtual_regions::VirtualCursor;
use process_introspection_core::{AddrRange, CoreError, Errno, Operation, ProcessHandle, Target};

use crate::output::Output;
use crate::record::{Record, RecordRun, SharedFields};
use crate::{range, Result};

/// Storage for the name of a VMA, which only its classification needs: as long as the
/// core uses to open the object.
pub(crate) type Name = [u8; 512];
pub(crate) const NO_NAME: Name = [0; 512];

/// Storage for the name of a VMA in a walk that needs its stack otherwise. Objects with
/// longer names are opened through the mapping itself, which takes the privilege that
/// physical addresses take.
pub(crate) type ShortName = [u8; 192];
pub(crate) const NO_SHORT_NAME: ShortName = [0; 192];
/// Storage for page-map entries: as much as fits the promised stack.
pub(crate) type Entries = [u64; 224];
pub(crate) const NO_ENTRIES: Entries = [0; 224];
/// Storage for fewer entries, in a walk that also stores ranges of leaf entries.
pub(crate) type FewerEntries = [u64; 128];
pub(crate) const NO_FEWER_ENTRIES: FewerEntries = [0; 128];

/// Source of records.
pub(crate) trait Walk {
    /// Returns the next run of records; `None` past the last.
    fn next_records(&mut self, process: &ProcessHandle) -> Result<Option<RecordRun>>;
}

impl<N: AsRef<[u8]> + AsMut<[u8]>> Walk for VirtualCursor<N> {
    fn next_records(&mut self, process: &ProcessHandle) -> Result<Option<RecordRun>> {
        let mapping = self.next(process)?;
        Ok(mapping.map(|mapping| RecordRun::one(Record::of_mapping(&mapping))))
    }
}

impl<N, E> Walk for PhysicalCursor<N, E>
where
    N: AsRef<[u8]> + AsMut<[u8]>,
    E: AsRef<[u64]> + AsMut<[u64]>,
{
    fn next_records(&mut self, process: &ProcessHandle) -> Result<Option<RecordRun>> {
        let run = self.next_run(process)?;
        Ok(run
            .zip(self.mapping())
            .map(|(run, mapping)| RecordRun::one(Record::of_run(mapping, &run))))
    }
}

impl<N, E> Walk for LeafCursor<N, E>
where
    N: AsRef<[u8]> + AsMut<[u8]>,
    E: AsRef<[u64]> + AsMut<[u64]>,
{
    fn next_records(&mut self, process: &ProcessHandle) -> Result<Option<RecordRun>> {
        let run = self.next(process)?;
        Ok(run.map(|run| RecordRun::of_leaves(&run, self.mapping())))
    }
}

/// Maximum number of records whose size fits the result.
const MOST: u64 = c_int::MAX as u64 / size_of::<Record>() as u64;

/// The buffer that records are stored in, and the number of all records.
struct Array {
    output: Output,
    capacity: u64,
    count: u64,
}

impl Array {
    fn new(output: Output) -> Self {
        let capacity = (output.size() / size_of::<Record>()) as u64;
        Self {
            output,
            capacity,
            count: 0,
        }
    }

    /// Counts a record, and stores it if it fits.
    #[inline]
    fn push(&mut self, record: &Record) -> Result<()> {
        if self.count < self.capacity {
            let at = self.count as usize * size_of::<Record>();
            self.output.store(at, record.as_bytes())?;
        }
        self.skip(1)
    }

    /// Counts records that are not stored.
    fn skip(&mut self, count: u64) -> Result<()> {
        self.count = self.count.saturating_add(count);
        if self.count > MOST {
            return Err(CoreError::new(Errno::EOVERFLOW, Operation::Argument));
        }
        Ok(())
    }

    /// The size in bytes of all records.
    fn size(&self) -> u64 {
        self.count * size_of::<Record>() as u64
    }
}

/// Stores the records that fit, and returns the size in bytes of all records.
fn fill(walk: &mut impl Walk, process: &ProcessHandle, output: Output) -> Result<u64> {
    let mut array = Array::new(output);
    while let Some(mut run) = walk.next_records(process)? {
        while array.count < array.capacity && run.count() > 0 {
            array.push(run.first())?;
            run.advance();
        }
        array.skip(run.count())?;
    }
    Ok(array.size())
}

/// As [`fill`], for physical regions, of which there can be one a page: VMA by VMA, with
/// the fields that all records of a VMA share.
fn fill_physical(
    walk: &mut PhysicalCursor<&mut ShortName, &mut Entries>,
    process: &ProcessHandle,
    output: Output,
) -> Result<u64> {
    let mut array = Array::new(output);
    let mut stored = Ok(());
    let mut shared = SharedFields::default();
    let mut give = |run: &Run, mapping: &ClassifiedVma| {
        stored = array.push(&shared.of(mapping).record(run));
        match stored {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    };
    while walk.walk_area(process, &mut give)?.is_continue() {}
    stored?;
    Ok(array.size())
}

// Opening a target and walking it each have a function of their own, so that
// their stack frames are not added up. A walk borrows its storage: owned, it
// would be moved with the walk wherever the compiler does not make the walk in
// its place, and each move is a second copy on the stack.

pub(crate) fn virtual_regions(
    pid64: i64,
    start: usize,
    last: usize,
    output: Output,
) -> Result<u64> {
    let range = range(start, last)?;
    let process = open(pid64, Access::Layout)?;
    let mut name = NO_NAME;
    let mut walk = VirtualCursor::new(&process, range, &mut name);
    fill(&mut walk, &process, output)
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
fn walk_physical(process: &ProcessHandle, range: AddrRange, output: Output) -> Result<u64> {
    let (name, entries) = (&mut { NO_SHORT_NAME }, &mut { NO_ENTRIES });
    let start = move || PhysicalCursor::new(process, range, Access::Frames, name, entries);
    fill_physical(made_in(&mut None, start)?, process, output)
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
fn walk_page_table(process: &ProcessHandle, range: AddrRange, output: Output) -> Result<u64> {
    let (name, entries) = (&mut { NO_SHORT_NAME }, &mut { NO_FEWER_ENTRIES });
    let start = move || LeafCursor::new(process, range, name, entries);
    fill(made_in(&mut None, start)?, process, output)
}

/// Makes a walk in place. Not inlined, so that the stack that this takes does not add up
/// with the walk's.
#[inline(never)]
fn made_in<T>(place: &mut Option<T>, make: impl FnOnce() -> Result<T>) -> Result<&mut T> {
    Ok(place.insert(make()?))
}

/// Opens the target that C gave as a number.
#[inline(never)]
pub(crate) fn open(pid64: i64, access: Access) -> Result<ProcessHandle> {
    ProcessHandle::open(Target::from_pid64(pid64)?, access)
}
