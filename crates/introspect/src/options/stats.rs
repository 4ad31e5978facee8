//! `--stats`: for how long the command held locks of processes.

use clap::Args;
use process_introspection::{count_lock_time, lock_time};

use crate::failure::warn;
use crate::text::counted;

#[derive(Debug, Args)]
pub(crate) struct StatsOption {
    /// Print for how long locks of processes were held
    #[arg(long)]
    stats: bool,
}

impl StatsOption {
    /// Returns whether it is given.
    pub(crate) fn is_present(&self) -> bool {
        self.stats
    }

    /// Calls `run`, and prints on standard error for how long its system calls held the mmap
    /// locks of processes, if that was requested.
    pub(crate) fn print<T>(&self, run: impl FnOnce() -> T) -> T {
        if !self.stats {
            return run();
        }
        count_lock_time();
        let result = run();
        let locks = lock_time();
        let calls = counted(locks.calls, "system call", "system calls");
        let milliseconds = locks.nanoseconds as f64 / 1e6;
        warn(format_args!(
            "{calls} held locks of processes' memory, for at most {milliseconds:.3} ms in all"
        ));
        result
    }
}
