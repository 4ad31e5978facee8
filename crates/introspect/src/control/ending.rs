//! Signals that end the command while a program runs that it has started: the
//! program gets them as well, and has a moment to end by them. The command never
//! kills it: where it runs on, it does so by itself.

use std::process;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use process_introspection::{is_signal_ignored, Program};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

use crate::control::interruption::{Interruption, PATIENCE};

/// `si_code` of a signal from the kernel, such as a terminal's
/// (include/uapi/asm-generic/siginfo.h).
const FROM_KERNEL: i32 = 0x80;

/// A signal that has come.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Signal {
    pub(crate) number: i32,
    /// `si_code` of sigaction(2).
    pub(crate) code: i32,
}

/// How far the program has come.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Running,
    /// It stands at its exit.
    AtExit,
    Ended {
        /// As a shell gives it.
        status: u8,
    },
}

/// The way to the command's end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ending {
    state: Arc<Mutex<State>>,
    /// Ends a report that is under way.
    interruption: Interruption,
}

#[derive(Debug, Default)]
struct State {
    program: Option<Program>,
    /// Those that came before there was a program.
    early: Vec<Signal>,
    stage: Stage,
    /// The first that came in this stage.
    first: Option<i32>,
}

impl State {
    fn pass_on(&mut self, signal: Signal) {
        let Some(program) = &self.program else {
            self.early.push(signal);
            return;
        };
        // A terminal has sent it to the whole process group.
        if signal.code == FROM_KERNEL && program.is_in_own_process_group() {
            return;
        }
        // It may have ended, or have become another user's.
        let _ = program.signal(signal.number);
    }
}

impl Ending {
    /// The signals that end the command. One that is ignored stays so, in the
    /// program too, as `nohup` wants it.
    pub(crate) fn signals() -> Vec<i32> {
        let all = [SIGHUP, SIGINT, SIGQUIT, SIGTERM];
        all.into_iter()
            .filter(|&signal| !is_signal_ignored(signal))
            .collect()
    }

    /// What ends a report that is under way.
    pub(crate) fn interruption(&self) -> Interruption {
        self.interruption.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the program once it has been started. Signals that came before
    /// are sent to it.
    pub(crate) fn has_started(&self, program: Program) {
        let mut state = self.state();
        state.program = Some(program);
        for signal in std::mem::take(&mut state.early) {
            state.pass_on(signal);
        }
    }

    /// Notes that the program stands at its exit. A signal that came before has
    /// done its work: the report of the exit is written in full, unless another
    /// one comes.
    pub(crate) fn is_at_exit(&self) {
        let mut state = self.state();
        (state.stage, state.first) = (Stage::AtExit, None);
        self.interruption.forget();
    }

    /// Notes that the program has ended with this status.
    pub(crate) fn has_ended(&self, status: u8) {
        self.state().stage = Stage::Ended { status };
    }

    /// The signal that ends the command, if one has come since the program came
    /// to its exit, or since its start if it has not.
    pub(crate) fn signal(&self) -> Option<i32> {
        self.state().first
    }

    /// Takes a signal: the program gets it, a report under way ends, and a
    /// moment later the command does.
    pub(crate) fn take(&self, signal: Signal) {
        let mut state = self.state();
        if state.stage == Stage::Running {
            state.pass_on(signal);
        }
        self.interruption.note(signal.number);
        if state.first.is_some() {
            return;
        }
        state.first = Some(signal.number);
        let (ending, stage) = (self.clone(), state.stage);
        let end_in_time = move || {
            thread::sleep(PATIENCE);
            ending.end(signal.number, stage);
        };
        let timer = thread::Builder::new().name("ending".to_owned());
        if timer.spawn(end_in_time).is_err() {
            drop(state);
            self.end(signal.number, Stage::Ended { status: 0 });
        }
    }

    /// Ends the command by a signal that came in that stage. Whatever is under
    /// way may wait for ever. A program that is traced goes on when its tracer
    /// ends, one that stands still when its watchdog sees this end.
    fn end(&self, signal: i32, stage: Stage) {
        let state = self.state();
        let status = match (stage, state.stage) {
            // It ends by the signal, and is being looked at.
            (Stage::Running, Stage::AtExit) => return,
            (_, Stage::Ended { status }) => status,
            _ => status_of_signal(signal),
        };
        self.interruption.remove_leftover();
        process::exit(i32::from(status));
    }
}

/// As a shell gives it.
pub(crate) fn status_of_signal(signal: i32) -> u8 {
    u8::try_from(signal)
        .ok()
        .and_then(|signal| signal.checked_add(128))
        .unwrap_or(u8::MAX)
}
