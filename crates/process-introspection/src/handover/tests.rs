//! Tests of the hand-over, with tasks that do nothing.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use super::crew::{self, Give, Orders};
use super::place::InParts;
use super::*;
use std::ops::ControlFlow;

const LONG: Duration = Duration::from_secs(30);

/// A task that counts up to its `count`, one number at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Count {
    index: usize,
    from: usize,
    count: usize,
}

impl Task for Count {
    type Key = (usize, usize);
    type Output = (usize, usize);

    fn key(&self) -> (usize, usize) {
        (self.index, self.from)
    }

    /// Returns a weight of which four make the maximum of waiting outputs.
    fn weight(_: &(usize, usize)) -> usize {
        MAX_WEIGHT / 4
    }
}

impl InParts for Count {
    fn following((index, from): (usize, usize)) -> (usize, usize) {
        (index, from + 1)
    }
}

impl Count {
    /// Hands over all outputs but the last as parts.
    fn work_in_parts(self, give: &mut Give<'_, (usize, usize)>) -> (usize, usize) {
        let all = (0..self.count).step_by(2);
        let last = all.clone().next_back().unwrap_or_default();
        let mut rest = all.take_while(|&from| from < last);
        let _ = rest.try_for_each(|from| give(Some((self.index, from))));
        (self.index, last)
    }

    /// Returns an output for every other number only.
    fn work(self) -> (Option<(usize, usize)>, Option<Self>) {
        let output = (self.from % 2 == 0).then_some((self.index, self.from));
        let rest = Self {
            from: self.from + 1,
            ..self
        };
        (output, (rest.from < self.count).then_some(rest))
    }
}

fn counts(tasks: usize) -> impl Iterator<Item = Count> + Send {
    (0..tasks).map(|index| Count {
        index,
        from: 0,
        count: 1 + 7 * (index % 5),
    })
}

fn expected(tasks: usize) -> Vec<(usize, usize)> {
    let of = |task: Count| {
        (0..task.count)
            .step_by(2)
            .map(move |from| (task.index, from))
    };
    counts(tasks).flat_map(of).collect()
}

/// Returns all outputs, from a taker that also works if `works`.
fn take_all(handover: &Handover<'_, Count>, works: bool) -> Vec<(usize, usize)> {
    let mut seen = Vec::new();
    loop {
        match handover.next(works, Some(LONG)) {
            Next::Output(output) => seen.push(output),
            Next::Work(task) => {
                let (output, rest) = task.work();
                assert!(handover.finish(task.key(), output, rest));
            }
            Next::Nothing => panic!("nothing for long"),
            Next::End => return seen,
        }
    }
}

#[test]
fn outputs_come_in_the_order_of_tasks_however_many_threads_work() {
    for (threads, works) in [(0, true), (1, false), (1, true), (4, false), (4, true)] {
        let handover = Handover::new(counts(200));
        let seen = thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| handover.work(None, |task, _| task.work()));
            }
            take_all(&handover, works)
        });
        assert_eq!(seen, expected(200), "{threads} {works}");
    }
}

#[test]
fn the_output_of_a_lower_task_comes_first_also_when_it_is_there_last() {
    let handover = Handover::new(counts(2));
    let take = || match handover.advance(WORKER, None, None) {
        Next::Work(task) => task,
        _ => panic!("a task"),
    };
    let (first, second) = (take(), take());
    assert!(handover.finish(second.key(), Some((1, 0)), None));
    assert!(matches!(
        handover.next(false, Some(Duration::ZERO)),
        Next::Nothing
    ));
    // A task that is split comes before the next one.
    handover.add(Count { from: 1, ..first });
    assert!(handover.finish(first.key(), Some((0, 0)), None));
    assert_eq!(take_all(&handover, true), [(0, 0), (1, 0)]);
}

#[test]
fn no_more_is_begun_than_may_wait_except_what_is_first() {
    let begun = AtomicUsize::new(0);
    let handover = Handover::new(counts(1000).inspect(|_| {
        begun.fetch_add(1, Ordering::Relaxed);
    }));
    let Next::Work(first) = handover.next(true, None) else {
        panic!("a task")
    };
    thread::scope(|scope| {
        let _stop = handover.stop_on_drop();
        scope.spawn(|| handover.work(None, |task, _| task.work()));
        while !handover.lock().workers_wait {
            thread::yield_now();
        }
        assert!(begun.load(Ordering::Relaxed) < 10);
        assert!(handover.lock().weight <= MAX_WEIGHT);
        // The rest of the first task is worked on although there is no room.
        let rest = Count {
            from: 1,
            count: 4,
            ..first
        };
        assert!(handover.finish(first.key(), Some((0, 0)), Some(rest)));
        for expected in [(0, 0), (0, 2)] {
            match handover.next(false, Some(LONG)) {
                Next::Output(output) => assert_eq!(output, expected),
                _ => panic!("an output"),
            }
        }
    });
}

#[test]
fn a_stop_ends_the_threads_that_wait() {
    let handover = Handover::new(counts(1000));
    thread::scope(|scope| {
        let stop = handover.stop_on_drop();
        let workers = [(); 3].map(|()| scope.spawn(|| handover.work(None, |task, _| task.work())));
        assert!(matches!(
            handover.next(false, Some(LONG)),
            Next::Output((0, 0))
        ));
        drop(stop);
        for worker in workers {
            worker.join().unwrap();
        }
        assert!(matches!(handover.next(true, None), Next::End));
    });
}

#[test]
fn a_panic_of_a_worker_is_the_takers() {
    for works in [false, true] {
        let handover = Handover::new(counts(100));
        let taken = thread::scope(|scope| {
            scope.spawn(|| {
                handover.work(None, |task, _| match task.index {
                    0 => std::panic::resume_unwind(Box::new("on purpose")),
                    _ => task.work(),
                });
            });
            // Waits until the spawned thread works on the first task.
            while handover.lock().slots.is_empty() && !handover.lock().stopped {
                thread::yield_now();
            }
            catch_unwind(AssertUnwindSafe(|| take_all(&handover, works)))
        });
        let panic = taken.expect_err("a panic");
        assert_eq!(panic.downcast_ref(), Some(&"on purpose"));
    }
}

/// A crew that counts; the thread that works on `stuck` stays there until this is
/// dropped.
struct Stuck(Arc<AtomicBool>);

impl Drop for Stuck {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

#[test]
fn a_task_that_comes_no_further_is_given_up_and_its_thread_replaced() {
    let is_stuck = Arc::new(AtomicBool::new(true));
    let _stuck = Stuck(Arc::clone(&is_stuck));
    let late = Arc::new(AtomicUsize::new(0));
    let ended = Arc::clone(&late);
    let orders = Orders {
        name: "test",
        threads: 1,
        deadline: Duration::from_millis(300),
    };
    let work = move |task: Count, heartbeat: &Heartbeat, give: &mut Give<'_, _>| {
        if task.index == 2 {
            while is_stuck.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(1));
            }
            ended.fetch_add(1, Ordering::Relaxed);
        }
        if task.index == 3 {
            // This takes long, but makes progress.
            for _ in 0..60 {
                thread::sleep(Duration::from_millis(10));
                heartbeat.beat();
            }
        }
        task.work_in_parts(give)
    };
    let (mut seen, mut silences) = (Vec::new(), 0);
    let flow = crew::run(
        counts(10),
        orders,
        work,
        |(index, _)| (index, usize::MAX),
        |output| {
            match output {
                Some(output) => seen.push(output),
                None => silences += 1,
            }
            ControlFlow::Continue(())
        },
    );
    assert!(flow.is_continue());
    let mut all = expected(10);
    all.retain(|&(index, _)| index != 2);
    all.insert(expected(2).len(), (2, usize::MAX));
    assert_eq!(seen, all);
    assert!(silences >= 5, "{silences}");
    assert_eq!(late.load(Ordering::Relaxed), 0);
}

#[test]
fn a_crew_ends_when_the_taker_has_enough() {
    let worked = Arc::new(AtomicUsize::new(0));
    let orders = Orders {
        name: "test",
        threads: 3,
        deadline: LONG,
    };
    let count = Arc::clone(&worked);
    let work = move |task: Count, _: &Heartbeat, give: &mut Give<'_, _>| {
        count.fetch_add(1, Ordering::Relaxed);
        task.work_in_parts(give)
    };
    let mut left = 20;
    let flow = crew::run(
        counts(usize::MAX),
        orders,
        work,
        |_| unreachable!("nobody is silent"),
        |_| {
            left -= 1;
            match left {
                0 => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        },
    );
    assert!(flow.is_break());
    // The threads drop the hand-over.
    let until = Instant::now() + LONG;
    while Arc::strong_count(&worked) > 1 {
        assert!(Instant::now() < until);
        thread::yield_now();
    }
}

#[test]
fn parts_come_in_order_in_bounded_numbers_and_waiting_is_no_silence() {
    for threads in [0, 1, 4] {
        let orders = Orders {
            name: "test",
            threads,
            deadline: Duration::from_secs(1),
        };
        let given = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&given);
        let work = move |task: Count, _: &Heartbeat, give: &mut Give<'_, _>| {
            task.work_in_parts(&mut |part| {
                count.fetch_add(usize::from(part.is_some()), Ordering::SeqCst);
                give(part)
            })
        };
        let (mut seen, mut most, mut slept) = (Vec::new(), 0, false);
        let flow = crew::run(
            counts(60),
            orders,
            work,
            |key| panic!("{key:?} is silent"),
            |output| {
                let Some(output) = output else {
                    return ControlFlow::Continue(());
                };
                seen.push(output);
                if seen.len() == 20 && !slept && threads > 0 {
                    // All threads wait for room meanwhile, longer than the deadline.
                    thread::sleep(Duration::from_millis(1500));
                    slept = true;
                }
                let ahead = given.load(Ordering::SeqCst).saturating_sub(seen.len());
                most = most.max(ahead);
                ControlFlow::Continue(())
            },
        );
        assert!(flow.is_continue());
        assert_eq!(seen, expected(60), "{threads} threads");
        // Four outputs are the maximum, and each thread can have one more in its hands.
        assert!(most <= 4 + 2 * threads, "{most} ahead of the taker");
    }
}

#[test]
fn parts_of_an_abandoned_task_are_dropped() {
    let is_stuck = Arc::new(AtomicBool::new(true));
    let _stuck = Stuck(Arc::clone(&is_stuck));
    let refused = Arc::new(AtomicUsize::new(0));
    let orders = Orders {
        name: "test",
        threads: 1,
        deadline: Duration::from_secs(1),
    };
    let (stuck, late) = (Arc::clone(&is_stuck), Arc::clone(&refused));
    let work = move |task: Count, _: &Heartbeat, give: &mut Give<'_, _>| {
        if task.index != 1 {
            return task.work_in_parts(give);
        }
        assert!(give(Some((1, 0))).is_continue());
        while stuck.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(1));
        }
        let refusals = [give(None), give(Some((1, 2))), give(Some((1, 4)))];
        let refusals = refusals.iter().filter(|flow| flow.is_break());
        late.store(refusals.count(), Ordering::SeqCst);
        (1, 6)
    };
    let mut seen = Vec::new();
    let mut each = |output: Option<(usize, usize)>| {
        seen.extend(output);
        if output == Some((1, usize::MAX)) {
            // The task continues, too late, while others are worked on.
            is_stuck.store(false, Ordering::SeqCst);
            while refused.load(Ordering::SeqCst) == 0 {
                thread::yield_now();
            }
        }
        ControlFlow::Continue(())
    };
    let silent = |(index, _)| (index, usize::MAX);
    let flow = crew::run(counts(4), orders, work, silent, &mut each);
    assert!(flow.is_continue());
    assert_eq!(refused.load(Ordering::SeqCst), 3);
    let mut expected = expected(4);
    expected.retain(|&(index, from)| index != 1 || from == 0);
    expected.insert(2, (1, usize::MAX));
    assert_eq!(seen, expected);
}

#[test]
fn a_task_that_hands_over_parts_ends_when_the_taker_has_enough() {
    let ended = Arc::new(AtomicUsize::new(0));
    for threads in [0, 2] {
        let orders = Orders {
            name: "test",
            threads,
            deadline: LONG,
        };
        let count = Arc::clone(&ended);
        let work = move |task: Count, _: &Heartbeat, give: &mut Give<'_, _>| {
            while give(Some((task.index, 0))).is_continue() {}
            count.fetch_add(1, Ordering::SeqCst);
            (task.index, 2)
        };
        let silent = |_| unreachable!("nobody is silent");
        let mut left = 20;
        let flow = crew::run(counts(usize::MAX), orders, work, silent, |_| {
            left -= 1;
            match left {
                0 => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        });
        assert!(flow.is_break());
        let until = Instant::now() + LONG;
        while Arc::strong_count(&ended) > 1 {
            assert!(Instant::now() < until);
            thread::yield_now();
        }
        assert!(ended.swap(0, Ordering::SeqCst) >= 1);
    }
}
