//! The C interface as `include/sys/introspection.h` declares it.

use std::ffi::{c_char, c_int, c_void};

// The crate that defines the functions below.
use c_interface as _;

/// `struct _procfs_map_info`.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Default)]
#[repr(C)]
pub(crate) struct Record {
    pub(crate) vaddr: u64,
    pub(crate) size: u64,
    pub(crate) flags: u32,
    pub(crate) dev: u32,
    pub(crate) offset: i64,
    pub(crate) ino: u64,
    pub(crate) paddr: u64,
}

pub(crate) const RECORD: usize = size_of::<Record>();
pub(crate) const UNBACKED: u64 = !0;
pub(crate) const PG_MASK: u32 = 0x0070_0000;
pub(crate) const ESRVRFAULT: c_int = 312;

/// `introspection_cursor_t`.
pub(crate) type Cursor = [u64; 960];

/// One of the three functions that fill an array of records.
pub(crate) type Fill = unsafe extern "C" fn(i64, usize, usize, *mut Record, usize) -> c_int;

// SAFETY: these are the declarations of `<sys/introspection.h>`.
unsafe extern "C" {
    pub(crate) fn introspection_get_virtual_regions(
        pid64: i64,
        start: usize,
        last: usize,
        records: *mut Record,
        bsize: usize,
    ) -> c_int;
    pub(crate) fn introspection_get_physical_regions(
        pid64: i64,
        start: usize,
        last: usize,
        records: *mut Record,
        bsize: usize,
    ) -> c_int;
    pub(crate) fn introspection_get_pagetableinfo(
        pid64: i64,
        start: usize,
        last: usize,
        records: *mut Record,
        bsize: usize,
    ) -> c_int;
    pub(crate) fn introspection_get_mapped_object_path(
        pid64: i64,
        vaddr: usize,
        buffer: *mut c_char,
        bsize: usize,
    ) -> c_int;
    pub(crate) fn introspection_read_process_memory(
        pid64: i64,
        offset: usize,
        buffer: *mut c_void,
        bsize: usize,
    ) -> c_int;
    pub(crate) safe fn introspection_getpid64(pid: c_int) -> i64;
    pub(crate) fn introspection_cursor_open(
        cursor: *mut Cursor,
        pid64: i64,
        start: usize,
        last: usize,
        kind: c_int,
    ) -> c_int;
    pub(crate) fn introspection_cursor_next(
        cursor: *mut Cursor,
        records: *mut Record,
        count: usize,
    ) -> c_int;
    pub(crate) fn introspection_cursor_close(cursor: *mut Cursor);
    pub(crate) safe fn introspection_prot(flags: u32) -> c_int;
}
