//! Samplers: one thread counts processes by the kernel's counters, another one reads them page
//! by page. Both rest so that the view stays below its part of one CPU. Must not know the state
//! of the view, keys or drawing.

mod count;
mod machine;
mod order;
pub(crate) mod process;
mod read;

use std::ops::ControlFlow;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use process_introspection::{Cgroup, Mounts, ProcessCounters};

use crate::failure::Failure;
use crate::pace::{cpu_time, Budget};
use crate::top::model::{Counted, Interest, Key, Time, Update};

/// Settings of the samplers.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) mounts: Mounts,
    /// Age from which something is read again.
    pub(crate) interval: Duration,
    /// Part of one CPU that may be used, in thousandths.
    pub(crate) budget: u32,
    /// Start of the view.
    pub(crate) start: Instant,
}

/// Samplers that run.
#[derive(Debug)]
pub(crate) struct Samplers {
    common: Arc<Common>,
    updates: Receiver<Update>,
}

impl Samplers {
    /// Starts the threads.
    pub(crate) fn start(settings: Settings, interest: Interest) -> Result<Self, Failure> {
        let (sender, updates) = mpsc::channel();
        let common = Arc::new(Common {
            budget: Budget::new(settings.budget, settings.start),
            board: Mutex::new(Board {
                interest,
                ..Board::default()
            }),
            changed: Condvar::new(),
            settings,
        });
        let spawn = |name: &str, run: fn(&Arc<Common>, &Updates)| {
            let (common, sender) = (Arc::clone(&common), Updates(sender.clone()));
            let thread = thread::Builder::new().name(name.to_owned());
            let spawned = thread.spawn(move || run(&common, &sender));
            spawned.map_err(|error| Failure::io("start a thread", &error))
        };
        spawn("counting", count::run)?;
        spawn("reading", read::run)?;
        Ok(Self { common, updates })
    }

    /// Sets what is read next.
    pub(crate) fn set_interest(&self, interest: Interest) {
        let mut board = self.common.board();
        if board.interest == interest {
            return;
        }
        if board.interest.shown != interest.shown {
            board.page += 1;
        }
        board.interest = interest;
        drop(board);
        self.common.changed.notify_all();
    }

    /// Returns news, waiting for the first at most this long.
    pub(crate) fn updates(&self, patience: Duration) -> Vec<Update> {
        let first = match patience.is_zero() {
            true => self.updates.try_recv().ok(),
            false => self.updates.recv_timeout(patience).ok(),
        };
        first.into_iter().chain(self.updates.try_iter()).collect()
    }
}

/// Sending side of the news.
#[derive(Debug)]
struct Updates(Sender<Update>);

/// Nobody receives the news any more: the view has ended.
#[derive(Copy, Clone, Debug)]
struct Unreceived;

impl Updates {
    fn send(&self, update: Update) -> Result<(), Unreceived> {
        self.0.send(update).map_err(|_| Unreceived)
    }
}

/// State that the threads share.
#[derive(Debug)]
struct Common {
    settings: Settings,
    budget: Budget,
    board: Mutex<Board>,
    /// Signals a change of the board.
    changed: Condvar,
}

/// Messages of the threads to each other, the last of each kind.
#[derive(Clone, Debug, Default)]
struct Board {
    interest: Interest,
    /// Number of changes of the list or picture that is shown.
    page: u64,
    processes: Arc<Processes>,
    /// Cgroups of processes.
    cgroups: Arc<Vec<Cgroup>>,
}

/// Processes with memory, in the order of their keys.
#[derive(Debug, Default)]
struct Processes {
    counted: Vec<Counted>,
    counters: Vec<ProcessCounters>,
}

impl Processes {
    fn find(&self, key: Key) -> Option<&ProcessCounters> {
        let index = self.counted.binary_search_by_key(&key, |one| one.key);
        Some(&self.counters[index.ok()?])
    }
}

impl Common {
    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Time {
        self.settings.start.elapsed()
    }

    /// Returns how long the samplers have to rest.
    fn rest(&self) -> Duration {
        self.budget.rest(cpu_time())
    }

    /// Waits at most this long for a change of the board.
    fn wait(&self, patience: Duration) {
        // Whatever woke it up, the board is looked at again.
        drop(self.changed.wait_timeout(self.board(), patience));
    }

    /// Rests as the pace demands within a reading, unless it is `urgent`. Breaks once
    /// something else is shown than when the reading began.
    fn check(&self, page: u64, urgent: bool) -> ControlFlow<()> {
        /// Less than the time after which a walk counts as silent.
        const LONGEST: Duration = Duration::from_millis(500);
        if !urgent {
            self.budget.pause(cpu_time(), LONGEST);
        }
        match self.board().page == page {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    }
}
