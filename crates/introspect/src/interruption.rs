//! Signals that end the command while it writes a temporary file: the file is
//! removed first. Elsewhere signals do what they always do.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::Arc;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::{flag, low_level, SigId};

use crate::failure::Failure;

/// Not SIGHUP: a handler would undo what `nohup` did.
const SIGNALS: [i32; 2] = [SIGINT, SIGTERM];

/// Whether a signal has come.
#[derive(Clone, Debug)]
pub(crate) struct Interruption {
    /// The signal that came, or 0.
    signal: Arc<AtomicUsize>,
    _watch: Arc<Watch>,
}

/// Signals are noted until this is dropped, and from then on nothing is done
/// about them.
#[derive(Debug, Default)]
struct Watch(Vec<SigId>);

impl Drop for Watch {
    fn drop(&mut self) {
        for &id in &self.0 {
            low_level::unregister(id);
        }
    }
}

impl Interruption {
    /// Signals are noted from now on. A second one ends the command at once.
    pub(crate) fn watch() -> io::Result<Self> {
        let signal = Arc::new(AtomicUsize::new(0));
        let noted = Arc::new(AtomicBool::new(false));
        let mut watch = Watch::default();
        let mut note = |id: io::Result<SigId>| id.map(|id| watch.0.push(id));
        for number in SIGNALS {
            // In this order: the first takes effect from the second signal on.
            note(flag::register_conditional_default(
                number,
                Arc::clone(&noted),
            ))?;
            note(flag::register(number, Arc::clone(&noted)))?;
            note(flag::register_usize(
                number,
                Arc::clone(&signal),
                number as usize,
            ))?;
        }
        let watch = Arc::new(watch);
        Ok(Self {
            signal,
            _watch: watch,
        })
    }

    /// Fails once a signal has come.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        match self.signal.load(Ordering::Relaxed) {
            0 => Ok(()),
            signal => Err(Failure::Interrupted(signal as i32)),
        }
    }
}

/// Ends this process as the signal would have.
pub(crate) fn end_by(signal: i32) {
    // It fails for signals that are not there, which none of ours is.
    let _ = signal_hook::low_level::emulate_default_handler(signal);
}
