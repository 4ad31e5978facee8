//! Runs the tests on other kernels, machines and architectures, in virtual
//! machines: `cargo xtask vmtest`. Puts the parts together and shows how it
//! goes; which rows there are stands in `table` alone.

mod boot;
mod image;
mod packages;
mod programs;
mod report;
mod table;
pub(crate) mod truth;
mod usage;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use packages::Unpacked;
use programs::Programs;
use report::Report;
use table::{Arch, Row, ROWS};

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
  cargo xtask vmtest --write              the table into docs/KERNELS.md

Kernels come from Debian's archive by the mirrors that this machine's apt uses,
and are kept in vmtest/cache of the target directory, or in $VMTEST_CACHE.
Consoles of the guests are left in vmtest/consoles of the target directory.
Packages that are needed (Debian 12): qemu-system-x86 qemu-system-arm
qemu-system-misc gcc-{aarch64,riscv64,i686}-linux-gnu libc6-dev-{arm64,riscv64,i386}-cross
rustc-web rust-web-src xz-utils.")]
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
    let rows: Vec<&Row> = ROWS
        .iter()
        .filter(|row| is_chosen(row, &arguments.only))
        .collect();
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
    let (kernels, programs) = thread::scope(|scope| {
        // One waits for the network, the other for the processors.
        let kernels = scope.spawn(|| kernels(&rows));
        let programs = programs(&rows);
        (kernels.join(), programs)
    });
    let kernels = kernels.map_err(|_| "fetching the kernels panicked")?;
    let built = usage::of_children();
    eprintln!(
        "vmtest: ready after {} s and {} s of processor time",
        begun.elapsed().as_secs(),
        built.as_secs()
    );
    let outcomes = run_all(&rows, &kernels, &programs, arguments);
    print(&outcomes, built, begun.elapsed())
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

/// The rows' kernels, by the names of their packages.
type Kernels = BTreeMap<table::Packages, Result<Unpacked>>;

fn kernels(rows: &[&'static Row]) -> Kernels {
    let cache = cache();
    let mut kernels = Kernels::new();
    for row in rows {
        kernels.entry(row.kernel.packages).or_insert_with(|| {
            let kernel = packages::newest(&cache, &row.kernel);
            match &kernel {
                Ok(kernel) => eprintln!("vmtest: kernel {}", kernel.name),
                Err(why) => eprintln!("vmtest: {why}"),
            }
            kernel
        });
    }
    kernels
}

fn programs(rows: &[&Row]) -> BTreeMap<Arch, Result<Programs>> {
    let arches = rows.iter().flat_map(|row| [row.programs, row.kernel.arch]);
    let arches: BTreeSet<Arch> = arches.collect();
    let build = |arch: Arch| {
        eprintln!("vmtest: building for {}", arch.debian());
        let begun = Instant::now();
        let built = Programs::build(arch, &directory().join("build"));
        let seconds = begun.elapsed().as_secs();
        match &built {
            Ok(_) => eprintln!("vmtest: built for {} in {seconds} s", arch.debian()),
            Err(why) => eprintln!("vmtest: not built for {}: {why}", arch.debian()),
        }
        (arch, built)
    };
    arches.into_iter().map(build).collect()
}

fn run_all(
    rows: &[&'static Row],
    kernels: &Kernels,
    programs: &BTreeMap<Arch, Result<Programs>>,
    arguments: &Arguments,
) -> Vec<Outcome> {
    let waiting = Mutex::new(rows.iter());
    let outcomes = Mutex::new(Vec::new());
    let work = || loop {
        let next = waiting.lock().ok().and_then(|mut rows| rows.next());
        let Some(&row) = next else {
            return;
        };
        eprintln!("vmtest: {}: started", row.name);
        let begun = Instant::now();
        let kernel = &kernels[row.kernel.packages];
        let run = kernel.as_ref().map_err(Clone::clone).and_then(|kernel| {
            let image = prepare(row, kernel, programs)?;
            run(row, kernel, &image, &arguments.extent)
        });
        let kernel = kernel.as_ref().map_or("", |kernel| &kernel.name).to_owned();
        let (report, used) = run.unwrap_or_else(|why| {
            let report = Report {
                problems: vec![why],
                ..Report::default()
            };
            (report, Duration::ZERO)
        });
        let outcome = Outcome {
            row,
            kernel,
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
    };
    thread::scope(|scope| {
        for _ in 0..arguments.jobs {
            scope.spawn(work);
        }
    });
    let mut outcomes = outcomes.into_inner().unwrap_or_default();
    outcomes.sort_by_key(|outcome| rows.iter().position(|row| row.name == outcome.row.name));
    outcomes
}

/// Packs a row's initial root file system.
fn prepare(
    row: &Row,
    kernel: &Unpacked,
    programs: &BTreeMap<Arch, Result<Programs>>,
) -> Result<PathBuf> {
    let of = |arch: Arch| programs[&arch].as_ref().map_err(Clone::clone);
    let mut image = of(row.programs)?.image(of(row.kernel.arch)?, row)?;
    for module in row.modules {
        let name = Path::new(module).file_name().unwrap_or_default();
        let name = format!("modules/{}", name.to_string_lossy());
        image.add(&name, &module_bytes(&kernel.modules.join(module))?);
    }
    let images = directory().join("images");
    fs::create_dir_all(&images).map_err(|error| format!("{}: {error}", images.display()))?;
    let path = images.join(row.name);
    image.write(&path)?;
    Ok(path)
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
fn run(row: &Row, kernel: &Unpacked, image: &Path, extent: &Extent) -> Result<(Report, Duration)> {
    let consoles = directory().join("consoles");
    fs::create_dir_all(&consoles).map_err(|error| format!("{}: {error}", consoles.display()))?;
    let file = consoles.join(format!("{}.log", row.name));
    let mut ended = boot::run(row, &kernel.image, image, extent, &file)?;
    if !report::has_begun(&ended.console) {
        eprintln!("vmtest: {}: did not come up; once more", row.name);
        let before = ended.used;
        ended = boot::run(row, &kernel.image, image, extent, &file)?;
        ended.used += before;
    }
    let _ = fs::remove_file(image);
    let report = report::judge(&ended.console, row, kernel.release, extent);
    Ok((report, ended.used))
}

/// The table of rows and times; an error unless all rows hold. `built`: the
/// processor time before the first guest.
fn print(outcomes: &[Outcome], built: Duration, took: Duration) -> Result<()> {
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
    println!(
        "all in {} s; processor time: {} s for what is built, {} s for the guests",
        took.as_secs(),
        built.as_secs(),
        used.as_secs()
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
