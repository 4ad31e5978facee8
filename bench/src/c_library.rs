//! The C library, loaded as a C program would find it.

use std::ffi::{c_int, c_void, CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// `procfs_mapinfo`: of its contents only the size matters here.
#[derive(Copy, Clone, Default)]
#[repr(C)]
pub(crate) struct Record(pub(crate) [u64; 6]);

impl Record {
    /// In bytes.
    pub(crate) fn size(&self) -> u64 {
        self.0[1]
    }
}

/// `introspection_cursor_t`.
#[repr(C)]
struct CursorStorage([u64; 960]);

/// `INTROSPECTION_PHYSICAL`.
const PHYSICAL: c_int = 1;

type Regions = unsafe extern "C" fn(i64, usize, usize, *mut Record, usize) -> c_int;
type CursorOpen = unsafe extern "C" fn(*mut CursorStorage, i64, usize, usize, c_int) -> c_int;
type CursorNext = unsafe extern "C" fn(*mut CursorStorage, *mut Record, usize) -> c_int;
type CursorClose = unsafe extern "C" fn(*mut CursorStorage);

/// The loaded library: its functions, which stay where they are.
#[derive(Copy, Clone)]
pub(crate) struct CLibrary {
    physical: Regions,
    cursor_open: CursorOpen,
    cursor_next: CursorNext,
    cursor_close: CursorClose,
}

impl CLibrary {
    /// Loads it; it stays loaded.
    pub(crate) fn open(path: &Path) -> Result<Self, String> {
        let name = CString::new(path.as_os_str().as_bytes())
            .map_err(|_| format!("{} is no path", path.display()))?;
        // SAFETY: a NUL-terminated string; loading runs no code of the library's.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW) };
        if handle.is_null() {
            return Err(format!("{} cannot be loaded", path.display()));
        }
        let symbol = |name: &CStr| {
            // SAFETY: a live handle and a NUL-terminated string.
            let symbol = unsafe { libc::dlsym(handle, name.as_ptr()) };
            if symbol.is_null() {
                return Err(format!("{} has no {name:?}", path.display()));
            }
            Ok(symbol)
        };
        let physical = symbol(c"introspection_get_physical_regions")?;
        let cursor_open = symbol(c"introspection_cursor_open")?;
        let cursor_next = symbol(c"introspection_cursor_next")?;
        let cursor_close = symbol(c"introspection_cursor_close")?;
        // SAFETY: the symbols are functions of these types (the library's header).
        unsafe {
            Ok(Self {
                physical: std::mem::transmute::<*mut c_void, Regions>(physical),
                cursor_open: std::mem::transmute::<*mut c_void, CursorOpen>(cursor_open),
                cursor_next: std::mem::transmute::<*mut c_void, CursorNext>(cursor_next),
                cursor_close: std::mem::transmute::<*mut c_void, CursorClose>(cursor_close),
            })
        }
    }

    /// Stores as many records of `start..end` as fit; gives how many there are.
    /// The PID 0 is this process.
    pub(crate) fn physical(&self, pid: u32, start: u64, end: u64, records: &mut [Record]) -> usize {
        let size = size_of_val(records);
        // SAFETY: the buffer is live, exclusive and of this size.
        let bytes = unsafe {
            (self.physical)(
                i64::from(pid),
                start as usize,
                (end - 1) as usize,
                records.as_mut_ptr(),
                size,
            )
        };
        assert!(bytes >= 0, "errno {}", -bytes);
        bytes as usize / size_of::<Record>()
    }

    /// Streams the records of `start..end` through a small buffer; gives how
    /// many there are.
    pub(crate) fn stream(&self, pid: u32, start: u64, end: u64) -> usize {
        let mut storage = CursorStorage([0; 960]);
        let mut records = [Record::default(); 64];
        let mut count = 0;
        // SAFETY: the storage is live, exclusive and is not moved; the buffer
        // is live, exclusive and of this many records; closed once.
        unsafe {
            let (start, last) = (start as usize, (end - 1) as usize);
            let opened = (self.cursor_open)(&mut storage, i64::from(pid), start, last, PHYSICAL);
            assert_eq!(opened, 0, "errno {}", -opened);
            loop {
                let stored = (self.cursor_next)(&mut storage, records.as_mut_ptr(), records.len());
                assert!(stored >= 0, "errno {}", -stored);
                if stored == 0 {
                    break;
                }
                count += stored as usize;
            }
            (self.cursor_close)(&mut storage);
        }
        count
    }
}
