//! Ratios of our walks to the bare kernel cost and to alternatives, measured in
//! pairs in one run.
//!
//! `cargo xtask bench` runs it: it builds the C library first and passes its
//! path. Each case has target processes of its own; floor and ours run in turn,
//! several rounds, and the result is the median of the ratios with their spread.
//! Absolute times of a shared machine say little.

mod cases;
mod command;
mod cpus;
mod document;
mod floors;
mod lakes;
mod library;
mod machine;
mod measure;
mod ours;
mod peers;
mod report;
mod row;
mod session;
mod spread;
mod streaming;
mod targets;
mod trace;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use library::CLibrary;
use session::Session;

#[derive(Parser)]
#[command(name = "bench", about = "Run it by `cargo xtask bench`")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure and print
    Measure(Measure),
    /// Stream all records of a range; print the growth of memory in bytes
    #[command(hide = true)]
    Stream(streaming::Arguments),
    /// Query one address, between two calls of getppid, for strace
    #[command(hide = true)]
    Calls(trace::Arguments),
    /// Find the owners of all memory; print the peak of this process
    #[command(hide = true)]
    Pass,
    /// Read what a snapshot of all processes reads, and drop it
    #[command(hide = true)]
    Read,
}

#[derive(clap::Args)]
struct Measure {
    /// The C library's shared object
    #[arg(long)]
    library: PathBuf,
    /// The command, `introspect`
    #[arg(long)]
    command: PathBuf,
    /// Directory of the peer programs, which are built once
    #[arg(long)]
    peers: PathBuf,
    /// Run only rows whose names contain this text
    #[arg(long)]
    only: Option<String>,
    /// Number of measurements of each pair
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u64).range(1..))]
    rounds: u64,
    /// Memory in GiB of the 200 processes of the rows that read all processes
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=200))]
    resident: u64,
    /// Exit with an error if a target is missed
    #[arg(long)]
    strict: bool,
    /// Write the results between the markers of this file
    #[arg(long, conflicts_with = "only")]
    write: Option<PathBuf>,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Measure(arguments) => measure(&arguments),
        Command::Stream(arguments) => streaming::run(&arguments),
        Command::Calls(arguments) => trace::run(&arguments),
        Command::Pass => cases::processes::run_pass(),
        Command::Read => cases::snapshots::run_read(),
    };
    match result {
        Ok(code) => code,
        Err(why) => {
            eprintln!("bench: {why}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &Measure) -> Result<ExitCode, String> {
    // SAFETY: takes no memory.
    if unsafe { libc::geteuid() } != 0 {
        return Err("physical addresses need root".to_owned());
    }
    // Fail before minutes of measurements, not after them.
    if let Some(path) = &arguments.write {
        document::check(path)?;
    }
    let library = CLibrary::open(&arguments.library)?;
    let mut session = Session::new(
        library,
        arguments.library.clone(),
        arguments.command.clone(),
        arguments.peers.clone(),
        arguments.only.clone(),
        arguments.rounds as usize,
        arguments.resident,
    );
    let machine = machine::description();
    println!("{machine}\n");
    cases::run(&mut session);
    let rows = session.into_rows();
    if rows.is_empty() {
        return Err("no row has such a name".to_owned());
    }
    println!("\n{}", report::text(&rows));
    if let Some(path) = &arguments.write {
        let generated = report::markdown(&machine, arguments.rounds, &rows);
        document::write(path, &generated)?;
        println!("written to {}", path.display());
    }
    let missed = rows.iter().filter(|row| row.is_missed()).count();
    println!("{} rows, {missed} missed", rows.len());
    Ok(if arguments.strict && missed > 0 {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}
