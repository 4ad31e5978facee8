//! Error of the library: opaque, with predicates, and a message that reports the failed
//! operation, the reason, and a remedy.

use std::fmt;
use std::time::Duration;

use process_introspection_core as core;
use process_introspection_core::error::{Errno, Operation};
use process_introspection_core::Target;

/// Error of a query or of an operation on a process.
///
/// Its predicates are for programs, its message is for people: both show what can be done
/// about the error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    error: core::CoreError,
    target: Option<Target>,
    /// True if the target's PID is that of another proc than the caller's `/proc`.
    in_other_proc: bool,
    /// Time without an answer.
    waited: Option<Duration>,
}

impl Error {
    pub(crate) fn new(error: core::CoreError, target: Option<Target>) -> Self {
        Self {
            error,
            target,
            in_other_proc: false,
            waited: None,
        }
    }

    /// Marks the error as about a process whose PID is that of another proc.
    pub(crate) fn in_other_proc(mut self) -> Self {
        self.in_other_proc = true;
        self
    }

    /// Returns the error of a walk of this process that made no progress for this long.
    pub fn silent(pid: u32, waited: Duration) -> Self {
        Self {
            waited: Some(waited),
            target: Some(Target::Pid(pid)),
            ..Self::of(Errno::ETIMEDOUT, Operation::ReadProcess)
        }
    }

    /// Returns an error that is not about one process.
    fn of(errno: Errno, operation: Operation) -> Self {
        Self::new(core::CoreError::new(errno, operation), None)
    }

    pub(crate) fn argument() -> Self {
        Self::of(Errno::EINVAL, Operation::Argument)
    }

    /// Returns the error of a request for more page frames than there are marks for.
    pub(crate) fn too_many_frames() -> Self {
        Self::of(Errno::EINVAL, Operation::ReadPhysicalMap)
    }

    /// Returns the error of a caller to whom the kernel does not show where RAM is.
    pub(crate) fn hidden_ram() -> Self {
        Self::of(Errno::EPERM, Operation::ReadPhysicalMap)
    }

    /// Returns the error of opening a process's directory.
    pub(crate) fn of_open(error: &std::io::Error) -> Self {
        Self::of(errno_of_process(error), Operation::OpenProcess)
    }

    /// Returns the error of reading a file that is not a process's.
    pub(crate) fn of_io(error: &std::io::Error, operation: Operation) -> Self {
        let errno = match raw_errno(error) {
            Some(Errno::EACCES) => Errno::EPERM,
            Some(Errno::ENOENT | Errno::ENOTDIR) => Errno::ENOSYS,
            Some(other) => other,
            None => Errno::EIO,
        };
        Self::of(errno, operation)
    }

    /// Returns whether access to the process was refused, or the process is hidden, or this
    /// caller cannot see PFNs (then [`Error::is_frames_hidden`] too).
    pub fn is_permission_denied(&self) -> bool {
        self.error.errno() == Errno::EPERM
    }

    /// Returns whether this caller cannot see PFNs; it can still query the layout without
    /// addresses.
    pub fn is_frames_hidden(&self) -> bool {
        let checks = [Operation::CheckFrames, Operation::OpenOwnPagemap];
        self.is_permission_denied() && checks.contains(&self.error.operation())
    }

    /// Returns whether there is no such process, or its memory went away while it was read.
    pub fn is_gone(&self) -> bool {
        self.error.errno() == Errno::ESRCH
    }

    /// Returns whether nothing, or not all of the requested range, is mapped there.
    pub fn is_not_mapped(&self) -> bool {
        matches!(self.error.errno(), Errno::ENXIO | Errno::ESRVRFAULT)
    }

    /// Returns whether this kernel, or this container's `/proc`, lacks the feature.
    pub fn is_unsupported(&self) -> bool {
        self.error.errno() == Errno::ENOSYS
    }

    /// Returns whether the process did not answer in time.
    pub fn is_silent(&self) -> bool {
        self.waited.is_some()
    }

    /// Returns whether the arguments are invalid, such as a range that runs backwards.
    pub fn is_invalid_argument(&self) -> bool {
        self.error.errno() == Errno::EINVAL
    }

    /// Returns the error number of the contract, the one that the C interface returns.
    pub fn errno(&self) -> i32 {
        i32::from(self.error.errno().raw())
    }

    fn what(&self) -> &'static str {
        match self.error.operation() {
            Operation::Argument => "use these arguments",
            Operation::FindProcess | Operation::UsePidfd => "find the process",
            Operation::OwnProc => "use /proc",
            Operation::OpenProcess => "open the process's /proc directory",
            Operation::OpenMemory => "open the process's maps and pagemap",
            Operation::OpenOwnPagemap | Operation::CheckFrames => "see page frame numbers",
            Operation::ReadMaps => "enumerate the process's mappings",
            Operation::ReadPagemap => "read the process's page map",
            Operation::ReadObject => "find the object mapped there",
            Operation::ReadMemory => "read the process's memory",
            Operation::ReadPhysicalMap => "find out what is at which physical address",
            Operation::ReadFrames => "read the facts of page frames",
            Operation::StopProcess => "stop the process",
            Operation::ListProcesses => "list processes or threads",
            Operation::ReadStatus => "read the status",
            Operation::ReadName => "read the name of the program",
            Operation::ReadRegisters => "read the registers",
            Operation::ReadProcess => "read the process",
            _ => "do this",
        }
    }

    /// Returns whether the process is the calling one, by any of its names.
    fn is_about_caller(&self) -> bool {
        match self.target {
            Some(Target::Caller) => true,
            Some(Target::Pid(pid) | Target::Unique { pid, .. }) => {
                !self.in_other_proc && pid == std::process::id()
            }
            None => false,
        }
    }

    fn why(&self) -> Option<&'static str> {
        use Operation as O;
        Some(match (self.error.errno(), self.error.operation()) {
            (Errno::EPERM, O::CheckFrames) => {
                "the kernel shows frame numbers only to CAP_SYS_ADMIN in the initial user namespace \
                 (run as root, or give the program that capability; root inside a user namespace or \
                 an unprivileged container is not enough)"
            }
            (Errno::EPERM, O::FindProcess) => {
                "the process is not visible in this /proc, which belongs to another PID namespace \
                 (mount a /proc of this namespace)"
            }
            (Errno::EPERM, O::OwnProc | O::OpenOwnPagemap) => NOT_DUMPABLE,
            (Errno::EPERM, O::OpenMemory | O::ReadMemory) if self.is_about_caller() => NOT_DUMPABLE,
            (Errno::EPERM | Errno::ENOSYS, O::UsePidfd) => {
                "a system call for pidfds is refused (by a seccomp filter, as in some containers, or \
                 because the kernel is older than Linux 5.3)"
            }
            (Errno::EPERM | Errno::ENOSYS, O::ReadMaps | O::ReadPagemap) => {
                "reading an open file is refused (by a seccomp filter or a security module)"
            }
            (Errno::EPERM, O::OpenProcess) => {
                "this /proc is mounted with hidepid and hides the process (be its owner, be in the \
                 mount's gid group, or have CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH)"
            }
            (Errno::EPERM, O::ReadMemory) => {
                "access is refused (it needs the right to attach with ptrace: same user and a \
                 kernel.yama.ptrace_scope that allows it, or CAP_SYS_PTRACE and, for another \
                 user's process, CAP_DAC_READ_SEARCH)"
            }
            (Errno::EPERM, O::ReadFrames) => {
                "/proc/kpageflags and /proc/kpagecount are root's alone (run as root, or with \
                 CAP_DAC_READ_SEARCH)"
            }
            (Errno::EPERM, O::ReadPhysicalMap) => {
                "/proc/iomem shows the addresses of RAM only to CAP_SYS_ADMIN in the initial user \
                 namespace (run as root, or give the program that capability)"
            }
            (Errno::EPERM, O::StopProcess) => {
                "it may not be signalled (that needs the same user, or CAP_KILL; the first process of \
                 the system is never stopped)"
            }
            (Errno::EPERM, O::ReadRegisters) => {
                "access is refused (it needs the right to attach with ptrace: same user and a \
                 kernel.yama.ptrace_scope that allows it, or CAP_SYS_PTRACE)"
            }
            (Errno::EBUSY, O::ReadRegisters) => "another process traces the thread",
            (Errno::ETIMEDOUT, O::ReadRegisters) => {
                "it did not stop within a second (it is in an uninterruptible wait, state D, or in \
                 vfork)"
            }
            (Errno::EOPNOTSUPP, O::ReadRegisters) => {
                "only registers of x86-64 and arm64 can be read, by a program of the same word size"
            }
            (Errno::EINVAL, O::ReadRegisters) => {
                "the process was opened below a /proc of another PID namespace"
            }
            (Errno::EDEADLK, O::StopProcess) => "it is the calling process itself",
            (Errno::EBUSY, O::StopProcess) => {
                "a tracer has it running, and would take the SIGSTOP for its own affair (stop it there)"
            }
            (Errno::ETIMEDOUT, O::StopProcess) => {
                "it did not come to a stand within two seconds, and runs on (a thread in an \
                 uninterruptible wait, state D, cannot be stopped)"
            }
            (Errno::EPERM, _) => {
                "access is refused (it needs the right to read the process with ptrace: same user \
                 and dumpable, or CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH)"
            }
            (Errno::ESRCH, O::StopProcess | O::ReadStatus | O::ReadName | O::ListProcesses) => {
                "it has ended"
            }
            (Errno::ESRCH, O::ReadRegisters) => "there is no such thread, or it has ended",
            (Errno::EINVAL, O::StopProcess) => {
                "it is in no PID namespace below the caller's"
            }
            (Errno::ESRCH, O::Argument | O::FindProcess | O::OpenProcess) => {
                "there is no such process (a thread's id is none; a unique PID ends with its process)"
            }
            (Errno::ESRCH, _) => {
                "its memory went away meanwhile: it exited or executed another program"
            }
            (Errno::ENXIO, _) => "no file or other object is mapped at that address",
            (Errno::ESRVRFAULT, _) => "not all of the range is mapped and readable",
            (Errno::ENOSYS, O::OpenMemory) => {
                "this kernel has no pagemap (CONFIG_PROC_PAGE_MONITOR is off)"
            }
            (Errno::ENOSYS, O::ReadFrames) => {
                "there is no /proc/kpageflags or /proc/kpagecount here (CONFIG_PROC_PAGE_MONITOR is \
                 off, or the container hides them)"
            }
            (Errno::ENOSYS, _) => "there is no /proc here that shows the calling process (mount one)",
            (Errno::EINVAL, O::Argument) => "the range's start is greater than its end",
            (Errno::EINVAL, O::ReadPhysicalMap) => {
                "more than 2^27 pages are asked for at once (ask for parts)"
            }
            (Errno::EMFILE, _) => "this process has too many open files (raise ulimit -n)",
            (Errno::ENFILE, _) => "the system has too many open files",
            (Errno::ENOMEM, _) => "the kernel is out of memory",
            (Errno::EBADF, _) => "the descriptor is not a pidfd",
            _ => return None,
        })
    }
}

fn raw_errno(error: &std::io::Error) -> Option<Errno> {
    error.raw_os_error().map(|raw| Errno::from_raw(raw as u16))
}

/// Returns the error number of the contract for an error of a process's file or directory,
/// which is missing once the process has gone.
pub(crate) fn errno_of_process(error: &std::io::Error) -> Errno {
    match raw_errno(error) {
        Some(Errno::EACCES) => Errno::EPERM,
        Some(Errno::ENOENT) | None => Errno::ESRCH,
        Some(other) => other,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.target {
            Some(Target::Caller) => write!(f, "calling process: ")?,
            Some(Target::Pid(pid)) => write!(f, "process {pid}: ")?,
            Some(Target::Unique { pid, .. }) => write!(f, "process {pid}, by its unique PID: ")?,
            None => {}
        }
        write!(f, "cannot {}: ", self.what())?;
        if let Some(waited) = self.waited {
            return write!(f, "it did not answer within {waited:?}");
        }
        match self.why() {
            Some(why) => f.write_str(why),
            None => write!(f, "{}", std::io::Error::from_raw_os_error(self.errno())),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        let kind = std::io::Error::from_raw_os_error(error.errno()).kind();
        Self::new(kind, error)
    }
}

/// The files of a process that is not dumpable belong to root, its own too.
const NOT_DUMPABLE: &str = "the calling process may not open its own files there: it is not \
                            dumpable, because it changed its user or gained capabilities by its \
                            file (prctl PR_SET_DUMPABLE, or have CAP_DAC_READ_SEARCH)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_says_what_failed_why_and_what_helps() {
        let hidden = Error::new(
            core::CoreError::new(Errno::EPERM, Operation::CheckFrames),
            Some(Target::Pid(7)),
        );
        let text = hidden.to_string();
        assert!(
            text.starts_with("process 7: cannot see page frame numbers: "),
            "{text}"
        );
        assert!(text.contains("CAP_SYS_ADMIN"), "{text}");
        assert!(hidden.is_permission_denied() && hidden.is_frames_hidden() && !hidden.is_gone());
    }

    #[test]
    fn an_error_without_a_reason_of_ours_gives_the_systems() {
        let error = Error::of(Errno::EIO, Operation::ReadMaps);
        assert!(error.to_string().contains("os error 5"), "{error}");
        assert_eq!(
            std::io::Error::from(error)
                .to_string()
                .matches("os error 5")
                .count(),
            1
        );
    }
}
