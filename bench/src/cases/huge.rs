//! Cases of huge pages: transparent, and hugetlb of both sizes.

use std::fs;
use std::path::PathBuf;

use process_introspection::Process;
use testkit::machine::HugePages;

use crate::floors::{Bulk, Scan};
use crate::ours;
use crate::row::Bound;
use crate::session::{Case, Session};
use crate::targets::{self, Memory, GIB, PMD};

const THP: &str = "1 GiB of THP";
const HUGETLB_2M: &str = "1 GiB of hugetlb, 2 MiB pages";
const HUGETLB_1G: &str = "1 GiB of hugetlb, one 1 GiB page";
const HUGETLB_1G_KEPT: &str = "1 GiB of hugetlb, one 1 GiB page, kept, Rust";
const BULK: &str = "bulk pread";

pub(crate) fn run(session: &mut Session) {
    if session.wants(&[THP]) {
        let memory = targets::transparent_huge(GIB);
        let mut case = Case::new(THP, BULK, Bound::AtMost(0.5));
        if let Ok(mut scan) = Scan::new(&memory) {
            case = case.note(format!("{} MiB of it mapped huge", scan.huge_bytes() >> 20));
        }
        measure(session, case, &memory);
    }
    if session.wants(&[HUGETLB_2M]) {
        let case = Case::new(HUGETLB_2M, BULK, Bound::AtMost(0.5));
        match HugePages::reserve(GIB / PMD, HUGETLB_2M) {
            Some(_pages) => measure(session, case, &targets::hugetlb(GIB, PMD)),
            None => session.absent(case, "no 512 huge pages on this machine"),
        }
    }
    if session.wants(&[HUGETLB_1G, HUGETLB_1G_KEPT]) {
        gigantic(session);
    }
}

fn gigantic(session: &mut Session) {
    let case = Case::new(HUGETLB_1G, BULK, Bound::Shown)
        .note("ours opens the target each time, the floor keeps it open");
    let kept =
        Case::new(HUGETLB_1G_KEPT, BULK, Bound::AtMost(0.01)).note("both keep the target open");
    match GiganticPage::reserve() {
        Ok(_page) => {
            let memory = targets::hugetlb(GIB, GIB);
            measure(session, case, &memory);
            let mut bulk = Bulk::new(&memory);
            let process = Process::open(memory.pid()).expect("the target");
            let ours = |_: &_, _: &mut [_]| ours::rust_kept(&process, &memory);
            session.pairs(kept, || bulk.read(), ours);
        }
        Err(why) => {
            session.absent(case, &why);
            session.absent(kept, &why);
        }
    }
}

fn measure(session: &mut Session, case: Case, memory: &Memory) {
    let count = ours::count(&session.library, memory, &mut session.records);
    let mut bulk = Bulk::new(memory);
    let case = case.note(bulk.note()).note(format!("{count} records"));
    session.pairs(
        case,
        || bulk.read(),
        |library, records| {
            ours::c_path(library, memory, records);
        },
    );
}

/// One additional page of 1 GiB, released when dropped.
struct GiganticPage {
    file: PathBuf,
    before: u64,
}

impl GiganticPage {
    fn reserve() -> Result<Self, String> {
        let file = PathBuf::from("/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages");
        let read = || fs::read_to_string(&file).ok()?.trim().parse::<u64>().ok();
        let before = read().ok_or("not on this machine: no 1 GiB pages")?;
        let set = fs::write(&file, (before + 1).to_string());
        let now = read();
        let page = Self { file, before };
        match (set, now) {
            (Ok(()), Some(now)) if now > before => Ok(page),
            _ => Err("not on this machine: no free 1 GiB page".to_owned()),
        }
    }
}

impl Drop for GiganticPage {
    fn drop(&mut self) {
        let _ = fs::write(&self.file, self.before.to_string());
    }
}
