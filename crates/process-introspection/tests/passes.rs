//! Passes over processes that hand over parts while they walk.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use process_introspection::{
    all_pids, for_each_process, stream_processes, AddrRange, Error, Parts, PassEvent, PassOptions,
    Process, UniquePid,
};
use testkit::target::Target;
use testkit::varied::Varied;

const LONG: Duration = Duration::from_secs(30);

/// Hands over the mappings of a process, some at a time.
fn mappings(process: Process, parts: &mut Parts<'_, Vec<AddrRange>>) -> Result<usize, Error> {
    let (mut ranges, mut count) = (Vec::new(), 0);
    for mapping in process.virtual_regions(..)? {
        ranges.push(mapping?.range);
        count += 1;
        if ranges.len() == 7 && parts.give(std::mem::take(&mut ranges)).is_break() {
            return Ok(count);
        }
    }
    let _ = parts.give(ranges);
    Ok(count)
}

fn unique(target: &Target) -> UniquePid {
    UniquePid::of(target.pid()).unwrap()
}

#[test]
fn parts_are_those_of_the_processes_in_their_order() {
    let targets: Vec<_> = (0..4).map(|_| Varied::spawn().0).collect();
    let gone = {
        let target = Target::spawn(Vec::new);
        unique(&target)
    };
    let mut processes: Vec<_> = targets.iter().map(unique).collect();
    processes.insert(2, gone);
    for threads in [0, 1, 2, 5] {
        let options = PassOptions::new().threads(threads);
        let mut found = vec![Vec::new(); processes.len()];
        let mut ended = Vec::new();
        stream_processes(processes.clone(), &options, mappings, |event| {
            match event {
                PassEvent::Part { index, part } => {
                    assert_eq!(index, ended.len());
                    found[index].extend(part);
                }
                PassEvent::End { index, result } => {
                    assert_eq!(index, ended.len());
                    ended.push(result);
                }
                PassEvent::Waiting => {}
            }
            ControlFlow::Continue(())
        });
        assert_eq!(ended.len(), processes.len());
        for (index, (found, result)) in found.iter().zip(ended).enumerate() {
            if index == 2 {
                assert!(result.unwrap_err().is_gone() && found.is_empty());
                continue;
            }
            let process = Process::open(processes[index]).unwrap();
            let expected = process.virtual_regions(..).unwrap();
            let expected: Vec<_> = expected.map(|mapping| mapping.unwrap().range).collect();
            assert_eq!(*found, expected, "{threads} threads");
            assert_eq!(result.unwrap().unwrap(), expected.len());
        }
    }
}

#[test]
fn every_process_of_the_machine_has_one_end() {
    let processes = all_pids().unwrap();
    let (mut next, mut parts) = (0, 0);
    stream_processes(processes.clone(), &PassOptions::new(), mappings, |event| {
        match event {
            PassEvent::Part { .. } => parts += 1,
            PassEvent::End { index, .. } => {
                assert_eq!(index, next);
                next += 1;
            }
            PassEvent::Waiting => {}
        }
        ControlFlow::Continue(())
    });
    assert_eq!(next, processes.len());
    assert!(parts > 0);
}

#[test]
fn the_walk_continues_while_the_caller_works_but_not_far() {
    let target = Target::spawn(Vec::new);
    for threads in [1, 2] {
        let given = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&given);
        let look = move |_: Process, parts: &mut Parts<'_, usize>| {
            for number in 0..200 {
                count.store(number + 1, Ordering::SeqCst);
                if parts.give(number).is_break() {
                    break;
                }
            }
        };
        let options = PassOptions::new().threads(threads);
        let (mut seen, mut most) = (0, 0);
        stream_processes(vec![unique(&target)], &options, look, |event| {
            let PassEvent::Part { part, .. } = event else {
                return ControlFlow::Continue(());
            };
            assert_eq!(part, seen);
            seen += 1;
            if seen == 1 {
                // The next parts are made before this one is done with.
                let until = Instant::now() + LONG;
                while given.load(Ordering::SeqCst) < 5 {
                    assert!(Instant::now() < until, "nothing is made meanwhile");
                    thread::yield_now();
                }
                thread::sleep(Duration::from_millis(50));
            }
            most = most.max(given.load(Ordering::SeqCst) - seen);
            ControlFlow::Continue(())
        });
        assert_eq!(seen, 200);
        assert!(most <= 10, "{most} parts wait");
    }
}

#[test]
fn a_process_that_is_silent_ends_and_what_comes_later_is_dropped() {
    let targets: Vec<_> = (0..3).map(|_| Target::spawn(Vec::new)).collect();
    let processes: Vec<_> = targets.iter().map(unique).collect();
    let silent = processes[1].pid();
    let is_stuck = Arc::new(AtomicBool::new(true));
    let refused = Arc::new(AtomicUsize::new(0));
    let (stuck, late) = (Arc::clone(&is_stuck), Arc::clone(&refused));
    let look = move |process: Process, parts: &mut Parts<'_, u32>| {
        let pid = process.pid().unwrap();
        assert!(parts.give(pid).is_continue());
        if pid == silent {
            while stuck.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_millis(1));
            }
            late.fetch_add(usize::from(parts.check().is_break()), Ordering::SeqCst);
            late.fetch_add(usize::from(parts.give(0).is_break()), Ordering::SeqCst);
        }
    };
    let options = PassOptions::new()
        .threads(1)
        .deadline(Duration::from_secs(2));
    let (mut found, mut ended, mut waited) = (Vec::new(), Vec::new(), 0);
    stream_processes(processes.clone(), &options, look, |event| {
        match event {
            PassEvent::Part { part, .. } => found.push(part),
            PassEvent::End { index, result } => {
                ended.push(result);
                if index == 1 {
                    is_stuck.store(false, Ordering::SeqCst);
                    let until = Instant::now() + LONG;
                    while refused.load(Ordering::SeqCst) < 2 {
                        assert!(Instant::now() < until, "a late part was taken");
                        thread::yield_now();
                    }
                }
            }
            PassEvent::Waiting => waited += 1,
        }
        ControlFlow::Continue(())
    });
    let pids: Vec<_> = processes.iter().map(|process| process.pid()).collect();
    assert_eq!(found, pids);
    let silences: Vec<_> = ended.iter().map(|result| result.is_err()).collect();
    assert_eq!(silences, [false, true, false]);
    assert!(ended[1].as_ref().unwrap_err().is_silent());
    assert!(waited > 0);
}

#[test]
fn a_pass_that_is_broken_off_ends_its_threads() {
    let target = Target::spawn(Vec::new);
    let running = Arc::new(());
    let held = Arc::clone(&running);
    let look = move |_: Process, parts: &mut Parts<'_, ()>| {
        let _held = Arc::clone(&held);
        while parts.give(()).is_continue() {}
    };
    let mut left = 30;
    let processes = vec![unique(&target); 4];
    stream_processes(processes, &PassOptions::new().threads(3), look, |_| {
        left -= 1;
        match left {
            0 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    });
    assert_eq!(left, 0);
    let until = Instant::now() + LONG;
    while Arc::strong_count(&running) > 1 {
        assert!(Instant::now() < until, "threads are left");
        thread::yield_now();
    }
}

#[test]
fn a_pass_without_parts_has_the_results_in_order() {
    let targets: Vec<_> = (0..5).map(|_| Target::spawn(Vec::new)).collect();
    let processes: Vec<_> = targets.iter().map(unique).collect();
    let pids: Vec<_> = processes.iter().map(|process| process.pid()).collect();
    let mut found = Vec::new();
    let options = PassOptions::new().threads(3);
    let look = |process: Process| process.pid();
    for_each_process(processes, &options, look, |pid| {
        found.extend(pid.map(|pid| pid.unwrap().unwrap()));
        ControlFlow::Continue(())
    });
    assert_eq!(found, pids);
}
