//! Threads of a hand-over that can be left behind: a thread whose task makes no
//! progress is replaced by another. This module must not know what a task is.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::{Handover, Next};
use crate::handover::heartbeat::Heartbeat;
use crate::handover::place::{InParts, Place};

/// Maximum time between two calls of the taker.
const SILENCE: Duration = Duration::from_millis(50);
/// Number of threads above which more do not help, since one thread takes the outputs.
const MOST_BY_DEFAULT: usize = 8;
const MOST: usize = 64;
/// Stack size of a thread: enough for system calls and a few stack frames, and small,
/// so that no huge page is behind it.
pub(crate) const STACK: usize = 256 << 10;

/// Returns the number of threads to use for a requested number `threads`; 0 requests as
/// many as help.
pub(crate) fn size(threads: usize) -> usize {
    match threads {
        0 => thread::available_parallelism().map_or(1, |cpus| cpus.get().min(MOST_BY_DEFAULT)),
        threads => threads.min(MOST),
    }
}

/// Options of a crew.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Orders {
    pub(crate) name: &'static str,
    pub(crate) threads: usize,
    /// Maximum time without progress of a task.
    pub(crate) deadline: Duration,
}

/// Receiver of the parts of a task's output. It breaks if nobody takes the output any
/// more, which `None` checks.
pub(crate) type Give<'a, O> = dyn FnMut(Option<O>) -> ControlFlow<()> + 'a;

/// Runs these tasks, and passes the outputs to `each`, in order, on the calling thread;
/// `None` about twenty times a second while there are none. A task whose heartbeat is
/// silent for the deadline is abandoned with the output `silent`. (This does not happen
/// if no thread can be started: the calling one works then.)
///
/// # Panics
/// If `work` panics.
pub(crate) fn run<T>(
    tasks: impl Iterator<Item = T> + Send + 'static,
    orders: Orders,
    work: impl Fn(T, &Heartbeat, &mut Give<'_, T::Output>) -> T::Output + Send + Sync + 'static,
    silent: impl Fn(T::Key) -> T::Output,
    mut each: impl FnMut(Option<T::Output>) -> ControlFlow<()>,
) -> ControlFlow<()>
where
    T: InParts<Key: Send, Output: Send> + Send + 'static,
{
    let shared = Arc::new((Handover::new(tasks), work));
    let (handover, work) = &*shared;
    let _stop = handover.stop_on_drop();
    let start = || {
        let shared = Arc::clone(&shared);
        let builder = thread::Builder::new()
            .name(orders.name.to_owned())
            .stack_size(STACK);
        let worker = move || {
            let (handover, work) = &*shared;
            let heartbeat = Heartbeat::new();
            handover.work(Some(&heartbeat), |task, place: &mut Place<'_, '_, T>| {
                let output = work(task, &heartbeat, &mut |part| match part {
                    Some(part) => place.give(part),
                    None => place.check(),
                });
                (Some(output), None)
            });
        };
        builder.spawn(worker).is_ok()
    };
    let mut workers = (0..orders.threads).filter(|_| start()).count();
    let mut looked = Instant::now();
    loop {
        let next = handover.next(workers == 0, Some(SILENCE));
        if looked.elapsed() >= SILENCE {
            looked = Instant::now();
            for _ in 0..handover.give_up(orders.deadline, &silent) {
                workers -= usize::from(!start());
            }
        }
        match next {
            Next::Output(output) => each(Some(output))?,
            Next::Work(task) => {
                let key = task.key();
                let mut flow = ControlFlow::Continue(());
                let output = work(task, &Heartbeat::new(), &mut |part| {
                    if flow.is_continue() {
                        flow = each(part);
                    }
                    flow
                });
                flow?;
                handover.finish(key, Some(output), None);
            }
            Next::Nothing => each(None)?,
            Next::End => return ControlFlow::Continue(()),
        }
    }
}
