//! `introspect diff`: what changed in the memory of processes between two snapshots, or in
//! the memory of one from time to time.

mod live;

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use clap::{value_parser, Args, ValueHint};
use process_introspection_export::{ChangeRecord, FrameChangeRecord, Record};

use crate::commands::comparison::stored::Snapshots;
use crate::failure::{warn, Failure};
use crate::options::from::open_snapshot;
use crate::options::mounts::MountOptions;
use crate::options::output::OutputOptions;
use crate::options::pid::TargetText;
use crate::options::stats::StatsOption;
use crate::output::sink::Sink;
use crate::text::counted;

const USAGE: &str = "\
introspect diff [OPTIONS] <A> <B>
       introspect diff [OPTIONS] <PID> --every <TIME>";

const EXAMPLES: &str = "\
Examples:
  introspect diff lake@2026-11-25T18:00:00Z lake
  introspect diff lake@2026-11-25T18:00:00Z lake --pid postgres
  introspect diff lake@2026-11-25T18:00:00Z lake --frames
  introspect diff 1234 --every 2s
  introspect diff 1234 --every 1s --format jsonl | jq 'select(.moved > 0)'";

pub(crate) const MANUAL: &str = include_str!("../manual/diff.txt");

/// Exit status if something differs, with `--exit-code`.
const DIFFERENT: u8 = 1;

/// Show what changed in memory, the largest changes first
#[derive(Debug, Args)]
#[command(override_usage = USAGE, after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Snapshot, ROOT or ROOT@WHEN; with --every PID, unique PID or name
    #[arg(value_name = "A", value_hint = ValueHint::DirPath)]
    first: OsString,
    /// Snapshot with which it is compared
    #[arg(value_name = "B", value_hint = ValueHint::DirPath, required_unless_present = "every",
        conflicts_with = "every")]
    second: Option<OsString>,
    /// Compare a running process with itself, each TIME
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    every: Option<Duration>,
    /// Compare N times, not until the process ends
    // A second snapshot, which conflicts with `--every`, would stand for it.
    #[arg(long, value_name = "N", requires = "every", conflicts_with = "second",
        value_parser = value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Compare this process of the snapshots; repeatable
    #[arg(long, value_name = "PID", conflicts_with = "every", value_hint = ValueHint::Other)]
    pid: Vec<TargetText>,
    /// List the uses of frames that changed, in place of processes
    #[arg(long, conflicts_with_all = ["every", "pid"])]
    frames: bool,
    /// Snapshots of this host
    #[arg(long, value_name = "NAME", conflicts_with = "every", value_hint = ValueHint::Other)]
    host: Option<OsString>,
    /// Exit with 1 if anything differs, with 2 on an error
    #[arg(long)]
    exit_code: bool,
    #[command(flatten)]
    mounts: MountOptions,
    #[command(flatten)]
    pub(crate) stats: StatsOption,
    #[command(flatten)]
    output: OutputOptions,
}

impl Arguments {
    /// Refuses options that have no effect.
    pub(crate) fn check(&self) -> Result<(), clap::Error> {
        if self.every.is_none() && (self.mounts.is_present() || self.stats.is_present()) {
            return Err(clap::Error::raw(
                clap::error::ErrorKind::ArgumentConflict,
                "--procfs, --sysfs and --stats are for a running process: with --every",
            ));
        }
        Ok(())
    }

    /// Runs the subcommand and returns the exit status.
    pub(crate) fn run(&self) -> Result<u8, Failure> {
        match (self.compare(), self.exit_code) {
            (Ok(true), true) => Ok(DIFFERENT),
            (Ok(_), _) => Ok(0),
            (Err(failure), true) => Err(failure.with_result_status()),
            (Err(failure), false) => Err(failure),
        }
    }

    /// Compares, and returns whether anything differs.
    fn compare(&self) -> Result<bool, Failure> {
        let Some(every) = self.every else {
            let open = |text: &OsString| open_snapshot(Path::new(text), self.host.as_deref());
            let (first, second) = (&self.first, self.second.as_ref());
            let second = second.unwrap_or(first);
            let snapshots = Snapshots::new(open(first)?, open(second)?)?;
            let described = snapshots.second();
            if self.frames {
                let layout = &FrameChangeRecord::LAYOUT;
                let mut sink = Sink::open_for_processes(&self.output, layout, Some(described))?;
                let changes = snapshots.compare_frames(&sink, |_, _| {})?;
                sink.end_progress();
                changes.iter().try_for_each(|record| sink.write(record))?;
                sink.finish()?;
                return Ok(!changes.is_empty());
            }
            let layout = &ChangeRecord::LAYOUT;
            let mut sink = Sink::open_for_processes(&self.output, layout, Some(described))?;
            let (results, unread) = snapshots.compare(&self.pid, &sink)?;
            sink.end_progress();
            let is_different = results.differ();
            results.visit(|record| sink.write(record))?;
            if unread > 0 {
                warn(format_args!(
                    "{} not compared: not read in one of the snapshots",
                    counted(unread, "process was", "processes were")
                ));
            }
            sink.finish()?;
            return Ok(is_different);
        };
        let mounts = self.mounts.mounts()?;
        let process = TargetText::from(self.first.clone()).open(&mounts)?;
        process.require_frames()?;
        let layout = &ChangeRecord::LAYOUT;
        let mut sink = Sink::open_for_processes(&self.output, layout, Some(&process))?;
        let count = self.count.unwrap_or(u64::MAX);
        let is_different = live::watch(&process, every, count, &mut sink)?;
        sink.finish()?;
        Ok(is_different)
    }
}
