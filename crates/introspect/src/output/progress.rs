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
    /// Addresses of the walk.
    ranges: Vec<AddrRange>,
    /// Address that the walk has reached.
    address: AtomicU64,
    records: AtomicU64,
    /// Name of the things that are counted instead of addresses, their number that was passed,
    /// and that of all.
    counted: Option<(&'static str, [AtomicU64; 2])>,
    /// The line.
    bar: OnceLock<ProgressBar>,
}

/// Shows the progress of one walk until it is dropped.
#[derive(Debug)]
pub(crate) struct Progress {
    position: Arc<Position>,
    shown: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Progress {
    /// Progress of a walk over `ranges`, which is not shown to a person who sees the
    /// records.
    pub(crate) fn new(ranges: &[AddrRange], records_are_seen: bool) -> Self {
        let position = Position {
            ranges: ranges.to_vec(),
            ..Position::default()
        };
        Self::of(position, records_are_seen)
    }

    /// Progress of a walk over processes, see [`Progress::passed_of`]. The line is removed for
    /// each record, because there are few.
    pub(crate) fn over_processes() -> Self {
        Self::over("processes")
    }

    /// Progress of a pass over the frames of the machine, see [`Progress::passed_of`].
    pub(crate) fn over_frames() -> Self {
        Self::over("frames")
    }

    fn over(counted: &'static str) -> Self {
        let position = Position {
            counted: Some((counted, Default::default())),
            ..Position::default()
        };
        Self::of(position, false)
    }

    fn of(position: Position, records_are_seen: bool) -> Self {
        let position = Arc::new(position);
        if records_are_seen || !io::stderr().is_terminal() {
            return Self {
                position,
                shown: None,
            };
        }
        let (stop, stopped) = channel::<()>();
        let seen = Arc::clone(&position);
        let draw = move || {
            if stopped.recv_timeout(DELAY) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            let bar = seen.bar.get_or_init(|| bar(seen.total()));
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

    /// Records that `done` processes or frames of `of` were passed. Threads can do so in any
    /// order.
    pub(crate) fn passed_of(&self, done: u64, of: u64) {
        if let Some((_, numbers)) = &self.position.counted {
            for (number, now) in numbers.iter().zip([done, of]) {
                number.fetch_max(now, Ordering::Relaxed);
            }
        }
    }

    /// Records that the walk has passed these addresses.
    pub(crate) fn passed(&self, range: AddrRange) {
        let end = range.end().as_u64();
        self.position.address.store(end, Ordering::Relaxed);
    }

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
    /// Returns the number of steps of the whole walk.
    fn total(&self) -> Option<u64> {
        // A percentage of the whole address space means nothing.
        let is_whole = self.ranges.first() == Some(&AddrRange::ALL);
        (!is_whole).then(|| bytes_below(&self.ranges, u64::MAX))
    }

    fn show(&self, bar: &ProgressBar) {
        let address = self.address.load(Ordering::Relaxed);
        let records = self.records.load(Ordering::Relaxed);
        let (done, message) = match &self.counted {
            Some((counted, numbers)) => {
                let [done, all] = numbers.each_ref().map(|one| one.load(Ordering::Relaxed));
                bar.set_length(all);
                let so_far = format!("{done} of {all} {counted}");
                match records {
                    0 => (done, so_far),
                    records => (done, format!("{so_far}, {records} records")),
                }
            }
            None => {
                let at = format!("at {address:x}");
                let done = bytes_below(&self.ranges, address);
                match records {
                    0 => (done, at),
                    records => (done, format!("{records} records, {at}")),
                }
            }
        };
        bar.set_message(message);
        bar.set_position(done);
        bar.tick();
    }
}

/// Returns the bytes of the ranges that lie below an address.
fn bytes_below(ranges: &[AddrRange], address: u64) -> u64 {
    let below = ranges.iter().map(|range| {
        let (start, end) = (range.start().as_u64(), range.end().as_u64());
        address.clamp(start, end) - start
    });
    below.fold(0, u64::saturating_add)
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
        let ranges = [range(10, 20), range(50, 60)];
        for (address, done) in [
            (0, 0),
            (10, 0),
            (15, 5),
            (20, 10),
            (30, 10),
            (51, 11),
            (u64::MAX, 20),
        ] {
            assert_eq!(bytes_below(&ranges, address), done, "{address}");
        }
    }
}
