//! The cases: which memory, which floor, which bound.

use std::hint::black_box;
use std::time::Instant;

use process_introspection::Process;
use testkit::memory::{self, page};
use testkit::target::Target;

use crate::c_library::{CLibrary, Record};
use crate::floor::{self, Pagemap};
use crate::report::Row;

const GIB: u64 = 1 << 30;
const ROUNDS: usize = 11;

/// Times floor and ours in turn.
fn pairs(
    name: &'static str,
    floor_name: &'static str,
    bound: Option<f64>,
    mut floor: impl FnMut(),
    mut ours: impl FnMut(),
) -> Row {
    let time = |call: &mut dyn FnMut()| {
        let start = Instant::now();
        call();
        start.elapsed().as_secs_f64()
    };
    // Once uncounted: caches, page tables, the ioctls' first use.
    floor();
    ours();
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        rounds.push((time(&mut floor), time(&mut ours)));
    }
    Row::new(name, floor_name, bound, &rounds)
}

fn c_path(library: &CLibrary, pid: u32, start: u64, size: u64, records: &mut [Record]) {
    black_box(library.physical(pid, start, start + size, records));
}

fn rust_path(pid: u32, start: u64, size: u64) {
    let process = Process::open(pid).expect("the target");
    for region in process
        .physical_regions(start..start + size)
        .expect("a walk")
    {
        black_box(region.expect("a region"));
    }
}

/// All cases.
pub fn run(library: &CLibrary) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut records = vec![Record::default(); 300_000];

    let dense = Target::spawn(|| {
        let at = memory::anonymous(GIB);
        memory::touch(at, GIB / page(), 1);
        vec![at]
    });
    let (pid, at) = (dense.pid(), dense.addresses()[0]);
    let mut pagemap = Pagemap::open(pid);
    rows.push(pairs(
        "1 GiB touched, C",
        "bulk pread",
        Some(1.3),
        || pagemap.read(at, at + GIB),
        || c_path(library, pid, at, GIB, &mut records),
    ));
    rows.push(pairs(
        "1 GiB touched, Rust",
        "bulk pread",
        Some(1.3),
        || pagemap.read(at, at + GIB),
        || rust_path(pid, at, GIB),
    ));
    rows.push(pairs(
        "one address of it, C",
        "open, pread, close",
        None,
        || Pagemap::open(pid).read(at, at + page()),
        || c_path(library, pid, at, page(), &mut records),
    ));
    drop(dense);

    let fragmented = Target::spawn(|| {
        let at = memory::anonymous(GIB);
        for first in 0..2 {
            memory::touch(at + first * page(), GIB / page() / 2, 2);
        }
        vec![at]
    });
    let (pid, at) = (fragmented.pid(), fragmented.addresses()[0]);
    let mut pagemap = Pagemap::open(pid);
    rows.push(pairs(
        "1 GiB, no two pages adjacent, C",
        "bulk pread",
        None,
        || pagemap.read(at, at + GIB),
        || c_path(library, pid, at, GIB, &mut records),
    ));
    drop(fragmented);

    let huge = Target::spawn(|| {
        let at = memory::aligned(GIB, 2 << 20);
        memory::advise(at, GIB, libc::MADV_HUGEPAGE);
        memory::touch(at, GIB >> 21, (2 << 20) / page());
        vec![at]
    });
    let (pid, at) = (huge.pid(), huge.addresses()[0]);
    let mut pagemap = Pagemap::open(pid);
    rows.push(pairs(
        "1 GiB of THP, C",
        "bulk pread",
        None,
        || pagemap.read(at, at + GIB),
        || c_path(library, pid, at, GIB, &mut records),
    ));
    drop(huge);

    let tib = 1 << 40;
    let sparse = Target::spawn(|| {
        let at = memory::anonymous(tib);
        memory::touch(at, 16_384, (64 << 20) / page());
        vec![at]
    });
    let (pid, at) = (sparse.pid(), sparse.addresses()[0]);
    let mut pagemap = Pagemap::open(pid);
    // A sixteenth of the range: the whole floor takes a second a round.
    rows.push(pairs(
        "1/16 TiB reserved, 1,024 pages touched, C",
        "bulk pread",
        None,
        || pagemap.read(at, at + tib / 16),
        || c_path(library, pid, at, tib / 16, &mut records),
    ));
    drop(sparse);

    let areas = 60_000;
    let many = Target::spawn(|| {
        let at = memory::anonymous(areas * page());
        memory::touch(at, areas, 1);
        for index in (0..areas).step_by(2) {
            memory::protect(at + index * page(), page(), libc::PROT_READ);
        }
        vec![at]
    });
    let (pid, at) = (many.pid(), many.addresses()[0]);
    rows.push(pairs(
        "60,000 one-page areas, C",
        "reading maps",
        None,
        || floor::read_maps(pid),
        || c_path(library, pid, at, areas * page(), &mut records),
    ));
    rows
}
