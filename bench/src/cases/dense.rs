//! Memory of which every base page is there: touched in order, of a file, and
//! without two adjacent pages.

use crate::floors::{Bulk, Scan};
use crate::ours;
use crate::row::Bound;
use crate::session::{Case, Session};
use crate::targets::{self, Memory, GIB};

const C: &str = "1 GiB touched, C";
const RUST: &str = "1 GiB touched, Rust";
const C_SCATTERED: &str = "1 GiB touched, of scattered memory, C";
const RUST_SCATTERED: &str = "1 GiB touched, of scattered memory, Rust";
const CACHE: &str = "1 GiB of page cache";
const FRAGMENTED: &str = "1 GiB, no two pages adjacent";
const TWO_THREADS: &str = "1 GiB touched, two threads, Rust";
const TWO_THREADS_SCATTERED: &str = "1 GiB touched, of scattered memory, two threads, Rust";
const BULK: &str = "bulk pread";

pub(crate) fn run(session: &mut Session) {
    touched(
        session,
        [C, RUST, TWO_THREADS],
        targets::dense_of_large_blocks,
    );
    let scattered = [C_SCATTERED, RUST_SCATTERED, TWO_THREADS_SCATTERED];
    touched(session, scattered, targets::dense);
    page_cache(session);
    fragmented(session);
}

fn touched(session: &mut Session, [c, rust, two]: [&str; 3], make: fn(u64) -> Memory) {
    if !session.wants(&[c, rust, two]) {
        return;
    }
    let memory = make(GIB);
    let mut bulk = Bulk::new(&memory);
    let count = ours::count(&session.library, &memory, &mut session.records);
    let case = Case::new(c, BULK, Bound::AtMost(1.05))
        .note(bulk.note())
        .note(format!("{count} records"));
    let ours = |library: &_, records: &mut [_]| ours::c_path(library, &memory, records);
    session.pairs(case, || bulk.read(), ours);
    let case = Case::new(rust, BULK, Bound::AtMost(1.05));
    session.pairs(case, || bulk.read(), |_, _| ours::rust_path(&memory));
    let case = Case::new(two, BULK, Bound::AtMost(0.6));
    session.pairs(case, || bulk.read(), |_, _| ours::rust_two_threads(&memory));
}

fn page_cache(session: &mut Session) {
    if !session.wants(&[CACHE]) {
        return;
    }
    let case = Case::new(CACHE, BULK, Bound::AtMost(1.05));
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
}

fn fragmented(session: &mut Session) {
    if !session.wants(&[FRAGMENTED]) {
        return;
    }
    let pages = (GIB / testkit::memory::page()) as usize;
    let mut best: Option<(usize, Memory)> = None;
    // Whether neighbours come out adjacent depends on what the allocator has;
    // another stride finds it otherwise.
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
    let case = Case::new(FRAGMENTED, BULK, Bound::AtMost(1.25));
    let Some((count, memory)) = best.filter(|(count, _)| *count == pages) else {
        return session.absent(
            case,
            "the allocator gave some adjacent pages however touched",
        );
    };
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
}
