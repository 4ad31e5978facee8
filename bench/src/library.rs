//! The loaded C library, called with the numbers of a target.

use std::ffi::c_int;
use std::path::Path;

pub(crate) use c_library::loaded::Record;
use c_library::loaded::{self, Functions};

/// Number of words of `introspection_cursor_t`.
const CURSOR: usize = 960;

/// `INTROSPECTION_PHYSICAL`.
const PHYSICAL: c_int = 1;

/// Functions of the library, valid for good.
#[derive(Copy, Clone)]
pub(crate) struct CLibrary(Functions);

impl CLibrary {
    /// Loads the library, which stays loaded.
    pub(crate) fn open(path: &Path) -> Result<Self, String> {
        Functions::load(path).map(Self)
    }

    /// Stores as many records of `start..end` as fit, and returns the number of all.
    /// The PID 0 is this process.
    pub(crate) fn physical(&self, pid: u32, start: u64, end: u64, records: &mut [Record]) -> usize {
        let size = size_of_val(records);
        // SAFETY: the buffer is live, exclusive and of this size.
        let bytes = unsafe {
            (self.0.physical_regions)(
                i64::from(pid),
                start as usize,
                (end - 1) as usize,
                records.as_mut_ptr(),
                size,
            )
        };
        given(bytes) / size_of::<Record>()
    }

    /// Streams the records of `start..end` through a small buffer, and returns
    /// their number.
    pub(crate) fn stream(&self, pid: u32, start: u64, end: u64) -> usize {
        let mut storage = [0; CURSOR];
        let storage = storage.as_mut_ptr();
        let mut records = [Record::default(); 64];
        let mut count = 0;
        // SAFETY: the storage is live, exclusive and is not moved; the buffer
        // is live, exclusive and of this many records; closed once.
        unsafe {
            let (start, last) = (start as usize, (end - 1) as usize);
            given((self.0.cursor_open)(
                storage,
                i64::from(pid),
                start,
                last,
                PHYSICAL,
            ));
            loop {
                match given((self.0.cursor_next)(
                    storage,
                    records.as_mut_ptr(),
                    records.len(),
                )) {
                    0 => break,
                    stored => count += stored,
                }
            }
            (self.0.cursor_close)(storage);
        }
        count
    }
}

fn given(result: c_int) -> usize {
    loaded::result(result).unwrap_or_else(|errno| panic!("errno {errno}"))
}
