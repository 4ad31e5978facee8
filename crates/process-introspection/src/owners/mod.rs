//! Processes that map physical memory: one pass over all processes, for any number of
//! addresses. [`crate::PageUses`] reports what a page is used for.
//!
//! The threads of [`pass`] share the processes, and their results are handed over in
//! the order of PIDs. Page tables still contain the addresses of pages that processes
//! lost to memory errors ([`lost`]). [`search`] finds owners in regions of any source, also
//! stored ones, and what nobody maps. [`wanted`] contains the wanted frames and marks
//! those that were found; it does not know processes.

mod lost;
mod pass;
mod search;
mod wanted;

use std::ffi::{OsStr, OsString};
use std::ops::ControlFlow;
use std::sync::Arc;

use process_introspection_core::{PageSize, PhysAddr};

use crate::error::Error;
use crate::machine::range::PhysRange;
use crate::passes::PassOptions;
use crate::process::cgroup::Cgroup;
use crate::process::{find, Process, UniquePid};
use crate::walk::regions::PhysicalRegion;
use pass::Found;
pub use search::OwnerSearch;
pub use wanted::WantedFrames;

/// A process that a pass has reached.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PassedProcess {
    /// Its PID in the caller's PID namespace.
    pub pid: u32,
    /// Its unique PID; `None` if the process ended before it could be read.
    pub unique_pid: Option<UniquePid>,
    /// Its `comm`: the first 15 bytes of the name of its program, or the name that the
    /// process has set. Empty if it could not be read.
    pub command: OsString,
    /// Its cgroup; `None` if the kernel has none or it cannot be read.
    pub cgroup: Option<Cgroup>,
}

impl PassedProcess {
    /// Makes a process, such as one that was stored.
    pub fn new(pid: u32, unique_pid: Option<UniquePid>, command: impl Into<OsString>) -> Self {
        let command = command.into();
        Self {
            pid,
            unique_pid,
            command,
            cgroup: None,
        }
    }

    /// Returns the process with its cgroup.
    #[must_use]
    pub fn with_cgroup(self, cgroup: Option<Cgroup>) -> Self {
        Self { cgroup, ..self }
    }

    /// Returns a process of which only the PID is known.
    fn of(pid: u32) -> Self {
        Self::new(pid, None, OsString::new())
    }

    /// Returns its `comm`.
    pub fn command(&self) -> &OsStr {
        &self.command
    }
}

/// A process that maps some of the wanted memory.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Owner {
    /// The process.
    pub process: Arc<PassedProcess>,
    /// Addresses at which it maps the memory, and the mapping: the wanted part of a run
    /// of pages. Its backing has an address, unless it is poisoned.
    pub region: PhysicalRegion,
}

/// Event of a pass.
#[derive(Debug)]
#[non_exhaustive]
pub enum OwnerEvent {
    /// A process maps wanted memory. Processes come in the order of their PIDs, with
    /// the addresses of each in ascending order.
    Owner(Owner),
    /// A process had wanted memory, from this address on, until it lost it to a memory
    /// error: its page table still contains the address. These events come between the
    /// owners, in the same order. (Lost pages of files that can be read again, and of
    /// hugetlb, leave no address.)
    Lost(Owner, PhysAddr),
    /// A process could not be read, or not to its end: it is gone (no failure, but its
    /// mappings were not seen), access is refused, or it did not answer in time.
    Unread(Arc<PassedProcess>, Error),
    /// Progress of the pass, about twenty times a second, also if nothing is found.
    Progress {
        /// Number of processes that are done.
        done: usize,
        /// Number of processes at the start of the pass.
        of: usize,
    },
    /// Wanted memory that no process was found to map or to have lost, in whole pages,
    /// ascending. These events follow all processes. Their meaning depends on the
    /// coverage of the pass.
    Unmapped(PhysRange, Coverage),
}

/// Numbers of processes that a pass has read and has not read.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Coverage {
    /// Processes whose memory was walked to its end.
    pub read: usize,
    /// Kernel threads, and processes that had ended but were not yet waited for.
    pub without_memory: usize,
    /// Processes that ended, or executed another program, before they were read to the
    /// end.
    pub gone: usize,
    /// Processes to which access was refused.
    pub refused: usize,
    /// Processes that did not answer within the deadline.
    pub silent: usize,
    /// Processes that could not be read for another reason.
    pub failed: usize,
    /// Processes that started during the pass. They were not read.
    pub started: usize,
    /// True if the caller's PID namespace is the machine's first one; in another
    /// namespace only its own processes are visible.
    pub sees_all: bool,
}

impl Coverage {
    /// Returns true if every process was read.
    pub fn is_complete(&self) -> bool {
        self.gone + self.refused + self.silent + self.failed + self.started == 0 && self.sees_all
    }
}

/// Finds the processes that map physical memory: one pass over all processes that are
/// visible to the caller, for any number of ranges. Pages count as a whole. `each` is
/// called on the calling thread and can end the pass.
///
/// Memory use is a few hundred KiB for each thread, and one bit for each wanted page.
///
/// Every mapping is true when it is found. A page that moves during the pass can be
/// missed, or be found twice, and a process that starts during the pass is not read
/// ([`Coverage::started`]). [`crate::PageUses`] reports the kernel's own mapcounts.
///
/// ```
/// use std::ops::ControlFlow;
/// use process_introspection::{owners, OwnerEvent, PassOptions, PageSize, PhysRange, Process};
///
/// let value = Box::new(5);
/// let process = Process::current()?;
/// match process.physical_address(&raw const *value) {
///     Ok(Some(address)) => {
///         let mut found = false;
///         let page = PhysRange::page_of(address, PageSize::base());
///         owners(&[page], PassOptions::new(), |event| {
///             if let OwnerEvent::Owner(owner) = event {
///                 found |= owner.process.pid == std::process::id();
///             }
///             ControlFlow::Continue(())
///         })?;
///         assert!(found);
///     }
///     Ok(None) => {}
///     Err(error) => assert!(error.is_permission_denied(), "{error}"),
/// }
/// # Ok::<(), process_introspection::Error>(())
/// ```
///
/// # Errors
/// [`Error::is_frames_hidden`] if this caller cannot see PFNs;
/// [`Error::is_unsupported`] without `/proc`; [`Error::is_invalid_argument`] for more
/// than 2^27 pages (512 GiB of 4 KiB). A failure for one process is an
/// [`OwnerEvent::Unread`].
pub fn owners(
    ranges: &[PhysRange],
    options: PassOptions,
    mut each: impl FnMut(OwnerEvent) -> ControlFlow<()>,
) -> Result<Coverage, Error> {
    let page = PageSize::base();
    let mut search = OwnerSearch::new(ranges, page)?;
    Process::current()?.require_frames()?;
    let mounts = &options.mounts;
    let pids = find::pids(mounts)?;
    let mut coverage = Coverage {
        sees_all: mounts.sees_all(),
        ..Coverage::default()
    };
    let wanted = search.wanted().clone();
    let walked = pass::over(&pids, &wanted, &options, |event| {
        match &event {
            pass::Event::Found(Found::Maps(owner)) => {
                search.found(owner, owner.region.backing.address());
            }
            pass::Event::Found(Found::Lost(owner, address)) => search.found(owner, Some(*address)),
            pass::Event::Done(outcome) => outcome.count(&mut coverage),
            pass::Event::Progress { .. } => {}
        }
        match event {
            pass::Event::Found(Found::Maps(owner)) => each(OwnerEvent::Owner(owner)),
            pass::Event::Found(Found::Lost(owner, address)) => {
                each(OwnerEvent::Lost(owner, address))
            }
            pass::Event::Done(pass::Outcome::Unread(process, error)) => {
                each(OwnerEvent::Unread(process, error))
            }
            pass::Event::Done(_) => ControlFlow::Continue(()),
            pass::Event::Progress { done } => each(OwnerEvent::Progress {
                done,
                of: pids.len(),
            }),
        }
    });
    if walked.is_break() {
        return Ok(coverage);
    }
    let after = find::pids(mounts)?;
    let is_new = |pid: &&u32| pids.binary_search(pid).is_err();
    coverage.started = after.iter().filter(is_new).count();
    for range in search.unmapped() {
        if each(OwnerEvent::Unmapped(range, coverage)).is_break() {
            break;
        }
    }
    Ok(coverage)
}
