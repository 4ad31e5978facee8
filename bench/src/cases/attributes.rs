//! Cost of attributes in a walk that only requests addresses: kinds of mappings,
//! their objects and names, device memory. Nodes, memory types and page facts are
//! read only on request.

use process_introspection::Process;

use super::areas;
use crate::floors::PlainWalk;
use crate::ours;
use crate::row::Bound;
use crate::session::{Case, Session};
use crate::targets::{self, Memory, GIB};

const DENSE: &str = "no attributes requested, 1 GiB touched, kept, Rust";
const AREAS: &str = "no attributes requested, 60,000 one-page VMAs, kept, Rust";
const PLAIN: &str = "a walk of VMAs and entries alone";

pub(crate) fn run(session: &mut Session) {
    let dense = Case::new(DENSE, PLAIN, Bound::AtMost(1.05))
        .note("theirs are the core's own parts, without kinds, names and devices");
    against_plain(session, dense, &[DENSE], || {
        targets::dense_of_large_blocks(GIB)
    });
    let areas = Case::new(AREAS, PLAIN, Bound::AtMost(1.2))
        .note("ours has each mapping with its kind and name");
    against_plain(session, areas, &[AREAS], || targets::areas(areas::COUNT));
}

fn against_plain(session: &mut Session, case: Case, names: &[&str], make: impl FnOnce() -> Memory) {
    if !session.wants(names) {
        return;
    }
    let memory = make();
    let mut plain = PlainWalk::new(&memory);
    assert_eq!(plain.walk(), memory.size, "its runs tile the range");
    let process = Process::open(memory.pid()).expect("the target");
    session.pairs(
        case,
        || {
            plain.walk();
        },
        |_, _| ours::rust_kept(&process, &memory),
    );
}
