//! Where a walk's records go: a format, a destination, and the progress line.

use std::io::{self, BufWriter};

use process_introspection::AddrRange;
use process_introspection_export::{Layout, Record, Writer};

use crate::commands::OutputOptions;
use crate::control::freeze::{Note, Standing, Stop};
use crate::control::interruption::Interruption;
use crate::failure::Failure;
use crate::output::deferred::Output;
use crate::output::destination::Destination;
use crate::output::place::Place;
use crate::output::progress::Progress;

/// Bytes that are gathered before they are written.
pub(crate) const BUFFER: usize = 64 << 10;

/// Around what a walk is made.
#[derive(Debug, Default)]
pub(crate) struct Setting {
    /// The process, if it stands still for the walk.
    pub(crate) standing: Option<Standing>,
    /// Set where standard output is that of a program that was started: notes
    /// the signals that end the walk.
    pub(crate) beside_program: Option<Interruption>,
}

impl From<Option<Standing>> for Setting {
    fn from(standing: Option<Standing>) -> Self {
        Self {
            standing,
            ..Self::default()
        }
    }
}

/// Takes the records of one walk.
///
/// Its fields are dropped in this order: a process that stands still goes on
/// before anything is waited for that it may have to do.
#[derive(Debug)]
pub(crate) struct Sink {
    stop: Option<Stop>,
    progress: Progress,
    note: Option<Note>,
    writer: Writer<BufWriter<Output>>,
    /// A person sees each record at once.
    each_at_once: bool,
    /// Watched while something is to be put in order.
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
        setting: Setting,
    ) -> Result<Self, Failure> {
        Self::with_progress(options, layout, setting, |is_seen| {
            Progress::new(ranges, is_seen)
        })
    }

    /// Opens the output for what is said when all was walked, see
    /// [`Sink::end_progress`].
    pub(crate) fn gathering(
        options: &OutputOptions,
        layout: &Layout,
        ranges: &[AddrRange],
        setting: Setting,
    ) -> Result<Self, Failure> {
        Self::with_progress(options, layout, setting, |_| Progress::new(ranges, false))
    }

    /// Opens the output of a pass over processes, see
    /// [`Sink::passed_processes`].
    pub(crate) fn over_processes(
        options: &OutputOptions,
        layout: &Layout,
    ) -> Result<Self, Failure> {
        let setting = Setting::default();
        Self::with_progress(options, layout, setting, |_| Progress::over_processes())
    }

    fn with_progress(
        options: &OutputOptions,
        layout: &Layout,
        setting: Setting,
        progress: impl FnOnce(bool) -> Progress,
    ) -> Result<Self, Failure> {
        let (stop, note) = match setting.standing {
            Some(Standing { stop, note }) => (Some(stop), Some(note)),
            None => (None, None),
        };
        let otherwise = match setting.beside_program {
            Some(_) => Place::StandardError,
            None => Place::StandardOutput,
        };
        let place = Place::of(options.output.as_deref(), otherwise);
        let out = Destination::open_watched(&place, setting.beside_program.clone())
            .map_err(|error| place.open(&error))?;
        let interruption = out.interruption().or(setting.beside_program);
        let (width, is_terminal) = (out.width(), out.is_terminal());
        let each_at_once = is_terminal && stop.is_none();
        let out = match stop {
            Some(_) => Output::in_the_end(out),
            None => Output::direct(out),
        };
        let out = BufWriter::with_capacity(BUFFER, out);
        let mut writer = Writer::begin(options.format.0, out, layout, width)
            .map_err(|error| place.write(&error))?;
        if is_terminal {
            writer = writer.for_terminal();
        }
        Ok(Self {
            stop,
            progress: progress(each_at_once),
            note,
            writer,
            each_at_once,
            interruption,
            place,
        })
    }

    /// Notes that the walk has come past these addresses. Fails when a signal
    /// has ended it.
    pub(crate) fn passed(&self, range: AddrRange) -> Result<(), Failure> {
        self.progress.passed(range);
        self.check()
    }

    /// Nothing more is walked: what is written now stands alone on a terminal.
    pub(crate) fn end_progress(&mut self) {
        self.progress.end();
    }

    /// Notes that so many processes of so many are done with.
    pub(crate) fn passed_processes(&self, done: usize, of: usize) {
        self.progress.passed_processes(done, of);
    }

    /// Fails when a signal has ended it.
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
            each_at_once,
            ..
        } = self;
        let written = progress.aside(|| {
            writer.write(record)?;
            match each_at_once {
                true => writer.flush(),
                false => Ok(()),
            }
        });
        written.map_err(|error| self.place.write(&error))
    }

    /// Hands on what was written.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        let flushed = self.writer.flush();
        flushed.map_err(|error| self.place.write(&error))
    }

    /// Ends a complete output.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        let Self {
            stop,
            progress,
            note,
            writer,
            place,
            ..
        } = self;
        drop((stop, progress, note));
        writer
            .finish()
            .and_then(|out| out.into_inner().map_err(io::IntoInnerError::into_error))
            .and_then(Output::keep)
            .map_err(|error| place.write(&error))
    }
}
