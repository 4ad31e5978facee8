//! Cases of growth: the cost grows with resident memory, not with reserved memory.

use crate::floors::Bulk;
use crate::ours;
use crate::row::Bound;
use crate::session::{Case, Session};
use crate::targets::{self, Memory, GIB, TIB};

const RESIDENT: &str = "2 GiB touched";
const RESIDENT_FLOOR: &str = "2 GiB touched, bulk pread only";
const RESERVED: &str = "2 TiB reserved, 16,384 pages touched";
const APART: &str = "2 TiB reserved, the pages twice as far apart";

pub(crate) fn run(session: &mut Session) {
    if session.wants(&[RESIDENT, RESIDENT_FLOOR]) {
        let (one, two) = targets::one_and_two(GIB);
        let case = Case::new(RESIDENT, "1 GiB touched", Bound::About(2.0, 0.1))
            .note("in one process, touched in turn");
        measure(session, case, &one, &two);
        // The kernel's own growth: caches are not twice as large.
        let (mut small, mut large) = (Bulk::new(&one), Bulk::new(&two));
        let case = Case::new(RESIDENT_FLOOR, "1 GiB touched, the same", Bound::Shown);
        session.pairs(case, || small.read(), |_, _| large.read());
    }
    if session.wants(&[RESERVED, APART]) {
        let pages = super::sparse::PAGES;
        let (small, large) = targets::once_and_twice_reserved(TIB, pages);
        let case = Case::new(RESERVED, "1 TiB, the same pages", Bound::About(1.0, 0.15))
            .note("in one process; the second TiB of the larger was never touched");
        measure(session, case, &small, &large);
        drop((small, large));
        let small = targets::sparse(TIB, pages);
        let case = Case::new(APART, "1 TiB, as many pages", Bound::Shown)
            .note("page tables grow with the distance, and the kernel traverses them");
        measure(session, case, &small, &targets::sparse(2 * TIB, pages));
    }
}

/// Measures ours on both sides.
fn measure(session: &mut Session, case: Case, small: &Memory, large: &Memory) {
    ours::count(&session.library, small, &mut session.records);
    ours::count(&session.library, large, &mut session.records);
    let library = session.library;
    let mut other_records = session.records.clone();
    session.pairs(
        case,
        || ours::c_path(&library, small, &mut other_records),
        |library, records| ours::c_path(library, large, records),
    );
}
