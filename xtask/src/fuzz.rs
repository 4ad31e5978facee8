//! Fuzzing of each target for some time, from the inputs in `fuzz/corpus`. Knows nothing
//! of the targets' code.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::{cargo, root, run, target, Result};

/// Names of the targets in `fuzz/fuzz_targets`.
const TARGETS: [&str; 5] = [
    "maps_text",
    "page_runs",
    "arguments",
    "c_interface",
    "log_lines",
];

/// Targets and duration.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Fuzz only targets whose names contain this
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Duration of each target in seconds
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Reduce fuzz/corpus to the fewest inputs that reach as much code as all inputs
    #[arg(long)]
    keep: bool,
}

pub(crate) fn fuzz(arguments: &Arguments) -> Result<()> {
    run(cargo(&["fuzz", "--version"]).env("RUST_BACKTRACE", "0"))
        .map_err(|why| format!("cargo install cargo-fuzz --locked ({why})"))?;
    let only = arguments.only.as_deref().unwrap_or_default();
    let chosen: Vec<&str> = TARGETS
        .into_iter()
        .filter(|name| name.contains(only))
        .collect();
    if chosen.is_empty() {
        return Err(format!("no target's name contains {only}"));
    }
    for name in chosen {
        let corpus = Corpus::of(name);
        make(&corpus.found)?;
        make(&corpus.kept)?;
        let time = format!("-max_total_time={}", arguments.seconds);
        // New inputs go to the first directory. An input that takes ten seconds is an
        // error, and so is one that needs 2 GiB (libFuzzer's default).
        let options = ["-print_final_stats=1", "-timeout=10", "-max_len=4096"];
        run(fuzzer(name, &[&corpus.found, &corpus.kept])
            .arg(time)
            .args(options))?;
        if arguments.keep {
            corpus.keep(name)?;
        }
    }
    Ok(())
}

/// Returns a cargo that fuzzes. `RUSTC_BOOTSTRAP` makes the stable compiler accept the
/// unstable flags that cargo-fuzz uses.
fn fuzzer(name: &str, corpora: &[&Path]) -> Command {
    let mut command = cargo(&["fuzz", "run", "--fuzz-dir", "fuzz", name]);
    command.args(corpora).arg("--");
    command
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_TARGET_DIR", target().join("fuzz"));
    command
}

struct Corpus {
    /// Inputs that this machine has found.
    found: PathBuf,
    /// Inputs in the repository.
    kept: PathBuf,
}

impl Corpus {
    fn of(name: &str) -> Self {
        Self {
            found: target().join("fuzz/found").join(name),
            kept: root().join("fuzz/corpus").join(name),
        }
    }

    /// Replaces the kept inputs by the fewest that reach as much code as both.
    fn keep(&self, name: &str) -> Result<()> {
        let merged = self.found.with_extension("merged");
        let _ = std::fs::remove_dir_all(&merged);
        make(&merged)?;
        run(fuzzer(name, &[&merged, &self.kept, &self.found]).arg("-set_cover_merge=1"))?;
        let replace = || {
            std::fs::remove_dir_all(&self.kept)?;
            std::fs::create_dir(&self.kept)?;
            for input in std::fs::read_dir(&merged)? {
                let input = input?;
                std::fs::copy(input.path(), self.kept.join(input.file_name()))?;
            }
            std::fs::remove_dir_all(&merged)
        };
        replace().map_err(|error| format!("{}: {error}", self.kept.display()))
    }
}

fn make(directory: &Path) -> Result<()> {
    std::fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))
}
