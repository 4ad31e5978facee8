//! Stream of records in Arrow's IPC format. Knows no kind of record and no file.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Write};

use arrow_ipc::writer::StreamWriter;
use arrow_schema::ArrowError;
use process_introspection_export::{Fields, Layout};

use crate::columns::Builder;

/// Writer of records of one kind as batches, in constant memory. The output should be
/// buffered: a batch is many writes.
///
/// A stream that was not [finished](Stream::finish) lacks the marker of its end: the eight
/// bytes `ff ff ff ff 00 00 00 00`. Readers (pyarrow, arrow-ipc) take it for a whole one, if it
/// was cut between two batches. Who needs all records compares the last eight bytes, or the
/// exit status of the program that wrote them.
///
/// ```
/// use std::collections::HashMap;
///
/// use process_introspection_dataset::stream::Stream;
/// use process_introspection_export::{ExtentRecord, Hex, Record, State};
///
/// let mut stream = Stream::begin(Vec::new(), &ExtentRecord::LAYOUT, HashMap::new())?;
/// stream.write(&ExtentRecord {
///     vaddr: Hex(0x7f0000001000),
///     size: 4096,
///     paddr: None,
///     pfn: None,
///     state: State::NotPresent,
///     node: None,
/// })?;
/// let bytes = stream.finish()?;
/// assert!(bytes.ends_with(&[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]));
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Stream<W: Write> {
    /// `None` once the stream is finished.
    writer: Option<StreamWriter<W>>,
    builder: Builder,
}

impl<W: Write> Stream<W> {
    /// Writes the schema of records of this layout. `metadata` describes the whole stream.
    ///
    /// # Errors
    /// Those of the output.
    pub fn begin(out: W, layout: &Layout, metadata: HashMap<String, String>) -> io::Result<Self> {
        let builder = Builder::new(layout.fields, layout.extra, metadata);
        let writer = StreamWriter::try_new(out, builder.schema()).map_err(of_output)?;
        Ok(Self {
            writer: Some(writer),
            builder,
        })
    }

    /// Appends a record. It is written when its batch is full.
    ///
    /// # Errors
    /// Those of the output.
    #[inline]
    pub fn write<R: Fields>(&mut self, record: &R) -> io::Result<()> {
        self.builder.push(record);
        match self.builder.is_full() {
            true => self.write_batch(),
            false => Ok(()),
        }
    }

    /// Writes the records so far and flushes the output.
    ///
    /// # Errors
    /// Those of the output.
    pub fn flush(&mut self) -> io::Result<()> {
        self.write_batch()?;
        match &mut self.writer {
            Some(writer) => writer.flush().map_err(of_output),
            None => Ok(()),
        }
    }

    /// Writes the records left and the marker of the end, flushes, and returns the output.
    ///
    /// # Errors
    /// Those of the output.
    pub fn finish(mut self) -> io::Result<W> {
        self.write_batch()?;
        let writer = self.writer.take().expect("only this takes it");
        writer.into_inner().map_err(of_output)
    }

    #[cold]
    fn write_batch(&mut self) -> io::Result<()> {
        match &mut self.writer {
            Some(writer) if !self.builder.is_empty() => {
                let batch = self.builder.finish();
                writer.write(&batch).map_err(of_output)
            }
            _ => Ok(()),
        }
    }
}

impl<W: Write> fmt::Debug for Stream<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("builder", &self.builder)
            .finish_non_exhaustive()
    }
}

/// The records before a failure are written, without the marker of the end.
impl<W: Write> Drop for Stream<W> {
    fn drop(&mut self) {
        // Only the first failure is reported.
        let _ = self.write_batch();
    }
}

/// Returns the error of the output; there is no other, because the records fit the schema.
fn of_output(error: ArrowError) -> io::Error {
    match error {
        ArrowError::IoError(_, error) => error,
        other => io::Error::other(other),
    }
}
