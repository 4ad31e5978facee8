//! `introspect snapshots`: the snapshots of a lake, and whether their files are there.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use process_introspection::with_user_rights;
use process_introspection_dataset::lake::{open_all, Entry, Lake, LakeError, Snapshot, State};
use process_introspection_dataset::tables::snapshots::SnapshotRow;
use process_introspection_export::{Fields, Name, Record, SnapshotRecord, SnapshotState, Text};

use crate::control::launch::WalkContext;
use crate::failure::{warn, Failure};
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
        let read = with_user_rights(|| Ok(Lake::open(&self.root).and_then(|lake| lake.entries())));
        let read = read.map_err(|error| Failure::io("read the lake", &error))?;
        let (mut entries, others) = read?;
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
            let opened = with_user_rights(|| Ok(open_all(entries)));
            let opened = opened.map_err(|error| Failure::io("read the lake", &error))?;
            for (entry, opened) in entries.iter().zip(opened) {
                let verified = Verified::new(entry, opened);
                wrong += u64::from(verified.state != SnapshotState::Complete);
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

/// Snapshot whose files were looked for.
struct Verified<'a> {
    entry: &'a Entry,
    id: String,
    /// `None` if it cannot be read.
    row: Option<SnapshotRow>,
    state: SnapshotState,
    error: Option<String>,
}

impl<'a> Verified<'a> {
    fn new(entry: &'a Entry, opened: Result<(Snapshot, State), LakeError>) -> Self {
        let (row, state, error) = match opened {
            Ok((snapshot, State::Complete)) => {
                (Some(snapshot.row().clone()), SnapshotState::Complete, None)
            }
            Ok((snapshot, State::Incomplete(why))) => {
                let row = snapshot.row().clone();
                (Some(row), SnapshotState::Incomplete, Some(why))
            }
            Err(error) => (None, SnapshotState::Unreadable, Some(error.to_string())),
        };
        Self {
            entry,
            id: entry.id().to_string(),
            row,
            state,
            error,
        }
    }

    fn record(&self) -> SnapshotRecord<'_> {
        let (row, error) = (self.row.as_ref(), self.error.as_deref());
        record(self.entry, &self.id, row, self.state, error)
    }
}

fn record<'a>(
    entry: &'a Entry,
    id: &'a str,
    row: Option<&'a SnapshotRow>,
    state: SnapshotState,
    error: Option<&'a str>,
) -> SnapshotRecord<'a> {
    let unread = |row: &SnapshotRow| {
        row.unread_gone + row.unread_refused + row.unread_silent + row.unread_failed
    };
    SnapshotRecord {
        snapshot_id: id,
        taken_at: row.map_or_else(|| entry.id().time().into(), |row| row.taken_at),
        host: Name(entry.host()),
        state,
        error: error.map(Text),
        duration: row.map(|row| row.duration),
        kernel: row.map(|row| Text(&row.kernel)),
        processes: row.map(|row| row.processes_read),
        unread: row.map(unread),
        mappings: row.map(|row| row.mappings_rows),
        regions: row.map(|row| row.regions_rows),
        size: row.map(|row| row.processes_bytes + row.mappings_bytes + row.regions_bytes),
        all_processes: row.map(|row| row.all_processes),
        details: row.map(|row| row.details),
        redacted: row.map(|row| row.redacted),
    }
}
