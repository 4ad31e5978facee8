//! Output that is written at once, or kept until it is complete: while a process is
//! frozen nothing waits for a reader, which may be slow, or that process itself.

use std::io::{self, Seek, Write};

use process_introspection::with_user_rights;
use tempfile::SpooledTempFile;

use crate::output::destination::Destination;

/// Bytes kept in memory; more are kept in a temporary file without a name.
const IN_MEMORY: usize = 32 << 20;

/// Output on its way to its destination.
#[derive(Debug)]
pub(crate) struct Output {
    /// Bytes that are written when the output is complete.
    kept: Option<SpooledTempFile>,
    /// `None` once the output is complete.
    destination: Option<Destination>,
}

impl Output {
    /// Output that is written at once or, if `is_deferred`, when it is complete or
    /// dropped.
    pub(crate) fn new(destination: Destination, is_deferred: bool) -> Self {
        Self {
            kept: is_deferred.then(|| SpooledTempFile::new(IN_MEMORY)),
            destination: Some(destination),
        }
    }

    /// Completes the output.
    pub(crate) fn keep(mut self) -> io::Result<()> {
        self.write_kept()?;
        self.destination.take().map_or(Ok(()), Destination::keep)
    }

    /// Writes the kept bytes.
    fn write_kept(&mut self) -> io::Result<()> {
        let (Some(mut kept), Some(destination)) = (self.kept.take(), &mut self.destination) else {
            return Ok(());
        };
        kept.rewind()?;
        io::copy(&mut kept, destination).map(drop)
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match (&mut self.kept, &mut self.destination) {
            // The temporary file can be in a directory that the user chooses.
            (Some(kept), _) => with_user_rights(|| kept.write(bytes)),
            (None, Some(destination)) => destination.write(bytes),
            (None, None) => Ok(0),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The records before a failure are written, kept or not.
impl Drop for Output {
    fn drop(&mut self) {
        let replaces = |out: &Destination| out.is_replacement();
        if !self.destination.as_ref().is_some_and(replaces) {
            // Only the first failure is reported.
            let _ = self.write_kept();
        }
    }
}
