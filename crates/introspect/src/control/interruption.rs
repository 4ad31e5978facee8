//! Signals that end the command while it writes a temporary file or while a program
//! runs: the walk ends in order, and the file is removed. Otherwise signals have their
//! default effect.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use process_introspection::is_signal_ignored;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};

use crate::failure::Failure;

/// Longest time between a signal and the end of the command.
pub(crate) const GRACE_PERIOD: Duration = Duration::from_millis(500);

/// Time between two looks for a signal while nothing else is done.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// Flag that a signal sets, and the temporary file that must not stay behind.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interruption(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// First received signal, or 0.
    signal: AtomicI32,
    /// The temporary file.
    temporary_file: Mutex<Option<PathBuf>>,
    watch: OnceLock<Handle>,
}

/// Signals are received until this is dropped, and have no effect afterwards.
impl Drop for State {
    fn drop(&mut self) {
        if let Some(watch) = self.watch.get() {
            watch.close();
        }
    }
}

impl Interruption {
    /// Receives signals from now on, and ends the command by the first one after the
    /// grace period. Ignored signals stay ignored: a handler would undo `nohup`.
    pub(crate) fn watch() -> io::Result<Self> {
        let signals = [SIGHUP, SIGINT, SIGTERM];
        let mut signals = Signals::new(signals.into_iter().filter(|&one| !is_signal_ignored(one)))?;
        let interruption = Self::default();
        let _ = interruption.0.watch.set(signals.handle());
        let state = Arc::downgrade(&interruption.0);
        let wait = move || {
            let Some(signal) = signals.forever().next() else {
                return;
            };
            if let Some(state) = state.upgrade() {
                Self(state).set(signal);
            }
            thread::sleep(GRACE_PERIOD);
            if let Some(state) = state.upgrade() {
                Self(state).remove_temporary_file();
                end_by(signal);
            }
        };
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(wait)?;
        Ok(interruption)
    }

    /// Records a signal, if it is the first one.
    pub(crate) fn set(&self, signal: i32) {
        let signals = &self.0.signal;
        let _ = signals.compare_exchange(0, signal, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Forgets the received signal.
    pub(crate) fn clear(&self) {
        self.0.signal.store(0, Ordering::Relaxed);
    }

    /// Fails once a signal was received.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        match self.0.signal.load(Ordering::Relaxed) {
            0 => Ok(()),
            signal => Err(Failure::Interrupted(signal)),
        }
    }

    /// Records a temporary file, which is removed if a signal ends the command.
    pub(crate) fn set_temporary_file(&self, file: &Path) {
        let temporary_file = self.0.temporary_file.lock();
        *temporary_file.unwrap_or_else(PoisonError::into_inner) = Some(file.to_owned());
    }

    /// Removes the temporary file, if it is still there.
    pub(crate) fn remove_temporary_file(&self) {
        let temporary_file = self.0.temporary_file.lock();
        if let Some(file) = temporary_file
            .unwrap_or_else(PoisonError::into_inner)
            .take()
        {
            // An error cannot be reported any more.
            let _ = fs::remove_file(file);
        }
    }
}

/// Sleeps until `time`, or until `check` fails, which is called at short intervals.
pub(crate) fn sleep_until(
    time: Instant,
    check: impl Fn() -> Result<(), Failure>,
) -> Result<(), Failure> {
    loop {
        check()?;
        let left = time.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        thread::sleep(left.min(CHECK_INTERVAL));
    }
}

/// Ends this process by the default effect of a signal.
pub(crate) fn end_by(signal: i32) {
    // Fails only for signals that do not exist.
    let _ = signal_hook::low_level::emulate_default_handler(signal);
}
