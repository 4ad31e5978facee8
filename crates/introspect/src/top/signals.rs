//! Signals while the view runs: those that end it, and those that stop and continue it. Must
//! not know what is drawn.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use process_introspection::is_signal_ignored;
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};
use signal_hook::iterator::Signals as Receiver;

use crate::control::interruption::end_by;
use crate::failure::Failure;
use crate::top::terminal;

/// Time that the view has to end by itself after a signal.
const GRACE_PERIOD: Duration = Duration::from_secs(2);

/// Signals that were received.
#[derive(Clone, Debug, Default)]
pub(crate) struct Signals {
    /// First signal that ends the view, or 0.
    ending: Arc<AtomicI32>,
    stop: Arc<AtomicBool>,
    continued: Arc<AtomicBool>,
}

impl Signals {
    /// Receives signals from now on, except those that are ignored.
    pub(crate) fn watch() -> Result<Self, Failure> {
        let signals = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGCONT];
        let wanted = signals.into_iter().filter(|&one| !is_signal_ignored(one));
        let failed = |error: io::Error| Failure::io("receive signals", &error);
        let mut receiver = Receiver::new(wanted).map_err(failed)?;
        let signals = Self::default();
        let received = signals.clone();
        let run = move || {
            for signal in receiver.forever() {
                match signal {
                    SIGTSTP => received.stop.store(true, Ordering::SeqCst),
                    SIGCONT => received.continued.store(true, Ordering::SeqCst),
                    _ => {
                        received.ending.store(signal, Ordering::SeqCst);
                        // If the view hangs, it ends nevertheless.
                        thread::sleep(GRACE_PERIOD);
                        terminal::restore();
                        end_by(signal);
                    }
                }
            }
        };
        let thread = thread::Builder::new().name("signals".to_owned());
        thread.spawn(run).map_err(failed)?;
        Ok(signals)
    }

    /// Fails once a signal has ended the view.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        match self.ending.load(Ordering::SeqCst) {
            0 => Ok(()),
            signal => Err(Failure::Interrupted(signal)),
        }
    }

    /// Returns whether the view is to stop, once.
    pub(crate) fn take_stop(&self) -> bool {
        self.stop.swap(false, Ordering::SeqCst)
    }

    /// Returns whether the process was continued, once.
    pub(crate) fn take_continued(&self) -> bool {
        self.continued.swap(false, Ordering::SeqCst)
    }

    /// Stops this process until it is continued.
    pub(crate) fn stop(&self) {
        end_by(SIGTSTP);
        self.continued.store(false, Ordering::SeqCst);
    }
}
