//! Handle of one process and its memory. These modules describe the process and its
//! mappings; they read no frames and walk no page map.

pub(crate) mod cgroup;
pub(crate) mod counters;
pub(crate) mod find;
pub(crate) mod info;
mod location;
pub(crate) mod mapping;
pub(crate) mod mounts;
pub(crate) mod object;
mod other_proc;
pub(crate) mod status;
pub(crate) mod user_rights;

use std::fmt;
use std::ops::RangeBounds;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::str::FromStr;

use process_introspection_core as core;
use process_introspection_core::descriptor::OwnedFd;
use process_introspection_core::memory::Memory;
use process_introspection_core::process::{unique_pid, Access};
use process_introspection_core::{physical, AddrRange, PageSize, PhysAddr, Target, VirtAddr};
use rustix::fs::OFlags;

use crate::error::Error;
use crate::handover::heartbeat::Heartbeat;
use crate::process::mounts::{directory, Mounts};
use crate::sys;

/// Handle of a target: one process and one memory.
///
/// Opening it determines the features of the kernel and the rights of this caller; the
/// handle keeps both and a few file descriptors. Threads can share it. After the target has
/// exited or executed another program every call fails with an error that
/// [`Error::is_gone`].
#[derive(Debug)]
pub struct Process {
    core: core::ProcessHandle,
    target: Option<Target>,
    mounts: Mounts,
    heartbeat: Heartbeat,
    skips_file_contents: bool,
}

impl Process {
    /// Opens a process by its PID in the caller's PID namespace (0 is the caller itself),
    /// by its [`UniquePid`], or by a [`Target`].
    ///
    /// ```
    /// use process_introspection::Process;
    ///
    /// let parent = Process::open(std::os::unix::process::parent_id())?;
    /// assert!(parent.virtual_regions(..)?.next().is_some());
    /// assert!(Process::open(u32::MAX).unwrap_err().is_gone());
    /// # Ok::<(), process_introspection::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::is_gone`] if there is no such process (the id of a thread is no PID),
    /// [`Error::is_permission_denied`] if access is refused or the process hidden,
    /// [`Error::is_unsupported`] if there is no `/proc`. Hidden PFNs are no error at this
    /// point.
    pub fn open(target: impl Into<Target>) -> Result<Self, Error> {
        let target = target.into();
        core::ProcessHandle::open(target, Access::Pages)
            .map(|core| Self::new(core, Some(target)))
            .map_err(|error| Error::new(error, Some(target)))
    }

    /// Opens the calling process.
    ///
    /// # Errors
    /// As [`Process::open`].
    pub fn current() -> Result<Self, Error> {
        Self::open(Target::Caller)
    }

    /// Opens the process that a pidfd refers to. The pidfd is not kept.
    ///
    /// # Errors
    /// As [`Process::open`], and an error of `EBADF` for another descriptor.
    pub fn from_pidfd(pidfd: BorrowedFd<'_>) -> Result<Self, Error> {
        core::ProcessHandle::from_pidfd(sys::borrowed(pidfd), Access::Pages)
            .map(|core| Self::new(core, None))
            .map_err(|error| Error::new(error, None))
    }

    /// Opens the process of a directory `PID` of any mounted proc file system, such as a
    /// host's within a container.
    ///
    /// ```
    /// use process_introspection::Process;
    ///
    /// let this = Process::from_proc_dir("/proc/self")?;
    /// assert!(this.virtual_regions(..)?.next().is_some());
    /// # Ok::<(), process_introspection::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Process::open`].
    pub fn from_proc_dir(path: impl AsRef<Path>) -> Result<Self, Error> {
        let dir = directory(path.as_ref(), OFlags::RDONLY)?;
        Self::of_directory(dir, None)
    }

    pub(crate) fn of_directory(dir: OwnedFd, target: Option<Target>) -> Result<Self, Error> {
        core::ProcessHandle::from_proc_dir(dir, Access::Pages)
            .map(|core| Self::new(core, target))
            .map_err(|error| Error::new(error, target))
    }

    /// Returns the handle with these mounts for files that are not the process's own.
    pub(crate) fn with_mounts(self, mounts: &Mounts) -> Result<Self, Error> {
        let core = match mounts.open_sysfs()? {
            Some(sysfs) => self.core.with_sysfs(sysfs),
            None => self.core,
        };
        Ok(Self {
            core,
            target: self.target,
            mounts: mounts.clone(),
            ..self
        })
    }

    /// Returns the handle with a heartbeat, which its walks ([`Process::walk`],
    /// [`Process::resident_regions`], [`Process::summary_of`]) raise while they make progress.
    #[must_use]
    pub(crate) fn with_heartbeat(self, heartbeat: &Heartbeat) -> Self {
        let heartbeat = heartbeat.clone();
        Self { heartbeat, ..self }
    }

    /// Returns the handle for walks that determine kinds without the contents of files:
    /// executables and shared libraries are [files](crate::MappingKind::File), and their zeroed memory
    /// is anonymous. For passes over many processes which do not report kinds.
    #[must_use]
    pub fn without_file_contents(self) -> Self {
        Self {
            skips_file_contents: true,
            ..self
        }
    }

    pub(crate) fn skips_file_contents(&self) -> bool {
        self.skips_file_contents
    }

    pub(crate) fn beat(&self) {
        self.heartbeat.beat();
    }

    /// Returns the mounts of proc and sysfs below which the process was opened.
    pub fn mounts(&self) -> &Mounts {
        &self.mounts
    }

    fn new(core: core::ProcessHandle, target: Option<Target>) -> Self {
        Self {
            core: core.keeping_images().leaving_servers_alone(),
            target,
            mounts: Mounts::new(),
            heartbeat: Heartbeat::new(),
            skips_file_contents: false,
        }
    }

    /// Returns the physical address of one byte; `None` if nothing is mapped there or the
    /// page is not resident.
    ///
    /// ```
    /// use process_introspection::Process;
    ///
    /// let value = 5;
    /// match Process::current()?.physical_address(&raw const value) {
    ///     Ok(address) => println!("{address:?}"),
    ///     Err(error) => assert!(error.is_frames_hidden()),
    /// }
    /// # Ok::<(), process_introspection::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Process::physical_regions`].
    pub fn physical_address(
        &self,
        address: impl Into<VirtAddr>,
    ) -> Result<Option<PhysAddr>, Error> {
        physical::address_of(&self.core, address.into().untagged())
            .map_err(|error| self.error(error))
    }

    /// Copies bytes of the process's memory.
    ///
    /// # Errors
    /// [`Error::is_not_mapped`] unless all of them are mapped and readable;
    /// [`Error::is_permission_denied`] without the right to attach to the process with
    /// ptrace.
    pub fn read_memory(
        &self,
        address: impl Into<VirtAddr>,
        buffer: &mut [u8],
    ) -> Result<(), Error> {
        Memory::open(&self.core)
            .and_then(|memory| memory.read(&self.core, address.into().untagged().as_u64(), buffer))
            .map_err(|error| self.error(error))
    }

    /// Returns the PID in the caller's PID namespace, or in the proc below which the
    /// process was opened ([`Process::mounts`]); `None` if it was opened by a pidfd or a
    /// directory.
    pub fn pid(&self) -> Option<u32> {
        Some(match self.target? {
            Target::Pid(pid) | Target::Unique { pid, .. } => pid,
            Target::Caller => std::process::id(),
        })
    }

    /// Returns the permanent identity, in the proc below which the process was opened.
    ///
    /// ```
    /// use process_introspection::{Process, UniquePid};
    ///
    /// let unique = Process::current()?.unique_pid()?;
    /// assert_eq!(unique, UniquePid::of(std::process::id())?);
    /// assert_eq!(Process::open(unique)?.unique_pid()?, unique);
    /// # Ok::<(), process_introspection::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::is_gone`] if the process has ended. An error of `EINVAL` if the process was
    /// opened by a pidfd or a directory.
    pub fn unique_pid(&self) -> Result<UniquePid, Error> {
        if let Some(Target::Unique { pid, mark }) = self.target {
            return Ok(UniquePid(i64::from(mark) << 32 | i64::from(pid)));
        }
        let pid = self.pid().ok_or_else(Error::argument)?;
        let unique = self.mounts.unique_pid(pid)?;
        // While this process exists, no other has its PID.
        self.core
            .check_same_memory()
            .map_err(|error| self.error(error))?;
        Ok(unique)
    }

    /// Returns whether the process has memory of its own. A kernel thread has none, nor
    /// does a process that has ended and was not yet waited for (a zombie): all their lists
    /// are empty.
    pub fn has_memory(&self) -> bool {
        self.core.has_memory()
    }

    /// Checks that this caller can see PFNs, as all walks of physical memory do before they
    /// begin.
    ///
    /// # Errors
    /// [`Error::is_frames_hidden`], [`Error::is_permission_denied`].
    pub fn require_frames(&self) -> Result<(), Error> {
        let frames = self.core.frames().map(|_| ());
        frames.map_err(|error| self.error(error))
    }

    /// Checks that this caller can read the page map, as walks of resident memory do
    /// before they begin.
    ///
    /// # Errors
    /// As [`Process::resident_regions`].
    pub fn require_page_map(&self) -> Result<(), Error> {
        self.core.check_pages().map_err(|error| self.error(error))
    }

    /// Returns whether this caller can read physical addresses.
    pub fn sees_frames(&self) -> bool {
        self.core.frames().is_ok()
    }

    /// Returns the base page size.
    pub fn page_size(&self) -> PageSize {
        self.core.page_size()
    }

    /// Returns the core's handle, for callers who need its cursors.
    pub fn as_core(&self) -> &core::ProcessHandle {
        &self.core
    }

    pub(crate) fn error(&self, error: core::CoreError) -> Error {
        self.mounts.error(error, self.target)
    }
}

/// Virtual addresses to walk: converts from every range of `u64`, and from [`AddrRange`].
///
/// ```
/// use process_introspection::{AddrRange, Process, VirtAddr};
///
/// let process = Process::current()?;
/// let local = 5;
/// let address = VirtAddr::from(&raw const local);
/// let mapping = process.virtual_regions(address.as_u64()..=address.as_u64())?.next();
/// let range: AddrRange = mapping.transpose()?.expect("the stack").range;
/// assert_eq!(process.virtual_regions(range)?.count(), 1);
/// # Ok::<(), process_introspection::Error>(())
/// ```
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Addresses(Option<AddrRange>);

impl<R: RangeBounds<u64>> From<R> for Addresses {
    fn from(range: R) -> Self {
        Self(AddrRange::from_bounds(range))
    }
}

impl Addresses {
    /// Returns the range; an error if it runs backwards.
    pub(crate) fn range(self) -> Result<AddrRange, Error> {
        self.0.ok_or_else(Error::argument)
    }
}

/// Permanent identity of a process: a number that no other process of this boot has had,
/// also after its PID is used again. Its low half is the PID.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UniquePid(i64);

impl UniquePid {
    /// Returns the unique PID of the process that has this PID now.
    ///
    /// # Errors
    /// [`Error::is_gone`] if there is none.
    pub fn of(pid: u32) -> Result<Self, Error> {
        unique_pid(pid)
            .map(Self)
            .map_err(|error| Error::new(error, Some(Target::Pid(pid))))
    }

    /// Returns the unique PID with this number, which [`Self::as_i64`] returned; `None` if
    /// no unique PID has it.
    pub fn from_i64(number: i64) -> Option<Self> {
        match Target::from_pid64(number) {
            Ok(Target::Unique { .. }) => Some(Self(number)),
            _ => None,
        }
    }

    /// Returns the number, as the C interface takes it.
    pub fn as_i64(self) -> i64 {
        self.0
    }

    /// Returns the PID.
    pub fn pid(self) -> u32 {
        self.0 as u32
    }
}

impl From<UniquePid> for Target {
    fn from(unique: UniquePid) -> Self {
        Self::Unique {
            pid: unique.pid(),
            mark: (unique.0 >> 32) as u32,
        }
    }
}

impl fmt::Display for UniquePid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for UniquePid {
    type Err = Error;

    /// Parses the number in decimal.
    fn from_str(text: &str) -> Result<Self, Error> {
        let number = text.parse::<i64>().map_err(|_| Error::argument())?;
        Self::from_i64(number).ok_or_else(Error::argument)
    }
}
