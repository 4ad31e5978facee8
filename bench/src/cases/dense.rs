//! Cases of memory with every base page present: touched in order, of a file, and
//! without two adjacent pages.

use std::hint::black_box;

use crate::floors::{read_both, Bulk, Scan};
use crate::ours;
use crate::row::Bound;
use crate::session::{Case, Session};
use crate::targets::{self, Memory, GIB};
use testkit::memory::page;

/// Names of the rows of one target.
struct Names {
    c: &'static str,
    rust: &'static str,
    iterator: &'static str,
    two_threads: &'static str,
    bulk_by_two: &'static str,
    /// Targets of the rows of Rust: a walk, the iterator, two threads.
    bounds: [Bound; 3],
}

const TOUCHED: Names = Names {
    c: "1 GiB touched, C",
    rust: "1 GiB touched, Rust",
    iterator: "1 GiB touched, Rust iterator",
    two_threads: "1 GiB touched, two threads, Rust",
    bulk_by_two: "1 GiB touched, bulk pread by two threads",
    bounds: [Bound::AtMost(1.1), Bound::AtMost(1.1), Bound::AtMost(0.75)],
};
const SCATTERED: Names = Names {
    c: "1 GiB touched, of scattered memory, C",
    rust: "1 GiB touched, of scattered memory, Rust",
    iterator: "1 GiB touched, of scattered memory, Rust iterator",
    two_threads: "1 GiB touched, of scattered memory, two threads, Rust",
    bulk_by_two: "1 GiB touched, of scattered memory, bulk pread by two threads",
    // A region for each page: each is delivered, with two threads in order.
    bounds: [Bound::AtMost(1.35), Bound::AtMost(1.6), Bound::Shown],
};
const CACHE: &str = "1 GiB of page cache, C";
const CACHE_RUST: &str = "1 GiB of page cache, Rust";
const FRAGMENTED: &str = "1 GiB, no two pages adjacent, C";
const FRAGMENTED_RUST: &str = "1 GiB, no two pages adjacent, Rust";
const BULK: &str = "bulk pread";

const SAME_READS: &str = "bulk pread of 2 KiB each";
const SAME_READS_STORED: &str = "bulk pread of 2 KiB each, as many records stored";
/// Size of the C library's read buffer, which is on its stack, in bytes.
const C_READS: usize = 2 << 10;

pub(crate) fn run(session: &mut Session) {
    touched(session, &TOUCHED, targets::dense_of_large_blocks);
    touched(session, &SCATTERED, targets::dense);
    page_cache(session);
    fragmented(session);
}

fn touched(session: &mut Session, names: &Names, make: fn(u64) -> Memory) {
    let Names {
        c,
        rust,
        iterator,
        two_threads,
        bulk_by_two,
        bounds,
    } = *names;
    if !session.wants(&[c, rust, iterator, two_threads, bulk_by_two]) {
        return;
    }
    let memory = make(GIB);
    let mut bulk = Bulk::new(&memory);
    let count = ours::count(&session.library, &memory, &mut session.records);
    let case = Case::new(c, BULK, Bound::Shown)
        .note(bulk.note())
        .note(format!("{count} records"));
    let ours = |library: &_, records: &mut [_]| ours::c_path(library, &memory, records);
    session.pairs(case, || bulk.read(), ours);
    same_reads_stored(session, c, &memory, count);
    let case = Case::new(rust, BULK, bounds[0]);
    session.pairs(case, || bulk.read(), |_, _| ours::rust_path(&memory));
    let case = Case::new(iterator, BULK, bounds[1])
        .note("by the iterator, whose regions share ownership of their mapping");
    session.pairs(case, || bulk.read(), |_, _| ours::rust_iterator(&memory));
    let case = Case::new(two_threads, BULK, bounds[2]);
    session.pairs(case, || bulk.read(), |_, _| ours::rust_two_threads(&memory));
    let mut halves = bulk.halves(&memory);
    let case = Case::new(bulk_by_two, BULK, Bound::Shown)
        .note("the gain of a second thread in the kernel's own cost: nothing is decoded");
    session.pairs(case, || bulk.read(), |_, _| read_both(&mut halves));
}

/// The C library against the kernel's part of its own work: reads of the size of
/// its buffer, and writes to the caller's buffer.
fn same_reads_stored(session: &mut Session, name: &str, memory: &Memory, count: usize) {
    // Where every page is a record, each is computed and its place is checked, which
    // takes some nanoseconds that the floor does not have.
    let bound = match count > (memory.size / page()) as usize / 2 {
        true => Bound::AtMost(1.5),
        false => Bound::AtMost(1.15),
    };
    let mut same_reads = Bulk::of_size(memory, C_READS);
    let mut stored = session.records[..count].to_vec();
    let record = stored[0];
    let case = Case::new(name, SAME_READS_STORED, bound)
        .note("the size of the C library's buffer within its 6 KiB of stack");
    session.pairs(
        case,
        || {
            same_reads.read();
            black_box(&mut stored).fill(record);
        },
        |library, records| ours::c_path(library, memory, records),
    );
    let mut same_reads = Bulk::of_size(memory, C_READS);
    session.pairs(
        Case::new(name, SAME_READS, Bound::Shown),
        || same_reads.read(),
        |library, records| ours::c_path(library, memory, records),
    );
}

fn page_cache(session: &mut Session) {
    if !session.wants(&[CACHE, CACHE_RUST]) {
        return;
    }
    let case = Case::new(CACHE, BULK, Bound::Shown);
    let memory = match targets::page_cache(session.peers(), GIB) {
        Ok(memory) => memory,
        Err(why) => return session.absent(case, why),
    };
    let mut bulk = Bulk::new(&memory);
    let count = ours::count(&session.library, &memory, &mut session.records);
    let mut case = case.note(bulk.note()).note(format!("{count} records"));
    if let Ok(mut scan) = Scan::new(&memory) {
        case = case.note(format!("{} MiB of it mapped huge", scan.huge_bytes() >> 20));
    }
    session.pairs(
        case,
        || bulk.read(),
        |library, records| {
            ours::c_path(library, &memory, records);
        },
    );
    same_reads_stored(session, CACHE, &memory, count);
    let case = Case::new(CACHE_RUST, BULK, Bound::AtMost(1.1));
    session.pairs(case, || bulk.read(), |_, _| ours::rust_path(&memory));
}

fn fragmented(session: &mut Session) {
    if !session.wants(&[FRAGMENTED, FRAGMENTED_RUST]) {
        return;
    }
    let pages = (GIB / page()) as usize;
    let (count, memory) = most_fragmented(session);
    let case = Case::new(FRAGMENTED, BULK, Bound::Shown);
    if count != pages {
        return session.absent(
            case,
            "the allocator gave some adjacent pages however touched",
        );
    }
    let mut bulk = Bulk::new(&memory);
    let case = case
        .note(bulk.note())
        .note(format!("{count} records stored"));
    session.pairs(
        case,
        || bulk.read(),
        |library, records| {
            ours::c_path(library, &memory, records);
        },
    );
    same_reads_stored(session, FRAGMENTED, &memory, count);
    let case = Case::new(FRAGMENTED_RUST, BULK, Bound::AtMost(1.35)).note("looked at, not stored");
    session.pairs(case, || bulk.read(), |_, _| ours::rust_path(&memory));
}

/// Returns 1 GiB with as few adjacent pages as possible, and its number of records.
pub(super) fn most_fragmented(session: &mut Session) -> (usize, Memory) {
    let pages = (GIB / page()) as usize;
    let mut best: Option<(usize, Memory)> = None;
    // The allocator's free memory decides whether neighbours become adjacent; another
    // stride may differ.
    for stride in [2, 3, 5, 7, 11, 13, 17, 64, 512, 4099] {
        let memory = targets::strided(GIB, stride);
        let count = ours::count(&session.library, &memory, &mut session.records);
        if best.as_ref().is_none_or(|(most, _)| count > *most) {
            best = Some((count, memory));
        }
        if count == pages {
            break;
        }
    }
    best.expect("one of them")
}
