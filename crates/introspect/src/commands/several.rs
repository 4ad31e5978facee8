//! Lists of the memory of several processes, one behind the other, live or of a snapshot, in
//! constant memory. Must not know what is listed of a process.

use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use process_introspection::{
    stream_processes, Mounts, PageSize, Parts, PassEvent, PassOptions, Process, UniquePid,
};
use process_introspection_dataset::lake::Snapshot;
use process_introspection_dataset::tables::processes::ProcessRow;
use process_introspection_export::{Decimal, Layout, Name, ProcessIdentity};

use crate::commands::unread::Unread;
use crate::failure::{continue_unless, warn, Failure};
use crate::options::from::as_user;
use crate::options::output::OutputOptions;
use crate::output::remarks::Remarks;
use crate::output::sink::Sink;
use crate::source::{Nodes, Source};

/// Items of one part of a process's list.
const PART: usize = 1024;

/// Processes whose memory is listed; each with whether it has to exist and be readable.
#[derive(Debug)]
pub(crate) enum Several {
    /// Live processes.
    Live {
        mounts: Mounts,
        processes: Vec<(UniquePid, bool)>,
        /// How long one may keep the others waiting.
        deadline: Duration,
    },
    /// Processes of a snapshot.
    Stored {
        snapshot: Box<Snapshot>,
        rows: Vec<(ProcessRow, bool)>,
    },
}

/// Process of a list, as its records name it.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pid: u32,
    unique_pid: u64,
    command: Vec<u8>,
}

impl Identity {
    /// Returns the fields of records.
    pub(crate) fn fields(&self) -> ProcessIdentity<'_> {
        ProcessIdentity {
            pid: self.pid,
            unique_pid: Decimal(self.unique_pid),
            command: Name(&self.command),
        }
    }

    /// Returns the process of a source.
    pub(crate) fn of_source(source: &Source<'_>) -> Result<Self, Failure> {
        match source {
            Source::Live(process) => Self::of(process),
            Source::Stored(process) => Ok(Self::of_stored(process.row())),
        }
    }

    fn of(process: &Process) -> Result<Self, Failure> {
        let unique = process.unique_pid()?;
        Ok(Self {
            pid: unique.pid(),
            unique_pid: unique.as_i64() as u64,
            command: process.info()?.command.as_bytes().to_vec(),
        })
    }

    fn of_stored(row: &ProcessRow) -> Self {
        Self {
            pid: row.pid,
            unique_pid: row.unique_pid,
            command: row.name.0.clone(),
        }
    }
}

/// Writing side of a list.
pub(crate) trait Listing<T> {
    /// Returns the output.
    fn sink(&mut self) -> &mut Sink;

    /// Writes an item of a process.
    fn item(&mut self, process: &Identity, item: T) -> Result<(), Failure>;

    /// Writes what is left of a process whose items have all been written.
    fn end_of(&mut self, _process: &Identity) -> Result<(), Failure> {
        Ok(())
    }
}

/// Receiver of the items of one process; it breaks if nobody wants more.
pub(crate) type Give<'a, T> = dyn FnMut(T) -> ControlFlow<()> + 'a;

/// Part of the list of a process.
enum Part<T> {
    /// Begins the list.
    Process(Identity),
    Items(Vec<T>),
}

impl Several {
    /// Opens the output for records of this layout.
    pub(crate) fn open_sink(
        &self,
        options: &OutputOptions,
        layout: &Layout,
    ) -> Result<Sink, Failure> {
        match self {
            Self::Live { .. } => Sink::open_for_list(options, layout, None),
            Self::Stored { snapshot, .. } => {
                Sink::open_for_list(options, layout, Some(&**snapshot))
            }
        }
    }

    /// Returns the remarks about the list.
    pub(crate) fn remarks(&self, options: &OutputOptions) -> Result<Remarks, Failure> {
        match self {
            Self::Live { mounts, .. } => Remarks::of_several(Some(mounts), options),
            Self::Stored { .. } => Remarks::of_several(None, options),
        }
    }

    /// Returns the base page size.
    pub(crate) fn page_size(&self) -> Result<PageSize, Failure> {
        Ok(match self {
            Self::Live { .. } => PageSize::base(),
            Self::Stored { snapshot, .. } => snapshot.page_size()?,
        })
    }

    /// Returns the source of the nodes of their memory.
    pub(crate) fn nodes(&self) -> Result<Nodes, Failure> {
        match self {
            Self::Live { mounts, .. } => Nodes::of_machine(mounts),
            Self::Stored { snapshot, .. } => Ok(Nodes::Stored(snapshot.row().nodes)),
        }
    }

    /// Reads the items of each process with `read`, on a thread that is not waited for if a
    /// live process does not answer, and writes them. Warns of processes that were not read.
    pub(crate) fn list<T: Send + 'static>(
        &self,
        listing: &mut impl Listing<T>,
        read: impl Fn(&Source<'_>, &mut Give<'_, T>) -> Result<(), Failure> + Send + Sync + 'static,
    ) -> Result<Unread, Failure> {
        match self {
            Self::Live {
                mounts,
                processes,
                deadline,
            } => {
                // A walk starts threads of its own, and this thread writes.
                let options = PassOptions::new().threads(1).mounts(mounts);
                list_live(processes, &options.deadline(*deadline), listing, read)
            }
            Self::Stored { snapshot, rows } => list_stored(snapshot, rows, listing, read),
        }
    }
}

fn list_live<T: Send + 'static>(
    processes: &[(UniquePid, bool)],
    options: &PassOptions,
    listing: &mut impl Listing<T>,
    read: impl Fn(&Source<'_>, &mut Give<'_, T>) -> Result<(), Failure> + Send + Sync + 'static,
) -> Result<Unread, Failure> {
    let (mut current, mut is_in_part) = (None, false);
    let (mut unread, mut failed) = (Unread::default(), None);
    let look = move |process: Process, parts: &mut Parts<'_, Part<T>>| {
        if parts
            .give(Part::Process(Identity::of(&process)?))
            .is_break()
        {
            return Ok(());
        }
        let mut items = Vec::with_capacity(PART);
        read(&Source::Live(&process), &mut |item| {
            items.push(item);
            if items.len() < PART {
                return ControlFlow::Continue(());
            }
            let full = std::mem::replace(&mut items, Vec::with_capacity(PART));
            parts.give(Part::Items(full))
        })?;
        // If nobody wants it, nobody wants the rest.
        let _ = parts.give(Part::Items(items));
        Ok(())
    };
    let unique_pids = processes.iter().map(|&(unique, _)| unique).collect();
    listing.sink().passed_processes(0, processes.len());
    stream_processes(unique_pids, options, look, |event| {
        let handled = listing.sink().check().and_then(|()| match event {
            PassEvent::Waiting => Ok(()),
            PassEvent::Part { part, .. } => match (part, &current) {
                (Part::Process(process), _) => {
                    (current, is_in_part) = (Some(process), false);
                    Ok(())
                }
                (Part::Items(items), Some(process)) => {
                    is_in_part |= !items.is_empty();
                    let mut items = items.into_iter();
                    items.try_for_each(|item| listing.item(process, item))
                }
                (Part::Items(_), None) => unreachable!("a list begins with its process"),
            },
            PassEvent::End { index, result } => {
                listing.sink().passed_processes(index + 1, processes.len());
                if let Some(process) = current.take() {
                    listing.end_of(&process)?;
                }
                let is_in_part = std::mem::take(&mut is_in_part);
                match result.map_err(Failure::from).and_then(|read| read) {
                    Ok(()) => Ok(()),
                    // It is required.
                    Err(failure) if processes[index].1 => Err(failure),
                    Err(failure) if is_in_part => unread.add_part(failure),
                    Err(failure) => unread.add(failure),
                }
            }
        });
        continue_unless(&mut failed, handled)
    });
    failed.map_or(Ok(unread), Err)
}

fn list_stored<T>(
    snapshot: &Snapshot,
    rows: &[(ProcessRow, bool)],
    listing: &mut impl Listing<T>,
    read: impl Fn(&Source<'_>, &mut Give<'_, T>) -> Result<(), Failure>,
) -> Result<Unread, Failure> {
    let mut unread = Unread::default();
    for (index, (row, _)) in rows.iter().enumerate() {
        listing.sink().passed_processes(index, rows.len());
        listing.sink().check()?;
        if row.unread.is_some() {
            unread.add_stored(row);
            continue;
        }
        let identity = Identity::of_stored(row);
        let process = as_user(|| snapshot.open_process(row.clone()))?;
        let mut failed = None;
        read(&Source::Stored(&process), &mut |item| {
            let written = listing.sink().check();
            let written = written.and_then(|()| listing.item(&identity, item));
            continue_unless(&mut failed, written)
        })?;
        failed.map_or(Ok(()), Err)?;
        listing.end_of(&identity)?;
    }
    Ok(unread)
}

/// Warns of the processes that a complete list lacks.
pub(crate) fn warn_of(unread: &Unread) {
    unread.lines().iter().for_each(warn);
}
