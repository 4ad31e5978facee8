//! Faults at every system call of every C function, through the shared object as it
//! is installed: each ends in the same records or in the correct error, with no
//! descriptor left. `testkit::faults` has the faults and their permitted results.

mod programs;

use std::ffi::c_int;

use c_library::loaded::{result, ArrayCall, Record};
use process_introspection_core::flags::QnxFlags;
use programs::functions;
use testkit::faults::{try_all, Given, Walk, UNTOLD};
use testkit::machine::is_root_or_skip;
use testkit::memory::page;
use testkit::target::{fork_sharer, Target};
use testkit::varied::{Varied, DENSE};

/// Flags that require an examination of the object.
const KINDS: u32 = QnxFlags::ELF.bits() | QnxFlags::PHYS.bits();

/// A record; for backed page-table records one for each base page, because leaves
/// are base pages where the kernel has no size.
fn push(given: &mut Vec<Given>, record: &Record, as_pages: bool) {
    let size = match as_pages && record.paddr != u64::MAX {
        true => page(),
        false => record.size,
    };
    for into in (0..record.size).step_by(size as usize) {
        let paddr = match record.paddr {
            u64::MAX => u64::MAX,
            paddr if as_pages => paddr + into,
            paddr => paddr,
        };
        let offset = match record.ino {
            0 => 0,
            _ => record.offset as u64 + into,
        };
        given.push(Given {
            facts: [
                record.vaddr + into,
                size,
                u64::from(record.flags & !KINDS),
                record.ino << 32 | u64::from(record.dev),
                offset,
                paddr,
            ],
            kind: u64::from(record.flags & KINDS),
        });
    }
}

fn try_walk(name: &str, run: &dyn Fn(&mut Vec<Given>) -> Result<(), i32>) {
    try_call(name, false, run);
}

fn try_call(
    name: &str,
    reads_optional_files: bool,
    run: &dyn Fn(&mut Vec<Given>) -> Result<(), i32>,
) {
    try_all(&Walk {
        name,
        has_runtime: false,
        first_thread_ended: false,
        reads_optional_files,
        run,
    });
}

/// Buffer for all records, allocated before the child is forked.
fn room() -> std::cell::RefCell<Vec<Record>> {
    std::cell::RefCell::new(vec![Record::default(); 6000])
}

fn try_array(name: &str, call: ArrayCall, pid: i64, (start, last): (u64, u64)) {
    let records = room();
    let as_pages = name.starts_with("page table");
    try_walk(name, &|given| {
        let mut records = records.borrow_mut();
        let size = size_of_val(records.as_slice());
        // SAFETY: live records of that size in bytes.
        let called = unsafe {
            call(
                pid,
                start as usize,
                last as usize,
                records.as_mut_ptr(),
                size,
            )
        };
        let count = result(called)? / size_of::<Record>();
        for record in &records[..count] {
            push(given, record, as_pages);
        }
        Ok(())
    });
}

const ALL: (u64, u64) = (0, u64::MAX);

#[test]
fn faults_in_the_array_calls() {
    if !is_root_or_skip("faults in the array calls") {
        return;
    }
    let (target, varied) = Varied::spawn();
    let (pid, functions) = (i64::from(target.pid()), functions());
    try_array("virtual", functions.virtual_regions, pid, ALL);
    try_array("physical", functions.physical_regions, pid, ALL);
    let huge = varied.around_huge();
    let range = (huge.start, huge.end - 1);
    try_array("page table", functions.page_table, pid, range);
    // SAFETY: takes no memory.
    let unique = unsafe { (functions.unique_pid)(target.pid() as c_int) };
    assert!(unique > pid);
    try_array("by unique PID", functions.physical_regions, unique, range);
}

#[test]
fn faults_in_the_array_calls_for_oneself() {
    if !is_root_or_skip("faults in the array calls for oneself") {
        return;
    }
    // Created before the child that walks is forked, and not used by it.
    let varied = Varied::make();
    let dense = (varied.dense, varied.dense + DENSE * page() - 1);
    let huge = varied.around_huge();
    let functions = functions();
    try_array("physical, oneself", functions.physical_regions, 0, dense);
    let range = (huge.start, huge.end - 1);
    try_array("page table, oneself", functions.page_table, 0, range);
}

#[test]
fn faults_in_a_cursor() {
    if !is_root_or_skip("faults in a cursor") {
        return;
    }
    let (target, _) = Varied::spawn();
    let (pid, functions) = (i64::from(target.pid()), functions());
    for (kind, name) in [(0, "virtual cursor"), (1, "physical cursor")] {
        try_walk(name, &|given| {
            let mut cursor = [0u64; 960];
            let cursor = cursor.as_mut_ptr();
            // SAFETY: writable storage of the header's size.
            result(unsafe { (functions.cursor_open)(cursor, pid, 0, usize::MAX, kind) })?;
            let mut records = [Record::default(); 50];
            let walked = loop {
                // SAFETY: the open cursor, and live records of that number.
                let stored = unsafe { (functions.cursor_next)(cursor, records.as_mut_ptr(), 50) };
                match result(stored) {
                    Ok(0) => break Ok(()),
                    Ok(count) => records[..count]
                        .iter()
                        .for_each(|record| push(given, record, false)),
                    Err(errno) => break Err(errno),
                }
            };
            // SAFETY: the open cursor.
            unsafe { (functions.cursor_close)(cursor) };
            walked
        });
    }
}

#[test]
fn faults_in_looking_at_one_place() {
    if !is_root_or_skip("faults in looking at one place") {
        return;
    }
    let (target, varied) = Varied::spawn();
    let (pid, functions) = (i64::from(target.pid()), functions());
    let at = varied.file as usize + 5;
    try_walk("object path", &|given| {
        let mut info = [0u64; 600];
        let size = size_of_val(&info);
        // SAFETY: a live buffer of that size.
        let called = unsafe { (functions.object_path)(pid, at, info.as_mut_ptr().cast(), size) };
        let length = result(called)?;
        let path = info[1..]
            .iter()
            .fold(0u64, |hash, word| hash.rotate_left(7) ^ word);
        let facts = [path, length as u64, 0, 0, 0, 0];
        // The address is the object's own only where the object could be examined.
        given.push(Given {
            facts,
            kind: info[0],
        });
        Ok(())
    });
    try_walk("memory", &|given| {
        let mut bytes = [0u64; 1000];
        let (at, size) = (varied.dense as usize, size_of_val(&bytes));
        // SAFETY: a live buffer of that size.
        let called = unsafe { (functions.read_memory)(pid, at, bytes.as_mut_ptr().cast(), size) };
        let length = result(called)?;
        let hash = bytes
            .iter()
            .fold(0u64, |hash, word| hash.rotate_left(7) ^ word);
        let facts = [hash, length as u64, 0, 0, 0, 0];
        given.push(Given { facts, kind: 0 });
        Ok(())
    });
    try_walk("unique PID", &|given| {
        // SAFETY: takes no memory.
        let unique = unsafe { (functions.unique_pid)(target.pid() as c_int) };
        if unique == -1 {
            return Err(UNTOLD);
        }
        let facts = [unique as u64, 0, 0, 0, 0, 0];
        given.push(Given { facts, kind: 0 });
        Ok(())
    });
}

/// Returns the error number of a function whose errors are positive.
fn positive(error: c_int) -> Result<(), i32> {
    match error {
        0 => Ok(()),
        errno => Err(errno),
    }
}

/// Divides a status into the words that every caller may read, and others, of which each may be
/// 0. The times of a call are none of both.
fn push_status(given: &mut Vec<Given>, status: &[u64], optional: &[usize], changing: &[usize]) {
    for (index, &word) in status.iter().enumerate() {
        if changing.contains(&index) {
            continue;
        }
        let (fact, kind) = match optional.contains(&index) {
            true => (0, word),
            false => (word, 0),
        };
        given.push(Given {
            facts: [index as u64, fact, 0, 0, 0, 0],
            kind,
        });
    }
}

#[test]
fn faults_in_reading_the_status_of_a_process_and_a_thread() {
    if !is_root_or_skip("faults in reading the status of a process and a thread") {
        return;
    }
    let (target, _) = Varied::spawn();
    let (pid, functions) = (i64::from(target.pid()), functions());
    try_call("process status", true, &|given| {
        let mut status = [0; 34];
        // SAFETY: a live struct of the function's type.
        positive(unsafe { (functions.process_info)(pid, &mut status) })?;
        // Words 1 (flags, umask), 4 and 5 (addresses), 12 and 13 (numbers), 24 (private memory);
        // 14 to 18 (times).
        push_status(
            given,
            &status,
            &[1, 4, 5, 12, 13, 24],
            &[14, 15, 16, 17, 18],
        );
        Ok(())
    });
    try_call("thread status", true, &|given| {
        let mut status = [0; 34];
        // SAFETY: as above.
        positive(unsafe { (functions.thread_status)(pid, 1, &mut status) })?;
        // Words 1 (flags), 2 to 4 (place), 6 (size of the stack), 7 (state, system call), 17 (futex); 20 and
        // 21 (times).
        push_status(given, &status, &[1, 2, 3, 4, 6, 7, 17], &[20, 21]);
        Ok(())
    });
    try_call("name", true, &|given| {
        let mut name = [0u8; 4096];
        // SAFETY: a live buffer of that size.
        let called = unsafe { (functions.process_name)(pid, name.as_mut_ptr().cast(), name.len()) };
        let length = result(called)?;
        let hash = name[..length]
            .iter()
            .fold(0u64, |hash, &byte| hash.rotate_left(7) ^ u64::from(byte));
        let facts = [hash, length as u64, 0, 0, 0, 0];
        given.push(Given { facts, kind: 0 });
        Ok(())
    });
}

#[test]
fn faults_in_the_lists_of_processes() {
    if !is_root_or_skip("faults in the lists of processes") {
        return;
    }
    let parent = Target::spawn(|| (0..3).map(|_| u64::from(fork_sharer(|| ()))).collect());
    let functions = functions();
    // SAFETY: takes no memory.
    let unique = |pid: u64| unsafe { (functions.unique_pid)(pid as c_int) };
    let children: Vec<i64> = parent.addresses().iter().map(|&pid| unique(pid)).collect();
    assert!(children.iter().all(|&child| child > 0));
    let pids = std::cell::RefCell::new(vec![0i64; 1 << 16]);
    // A child whose files are hidden or gone may be missing; nothing may be in its place.
    let push_children = |given: &mut Vec<Given>, listed: &[i64]| {
        for (index, child) in children.iter().enumerate() {
            given.push(Given {
                facts: [index as u64, 0, 0, 0, 0, 0],
                kind: u64::from(listed.contains(child)),
            });
        }
    };
    try_call("children", true, &|given| {
        let mut pids = pids.borrow_mut();
        let size = size_of_val(pids.as_slice());
        let of = i64::from(parent.pid());
        // SAFETY: a live buffer of that size.
        let called = unsafe { (functions.child_pids)(of, pids.as_mut_ptr(), size) };
        let listed = &pids[..result(called)? / 8];
        assert!(listed.iter().all(|listed| children.contains(listed)));
        push_children(given, listed);
        Ok(())
    });
    try_call("all processes", true, &|given| {
        let mut pids = pids.borrow_mut();
        let size = size_of_val(pids.as_slice());
        // SAFETY: as above.
        let called = unsafe { (functions.all_pids)(pids.as_mut_ptr(), size) };
        let listed = &pids[..result(called)? / 8];
        assert!(listed.is_sorted_by_key(|&pid| pid as i32));
        push_children(given, listed);
        Ok(())
    });
}
