//! Facts of pages: flags and numbers of mappings, of entries and of frames.

use process_introspection::Process;

use crate::floors::SortedFrames;
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
        let walked = process.physical_regions(memory.start..memory.end());
        let walked = walked
            .expect("a walk")
            .map(|region| region.expect("a region"));
        let regions: Vec<_> = walked.map(|region| (region.virt, region.backing)).collect();
        let case = Case::new(known, SORTED, Bound::AtMost(1.2))
            .note(floor.note())
            .note(format!(
                "{} regions; ours reads their entries too",
                regions.len()
            ));
        session.pairs(
            case,
            || floor.read(),
            |_, _| ours::rust_details_of(&process, &memory, &regions),
        );
        let case = Case::new(walk, SORTED, Bound::Shown);
        session.pairs(case, || floor.read(), |_, _| ours::rust_details(&memory));
    }
}
