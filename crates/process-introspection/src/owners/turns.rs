//! Hands what several threads find over to one, in the order of the things
//! they look at, with a bound on what waits. Knows not what is looked at.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// So many items wait for their turn at most; twice as many when it is.
const MOST: usize = 64;

#[derive(Debug)]
struct Queue<T> {
    items: VecDeque<T>,
    finished: bool,
}

#[derive(Debug)]
struct State<T> {
    /// The next thing for somebody to look at.
    next: usize,
    /// Whose items are handed over.
    turn: usize,
    queues: BTreeMap<usize, Queue<T>>,
    /// What was given up: nothing more is taken of it.
    given_up: BTreeSet<usize>,
    waiting: usize,
    stopped: bool,
}

/// The threads' meeting place, for things numbered from 0 on.
#[derive(Debug)]
pub(super) struct Turns<T> {
    count: usize,
    state: Mutex<State<T>>,
    /// For those who give: there is room, or all is over.
    room: Condvar,
    /// For the one who takes: there is something.
    news: Condvar,
}

/// What there is to take.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<T> {
    /// An item.
    Item(T),
    /// One thing's items were all taken.
    Finished,
    /// Nothing came in the time given.
    Nothing,
    /// All things are finished.
    End,
}

impl<T> Turns<T> {
    pub(super) fn new(count: usize) -> Self {
        Self {
            count,
            state: Mutex::new(State {
                next: 0,
                turn: 0,
                queues: BTreeMap::new(),
                given_up: BTreeSet::new(),
                waiting: 0,
                stopped: false,
            }),
            room: Condvar::new(),
            news: Condvar::new(),
        }
    }

    /// Nothing that is done with the lock held can panic half-way.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lowest thing that nobody looks at; `None` if there is none left.
    pub(super) fn begin(&self) -> Option<usize> {
        let mut state = self.lock();
        let index = state.next;
        if state.stopped || index >= self.count {
            return None;
        }
        state.next += 1;
        Some(index)
    }

    /// Gives an item; waits while too many wait. `false` if nobody takes any
    /// more.
    pub(super) fn give(&self, index: usize, item: T) -> bool {
        let mut state = self.lock();
        // Others never fill the room of the one whose turn it is, which
        // therefore always comes to an end.
        while !state.stopped && state.waiting >= if state.turn == index { 2 * MOST } else { MOST } {
            state = self
                .room
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if state.stopped || state.given_up.contains(&index) {
            return false;
        }
        state.waiting += 1;
        state.queue(index).items.push_back(item);
        if state.turn == index {
            self.news.notify_one();
        }
        true
    }

    /// Says that a thing has no more items. `false` if it was given up before.
    pub(super) fn finish(&self, index: usize) -> bool {
        let mut state = self.lock();
        if state.given_up.contains(&index) {
            return false;
        }
        state.queue(index).finished = true;
        self.news.notify_one();
        true
    }

    /// Finishes a thing in the place of the one who looks at it, with a last item;
    /// what comes of that one later is not taken. `false` if it was finished.
    pub(super) fn give_up(&self, index: usize, last: T) -> bool {
        let mut state = self.lock();
        let is_done = state.queues.get(&index).is_some_and(|queue| queue.finished);
        if is_done || index < state.turn || !state.given_up.insert(index) {
            return false;
        }
        // Whether or not there is room: nobody can wait for it.
        state.waiting += 1;
        let queue = state.queue(index);
        queue.items.push_back(last);
        queue.finished = true;
        self.news.notify_one();
        true
    }

    /// Whether nobody takes any more.
    pub(super) fn is_stopped(&self) -> bool {
        self.lock().stopped
    }

    /// Takes no more.
    pub(super) fn stop(&self) {
        self.lock().stopped = true;
        self.room.notify_all();
    }

    /// Takes what is next in order; waits for it as long as this.
    pub(super) fn take(&self, patience: Duration) -> Next<T> {
        let mut state = self.lock();
        loop {
            let turn = state.turn;
            if turn >= self.count {
                return Next::End;
            }
            if let Some(queue) = state.queues.get_mut(&turn) {
                if let Some(item) = queue.items.pop_front() {
                    state.waiting -= 1;
                    self.room.notify_all();
                    return Next::Item(item);
                }
                if queue.finished {
                    state.queues.remove(&turn);
                    state.turn += 1;
                    // Who has the turn now has more room.
                    self.room.notify_all();
                    return Next::Finished;
                }
            }
            let (after, waited) = self
                .news
                .wait_timeout(state, patience)
                .unwrap_or_else(PoisonError::into_inner);
            state = after;
            if waited.timed_out() {
                return Next::Nothing;
            }
        }
    }
}

impl<T> State<T> {
    fn queue(&mut self, index: usize) -> &mut Queue<T> {
        self.queues.entry(index).or_insert_with(|| Queue {
            items: VecDeque::new(),
            finished: false,
        })
    }
}

/// Stops when dropped, also by a panic: nobody waits in vain.
pub(super) struct StopOnDrop<'a, T>(pub(super) &'a Turns<T>);

impl<T> Drop for StopOnDrop<'_, T> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn items_come_in_the_order_of_things_however_many_threads_give_them() {
        let turns = Turns::new(50);
        let mut seen = Vec::new();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while let Some(index) = turns.begin() {
                        // More than may wait.
                        for item in 0..(index % 7) * MOST {
                            assert!(turns.give(index, (index, item)));
                        }
                        turns.finish(index);
                    }
                });
            }
            let mut finished = 0;
            loop {
                match turns.take(LONG) {
                    Next::Item(item) => seen.push(item),
                    Next::Finished => finished += 1,
                    Next::Nothing => panic!("nothing for long"),
                    Next::End => break,
                }
            }
            assert_eq!(finished, 50);
        });
        let expected =
            (0..50).flat_map(|index| (0..(index % 7) * MOST).map(move |item| (index, item)));
        assert_eq!(seen, expected.collect::<Vec<_>>());
    }

    #[test]
    fn nothing_is_taken_any_more_of_what_was_given_up() {
        let turns = Turns::new(2);
        assert_eq!((turns.begin(), turns.begin()), (Some(0), Some(1)));
        assert!(turns.give(0, "in time"));
        assert!(turns.give_up(0, "given up"));
        assert!(!turns.give(0, "too late"));
        assert!(!turns.finish(0));
        assert!(!turns.give_up(0, "again"));
        assert!(turns.give(1, "other") && turns.finish(1));
        assert!(!turns.give_up(1, "too late"));
        let mut seen = Vec::new();
        loop {
            match turns.take(LONG) {
                Next::Item(item) => seen.push(item),
                Next::Finished => {}
                Next::Nothing => panic!("nothing for long"),
                Next::End => break,
            }
        }
        assert_eq!(seen, ["in time", "given up", "other"]);
    }

    #[test]
    fn a_stop_wakes_those_who_wait_for_room() {
        let turns = Turns::new(2);
        thread::scope(|scope| {
            let stop = StopOnDrop(&turns);
            let giver = scope.spawn(|| {
                assert_eq!(turns.begin(), Some(0));
                assert_eq!(turns.begin(), Some(1));
                // Not its turn.
                let mut given = 0;
                while turns.give(1, given) {
                    given += 1;
                }
                given
            });
            while turns.lock().waiting < MOST {
                thread::yield_now();
            }
            assert_eq!(turns.take(Duration::ZERO), Next::Nothing);
            drop(stop);
            assert_eq!(giver.join().unwrap(), MOST);
            assert_eq!(turns.begin(), None);
        });
    }
}
