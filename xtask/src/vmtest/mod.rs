//! Runs the tests on other kernels, machines and architectures, in virtual
//! machines: `cargo xtask vmtest`. Fetches, builds, runs and reports; the rows
//! are in `table` alone.

mod boot;
pub(crate) mod document;
mod image;
mod kernels;
mod machines;
mod names;
mod own_modules;
mod packages;
mod persistent;
mod programs;
mod report;
mod row;
pub(crate) mod snapshots;
mod standard;
mod table;
mod test_names;
pub(crate) mod truth;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use image::Image;
use kernels::{Arch, Packages};
use packages::Unpacked;
use programs::Programs;
use report::Report;
use row::{Row, Work};
use table::ROWS;

use crate::run::{target, Result};

/// Which rows, and how.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  cargo xtask vmtest                      all rows, two guests at a time
  cargo xtask vmtest --list               names of the rows
  cargo xtask vmtest --only numa          rows whose names contain this
  cargo xtask vmtest --only amd64-6.1$    rows whose names end in this
  cargo xtask vmtest --only swap --program machines
                                          one test program of a row
  cargo xtask vmtest --again              a second attempt for a row that fails
  cargo xtask vmtest --build              only fetch and build

Kernels come from Debian's archive through the mirrors of this machine's apt.
They are kept in vmtest/cache of the target directory, or in $VMTEST_CACHE.
Consoles of the guests are in vmtest/consoles of the target directory.
Debian 12 needs these packages: qemu-system-x86 qemu-system-arm
qemu-system-misc gcc-{aarch64,riscv64,i686}-linux-gnu libc6-dev-{arm64,riscv64,i386}-cross
rustc-web rust-web-src xz-utils make gcc e2fsprogs.")]
pub(crate) struct Arguments {
    /// Only rows whose names contain this; $ matches the end of the name
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// List the rows and do nothing
    #[arg(long)]
    list: bool,
    /// Maximum number of guests at a time
    #[arg(long, value_name = "N", default_value_t = 2,
          value_parser = clap::value_parser!(u64).range(1..))]
    jobs: u64,
    /// Only this test program, such as machines
    #[arg(long, value_name = "NAME")]
    program: Option<String>,
    /// Run a row that fails once more, and report both attempts: on a busy machine
    /// an emulator is not always fast enough for the tests
    #[arg(long)]
    again: bool,
    /// Fetch the kernels and build the programs for the next run; run no row
    #[arg(long)]
    build: bool,
}

/// Result of a row.
struct Outcome {
    row: &'static Row,
    kernel: String,
    report: Report,
    took: Duration,
}

impl Outcome {
    fn holds(&self) -> bool {
        self.report.problems.is_empty()
    }
}

/// Everything that rows need, or why it is not there.
struct Needed {
    kernels: BTreeMap<Packages, Result<Unpacked>>,
    programs: BTreeMap<Arch, Result<Programs>>,
}

pub(crate) fn vmtest(arguments: &Arguments) -> Result<()> {
    let mut rows: Vec<&Row> = ROWS.iter().collect();
    rows.retain(|row| is_chosen(row, &arguments.only));
    let program = arguments.program.as_deref();
    if program.is_some() {
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
    let needed = prepare_all(&rows, program);
    eprintln!("vmtest: prepared in {} s", begun.elapsed().as_secs());
    if arguments.build {
        // A kernel that cannot be fetched is reported when its row is run.
        let failed: Vec<_> = (needed.programs.into_values())
            .filter_map(Result::err)
            .collect();
        return match failed[..] {
            [] => Ok(()),
            _ => Err(failed.join("\n")),
        };
    }
    let waiting = Mutex::new(rows.clone().into_iter());
    let outcomes = Mutex::new(Vec::new());
    let next = || {
        waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .next()
    };
    thread::scope(|scope| {
        for _ in 0..arguments.jobs {
            scope.spawn(|| {
                while let Some(row) = next() {
                    let outcome = run_row(row, &needed, arguments);
                    let mut outcomes = outcomes.lock().unwrap_or_else(PoisonError::into_inner);
                    outcomes.push(outcome);
                }
            });
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

pub(crate) fn directory() -> PathBuf {
    target().join("vmtest")
}

fn cache() -> PathBuf {
    env::var_os("VMTEST_CACHE").map_or(directory().join("cache"), PathBuf::from)
}

/// Fetches kernels and builds programs, at the same time.
fn prepare_all(rows: &[&'static Row], program: Option<&str>) -> Needed {
    thread::scope(|scope| {
        let kernels = scope.spawn(|| fetch(rows));
        let programs = build(rows, program);
        let kernels = kernels.join().unwrap_or_default();
        Needed { kernels, programs }
    })
}

fn fetch(rows: &[&'static Row]) -> BTreeMap<Packages, Result<Unpacked>> {
    let cache = cache();
    let mut kernels = BTreeMap::new();
    for row in rows {
        let kernel = kernels
            .entry(row.kernel.packages)
            .or_insert_with(|| packages::newest(&cache, &row.kernel));
        let headers = match kernel {
            Ok(kernel) if !row.own_modules.is_empty() => {
                packages::headers(&cache, kernel).map(drop)
            }
            _ => Ok(()),
        };
        // The row reports it, too.
        if let Some(why) = kernel.as_ref().err().or(headers.as_ref().err()) {
            eprintln!("vmtest: {why}");
        }
    }
    kernels
}

/// Builds for each architecture.
fn build(rows: &[&'static Row], program: Option<&str>) -> BTreeMap<Arch, Result<Programs>> {
    let mut programs = BTreeMap::new();
    for arch in rows.iter().flat_map(|row| [row.programs, row.kernel.arch]) {
        programs.entry(arch).or_insert_with(|| {
            eprintln!("vmtest: building for {}", arch.debian());
            Programs::build(arch, rows, program, &directory().join("build"))
        });
    }
    if rows
        .iter()
        .any(|row| matches!(row.work, Work::Truth { .. }))
    {
        // Built here so that its row finds it in the build directory.
        if let Err(why) = programs::of_truth(&directory().join("build")) {
            programs.insert(Arch::Amd64, Err(why));
        }
    }
    programs
}

/// Runs a row and reports it, with a second attempt if that is wanted.
fn run_row(row: &'static Row, needed: &Needed, arguments: &Arguments) -> Outcome {
    eprintln!("vmtest: {}: started", row.name);
    let begun = Instant::now();
    let program = arguments.program.as_deref();
    let mut report = attempt(row, needed, program);
    if arguments.again && !report.problems.is_empty() {
        let why = report.problems.join("; ");
        eprintln!("vmtest: {}: failed, once more: {why}", row.name);
        let console = directory().join(format!("consoles/{}.log", row.name));
        let _ = fs::rename(&console, console.with_extension("failed.log"));
        let first = report.problems.into_iter();
        report = attempt(row, needed, program);
        report
            .notes
            .extend(first.map(|why| format!("first of two attempts: {why}")));
    }
    let kernel = needed.kernels[&row.kernel.packages].as_ref();
    let outcome = Outcome {
        row,
        kernel: kernel.map_or(String::new(), |kernel| kernel.name.clone()),
        report,
        took: begun.elapsed(),
    };
    let seconds = outcome.took.as_secs();
    match outcome.report.problems.first() {
        None => eprintln!("vmtest: {}: ok in {seconds} s", row.name),
        Some(why) => eprintln!("vmtest: {}: FAILED in {seconds} s: {why}", row.name),
    }
    outcome
}

fn attempt(row: &Row, needed: &Needed, program: Option<&str>) -> Report {
    let run = || {
        let kernel = needed.kernels[&row.kernel.packages]
            .as_ref()
            .map_err(Clone::clone)?;
        let [tests, first] = [row.programs, row.kernel.arch].map(|arch| &needed.programs[&arch]);
        match row.work {
            Work::Truth { seconds, pages } => truth::row(kernel, seconds, pages),
            Work::AllTests | Work::TestsOfTheMachine | Work::NamedTests => {
                let tests = tests.as_ref().map_err(Clone::clone)?;
                let first = first.as_ref().map_err(Clone::clone)?;
                let image = prepare(row, kernel, tests, first)?;
                run_tests(row, kernel, &image, program)
            }
        }
    };
    run().unwrap_or_else(|why| Report {
        problems: vec![why],
        ..Report::default()
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

/// The bytes of a kernel module, which newer packages contain compressed.
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
        false => Err(format!("no {}", path.display())),
    }
}

/// Boots a row and reports it.
fn run_tests(row: &Row, kernel: &Unpacked, image: &Path, program: Option<&str>) -> Result<Report> {
    let words = program.map_or(String::new(), |name| format!("vmtest.program={name}"));
    let console = console_of(row, kernel, image, &words, row.name)?;
    Ok(report::judge(&console, row, kernel.release, program))
}

/// Boots a guest, once more if the kernel died before the first program began; removes the image,
/// and returns the console, which is also in the file of this name.
fn console_of(
    row: &Row,
    kernel: &Unpacked,
    image: &Path,
    words: &str,
    name: &str,
) -> Result<String> {
    let consoles = directory().join("consoles");
    fs::create_dir_all(&consoles).map_err(|error| format!("{}: {error}", consoles.display()))?;
    let file = consoles.join(format!("{name}.log"));
    let mut console = boot::run(row, &kernel.image, image, words, &file)?;
    if !report::has_begun(&console) {
        eprintln!("vmtest: {}: did not come up; once more", row.name);
        let _ = fs::rename(&file, file.with_extension("first.log"));
        console = boot::run(row, &kernel.image, image, words, &file)?;
    }
    let _ = fs::remove_file(image);
    Ok(console)
}

/// Prints the table of results; an error unless all rows hold.
fn print(outcomes: &[Outcome], took: Duration) -> Result<()> {
    println!(
        "\n{:<19} {:<10} {:>4} {:>7} {:>6}  kernel",
        "row", "result", "ok", "skipped", "time"
    );
    for outcome in outcomes {
        let result = match (outcome.holds(), outcome.row.is_bonus) {
            (true, _) => "ok",
            (false, true) => "no bonus",
            (false, false) => "FAILED",
        };
        let (ok, skipped) = (outcome.report.ok, outcome.report.skipped.len());
        let (name, seconds) = (outcome.row.name, outcome.took.as_secs());
        let kernel = &outcome.kernel;
        println!("{name:<19} {result:<10} {ok:>4} {skipped:>7} {seconds:>4} s  {kernel}");
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
    println!("all rows in {} s", took.as_secs());
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
