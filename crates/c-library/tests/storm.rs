//! Targets that change all the time, walked through the C functions. A test binary
//! of its own, because it measures the resources of its process.

mod programs;

use std::ops::Range;

use c_library::loaded::{result, ArrayCall, Record};
use process_introspection_core::flags::QnxFlags;
use programs::functions;
use testkit::machine::is_root_or_skip;
use testkit::storm::{run, Mapped, Piece, Walker};

const PHYSICAL: i32 = 1;

fn piece(record: &Record) -> Piece {
    Piece {
        start: record.vaddr,
        end: record.vaddr + record.size,
        address: (record.paddr != u64::MAX).then_some(record.paddr),
    }
}

/// Walks as a C caller does: with a buffer that is enlarged until the list fits.
fn array(call: ArrayCall, pid: u32, range: Range<u64>) -> Result<Vec<Record>, i32> {
    let mut records = vec![Record::default(); 21];
    loop {
        let (start, last) = (range.start as usize, (range.end - 1) as usize);
        let size = size_of_val(records.as_slice());
        // SAFETY: live records of that size in bytes.
        let called = unsafe { call(pid.into(), start, last, records.as_mut_ptr(), size) };
        let needed = result(called)?;
        assert_eq!(needed % size_of::<Record>(), 0);
        let count = needed / size_of::<Record>();
        if count <= records.len() {
            records.truncate(count);
            return Ok(records);
        }
        records.resize(count + 64, Record::default());
    }
}

fn streamed(pid: u32, range: Range<u64>) -> Result<Vec<Piece>, i32> {
    let functions = functions();
    let mut cursor = [0u64; 960];
    let cursor = cursor.as_mut_ptr();
    let (start, last) = (range.start as usize, (range.end - 1) as usize);
    // SAFETY: writable storage of the header's size.
    result(unsafe { (functions.cursor_open)(cursor, pid.into(), start, last, PHYSICAL) })?;
    let mut pieces = Vec::new();
    let mut records = [Record::default(); 33];
    let walked = loop {
        // SAFETY: the open cursor, and live records of that number.
        let stored = unsafe { (functions.cursor_next)(cursor, records.as_mut_ptr(), 33) };
        match result(stored) {
            Ok(0) => break Ok(pieces),
            Ok(count) => pieces.extend(records[..count].iter().map(piece)),
            Err(errno) => break Err(errno),
        }
    };
    // SAFETY: the open cursor.
    unsafe { (functions.cursor_close)(cursor) };
    walked
}

#[test]
fn order_addresses_and_errors_are_right_in_a_storm() {
    if !is_root_or_skip("a storm") {
        return;
    }
    let functions = functions();
    let physical = |pid, range| {
        let records = array(functions.physical_regions, pid, range)?;
        Ok(records.iter().map(piece).collect())
    };
    let mapped = |pid| {
        let records = array(functions.virtual_regions, pid, 0..u64::MAX)?;
        let mapped = |record: &Record| Mapped {
            start: record.vaddr,
            end: record.vaddr + record.size,
            is_stack: record.flags & QnxFlags::STACK.bits() != 0,
        };
        Ok(records.iter().map(mapped).collect())
    };
    run(&[
        Walker {
            name: "arrays",
            physical: &physical,
            mapped: &mapped,
        },
        Walker {
            name: "cursor",
            physical: &streamed,
            mapped: &mapped,
        },
    ]);
}
