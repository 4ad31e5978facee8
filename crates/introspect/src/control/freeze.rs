//! `--freeze`: a target that is frozen during a walk, and the line that says for how
//! long it was.

use std::sync::mpsc::{channel, Receiver, Sender};
use std::time::Duration;

use process_introspection::{Frozen, Process};

use crate::failure::{warn, Failure};
use crate::options::freeze::FreezeOption;
use crate::options::pid::TargetText;

/// Freezes a process that is called `target` in messages, if the option is present.
pub(crate) fn freeze(
    option: &FreezeOption,
    process: &Process,
    target: &TargetText,
) -> Result<Option<Freeze>, Failure> {
    let freeze = || Freeze::new(process, target.to_string());
    option.freeze.then(freeze).transpose()
}

/// A frozen process and the line about it. The line can be printed long after the
/// process was released: the terminal that shows progress may be the frozen process.
#[derive(Debug)]
pub(crate) struct Freeze {
    pub(crate) guard: FreezeGuard,
    pub(crate) report: FreezeReport,
}

/// Process that is frozen until this is dropped.
#[derive(Debug)]
pub(crate) struct FreezeGuard {
    frozen: Option<Frozen>,
    has_memory: bool,
    name: String,
    report: Sender<String>,
}

/// Prints, when dropped, how long a process was frozen.
#[derive(Debug)]
pub(crate) struct FreezeReport(Receiver<String>);

impl Freeze {
    /// Freezes a process that is called `name` in messages.
    pub(crate) fn new(process: &Process, name: String) -> Result<Self, Failure> {
        let frozen = Some(process.freeze()?);
        let (report, line) = channel();
        let guard = FreezeGuard {
            frozen,
            has_memory: process.has_memory(),
            name,
            report,
        };
        Ok(Self {
            guard,
            report: FreezeReport(line),
        })
    }
}

impl Drop for FreezeGuard {
    fn drop(&mut self) {
        let Some(frozen) = self.frozen.take() else {
            return;
        };
        let name = &self.name;
        let line = if !self.has_memory {
            format!("process {name} was not frozen: it has no memory")
        } else if frozen.was_stopped_before() {
            format!("process {name} was stopped before, and stays so")
        } else {
            format!("process {name} was frozen for {}", words(frozen.release()))
        };
        // The report may have been dropped already.
        let _ = self.report.send(line);
    }
}

impl Drop for FreezeReport {
    fn drop(&mut self) {
        if let Ok(line) = self.0.try_recv() {
            warn(line);
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
    fn durations_have_a_fitting_unit() {
        assert_eq!(words(Duration::from_micros(3_210)), "3.2 ms");
        assert_eq!(words(Duration::from_micros(40)), "0.0 ms");
        assert_eq!(words(Duration::from_millis(2_540)), "2.5 s");
    }
}
