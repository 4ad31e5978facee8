//! Pieces in the order of addresses: who walks which, what was found, how far
//! ahead of the caller. Reads nothing itself and gives nothing.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use process_introspection_core as core;

use super::piece::{Piece, Walked, Walker, TIME};
use super::plan::Plan;

/// So many runs, or notes of entries, may wait for the caller before no more pieces are begun than
/// the one that is next in order. With what the pieces that are being walked
/// hold it bounds the memory.
const HELD_RUNS: usize = 6144;
/// The same in pieces.
const HELD_PIECES: usize = 64;
/// A piece has at least so many bytes, if its area does.
const LEAST: u64 = 4 << 20;

/// What a thread is to do.
#[derive(Debug)]
pub(super) enum Task {
    Walk(Piece),
    /// The next in order. For the caller only.
    Give(Walked),
    End,
}

#[derive(Debug)]
enum Slot {
    /// Nobody walks it yet.
    Free(Piece),
    Taken,
    Done(Walked),
}

#[derive(Debug)]
enum Planning {
    Idle(Box<Plan>),
    /// A thread enumerates areas.
    Busy,
    Over,
}

#[derive(Debug)]
struct State {
    /// By where they begin. What `planning` will give lies behind all.
    slots: BTreeMap<u64, Slot>,
    planning: Planning,
    /// The runs, and the notes, of all that is done.
    held: usize,
    /// How much address space a piece has: so much as takes its time.
    stride: u64,
    /// How far the piece walked last came, and in which time.
    pace: (u64, Duration),
    walkers: u64,
    stop: bool,
    caller_waits: bool,
    walkers_wait: bool,
    /// Storage to be used again.
    spare: Vec<Walked>,
}

/// The pieces of one walk, shared by its threads.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    for_caller: Condvar,
    for_walkers: Condvar,
}

/// What can be done next.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Next {
    Take(u64),
    Plan,
    Give(u64),
    Wait,
    End,
}

impl State {
    fn next(&self, caller: bool) -> Next {
        if self.stop {
            return Next::End;
        }
        let first = self.slots.first_key_value();
        if let (true, Some((&start, Slot::Done(_)))) = (caller, first) {
            return Next::Give(start);
        }
        let room = self.held < HELD_RUNS && self.slots.len() < HELD_PIECES;
        let free = |(_, slot): &(&u64, &Slot)| matches!(slot, Slot::Free(_));
        if let Some((&start, _)) = self.slots.iter().find(free) {
            // Without the first in order there is never room again.
            let is_first = first.is_some_and(|(&first, _)| first == start);
            return if room || is_first {
                Next::Take(start)
            } else {
                Next::Wait
            };
        }
        let left = |slot: &Slot| caller || matches!(slot, Slot::Taken);
        match self.planning {
            Planning::Idle(_) if room => Next::Plan,
            Planning::Over if !self.slots.values().any(left) => Next::End,
            _ => Next::Wait,
        }
    }

    /// Takes the free piece that begins there, or the first part of it.
    fn take(&mut self, start: u64) -> Option<Piece> {
        let slot = self.slots.get_mut(&start)?;
        let Slot::Free(mut piece) = std::mem::replace(slot, Slot::Taken) else {
            return None;
        };
        // Towards the end smaller ones, so that all threads end at one time.
        let share = piece.size() / (2 * self.walkers);
        let rest = piece.split_off(self.stride.min(share.max(LEAST)));
        self.add_free(rest);
        Some(piece)
    }

    fn add_free(&mut self, piece: Piece) {
        if !piece.is_empty() {
            self.slots.insert(piece.start(), Slot::Free(piece));
        }
    }

    /// Learns how much a piece should be from one that was walked for `took`
    /// and got so far.
    fn adapt(&mut self, took: Duration, covered: u64, cut: bool) {
        self.pace = (covered, took);
        if cut {
            self.stride = covered.max(LEAST);
        } else if took < TIME / 2 && covered >= self.stride {
            self.stride = self.stride.saturating_mul(2);
        }
    }
}

impl Queue {
    pub(super) fn new(plan: Plan) -> Self {
        Self {
            state: Mutex::new(State {
                slots: BTreeMap::new(),
                planning: Planning::Idle(Box::new(plan)),
                held: 0,
                stride: LEAST,
                pace: (0, Duration::ZERO),
                walkers: 1,
                stop: false,
                caller_waits: false,
                walkers_wait: false,
                spare: Vec::new(),
            }),
            for_caller: Condvar::new(),
            for_walkers: Condvar::new(),
        }
    }

    /// A thread that panics leaves a piece that is never done, which is seen
    /// to by [`StopOnDrop`], but no state that makes no sense.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes those who wait, if they can go on after a change.
    fn changed(&self, state: &mut State) {
        if state.caller_waits && state.next(true) != Next::Wait {
            state.caller_waits = false;
            self.for_caller.notify_one();
        }
        if state.walkers_wait && state.next(false) != Next::Wait {
            state.walkers_wait = false;
            self.for_walkers.notify_all();
        }
    }

    /// What the calling thread is to do next.
    pub(super) fn next_for_caller(&self, process: &core::Process) -> Task {
        self.task(process, true)
    }

    /// What another thread is to do next.
    pub(super) fn next(&self, process: &core::Process) -> Task {
        self.task(process, false)
    }

    fn task(&self, process: &core::Process, caller: bool) -> Task {
        let mut state = self.lock();
        loop {
            match state.next(caller) {
                Next::Give(start) => {
                    if let Some(Slot::Done(walked)) = state.slots.remove(&start) {
                        state.held -= walked.len();
                        // There may be room again for the others.
                        self.changed(&mut state);
                        return Task::Give(walked);
                    }
                }
                Next::Take(start) => {
                    if let Some(piece) = state.take(start) {
                        return Task::Walk(piece);
                    }
                }
                Next::Plan => {
                    let busy = std::mem::replace(&mut state.planning, Planning::Busy);
                    let Planning::Idle(mut plan) = busy else {
                        continue;
                    };
                    let stride = state.stride;
                    drop(state);
                    let (piece, end) = plan.next(process, stride);
                    state = self.lock();
                    state.add_free(piece);
                    state.planning = match end {
                        None => Planning::Idle(plan),
                        Some(end) => {
                            if let Err(error) = end {
                                let failed = Slot::Done(Walked::failed(error));
                                state.slots.insert(u64::MAX, failed);
                            }
                            Planning::Over
                        }
                    };
                    self.changed(&mut state);
                }
                Next::End => return Task::End,
                Next::Wait if caller => {
                    state.caller_waits = true;
                    state = self
                        .for_caller
                        .wait(state)
                        .unwrap_or_else(PoisonError::into_inner);
                }
                Next::Wait => {
                    state.walkers_wait = true;
                    state = self
                        .for_walkers
                        .wait(state)
                        .unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    /// Walks a piece that was taken, and puts back what was found and what is
    /// left; says how long that took.
    pub(super) fn walk(
        &self,
        walker: &mut Walker,
        process: &core::Process,
        mut piece: Piece,
    ) -> Duration {
        let start = piece.start();
        let size = piece.size();
        let mut walked = self.lock().spare.pop().unwrap_or_default();
        let took = walker.walk(process, &mut piece, &mut walked);
        let left = piece.size();
        let mut state = self.lock();
        state.adapt(took, size - left, left > 0);
        state.held += walked.len();
        state.slots.insert(start, Slot::Done(walked));
        state.add_free(piece);
        self.changed(&mut state);
        took
    }

    /// Takes back storage.
    pub(super) fn recycle(&self, mut walked: Walked) {
        walked.clear();
        let mut state = self.lock();
        if state.spare.len() as u64 <= state.walkers {
            state.spare.push(walked);
        }
    }

    /// One more thread walks.
    pub(super) fn add_walker(&self) {
        self.lock().walkers += 1;
    }

    /// Whether there is anything left that nobody walks.
    pub(super) fn has_more(&self) -> bool {
        let state = self.lock();
        let free = |slot: &Slot| matches!(slot, Slot::Free(_));
        !matches!(state.planning, Planning::Over) || state.slots.values().any(free)
    }

    /// How long one thread would take for what is known to be left, at the
    /// pace of the last piece.
    pub(super) fn expected(&self) -> Duration {
        let state = self.lock();
        let left = state.slots.values().map(|slot| match slot {
            Slot::Free(piece) => piece.size(),
            _ => 0,
        });
        let (bytes, took) = state.pace;
        let left: u64 = left.fold(0, u64::saturating_add);
        let seconds = took.as_secs_f64() * (left as f64 / bytes.max(1) as f64);
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }

    fn stop(&self) {
        let mut state = self.lock();
        state.stop = true;
        self.changed(&mut state);
    }
}

/// Lets all threads of a walk end, soon.
#[derive(Debug)]
pub(super) struct StopOnDrop<'a> {
    queue: &'a Queue,
    always: bool,
}

impl<'a> StopOnDrop<'a> {
    /// However the thread leaves.
    pub(super) fn always(queue: &'a Queue) -> Self {
        Self {
            queue,
            always: true,
        }
    }

    /// If the thread panics: what it walks is never done then.
    pub(super) fn on_panic(queue: &'a Queue) -> Self {
        Self {
            queue,
            always: false,
        }
    }
}

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        if self.always || thread::panicking() {
            self.queue.stop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use process_introspection_core::process::Access;
    use process_introspection_core::{AddrRange, Target};

    /// A walk of this process's own memory; `None` where that is not allowed.
    fn own(test: &str) -> Option<(core::Process, Queue)> {
        if !testkit::machine::is_root_or_skip(test) {
            return None;
        }
        let process = core::Process::open(Target::Caller, Access::Pages).unwrap();
        let plan = Plan::new(&process, AddrRange::ALL).unwrap();
        Some((process, Queue::new(plan)))
    }

    #[test]
    fn what_comes_first_is_given_first_whoever_is_ready_first() {
        let Some((process, queue)) = own("the order of pieces") else {
            return;
        };
        let (Task::Walk(first), Task::Walk(second)) = (queue.next(&process), queue.next(&process))
        else {
            panic!("two pieces");
        };
        let (low, high) = (first.start(), second.start());
        assert!(low < high);
        let mut walker = Walker::new(&process, false);
        queue.walk(&mut walker, &process, second);
        // The first is not there yet: something else is to be done.
        assert!(matches!(queue.next_for_caller(&process), Task::Walk(_)));
        queue.walk(&mut walker, &process, first);
        let Task::Give(walked) = queue.next_for_caller(&process) else {
            panic!("it is there");
        };
        let (_, mut runs) = walked.stretches().next().unwrap();
        assert_eq!(runs.next().map(|run| run.start), Some(low));
    }

    #[test]
    fn a_thread_that_panics_leaves_nobody_waiting() {
        let Some((process, queue)) = own("a thread that panics") else {
            return;
        };
        let (process, queue) = (&process, &queue);
        let ended = thread::scope(|scope| {
            // Nothing is given before this piece is done.
            let Task::Walk(never_done) = queue.next(process) else {
                panic!("a piece");
            };
            let panicking = scope.spawn(move || {
                let _stop = StopOnDrop::on_panic(queue);
                let _taken = never_done;
                std::panic::resume_unwind(Box::new("on purpose"));
            });
            let mut walker = Walker::new(process, false);
            while let Task::Walk(piece) = queue.next_for_caller(process) {
                queue.walk(&mut walker, process, piece);
            }
            panicking.join()
        });
        assert!(ended.is_err());
    }

    #[test]
    fn pieces_grow_while_they_are_quick_and_shrink_when_they_are_cut() {
        let Some((_, queue)) = own("the size of pieces") else {
            return;
        };
        let mut state = queue.lock();
        state.adapt(TIME / 10, LEAST, false);
        assert_eq!(state.stride, 2 * LEAST);
        // One that had less than that to do says nothing.
        state.adapt(TIME / 10, LEAST, false);
        state.adapt(TIME, 2 * LEAST, false);
        assert_eq!(state.stride, 2 * LEAST);
        state.adapt(TIME / 10, 2 * LEAST, false);
        assert_eq!(state.stride, 4 * LEAST);
        state.adapt(TIME, 3 * LEAST, true);
        assert_eq!(state.stride, 3 * LEAST);
        state.adapt(TIME, 1, true);
        assert_eq!(state.stride, LEAST);
    }
}
