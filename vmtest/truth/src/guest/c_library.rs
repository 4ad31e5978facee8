//! Calls of the C library. Knows its prototypes.

use std::ffi::c_int;

use crate::ask::{Run, Sort};

/// `procfs_mapinfo`.
#[derive(Copy, Clone, Default)]
#[repr(C)]
struct Record {
    vaddr: u64,
    size: u64,
    flags: u32,
    dev: u32,
    offset: i64,
    ino: u64,
    paddr: u64,
}

/// `introspection_cursor_t`.
#[repr(C)]
struct CursorStorage([u64; 960]);

/// `INTROSPECTION_PHYS` and `INTROSPECTION_SYSRAM`.
const PHYS: u32 = 0x1_0000;
const SYSRAM: u32 = 0x100_0000;

/// `INTROSPECTION_PHYSICAL`.
const PHYSICAL: c_int = 1;

type Regions = unsafe extern "C" fn(i64, usize, usize, *mut Record, usize) -> c_int;

// SAFETY: these are the declarations of `<sys/introspection.h>`.
unsafe extern "C" {
    fn introspection_get_physical_regions(
        pid: i64,
        start: usize,
        last: usize,
        records: *mut Record,
        size: usize,
    ) -> c_int;
    fn introspection_get_pagetableinfo(
        pid: i64,
        start: usize,
        last: usize,
        records: *mut Record,
        size: usize,
    ) -> c_int;
    fn introspection_cursor_open(
        cursor: *mut CursorStorage,
        pid: i64,
        start: usize,
        last: usize,
        kind: c_int,
    ) -> c_int;
    fn introspection_cursor_next(
        cursor: *mut CursorStorage,
        records: *mut Record,
        count: usize,
    ) -> c_int;
    fn introspection_cursor_close(cursor: *mut CursorStorage);
}

fn run(record: &Record) -> Result<Run, String> {
    let memory = match (record.paddr, record.flags & (PHYS | SYSRAM)) {
        (u64::MAX, _) => None,
        (paddr, SYSRAM) => Some((Sort::RamOrZero, paddr)),
        (paddr, PHYS) => Some((Sort::Device, paddr)),
        (paddr, flags) => return Err(format!("flags {flags:#x} at {paddr:#x}")),
    };
    Ok(Run {
        virt: record.vaddr,
        size: record.size,
        memory,
    })
}

fn result(number: c_int, call: &str) -> Result<usize, String> {
    usize::try_from(number).map_err(|_| format!("{call}: errno {}", -number))
}

fn array(call: Regions, pid: u32, start: u64, end: u64) -> Result<Vec<Run>, String> {
    let mut records = vec![Record::default(); 512];
    loop {
        let size = size_of_val(records.as_slice());
        // SAFETY: the buffer is exclusive and has this size.
        let bytes = unsafe {
            call(
                i64::from(pid),
                start as usize,
                (end - 1) as usize,
                records.as_mut_ptr(),
                size,
            )
        };
        let count = result(bytes, "an array")? / size_of::<Record>();
        if count <= records.len() {
            return records[..count].iter().map(run).collect();
        }
        records.resize(count + 64, Record::default());
    }
}

/// `introspection_get_physical_regions`.
pub(crate) fn physical(pid: u32, start: u64, end: u64) -> Result<Vec<Run>, String> {
    array(introspection_get_physical_regions, pid, start, end)
}

/// `introspection_get_pagetableinfo`.
pub(crate) fn page_table(pid: u32, start: u64, end: u64) -> Result<Vec<Run>, String> {
    array(introspection_get_pagetableinfo, pid, start, end)
}

/// `introspection_cursor_next`, a few records at a time.
pub(crate) fn stream(pid: u32, start: u64, end: u64) -> Result<Vec<Run>, String> {
    let mut storage = CursorStorage([0; 960]);
    let mut records = [Record::default(); 37];
    let mut runs = Vec::new();
    let (first, last) = (start as usize, (end - 1) as usize);
    // SAFETY: the storage is exclusive and does not move; the buffer is exclusive and
    // has this many records; the cursor is closed once.
    unsafe {
        let opened = introspection_cursor_open(&mut storage, i64::from(pid), first, last, PHYSICAL);
        result(opened, "introspection_cursor_open")?;
        let ended = loop {
            let stored =
                introspection_cursor_next(&mut storage, records.as_mut_ptr(), records.len());
            match result(stored, "introspection_cursor_next") {
                Ok(0) => break Ok(()),
                Ok(count) => runs.extend(records[..count].iter().map(run)),
                Err(why) => break Err(why),
            }
        };
        introspection_cursor_close(&mut storage);
        ended?;
        runs.into_iter().collect()
    }
}
