//! Cases of a large reservation with few pages.

use crate::floors::{Bulk, Scan};
use crate::ours;
use crate::row::Bound;
use crate::session::{Case, Session};
use crate::targets::{self, TIB};

const NAME: &str = "1 TiB reserved, 16,384 pages touched";
const SCAN: &str = "scan, then pread";
pub(crate) const PAGES: u64 = 16_384;

pub(crate) fn run(session: &mut Session) {
    if !session.wants(&[NAME]) {
        return;
    }
    let memory = targets::sparse(TIB, PAGES);
    let count = ours::count(&session.library, &memory, &mut session.records);
    let mut bulk = Bulk::new(&memory);
    let case = Case::new(NAME, "bulk pread", Bound::AtMost(0.07))
        .note(bulk.note())
        .note(format!("{count} records"));
    session.pairs(
        case,
        || bulk.read(),
        |library, records| {
            ours::c_path(library, &memory, records);
        },
    );
    let case = Case::new(NAME, SCAN, Bound::AtMost(1.15));
    match Scan::new(&memory) {
        Ok(mut scan) => session.pairs(
            case,
            || scan.read(),
            |library, records| {
                ours::c_path(library, &memory, records);
            },
        ),
        Err(why) => session.absent(case, why),
    }
}
