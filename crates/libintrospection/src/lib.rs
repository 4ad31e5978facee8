//! The library for C programs: C's arguments, results and buffers around the
//! walk of `process-introspection-core`. Owns the C interface, which
//! `include/sys/introspection.h` documents; knows no system call and no kernel file.
//!
//! The exported functions are written in C (`entry.c`): they act on a pending cancel and
//! then call the functions here. Nothing here unwinds, and no function that can be
//! cancelled is called.
#![no_std]

mod cursor;
mod lists;
mod object_path;
mod output;
mod process_info;
mod process_name;
mod record;
mod regions;
mod registers;
mod thread_status;

use core::ffi::{c_char, c_int, c_uint, c_void};

use process_introspection_core::flags::QnxFlags;
use process_introspection_core::memory::Memory;
use process_introspection_core::process::{self, Access};
use process_introspection_core::{
    AddrRange, CoreError, Errno, Operation, ProcessHandle, Target, VirtAddr,
};

use cursor::CursorStorage;
use output::Output;
use process_info::DebugProcess;
use record::Record;
use thread_status::DebugThread;

type Result<T> = core::result::Result<T, CoreError>;

// SAFETY: this is C's declaration of the function, on Linux. It takes nothing and
// cannot fail, so every call is safe.
unsafe extern "C" {
    safe fn getpid() -> c_int;
}

/// Unwinding is impossible without std, and wrong across C anyway. (A fuzzer
/// has std, and its own way to abort, and to say why.)
#[cfg(not(fuzzing))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: this is C's declaration of the function.
    unsafe extern "C" {
        fn abort() -> !;
    }
    // SAFETY: takes nothing, may be called at any time, and does not return.
    unsafe { abort() }
}

/// Returns C's result of a call: the number, or the negative error number.
fn c_result(result: Result<u64>) -> c_int {
    let number = result.and_then(|number| {
        c_int::try_from(number).map_err(|_| CoreError::new(Errno::EOVERFLOW, Operation::Argument))
    });
    number.unwrap_or_else(|error| -c_int::from(error.errno().raw()))
}

/// Returns C's result of a call that has no other than success: 0, or the positive error
/// number.
fn c_error(result: Result<u64>) -> c_int {
    result.map_or_else(|error| c_int::from(error.errno().raw()), |_| 0)
}

/// Size of `debug_greg_t` and `debug_fpreg_t`, of which as much is written as the result says.
const REGISTER_SET: usize = 8192;

/// Returns the range that C gave with its last byte.
fn range(start: usize, last: usize) -> Result<AddrRange> {
    AddrRange::inclusive(start as u64, last as u64)
        .ok_or(CoreError::new(Errno::EINVAL, Operation::Argument))
}

/// Returns an address in the form that the kernel's files use.
fn untagged(address: usize) -> u64 {
    VirtAddr::new(address as u64).untagged().as_u64()
}

/// # Safety
/// Those of the `bsize` bytes at `records` that can be written must belong to the
/// caller.
#[no_mangle]
unsafe extern "C" fn libintrospection_virtual_regions(
    pid64: i64,
    start: usize,
    last: usize,
    records: *mut Record,
    bsize: usize,
) -> c_int {
    // SAFETY: this function's contract.
    let output = unsafe { Output::new(records.cast(), bsize) };
    c_result(regions::virtual_regions(pid64, start, last, output))
}

/// # Safety
/// As [`libintrospection_virtual_regions`].
#[no_mangle]
unsafe extern "C" fn libintrospection_physical_regions(
    pid64: i64,
    start: usize,
    last: usize,
    records: *mut Record,
    bsize: usize,
) -> c_int {
    // SAFETY: this function's contract.
    let output = unsafe { Output::new(records.cast(), bsize) };
    c_result(regions::physical_regions(pid64, start, last, output))
}

/// # Safety
/// As [`libintrospection_virtual_regions`].
#[no_mangle]
unsafe extern "C" fn libintrospection_pagetableinfo(
    pid64: i64,
    start: usize,
    last: usize,
    records: *mut Record,
    bsize: usize,
) -> c_int {
    // SAFETY: this function's contract.
    let output = unsafe { Output::new(records.cast(), bsize) };
    c_result(regions::page_table_entries(pid64, start, last, output))
}

/// # Safety
/// Those of the `bsize` bytes at `buffer` that can be written must belong to the
/// caller.
#[no_mangle]
unsafe extern "C" fn libintrospection_mapped_object_path(
    pid64: i64,
    vaddr: usize,
    buffer: *mut c_char,
    bsize: usize,
) -> c_int {
    // SAFETY: this function's contract.
    let output = unsafe { Output::new(buffer.cast(), bsize) };
    c_result(object_path::mapped_object_path(
        pid64,
        untagged(vaddr),
        output,
    ))
}

/// # Safety
/// As [`libintrospection_mapped_object_path`].
#[no_mangle]
unsafe extern "C" fn libintrospection_read_process_memory(
    pid64: i64,
    offset: usize,
    buffer: *mut c_void,
    bsize: usize,
) -> c_int {
    let read = || {
        if c_int::try_from(bsize).is_err() {
            return Err(CoreError::new(Errno::EOVERFLOW, Operation::Argument));
        }
        let process = ProcessHandle::open(Target::from_pid64(pid64)?, Access::Layout)?;
        let memory = Memory::open(&process)?;
        // SAFETY: this function's contract.
        unsafe { memory.read_raw(&process, untagged(offset), buffer.cast(), bsize) }?;
        Ok(bsize as u64)
    };
    c_result(read())
}

/// # Safety
/// Those of the `bsize` bytes at `buffer` that can be written must belong to the
/// caller.
#[no_mangle]
unsafe extern "C" fn libintrospection_all_pids(buffer: *mut i64, bsize: usize) -> c_int {
    // SAFETY: this function's contract.
    c_result(lists::all(unsafe { Output::new(buffer.cast(), bsize) }))
}

/// # Safety
/// As [`libintrospection_all_pids`].
#[no_mangle]
unsafe extern "C" fn libintrospection_all_child_pids(
    pid64: i64,
    buffer: *mut i64,
    bsize: usize,
) -> c_int {
    // SAFETY: this function's contract.
    let output = unsafe { Output::new(buffer.cast(), bsize) };
    c_result(lists::children(pid64, output))
}

/// # Safety
/// As [`libintrospection_all_pids`].
#[no_mangle]
unsafe extern "C" fn libintrospection_process_name(
    pid64: i64,
    buffer: *mut c_char,
    bsize: usize,
) -> c_int {
    // SAFETY: this function's contract.
    let output = unsafe { Output::new(buffer.cast(), bsize) };
    c_result(process_name::process_name(pid64, output))
}

/// # Safety
/// Those bytes of the struct at `info` that can be written must belong to the caller.
#[no_mangle]
unsafe extern "C" fn libintrospection_proc_info(pid64: i64, info: *mut DebugProcess) -> c_int {
    // SAFETY: this function's contract.
    let output = unsafe { Output::new(info.cast(), size_of::<DebugProcess>()) };
    c_error(process_info::process_info(pid64, output))
}

/// # Safety
/// As [`libintrospection_proc_info`].
#[no_mangle]
unsafe extern "C" fn libintrospection_thread_status(
    pid64: i64,
    tid: c_uint,
    status: *mut DebugThread,
) -> c_int {
    // SAFETY: this function's contract.
    let output = unsafe { Output::new(status.cast(), size_of::<DebugThread>()) };
    c_error(thread_status::thread_status(pid64, tid, output))
}

/// # Safety
/// As [`libintrospection_proc_info`].
#[no_mangle]
unsafe extern "C" fn libintrospection_general_registers(
    pid64: i64,
    tid: c_uint,
    set: *mut c_void,
) -> c_int {
    // SAFETY: this function's contract.
    let output = unsafe { Output::new(set.cast(), REGISTER_SET) };
    c_result(registers::general(pid64, tid, output))
}

/// # Safety
/// As [`libintrospection_proc_info`].
#[no_mangle]
unsafe extern "C" fn libintrospection_floating_point_registers(
    pid64: i64,
    tid: c_uint,
    set: *mut c_void,
) -> c_int {
    // SAFETY: this function's contract.
    let output = unsafe { Output::new(set.cast(), REGISTER_SET) };
    c_result(registers::floating_point(pid64, tid, output))
}

#[no_mangle]
extern "C" fn libintrospection_unique_pid(pid: c_int) -> i64 {
    let pid = if pid == 0 { getpid() } else { pid };
    match u32::try_from(pid) {
        Ok(pid) => process::unique_pid(pid).unwrap_or(-1),
        Err(_) => -1,
    }
}

/// # Safety
/// `cursor` is NULL or points to a writable `introspection_cursor_t`, which no other
/// call uses at the same time.
#[no_mangle]
unsafe extern "C" fn libintrospection_cursor_open(
    cursor: *mut CursorStorage,
    pid64: i64,
    start: usize,
    last: usize,
    kind: c_int,
) -> c_int {
    // SAFETY: this function's contract.
    c_result(unsafe { cursor::open(cursor, pid64, start, last, kind) })
}

/// # Safety
/// `cursor` as for [`libintrospection_cursor_open`], and its storage all zeros or left
/// by a call of these functions. Those of the `count` records at `records` that can be
/// written must belong to the caller.
#[no_mangle]
unsafe extern "C" fn libintrospection_cursor_next(
    cursor: *mut CursorStorage,
    records: *mut Record,
    count: usize,
) -> c_int {
    // The result must fit an int.
    let count = count.min(c_int::MAX as usize / size_of::<Record>());
    // SAFETY: this function's contract.
    let output = unsafe { Output::new(records.cast(), count * size_of::<Record>()) };
    // SAFETY: this function's contract.
    c_result(unsafe { cursor::next(cursor, output) })
}

/// # Safety
/// `cursor` as for [`libintrospection_cursor_next`].
#[no_mangle]
unsafe extern "C" fn libintrospection_cursor_close(cursor: *mut CursorStorage) {
    // SAFETY: this function's contract.
    unsafe { cursor::close(cursor) }
}

/// Linux's PROT_READ, PROT_WRITE, PROT_EXEC: 1, 2, 4 on every architecture.
#[no_mangle]
extern "C" fn libintrospection_prot(record_flags: u32) -> c_int {
    let flags = QnxFlags::from_bits(record_flags);
    let bit = |flag, linux| if flags.contains(flag) { linux } else { 0 };
    bit(QnxFlags::PROT_READ, 1) | bit(QnxFlags::PROT_WRITE, 2) | bit(QnxFlags::PROT_EXEC, 4)
}
