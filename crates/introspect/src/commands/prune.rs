//! `introspect prune`: removal of old snapshots from a lake.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use clap::{ArgGroup, Args, ValueHint};
use process_introspection_dataset::lake::{Keep, Lake};
use process_introspection_export::Time;

use crate::failure::Failure;
use crate::options::from::as_user;
use crate::text::printable;

const USAGE: &str = "\
introspect prune <ROOT> --keep <N> [--dry-run]
       introspect prune <ROOT> --older-than <TIME> [--dry-run]";

const EXAMPLES: &str = "\
Examples:
  introspect prune /var/lib/introspect --keep 100
  introspect prune lake --older-than 30d --dry-run";

pub(crate) const MANUAL: &str = include_str!("manual/prune.txt");

/// Remove old snapshots from a lake
#[derive(Debug, Args)]
#[command(override_usage = USAGE, after_help = EXAMPLES)]
#[command(group = ArgGroup::new("kept").required(true).args(["keep", "older_than"]))]
pub(crate) struct Arguments {
    /// Folder of the lake
    #[arg(value_name = "ROOT", value_hint = ValueHint::DirPath)]
    root: PathBuf,
    /// Keep so many snapshots of each host, the newest
    #[arg(long, value_name = "N")]
    keep: Option<usize>,
    /// Remove what is older, such as 30d or 12h
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    older_than: Option<Duration>,
    /// List what would be removed
    #[arg(long)]
    dry_run: bool,
}

impl Arguments {
    /// Runs the subcommand.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let keep = match (self.keep, self.older_than) {
            (Some(count), _) => Keep::Newest(count),
            (None, age) => Keep::Younger(age.unwrap_or(Duration::MAX)),
        };
        let pruned = as_user(|| {
            let pruned = Lake::open(&self.root)?.prunable(keep, SystemTime::now())?;
            if !self.dry_run {
                pruned.remove()?;
            }
            Ok(pruned)
        })?;
        let mut out = io::stdout().lock();
        for entry in &pruned.snapshots {
            let (id, time) = (entry.id(), Time::from(entry.id().time()));
            let host = printable(OsStr::from_bytes(entry.host()));
            writeln!(out, "{id} {time} {host}").map_err(not_printed)?;
        }
        for path in &pruned.remains {
            writeln!(out, "{}", printable(path.as_os_str())).map_err(not_printed)?;
        }
        out.flush().map_err(not_printed)
    }
}

fn not_printed(error: io::Error) -> Failure {
    Failure::io("write to standard output", &error)
}
