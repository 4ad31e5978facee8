//! `-- COMMAND`: a program is started, looked at, and ends as it would have
//! without this. Knows when it is looked at, not what for.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{self, ExitStatus};
use std::sync::mpsc::{channel, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, ValueEnum};
use process_introspection::{LaunchError, Moment, Process, Program};
use signal_hook::consts::{SIGUSR1, SIGUSR2};
use signal_hook::iterator::exfiltrator::WithRawSiginfo;
use signal_hook::iterator::{Handle, SignalsInfo};

use crate::commands::{Arguments, FreezeOption};
use crate::control::ending::{status_of_signal, Ending, Signal};
use crate::control::freeze::Standing;
use crate::control::sanitizer;
use crate::failure::Failure;
use crate::options::mounts::MountOptions;
use crate::options::target::printable;
use crate::output::sink::Setting;

/// As env(1), nice(1) and timeout(1) end.
const OWN_FAILURE: u8 = 125;
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

/// A program to start, and when to look at it.
#[derive(Debug, Args)]
pub(crate) struct Launch {
    /// Looks at COMMAND before its memory goes (the default)
    #[arg(long, value_name = "MOMENT", requires = "command", conflicts_with_all = ["after", "on"])]
    at: Option<At>,
    /// Looks at COMMAND so long after its start, such as 2s or 500ms
    #[arg(long, value_name = "TIME", requires = "command", conflicts_with = "on",
        value_parser = humantime::parse_duration)]
    after: Option<Duration>,
    /// Looks at COMMAND whenever this signal is sent to introspect
    #[arg(long, value_name = "SIGNAL", requires = "command", ignore_case = true)]
    on: Option<On>,
    /// A program to start and to look at, with its arguments
    #[arg(value_name = "COMMAND", last = true)]
    command: Vec<OsString>,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq, ValueEnum)]
enum At {
    Exit,
}

/// The signals that are free for such uses.
#[derive(Copy, Clone, Debug, PartialEq, Eq, ValueEnum)]
enum On {
    #[value(name = "USR1", alias = "SIGUSR1")]
    User1,
    #[value(name = "USR2", alias = "SIGUSR2")]
    User2,
}

impl On {
    fn number(self) -> i32 {
        match self {
            Self::User1 => SIGUSR1,
            Self::User2 => SIGUSR2,
        }
    }
}

/// What can happen while the program runs.
#[derive(Debug)]
enum Event {
    Program(Moment),
    /// The signal of `--on` has come.
    Asked,
}

impl Launch {
    /// Whether there is a program to start.
    pub(crate) fn is_asked_for(&self) -> bool {
        !self.command.is_empty()
    }

    /// Refuses other mounts for a program that is started, which is a process of
    /// this `/proc`, and `--freeze` for a look at the exit, where nothing runs
    /// that could be stopped.
    pub(crate) fn check(
        &self,
        freeze: &FreezeOption,
        mounts: &MountOptions,
    ) -> Result<(), clap::Error> {
        if self.is_asked_for() && mounts.is_given() {
            let message = "--procfs and --sysfs have no effect on COMMAND, which is a process of \
                           this /proc";
            return Err(Arguments::command().error(ErrorKind::ArgumentConflict, message));
        }
        let is_at_exit = self.is_asked_for() && self.after.is_none() && self.on.is_none();
        if !(is_at_exit && freeze.freeze) {
            return Ok(());
        }
        let message =
            "--freeze has no effect at the exit of COMMAND, where it stands still anyway: \
            use it with --after or --on";
        Err(Arguments::command().error(ErrorKind::ArgumentConflict, message))
    }

    /// Starts the program if `check` finds nothing against it, has `report`
    /// look at it, and gives the status to end with: the program's, but 125
    /// where a report has failed and the program has not.
    pub(crate) fn run(
        &self,
        check: impl FnOnce() -> Result<(), Failure>,
        freeze: &FreezeOption,
        mut report: impl FnMut(&Process, Setting) -> Result<(), Failure>,
    ) -> Result<u8, Failure> {
        let own = |failure: Failure| Failure::Launch {
            status: OWN_FAILURE,
            message: failure.message(None),
        };
        check().map_err(own)?;
        let cannot = |error: io::Error| own(Failure::io("watch signals", &error));
        let (send, events) = channel();
        let on = self.on.map(On::number);
        let mut signals = SignalsInfo::<WithRawSiginfo>::new(on).map_err(cannot)?;
        let handle = signals.handle();
        let ending = Ending::default();
        let (taking, asking) = (ending.clone(), send.clone());
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                for signal in signals.forever() {
                    let (number, code) = (signal.si_signo, signal.si_code);
                    match Some(number) == on {
                        true => drop(asking.send(Event::Asked)),
                        false => taking.take(Signal { number, code }),
                    }
                }
            })
            .map_err(cannot)?;
        let program = self.start(send, handle, &ending)?;
        let deadline = self
            .after
            .and_then(|after| Instant::now().checked_add(after));
        let mut watched = Watched {
            pid: program.pid(),
            freeze: freeze.freeze,
            ending: &ending,
            has_failed: false,
            report: &mut report,
        };
        ending.has_started(program);
        let status = watched.until_end(self, &events, deadline);
        let status = status.map_err(|error| own(Failure::io("wait for the program", &error)))?;
        Ok(match status {
            0 if watched.has_failed => OWN_FAILURE,
            status => status,
        })
    }

    fn start(
        &self,
        send: Sender<Event>,
        signals: Handle,
        ending: &Ending,
    ) -> Result<Program, Failure> {
        let mut words = self.command.iter();
        let name = words.next().cloned().unwrap_or_default();
        let mut command = process::Command::new(&name);
        command.args(words);
        // As soon as it is so: who reads the events may be busy.
        let ending = ending.clone();
        let notify = move |moment| {
            match &moment {
                Moment::AtExit(_) => ending.is_at_exit(),
                Moment::Ended(Ok(status)) => ending.has_ended(status_of(*status)),
                _ => {}
            }
            drop(send.send(Event::Program(moment)));
        };
        // It keeps the dispositions that this had before; and from its first
        // instruction on, what ends it does not end this at once.
        let ending_signals = Ending::signals();
        let ready = move || {
            for signal in ending_signals {
                // It fails for signals that are not there, which none of these is.
                let _ = signals.add_signal(signal);
            }
        };
        let started = match (self.after, self.on) {
            (None, None) => {
                sanitizer::warn_of_tracing(&name);
                Program::start_traced(command, ready, notify)
            }
            _ => Program::start(command, ready, notify),
        };
        started.map_err(|error| {
            let name = printable(&name);
            let (status, message) = match error {
                LaunchError::Start(error) => {
                    let status = match error.kind() {
                        io::ErrorKind::NotFound => NOT_FOUND,
                        _ => NOT_EXECUTABLE,
                    };
                    (status, format!("cannot start {name}: {error}"))
                }
                error => (
                    OWN_FAILURE,
                    format!(
                        "{name}: {error} (to look at it at its exit needs ptrace; --after and --on do not)"
                    ),
                ),
            };
            Failure::Launch { status, message }
        })
    }
}

/// The program while it runs, and what is done about it.
struct Watched<'a> {
    pid: u32,
    freeze: bool,
    ending: &'a Ending,
    has_failed: bool,
    report: &'a mut dyn FnMut(&Process, Setting) -> Result<(), Failure>,
}

impl Watched<'_> {
    /// Gives the status to end with, unless a report has failed.
    fn until_end(
        &mut self,
        launch: &Launch,
        events: &Receiver<Event>,
        mut deadline: Option<Instant>,
    ) -> io::Result<u8> {
        // Each signal asks anew; nothing is missing if none came.
        let mut is_missing = launch.on.is_none();
        let mut is_at_exit = false;
        loop {
            let event = match deadline {
                None => events.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(at) => events.recv_timeout(at.saturating_duration_since(Instant::now())),
            };
            match event {
                Ok(Event::Program(Moment::AtExit(standing))) => {
                    (is_missing, is_at_exit) = (false, true);
                    // Nothing of it runs any more.
                    self.look(false);
                    standing.release();
                }
                Ok(Event::Program(Moment::Ended(status))) => {
                    let status = status?;
                    return Ok(match self.ending.signal() {
                        // That was for the report, not for the program.
                        Some(signal) if is_at_exit => status_of_signal(signal),
                        None if is_missing => {
                            self.fail("the program has ended before it could be looked at");
                            status_of(status)
                        }
                        _ => status_of(status),
                    });
                }
                Ok(Event::Program(_)) => {}
                Ok(Event::Asked) => self.look(self.freeze),
                Err(RecvTimeoutError::Timeout) => {
                    (deadline, is_missing) = (None, false);
                    self.look(self.freeze);
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
        }
    }

    fn look(&mut self, freeze: bool) {
        match self.report(freeze) {
            // The signal ends the command, with a status that says so.
            Ok(()) | Err(Failure::ReaderGone | Failure::Interrupted(_)) => {}
            Err(failure) => self.fail(&failure.message(None)),
        }
    }

    fn report(&mut self, freeze: bool) -> Result<(), Failure> {
        let process = Process::open(self.pid)?;
        let standing = freeze.then(|| Standing::still(&process, self.pid.to_string()));
        let setting = Setting {
            standing: standing.transpose()?,
            beside_program: Some(self.ending.interruption()),
        };
        (self.report)(&process, setting)
    }

    fn fail(&mut self, message: &str) {
        self.has_failed = true;
        let _ = writeln!(io::stderr(), "introspect: {message}");
    }
}

/// As a shell gives it.
fn status_of(status: ExitStatus) -> u8 {
    match (status.code(), status.signal()) {
        (Some(code), _) => u8::try_from(code).unwrap_or(OWN_FAILURE),
        (None, Some(signal)) => status_of_signal(signal),
        (None, None) => OWN_FAILURE,
    }
}
