//! Comparison of the memory of processes, and of frames, at two times. Must not know how
//! results are written.

pub(crate) mod results;
pub(crate) mod stored;

use crate::failure::Failure;
use crate::output::sink::Sink;

/// Observer of a long comparison.
pub(crate) trait Watch {
    /// Fails if a signal ended the command.
    fn check(&self) -> Result<(), Failure>;

    /// Records that `done` processes of `of` were compared.
    fn passed_processes(&self, done: usize, of: usize);
}

impl Watch for Sink {
    fn check(&self) -> Result<(), Failure> {
        self.check()
    }

    fn passed_processes(&self, done: usize, of: usize) {
        self.passed_processes(done, of);
    }
}
