//! Cases of one address: of the calling process, of another process, with all files
//! kept open, among many mappings.

use std::hint::black_box;

use process_introspection::Process;
use testkit::memory::{self, page};

use crate::floors::calls::{Bare, OTHER, OWN};
use crate::floors::Kept;
use crate::ours;
use crate::row::Bound;
use crate::session::{Case, Session};
use crate::targets::{self, Memory, GIB};
use crate::trace::{self, Who};

const OF_ONESELF: &str = "one address of oneself, C";
const OF_ANOTHER: &str = "one address of another process, C";
const KEPT: &str = "one address, Process kept, Rust";
const KEPT_REGION: &str = "one region, Process kept, Rust";
const AMONG_MANY: &str = "one address among 60,000 VMAs, C";
const AMONG_MANY_KEPT: &str = "one address among 60,000 VMAs, kept, Rust";

pub(crate) fn run(session: &mut Session) {
    if session.wants(&[OF_ONESELF]) {
        of_oneself(session);
    }
    if session.wants(&[OF_ANOTHER, KEPT, KEPT_REGION, AMONG_MANY, AMONG_MANY_KEPT]) {
        let few = targets::dense(GIB >> 4);
        let middle = few.start + few.size / 2;
        of_another(session, &few, middle);
        kept(session, &few, middle);
        among_many(session, &few, middle);
    }
}

/// Adds the calls that strace sees: the library's must be those of the list.
fn compared(session: &Session, case: Case, pid: u32, address: u64, list: &[(&str, &str)]) -> Case {
    let bench = std::env::current_exe().expect("this program");
    let seen = trace::traced(&bench, &session.library_path, Who::Library, pid, address);
    match seen {
        Ok(seen) if seen.iter().eq(list.iter().map(|(name, _)| name)) => case.note(
            "strace shows the library to make exactly these calls, listed below with their reasons",
        ),
        Ok(seen) => case.stale(true).note(format!(
            "the floor makes {} calls, but strace shows the library to make these {}: {}",
            list.len(),
            seen.len(),
            seen.join(" ")
        )),
        Err(why) => case.note(format!("not compared with the library's calls: {why}")),
    }
}

fn of_oneself(session: &mut Session) {
    let address = memory::anonymous(page());
    memory::touch(address, 1, 1);
    let mut bare = Bare::new(0);
    let against = format!("the same {} calls bare", OWN.len());
    let case = Case::new(OF_ONESELF, against, Bound::AtMost(1.2));
    let case = compared(session, case, 0, 0, OWN);
    session.pairs(
        case,
        || _ = black_box(bare.own(address)),
        |library, records| {
            let count = library.physical(0, address, address + 1, records);
            assert_eq!(count, 1);
        },
    );
    memory::unmap(address, page());
}

fn of_another(session: &mut Session, few: &Memory, address: u64) {
    let pid = few.pid();
    let mut bare = Bare::new(pid);
    let against = format!("the same {} calls bare", OTHER.len());
    let case = Case::new(OF_ANOTHER, against, Bound::AtMost(1.3));
    let case = compared(session, case, pid, address, OTHER);
    session.pairs(
        case,
        || _ = black_box(bare.other(pid, address)),
        |library, records| {
            let count = library.physical(pid, address, address + 1, records);
            assert_eq!(count, 1);
        },
    );
}

fn kept(session: &mut Session, few: &Memory, address: u64) {
    if !session.wants(&[KEPT, KEPT_REGION]) {
        return;
    }
    let bench = std::env::current_exe().expect("this program");
    let seen = trace::traced(&bench, &session.library_path, Who::Kept, few.pid(), address);
    let seen = match seen {
        Ok(seen) => format!("by strace ours makes: {}", seen.join(" ")),
        Err(why) => format!("ours was not traced: {why}"),
    };
    let case = Case::new(KEPT, "one pread, one PROCMAP_QUERY", Bound::AtMost(1.2)).note(seen);
    let region = Case::new(KEPT_REGION, "one pread, one PROCMAP_QUERY", Bound::Shown)
        .note("the same address with its mapping, name included");
    let process = Process::open(few.pid()).expect("the target");
    match Kept::new(few) {
        Ok(kept) => {
            session.pairs(case, || kept.ask(address), |_, _| ask(&process, address));
            let range = few.part(address, page());
            let ours = |_: &_, _: &mut [_]| ours::rust_kept(&process, &range);
            session.pairs(region, || kept.ask(address), ours);
        }
        Err(why) => {
            session.absent(case, &why);
            session.absent(region, &why);
        }
    }
}

fn among_many(session: &mut Session, few: &Memory, address: u64) {
    if !session.wants(&[AMONG_MANY, AMONG_MANY_KEPT]) {
        return;
    }
    let many = targets::areas(super::areas::COUNT);
    let (here, there) = (address, many.start + many.size / 2);
    let library = session.library;
    let (few_areas, many_areas) = (few.areas(), many.areas());
    let mut record = [crate::library::Record::default(); 1];
    let case = Case::new(AMONG_MANY, format!("among {few_areas}"), Bound::AtMost(1.2)).note(
        format!("{many_areas} VMAs in all, the address in the middle"),
    );
    session.pairs(
        case,
        || assert_eq!(library.physical(few.pid(), here, here + 1, &mut record), 1),
        |library, records| {
            assert_eq!(library.physical(many.pid(), there, there + 1, records), 1);
        },
    );
    let (near, far) = (Process::open(few.pid()), Process::open(many.pid()));
    let (near, far) = (near.expect("the target"), far.expect("the target"));
    let case = Case::new(
        AMONG_MANY_KEPT,
        format!("among {few_areas}"),
        Bound::AtMost(1.2),
    );
    session.pairs(case, || ask(&near, here), |_, _| ask(&far, there));
}

fn ask(process: &Process, address: u64) {
    let physical = process.physical_address(address).expect("an address");
    assert!(black_box(physical).is_some());
}
