//! Signals that end the command while it writes a temporary file or beside a
//! program: what is under way ends in order, and the file is removed. Elsewhere
//! signals do what they always do.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use process_introspection::is_signal_ignored;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};

use crate::failure::Failure;

/// How long something may take to end in order after a signal.
pub(crate) const PATIENCE: Duration = Duration::from_millis(500);

/// Whether a signal has come, and what it leaves behind otherwise.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interruption(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// The first signal that came, or 0.
    signal: AtomicI32,
    /// The temporary file.
    leftover: Mutex<Option<PathBuf>>,
    watch: OnceLock<Handle>,
}

/// Signals are noted until this is dropped, and from then on nothing is done
/// about them.
impl Drop for State {
    fn drop(&mut self) {
        if let Some(watch) = self.watch.get() {
            watch.close();
        }
    }
}

impl Interruption {
    /// Signals are noted from now on. Who does not end in time after one is
    /// ended by it. Those that are ignored stay so: a handler would undo what
    /// `nohup` did.
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
                Self(state).note(signal);
            }
            thread::sleep(PATIENCE);
            if let Some(state) = state.upgrade() {
                Self(state).remove_leftover();
                end_by(signal);
            }
        };
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(wait)?;
        Ok(interruption)
    }

    /// Notes a signal, if none has come before.
    pub(crate) fn note(&self, signal: i32) {
        let signals = &self.0.signal;
        let _ = signals.compare_exchange(0, signal, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Forgets the signal that has come.
    pub(crate) fn forget(&self) {
        self.0.signal.store(0, Ordering::Relaxed);
    }

    /// Fails once a signal has come.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        match self.0.signal.load(Ordering::Relaxed) {
            0 => Ok(()),
            signal => Err(Failure::Interrupted(signal)),
        }
    }

    /// Notes a temporary file, of which nobody else knows the name.
    pub(crate) fn leaves(&self, file: &Path) {
        let leftover = self.0.leftover.lock();
        *leftover.unwrap_or_else(PoisonError::into_inner) = Some(file.to_owned());
    }

    /// Removes the temporary file, if it is still there.
    pub(crate) fn remove_leftover(&self) {
        let leftover = self.0.leftover.lock();
        if let Some(file) = leftover.unwrap_or_else(PoisonError::into_inner).take() {
            // Nobody is left to be told.
            let _ = fs::remove_file(file);
        }
    }
}

/// Ends this process as the signal would have.
pub(crate) fn end_by(signal: i32) {
    // It fails for signals that are not there, which none of ours is.
    let _ = signal_hook::low_level::emulate_default_handler(signal);
}
