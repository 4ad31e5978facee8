//! Cases of the delay of the target: one of its threads maps and unmaps without
//! pause and records the durations, while it is walked, and while `cat` reads its
//! `maps` instead.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use testkit::memory::{self, page};

use super::sparse::PAGES;
use crate::cpus::Cpus;
use crate::floors::{Bulk, Scan};
use crate::ours;
use crate::report::time;
use crate::row::Bound;
use crate::session::{Case, Session};
use crate::spread::{percentile, Spread};
use crate::targets::{self, Memory, GIB, TIB};

struct Names {
    walked: &'static str,
    floor: &'static str,
    /// Name of the floor, and the target against its delay.
    against: &'static str,
    bound: f64,
}

const DENSE: Names = Names {
    walked: "map and unmap, 99.9th, 1 GiB walked",
    floor: "map and unmap, 99.9th, 1 GiB bulk pread",
    against: "while bulk pread runs instead",
    bound: 0.5,
};
const SPARSE: Names = Names {
    walked: "map and unmap, 99.9th, 1 TiB walked",
    floor: "map and unmap, 99.9th, 1 TiB scan, pread",
    against: "while scan, then pread runs instead",
    bound: 0.8,
};
const CAT: &str = "while cat maps runs instead";

/// Duration of each side in a round.
const PHASE: Duration = Duration::from_millis(400);
/// Upper bound of the samples of a phase.
const SAMPLES: usize = 1 << 22;

/// Ring of the nanoseconds of each pair of calls, shared with the target, which
/// writes continuously.
struct Ring {
    at: u64,
}

impl Ring {
    const SIZE: u64 = (8 + SAMPLES * 4) as u64;

    fn new() -> Self {
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        Self {
            at: memory::map(Self::SIZE.next_multiple_of(page()), flags, -1),
        }
    }

    /// Returns the number of samples written so far.
    fn count(&self) -> &AtomicU64 {
        // SAFETY: the mapping lives as long as this, is zeroed and aligned, and
        // is used through atomics only, here and in the target.
        unsafe { &*(self.at as *const AtomicU64) }
    }

    fn samples(&self) -> &[AtomicU32] {
        // SAFETY: as in `count`; behind it the mapping has room for this many.
        unsafe { std::slice::from_raw_parts((self.at + 8) as *const AtomicU32, SAMPLES) }
    }

    /// Writes samples until the process is killed.
    fn fill(&self) -> ! {
        loop {
            let start = Instant::now();
            let at = memory::map(16 * page(), libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1);
            memory::unmap(at, 16 * page());
            let nanos = start.elapsed().as_nanos().min(u32::MAX.into()) as u32;
            let index = self.count().load(Ordering::Relaxed);
            self.samples()[index as usize % SAMPLES].store(nanos, Ordering::Relaxed);
            self.count().store(index + 1, Ordering::Release);
        }
    }

    /// Returns the 99.9th percentile in seconds while `disturb` is repeated.
    fn watch(&self, mut disturb: impl FnMut()) -> f64 {
        let before = self.count().load(Ordering::Acquire);
        let end = Instant::now() + PHASE;
        while Instant::now() < end {
            disturb();
        }
        let after = self.count().load(Ordering::Acquire);
        assert!(
            after > before && after - before < SAMPLES as u64,
            "{}",
            after - before
        );
        let samples = self.samples();
        let mut nanos: Vec<u32> = (before..after)
            .map(|index| samples[index as usize % SAMPLES].load(Ordering::Relaxed))
            .collect();
        f64::from(percentile(&mut nanos, 0.999)) * 1e-9
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        memory::unmap(self.at, Self::SIZE.next_multiple_of(page()));
    }
}

pub(crate) fn run(session: &mut Session) {
    if session.wants(&[DENSE.walked, DENSE.floor]) {
        let make = || targets::make_dense(GIB);
        watch(session, &DENSE, GIB, make, |memory| {
            let mut bulk = Bulk::new(memory);
            Ok(Box::new(move || bulk.read()))
        });
    }
    if session.wants(&[SPARSE.walked, SPARSE.floor]) {
        let make = || targets::make_sparse(TIB, PAGES);
        watch(session, &SPARSE, TIB, make, |memory| {
            let mut scan = Scan::new(memory)?;
            Ok(Box::new(move || scan.read()))
        });
    }
}

type Reader = Box<dyn FnMut()>;

fn watch(
    session: &mut Session,
    names: &Names,
    size: u64,
    make: impl FnOnce() -> u64,
    open_floor: impl FnOnce(&Memory) -> Result<Reader, String>,
) {
    let walked = Case::new(names.walked, names.against, Bound::AtMost(names.bound))
        .note("the floor in our place: the cost of any reader");
    let beside_cat = Case::new(names.walked, CAT, Bound::Shown);
    let floor = Case::new(names.floor, CAT, Bound::Shown);
    let allowed = Cpus::allowed();
    let (Some(ours), Some(targets)) = (allowed.nth(0), allowed.nth(1)) else {
        let why = "not on this machine: it requires two CPUs";
        for case in [walked, beside_cat, floor] {
            session.absent(case, why);
        }
        return;
    };
    let ring = Ring::new();
    let memory = Memory::busy(size, make, || {
        targets.run_on();
        ring.fill();
    });
    let pid = memory.pid();
    let opened = open_floor(&memory);
    ours.run_on();
    let cat = || {
        let status = Command::new("cat")
            .arg(format!("/proc/{pid}/maps"))
            .stdout(Stdio::null())
            .status();
        assert!(status.expect("cat").success());
    };
    let (library, records) = (session.library, &mut session.records);
    let (mut idle, mut ours_to_cat) = (Vec::new(), Vec::new());
    let mut to_floor = opened.map(|read| (read, Vec::new(), Vec::new()));
    for _ in 0..session.rounds {
        idle.push(ring.watch(|| std::thread::sleep(PHASE / 8)));
        let cats = ring.watch(cat);
        let ours = ring.watch(|| ours::c_path(&library, &memory, records));
        ours_to_cat.push((cats, ours));
        if let Ok((read, ours_to_floor, floor_to_cat)) = &mut to_floor {
            let floors = ring.watch(read);
            ours_to_floor.push((floors, ours));
            floor_to_cat.push((cats, floors));
        }
    }
    let idle = time(Spread::of(idle).median);
    let beside_cat = beside_cat.note(format!(
        "theirs and ours are the percentiles; undisturbed it is {idle}"
    ));
    match to_floor {
        Ok((_, ours_to_floor, floor_to_cat)) => {
            session.add_pairs(walked, ours_to_floor);
            session.add_pairs(beside_cat, ours_to_cat);
            session.add_pairs(floor, floor_to_cat);
        }
        Err(why) => {
            session.absent(walked, why.clone());
            session.add_pairs(beside_cat, ours_to_cat);
            session.absent(floor, why);
        }
    }
    allowed.run_on();
}
