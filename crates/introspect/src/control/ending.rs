//! Signals that end the command while the program that it started runs. The program
//! receives them as well and has half a second to end. The command never kills it; a
//! program that ignores them runs on untraced.

use std::process;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use process_introspection::{is_signal_ignored, Program};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

use crate::control::interruption::{Interruption, GRACE_PERIOD};

/// `si_code` of a signal from the kernel, such as a terminal's
/// (include/uapi/asm-generic/siginfo.h).
const FROM_KERNEL: i32 = 0x80;

/// A received signal.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Signal {
    pub(crate) number: i32,
    /// `si_code` of sigaction(2).
    pub(crate) code: i32,
}

/// Stage of the program.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Running,
    /// Stopped at its exit.
    AtExit,
    Ended {
        /// The status as a shell has it.
        status: u8,
    },
}

/// End of the command while the program runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ending {
    state: Arc<Mutex<State>>,
    /// Ends a running walk.
    interruption: Interruption,
}

#[derive(Debug, Default)]
struct State {
    program: Option<Program>,
    /// Signals received before the program was started.
    early: Vec<Signal>,
    stage: Stage,
    /// First signal received in this stage.
    first: Option<i32>,
}

impl State {
    fn forward(&mut self, signal: Signal) {
        let Some(program) = &self.program else {
            self.early.push(signal);
            return;
        };
        // A terminal sent it to the whole process group.
        if signal.code == FROM_KERNEL && program.is_in_own_process_group() {
            return;
        }
        // Fails if the program ended or changed its user.
        let _ = program.signal(signal.number);
    }
}

impl Ending {
    /// Returns the signals that end the command. An ignored signal stays ignored, in the
    /// program too, as `nohup` requires.
    pub(crate) fn signals() -> Vec<i32> {
        let all = [SIGHUP, SIGINT, SIGQUIT, SIGTERM];
        all.into_iter()
            .filter(|&signal| !is_signal_ignored(signal))
            .collect()
    }

    /// Returns what ends a running walk.
    pub(crate) fn interruption(&self) -> Interruption {
        self.interruption.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records the started program. Signals received before are forwarded to it.
    pub(crate) fn has_started(&self, program: Program) {
        let mut state = self.state();
        state.program = Some(program);
        for signal in std::mem::take(&mut state.early) {
            state.forward(signal);
        }
    }

    /// Records that the program is stopped at its exit. A signal received before had its
    /// effect: the walk of the exit is written in full, unless another one arrives.
    pub(crate) fn is_at_exit(&self) {
        let mut state = self.state();
        (state.stage, state.first) = (Stage::AtExit, None);
        self.interruption.clear();
    }

    /// Records that the program ended with this status.
    pub(crate) fn has_ended(&self, status: u8) {
        self.state().stage = Stage::Ended { status };
    }

    /// Returns the signal that ends the command, if one was received since the program
    /// reached its exit, or since its start if it did not.
    pub(crate) fn signal(&self) -> Option<i32> {
        self.state().first
    }

    /// Handles a received signal: forwards it to the program, ends a running walk, and
    /// ends the command after the grace period.
    pub(crate) fn receive(&self, signal: Signal) {
        let mut state = self.state();
        if state.stage == Stage::Running {
            state.forward(signal);
        }
        self.interruption.set(signal.number);
        if state.first.is_some() {
            return;
        }
        state.first = Some(signal.number);
        let (ending, stage) = (self.clone(), state.stage);
        let end_in_time = move || {
            thread::sleep(GRACE_PERIOD);
            ending.end(signal.number, stage);
        };
        let timer = thread::Builder::new().name("ending".to_owned());
        if timer.spawn(end_in_time).is_err() {
            drop(state);
            self.end(signal.number, Stage::Ended { status: 0 });
        }
    }

    /// Ends the command by a signal that was received in that stage, because a walk may
    /// wait forever. A traced program continues when its tracer ends, a frozen one when
    /// its watchdog sees this end.
    fn end(&self, signal: i32, stage: Stage) {
        let state = self.state();
        let status = match (stage, state.stage) {
            // It ends by the signal, and is being walked.
            (Stage::Running, Stage::AtExit) => return,
            (_, Stage::Ended { status }) => status,
            _ => status_of_signal(signal),
        };
        self.interruption.remove_temporary_file();
        process::exit(i32::from(status));
    }
}

/// Returns the status that a shell has for a signal.
pub(crate) fn status_of_signal(signal: i32) -> u8 {
    u8::try_from(signal)
        .ok()
        .and_then(|signal| signal.checked_add(128))
        .unwrap_or(u8::MAX)
}
