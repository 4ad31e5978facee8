//! Runs the tests on other kernels, machines and architectures, in virtual
//! machines: `cargo xtask vmtest`. Puts the parts together and shows how it
//! goes; which rows there are stands in `table` alone.

mod boot;
mod image;
mod kernels;
mod names;
mod own_modules;
mod packages;
mod persistent;
mod programs;
mod report;
mod schedule;
mod standard;
mod table;
pub(crate) mod truth;
mod usage;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use image::Image;
use packages::Unpacked;
use programs::Programs;
use report::Report;
use schedule::{Ready, Schedule};
use table::{Row, Work, ROWS};

use crate::run::{root, target, Result};

/// Which rows, and how.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  cargo xtask vmtest                      all rows, two guests at a time
  cargo xtask vmtest --list               the rows
  cargo xtask vmtest --only numa          rows whose names contain this
  cargo xtask vmtest --only amd64-6.1$    the row of exactly this name's end
  cargo xtask vmtest --only swap --program machines
                                          one test program of a row
  cargo xtask vmtest --again              a row that fails has a second attempt
  cargo xtask vmtest --build              only what takes time but once
  cargo xtask vmtest --write              the table into docs/KERNELS.md

Kernels come from Debian's archive by the mirrors that this machine's apt uses,
and are kept in vmtest/cache of the target directory, or in $VMTEST_CACHE.
Consoles of the guests are left in vmtest/consoles of the target directory.
Packages that are needed (Debian 12): qemu-system-x86 qemu-system-arm
qemu-system-misc gcc-{aarch64,riscv64,i686}-linux-gnu libc6-dev-{arm64,riscv64,i386}-cross
rustc-web rust-web-src xz-utils make gcc e2fsprogs.")]
pub(crate) struct Arguments {
    /// Only rows whose names contain this; a $ stands for the name's end
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// List the rows and do nothing
    #[arg(long)]
    list: bool,
    /// How many guests run at a time
    #[arg(long, value_name = "N", default_value_t = 2,
          value_parser = clap::value_parser!(u64).range(1..))]
    jobs: u64,
    #[command(flatten)]
    extent: Extent,
    /// Run a row that does not hold once more, and say so: what an emulator
    /// makes of a busy machine is not always the tests' fault
    #[arg(long)]
    again: bool,
    /// Fetch the kernels and build the programs, and run no row: the next run
    /// finds them there
    #[arg(long)]
    build: bool,
    /// Write the table into docs/KERNELS.md and do nothing else
    #[arg(long)]
    write: bool,
}

/// How much of the tests is run in each guest.
#[derive(Debug, Default, clap::Args)]
struct Extent {
    /// The sizes of the tests' largest targets are divided by this
    #[arg(long, value_name = "N", default_value_t = 16,
          value_parser = clap::value_parser!(u64).range(1..))]
    scale: u64,
    /// Only this test program, such as machines: a part of what a row is
    #[arg(long, value_name = "NAME")]
    program: Option<String>,
    /// Have the guests tell on their consoles how long each test took
    #[arg(long)]
    times: bool,
}

impl Extent {
    /// Whether `PROGRAM::TEST` is part of it.
    fn has(&self, test: &str) -> bool {
        let program = self.program.as_ref();
        program.is_none_or(|program| test.split("::").next() == Some(program))
    }
}

/// A row that has been run, or could not be.
struct Outcome {
    row: &'static Row,
    kernel: String,
    report: Report,
    took: Duration,
    /// The processor time of its emulator.
    used: Duration,
}

impl Outcome {
    fn holds(&self) -> bool {
        self.report.problems.is_empty()
    }
}

pub(crate) fn vmtest(arguments: &Arguments) -> Result<()> {
    if arguments.write {
        return write();
    }
    let mut rows: Vec<&Row> = ROWS.iter().collect();
    rows.retain(|row| is_chosen(row, &arguments.only));
    if arguments.extent.program.is_some() {
        rows.retain(|row| !matches!(row.work, Work::Truth { .. }));
    }
    if rows.is_empty() {
        return Err("no row has such a name; --list shows them".to_owned());
    }
    if arguments.list {
        for row in rows {
            let (arch, line) = (row.kernel.arch.debian(), row.kernel.line);
            println!("{:<19} {arch} {line}: {}", row.name, row.machine);
        }
        return Ok(());
    }
    let begun = Instant::now();
    let schedule = Schedule::new(&rows);
    if arguments.build {
        prepare_all(&rows, &schedule)?;
        println!("all is built, in {} s", begun.elapsed().as_secs());
        return Ok(());
    }
    let outcomes = Mutex::new(Vec::new());
    thread::scope(|scope| {
        // One waits for the network, another builds, and guests run as soon as
        // they have what they need.
        scope.spawn(|| fetch(&rows, &schedule));
        scope.spawn(|| build(&rows, &schedule));
        for _ in 0..arguments.jobs {
            scope.spawn(|| work(&schedule, arguments, &outcomes));
        }
    });
    let mut outcomes = outcomes.into_inner().unwrap_or_default();
    outcomes.sort_by_key(|outcome| rows.iter().position(|row| row.name == outcome.row.name));
    print(&outcomes, begun.elapsed())
}

fn is_chosen(row: &Row, only: &[String]) -> bool {
    let name = format!("{}$", row.name);
    only.is_empty() || only.iter().any(|part| name.contains(part.as_str()))
}

fn write() -> Result<()> {
    let path = root().join("docs/KERNELS.md");
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let document = fs::read_to_string(&path).map_err(failed)?;
    fs::write(&path, table::in_document(&document)?).map_err(failed)
}

pub(crate) fn directory() -> PathBuf {
    target().join("vmtest")
}

fn cache() -> PathBuf {
    env::var_os("VMTEST_CACHE").map_or(directory().join("cache"), PathBuf::from)
}

fn fetch(rows: &[&'static Row], schedule: &Schedule) {
    let cache = cache();
    let mut known = Vec::new();
    for row in rows {
        if known.contains(&row.kernel.packages) {
            continue;
        }
        known.push(row.kernel.packages);
        let kernel = packages::newest(&cache, &row.kernel);
        match &kernel {
            Ok(kernel) => eprintln!("vmtest: kernel {}", kernel.name),
            Err(why) => eprintln!("vmtest: {why}"),
        }
        let mut same = rows
            .iter()
            .filter(|it| it.kernel.packages == row.kernel.packages);
        if let (Ok(kernel), true) = (&kernel, same.any(|it| !it.own_modules.is_empty())) {
            // Judged when the row is run.
            if let Err(why) = packages::headers(&cache, kernel) {
                eprintln!("vmtest: {why}");
            }
        }
        schedule.kernel(row.kernel.packages, kernel);
    }
}

/// Builds for each architecture, first for the one that most rows need.
fn build(rows: &[&Row], schedule: &Schedule) {
    for arch in schedule::arches(rows) {
        eprintln!("vmtest: building for {}", arch.debian());
        let begun = Instant::now();
        let built = Programs::build(arch, &directory().join("build"));
        let seconds = begun.elapsed().as_secs();
        match &built {
            Ok(_) => eprintln!("vmtest: built for {} in {seconds} s", arch.debian()),
            Err(why) => eprintln!("vmtest: not built for {}: {why}", arch.debian()),
        }
        schedule.programs(arch, built);
    }
}

/// What the rows need, without running any. A kernel that cannot be had is
/// judged when its row is run.
fn prepare_all(rows: &[&'static Row], schedule: &Schedule) -> Result<()> {
    thread::scope(|scope| {
        scope.spawn(|| fetch(rows, schedule));
        scope.spawn(|| build(rows, schedule));
    });
    if rows
        .iter()
        .any(|row| matches!(row.work, Work::Truth { .. }))
    {
        programs::of_truth(&directory().join("build"))?;
    }
    match schedule.not_built()[..] {
        [] => Ok(()),
        ref failed => Err(failed.join("\n")),
    }
}

/// Runs rows until none is left.
fn work(schedule: &Schedule, arguments: &Arguments, outcomes: &Mutex<Vec<Outcome>>) {
    while let Some(ready) = schedule.next() {
        let row = ready.row;
        eprintln!("vmtest: {}: started", row.name);
        let begun = Instant::now();
        let (mut report, mut used) = attempt(&ready, &arguments.extent);
        let is_ready = ready.kernel.is_ok() && ready.programs.is_ok();
        if arguments.again && is_ready && !report.problems.is_empty() {
            let why = report.problems.join("; ");
            eprintln!("vmtest: {}: does not hold, once more: {why}", row.name);
            let console = directory().join(format!("consoles/{}.log", row.name));
            let _ = fs::rename(&console, console.with_extension("failed.log"));
            let (first, before) = (report, used);
            (report, used) = attempt(&ready, &arguments.extent);
            used += before;
            let said = first.problems.into_iter();
            let said = said.map(|why| format!("at the first of two attempts: {why}"));
            report.notes.extend(said);
        }
        let kernel = ready.kernel;
        let outcome = Outcome {
            row,
            kernel: kernel.map_or(String::new(), |kernel| kernel.name),
            report,
            took: begun.elapsed(),
            used,
        };
        let seconds = outcome.took.as_secs();
        match outcome.report.problems.first() {
            None => eprintln!("vmtest: {}: ok in {seconds} s", row.name),
            Some(why) => eprintln!("vmtest: {}: FAILED in {seconds} s: {why}", row.name),
        }
        if let Ok(mut outcomes) = outcomes.lock() {
            outcomes.push(outcome);
        }
        schedule.done();
    }
}

/// Runs a row and judges it; gives its emulator's processor time, too.
fn attempt(ready: &Ready, extent: &Extent) -> (Report, Duration) {
    let row = ready.row;
    let run = ready.kernel.as_ref().map_err(Clone::clone);
    let run = run.and_then(|kernel| {
        let (tests, first) = ready.programs.as_ref().map_err(Clone::clone)?;
        match row.work {
            Work::Truth { seconds, pages } => truth::row(kernel, seconds, pages),
            Work::AllTests | Work::TestsOfTheMachine | Work::NamedTests => {
                let image = prepare(row, kernel, tests, first)?;
                run_tests(row, kernel, &image, extent)
            }
        }
    });
    run.unwrap_or_else(|why| {
        let report = Report {
            problems: vec![why],
            ..Report::default()
        };
        (report, Duration::ZERO)
    })
}

/// Packs a row's initial root file system.
fn prepare(row: &Row, kernel: &Unpacked, tests: &Programs, first: &Programs) -> Result<PathBuf> {
    let mut image = tests.image(first, row)?;
    add_modules(&mut image, row, kernel)?;
    let images = directory().join("images");
    if row.persistent.is_some() {
        persistent::add_file_system(&mut image, &images)?;
    }
    fs::create_dir_all(&images).map_err(|error| format!("{}: {error}", images.display()))?;
    let path = images.join(row.name);
    image.write(&path)?;
    Ok(path)
}

/// Packs the modules that a row's guest loads.
fn add_modules(image: &mut Image, row: &Row, kernel: &Unpacked) -> Result<()> {
    let mut index = 0;
    let mut add = |name: &str, options: &str, bytes: &[u8]| {
        image.add(&format!("modules/{index:02}-{name}"), bytes);
        image.add(&format!("options/{index:02}"), options.as_bytes());
        index += 1;
    };
    for module in row.modules {
        let (module, options) = module.split_once(' ').unwrap_or((module, ""));
        let name = Path::new(module).file_name().unwrap_or_default();
        let bytes = module_bytes(&kernel.modules.join(module))?;
        add(&name.to_string_lossy(), options, &bytes);
    }
    for name in row.own_modules {
        let bytes = own_modules::build(name, kernel, &cache(), &directory().join("build"))?;
        add(&format!("{name}.ko"), "", &bytes);
    }
    Ok(())
}

/// A module, which newer packages hold compressed.
fn module_bytes(path: &Path) -> Result<Vec<u8>> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    if path.exists() {
        return fs::read(path).map_err(failed);
    }
    let compressed = path.with_extension("ko.xz");
    let xz = Command::new("xz").arg("-dc").arg(&compressed).output();
    let xz = xz.map_err(|error| format!("xz: {error}"))?;
    match xz.status.success() {
        true => Ok(xz.stdout),
        false => Err(format!("{}: not there", path.display())),
    }
}

/// Boots a row and judges it; once more if the kernel died before the tests
/// began.
fn run_tests(
    row: &Row,
    kernel: &Unpacked,
    image: &Path,
    extent: &Extent,
) -> Result<(Report, Duration)> {
    let consoles = directory().join("consoles");
    fs::create_dir_all(&consoles).map_err(|error| format!("{}: {error}", consoles.display()))?;
    let file = consoles.join(format!("{}.log", row.name));
    let mut ended = boot::run(row, &kernel.image, image, extent, &file)?;
    if !report::has_begun(&ended.console) {
        eprintln!("vmtest: {}: did not come up; once more", row.name);
        // For whoever wants to know why.
        let _ = fs::rename(&file, file.with_extension("first.log"));
        let before = ended.used;
        ended = boot::run(row, &kernel.image, image, extent, &file)?;
        ended.used += before;
    }
    let _ = fs::remove_file(image);
    let report = report::judge(&ended.console, row, kernel.release, extent);
    Ok((report, ended.used))
}

/// The table of rows and times; an error unless all rows hold.
fn print(outcomes: &[Outcome], took: Duration) -> Result<()> {
    println!(
        "\n{:<19} {:<10} {:>4} {:>7} {:>6} {:>6}  kernel",
        "row", "result", "ok", "skipped", "time", "CPU"
    );
    for outcome in outcomes {
        let result = match (outcome.holds(), outcome.row.is_bonus) {
            (true, _) => "ok",
            (false, true) => "no bonus",
            (false, false) => "FAILED",
        };
        let (ok, skipped) = (outcome.report.ok, outcome.report.skipped.len());
        let (name, seconds) = (outcome.row.name, outcome.took.as_secs());
        let (used, kernel) = (outcome.used.as_secs(), &outcome.kernel);
        println!(
            "{name:<19} {result:<10} {ok:>4} {skipped:>7} {seconds:>4} s {used:>4} s  {kernel}"
        );
    }
    println!();
    for outcome in outcomes {
        for note in &outcome.report.notes {
            println!("{}: {note}", outcome.row.name);
        }
        for (count, why) in outcome.report.reasons() {
            println!("{}: {count} skipped: {why}", outcome.row.name);
        }
    }
    for outcome in outcomes {
        for problem in &outcome.report.problems {
            println!("{}: {problem}", outcome.row.name);
        }
    }
    let consoles = directory().join("consoles");
    println!("\nconsoles: {}", consoles.display());
    let used: Duration = outcomes.iter().map(|outcome| outcome.used).sum();
    // Guests are children, too.
    let others = usage::of_children().saturating_sub(used);
    println!(
        "all in {} s; processor time: {} s for the guests, {} s for all else: most of it builds",
        took.as_secs(),
        used.as_secs(),
        others.as_secs()
    );
    let failed = outcomes
        .iter()
        .filter(|outcome| !outcome.holds() && !outcome.row.is_bonus)
        .count();
    let passed = outcomes.iter().filter(|outcome| outcome.holds()).count();
    println!("{passed} passed, {failed} failed");
    match failed {
        0 => Ok(()),
        _ => Err(format!("{failed} rows failed")),
    }
}
