//! The project's own tasks: `cargo xtask --help`. Continuous integration is a
//! list of these, so a person can run each of its steps alone.

mod bench;
mod browser;
mod dependencies;
mod edges;
mod fleet;
mod fuzz;
mod generate;
mod install;
mod metrics;
mod packages;
mod publish;
mod python;
mod readers;
mod run;
mod steps;
mod tiers;
mod vmtest;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's own tasks.
#[derive(Parser)]
#[command(name = "cargo xtask", version)]
#[command(after_help = "\
Tiers of checks:
  cargo xtask quick   while you work: format, lints, edges, unit tests, one guest
  .ci/run             the gate: all checks and tests, all guests
  cargo xtask deep    hours: storms, fuzzing, benchmark, all guests

Examples:
  cargo xtask quick
  cargo xtask deep fuzz --seconds 1200
  cargo xtask vmtest --only numa
  cargo xtask install --prefix /usr/local")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Check the formatting of all workspaces
    Fmt,
    /// Run clippy on all targets of all workspaces, warnings denied
    Clippy,
    /// Build the documentation, warnings denied
    Doc,
    /// Check which package and which module may import which
    Edges,
    /// Write the generated files in docs: schemas, FIELDS, MESSAGES, the table in KERNELS
    Generate,
    /// Compile the libraries with the oldest Rust that is promised (1.85)
    Msrv,
    /// Build with the oldest versions of dependencies that the manifests allow
    MinimalVersions,
    /// Check the dependencies' licences, sources, doubles and advisories (needs cargo-deny)
    Deny(dependencies::Arguments),
    /// Check the C library with C and C++ compilers and pkg-config
    C,
    /// Install library, header, command, man pages, completions and licences
    Install(install::Arguments),
    /// Build, check and try the Debian packages in a clean root (needs root and apt's archive)
    Packages(packages::Arguments),
    /// Build the crates as they would be published, without publishing them
    Publish,
    /// Measure against the bare kernel cost (needs root)
    Bench(bench::Arguments),
    /// Compare lakes as pandas, polars and DuckDB read them (needs python3-venv and pip's index)
    Readers,
    /// Build and test the package for Python (needs root, python3-venv and pip's index)
    Python(python::Arguments),
    /// Check metrics and rules with Prometheus and promtool (needs prometheus)
    Metrics,
    /// Ask engines about lakes of many hosts (needs root, python3-venv and pip's index)
    Fleet(fleet::Arguments),
    /// Test reports in Chromium (needs root, nodejs, npm, chromium and npm's registry)
    Browser,
    /// Run the tests on other kernels and architectures, in virtual machines
    Vmtest(vmtest::Arguments),
    /// Fuzz what parses, merges and takes arguments (needs cargo-fuzz)
    Fuzz(fuzz::Arguments),
    /// Check reported addresses in the RAM of a virtual machine, from outside
    Truth(vmtest::truth::Arguments),
    /// Run the quick checks and print the time of each (minutes)
    Quick,
    /// Run the long checks and print the time of each (hours)
    Deep(tiers::Deep),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().task {
        Task::Fmt => steps::fmt(),
        Task::Clippy => steps::clippy(),
        Task::Doc => steps::doc(),
        Task::Edges => edges::check(),
        Task::Generate => generate::generate(),
        Task::Msrv => steps::msrv(),
        Task::MinimalVersions => dependencies::minimal_versions(),
        Task::Deny(arguments) => dependencies::deny(&arguments),
        Task::C => steps::c(),
        Task::Install(arguments) => install::install(&arguments),
        Task::Packages(arguments) => packages::packages(&arguments),
        Task::Publish => publish::publish(),
        Task::Bench(arguments) => bench::bench(&arguments),
        Task::Readers => readers::readers(),
        Task::Python(arguments) => python::python(&arguments),
        Task::Metrics => metrics::metrics(),
        Task::Fleet(arguments) => fleet::fleet(&arguments),
        Task::Browser => browser::browser(),
        Task::Vmtest(arguments) => vmtest::vmtest(&arguments),
        Task::Fuzz(arguments) => fuzz::fuzz(&arguments),
        Task::Truth(arguments) => vmtest::truth::truth(&arguments),
        Task::Quick => tiers::quick(),
        Task::Deep(arguments) => tiers::deep(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}
