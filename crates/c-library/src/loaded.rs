//! The shared object, loaded into this process as by a C program, and its functions
//! by the header's prototypes. Knows no test.

use std::ffi::{c_char, c_int, c_uint, c_void, CStr, CString};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// `struct _procfs_map_info`.
#[repr(C)]
#[derive(Copy, Clone, Debug, Default)]
pub struct Record {
    /// The first virtual address.
    pub vaddr: u64,
    /// Size in bytes.
    pub size: u64,
    /// Flags, QNX's and the library's own.
    pub flags: u32,
    /// The object's device.
    pub dev: u32,
    /// Offset of the first byte in the object.
    pub offset: i64,
    /// The object's inode.
    pub ino: u64,
    /// The first physical address; all ones if it is unbacked.
    pub paddr: u64,
}

impl Record {
    /// Returns its virtual addresses.
    pub fn range(&self) -> Range<u64> {
        self.vaddr..self.vaddr + self.size
    }

    /// Returns whether physical memory is behind it.
    pub fn is_backed(&self) -> bool {
        self.paddr != u64::MAX
    }
}

/// Function that fills an array of records.
pub type ArrayCall = unsafe extern "C" fn(i64, usize, usize, *mut Record, usize) -> c_int;
/// Function that fills a buffer from an address on.
pub type PathCall = unsafe extern "C" fn(i64, usize, *mut c_void, usize) -> c_int;
/// `introspection_cursor_open`.
pub type CursorOpen = unsafe extern "C" fn(*mut u64, i64, usize, usize, c_int) -> c_int;
/// `introspection_cursor_next`.
pub type CursorNext = unsafe extern "C" fn(*mut u64, *mut Record, usize) -> c_int;

/// `introspection_cursor_close`.
pub type CursorClose = unsafe extern "C" fn(*mut u64);
/// `introspection_get_all_pids`.
pub type AllPids = unsafe extern "C" fn(*mut i64, usize) -> c_int;
/// `introspection_get_all_child_pids`.
pub type ChildPids = unsafe extern "C" fn(i64, *mut i64, usize) -> c_int;
/// `introspection_get_process_name`.
pub type ProcessName = unsafe extern "C" fn(i64, *mut c_char, usize) -> c_int;
/// `introspection_get_proc_info`.
pub type ProcessInfo = unsafe extern "C" fn(i64, *mut Status) -> c_int;
/// Functions that fill a buffer with facts about a thread: `introspection_get_thread_status`, and
/// those of registers.
pub type OfThread<T> = unsafe extern "C" fn(i64, c_uint, *mut T) -> c_int;
/// `debug_process_t` and `debug_thread_t`, as words.
pub type Status = [u64; 34];
/// `debug_greg_t` and `debug_fpreg_t`, as words.
pub type RegisterSet = [u64; 1024];
/// `introspection_getpid64`.
pub type UniquePid = unsafe extern "C" fn(c_int) -> i64;

/// Functions of the library, found by the dynamic linker and valid for good.
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
    pub unique_pid: UniquePid,
    /// `introspection_cursor_open`.
    pub cursor_open: CursorOpen,
    /// `introspection_cursor_next`.
    pub cursor_next: CursorNext,
    /// `introspection_cursor_close`.
    pub cursor_close: CursorClose,
    /// `introspection_get_all_pids`.
    pub all_pids: AllPids,
    /// `introspection_get_all_child_pids`.
    pub child_pids: ChildPids,
    /// `introspection_get_process_name`.
    pub process_name: ProcessName,
    /// `introspection_get_proc_info`.
    pub process_info: ProcessInfo,
    /// `introspection_get_thread_status`.
    pub thread_status: OfThread<Status>,
    /// `introspection_get_generalpurpose_regs`.
    pub general_registers: OfThread<RegisterSet>,
}

impl Functions {
    /// Loads the shared object at a path, for as long as the process lives.
    ///
    /// # Errors
    /// If it cannot be loaded, or lacks one of the functions.
    pub fn load(path: &Path) -> Result<Self, String> {
        let name = CString::new(path.as_os_str().as_bytes())
            .map_err(|_| format!("{} is no path", path.display()))?;
        // SAFETY: a NUL-terminated path; the library runs nothing when it is loaded.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW) };
        if handle.is_null() {
            return Err(format!("{} cannot be loaded", path.display()));
        }
        let symbol = |name: &CStr| {
            // SAFETY: an open library, never closed, and a NUL-terminated name.
            let symbol = unsafe { libc::dlsym(handle, name.as_ptr()) };
            if symbol.is_null() {
                return Err(format!("{} has no {name:?}", path.display()));
            }
            Ok(symbol)
        };
        let virtual_regions = symbol(c"introspection_get_virtual_regions")?;
        let physical_regions = symbol(c"introspection_get_physical_regions")?;
        let page_table = symbol(c"introspection_get_pagetableinfo")?;
        let object_path = symbol(c"introspection_get_mapped_object_path")?;
        let read_memory = symbol(c"introspection_read_process_memory")?;
        let unique_pid = symbol(c"introspection_getpid64")?;
        let cursor_open = symbol(c"introspection_cursor_open")?;
        let cursor_next = symbol(c"introspection_cursor_next")?;
        let cursor_close = symbol(c"introspection_cursor_close")?;
        let all_pids = symbol(c"introspection_get_all_pids")?;
        let child_pids = symbol(c"introspection_get_all_child_pids")?;
        let process_name = symbol(c"introspection_get_process_name")?;
        let process_info = symbol(c"introspection_get_proc_info")?;
        let thread_status = symbol(c"introspection_get_thread_status")?;
        let general_registers = symbol(c"introspection_get_generalpurpose_regs")?;
        // SAFETY: the header's prototypes, which `abi.rs` and the compiler hold
        // the library to.
        unsafe {
            use std::mem::transmute;
            Ok(Self {
                virtual_regions: transmute::<*mut c_void, ArrayCall>(virtual_regions),
                physical_regions: transmute::<*mut c_void, ArrayCall>(physical_regions),
                page_table: transmute::<*mut c_void, ArrayCall>(page_table),
                object_path: transmute::<*mut c_void, PathCall>(object_path),
                read_memory: transmute::<*mut c_void, PathCall>(read_memory),
                unique_pid: transmute::<*mut c_void, UniquePid>(unique_pid),
                cursor_open: transmute::<*mut c_void, CursorOpen>(cursor_open),
                cursor_next: transmute::<*mut c_void, CursorNext>(cursor_next),
                cursor_close: transmute::<*mut c_void, CursorClose>(cursor_close),
                all_pids: transmute::<*mut c_void, AllPids>(all_pids),
                child_pids: transmute::<*mut c_void, ChildPids>(child_pids),
                process_name: transmute::<*mut c_void, ProcessName>(process_name),
                process_info: transmute::<*mut c_void, ProcessInfo>(process_info),
                thread_status: transmute::<*mut c_void, OfThread<Status>>(thread_status),
                general_registers: transmute::<*mut c_void, OfThread<RegisterSet>>(
                    general_registers,
                ),
            })
        }
    }
}

/// Converts a result to a number of bytes or an error number.
///
/// # Errors
/// The error number.
pub fn result(result: c_int) -> Result<usize, i32> {
    usize::try_from(result).map_err(|_| -result)
}
