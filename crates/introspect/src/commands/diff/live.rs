//! A running process, compared with itself from time to time. Must not know snapshots.

use std::time::{Duration, Instant, SystemTime};

use process_introspection::{
    Error, IteratedRegions, NoRegions, Process, Recorder, Recording, RegionSource,
};
use process_introspection_export::ChangeKind;

use crate::commands::comparison::results::{Checked, Compared, Results};
use crate::control::interruption::sleep_until;
use crate::failure::Failure;
use crate::output::sink::Sink;

/// Compares a process with itself `count` times, or until it ends. Returns whether
/// anything differed. The regions of the last walk are held in memory.
pub(super) fn watch(
    process: &Process,
    every: Duration,
    count: u64,
    sink: &mut Sink,
) -> Result<bool, Failure> {
    let unique_pid = process.unique_pid().ok();
    let compared = Compared {
        pid: process.pid(),
        unique_pid: unique_pid.map(|unique| unique.as_i64().unsigned_abs()),
        command: process.command_line().into_encoded_bytes(),
    };
    let base = process.page_size();
    let (mut before, mut before_at) = (Recording::default(), SystemTime::now());
    let mut next = Instant::now() + every;
    let mut first = walk(process, &mut before, sink)?;
    while first.next_region()?.is_some() {}
    drop(first);
    let mut is_different = false;
    for _ in 0..count {
        sleep_until(next, || sink.check())?;
        next = (next + every).max(Instant::now());
        let (mut after, after_at) = (Recording::default(), SystemTime::now());
        let mut results = Results::new(before_at, after_at);
        let (compared, changed) = (compared.clone(), ChangeKind::Changed);
        let walked = walk(process, &mut after, sink).and_then(|mut second| {
            let compared = compared.clone();
            results.compare(compared, changed, &mut before.regions(), &mut second, base)
        });
        let has_ended = match walked {
            Err(Failure::Library(error)) if error.is_gone() => {
                results = Results::new(before_at, after_at);
                let (before, ended) = (&mut before.regions(), ChangeKind::Ended);
                results.compare(compared, ended, before, &mut NoRegions, base)?;
                true
            }
            walked => walked.map(|()| false)?,
        };
        is_different |= results.differ();
        results.visit(|record| sink.write(record))?;
        sink.flush()?;
        if has_ended {
            break;
        }
        (before, before_at) = (after, after_at);
    }
    Ok(is_different)
}

/// Returns the regions of the process, which are recorded as they pass.
fn walk<'a>(
    process: &'a Process,
    recording: &'a mut Recording,
    sink: &'a Sink,
) -> Result<impl RegionSource<Failure> + 'a, Failure> {
    let regions = process.walk(..).split_page_sizes().iter()?;
    let recorder = Recorder::new(IteratedRegions::new(regions), recording);
    Ok(Checked::<Sink, _, Error>::new(sink, recorder))
}
