//! Facts of pages: flags and numbers of mappings, of entries and of frames.

use crate::floors::SortedFrames;
use crate::ours;
use crate::row::Bound;
use crate::session::{Case, Session};
use crate::targets::{self, Memory, GIB};

const DENSE: &str = "details of 1 GiB touched, Rust";
const SCATTERED: &str = "details of 1 GiB touched, of scattered memory, Rust";
const THP: &str = "details of 1 GiB of THP, Rust";
const SORTED: &str = "sorted reads of kpageflags and kpagecount";

pub(crate) fn run(session: &mut Session) {
    let cases: [(&str, fn(u64) -> Memory); 3] = [
        (DENSE, targets::dense_of_large_blocks),
        (SCATTERED, targets::dense),
        (THP, targets::transparent_huge),
    ];
    for (name, make) in cases {
        if !session.wants(&[name]) {
            continue;
        }
        let memory = make(GIB);
        let mut floor = SortedFrames::new(&memory);
        let case = Case::new(name, SORTED, Bound::AtMost(1.2))
            .note(floor.note())
            .note("ours walks the range and reads its entries too");
        session.pairs(case, || floor.read(), |_, _| ours::rust_details(&memory));
    }
}
