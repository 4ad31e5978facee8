//! Passes over processes: their options, and one that has each process looked at by
//! the caller's own function, which can hand over parts of its results. Must not know what
//! that function does.

use std::convert::Infallible;
use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::time::Duration;

use crate::error::Error;
use crate::handover::crew::{self, Orders};
use crate::handover::heartbeat::Heartbeat;
use crate::handover::place::InParts;
use crate::handover::{Task, MAX_WEIGHT};
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
}

/// A process to look at, by its index in the list.
struct Looking<T, R>(usize, PhantomData<fn() -> (T, R)>);

impl<T, R> Task for Looking<T, R> {
    type Key = (usize, u64);
    /// An event and its weight.
    type Output = (PassEvent<T, R>, usize);

    fn key(&self) -> (usize, u64) {
        (self.0, 0)
    }

    fn weight((_, weight): &Self::Output) -> usize {
        *weight
    }
}

impl<T, R> InParts for Looking<T, R> {
    fn following((index, part): (usize, u64)) -> (usize, u64) {
        (index, part + 1)
    }
}

/// Weight of the end of a process.
const END: usize = 128;

/// Maximum number of parts of a stream that wait for the caller, and one more for each
/// thread.
const MOST_PARTS: usize = 8;

/// Event of [`stream_processes`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PassEvent<T, R> {
    /// A part of the results of a process, in the order in which they were handed over.
    Part {
        /// Index of the process in the list.
        index: usize,
        /// The part.
        part: T,
    },
    /// End of a process. Each process has one, behind all of its parts.
    End {
        /// Index of the process in the list.
        index: usize,
        /// Result of the function, or the error why the process could not be opened, or
        /// that it was silent for [`PassOptions::deadline`]. Its parts are not complete
        /// then.
        result: Result<R, Error>,
    },
    /// Nothing has come for a twentieth of a second.
    Waiting,
}

/// Receiver of the parts of one process's results, see [`stream_processes`].
pub struct Parts<'a, T>(&'a mut dyn FnMut(Option<T>) -> ControlFlow<()>);

impl<T> Parts<'_, T> {
    /// Hands over a part, and waits until there is room for another one; this does not
    /// count as silence. It breaks if nobody wants the parts any more: the pass has ended,
    /// or the process was silent too long. The function should return soon then.
    pub fn give(&mut self, part: T) -> ControlFlow<()> {
        (self.0)(Some(part))
    }

    /// Breaks as [`Parts::give`], for a function that works long between two parts.
    pub fn check(&mut self) -> ControlFlow<()> {
        (self.0)(None)
    }
}

impl<T> std::fmt::Debug for Parts<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}

/// Opens each of these processes and calls `look` with it, on a thread that is not waited
/// for if the process does not answer. `look` hands over its results in parts while it
/// works, and `each` gets them on the calling thread, in the order of the processes.
/// Memory use is constant if that of a part is: eight parts wait at most, and one more for
/// each thread. `each` can break the pass off.
///
/// A walk of the process counts as an answer while it makes progress: [`Process::walk`],
/// [`Process::resident_regions`], [`Process::summary_of`] and what is made of them. Anything else that `look` does must
/// take less than the deadline, except for [`Parts::give`]. Parts that come after a process
/// was given up are dropped.
///
/// ```
/// use std::ops::ControlFlow;
/// use process_introspection::{all_pids, stream_processes, PassEvent, PassOptions};
///
/// let (mut mappings, mut ended) = (0, 0);
/// let processes = all_pids()?;
/// let count = processes.len();
/// stream_processes(
///     processes,
///     &PassOptions::new(),
///     |process, parts| {
///         for mapping in process.virtual_regions(..)? {
///             if parts.give(mapping?.range).is_break() {
///                 break;
///             }
///         }
///         Ok::<_, process_introspection::Error>(())
///     },
///     |event| {
///         match event {
///             PassEvent::Part { .. } => mappings += 1,
///             PassEvent::End { .. } => ended += 1,
///             PassEvent::Waiting => {}
///         }
///         ControlFlow::Continue(())
///     },
/// );
/// assert!(mappings > 0 && ended == count);
/// # Ok::<(), process_introspection::Error>(())
/// ```
///
/// # Panics
/// When `look` panics.
pub fn stream_processes<T: Send + 'static, R: Send + 'static>(
    processes: Vec<UniquePid>,
    options: &PassOptions,
    look: impl Fn(Process, &mut Parts<'_, T>) -> R + Send + Sync + 'static,
    each: impl FnMut(PassEvent<T, R>) -> ControlFlow<()>,
) {
    let pids: Vec<_> = processes.iter().map(|process| process.pid()).collect();
    let mounts = options.mounts.clone();
    let look = move |index: usize, heartbeat: &Heartbeat, parts: &mut Parts<'_, T>| {
        let process = mounts.process(processes[index])?;
        Ok(look(process.with_heartbeat(heartbeat), parts))
    };
    // Whoever has broken the pass off knows it.
    let _ = over("pass", MOST_PARTS, &pids, options, look, each);
}

/// Calls `look` with the index of each of these processes, on threads of this name, as
/// [`stream_processes`] does; `most` parts wait for the caller. An error is the result of
/// the process.
pub(crate) fn over<T: Send + 'static, R: Send + 'static>(
    name: &'static str,
    most: usize,
    pids: &[u32],
    options: &PassOptions,
    look: impl Fn(usize, &Heartbeat, &mut Parts<'_, T>) -> Result<R, Error> + Send + Sync + 'static,
    mut each: impl FnMut(PassEvent<T, R>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let orders = Orders {
        name,
        threads: crew::size(options.threads).min(pids.len()),
        deadline: options.deadline,
    };
    let tasks = (0..pids.len()).map(|index| Looking(index, PhantomData));
    let work = move |task: Looking<T, R>, heartbeat: &_, give: &mut crew::Give<'_, _>| {
        let index = task.0;
        let mut give = |part: Option<T>| {
            let event = |part| (PassEvent::Part { index, part }, MAX_WEIGHT / most);
            give(part.map(event))
        };
        let result = look(index, heartbeat, &mut Parts(&mut give));
        (PassEvent::End { index, result }, END)
    };
    let silent = |(index, _): (usize, _)| {
        let result = Err(Error::silent(pids[index], options.deadline));
        (PassEvent::End { index, result }, END)
    };
    crew::run(tasks, orders, work, silent, |event| {
        each(event.map_or(PassEvent::Waiting, |(event, _)| event))
    })
}

/// Opens each of these processes and calls `look` with it, as [`stream_processes`] does.
/// `each` gets what `look` has returned, on the calling thread, in the order of the
/// processes, or the error why the process could not be opened, or that it was silent for
/// [`PassOptions::deadline`]; and `None` about twenty times a second while nothing comes.
/// It can break the pass off.
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
    mut each: impl FnMut(Option<Result<R, Error>>) -> ControlFlow<()>,
) {
    let look = move |process, _: &mut Parts<'_, Infallible>| look(process);
    stream_processes(processes, options, look, |event| match event {
        PassEvent::Part { part, .. } => match part {},
        PassEvent::End { result, .. } => each(Some(result)),
        PassEvent::Waiting => each(None),
    });
}
