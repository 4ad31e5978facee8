//! Cursors: a walk in steps, in the caller's storage. Owns the contents of that
//! storage; knows nothing of the walk itself.

use core::ffi::c_int;
use core::mem::MaybeUninit;

use process_introspection_core::page_table::LeafCursor;
use process_introspection_core::physical::PhysicalCursor;
use process_introspection_core::process::Access;
use process_introspection_core::virtual_regions::VirtualCursor;
use process_introspection_core::{AddrRange, CoreError, Errno, Operation, ProcessHandle};

use crate::output::Output;
use crate::record::{Record, RecordRun};
use crate::regions::{
    self, Entries, FewerEntries, Name, ShortName, Walk, NO_ENTRIES, NO_FEWER_ENTRIES, NO_NAME,
    NO_SHORT_NAME,
};
use crate::{range, Result};

/// `introspection_cursor_t`: 8-byte aligned words of the caller. Its parts are
/// initialized one by one, in place.
#[repr(C)]
pub(crate) struct CursorStorage {
    /// [`OPEN`] while all the others are initialized.
    state: u64,
    process: MaybeUninit<ProcessHandle>,
    walk: MaybeUninit<AnyWalk>,
    progress: MaybeUninit<Progress>,
}

const OPEN: u64 = u64::from_ne_bytes(*b"introspc");
/// Number of words in the header's struct.
#[allow(dead_code)] // Older compilers do not count its use in an assertion.
const WORDS: usize = 960;

const _: () = {
    assert!(size_of::<CursorStorage>() <= WORDS * size_of::<u64>());
    assert!(align_of::<CursorStorage>() <= align_of::<u64>());
};

struct Progress {
    /// Found, but not yet stored.
    found: RecordRun,
    /// Error that ended the walk.
    failed: Option<CoreError>,
}

/// A walk of one of the three kinds. Their sizes differ, but the storage has to hold the
/// largest anyway. They are kept in their results, because taking them out would be a
/// second copy on the stack.
#[allow(clippy::large_enum_variant)]
enum AnyWalk {
    Virtual(VirtualCursor<Name>),
    Physical(Result<PhysicalCursor<ShortName, Entries>>),
    PageTable(Result<LeafCursor<ShortName, FewerEntries>>),
}

impl AnyWalk {
    fn check(&self) -> Result<()> {
        match self {
            Self::Physical(Err(error)) | Self::PageTable(Err(error)) => Err(*error),
            _ => Ok(()),
        }
    }

    fn next_records(&mut self, process: &ProcessHandle) -> Result<Option<RecordRun>> {
        match self {
            Self::Virtual(walk) => walk.next_records(process),
            Self::Physical(Ok(walk)) => walk.next_records(process),
            Self::PageTable(Ok(walk)) => walk.next_records(process),
            Self::Physical(Err(error)) | Self::PageTable(Err(error)) => Err(*error),
        }
    }
}

/// The header's INTROSPECTION_VIRTUAL, _PHYSICAL, _PAGETABLE.
#[derive(Copy, Clone)]
enum Kind {
    Virtual,
    Physical,
    PageTable,
}

impl Kind {
    fn from_c(kind: c_int) -> Result<Self> {
        match kind {
            0 => Ok(Self::Virtual),
            1 => Ok(Self::Physical),
            2 => Ok(Self::PageTable),
            _ => Err(CoreError::new(Errno::EINVAL, Operation::Argument)),
        }
    }

    fn access(self) -> Access {
        match self {
            Self::Virtual => Access::Layout,
            Self::Physical | Self::PageTable => Access::Frames,
        }
    }

    /// Makes a walk in place. Each kind has a function of its own, so that their large
    /// stack frames add up neither with each other nor with those that open the target.
    fn start<'a>(
        self,
        walk: &'a mut MaybeUninit<AnyWalk>,
        process: &ProcessHandle,
        range: AddrRange,
    ) -> &'a AnyWalk {
        match self {
            Self::Virtual => start_virtual(walk, process, range),
            Self::Physical => start_physical(walk, process, range),
            Self::PageTable => start_page_table(walk, process, range),
        }
    }
}

#[inline(never)]
fn start_virtual<'a>(
    walk: &'a mut MaybeUninit<AnyWalk>,
    process: &ProcessHandle,
    range: AddrRange,
) -> &'a AnyWalk {
    walk.write(AnyWalk::Virtual(VirtualCursor::new(
        process, range, NO_NAME,
    )))
}

#[inline(never)]
fn start_physical<'a>(
    walk: &'a mut MaybeUninit<AnyWalk>,
    process: &ProcessHandle,
    range: AddrRange,
) -> &'a AnyWalk {
    let started = PhysicalCursor::new(process, range, Access::Frames, NO_SHORT_NAME, NO_ENTRIES);
    walk.write(AnyWalk::Physical(started))
}

#[inline(never)]
fn start_page_table<'a>(
    walk: &'a mut MaybeUninit<AnyWalk>,
    process: &ProcessHandle,
    range: AddrRange,
) -> &'a AnyWalk {
    walk.write(AnyWalk::PageTable(LeafCursor::new(
        process,
        range,
        NO_SHORT_NAME,
        NO_FEWER_ENTRIES,
    )))
}

/// An open cursor in its storage.
struct Cursor<'a> {
    process: &'a ProcessHandle,
    walk: &'a mut AnyWalk,
    progress: &'a mut Progress,
}

impl Cursor<'_> {
    /// Finds the next record, unless there is one; false at the end.
    fn find(&mut self) -> Result<bool> {
        let progress = &mut *self.progress;
        if progress.found.count() > 0 {
            return Ok(true);
        }
        if let Some(error) = progress.failed {
            return Err(error);
        }
        let found = self.walk.next_records(self.process);
        progress.failed = found.as_ref().err().copied();
        progress.found = found?.unwrap_or_default();
        Ok(progress.found.count() > 0)
    }

    fn fill(&mut self, output: &mut Output, stored: &mut usize) -> Result<()> {
        let capacity = output.size() / size_of::<Record>();
        while *stored < capacity && self.find()? {
            let found = &mut self.progress.found;
            output.store(*stored * size_of::<Record>(), found.first().as_bytes())?;
            found.advance();
            *stored += 1;
        }
        Ok(())
    }
}

/// # Safety
/// `storage` is NULL or points to writable storage of the header's size that no
/// other call uses meanwhile.
pub(crate) unsafe fn open(
    storage: *mut CursorStorage,
    pid64: i64,
    start: usize,
    last: usize,
    kind: c_int,
) -> Result<u64> {
    // SAFETY: this function's contract; an integer and uninitialized parts are
    // valid with any contents.
    let Some(storage) = (unsafe { storage.as_mut() }) else {
        return Err(CoreError::new(Errno::EFAULT, Operation::Argument));
    };
    storage.state = 0;
    let kind = Kind::from_c(kind)?;
    let range = range(start, last)?;
    let process = storage.process.write(regions::open(pid64, kind.access())?);
    let checked = kind.start(&mut storage.walk, process, range).check();
    storage.progress.write(Progress {
        found: RecordRun::default(),
        failed: None,
    });
    storage.state = OPEN;
    if let Err(error) = checked {
        // SAFETY: all of it is initialized now.
        unsafe { close(storage) };
        return Err(error);
    }
    Ok(0)
}

/// # Safety
/// As [`open`], and the storage is all zeros or as these functions left it.
unsafe fn opened<'a>(storage: *mut CursorStorage) -> Option<&'a mut CursorStorage> {
    // SAFETY: this function's contract.
    unsafe { storage.as_mut() }.filter(|storage| storage.state == OPEN)
}

/// # Safety
/// As [`opened`].
pub(crate) unsafe fn next(storage: *mut CursorStorage, mut output: Output) -> Result<u64> {
    // SAFETY: this function's contract.
    let Some(storage) = (unsafe { opened(storage) }) else {
        return Err(CoreError::new(Errno::EBADF, Operation::Argument));
    };
    if output.size() == 0 {
        return Err(CoreError::new(Errno::EINVAL, Operation::Argument));
    }
    // SAFETY: the state says that all of it is initialized.
    let mut cursor = unsafe {
        Cursor {
            process: storage.process.assume_init_ref(),
            walk: storage.walk.assume_init_mut(),
            progress: storage.progress.assume_init_mut(),
        }
    };
    let mut stored = 0;
    match cursor.fill(&mut output, &mut stored) {
        // The next call returns the error.
        Err(error) if stored == 0 => Err(error),
        _ => Ok(stored as u64),
    }
}

/// # Safety
/// As [`opened`].
pub(crate) unsafe fn close(storage: *mut CursorStorage) {
    // SAFETY: this function's contract.
    if let Some(storage) = unsafe { opened(storage) } {
        storage.state = 0;
        // SAFETY: the state said that all of it is initialized, and now says
        // that it is not. (The progress needs no drop.)
        unsafe {
            storage.walk.assume_init_drop();
            storage.process.assume_init_drop();
        }
    }
}
