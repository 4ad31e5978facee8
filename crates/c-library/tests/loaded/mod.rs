//! The shared object, loaded into this process, and its functions by the
//! header's prototypes. Knows no test.

// Each test binary uses its part of this.
#![allow(dead_code)]

use std::ffi::{c_int, c_void, CString};
use std::os::unix::ffi::OsStrExt;
use std::sync::OnceLock;

use crate::programs::library;

/// `struct _procfs_map_info`.
#[repr(C)]
#[derive(Copy, Clone, Default)]
pub(crate) struct Record {
    pub(crate) vaddr: u64,
    pub(crate) size: u64,
    pub(crate) flags: u32,
    pub(crate) dev: u32,
    pub(crate) offset: i64,
    pub(crate) ino: u64,
    pub(crate) paddr: u64,
}

pub(crate) type ArrayCall = unsafe extern "C" fn(i64, usize, usize, *mut Record, usize) -> c_int;
pub(crate) type PathCall = unsafe extern "C" fn(i64, usize, *mut c_void, usize) -> c_int;
pub(crate) type CursorOpen = unsafe extern "C" fn(*mut u64, i64, usize, usize, c_int) -> c_int;
pub(crate) type CursorNext = unsafe extern "C" fn(*mut u64, *mut Record, usize) -> c_int;

/// The library's functions, by the dynamic linker.
pub(crate) struct Functions {
    pub(crate) virtual_regions: ArrayCall,
    pub(crate) physical_regions: ArrayCall,
    pub(crate) page_table: ArrayCall,
    pub(crate) object_path: PathCall,
    pub(crate) read_memory: PathCall,
    pub(crate) unique_pid: unsafe extern "C" fn(c_int) -> i64,
    pub(crate) cursor_open: CursorOpen,
    pub(crate) cursor_next: CursorNext,
    pub(crate) cursor_close: unsafe extern "C" fn(*mut u64),
}

pub(crate) fn functions() -> &'static Functions {
    static FUNCTIONS: OnceLock<Functions> = OnceLock::new();
    FUNCTIONS.get_or_init(|| {
        let path = CString::new(library().shared.as_os_str().as_bytes()).unwrap();
        // SAFETY: a NUL-terminated path; the library runs nothing when it is loaded.
        let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) };
        assert!(!handle.is_null(), "dlopen {path:?}");
        let symbol = |name: &str| {
            let name = CString::new(format!("introspection_{name}")).unwrap();
            // SAFETY: an open library, never closed, and a NUL-terminated name.
            let symbol = unsafe { libc::dlsym(handle, name.as_ptr()) };
            assert!(!symbol.is_null(), "{name:?}");
            symbol
        };
        // SAFETY: the header's prototypes, which `abi.rs` and the compiler hold
        // the library to.
        unsafe {
            use std::mem::transmute;
            Functions {
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
    })
}

/// An error, or how many bytes.
pub(crate) fn result(result: c_int) -> Result<usize, i32> {
    usize::try_from(result).map_err(|_| -result)
}
