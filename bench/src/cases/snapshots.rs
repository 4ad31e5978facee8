//! Cases of snapshots: their size, their cost beside the pass that reads the same, and
//! questions about large lakes, which are generated.

use std::fs;
use std::hint::black_box;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use process_introspection::{
    all_processes, AddrRange, AdviceReading, FrameUse, HugePageSettings, PageSize, PhysicalMap,
    Process, SummaryOptions,
};
use process_introspection_dataset::tables::Table;
use tempfile::TempDir;
use testkit::memory::page;

use super::dense::most_fragmented;
use crate::command::{self, Run};
use crate::lakes;
use crate::row::{Bound, Outcome, Unit};
use crate::session::{Case, Session};
use crate::spread::Spread;
use crate::targets::{self, Memory, GIB};

const SIZE: &str = "a snapshot's bytes for each region, scattered memory";
const ALL: &str = "snapshot --all of 200 processes";
const ALL_PEAK: &str = "snapshot --all of 200 processes, peak memory";
const SUMMARY_ALL: &str = "summary --all of 200 processes";
const FRAMES: &str = "a snapshot's bytes for each frame in use";
const SPARSE_PEAK: &str = "snapshot of 100 GiB, 262,144 pages touched, peak memory";
const LIST: &str = "snapshots of a lake with 10,000";
const SUMMARY: &str = "summary --from, 10 million regions";
const DIFF: &str = "diff of two snapshots of 10 million regions";
const DIFF_PEAK: &str = "diff of two snapshots of 10 million regions, peak memory";

/// Number of snapshots of the lake that is listed.
const SNAPSHOTS: u64 = 10_000;
/// Number of regions of the snapshots that are queried.
const REGIONS: u64 = 10_000_000;
/// Every so many regions, one moves between the snapshots that are compared.
const MOVED: u64 = 100;
/// Most memory that a command may use, in KiB.
const MOST: Bound = Bound::AtMost(65536.0);
const NOTHING: &str = "nothing: the whole command";

pub(crate) fn run(session: &mut Session) {
    if session.wants(&[SIZE]) {
        let case = Case::new(
            SIZE,
            "nothing: files of regions and mappings",
            Bound::AtMost(4.0),
        );
        add(session, case, Unit::Bytes, bytes_of_a_region);
    }
    all(session);
    if session.wants(&[FRAMES]) {
        let case = Case::new(FRAMES, "nothing: the file of frames", Bound::AtMost(1.2));
        add(session, case, Unit::Bytes, bytes_of_a_frame);
    }
    if session.wants(&[SPARSE_PEAK]) {
        let case = Case::new(SPARSE_PEAK, NOTHING, MOST);
        add(session, case, Unit::Kibibytes, |session, case| {
            let memory = targets::sparse(100 * GIB, 262_144);
            let runs = each_into_a_lake(session, &[&memory.pid().to_string()])?;
            Ok((case, runs.iter().map(|run| run.peak).collect()))
        });
    }
    if session.wants(&[LIST]) {
        let case = Case::new(LIST, NOTHING, Bound::AtMost(1.0));
        add(session, case, Unit::Seconds, |session, case| {
            let lake = lake(session, &small())?;
            lakes::multiply(lake.path(), SNAPSHOTS)?;
            let runs = repeated(session, &["snapshots", text(lake.path())])?;
            Ok((case, runs.iter().map(|run| run.seconds).collect()))
        });
    }
    large(session);
}

/// Adds a row of amounts, or of the reason why there are none.
fn add(
    session: &mut Session,
    case: Case,
    unit: Unit,
    measure: impl FnOnce(&mut Session, Case) -> Result<(Case, Vec<f64>), String>,
) {
    let (name, against, bound) = case.parts();
    match measure(session, case) {
        Ok((case, amounts)) => session.add(case, Outcome::Amount(Spread::of(amounts), unit)),
        Err(why) => session.absent(Case::new(&name, against, bound), why),
    }
}

/// Process with little memory.
fn small() -> Memory {
    targets::dense(GIB >> 6)
}

/// Takes a snapshot of a process into a new lake.
fn lake(session: &Session, memory: &Memory) -> Result<TempDir, String> {
    let lake = TempDir::new().map_err(|error| error.to_string())?;
    let pid = memory.pid().to_string();
    command::run(
        &session.command,
        &["snapshot", &pid, "-o", text(lake.path())],
    )?;
    Ok(lake)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a temporary folder's name")
}

/// Runs the command once for each round.
fn repeated(session: &Session, arguments: &[&str]) -> Result<Vec<Run>, String> {
    (0..session.rounds)
        .map(|_| command::run(&session.command, arguments))
        .collect()
}

/// Takes a snapshot once for each round, each into a lake of its own.
fn each_into_a_lake(session: &Session, of: &[&str]) -> Result<Vec<Run>, String> {
    let take = |_| {
        let lake = TempDir::new().map_err(|error| error.to_string())?;
        let arguments = [&["snapshot"], of, &["-o", text(lake.path())]].concat();
        command::run(&session.command, &arguments)
    };
    (0..session.rounds).map(take).collect()
}

fn bytes_of_a_region(session: &mut Session, case: Case) -> Result<(Case, Vec<f64>), String> {
    let (_, memory) = most_fragmented(session);
    let lake = lake(session, &memory)?;
    let row = lakes::newest(lake.path())?.row().clone();
    let bytes =
        lakes::bytes(lake.path(), Table::Regions)? + lakes::bytes(lake.path(), Table::Mappings)?;
    let (regions, mappings) = (row.head.regions_rows, row.head.mappings_rows);
    let csv: PathBuf = lake.path().join("regions.csv");
    let pid = memory.pid().to_string();
    let arguments = ["physical", &pid, "--format", "csv", "-o", text(&csv)];
    command::run(&session.command, &arguments)?;
    let of_csv = fs::metadata(&csv).map_err(|error| error.to_string())?.len();
    let case = case
        .note(format!("{regions} regions of {mappings} mappings"))
        .note(format!("CSV: {:.0} B", of_csv as f64 / regions as f64));
    Ok((case, vec![bytes as f64 / regions as f64]))
}

/// Snapshots of all processes, beside a pass that reads the same.
fn all(session: &mut Session) {
    if !session.wants(&[ALL, ALL_PEAK, SUMMARY_ALL]) {
        return;
    }
    let count = super::processes::COUNT;
    let size = (session.resident_gib * GIB / count).next_multiple_of(page());
    let _targets: Vec<Memory> = (0..count).map(|_| targets::dense(size)).collect();
    let note = format!("{} GiB in all, and what else runs", session.resident_gib);
    let cost = Case::new(
        ALL,
        "the same walks and summaries, dropped",
        Bound::AtMost(1.5),
    )
    .note(&note);
    let peak = Case::new(ALL_PEAK, NOTHING, MOST).note(&note);
    let summary = Case::new(
        SUMMARY_ALL,
        "read of each smaps_rollup, which knows no frame",
        Bound::AtMost(2.5),
    )
    .note(&note);
    if session.wants(&[SUMMARY_ALL]) {
        match summaries(session) {
            Ok(pairs) => session.add_pairs(summary, pairs),
            Err(why) => session.absent(summary, why),
        }
    }
    if !session.wants(&[ALL, ALL_PEAK]) {
        return;
    }
    // Seconds of theirs, and our run.
    let measure = || -> Result<Vec<(f64, Run)>, String> {
        let bench = std::env::current_exe().map_err(|error| error.to_string())?;
        // A run that is not counted: the first is slower.
        command::run(&bench, &["read"])?;
        let pair = |_| {
            let theirs = command::run(&bench, &["read"])?;
            let lake = TempDir::new().map_err(|error| error.to_string())?;
            let arguments = ["snapshot", "--all", "-o", text(lake.path())];
            let ours = command::run(&session.command, &arguments)?;
            Ok((theirs.seconds, ours))
        };
        (0..session.rounds).map(pair).collect()
    };
    match measure() {
        Ok(runs) => {
            let pairs = runs.iter().map(|(theirs, ours)| (*theirs, ours.seconds));
            session.add_pairs(cost, pairs.collect());
            let peaks = Spread::of(runs.iter().map(|(_, ours)| ours.peak));
            session.add(peak, Outcome::Amount(peaks, Unit::Kibibytes));
        }
        Err(why) => {
            session.absent(cost, &why);
            session.absent(peak, why);
        }
    }
}

/// Returns the seconds of reading all files of sums, and of the command.
fn summaries(session: &Session) -> Result<Vec<(f64, f64)>, String> {
    let read = || -> Result<f64, String> {
        let begun = Instant::now();
        for named in all_processes().map_err(|error| error.to_string())? {
            // A process may end meanwhile.
            let path = format!("/proc/{}/smaps_rollup", named.pid());
            black_box(fs::read(path).ok());
        }
        Ok(begun.elapsed().as_secs_f64())
    };
    let ours = || command::run(&session.command, &["summary", "--all"]);
    // Runs that are not counted: the first are slower.
    read()?;
    ours()?;
    (0..session.rounds)
        .map(|_| Ok((read()?, ours()?.seconds)))
        .collect()
}

/// Stores the frames of the machine with 1 GiB of a process, and what else runs.
fn bytes_of_a_frame(session: &mut Session, case: Case) -> Result<(Case, Vec<f64>), String> {
    let _memory = targets::dense(GIB);
    let lake = TempDir::new().map_err(|error| error.to_string())?;
    let arguments = ["snapshot", "--frames", "-o", text(lake.path())];
    let run = command::run(&session.command, &arguments)?;
    let snapshot = lakes::newest(lake.path())?;
    let machine = snapshot.machine().map_err(|error| error.to_string())?;
    let census = machine.ok_or("a snapshot without frames")?.balance;
    let total = census.census().total();
    let unused = total[FrameUse::Free] + total[FrameUse::Unflagged];
    let in_use = total.frames() - unused;
    let bytes = lakes::bytes(lake.path(), Table::Frames)?;
    let case = case
        .note(format!("{in_use} frames in use of {}", total.frames()))
        .note(format!("the command took {:.2} s", run.seconds));
    Ok((case, vec![bytes as f64 / in_use as f64]))
}

/// Runs in the process that reads all processes and drops what it reads.
pub(crate) fn run_read() -> Result<ExitCode, String> {
    let map = PhysicalMap::read().map_err(|error| error.to_string())?;
    let settings = HugePageSettings::read(PageSize::base().pmd().bytes());
    let options = SummaryOptions::new(&map)
        .settings(&settings)
        .advice(AdviceReading::Never);
    for named in all_processes().map_err(|error| error.to_string())? {
        let Ok(process) = Process::open(named.pid()) else {
            continue;
        };
        let walk = process.walk(..).memory_types().page_sizes().nodes(&map);
        // A process may end meanwhile.
        let _ = walk.threads(0).for_each(|region| {
            black_box(region);
            ControlFlow::Continue(())
        });
        let _ = process.summary_with(&[AddrRange::ALL], &options, |step| {
            black_box(step);
            ControlFlow::Continue(())
        });
    }
    Ok(ExitCode::SUCCESS)
}

/// Questions about snapshots of ten million regions.
fn large(session: &mut Session) {
    if !session.wants(&[SUMMARY, DIFF, DIFF_PEAK]) {
        return;
    }
    let memory = small();
    let pid = memory.pid().to_string();
    let made = lake(session, &memory).and_then(|lake| {
        lakes::enlarge(lake.path(), REGIONS, None)?;
        let first = lakes::newest(lake.path())?.entry().id().to_string();
        lakes::enlarge(lake.path(), REGIONS, Some(MOVED))?;
        let second = lakes::newest(lake.path())?.entry().id().to_string();
        Ok((lake, [first, second]))
    });
    let case = Case::new(SUMMARY, NOTHING, Bound::AtMost(2.0));
    add(session, case, Unit::Seconds, |session, case| {
        let (lake, _) = made.as_ref().map_err(String::clone)?;
        let runs = repeated(session, &["summary", &pid, "--from", text(lake.path())])?;
        Ok((case, runs.iter().map(|run| run.seconds).collect()))
    });
    let compare = |session: &Session| {
        let (lake, ids) = made.as_ref().map_err(String::clone)?;
        let [first, second] = ids
            .each_ref()
            .map(|id| format!("{}@{id}", text(lake.path())));
        repeated(session, &["diff", &first, &second])
    };
    let runs = match session.wants(&[DIFF, DIFF_PEAK]) {
        true => compare(session),
        false => return,
    };
    let note = format!("every {MOVED}th region moved");
    let time = Case::new(DIFF, NOTHING, Bound::AtMost(5.0)).note(&note);
    let peak = Case::new(DIFF_PEAK, NOTHING, MOST).note(&note);
    let amounts = |of: fn(&Run) -> f64| match &runs {
        Ok(runs) => Ok(runs.iter().map(of).collect()),
        Err(why) => Err(why.clone()),
    };
    add(session, time, Unit::Seconds, |_, case| {
        Ok((case, amounts(|run| run.seconds)?))
    });
    add(session, peak, Unit::Kibibytes, |_, case| {
        Ok((case, amounts(|run| run.peak)?))
    });
}
