//! Runs of the command, with their time and the peak of their memory.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::streaming::size;

/// Time between two looks at the memory of the command.
const INTERVAL: Duration = Duration::from_micros(500);

/// One run of the command.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Run {
    pub(crate) seconds: f64,
    /// Largest VmHWM that was seen, in KiB.
    pub(crate) peak: f64,
}

/// Runs a program, which must succeed, without its output.
pub(crate) fn run(program: &Path, arguments: &[&str]) -> Result<Run, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", program.display());
    let begun = Instant::now();
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .map_err(failed)?;
    // The kernel's own number for children that have ended includes the memory of the
    // program that started them.
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    let ended = loop {
        if let Some(ended) = child.try_wait().map_err(failed)? {
            break ended;
        }
        let text = fs::read_to_string(&status).unwrap_or_default();
        peak = peak.max(size(&text, "VmHWM").unwrap_or(0));
        sleep(INTERVAL);
    };
    let seconds = begun.elapsed().as_secs_f64();
    if !ended.success() {
        let arguments = arguments.join(" ");
        return Err(format!("{} {arguments}: {ended}", program.display()));
    }
    Ok(Run {
        seconds,
        peak: peak as f64,
    })
}
