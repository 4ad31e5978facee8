//! Progress and end of the collection for a report. Knows no source of records.

use std::cell::RefCell;

use process_introspection::AddrRange;

use crate::commands::comparison::Watch;
use crate::control::interruption::Interruption;
use crate::failure::Failure;
use crate::output::progress::Progress;

/// Long work of one command.
pub(super) struct Task {
    interruption: Option<Interruption>,
    progress: RefCell<Option<Progress>>,
}

impl Task {
    /// Returns work that signals end, if they are received.
    pub(super) fn new(interruption: Option<Interruption>) -> Self {
        Self {
            interruption,
            progress: RefCell::default(),
        }
    }

    /// Begins a part of the work, which passes these physical addresses.
    pub(super) fn begin_frames(&self, range: AddrRange) {
        self.begin(|| Progress::new(&[range], false));
    }

    /// Begins a part of the work, which passes processes.
    pub(super) fn begin_processes(&self) {
        self.begin(Progress::over_processes);
    }

    fn begin(&self, progress: impl FnOnce() -> Progress) {
        // The last line is removed before there is another.
        self.progress.take();
        self.progress.replace(Some(progress()));
    }

    /// Records that an address was passed. Fails if a signal ended the work.
    pub(super) fn passed(&self, range: AddrRange) -> Result<(), Failure> {
        if let Some(progress) = &*self.progress.borrow() {
            progress.passed(range);
        }
        self.check()
    }

    /// Records that `done` processes of `of` were passed. Fails if a signal ended the work.
    pub(super) fn passed_processes(&self, done: usize, of: usize) -> Result<(), Failure> {
        if let Some(progress) = &*self.progress.borrow() {
            progress.passed_of(done as u64, of as u64);
        }
        self.check()
    }

    /// Removes the progress line.
    pub(super) fn end(&self) {
        self.progress.take();
    }

    /// Fails if a signal ended the work.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let interruption = self.interruption.as_ref();
        interruption.map_or(Ok(()), Interruption::check)
    }
}

impl Watch for Task {
    fn check(&self) -> Result<(), Failure> {
        self.check()
    }

    fn passed_processes(&self, done: usize, of: usize) {
        // The next check fails if this does.
        let _ = self.passed_processes(done, of);
    }
}
