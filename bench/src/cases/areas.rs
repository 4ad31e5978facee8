//! Cases of many mappings of one page each.

use crate::floors::{self, Areas, Bulk};
use crate::ours;
use crate::row::Bound;
use crate::session::{Case, Session};
use crate::targets;

const NAME: &str = "60,000 one-page VMAs";
const TWO_THREADS: &str = "60,000 one-page VMAs, two threads, Rust";
pub(crate) const COUNT: u64 = 60_000;

pub(crate) fn run(session: &mut Session) {
    if !session.wants(&[NAME, TWO_THREADS]) {
        return;
    }
    let memory = targets::areas(COUNT);
    let count = ours::count(&session.library, &memory, &mut session.records);
    let mut areas = Areas::new(&memory);
    let mut text = vec![1; 64 << 10];
    let case = Case::new(NAME, "one bulk pread a VMA", Bound::Shown).note(format!(
        "the floor knows the {} VMAs beforehand and reads only the entries; {count} records",
        areas.len()
    ));
    session.pairs(
        case,
        || areas.read(),
        |library, records| {
            ours::c_path(library, &memory, records);
        },
    );
    let case = Case::new(
        NAME,
        "reading maps, one bulk pread a VMA",
        Bound::AtMost(0.8),
    )
    .note("the same with the text of maps read, not parsed");
    session.pairs(
        case,
        || {
            floors::read_maps(memory.pid(), &mut text);
            areas.read();
        },
        |library, records| ours::c_path(library, &memory, records),
    );
    let mut bulk = Bulk::of_size(&memory, text.len());
    let case = Case::new(
        NAME,
        "reading maps, one bulk pread of all",
        Bound::AtMost(1.5),
    )
    .note("across all VMAs and the gaps between them, 64 KiB at a time");
    session.pairs(
        case,
        || {
            floors::read_maps(memory.pid(), &mut text);
            bulk.read();
        },
        |library, records| ours::c_path(library, &memory, records),
    );
    let case = Case::new(TWO_THREADS, "one bulk pread a VMA", Bound::Shown);
    session.pairs(
        case,
        || areas.read(),
        |_, _| ours::rust_two_threads(&memory),
    );
    let case = Case::new(NAME, "reading maps to the end", Bound::Shown);
    session.pairs(
        case,
        || floors::read_maps(memory.pid(), &mut text),
        |library, records| ours::c_path(library, &memory, records),
    );
}
