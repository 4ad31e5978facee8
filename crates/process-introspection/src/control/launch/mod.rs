//! Starts a program in order to examine it: at its end, before its memory goes, or whenever
//! the caller wants. Knows nothing of the examination.

mod tracees;
mod tracer;

use std::fmt;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{channel, Receiver, Sender};
use std::thread;

use rustix::process::{getpgid, pidfd_open, pidfd_send_signal, Pid, PidfdFlags, Signal};

use crate::process::user_rights::keep_to_user_rights;
use crate::sys;

/// Program that was started in order to be examined.
///
/// ```
/// use std::process::Command;
/// use std::sync::mpsc::channel;
/// use process_introspection::{LaunchError, Moment, Process, Program};
///
/// let (send, moments) = channel();
/// let notify = move |moment| drop(send.send(moment));
/// let program = match Program::start_traced(Command::new("true"), || (), notify) {
///     Ok(program) => program,
///     Err(LaunchError::Trace(error)) => return Ok(println!("may not trace: {error}")),
///     Err(error) => return Err(error.into()),
/// };
/// for moment in moments {
///     match moment {
///         Moment::AtExit(standing) => {
///             let process = Process::open(program.pid())?;
///             assert!(process.resident_regions(..)?.count() > 0);
///             standing.release();
///         }
///         Moment::Ended(status) => assert!(status?.success()),
///         _ => {}
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Program {
    pid: u32,
    /// pidfd of the program; `None` if it had ended and was reaped before.
    pidfd: Option<OwnedFd>,
}

/// Event in the life of a program.
#[derive(Debug)]
#[non_exhaustive]
pub enum Moment {
    /// The program is about to end, and is stopped with all its memory until this is
    /// dropped or released. At most once, and only for a traced program.
    AtExit(StoppedAtExit),
    /// The program has ended, and is reaped: the last event. An error if its status cannot
    /// be known, because this program ignores SIGCHLD.
    Ended(io::Result<ExitStatus>),
}

/// Program that is stopped at its end until this is dropped.
#[derive(Debug)]
pub struct StoppedAtExit {
    /// Sender whose drop the tracer waits for.
    _go_on: Sender<()>,
}

impl StoppedAtExit {
    /// Lets the program end.
    pub fn release(self) {}
}

/// Reason why a program was not started.
#[derive(Debug)]
#[non_exhaustive]
pub enum LaunchError {
    /// The program cannot be executed, or no child can be forked.
    Start(io::Error),
    /// This program may not trace it, or cannot prepare the trace.
    Trace(io::Error),
}

impl fmt::Display for LaunchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(error) => write!(f, "cannot start the program: {error}"),
            Self::Trace(error) => write!(f, "cannot trace the program: {error}"),
        }
    }
}

impl std::error::Error for LaunchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Start(error) | Self::Trace(error) => Some(error),
        }
    }
}

impl Program {
    /// Starts a program. `notify` is called, in another thread, when it has ended.
    /// (`Stdio::piped` does not work here: the ends of its pipes are closed at once. Use an
    /// end of `std::io::pipe`.)
    ///
    /// The program is executed with the rights of the user who runs this program, even if
    /// this program has more, see [`with_user_rights`](crate::with_user_rights).
    ///
    /// `ready` is called once there is a child, with the signal dispositions that this
    /// program had before, and before it executes: the place to install handlers without a
    /// loss of the signals that the child inherits as ignored.
    ///
    /// # Errors
    /// [`LaunchError::Start`].
    pub fn start(
        command: Command,
        ready: impl FnOnce() + Send + 'static,
        mut notify: impl FnMut(Moment) + Send + 'static,
    ) -> Result<Self, LaunchError> {
        let hold = move |line, report: &_, _: &_| tracer::let_go(line, report, ready);
        let (mut child, pidfd) = spawn(command, hold)?;
        let pid = child.id();
        let reap = move || notify(Moment::Ended(child.wait()));
        thread::Builder::new()
            .name("program".to_owned())
            .spawn(reap)
            .map_err(LaunchError::Start)?;
        Ok(Self { pid, pidfd })
    }

    /// Starts a program that stops at its end, with its memory at that moment. `notify` is
    /// called, in another thread, at that stop and at its end.
    ///
    /// The program is traced (ptrace) from its start, with all its threads, into any
    /// process group, session or namespace that it enters; the processes that it starts are
    /// not. Its end is that of the process that was started, even if it leaves a daemon
    /// behind. Each signal and each new thread takes a detour through this program; nobody
    /// else can trace it meanwhile. A set-user-ID program gains no privileges while it is
    /// traced, unless this caller has CAP_SYS_PTRACE. The trace continues when the program
    /// executes another one. If this program ends first, even if killed, the traced one
    /// continues to run without it, and no signal to it is lost.
    ///
    /// No other thread of this program may wait for any child meanwhile (`waitpid(-1,
    /// ...)`): it would take the traced one's stops. Other children of this program are
    /// left to the code that waits for them.
    ///
    /// A program that is killed by SIGKILL while it is stopped at its end loses its memory
    /// at once, and one that is killed while it executes is never reported. (For
    /// `Stdio::piped` and `ready` see [`Program::start`].)
    ///
    /// # Errors
    /// [`LaunchError::Start`]; [`LaunchError::Trace`] where ptrace is not allowed.
    pub fn start_traced(
        command: Command,
        ready: impl FnOnce() + Send + 'static,
        notify: impl FnMut(Moment) + Send + 'static,
    ) -> Result<Self, LaunchError> {
        let follow = move |line, report: &_, executed: &_| {
            tracer::run(line, report, executed, ready, notify)
        };
        let (child, pidfd) = spawn(command, follow)?;
        Ok(Self {
            pid: child.id(),
            pidfd,
        })
    }

    /// Returns the PID, which can be another process's after the end of the program.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends a signal to the program, if it has not ended.
    ///
    /// # Errors
    /// Errors of the system, such as EPERM if the program has changed its user; ESRCH if it
    /// has ended; EINVAL for a number that is no signal's.
    pub fn signal(&self, number: i32) -> io::Result<()> {
        let signal = Signal::from_named_raw(number);
        let signal = signal.ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?;
        match &self.pidfd {
            Some(pidfd) => Ok(pidfd_send_signal(pidfd, signal)?),
            None => Err(io::Error::from_raw_os_error(libc::ESRCH)),
        }
    }

    /// Returns whether the program is in the process group of this process now, as it is at
    /// its start: a terminal then sends its signals to both or to neither.
    pub fn is_in_own_process_group(&self) -> bool {
        let of = |pid| getpgid(pid).ok();
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        pid.is_some_and(|pid| of(Some(pid)) == of(None))
    }
}

/// Returns whether this process ignores a signal, as a process that nohup(1) has started
/// ignores SIGHUP: a handler for it would undo that.
pub fn is_signal_ignored(number: i32) -> bool {
    sys::is_ignored(number)
}

/// Channel for the pidfd of a child that may execute, or the reason why it may not.
type Report = Sender<io::Result<Option<OwnedFd>>>;

/// Forks a child that executes when `hold`, in a thread of its own, allows it.
fn spawn(
    mut command: Command,
    hold: impl FnOnce(UnixStream, &Report, &Receiver<()>) + Send + 'static,
) -> Result<(Child, Option<OwnedFd>), LaunchError> {
    let (line, childs_end) = UnixStream::pair().map_err(LaunchError::Start)?;
    let (report, held) = channel();
    let (executed, is_executed) = channel();
    thread::Builder::new()
        .name("tracer".to_owned())
        .spawn(move || hold(line, &report, &is_executed))
        .map_err(LaunchError::Start)?;
    // The child sends its PID, and waits for a word.
    sys::before_exec(&mut command, move || {
        let mut line = &childs_end;
        let own = rustix::process::getpid().as_raw_nonzero().get();
        line.write_all(&own.to_ne_bytes())?;
        let mut word = [0; 4];
        line.read_exact(&mut word)?;
        match i32::from_ne_bytes(word) {
            // The program is looked up and executed with the rights of the user.
            0 => keep_to_user_rights(),
            refused => Err(io::Error::from_raw_os_error(refused)),
        }
    });
    let child = command.spawn();
    // This closes the child's end of the line too: if no child was forked the thread ends.
    drop(command);
    if child.is_ok() {
        // The child exists: the thread waits for the child's end, or this word.
        let _ = executed.send(());
    }
    drop(executed);
    match (child, held.recv()) {
        (Ok(child), Ok(Ok(pidfd))) => Ok((child, pidfd)),
        (_, Ok(Err(refused))) => Err(LaunchError::Trace(refused)),
        (Err(error), _) => Err(LaunchError::Start(error)),
        (Ok(_), Err(_)) => Err(LaunchError::Start(io::ErrorKind::BrokenPipe.into())),
    }
}

/// Opens the pidfd of a child that is not yet reaped.
fn pidfd_of(pid: i32) -> Option<OwnedFd> {
    pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()
}
