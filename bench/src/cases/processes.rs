//! Cases of one pass over all processes of a machine with much memory in use: the
//! owners of one page, and of every page.

use std::hint::black_box;
use std::ops::ControlFlow;
use std::process::{Command, ExitCode};

use process_introspection::{owners, OwnerEvent, PassOptions, PhysAddr, PhysRange, Process};
use testkit::memory::page;

use crate::peers::{crates, programs};
use crate::row::{Bound, Outcome, Unit};
use crate::session::{Case, Session};
use crate::spread::Spread;
use crate::streaming::status;
use crate::targets::{self, Memory, GIB};

/// Number of processes that share the memory.
pub(super) const COUNT: u64 = 200;
const ONE: &str = "a machine of 200 processes, owners of one page, Rust";
const ALL: &str = "a machine of 200 processes, owners of every page, Rust";
const PEAK: &str = "a machine of 200 processes, peak memory for owners of every page";
/// A range larger than the machine's memory, within the permitted size.
const EVERYTHING: u64 = 256 * GIB;

pub(crate) fn run(session: &mut Session) {
    if !session.wants(&[ONE, ALL, PEAK]) {
        return;
    }
    let resident = session.resident_gib;
    let size = (resident * GIB / COUNT).next_multiple_of(page());
    let targets: Vec<Memory> = (0..COUNT).map(|_| targets::dense(size)).collect();
    let note = format!(
        "{COUNT} processes of {} MiB, {resident} GiB in all, and what else runs",
        size >> 20
    );
    let process = Process::open(targets[0].pid()).expect("a target");
    let address = process.physical_address(targets[0].start);
    let address = address.expect("the address").expect("memory");
    let end = |start: PhysAddr| start.checked_add(page()).expect("an end");
    let one = PhysRange::new(address, end(address)).expect("a page");
    let all = everything();
    let rows: [(&str, PhysRange); 2] = [(ONE, one), (ALL, all)];
    for (name, range) in rows {
        let bound = Bound::TimesFaster(None);
        let ours = |_: &_, _: &mut [_]| {
            black_box(pass(range));
        };
        let case = Case::new(name, "procfs, maps and get_range_info", bound).note(&note);
        let theirs = || targets.iter().for_each(crates::procfs_everything);
        session.pairs(case, theirs, ours);
        let case = Case::new(name, "page-types -r", bound)
            .note(&note)
            .note("a whole program, which counts frames' flags and finds no owner");
        match programs::page_types(session.peers()) {
            Ok(program) => session.pairs(case, || programs::run_alone(&program, &["-r"]), ours),
            Err(why) => session.absent(case, format!("not built: {why}")),
        }
    }
    let case = Case::new(PEAK, "nothing: VmHWM of a process", Bound::AtMost(65536.0)).note(&note);
    let peaks: Result<Vec<f64>, String> = (0..session.rounds).map(|_| peak()).collect();
    match peaks {
        Ok(peaks) => session.add(case, Outcome::Amount(Spread::of(peaks), Unit::Kibibytes)),
        Err(why) => session.absent(case, why),
    }
}

fn everything() -> PhysRange {
    PhysRange::new(PhysAddr::new(0), PhysAddr::new(EVERYTHING)).expect("a range")
}

/// Returns the number of runs of pages with an owner, and their bytes.
fn pass(range: PhysRange) -> (u64, u64) {
    let (mut runs, mut bytes) = (0, 0);
    let made = owners(&[range], PassOptions::new(), |event| {
        if let OwnerEvent::Owner(owner) = event {
            runs += 1;
            bytes += owner.region.size();
        }
        ControlFlow::Continue(())
    });
    made.expect("a pass");
    assert!(runs > 0, "a target's page has an owner");
    (runs, bytes)
}

/// Runs in the process that reads all processes: prints its peak.
pub(crate) fn run_pass() -> Result<ExitCode, String> {
    black_box(pass(everything()));
    println!("{}", status("VmHWM")?);
    Ok(ExitCode::SUCCESS)
}

/// Runs such a process, and returns its peak in KiB.
fn peak() -> Result<f64, String> {
    let bench = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new(bench)
        .arg("pass")
        .output()
        .map_err(|error| error.to_string())?;
    let printed = String::from_utf8_lossy(&output.stdout);
    printed.trim().parse().map_err(|_| {
        format!(
            "a pass failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )
    })
}
