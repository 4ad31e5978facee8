//! The shared object, loaded into this process as a C program would find it, and
//! its functions by the header's prototypes. Knows no test.

use std::ffi::{c_int, c_void, CString};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// `struct _procfs_map_info`.
#[repr(C)]
#[derive(Copy, Clone, Debug, Default)]
pub struct Record {
    /// The first virtual address.
    pub vaddr: u64,
    /// In bytes.
    pub size: u64,
    /// QNX's, and the library's own.
    pub flags: u32,
    /// The object's device.
    pub dev: u32,
    /// Where the first byte lies in the object.
    pub offset: i64,
    /// The object's inode.
    pub ino: u64,
    /// The first physical address; all ones if it is unbacked.
    pub paddr: u64,
}

impl Record {
    /// Its virtual addresses.
    pub fn range(&self) -> Range<u64> {
        self.vaddr..self.vaddr + self.size
    }

    /// Whether physical memory is behind it.
    pub fn is_backed(&self) -> bool {
        self.paddr != u64::MAX
    }
}

/// What fills an array of records.
pub type ArrayCall = unsafe extern "C" fn(i64, usize, usize, *mut Record, usize) -> c_int;
/// What fills a buffer from an address on.
pub type PathCall = unsafe extern "C" fn(i64, usize, *mut c_void, usize) -> c_int;
/// `introspection_cursor_open`.
pub type CursorOpen = unsafe extern "C" fn(*mut u64, i64, usize, usize, c_int) -> c_int;
/// `introspection_cursor_next`.
pub type CursorNext = unsafe extern "C" fn(*mut u64, *mut Record, usize) -> c_int;

/// The library's functions, by the dynamic linker. They stay where they are.
#[derive(Copy, Clone, Debug)]
pub struct Functions {
    /// `introspection_get_virtual_regions`.
    pub virtual_regions: ArrayCall,
    /// `introspection_get_physical_regions`.
    pub physical_regions: ArrayCall,
    /// `introspection_get_pagetableinfo`.
    pub page_table: ArrayCall,
    /// `introspection_get_mapped_object_path`.
    pub object_path: PathCall,
    /// `introspection_read_process_memory`.
    pub read_memory: PathCall,
    /// `introspection_getpid64`.
    pub unique_pid: unsafe extern "C" fn(c_int) -> i64,
    /// `introspection_cursor_open`.
    pub cursor_open: CursorOpen,
    /// `introspection_cursor_next`.
    pub cursor_next: CursorNext,
    /// `introspection_cursor_close`.
    pub cursor_close: unsafe extern "C" fn(*mut u64),
}

impl Functions {
    /// Loads the shared object at a path, for as long as the process lives.
    ///
    /// # Panics
    /// If it cannot be loaded, or has not all of the functions.
    pub fn load(path: &Path) -> Self {
        let path = CString::new(path.as_os_str().as_bytes()).expect("a path without a NUL");
        // SAFETY: a NUL-terminated path; the library runs nothing when it is loaded.
        let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) };
        assert!(!handle.is_null(), "dlopen {path:?}");
        let symbol = |name: &str| {
            let name = CString::new(format!("introspection_{name}")).expect("a name");
            // SAFETY: an open library, never closed, and a NUL-terminated name.
            let symbol = unsafe { libc::dlsym(handle, name.as_ptr()) };
            assert!(!symbol.is_null(), "{name:?}");
            symbol
        };
        // SAFETY: the header's prototypes, which `abi.rs` and the compiler hold
        // the library to.
        unsafe {
            use std::mem::transmute;
            Self {
                virtual_regions: transmute::<*mut c_void, ArrayCall>(symbol("get_virtual_regions")),
                physical_regions: transmute::<*mut c_void, ArrayCall>(symbol(
                    "get_physical_regions",
                )),
                page_table: transmute::<*mut c_void, ArrayCall>(symbol("get_pagetableinfo")),
                object_path: transmute::<*mut c_void, PathCall>(symbol("get_mapped_object_path")),
                read_memory: transmute::<*mut c_void, PathCall>(symbol("read_process_memory")),
                unique_pid: transmute::<*mut c_void, unsafe extern "C" fn(c_int) -> i64>(symbol(
                    "getpid64",
                )),
                cursor_open: transmute::<*mut c_void, CursorOpen>(symbol("cursor_open")),
                cursor_next: transmute::<*mut c_void, CursorNext>(symbol("cursor_next")),
                cursor_close: transmute::<*mut c_void, unsafe extern "C" fn(*mut u64)>(symbol(
                    "cursor_close",
                )),
            }
        }
    }
}

/// An error's number, or how many bytes.
///
/// # Errors
/// The number of the error.
pub fn result(result: c_int) -> Result<usize, i32> {
    usize::try_from(result).map_err(|_| -result)
}
