//! Builds the C library, the command and the benchmark, and runs the benchmark.

use std::path::PathBuf;

use c_library::Library;

use crate::run::{cargo, root, run, target, Result};

/// Rows and rounds of the benchmark.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Measure only rows whose names contain this
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Number of measurements of each pair
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u64).range(1..))]
    rounds: u64,
    /// GiB used by the 200 processes of the rows that pass over all processes
    #[arg(long, value_name = "GIB", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=200))]
    resident: u64,
    /// Exit with an error if a row misses its target
    #[arg(long)]
    strict: bool,
    /// Write the results into docs/PERFORMANCE.md
    #[arg(long, conflicts_with = "only")]
    write: bool,
}

pub(crate) fn bench(arguments: &Arguments) -> Result<()> {
    let library = Library::build(&root(), &target())?;
    run(&mut cargo(&[
        "build",
        "--release",
        "--package",
        "introspect-cli",
    ]))?;
    // Programs for comparison are built once and kept in the target directory.
    let peers = target().join("peers");
    std::fs::create_dir_all(&peers).map_err(|error| format!("{}: {error}", peers.display()))?;
    let mut bench = cargo(&[
        "run",
        "--release",
        "--manifest-path",
        "bench/Cargo.toml",
        "--",
        "measure",
    ]);
    bench.env("CARGO_TARGET_DIR", directory());
    bench.arg("--library").arg(library.shared);
    bench
        .arg("--command")
        .arg(target().join("release/introspect"));
    bench.arg("--peers").arg(peers);
    bench.args(["--rounds", &arguments.rounds.to_string()]);
    bench.args(["--resident", &arguments.resident.to_string()]);
    if let Some(only) = &arguments.only {
        bench.args(["--only", only]);
    }
    if arguments.strict {
        bench.arg("--strict");
    }
    if arguments.write {
        bench.arg("--write").arg(root().join("docs/PERFORMANCE.md"));
    }
    run(&mut bench)
}

/// Target directory of the benchmark, which is a workspace of its own.
fn directory() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(_) => target(),
        None => root().join("bench/target"),
    }
}
