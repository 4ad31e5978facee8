//! Cases of peers, on the first two targets.

use crate::ours;
use crate::peers::{crates, each_page, programs};
use crate::row::Bound;
use crate::session::{Case, Session};
use crate::targets::{self, Memory, GIB, TIB};

const DENSE: &str = "1 GiB touched, Rust, against peers";
const SPARSE: &str = "1 TiB reserved, Rust, against peers";

/// Targets against each peer on one target process, by one thread and by two, and
/// the smaller sizes for peers that would take minutes or all memory.
struct Expected {
    name: &'static str,
    procfs_range: ([f64; 2], u64),
    procfs_page: ([f64; 2], u64),
    page_types: [f64; 2],
    /// Fractions of the target for the crate `pagemap` and one read per page.
    each_page: u64,
    small: fn(u64) -> (Memory, String),
}

pub(crate) fn run(session: &mut Session) {
    if session.wants(&[DENSE]) {
        let expected = Expected {
            name: DENSE,
            // One bulk read and no merging: it is the floor.
            procfs_range: ([0.8, 1.2], 1),
            procfs_page: ([100.0, 100.0], 16),
            page_types: [8.0, 8.0],
            each_page: 1,
            small: |part| {
                let what = format!("{} MiB touched", (GIB / part) >> 20);
                (targets::dense(GIB / part), what)
            },
        };
        measure(session, &targets::dense(GIB), &expected);
    }
    if session.wants(&[SPARSE]) {
        let pages = super::sparse::PAGES;
        let expected = Expected {
            name: SPARSE,
            procfs_range: ([30.0, 30.0], 16),
            procfs_page: ([30.0, 30.0], pages),
            page_types: [12.0, 18.0],
            each_page: 1024,
            small: |part| {
                let pages = super::sparse::PAGES / part;
                let size = TIB / part;
                let what = format!("{} MiB reserved, touched pages: {pages}", size >> 20);
                (targets::sparse(size, pages), what)
            },
        };
        measure(session, &targets::sparse(TIB, pages), &expected);
    }
}

fn by_threads(least: [f64; 2]) -> [Bound; 2] {
    least.map(|least| Bound::TimesFaster(Some(least)))
}

fn measure(session: &mut Session, memory: &Memory, expected: &Expected) {
    let Expected {
        name,
        procfs_range,
        procfs_page,
        page_types,
        each_page,
        small,
    } = *expected;
    let two_threads = format!("{name}, two threads");
    type Peer = fn(&Memory);
    let peers: [(&str, Option<[f64; 2]>, u64, Peer); 4] = [
        (
            "procfs, get_range_info",
            Some(procfs_range.0),
            procfs_range.1,
            crates::procfs_ranges,
        ),
        (
            "procfs, get_info per page",
            Some(procfs_page.0),
            procfs_page.1,
            crates::procfs_each_page,
        ),
        (
            "pagemap, pagemap_region",
            None,
            each_page,
            crates::pagemap_regions,
        ),
        ("one pread per page", None, each_page, each_page::read),
    ];
    for (against, bound, part, peer) in peers {
        let bounds = bound.map_or([Bound::TimesFaster(None); 2], by_threads);
        let case = Case::new(name, against, bounds[0]);
        let ours = |_: &_, _: &mut [_]| ours::rust_path(memory);
        if part == 1 {
            session.pairs(case, || peer(memory), ours);
            let case = Case::new(&two_threads, against, bounds[1]);
            let ours = |_: &_, _: &mut [_]| ours::rust_two_threads(memory);
            session.pairs(case, || peer(memory), ours);
        } else {
            let (less, what) = small(part);
            session.pairs(case.scaled(part, &what), || peer(&less), ours);
        }
    }
    let everywhere = |_: &_, _: &mut [_]| ours::rust_path_everywhere(memory);
    let page_types = by_threads(page_types);
    let case = Case::new(name, "page-types -l", page_types[0])
        .note("a whole program against a call, both over the whole process");
    match programs::page_types(session.peers()) {
        Ok(program) => {
            let theirs = || programs::run(&program, &["-l", "-p"], memory.pid());
            session.pairs(case, theirs, everywhere);
            let case = Case::new(&two_threads, "page-types -l", page_types[1]);
            let ours = |_: &_, _: &mut [_]| ours::rust_two_threads_everywhere(memory);
            session.pairs(case, theirs, ours);
        }
        Err(why) => session.absent(case, format!("not built: {why}")),
    }
    let case = Case::new(name, "pmap -X", Bound::TimesFaster(None))
        .note("a whole program; it reports no physical addresses");
    match programs::pmap() {
        Ok(program) => {
            let theirs = || programs::run(&program, &["-X"], memory.pid());
            session.pairs(case, theirs, everywhere);
        }
        Err(why) => session.absent(case, why),
    }
}
