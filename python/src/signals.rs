//! Signals during a query: Ctrl-C ends a walk. Must not know what is walked.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use pyo3::prelude::*;

use crate::errors::Failure;

/// Time between two looks for signals. Each waits for the interpreter, which other threads
/// keep busy.
const INTERVAL: Duration = Duration::from_millis(100);
/// Records after which the time is read again.
const RECORDS: u32 = 1024;

/// Look for signals now and then, while the interpreter is released.
#[derive(Debug)]
pub(crate) struct Signals {
    records: u32,
    looked: Instant,
    raised: Option<PyErr>,
}

impl Signals {
    pub(crate) fn new() -> Self {
        Self {
            records: 0,
            looked: Instant::now(),
            raised: None,
        }
    }

    /// Counts a record. Breaks if the handler of a signal raised an exception.
    #[inline]
    pub(crate) fn record(&mut self) -> ControlFlow<()> {
        self.records += 1;
        match self.records < RECORDS {
            true => ControlFlow::Continue(()),
            false => self.look(),
        }
    }

    /// Looks for signals if the last look was long ago. Breaks as [`Self::record`] does.
    #[cold]
    pub(crate) fn look(&mut self) -> ControlFlow<()> {
        self.records = 0;
        if self.looked.elapsed() < INTERVAL {
            return ControlFlow::Continue(());
        }
        self.looked = Instant::now();
        match Python::attach(|py| py.check_signals()) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.raised = Some(error);
                ControlFlow::Break(())
            }
        }
    }

    /// Returns the exception that ended the query.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        self.raised.map_or(Ok(()), |error| Err(error.into()))
    }
}
