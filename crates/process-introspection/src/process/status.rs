//! Status of a process and its threads, its children and its program, and lists of
//! processes: the core's, with owned names. Knows no memory.

use std::ffi::OsString;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStringExt;

use process_introspection_core::process::ProcessDirectory;
use process_introspection_core::processes::{each_child, each_process, ListedPid};
use process_introspection_core::program_name;
use process_introspection_core::registers::{self, Registers};
use process_introspection_core::status::process::ProcessStatus;
use process_introspection_core::status::thread::{ThreadStatus, Threads};
use process_introspection_core::{CoreError, Target};

use crate::error::Error;
use crate::process::{Process, UniquePid};

/// Thread of a process, by its ID.
///
/// ```
/// use process_introspection::Process;
///
/// let process = Process::current()?;
/// for thread in process.threads()? {
///     // A thread can end at any time.
///     if let Some(status) = thread.status()? {
///         println!("{}: {:?}, {:?} of CPU time", thread.tid(), status.state, status.cpu_time);
///     }
/// }
/// # Ok::<(), process_introspection::Error>(())
/// ```
#[derive(Copy, Clone, Debug)]
pub struct Thread<'process> {
    process: &'process Process,
    tid: u32,
}

impl Thread<'_> {
    /// Returns its ID, in the PID namespace of the proc that its process was opened in.
    pub fn tid(&self) -> u32 {
        self.tid
    }

    /// Reads its status; `None` if it has ended. What needs a right that this caller lacks
    /// is `None` there.
    ///
    /// # Errors
    /// [`Error::is_gone`] if the process has ended and was waited for.
    pub fn status(&self) -> Result<Option<ThreadStatus>, Error> {
        self.process
            .in_directory(|directory| Threads::open(directory)?.status_of(directory, self.tid))
    }

    /// Reads its registers in user mode. For that the thread is stopped for some
    /// microseconds, by a child of this process which attaches to it with ptrace. Some
    /// system calls in which it waits end with `EINTR`; nothing else remains of it.
    ///
    /// Works for threads of this process, too.
    ///
    /// ```
    /// use process_introspection::Process;
    ///
    /// let process = Process::current()?;
    /// for thread in process.threads()? {
    ///     match thread.registers() {
    ///         Ok(registers) => println!("{:#x}", registers.instruction_pointer()),
    ///         Err(error) => println!("{error}"),
    ///     }
    /// }
    /// # Ok::<(), process_introspection::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::is_permission_denied`] without the right to attach to the process with
    /// ptrace; [`Error::is_gone`] if the thread has ended. The [number](Error::errno) EBUSY if
    /// it is traced, ETIMEDOUT if it does not stop within a second, EOPNOTSUPP for another
    /// processor than x86-64 and arm64 and for programs of another word size, EINVAL if the
    /// process was opened in a proc of another PID namespace than this caller's.
    pub fn registers(&self) -> Result<Registers, Error> {
        self.process
            .in_directory(|directory| registers::read(directory, self.tid))
    }
}

impl Process {
    /// Returns the threads that have not ended, in ascending order of their IDs.
    ///
    /// # Errors
    /// [`Error::is_gone`] if the process has ended and was waited for.
    pub fn threads(&self) -> Result<Vec<Thread<'_>>, Error> {
        self.in_directory(|directory| {
            let threads = Threads::open(directory)?;
            let mut found = Vec::new();
            threads.each_id(|tid| found.push(tid))?;
            found.sort_unstable();
            found.dedup();
            directory.check_exists()?;
            Ok(found)
        })
        .map(|tids| tids.into_iter().map(|tid| self.thread(tid)).collect())
    }

    /// Returns the thread with this ID, which need not exist.
    pub fn thread(&self, tid: u32) -> Thread<'_> {
        Thread { process: self, tid }
    }

    /// Reads the status of the process.
    ///
    /// # Errors
    /// [`Error::is_gone`] if the process has ended and was waited for.
    pub fn status(&self) -> Result<ProcessStatus, Error> {
        self.in_directory(ProcessStatus::read)
    }

    /// Returns the path of the program, as [`program_of`].
    ///
    /// # Errors
    /// As the function.
    pub fn program(&self) -> Result<OsString, Error> {
        self.in_directory(program)
    }

    /// Returns the children, as [`children_of`].
    ///
    /// # Errors
    /// As the function.
    pub fn children(&self) -> Result<Vec<UniquePid>, Error> {
        self.in_directory(children)
    }

    fn in_directory<T>(
        &self,
        read: impl FnOnce(&ProcessDirectory) -> Result<T, CoreError>,
    ) -> Result<T, Error> {
        ProcessDirectory::of_handle(self.as_core())
            .and_then(|directory| read(&directory))
            .map_err(|error| self.error(error))
    }
}

/// Reads the status of a process, also of one that this caller may not open: facts that
/// need the right to read it are `None`.
///
/// ```
/// use process_introspection::status_of;
///
/// let status = status_of(std::process::id())?;
/// assert_eq!(status.parent, std::os::unix::process::parent_id());
/// assert!(!status.is_zombie() && status.threads >= 1);
/// # Ok::<(), process_introspection::Error>(())
/// ```
///
/// # Errors
/// [`Error::is_gone`] if there is no such process, [`Error::is_permission_denied`] if it is
/// hidden.
pub fn status_of(target: impl Into<Target>) -> Result<ProcessStatus, Error> {
    in_directory_of(target.into(), ProcessStatus::read)
}

/// Returns the path of the program that a process executes, with ` (deleted)` behind it if the
/// file was deleted; of a thread of the kernel and of a zombie, which have none, the `comm`,
/// which has no slash in front.
///
/// # Errors
/// As [`status_of`]; [`Error::is_permission_denied`] without the right to read the process
/// with ptrace, too.
pub fn program_of(target: impl Into<Target>) -> Result<OsString, Error> {
    in_directory_of(target.into(), program)
}

/// Returns the children of a process, in ascending order of PIDs, zombies included.
///
/// ```
/// use process_introspection::{children_of, UniquePid};
///
/// let children = children_of(std::os::unix::process::parent_id())?;
/// assert!(children.contains(&UniquePid::of(std::process::id())?));
/// # Ok::<(), process_introspection::Error>(())
/// ```
///
/// # Errors
/// As [`status_of`]; [`Error::is_permission_denied`] if `/proc` is of another PID namespace.
pub fn children_of(target: impl Into<Target>) -> Result<Vec<UniquePid>, Error> {
    in_directory_of(target.into(), children)
}

/// Returns the unique PIDs of all processes that `/proc` shows, in ascending order of PIDs, zombies
/// and threads of the kernel included. Reads nothing else of them: [`all_processes`](crate::all_processes)
/// also reads their command lines.
///
/// # Errors
/// [`Error::is_unsupported`] without `/proc`, [`Error::is_permission_denied`] if it is of
/// another PID namespace.
pub fn all_unique_pids() -> Result<Vec<UniquePid>, Error> {
    let mut found = Vec::new();
    each_process(|listed| push(&mut found, listed)).map_err(|error| Error::new(error, None))?;
    Ok(found)
}

fn in_directory_of<T>(
    target: Target,
    read: impl FnOnce(&ProcessDirectory) -> Result<T, CoreError>,
) -> Result<T, Error> {
    ProcessDirectory::open(target)
        .and_then(|directory| read(&directory))
        .map_err(|error| Error::new(error, Some(target)))
}

fn program(directory: &ProcessDirectory) -> Result<OsString, CoreError> {
    let mut buffer = [0; program_name::LONGEST];
    let len = program_name::read(directory, &mut buffer)?;
    Ok(OsString::from_vec(buffer[..len].to_vec()))
}

fn children(directory: &ProcessDirectory) -> Result<Vec<UniquePid>, CoreError> {
    let mut found = Vec::new();
    each_child(directory, |listed| push(&mut found, listed))?;
    Ok(found)
}

fn push(found: &mut Vec<UniquePid>, listed: ListedPid) -> Result<ControlFlow<()>, CoreError> {
    found.extend(listed.unique_pid()?.and_then(UniquePid::from_i64));
    Ok(ControlFlow::Continue(()))
}
