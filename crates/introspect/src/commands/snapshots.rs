//! `introspect snapshots`: the snapshots of a lake, and whether their files are there.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use process_introspection_dataset::lake::{heads, Entry, Lake, LakeError, State};
use process_introspection_dataset::tables::snapshots::SnapshotHead;
use process_introspection_dataset::tables::Table;
use process_introspection_export::{Fields, Name, Record, SnapshotRecord, SnapshotState, Text};

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
            let opened = as_user(|| Ok(heads(entries)))?;
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
    head: Option<SnapshotHead>,
    state: SnapshotState,
    error: Option<String>,
}

impl<'a> Verified<'a> {
    fn new(entry: &'a Entry, opened: Result<(SnapshotHead, State), LakeError>) -> Self {
        let (head, state, error) = match opened {
            Ok((head, State::Complete)) => (Some(head), SnapshotState::Complete, None),
            Ok((head, State::Incomplete(why))) => {
                (Some(head), SnapshotState::Incomplete, Some(why))
            }
            Err(error) => (None, SnapshotState::Unreadable, Some(error.to_string())),
        };
        Self {
            entry,
            id: entry.id().to_string(),
            head,
            state,
            error,
        }
    }

    fn record(&self) -> SnapshotRecord<'_> {
        let (head, error) = (self.head.as_ref(), self.error.as_deref());
        record(self.entry, &self.id, head, self.state, error)
    }
}

fn record<'a>(
    entry: &'a Entry,
    id: &'a str,
    head: Option<&'a SnapshotHead>,
    state: SnapshotState,
    error: Option<&'a str>,
) -> SnapshotRecord<'a> {
    let unread = |head: &SnapshotHead| {
        head.unread_gone + head.unread_refused + head.unread_silent + head.unread_failed
    };
    SnapshotRecord {
        snapshot_id: id,
        taken_at: head.map_or_else(|| entry.id().time().into(), |head| head.taken_at),
        host: Name(entry.host()),
        state,
        error: error.map(Text),
        duration: head.map(|head| head.duration),
        kernel: head.map(|head| Text(&head.kernel)),
        processes: head.map(|head| head.processes_read),
        unread: head.map(unread),
        mappings: head.map(|head| head.mappings_rows),
        regions: head.map(|head| head.regions_rows),
        frames: head.and_then(|head| head.frames_rows),
        size: head.map(|head| {
            Table::ALL
                .into_iter()
                .filter_map(|one| head.bytes_of(one))
                .sum()
        }),
        all_processes: head.map(|head| head.all_processes),
        details: head.map(|head| head.details),
        redacted: head.map(|head| head.redacted),
    }
}
