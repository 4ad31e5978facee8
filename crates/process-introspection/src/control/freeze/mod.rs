//! Stops a process for a while and always releases it. Owns the order of the steps: the
//! watchdog before the stop, the release before any operation that can wait. Knows nothing
//! of the work meanwhile.

mod freezer;
mod stop_method;
mod threads;
mod watchdog;

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use process_introspection_core::error::Operation;
use process_introspection_core::proc_text::{value_of, Stat};
use process_introspection_core::CoreError;
use rustix::fs::{openat, Mode, OFlags};

use crate::error::{errno_of_process, Error};
use crate::process::Process;
use crate::sys;
use crate::text_files::read_at;
use freezer::Freezer;
use stop_method::StopMethod;

pub(crate) use threads::all_stand_still;
use watchdog::Watchdog;

/// Maximum time that a process may take to stop.
const PATIENCE: Duration = Duration::from_secs(2);

/// Process that is stopped until this is dropped.
///
/// [`Process::freeze`] returns it.
#[derive(Debug)]
pub struct Frozen {
    held: Option<Held>,
    since: Instant,
}

#[derive(Debug)]
struct Held {
    method: StopMethod,
    watchdog: Watchdog,
}

impl Process {
    /// Stops all threads of the process until the result is dropped or released.
    ///
    /// Where the process is alone in a cgroup (v2) whose freezer this caller may use, the
    /// freezer stops it, without a trace. Elsewhere SIGSTOP does, with side effects: its
    /// parent gets SIGCHLD and sees it stopped and continued if it waits for such changes,
    /// as shells with job control do; some of its waits, such as `epoll_wait`, can end with
    /// `EINTR` (signal(7)); the SIGCONT at the end runs the handler that the process may
    /// have, and also ends a stop that somebody else has requested meanwhile.
    ///
    /// The process is also released if this program panics, is killed, or calls exec: a
    /// watchdog, a forked child in a session of its own, waits for that and keeps a
    /// descriptor of the process, never its PID. The release fails only if the watchdog is
    /// killed as well, as at the end of a whole cgroup or container. The fork copies this
    /// program's page tables, which takes time if the program has much memory.
    ///
    /// A process that is already stopped, held by a debugger or frozen, remains so:
    /// [`Frozen::was_stopped_before`].
    ///
    /// The caller must not wait meanwhile for anything that the process serves: a terminal
    /// emulator that is stopped shows no output, a file system's daemon answers no read.
    ///
    /// ```
    /// use process_introspection::Process;
    /// let mut child = std::process::Command::new("sleep").arg("60").spawn()?;
    /// let process = Process::open(child.id())?;
    ///
    /// let frozen = process.freeze()?;
    /// let mappings = process.virtual_regions(..)?.count();
    /// let stood_still = frozen.release();
    ///
    /// println!("{mappings} mappings, in {stood_still:?}");
    /// # child.kill()?;
    /// # child.wait()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::is_permission_denied`] if this caller may not signal the process, or it is
    /// the system's first. Errors of `EDEADLK` for the calling process itself, `EBUSY` for
    /// a process that runs under a tracer (the tracer would have to deliver a SIGSTOP),
    /// `ETIMEDOUT` if it does not stop within two seconds, as a process with a thread in an
    /// uninterruptible wait; it then continues to run. [`Error::is_gone`].
    pub fn freeze(&self) -> Result<Frozen, Error> {
        let failed = |error: io::Error| {
            let errno = errno_of_process(&error);
            self.error(CoreError::new(errno, Operation::StopProcess))
        };
        Frozen::of(self).map_err(failed)
    }
}

impl Frozen {
    fn of(process: &Process) -> io::Result<Self> {
        let dir = process_directory(process)?;
        // Kernel threads take no signals, and an ended process does not change.
        if !process.as_core().has_memory() {
            return Ok(Self::standing());
        }
        if is_caller(&dir)? {
            return Err(io::Error::from_raw_os_error(libc::EDEADLK));
        }
        // The first process of a PID namespace ignores a SIGSTOP from within; the machine's
        // first process is better not stopped by any means.
        let status = read_at(&dir, "status")?;
        if value_of(&status, b"Tgid:") == Some(b"1") {
            return Err(io::Error::from_raw_os_error(libc::EPERM));
        }
        let freezer = Freezer::of(&dir);
        let is_frozen = freezer.as_ref().is_some_and(Freezer::is_frozen);
        if is_frozen || all_stand_still(&dir)? {
            return Ok(Self::standing());
        }
        if let Some(freezer) = freezer {
            if let Some(frozen) = Self::by_freezer(&dir, &freezer)? {
                return Ok(frozen);
            }
        }
        Self::by_signal(dir)
    }

    fn standing() -> Self {
        Self {
            held: None,
            since: Instant::now(),
        }
    }

    /// Returns `None` where the freezer cannot be used, or not for this process alone.
    fn by_freezer(dir: &OwnedFd, freezer: &Freezer) -> io::Result<Option<Self>> {
        let Some(switch) = freezer.switch() else {
            return Ok(None);
        };
        if !freezer.is_of_alone(dir) {
            return Ok(None);
        }
        let frozen = Self::hold(StopMethod::Freezer(switch))?;
        wait_until(|| Ok(freezer.is_frozen()))?;
        // A process that came into the cgroup between the check and the stop is stopped
        // too; the drop releases it.
        Ok(freezer.is_of_alone(dir).then_some(frozen))
    }

    fn by_signal(dir: OwnedFd) -> io::Result<Self> {
        let status = read_at(&dir, "status")?;
        if value_of(&status, b"TracerPid:").is_some_and(|tracer| tracer != b"0") {
            return Err(io::Error::from_raw_os_error(libc::EBUSY));
        }
        let frozen = Self::hold(StopMethod::Signal(dir.try_clone()?))?;
        wait_until(|| all_stand_still(&dir))?;
        Ok(frozen)
    }

    fn hold(method: StopMethod) -> io::Result<Self> {
        let watchdog = Watchdog::start(&method)?;
        let since = Instant::now();
        let stopped = method.stop();
        // The drop releases the process even if the stop has failed.
        let frozen = Self {
            held: Some(Held { method, watchdog }),
            since,
        };
        stopped.map(|()| frozen)
    }

    /// Returns whether the process was already stopped, and will remain so.
    pub fn was_stopped_before(&self) -> bool {
        self.held.is_none()
    }

    /// Releases the process. Returns the time for which this stopped it; zero if it [was
    /// stopped before](Self::was_stopped_before).
    pub fn release(mut self) -> Duration {
        self.let_go()
    }

    fn let_go(&mut self) -> Duration {
        let Some(held) = self.held.take() else {
            return Duration::ZERO;
        };
        held.method.release();
        let stood_still = self.since.elapsed();
        held.watchdog.dismiss();
        stood_still
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.let_go();
    }
}

/// Opens the process's directory itself, which works as a pidfd for signals (Linux 5.1,
/// fs/proc/base.c tgid_pidfd_to_pid), unlike one that is opened O_PATH, and unlike a
/// thread's.
fn process_directory(process: &Process) -> io::Result<OwnedFd> {
    let dir = sys::directory(process.as_core());
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open = |path| openat(dir, path, flags, Mode::empty());
    // A thread's directory has no `task`: it is PID/task/TID.
    let path = if open("task").is_ok() { "." } else { "../.." };
    Ok(open(path)?)
}

/// Returns whether a directory of a process is this process's, in any proc mount: by its
/// PID in its own PID namespace, and the time of its start.
fn is_caller(dir: &OwnedFd) -> io::Result<bool> {
    let own = File::open("/proc/self")?.into();
    let identity = |dir: &OwnedFd| -> io::Result<_> {
        let status = read_at(dir, "status")?;
        let numbers = value_of(&status, b"NSpid:").unwrap_or_default();
        let innermost = numbers.rsplit(u8::is_ascii_whitespace).next();
        let stat = read_at(dir, "stat")?;
        let start = Stat::parse(&stat).and_then(|stat| stat.start_time());
        Ok((innermost.map(<[u8]>::to_vec), start))
    };
    Ok(identity(dir)? == identity(&own)?)
}

/// Waits for a condition, at most for the time that a process may take to stop.
pub(crate) fn wait_until(mut reached: impl FnMut() -> io::Result<bool>) -> io::Result<()> {
    let begun = Instant::now();
    let mut pause = Duration::from_micros(20);
    while !reached()? {
        if begun.elapsed() > PATIENCE {
            return Err(io::Error::from_raw_os_error(libc::ETIMEDOUT));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(5));
    }
    Ok(())
}
