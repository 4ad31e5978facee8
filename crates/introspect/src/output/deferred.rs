//! An output on its way to its destination. While a process stands still it is
//! kept: nothing then waits for a reader, who may be slow, or be that process.

use std::io::{self, Read, Seek, Write};

use process_introspection::with_user_rights;
use tempfile::SpooledTempFile;

use crate::output::destination::Destination;

/// Bytes kept in memory; more are in a temporary file without a name.
const IN_MEMORY: usize = 32 << 20;

/// Writes to a destination, at once or in the end.
#[derive(Debug)]
pub(crate) struct Output {
    /// What is kept for later.
    kept: Option<SpooledTempFile>,
    /// `None` once it is complete.
    destination: Option<Destination>,
}

impl Output {
    /// Writes at once.
    pub(crate) fn direct(destination: Destination) -> Self {
        Self {
            kept: None,
            destination: Some(destination),
        }
    }

    /// Writes when it is complete, or dropped.
    pub(crate) fn in_the_end(destination: Destination) -> Self {
        Self {
            kept: Some(SpooledTempFile::new(IN_MEMORY)),
            destination: Some(destination),
        }
    }

    /// Ends a complete output.
    pub(crate) fn keep(mut self) -> io::Result<()> {
        self.pass_on()?;
        self.destination.take().map_or(Ok(()), Destination::keep)
    }

    /// Writes what was kept.
    fn pass_on(&mut self) -> io::Result<()> {
        let (Some(mut kept), Some(destination)) = (self.kept.take(), &mut self.destination) else {
            return Ok(());
        };
        kept.rewind()?;
        let mut buffer = vec![0; 64 << 10];
        loop {
            match kept.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(size) => destination.write_all(&buffer[..size])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match (&mut self.kept, &mut self.destination) {
            // It can go over to a file in a directory that the user names.
            (Some(kept), _) => with_user_rights(|| kept.write(bytes)),
            (None, Some(destination)) => destination.write(bytes),
            (None, None) => Ok(0),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The records up to a failure stand, kept or not.
impl Drop for Output {
    fn drop(&mut self) {
        if matches!(self.destination, Some(Destination::Stream(_))) {
            // The failure is said; a second one is not.
            let _ = self.pass_on();
        }
    }
}
