//! Ordered hand-over between threads: tasks that any thread takes, lowest first, and
//! their outputs, which one thread takes in the order of the tasks.
//!
//! A thread works on a task for a while. The rest of the task then becomes a separate
//! task, behind the output, so no thread waits while it holds a task. A task whose work
//! cannot be left and continued hands over parts of its output instead ([`Place`]), and
//! waits until there is room for the next part. [`crew`] contains the threads that can be
//! left behind. This module must not know what a task is.

pub(crate) mod crew;
pub(crate) mod heartbeat;
pub(crate) mod place;

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::handover::heartbeat::{Heartbeat, HeartbeatWatch};
use crate::handover::place::Place;

/// Maximum weight of the waiting outputs: above it, only the first task in order is
/// begun. This bounds the memory, together with what the tasks in work hold.
pub(crate) const MAX_WEIGHT: usize = 8192;

/// A unit of work with a place in an order.
pub(crate) trait Task: Sized {
    type Key: Ord + Copy;
    type Output;

    /// Returns the place in the order. The rest of a task comes behind the task and
    /// before the next one.
    fn key(&self) -> Self::Key;

    /// Returns the share of [`MAX_WEIGHT`] that an output takes while it waits; never
    /// 0.
    fn weight(output: &Self::Output) -> usize;
}

enum Slot<T: Task> {
    Free(T),
    /// A thread works on the task; the watch detects one that makes no progress. There is
    /// none while the thread waits for room.
    Taken(Option<HeartbeatWatch>),
    Done(T::Output),
}

/// Source of the tasks.
enum Source<'a, T> {
    Idle(Box<dyn Iterator<Item = T> + Send + 'a>),
    /// A thread is requesting the next one.
    Busy,
    Over,
}

struct State<'a, T: Task> {
    slots: BTreeMap<T::Key, Slot<T>>,
    source: Source<'a, T>,
    /// Sum of the weights of all outputs.
    weight: usize,
    stopped: bool,
    panic: Option<Box<dyn Any + Send>>,
    /// Role of the taker of the outputs, while it waits.
    taker_waits: Option<Role>,
    workers_wait: bool,
    /// True while threads wait for room for their next part.
    parts_wait: bool,
}

/// Tasks and their outputs, shared by threads.
pub(crate) struct Handover<'a, T: Task> {
    state: Mutex<State<'a, T>>,
    for_taker: Condvar,
    for_workers: Condvar,
    for_parts: Condvar,
}

/// The next step of the taker of the outputs.
pub(crate) enum Next<T: Task> {
    Output(T::Output),
    Work(T),
    /// No output came in time.
    Nothing,
    End,
}

/// The next step of a thread.
#[derive(Copy, Clone, PartialEq, Eq)]
enum Step<K> {
    Output(K),
    Work(K),
    Ask,
    Wait,
    End,
}

/// Role of a thread: to work, to take outputs, or both.
#[derive(Copy, Clone)]
struct Role {
    takes: bool,
    works: bool,
}

const WORKER: Role = Role {
    takes: false,
    works: true,
};

impl<T: Task> State<'_, T> {
    fn has_room(&self) -> bool {
        self.weight < MAX_WEIGHT
    }

    /// Returns whether a task in work may begin the part with this key. Half of the weight
    /// is left to the first task in work, so that others do not make it wait for the taker
    /// after each part; it may always begin a part that nothing is before.
    fn has_room_for_part(&self, key: T::Key) -> bool {
        let mut before = self.slots.range(..key).peekable();
        let is_next = before.peek().is_none();
        let is_first = before.all(|(_, slot)| matches!(slot, Slot::Done(_)));
        let most = if is_first { MAX_WEIGHT } else { MAX_WEIGHT / 2 };
        is_next || self.weight < most
    }

    fn step(&self, role: Role) -> Step<T::Key> {
        if self.stopped {
            return Step::End;
        }
        let first = self.slots.first_key_value();
        if let (true, Some((&key, Slot::Done(_)))) = (role.takes, first) {
            return Step::Output(key);
        }
        let has_room = self.has_room();
        if role.works {
            let is_free = |(_, slot): &(&T::Key, &Slot<T>)| matches!(slot, Slot::Free(_));
            if let Some((&key, _)) = self.slots.iter().find(is_free) {
                // Without the first in order there is never room again.
                let is_first = first.is_some_and(|(&first, _)| first == key);
                return match has_room || is_first {
                    true => Step::Work(key),
                    false => Step::Wait,
                };
            }
        }
        // A task in work can leave a rest.
        let is_left = |slot: &Slot<T>| role.takes || matches!(slot, Slot::Taken(_));
        match self.source {
            Source::Idle(_) if has_room && role.works => Step::Ask,
            Source::Over if !self.slots.values().any(is_left) => Step::End,
            _ => Step::Wait,
        }
    }

    fn add(&mut self, task: T) {
        self.slots.insert(task.key(), Slot::Free(task));
    }

    fn done(&mut self, key: T::Key, output: T::Output) {
        self.weight += T::weight(&output);
        self.slots.insert(key, Slot::Done(output));
    }
}

impl<'a, T: Task> Handover<'a, T> {
    /// Returns a hand-over of these tasks, which must ascend.
    pub(crate) fn new(tasks: impl Iterator<Item = T> + Send + 'a) -> Self {
        Self {
            state: Mutex::new(State {
                slots: BTreeMap::new(),
                source: Source::Idle(Box::new(tasks)),
                weight: 0,
                stopped: false,
                panic: None,
                taker_waits: None,
                workers_wait: false,
                parts_wait: false,
            }),
            for_taker: Condvar::new(),
            for_workers: Condvar::new(),
            for_parts: Condvar::new(),
        }
    }

    /// Locks the state. A poisoned lock is harmless: a panic while the lock is held
    /// never leaves an inconsistent state.
    fn lock(&self) -> MutexGuard<'_, State<'a, T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the threads that can continue after a change.
    fn changed(&self, state: &mut State<'a, T>) {
        let role = state.taker_waits;
        if role.is_some_and(|role| state.step(role) != Step::Wait) {
            state.taker_waits = None;
            self.for_taker.notify_one();
        }
        if state.workers_wait && state.step(WORKER) != Step::Wait {
            state.workers_wait = false;
            self.for_workers.notify_all();
        }
        if std::mem::take(&mut state.parts_wait) {
            self.for_parts.notify_all();
        }
    }

    /// Returns the next output in order, once it is there; a task if this thread
    /// `works` too and no output is there.
    ///
    /// # Panics
    /// If a worker has panicked.
    pub(crate) fn next(&self, works: bool, patience: Option<Duration>) -> Next<T> {
        self.advance(Role { takes: true, works }, None, patience)
    }

    fn advance(
        &self,
        role: Role,
        heartbeat: Option<&Heartbeat>,
        patience: Option<Duration>,
    ) -> Next<T> {
        let mut state = self.lock();
        loop {
            match state.step(role) {
                Step::Output(key) => {
                    if let Some(Slot::Done(output)) = state.slots.remove(&key) {
                        state.weight -= T::weight(&output);
                        // There may be room again.
                        self.changed(&mut state);
                        return Next::Output(output);
                    }
                }
                Step::Work(key) => {
                    let taken = Slot::Taken(heartbeat.map(HeartbeatWatch::new));
                    if let Some(Slot::Free(task)) = state.slots.insert(key, taken) {
                        return Next::Work(task);
                    }
                }
                Step::Ask => {
                    let source = std::mem::replace(&mut state.source, Source::Busy);
                    let Source::Idle(mut tasks) = source else {
                        continue;
                    };
                    // This can take long.
                    drop(state);
                    let task = tasks.next();
                    state = self.lock();
                    state.source = match task {
                        Some(task) => {
                            state.add(task);
                            Source::Idle(tasks)
                        }
                        None => Source::Over,
                    };
                    self.changed(&mut state);
                }
                Step::End => {
                    if let (true, Some(panic)) = (role.takes, state.panic.take()) {
                        drop(state);
                        resume_unwind(panic);
                    }
                    return Next::End;
                }
                Step::Wait => {
                    let condvar = if role.takes {
                        state.taker_waits = Some(role);
                        &self.for_taker
                    } else {
                        state.workers_wait = true;
                        &self.for_workers
                    };
                    let Some(patience) = patience else {
                        state = condvar.wait(state).unwrap_or_else(PoisonError::into_inner);
                        continue;
                    };
                    let (after, waited) = condvar
                        .wait_timeout(state, patience)
                        .unwrap_or_else(PoisonError::into_inner);
                    state = after;
                    if waited.timed_out() && state.step(role) == Step::Wait {
                        return Next::Nothing;
                    }
                }
            }
        }
    }

    /// Adds a task that was split off one in work.
    pub(crate) fn add(&self, task: T) {
        let mut state = self.lock();
        state.add(task);
        self.changed(&mut state);
    }

    /// Ends the work on a task, with its output and its rest. Returns true if the task
    /// still belonged to this thread.
    pub(crate) fn finish(&self, key: T::Key, output: Option<T::Output>, rest: Option<T>) -> bool {
        let mut state = self.lock();
        if !matches!(state.slots.get(&key), Some(Slot::Taken(_))) {
            return false;
        }
        match output {
            Some(output) => state.done(key, output),
            None => drop(state.slots.remove(&key)),
        }
        if let Some(rest) = rest {
            state.add(rest);
        }
        self.changed(&mut state);
        true
    }

    /// Works on tasks until none are left. If `work` panics, so does the taker of the
    /// outputs.
    pub(crate) fn work(
        &self,
        heartbeat: Option<&Heartbeat>,
        mut work: impl FnMut(T, &mut Place<'_, 'a, T>) -> (Option<T::Output>, Option<T>),
    ) {
        let work_on_all = || {
            while let Next::Work(task) = self.advance(WORKER, heartbeat, None) {
                let mut place = Place::of(&task, self, heartbeat);
                let (output, rest) = work(task, &mut place);
                if !self.finish(place.key(), output, rest) {
                    // Another thread has taken the place of this one.
                    return;
                }
            }
        };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(work_on_all)) {
            self.lock().panic.get_or_insert(panic);
            self.stop();
        }
    }

    /// Abandons the tasks whose threads have made no progress for `patience`, with the
    /// outputs that `last` returns. Returns their number.
    fn give_up(&self, patience: Duration, last: impl Fn(T::Key) -> T::Output) -> usize {
        let mut state = self.lock();
        let silent = state
            .slots
            .iter_mut()
            .filter_map(|(&key, slot)| match slot {
                Slot::Taken(Some(watch)) => watch.is_silent(patience).then_some(key),
                _ => None,
            });
        let silent: Vec<_> = silent.collect();
        for &key in &silent {
            state.done(key, last(key));
        }
        silent.len()
    }

    /// Returns the sum of `size` over the tasks that no thread has taken; `None` if
    /// none are left and none will come.
    pub(crate) fn left(&self, size: impl Fn(&T) -> u64) -> Option<u64> {
        let state = self.lock();
        let sizes = state.slots.values().filter_map(|slot| match slot {
            Slot::Free(task) => Some(size(task)),
            _ => None,
        });
        let left = sizes.reduce(u64::saturating_add);
        left.or(match state.source {
            Source::Over => None,
            _ => Some(0),
        })
    }

    fn stop(&self) {
        let mut state = self.lock();
        state.stopped = true;
        self.changed(&mut state);
    }

    /// Returns a guard that makes all threads end soon after it is dropped.
    pub(crate) fn stop_on_drop(&self) -> StopOnDrop<'_, 'a, T> {
        StopOnDrop(self)
    }
}

pub(crate) struct StopOnDrop<'h, 'a, T: Task>(&'h Handover<'a, T>);

impl<T: Task> Drop for StopOnDrop<'_, '_, T> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

#[cfg(test)]
mod tests;
