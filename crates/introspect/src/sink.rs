//! Where a walk's records go: a format, a destination, and the progress line.

use std::fmt;
use std::io::{self, BufWriter};
use std::path::PathBuf;

use process_introspection::AddrRange;
use process_introspection_export::{Layout, Record, Writer};

use crate::arguments::OutputOptions;
use crate::destination::Destination;
use crate::failure::Failure;
use crate::interruption::Interruption;
use crate::progress::Progress;

/// Bytes that are gathered before they are written.
pub(crate) const BUFFER: usize = 64 << 10;

/// Takes the records of one walk.
#[derive(Debug)]
pub(crate) struct Sink {
    writer: Writer<BufWriter<Destination>>,
    /// A person sees each record at once.
    each_at_once: bool,
    progress: Progress,
    /// Watched while there is a temporary file.
    interruption: Option<Interruption>,
    place: Place,
}

impl Sink {
    /// Opens the output for records of this layout; `ranges` is what will be
    /// walked.
    pub(crate) fn open(
        options: &OutputOptions,
        layout: &Layout,
        ranges: &[AddrRange],
    ) -> Result<Self, Failure> {
        let place = Place(options.output.clone());
        let out =
            Destination::open(options.output.as_deref()).map_err(|error| place.open(&error))?;
        let interruption = out.interruption();
        let (width, each_at_once) = (out.width(), out.is_terminal());
        let out = BufWriter::with_capacity(BUFFER, out);
        let writer = Writer::begin(options.format.0, out, layout, width)
            .map_err(|error| place.write(&error))?;
        let progress = Progress::new(ranges, each_at_once);
        Ok(Self {
            writer,
            each_at_once,
            progress,
            interruption,
            place,
        })
    }

    /// Notes that the walk has come past these addresses. Fails when a signal
    /// has ended it.
    pub(crate) fn passed(&self, range: AddrRange) -> Result<(), Failure> {
        self.progress.passed(range);
        self.interruption
            .as_ref()
            .map_or(Ok(()), Interruption::check)
    }

    /// Writes a record.
    pub(crate) fn write(&mut self, record: &impl Record) -> Result<(), Failure> {
        self.progress.record();
        self.writer
            .write(record)
            .and_then(|()| {
                if self.each_at_once {
                    self.writer.flush()
                } else {
                    Ok(())
                }
            })
            .map_err(|error| self.place.write(&error))
    }

    /// Ends a complete output.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        let Self {
            writer,
            progress,
            place,
            ..
        } = self;
        drop(progress);
        writer
            .finish()
            .and_then(|out| out.into_inner().map_err(io::IntoInnerError::into_error))
            .and_then(Destination::keep)
            .map_err(|error| place.write(&error))
    }
}

/// What the output is called in messages.
#[derive(Debug)]
pub(crate) struct Place(pub(crate) Option<PathBuf>);

impl Place {
    /// That it cannot be opened.
    pub(crate) fn open(&self, error: &io::Error) -> Failure {
        Failure::io(format_args!("open {self} for writing"), error)
    }

    /// That it cannot be written.
    pub(crate) fn write(&self, error: &io::Error) -> Failure {
        Failure::io(format_args!("write to {self}"), error)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(path) if path.as_os_str() != "-" => {
                f.write_str(&crate::target::printable(path.as_os_str()))
            }
            _ => f.write_str("standard output"),
        }
    }
}
