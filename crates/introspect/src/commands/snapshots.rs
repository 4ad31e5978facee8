//! `introspect snapshots`: the snapshots of a lake, and whether their files are there.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use process_introspection_dataset::lake::{verify, Lake, LakeError, Verified};
use process_introspection_export::{Fields, Record, SnapshotRecord};

use crate::control::launch::WalkContext;
use crate::failure::{warn, Failure};
use crate::options::from::as_user;
use crate::options::output::OutputOptions;
use crate::options::sorting::SortOptions;
use crate::output::sink::Sink;
use crate::text::counted;

const EXAMPLES: &str = "\
Examples:
  introspect snapshots /var/lib/introspect
  introspect snapshots lake --host db-3
  introspect snapshots lake --sort size --top 10
  introspect snapshots lake --format jsonl | jq -r 'select(.details).snapshot_id'";

/// Number of snapshots that are opened at a time.
const PART: usize = 1024;

pub(crate) const MANUAL: &str = include_str!("manual/snapshots.txt");

/// List and verify the snapshots of a lake
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Folder of the lake
    #[arg(value_name = "ROOT", value_hint = ValueHint::DirPath)]
    root: PathBuf,
    /// List snapshots of this host
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
    #[command(flatten)]
    sorting: SortOptions,
    #[command(flatten)]
    output: OutputOptions,
}

impl Arguments {
    /// Refuses options that have no effect.
    pub(crate) fn check(&self) -> Result<(), clap::Error> {
        self.sorting.check(SnapshotRecord::FIELDS)
    }

    /// Runs the subcommand.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let (mut entries, others) = as_user(|| Lake::open(&self.root)?.entries())?;
        for path in others {
            warn(format_args!("{} is no snapshot, ignored", path.display()));
        }
        if let Some(host) = &self.host {
            entries.retain(|entry| entry.host() == host.as_bytes());
        }
        if entries.is_empty() {
            return Err(LakeError::Empty(self.root.clone()).into());
        }
        let context = WalkContext::default();
        let mut sink = Sink::open(&self.output, &SnapshotRecord::LAYOUT, None, &[], context)?;
        let (mut wrong, mut kept) = (0, Vec::new());
        for entries in entries.chunks(PART) {
            // Threads that are started there have these rights, too.
            for verified in as_user(|| Ok(verify(entries)))? {
                wrong += u64::from(!verified.is_complete());
                match self.sorting.is_present() {
                    true => kept.push(verified),
                    false => sink.write(&verified.record())?,
                }
            }
        }
        let mut records: Vec<_> = kept.iter().map(Verified::record).collect();
        self.sorting.arrange(&mut records)?;
        for record in &records {
            sink.write(record)?;
        }
        sink.finish()?;
        match wrong {
            0 => Ok(()),
            _ => Err(Failure::Message(format!(
                "{} not complete (copied in part, or changed)",
                counted(wrong, "snapshot is", "snapshots are")
            ))),
        }
    }
}
