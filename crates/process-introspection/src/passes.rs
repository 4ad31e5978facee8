//! Passes over processes: their options, and one that has each process looked at by
//! the caller's own function. Must not know what that function does.

use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::time::Duration;

use crate::error::Error;
use crate::handover::crew::{self, Orders};
use crate::handover::Task;
use crate::process::mounts::Mounts;
use crate::process::{Process, UniquePid};

/// Options of a pass over processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassOptions {
    pub(crate) threads: usize,
    pub(crate) mounts: Mounts,
    pub(crate) deadline: Duration,
}

impl Default for PassOptions {
    fn default() -> Self {
        Self {
            threads: 0,
            mounts: Mounts::new(),
            deadline: Duration::from_secs(5),
        }
    }
}

impl PassOptions {
    /// The usual options: as many threads as help on this machine.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how many threads read processes; 0 means as many as help, and more than
    /// 64 are 64.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Sets how long a process may keep the pass waiting, by default 5 seconds: a
    /// process whose walk has not come further for so long counts as unread, with an
    /// error that [`Error::is_silent`], and the pass goes on. A process that takes long
    /// because it is large is read to its end. The thread that waits is left behind.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Sets the proc whose processes are read.
    #[must_use]
    pub fn mounts(mut self, mounts: &Mounts) -> Self {
        self.mounts = mounts.clone();
        self
    }

    /// Returns the orders of a crew that has so many `processes` to read.
    pub(crate) fn orders(&self, name: &'static str, processes: usize) -> Orders {
        Orders {
            name,
            threads: crew::size(self.threads).min(processes),
            deadline: self.deadline,
        }
    }
}

/// A process to look at.
struct Looking<R> {
    index: usize,
    process: UniquePid,
    result: PhantomData<fn() -> R>,
}

impl<R> Task for Looking<R> {
    type Key = usize;
    type Output = Result<R, Error>;

    fn key(&self) -> usize {
        self.index
    }

    fn weight(_: &Self::Output) -> usize {
        128
    }
}

/// Opens each of these processes and calls `look` with it, on a thread that is not
/// waited for if the process does not answer. `each` gets what `look` has returned, on
/// the calling thread, in the order of the processes, or the error why the process
/// could not be opened, or that it was silent for [`PassOptions::deadline`]; and `None`
/// about twenty times a second while nothing comes. It can break the pass off.
///
/// A walk of the process counts as an answer while it comes further:
/// [`Process::walk`], [`Process::summary_of`] and what is made of
/// them. Anything else that `look` does must take less than the deadline.
///
/// ```
/// use std::ops::ControlFlow;
/// use process_introspection::{all_pids, for_each_process, PassOptions, Process};
///
/// let mut mappings = Vec::new();
/// let count = |process: Process| process.virtual_regions(..).map(|regions| regions.count());
/// for_each_process(all_pids()?, &PassOptions::new(), count, |counted| {
///     mappings.extend(counted.into_iter().flatten().flatten());
///     ControlFlow::Continue(())
/// });
/// assert!(mappings.iter().any(|&count| count > 0));
/// # Ok::<(), process_introspection::Error>(())
/// ```
///
/// # Panics
/// When `look` panics.
pub fn for_each_process<R: Send + 'static>(
    processes: Vec<UniquePid>,
    options: &PassOptions,
    look: impl Fn(Process) -> R + Send + Sync + 'static,
    each: impl FnMut(Option<Result<R, Error>>) -> ControlFlow<()>,
) {
    let orders = options.orders("pass", processes.len());
    let pids: Vec<_> = processes.iter().map(|process| process.pid()).collect();
    let tasks = processes.into_iter().enumerate();
    let tasks = tasks.map(|(index, process)| Looking {
        index,
        process,
        result: PhantomData,
    });
    let mounts = options.mounts.clone();
    let work = move |task: Looking<R>, heartbeat: &_| {
        let process = mounts.process(task.process);
        let looked = process.map(|process| look(process.with_heartbeat(heartbeat)));
        (Some(looked), None)
    };
    let silent = |index: usize| Err(Error::silent(pids[index], options.deadline));
    // Whoever has broken the pass off knows it.
    let _ = crew::run(tasks, orders, work, silent, each);
}
