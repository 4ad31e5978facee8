//! The progress line of a long walk on a terminal. A separate thread draws it, because
//! one record can take long to find.

use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{channel, RecvTimeoutError, Sender};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use process_introspection::AddrRange;

/// Time before the progress line appears.
const DELAY: Duration = Duration::from_secs(1);
const INTERVAL: Duration = Duration::from_millis(100);

/// Position of the walk.
#[derive(Debug, Default)]
struct Position {
    records: AtomicU64,
    /// Address that the walk has reached.
    address: AtomicU64,
    /// Bytes of the ranges before that address, or processes that were walked.
    done: AtomicU64,
    /// Number of processes, if processes are walked.
    processes: Option<AtomicU64>,
    /// The line.
    bar: OnceLock<ProgressBar>,
}

/// Shows the progress of one walk until it is dropped.
#[derive(Debug)]
pub(crate) struct Progress {
    position: Arc<Position>,
    /// The ranges, each with the bytes of the ranges before it.
    ranges: Vec<(AddrRange, u64)>,
    shown: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Progress {
    /// Progress of a walk over `ranges`, which is not shown to a person who sees the
    /// records.
    pub(crate) fn new(ranges: &[AddrRange], records_are_seen: bool) -> Self {
        let whole = ranges.first() == Some(&AddrRange::ALL);
        let (ranges, total) = with_bytes_before(ranges);
        // A percentage of the whole address space means nothing.
        let total = (!whole).then_some(total);
        Self::of(Position::default(), ranges, total, records_are_seen)
    }

    /// Progress of a walk over processes, see [`Progress::passed_processes`]. The line is
    /// removed for each record, because there are few.
    pub(crate) fn over_processes() -> Self {
        let position = Position {
            processes: Some(AtomicU64::new(0)),
            ..Position::default()
        };
        Self::of(position, Vec::new(), Some(0), false)
    }

    fn of(
        position: Position,
        ranges: Vec<(AddrRange, u64)>,
        total: Option<u64>,
        records_are_seen: bool,
    ) -> Self {
        let position = Arc::new(position);
        if records_are_seen || !io::stderr().is_terminal() {
            return Self {
                position,
                ranges: Vec::new(),
                shown: None,
            };
        }
        let (stop, stopped) = channel::<()>();
        let seen = Arc::clone(&position);
        let draw = move || {
            if stopped.recv_timeout(DELAY) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            let bar = seen.bar.get_or_init(|| bar(total));
            while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                seen.show(bar);
            }
            bar.finish_and_clear();
        };
        let thread = thread::Builder::new()
            .name("progress".to_owned())
            .spawn(draw);
        Self {
            position,
            ranges,
            shown: thread.ok().map(|thread| (stop, thread)),
        }
    }

    /// Counts a record.
    pub(crate) fn record(&self) {
        self.position.records.fetch_add(1, Ordering::Relaxed);
    }

    /// Calls `write`, which may write to the terminal, without the line.
    pub(crate) fn suspend<T>(&self, write: impl FnOnce() -> T) -> T {
        match self.position.bar.get() {
            Some(bar) if !bar.is_finished() => bar.suspend(write),
            _ => write(),
        }
    }

    /// Records that `done` processes of `of` were walked.
    pub(crate) fn passed_processes(&self, done: usize, of: usize) {
        self.position.done.store(done as u64, Ordering::Relaxed);
        if let Some(processes) = &self.position.processes {
            processes.store(of as u64, Ordering::Relaxed);
        }
    }

    /// Records that the walk has passed these addresses.
    pub(crate) fn passed(&self, range: AddrRange) {
        if self.shown.is_none() {
            return;
        }
        let end = range.end().as_u64();
        self.position
            .done
            .store(bytes_before(&self.ranges, end), Ordering::Relaxed);
        self.position.address.store(end, Ordering::Relaxed);
    }
}

/// Returns the ranges, each with the bytes of the ranges before it, and the bytes of all.
fn with_bytes_before(ranges: &[AddrRange]) -> (Vec<(AddrRange, u64)>, u64) {
    let mut total = 0u64;
    let counted = ranges.iter().map(|&range| {
        let before = total;
        total = total.saturating_add(range.size());
        (range, before)
    });
    (counted.collect(), total)
}

/// Returns the bytes of the ranges that lie below an address.
fn bytes_before(ranges: &[(AddrRange, u64)], address: u64) -> u64 {
    let begun = ranges.partition_point(|(range, _)| range.start().as_u64() < address);
    let Some((range, before)) = begun.checked_sub(1).and_then(|last| ranges.get(last)) else {
        return 0;
    };
    before.saturating_add(address.min(range.end().as_u64()) - range.start().as_u64())
}

impl Progress {
    /// Removes the line.
    pub(crate) fn end(&mut self) {
        if let Some((stop, thread)) = self.shown.take() {
            drop(stop);
            // An error means that drawing has panicked: there is no line.
            let _ = thread.join();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}

impl Position {
    fn show(&self, bar: &ProgressBar) {
        let records = self.records.load(Ordering::Relaxed);
        let address = self.address.load(Ordering::Relaxed);
        let done = self.done.load(Ordering::Relaxed);
        let processes = self.processes.as_ref();
        let message = match processes.map(|processes| processes.load(Ordering::Relaxed)) {
            Some(processes) => {
                bar.set_length(processes);
                let so_far = format!("{done} of {processes} processes");
                match records {
                    0 => so_far,
                    records => format!("{so_far}, {records} records"),
                }
            }
            None if records == 0 => format!("at {address:x}"),
            None => format!("{records} records, at {address:x}"),
        };
        bar.set_message(message);
        bar.set_position(done);
        bar.tick();
    }
}

fn bar(total: Option<u64>) -> ProgressBar {
    let (bar, template) = match total {
        Some(total) => (
            ProgressBar::new(total),
            "{bar:20} {percent:>3}% {msg} {elapsed}",
        ),
        None => (ProgressBar::new_spinner(), "{spinner} {msg} {elapsed}"),
    };
    let bar = bar.with_elapsed(DELAY);
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_counts_only_the_ranges() {
        let range = |start, end| AddrRange::new(start, end).unwrap();
        let (ranges, total) = with_bytes_before(&[range(10, 20), range(50, 60)]);
        assert_eq!(total, 20);
        for (address, done) in [
            (0, 0),
            (10, 0),
            (15, 5),
            (20, 10),
            (30, 10),
            (51, 11),
            (99, 20),
        ] {
            assert_eq!(bytes_before(&ranges, address), done, "{address}");
        }
    }
}
