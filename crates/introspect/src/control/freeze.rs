//! A target that stands still for a walk (`--freeze`), and the line that says
//! for how long.

use std::io::Write;
use std::sync::mpsc::{channel, Receiver, Sender};
use std::time::Duration;

use process_introspection::{Frozen, Process};

use crate::commands::FreezeOption;
use crate::failure::Failure;
use crate::options::pid::TargetText;

/// A stop and what there is to say about it, which can be long after: a
/// terminal that shows progress may be what stands still.
#[derive(Debug)]
pub(crate) struct Standing {
    pub(crate) stop: Stop,
    pub(crate) note: Note,
}

/// A process that stands still until this is dropped.
#[derive(Debug)]
pub(crate) struct Stop {
    frozen: Option<Frozen>,
    has_memory: bool,
    name: String,
    note: Sender<String>,
}

/// Says, when it is dropped, how long a process stood still.
#[derive(Debug)]
pub(crate) struct Note(Receiver<String>);

impl FreezeOption {
    /// Stops a process that was named so, if that is asked for.
    pub(crate) fn stop(
        &self,
        process: &Process,
        target: &TargetText,
    ) -> Result<Option<Standing>, Failure> {
        match self.freeze {
            true => Standing::still(process, target.to_string()).map(Some),
            false => Ok(None),
        }
    }
}

impl Standing {
    /// Stops a process, which is called `name` in what is said.
    pub(crate) fn still(process: &Process, name: String) -> Result<Self, Failure> {
        let frozen = Some(process.freeze()?);
        let (note, said) = channel();
        let stop = Stop {
            frozen,
            has_memory: process.has_memory(),
            name,
            note,
        };
        Ok(Self {
            stop,
            note: Note(said),
        })
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        let Some(frozen) = self.frozen.take() else {
            return;
        };
        let name = &self.name;
        let said = if !self.has_memory {
            format!("process {name} was not stopped: it has no memory")
        } else if frozen.was_stopped_before() {
            format!("process {name} was stopped before, and stays so")
        } else {
            format!("process {name} stood still for {}", words(frozen.release()))
        };
        // Where nobody is to say it, nobody wants to know.
        let _ = self.note.send(said);
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        if let Ok(said) = self.0.try_recv() {
            let _ = writeln!(std::io::stderr(), "introspect: {said}");
        }
    }
}

fn words(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match seconds < 1.0 {
        true => format!("{:.1} ms", seconds * 1e3),
        false => format!("{seconds:.1} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_said_in_fitting_units() {
        assert_eq!(words(Duration::from_micros(3_210)), "3.2 ms");
        assert_eq!(words(Duration::from_micros(40)), "0.0 ms");
        assert_eq!(words(Duration::from_millis(2_540)), "2.5 s");
    }
}
