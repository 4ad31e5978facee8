//! `introspect report`: memory as one file of HTML, live or of a snapshot. Collects records
//! for the document, which is that of the crate `picture`.

mod groups;
mod live;
mod processes;
mod stored;
mod task;

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, ValueHint};

use crate::commands::comparison::stored::Snapshots;
use crate::failure::Failure;
use crate::options::from::{open_snapshot, FromOptions};
use crate::options::mounts::MountOptions;
use crate::options::output::OutputFile;
use crate::options::pid::TargetText;
use crate::options::processes::{only, DEADLINE};
use crate::options::stats::StatsOption;
use crate::output::destination::Destination;
use crate::output::place::Place;
use task::Task;

const USAGE: &str = "\
introspect report [OPTIONS] <PID>... -o <FILE>
       introspect report [OPTIONS] --all -o <FILE>
       introspect report [OPTIONS] --machine -o <FILE>
       introspect report [OPTIONS] --from <ROOT[@WHEN]> [PID]... -o <FILE>";

const EXAMPLES: &str = "\
Examples:
  introspect report --all -o report.html
  introspect report postgres -o postgres.html
  introspect report --machine -o machine.html
  introspect report --from lake -o then.html
  introspect report --from lake --against lake@2026-11-25T18:00:00Z -o changes.html";

pub(crate) const MANUAL: &str = include_str!("../manual/report.txt");

/// Write memory as one HTML file: map, processes, address spaces
#[derive(Debug, Args)]
#[command(override_usage = USAGE, after_help = EXAMPLES,
    mut_arg("from", |from| from.conflicts_with_all(["procfs", "sysfs", "deadline", "stats"])))]
pub(crate) struct Arguments {
    /// Processes: PID, unique PID, `self`, or exact name
    #[arg(value_name = "PID", required_unless_present_any = ["all", "machine", "from"],
        conflicts_with_all = ["all", "machine"])]
    pids: Vec<TargetText>,
    /// Report every process, the machine and the page cache
    #[arg(long, conflicts_with = "machine")]
    all: bool,
    /// Report the machine alone: no process is read
    #[arg(long)]
    machine: bool,
    /// Compare with an earlier snapshot
    #[arg(long, value_name = "ROOT@WHEN", value_hint = ValueHint::DirPath)]
    against: Option<PathBuf>,
    /// Give up a process or a file system without progress [default: 5s]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration,
        conflicts_with = "machine")]
    deadline: Option<Duration>,
    #[command(flatten)]
    from: FromOptions,
    #[command(flatten)]
    mounts: MountOptions,
    #[command(flatten)]
    pub(crate) stats: StatsOption,
    #[command(flatten)]
    output: OutputFile,
}

/// Processes of a report.
#[derive(Copy, Clone, Debug)]
enum Scope<'a> {
    All,
    Machine,
    Named(&'a [TargetText]),
}

impl Arguments {
    /// Returns the process that is named, if one is.
    pub(crate) fn target(&self) -> Option<&TargetText> {
        only(&self.pids)
    }

    /// Refuses options that have no effect.
    pub(crate) fn check(&self) -> Result<(), clap::Error> {
        self.from.check(&self.pids)?;
        // The option's own requirement is lost beside an option that excludes --from.
        if self.against.is_some() && !self.from.is_present() {
            let message =
                "--against compares two snapshots: --from ROOT[@WHEN] names the other, and \
                           introspect snapshot takes one now";
            let kind = ErrorKind::MissingRequiredArgument;
            return Err(clap::Error::raw(kind, message));
        }
        if self.machine && self.stats.is_present() {
            let message = "--stats is about processes, and --machine reads none";
            return Err(clap::Error::raw(ErrorKind::ArgumentConflict, message));
        }
        Ok(())
    }

    fn scope(&self) -> Scope<'_> {
        match (&self.pids[..], self.machine) {
            (_, true) => Scope::Machine,
            ([], false) => Scope::All,
            (named, false) => Scope::Named(named),
        }
    }

    /// Runs the subcommand.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let from = self.from.open()?;
        let against = self.against.as_deref();
        let against = against.map(|text| open_snapshot(text, self.from.host()));
        let place = Place::of(self.output.output.as_deref(), false);
        let opened = Destination::open(&place);
        let mut out = opened.map_err(|error| place.open(&error))?;
        if out.is_terminal() {
            return Err(Failure::Message(
                "a report is for a browser, not for a terminal: give -o FILE or a pipe".to_owned(),
            ));
        }
        let task = Task::new(out.interruption());
        let document = match (from, against.transpose()?) {
            (Some(snapshot), Some(before)) => {
                let snapshots = Snapshots::new(before, snapshot)?;
                stored::compare(self.scope(), &snapshots, &task)?
            }
            (Some(snapshot), None) => stored::collect(self.scope(), &snapshot, &task)?,
            (None, _) => {
                let mounts = self.mounts.mounts()?;
                let deadline = self.deadline.unwrap_or(DEADLINE);
                live::collect(self.scope(), &mounts, deadline, &task)?
            }
        };
        let written = out.write_all(&document.html()).and_then(|()| out.keep());
        written.map_err(|error| place.write(&error))
    }
}
