//! Cases of page facts: flags and mapcounts of frames, flags of entries.

use process_introspection::Process;

use crate::floors::{Bulk, SortedFrames};
use crate::ours;
use crate::row::Bound;
use crate::session::{Case, Session};
use crate::targets::{self, Memory, GIB};

const DENSE: [&str; 2] = [
    "details of 1 GiB touched, regions known, Rust",
    "details of 1 GiB touched, with the walk, Rust",
];
const SCATTERED: [&str; 2] = [
    "details of 1 GiB of scattered memory, regions known, Rust",
    "details of 1 GiB of scattered memory, with the walk, Rust",
];
const THP: [&str; 2] = [
    "details of 1 GiB of THP, regions known, Rust",
    "details of 1 GiB of THP, with the walk, Rust",
];
const SORTED: &str = "sorted reads of kpageflags and kpagecount";
const BULK_SORTED: &str = "bulk pread, and sorted reads of both";

type Make = fn(u64) -> Memory;

pub(crate) fn run(session: &mut Session) {
    let cases: [(_, Make); 3] = [
        (DENSE, targets::dense_of_large_blocks),
        (SCATTERED, targets::dense),
        (THP, targets::transparent_huge),
    ];
    for ([known, walk], make) in cases {
        if !session.wants(&[known, walk]) {
            continue;
        }
        let memory = make(GIB);
        let mut floor = SortedFrames::new(&memory);
        let process = Process::open(memory.pid()).expect("the target");
        let mut regions = Vec::new();
        ours::regions_noted(&process, &memory, |region| regions.push(region));
        let case = Case::new(known, SORTED, Bound::AtMost(1.2))
            .note(floor.note())
            .note(format!(
                "{} regions, with the flags of their entries from the walk; ours reads \
                 those of huge pages as well, and no mapcount where they imply it",
                regions.len()
            ));
        session.pairs(
            case,
            || floor.read(),
            |_, _| ours::rust_details_of(&process, &memory, &regions),
        );
        let mut bulk = Bulk::new(&memory);
        let case = Case::new(walk, BULK_SORTED, Bound::AtMost(1.2))
            .note(bulk.note())
            .note("the floor sorts nothing: it knows the frames beforehand");
        let both = || {
            bulk.read();
            floor.read();
        };
        session.pairs(case, both, |_, _| ours::rust_details(&memory));
    }
}
