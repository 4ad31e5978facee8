//! Search for processes by name, or for all. Knows nothing of their memory.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use process_introspection_core::error::{Errno, Operation};
use process_introspection_core::{CoreError, Target};

use crate::error::Error;
use crate::process::mounts::Mounts;
use crate::process::{Process, UniquePid};
use crate::text_files::read_of;

/// Process that proc lists.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListedProcess {
    /// Its PID.
    pub pid: u32,
    /// Its unique PID, or the error why that is hidden (`hidepid` of proc).
    pub unique_pid: Result<UniquePid, Error>,
}

/// Process that a search by name found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NamedProcess {
    /// Identity of the process, also after its PID is used again.
    pub unique_pid: UniquePid,
    /// Command line of its start, the arguments separated by spaces; the bracketed name for
    /// a kernel thread and for a process that has ended.
    pub command_line: OsString,
}

impl NamedProcess {
    /// Returns the PID.
    pub fn pid(&self) -> u32 {
        self.unique_pid.pid()
    }
}

/// Returns the processes with exactly this name, in the order of their PIDs. The name is a
/// process's `comm` (the first 15 bytes of the program's file name unless it was changed),
/// or the last component of the path of its program or of its argument 0. Processes that
/// `/proc` hides from this caller are not found.
///
/// ```
/// let same = process_introspection::processes_named("no program has such a name")?;
/// assert!(same.is_empty());
/// # Ok::<(), process_introspection::Error>(())
/// ```
///
/// # Errors
/// [`Error::is_unsupported`] if there is no `/proc`, [`Error::is_permission_denied`] if its
/// PIDs are those of another PID namespace.
pub fn processes_named(name: impl AsRef<OsStr>) -> Result<Vec<NamedProcess>, Error> {
    Mounts::new().processes_named(name)
}

/// Returns all processes that `/proc` shows to this caller, including kernel threads and
/// ended processes, in the order of their PIDs.
///
/// ```
/// let all = process_introspection::all_processes()?;
/// assert!(all.iter().any(|process| process.pid() == std::process::id()));
/// # Ok::<(), process_introspection::Error>(())
/// ```
///
/// # Errors
/// As [`processes_named`].
pub fn all_processes() -> Result<Vec<NamedProcess>, Error> {
    Mounts::new().all_processes()
}

/// Returns the unique PIDs of all processes that `/proc` shows to this caller, as
/// [`all_processes`] finds them, in the order of PIDs. Nothing of their memory is read, not
/// even their command lines, so that no process can delay the call.
///
/// # Errors
/// As [`processes_named`].
pub fn all_pids() -> Result<Vec<UniquePid>, Error> {
    Mounts::new().all_pids()
}

impl Mounts {
    /// Returns the same as the function [`all_pids`], from this proc.
    ///
    /// # Errors
    /// As the function.
    pub fn all_pids(&self) -> Result<Vec<UniquePid>, Error> {
        let listed = self.listed_processes()?.into_iter();
        listed.map(|process| process.unique_pid).collect()
    }

    /// Returns all processes in this proc in the order of their PIDs, also those that
    /// cannot be opened: [`Mounts::process_info`] describes them. Kernel threads and ended
    /// processes are among them; they have no memory ([`Process::has_memory`]).
    ///
    /// # Errors
    /// As the function [`all_pids`].
    pub fn listed_processes(&self) -> Result<Vec<ListedProcess>, Error> {
        let listed = pids(self)?.into_iter().map(|pid| ListedProcess {
            pid,
            unique_pid: self.unique_pid(pid),
        });
        let is_gone =
            |process: &ListedProcess| process.unique_pid.as_ref().is_err_and(Error::is_gone);
        Ok(listed.filter(|process| !is_gone(process)).collect())
    }

    /// Returns the same as the function [`processes_named`], from this proc.
    ///
    /// # Errors
    /// As the function.
    pub fn processes_named(&self, name: impl AsRef<OsStr>) -> Result<Vec<NamedProcess>, Error> {
        let name = name.as_ref().as_bytes();
        processes_where(self, |dir| !name.is_empty() && has_name(dir, name))
    }

    /// Returns the same as the function [`all_processes`], from this proc.
    ///
    /// # Errors
    /// As the function.
    pub fn all_processes(&self) -> Result<Vec<NamedProcess>, Error> {
        processes_where(self, |_| true)
    }
}

impl Process {
    /// Returns the `comm`; empty if it cannot be read.
    pub(crate) fn comm(&self) -> OsString {
        let read = |file: &str| read_of(self.as_core(), file).unwrap_or_default();
        OsString::from_vec(comm(read))
    }

    /// Returns the command line of its start, see [`NamedProcess::command_line`]; empty if
    /// it has ended.
    pub fn command_line(&self) -> OsString {
        match command_line(|file| read_of(self.as_core(), file).unwrap_or_default()) {
            // There is no name, not even in brackets.
            nameless if nameless == "[]" => OsString::new(),
            line => line,
        }
    }
}

fn processes_where(
    mounts: &Mounts,
    is_meant: impl Fn(&Path) -> bool,
) -> Result<Vec<NamedProcess>, Error> {
    let mut found = Vec::new();
    for pid in pids(mounts)? {
        let dir = mounts.proc().join(pid.to_string());
        if !is_meant(&dir) {
            continue;
        }
        // Checked twice: the PID could belong to another process by now.
        match mounts.unique_pid(pid) {
            Ok(unique_pid) if is_meant(&dir) => found.push(NamedProcess {
                unique_pid,
                command_line: command_line(|file| read(&dir, file)),
            }),
            Ok(_) => {}
            Err(error) if error.is_gone() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// Returns the PIDs of all processes that are visible in a proc, ascending.
pub(crate) fn pids(mounts: &Mounts) -> Result<Vec<u32>, Error> {
    let proc = mounts.proc();
    let cannot = |errno| Error::new(CoreError::new(errno, Operation::FindProcess), None);
    if mounts.has_own_proc() {
        let this = fs::read_link(proc.join("self")).map_err(|_| cannot(Errno::ENOSYS))?;
        if this.as_os_str() != OsStr::new(&std::process::id().to_string()) {
            return Err(cannot(Errno::EPERM));
        }
    }
    let mut pids = Vec::new();
    for entry in fs::read_dir(proc).map_err(|_| cannot(Errno::ENOSYS))? {
        let Ok(entry) = entry else { break };
        let number = entry.file_name();
        pids.extend(number.to_str().and_then(|text| text.parse::<u32>().ok()));
    }
    pids.sort_unstable();
    Ok(pids)
}

/// Returns the contents of a file of a process; empty if it cannot be read.
fn read(dir: &Path, file: &str) -> Vec<u8> {
    fs::read(dir.join(file)).unwrap_or_default()
}

/// Returns whether a process has this name, by the rule of [`processes_named`]: it is the
/// `comm`, or the last component of the path of the executable, or of argument 0. Of what is
/// unknown the text is empty.
///
/// ```
/// use std::ffi::OsStr;
/// use process_introspection::is_process_name;
///
/// let [comm, executable] = ["postgres", "/usr/lib/postgresql/bin/postgres (deleted)"];
/// let is = |name: &str| {
///     let texts = [name, comm, executable, "checkpointer"].map(OsStr::new);
///     is_process_name(texts[0], texts[1], texts[2], texts[3])
/// };
/// assert!(is("postgres") && is("checkpointer"));
/// assert!(!is("bin") && !is(""));
/// ```
pub fn is_process_name(name: &OsStr, comm: &OsStr, executable: &OsStr, argument0: &OsStr) -> bool {
    let [name, comm, executable, argument0] =
        [name, comm, executable, argument0].map(OsStr::as_bytes);
    let executable = executable.strip_suffix(b" (deleted)").unwrap_or(executable);
    !name.is_empty()
        && (comm == name || last_component(executable) == name || last_component(argument0) == name)
}

fn has_name(dir: &Path, name: &[u8]) -> bool {
    let is = |comm: &[u8], executable: &[u8], argument0: &[u8]| {
        let [name, comm, executable, argument0] =
            [name, comm, executable, argument0].map(OsStr::from_bytes);
        is_process_name(name, comm, executable, argument0)
    };
    if is(&comm(|file| read(dir, file)), b"", b"") {
        return true;
    }
    let program = fs::read_link(dir.join("exe")).unwrap_or_default();
    if is(b"", program.as_os_str().as_bytes(), b"") {
        return true;
    }
    // Last, because a read of a process's memory can wait for its mmap lock.
    let arguments = read(dir, "cmdline");
    let mut arguments = arguments.split(|&byte| byte == 0);
    is(b"", b"", arguments.next().unwrap_or_default())
}

fn last_component(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or_default()
}

/// Returns the `comm` of a process whose files `read` returns.
fn comm(read: impl Fn(&str) -> Vec<u8>) -> Vec<u8> {
    let mut comm = read("comm");
    if comm.last() == Some(&b'\n') {
        comm.pop();
    }
    comm
}

fn command_line(read: impl Fn(&str) -> Vec<u8>) -> OsString {
    let mut line = read("cmdline");
    while line.last() == Some(&0) {
        line.pop();
    }
    if line.is_empty() {
        line = [b"[", &comm(read)[..], b"]"].concat();
    }
    for byte in &mut line {
        if *byte == 0 {
            *byte = b' ';
        }
    }
    OsString::from_vec(line)
}

impl From<&NamedProcess> for Target {
    fn from(process: &NamedProcess) -> Self {
        process.unique_pid.into()
    }
}
