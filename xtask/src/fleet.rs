//! Questions about lakes of many hosts: makes a lake from snapshots of this machine, and of guests
//! with other kernels if it is a large one, and has engines answer the questions of `sql` about it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::readers;
use crate::run::{cargo, root, run, target, Result};
use crate::vmtest::snapshots;

/// Versions of Spark and of what it depends on.
const SPARK: &str = "sql/tests/spark.txt";
/// Lake of the gate: 20 hosts, of which the last has what interrupted copies leave.
const SMALL: [&str; 11] = [
    "--hosts",
    "20",
    "--days",
    "2",
    "--snapshots",
    "2",
    "--regions",
    "2000",
    "--runs",
    "4000",
    "--interrupted",
];
/// Numbers of hosts of the large lakes.
const LARGE: [&str; 3] = ["10", "100", "1000"];
/// Snapshots of each of their hosts: two of 50,000 regions in the mean. One host in nine has
/// frames.
const LARGE_HOST: [&str; 9] = [
    "--days",
    "2",
    "--regions",
    "55800",
    "--frames-every",
    "9",
    "--runs",
    "200000",
    "--interrupted",
];

/// Which lakes, and which engines.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  cargo xtask fleet            20 hosts, DuckDB, compared with the command
  cargo xtask fleet --large    10, 100 and 1,000 hosts, DuckDB and Spark, compared with each other

Snapshots need root. Spark needs Java 17 (openjdk-17-jre-headless), guests what
`cargo xtask vmtest --help` lists.")]
pub(crate) struct Arguments {
    /// Lakes of 10, 100 and 1,000 hosts, on DuckDB and on Spark
    #[arg(long)]
    large: bool,
}

/// Makes lakes and runs the questions.
pub(crate) fn fleet(arguments: &Arguments) -> Result<()> {
    let folder = target().join("fleet");
    match fs::remove_dir_all(&folder) {
        Err(error) if folder.exists() => return Err(format!("{}: {error}", folder.display())),
        _ => {}
    }
    let [base, scratch] = ["base", "scratch"].map(|name| folder.join(name));
    fs::create_dir_all(&scratch).map_err(|error| error.to_string())?;
    let programs = Programs::build(arguments.large)?;
    let tests = root().join("sql/tests");
    if !arguments.large {
        let python = readers::install(&[readers::VERSIONS])?;
        // One with details and one without: columns of files differ.
        programs.snapshot(&base, &["--details"])?;
        programs.snapshot(&base, &[])?;
        let lake = folder.join("lake");
        programs.multiply(&base, &lake, &SMALL)?;
        let mut gate = Command::new(python);
        gate.arg(tests.join("gate.py")).arg(&lake);
        return run(gate.arg(&programs.introspect).arg(&scratch));
    }
    let python = readers::install(&[readers::VERSIONS, SPARK])?;
    programs.snapshot(&base, &["--every", "10s", "--count", "3"])?;
    snapshots::take(&base)?;
    for hosts in LARGE {
        let lake = folder.join(hosts);
        let mut options = vec!["--hosts", hosts];
        options.extend(LARGE_HOST);
        programs.multiply(&base, &lake, &options)?;
        let mut scale = Command::new(&python);
        run(scale.arg(tests.join("scale.py")).arg(&lake).arg(&scratch))?;
    }
    Ok(())
}

/// Built programs.
struct Programs {
    introspect: PathBuf,
    multiply: PathBuf,
}

impl Programs {
    fn build(release: bool) -> Result<Self> {
        // Of the whole workspace, so that packages have the features with which the tests need them.
        let arguments = ["build", "--workspace", "--bin", "introspect"];
        let mut build = cargo(&arguments);
        build.args(["--example", "multiply"]);
        if release {
            build.arg("--release");
        }
        run(&mut build)?;
        let profile = target().join(if release { "release" } else { "debug" });
        Ok(Self {
            introspect: profile.join("introspect"),
            multiply: profile.join("examples/multiply"),
        })
    }

    /// Stores all processes of this machine and its frames.
    fn snapshot(&self, lake: &Path, options: &[&str]) -> Result<()> {
        let mut snapshot = Command::new(&self.introspect);
        snapshot.args(["snapshot", "--all", "--frames"]);
        run(snapshot.args(options).arg("--output").arg(lake))
    }

    fn multiply(&self, base: &Path, lake: &Path, options: &[&str]) -> Result<()> {
        let mut multiply = Command::new(&self.multiply);
        run(multiply.arg(base).arg(lake).args(options))
    }
}
