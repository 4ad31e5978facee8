//! Sink of a walk's records: a format, a destination, and the progress line.

use std::collections::HashMap;
use std::io::{self, BufWriter, Write};

use process_introspection::AddrRange;
use process_introspection_dataset::stream::Stream;
use process_introspection_export::{Layout, Record, Writer};

use crate::control::freeze::{FreezeGuard, FreezeReport};
use crate::control::interruption::Interruption;
use crate::control::launch::WalkContext;
use crate::failure::Failure;
use crate::options::output::{Format, OutputOptions};
use crate::output::deferred::Output;
use crate::output::description::{self, Described};
use crate::output::destination::Destination;
use crate::output::place::Place;
use crate::output::progress::Progress;

/// Size of the output buffer.
pub(crate) const BUFFER: usize = 64 << 10;

/// Writer of text, of a stream, or of a picture.
#[derive(Debug)]
enum Form {
    Text(Writer<BufWriter<Output>>),
    Arrow(Box<Stream<BufWriter<Output>>>),
    /// Output of a picture that is drawn when all records are known, see [`Sink::draw`].
    Picture(BufWriter<Output>),
}

impl Form {
    fn write(&mut self, record: &impl Record) -> io::Result<()> {
        match self {
            Self::Text(writer) => writer.write(record),
            Self::Arrow(stream) => stream.write(record),
            // Usage errors leave no such output.
            Self::Picture(_) => Err(io::Error::other("no picture shows these records")),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Text(writer) => writer.flush(),
            Self::Arrow(stream) => stream.flush(),
            Self::Picture(out) => out.flush(),
        }
    }

    fn finish(self) -> io::Result<BufWriter<Output>> {
        match self {
            Self::Text(writer) => writer.finish(),
            Self::Arrow(stream) => stream.finish(),
            Self::Picture(out) => Ok(out),
        }
    }
}

/// Writes the records of one walk.
///
/// Fields are dropped in this order: a frozen process is released before anything is
/// waited for that may depend on it.
#[derive(Debug)]
pub(crate) struct Sink {
    freeze: Option<FreezeGuard>,
    progress: Progress,
    freeze_report: Option<FreezeReport>,
    writer: Form,
    /// Each record is written at once, because a person reads them.
    is_unbuffered: bool,
    /// Set while a signal must not end the command at once.
    interruption: Option<Interruption>,
    place: Place,
}

impl Sink {
    /// Opens the output for records of this layout; `ranges` of the process is what will be
    /// walked.
    pub(crate) fn open(
        options: &OutputOptions,
        layout: &Layout,
        process: Option<&dyn Described>,
        ranges: &[AddrRange],
        context: WalkContext,
    ) -> Result<Self, Failure> {
        let describe = || description::of(process, ranges);
        Self::with_progress(options, layout, describe, context, |is_unbuffered| {
            Progress::new(ranges, is_unbuffered)
        })
    }

    /// Opens the output for records that are written after the walk, see
    /// [`Sink::end_progress`].
    pub(crate) fn open_for_summary(
        options: &OutputOptions,
        layout: &Layout,
        process: &dyn Described,
        ranges: &[AddrRange],
        context: WalkContext,
    ) -> Result<Self, Failure> {
        let describe = || description::of(Some(process), ranges);
        Self::with_progress(options, layout, describe, context, |_| {
            Progress::new(ranges, false)
        })
    }

    /// Opens the output for records of each process of this machine, or of a snapshot, that
    /// are written while processes are walked, see [`Sink::passed_processes`].
    pub(crate) fn open_for_list(
        options: &OutputOptions,
        layout: &Layout,
        source: Option<&dyn Described>,
    ) -> Result<Self, Failure> {
        let describe = || description::of(source, &[]);
        let context = WalkContext::default();
        Self::with_progress(
            options,
            layout,
            describe,
            context,
            |is_unbuffered| match is_unbuffered {
                true => Progress::new(&[], true),
                false => Progress::over_processes(),
            },
        )
    }

    /// Opens the output of a walk over processes of this machine, or of a snapshot, see
    /// [`Sink::passed_processes`].
    pub(crate) fn open_for_processes(
        options: &OutputOptions,
        layout: &Layout,
        source: Option<&dyn Described>,
    ) -> Result<Self, Failure> {
        let describe = || description::of(source, &[]);
        let context = WalkContext::default();
        Self::with_progress(options, layout, describe, context, |_| {
            Progress::over_processes()
        })
    }

    /// Opens the output of a pass over the frames of this machine, see [`Sink::progress`].
    pub(crate) fn open_for_frames(
        options: &OutputOptions,
        layout: &Layout,
    ) -> Result<Self, Failure> {
        let describe = || description::of(None, &[]);
        let context = WalkContext::default();
        Self::with_progress(options, layout, describe, context, |_| {
            Progress::over_frames()
        })
    }

    fn with_progress(
        options: &OutputOptions,
        layout: &Layout,
        describe: impl FnOnce() -> HashMap<String, String>,
        context: WalkContext,
        progress: impl FnOnce(bool) -> Progress,
    ) -> Result<Self, Failure> {
        let place = Place::of(options.file.output.as_deref(), context.launched.is_some());
        let out = Destination::open_watched(&place, context.launched.clone())
            .map_err(|error| place.open(&error))?;
        let interruption = out.interruption().or(context.launched);
        let (width, is_terminal) = (out.width(), out.is_terminal());
        let for_programs = match options.format {
            Format::Arrow => Some("arrow"),
            Format::Svg => Some("svg"),
            Format::Text(_) => None,
        };
        if let Some(format) = for_programs.filter(|_| is_terminal) {
            return Err(Failure::Message(format!(
                "--format {format} is for programs, not for a terminal: give -o FILE or a pipe"
            )));
        }
        let is_unbuffered = is_terminal && context.freeze.is_none();
        let out = Output::new(out, context.freeze.is_some());
        let out = BufWriter::with_capacity(BUFFER, out);
        let writer = match options.format {
            Format::Arrow => {
                Stream::begin(out, layout, describe()).map(|stream| Form::Arrow(Box::new(stream)))
            }
            Format::Svg => Ok(Form::Picture(out)),
            Format::Text(format) => Writer::begin(format, out, layout, width).map(|writer| {
                Form::Text(match is_terminal {
                    true => writer.for_terminal(),
                    false => writer,
                })
            }),
        };
        let writer = writer.map_err(|error| place.write(&error))?;
        let (freeze, freeze_report) = context
            .freeze
            .map(|freeze| (freeze.guard, freeze.report))
            .unzip();
        Ok(Self {
            freeze,
            progress: progress(is_unbuffered),
            freeze_report,
            writer,
            is_unbuffered,
            interruption,
            place,
        })
    }

    /// Records that the walk has passed these addresses. Fails if a signal ended it.
    pub(crate) fn passed(&self, range: AddrRange) -> Result<(), Failure> {
        self.progress.passed(range);
        self.check()
    }

    /// Removes the progress line: the walk has ended.
    pub(crate) fn end_progress(&mut self) {
        self.progress.end();
    }

    /// Records that `done` processes of `of` were walked.
    pub(crate) fn passed_processes(&self, done: usize, of: usize) {
        self.progress.passed_of(done as u64, of as u64);
    }

    /// Returns the progress line.
    pub(crate) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Fails if a signal ended the walk.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        self.interruption
            .as_ref()
            .map_or(Ok(()), Interruption::check)
    }

    /// Writes a record.
    pub(crate) fn write(&mut self, record: &impl Record) -> Result<(), Failure> {
        self.progress.record();
        let Self {
            progress,
            writer,
            is_unbuffered,
            ..
        } = self;
        let written = progress.suspend(|| {
            writer.write(record)?;
            match is_unbuffered {
                true => writer.flush(),
                false => Ok(()),
            }
        });
        written.map_err(|error| self.place.write(&error))
    }

    /// Records that a record is part of a picture.
    pub(crate) fn drawn(&self) {
        self.progress.record();
    }

    /// Writes the picture of all records.
    pub(crate) fn draw(&mut self, picture: &str) -> Result<(), Failure> {
        let Form::Picture(out) = &mut self.writer else {
            return Err(Failure::Message("the output is no picture".to_owned()));
        };
        let written = self.progress.suspend(|| out.write_all(picture.as_bytes()));
        written.map_err(|error| self.place.write(&error))
    }

    /// Flushes the buffer.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        let flushed = self.writer.flush();
        flushed.map_err(|error| self.place.write(&error))
    }

    /// Completes the output.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        let Self {
            freeze,
            progress,
            freeze_report,
            writer,
            place,
            ..
        } = self;
        drop((freeze, progress, freeze_report));
        writer
            .finish()
            .and_then(|out| out.into_inner().map_err(io::IntoInnerError::into_error))
            .and_then(Output::keep)
            .map_err(|error| place.write(&error))
    }
}
