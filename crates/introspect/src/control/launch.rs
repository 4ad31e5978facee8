//! `-- COMMAND`: starts a program, has it walked at the requested moments, and ends as
//! the program ends. Must not know what a walk reads or writes.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{self, ExitStatus};
use std::sync::mpsc::{channel, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Instant;

use process_introspection::{LaunchError, Moment, Process, Program};
use signal_hook::iterator::exfiltrator::WithRawSiginfo;
use signal_hook::iterator::{Handle, SignalsInfo};

use crate::control::ending::{status_of_signal, Ending, Signal};
use crate::control::freeze::Freeze;
use crate::control::interruption::Interruption;
use crate::control::sanitizer;
use crate::failure::{warn, Failure};
use crate::options::freeze::FreezeOption;
use crate::options::launch::LaunchOptions;
use crate::text::printable;

/// Exit statuses as those of env(1), nice(1) and timeout(1).
const OWN_FAILURE: u8 = 125;
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

/// A frozen target and the signals that end its walk.
#[derive(Debug, Default)]
pub(crate) struct WalkContext {
    /// The process, if it is frozen during the walk.
    pub(crate) freeze: Option<Freeze>,
    /// Signals that end the walk, if standard output belongs to a started program.
    pub(crate) launched: Option<Interruption>,
}

impl From<Option<Freeze>> for WalkContext {
    fn from(freeze: Option<Freeze>) -> Self {
        Self {
            freeze,
            launched: None,
        }
    }
}

/// Walk of the started program.
type Walk<'a> = dyn FnMut(&Process, WalkContext) -> Result<(), Failure> + 'a;

/// Starts the program if `check` succeeds, has it walked, and returns the exit status:
/// that of the program, but 125 if a walk failed and the program did not.
pub(crate) fn launch(
    options: &LaunchOptions,
    freeze: &FreezeOption,
    check: impl FnOnce() -> Result<(), Failure>,
    walk: &mut Walk<'_>,
) -> Result<u8, Failure> {
    let own = |failure: Failure| Failure::Launch {
        status: OWN_FAILURE,
        message: failure.message(None),
    };
    check().map_err(own)?;
    let cannot = |error: io::Error| own(Failure::io("watch signals", &error));
    let (send, events) = channel();
    let on = options.on.map(|signal| signal.number());
    let mut signals = SignalsInfo::<WithRawSiginfo>::new(on).map_err(cannot)?;
    let handle = signals.handle();
    let ending = Ending::default();
    let (receiver, sender) = (ending.clone(), send.clone());
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            for signal in signals.forever() {
                let (number, code) = (signal.si_signo, signal.si_code);
                match Some(number) == on {
                    true => drop(sender.send(Event::OnSignal)),
                    false => receiver.receive(Signal { number, code }),
                }
            }
        })
        .map_err(cannot)?;
    let program = start(options, send, handle, &ending)?;
    let mut run = Run {
        pid: program.pid(),
        freeze: freeze.freeze,
        ending: &ending,
        has_failed: false,
        walk,
    };
    ending.has_started(program);
    let status = run.until_end(options, &events);
    let status = status.map_err(|error| own(Failure::io("wait for the program", &error)))?;
    Ok(match status {
        0 if run.has_failed => OWN_FAILURE,
        status => status,
    })
}

fn start(
    options: &LaunchOptions,
    send: Sender<Event>,
    signals: Handle,
    ending: &Ending,
) -> Result<Program, Failure> {
    let mut words = options.command.iter();
    let name = words.next().cloned().unwrap_or_default();
    let mut command = process::Command::new(&name);
    command.args(words);
    // At once: the reader of the events may be busy.
    let ending = ending.clone();
    let notify = move |moment| {
        match &moment {
            Moment::AtExit(_) => ending.is_at_exit(),
            Moment::Ended(Ok(status)) => ending.has_ended(status_of(*status)),
            _ => {}
        }
        drop(send.send(Event::Program(moment)));
    };
    // The program inherits the dispositions that this process had before; from its
    // first instruction on, a signal that ends it does not end this process at once.
    let ending_signals = Ending::signals();
    let ready = move || {
        for signal in ending_signals {
            // Fails only for forbidden signals, which these are not.
            let _ = signals.add_signal(signal);
        }
    };
    let started = match options.is_at_exit() {
        true => {
            sanitizer::warn_of_tracing(&name);
            Program::start_traced(command, ready, notify)
        }
        false => Program::start(command, ready, notify),
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

/// Event while the program runs.
#[derive(Debug)]
enum Event {
    Program(Moment),
    /// The signal of `--on` arrived.
    OnSignal,
}

/// A run of the program.
struct Run<'a> {
    pid: u32,
    freeze: bool,
    ending: &'a Ending,
    has_failed: bool,
    walk: &'a mut Walk<'a>,
}

impl Run<'_> {
    /// Walks the program when events request it, and returns its exit status.
    fn until_end(&mut self, options: &LaunchOptions, events: &Receiver<Event>) -> io::Result<u8> {
        let mut deadline = options
            .after
            .and_then(|after| Instant::now().checked_add(after));
        // With `--on` no walk is missing if no signal arrived.
        let mut is_missing = options.on.is_none();
        let mut is_at_exit = false;
        loop {
            let event = match deadline {
                None => events.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(at) => events.recv_timeout(at.saturating_duration_since(Instant::now())),
            };
            match event {
                Ok(Event::Program(Moment::AtExit(stopped))) => {
                    (is_missing, is_at_exit) = (false, true);
                    // No thread of it runs any more.
                    self.walk(false);
                    stopped.release();
                }
                Ok(Event::Program(Moment::Ended(status))) => {
                    let status = status?;
                    return Ok(match self.ending.signal() {
                        // The signal was for the walk, not for the program.
                        Some(signal) if is_at_exit => status_of_signal(signal),
                        None if is_missing => {
                            self.fail("the program has ended before it could be looked at");
                            status_of(status)
                        }
                        _ => status_of(status),
                    });
                }
                Ok(Event::Program(_)) => {}
                Ok(Event::OnSignal) => self.walk(self.freeze),
                Err(RecvTimeoutError::Timeout) => {
                    (deadline, is_missing) = (None, false);
                    self.walk(self.freeze);
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
        }
    }

    fn walk(&mut self, freeze: bool) {
        match self.try_walk(freeze) {
            // The signal ends the command, with a status that says so.
            Ok(()) | Err(Failure::ReaderGone | Failure::Interrupted(_)) => {}
            Err(failure) => self.fail(&failure.message(None)),
        }
    }

    fn try_walk(&mut self, freeze: bool) -> Result<(), Failure> {
        let process = Process::open(self.pid)?;
        let freeze = freeze.then(|| Freeze::new(&process, self.pid.to_string()));
        let context = WalkContext {
            freeze: freeze.transpose()?,
            launched: Some(self.ending.interruption()),
        };
        (self.walk)(&process, context)
    }

    fn fail(&mut self, message: &str) {
        self.has_failed = true;
        warn(message);
    }
}

/// Returns the status as a shell has it.
fn status_of(status: ExitStatus) -> u8 {
    match (status.code(), status.signal()) {
        (Some(code), _) => u8::try_from(code).unwrap_or(OWN_FAILURE),
        (None, Some(signal)) => status_of_signal(signal),
        (None, None) => OWN_FAILURE,
    }
}
