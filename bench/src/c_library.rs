//! The C library, loaded as a C program would find it.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// `procfs_mapinfo`: only its size matters here.
#[derive(Copy, Clone, Default)]
#[repr(C)]
pub struct Record([u64; 6]);

type Regions = unsafe extern "C" fn(i64, usize, usize, *mut Record, usize) -> i32;

/// The loaded library.
pub struct CLibrary {
    physical: Regions,
}

impl CLibrary {
    /// Loads it; it stays loaded.
    pub fn open(path: &Path) -> Self {
        let path = CString::new(path.as_os_str().as_bytes()).expect("a path");
        // SAFETY: NUL-terminated strings; the symbol has this type (its header).
        let physical = unsafe {
            let handle = libc::dlopen(path.as_ptr(), libc::RTLD_NOW);
            assert!(!handle.is_null(), "dlopen {path:?}");
            let symbol = libc::dlsym(handle, c"introspection_get_physical_regions".as_ptr());
            assert!(!symbol.is_null(), "the library lacks its main function");
            std::mem::transmute::<*mut libc::c_void, Regions>(symbol)
        };
        Self { physical }
    }

    /// Stores as many records of `start..end` as fit; gives how many there are.
    pub fn physical(&self, pid: u32, start: u64, end: u64, records: &mut [Record]) -> usize {
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
}
