//! States and priorities of threads, and what they wait for.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use process_introspection::{status_of, Policy, Process, RunState, Wait};
use testkit::target::{Report, Target};

use super::{gettid, soon, status_text, without_first_thread};

#[test]
fn states_of_a_process_are_known() {
    let target = Target::spawn(Vec::new);
    target.stop();
    assert_eq!(status_of(target.pid()).unwrap().state, RunState::Stopped);
    target.go_on();
    target.kill();
    let zombie = status_of(target.pid()).unwrap();
    assert!(zombie.is_zombie() && zombie.threads == 0 && zombie.is_ending);
    assert_eq!((zombie.umask, zombie.base_address), (None, None));
    // A program that was executed, without random addresses.
    let mut command = Command::new("sleep");
    // SAFETY: takes no memory.
    unsafe {
        command.arg("20").pre_exec(|| {
            libc::personality(libc::ADDR_NO_RANDOMIZE as libc::c_ulong);
            Ok(())
        });
    }
    let mut child = command.spawn().unwrap();
    soon(|| (status_of(child.id()).unwrap().has_not_executed, false));
    let status = status_of(child.id()).unwrap();
    assert_eq!(status.has_random_addresses, Some(false));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(status_of(child.id()).unwrap_err().is_gone());
}

#[test]
fn a_first_thread_that_has_ended_is_no_thread_and_its_process_no_zombie() {
    let target = without_first_thread();
    let status = status_of(target.pid()).unwrap();
    assert_eq!((status.state, status.threads), (RunState::Ended, 1));
    assert!(!status.is_zombie() && !status.is_ending);
    assert!(status.initial_stack.is_some() && status.base_address.is_some());
    let process = Process::open(target.pid()).unwrap();
    assert_eq!(process.status().unwrap().threads, 1);
    let living = |tid| process.thread(tid).status().unwrap();
    assert_eq!(living(target.pid()), None);
    let tid = target.addresses()[0] as u32;
    assert_eq!(living(tid).unwrap().tid, tid);
}

/// The calls in which threads of the target wait, and the address of the futex.
fn waiting_threads(report: Report) {
    static mut FUTEX: u32 = 1;
    let start = |wait: fn()| {
        let (tell, told) = std::sync::mpsc::channel();
        testkit::thread::start(move || {
            tell.send(gettid()).unwrap();
            loop {
                wait();
            }
        });
        told.recv().unwrap()
    };
    // SAFETY: each call has live arguments of the type that it takes.
    let tids = unsafe {
        [
            start(|| {
                let time = libc::timespec {
                    tv_sec: 1000,
                    tv_nsec: 0,
                };
                libc::nanosleep(&time, std::ptr::null_mut());
            }),
            start(|| {
                let mut set = std::mem::zeroed();
                libc::sigemptyset(&mut set);
                libc::sigsuspend(&set);
            }),
            start(|| {
                let mut set = std::mem::zeroed();
                libc::sigemptyset(&mut set);
                libc::sigaddset(&mut set, libc::SIGUSR2);
                libc::sigwaitinfo(&set, std::ptr::null_mut());
            }),
            start(|| {
                libc::syscall(
                    libc::SYS_futex,
                    &raw mut FUTEX,
                    libc::FUTEX_WAIT,
                    1,
                    0,
                    0,
                    0,
                );
            }),
            start(|| {
                libc::poll(std::ptr::null_mut(), 0, -1);
            }),
            start(std::hint::spin_loop),
        ]
    };
    std::thread::sleep(Duration::from_millis(20));
    let mut report_of = tids.to_vec();
    report_of.push((&raw mut FUTEX) as u64);
    report.send(&report_of);
    report.wait();
}

#[test]
fn a_thread_waits_for_what_its_system_call_says() {
    let test = "states::a_thread_waits_for_what_its_system_call_says";
    if !testkit::alone::is_alone(test) {
        return;
    }
    let target = Target::spawn_reporting(waiting_threads);
    let process = Process::open(target.pid()).unwrap();
    let [sleeps, suspended, waits, futex, polls, runs, address] = *target.addresses() else {
        panic!()
    };
    let expected = [
        (sleeps, Wait::Time),
        (suspended, Wait::Signal),
        (waits, Wait::SignalInformation),
        (futex, Wait::Futex(address)),
        (polls, Wait::Other),
    ];
    for (tid, wait) in expected {
        let thread = process.thread(tid as u32);
        soon(|| (thread.status().unwrap().unwrap().wait, Some(wait)));
        let status = thread.status().unwrap().unwrap();
        assert_eq!(status.state, RunState::Sleeping);
        assert!(!status.is_traced);
        let place = status.suspension.unwrap();
        let text =
            fs::read_to_string(format!("/proc/{}/task/{tid}/syscall", target.pid())).unwrap();
        let fields: Vec<&str> = text.split_whitespace().collect();
        assert_eq!(place.system_call.unwrap().number.to_string(), fields[0]);
        assert_eq!(format!("{:#x}", place.stack_pointer), fields[7]);
        assert_eq!(format!("{:#x}", place.instruction_pointer), fields[8]);
        let stack = status.stack.unwrap();
        assert!(stack.contains(place.stack_pointer.into()));
        let lines = status_text(&format!("{}/task/{tid}", target.pid()));
        let mask = u64::from_str_radix(&lines["SigBlk"], 16).unwrap();
        assert_eq!(status.blocked_signals.0, mask);
    }
    let running = process.thread(runs as u32).status().unwrap().unwrap();
    assert_eq!(
        (running.state, running.suspension, running.wait),
        (RunState::Running, None, None)
    );
    assert!(running.cpu_time > Duration::ZERO);
    let again = process.thread(runs as u32);
    soon(|| {
        (
            again.status().unwrap().unwrap().cpu_time > running.cpu_time,
            true,
        )
    });
    target.stop();
    let stopped = process.thread(runs as u32).status().unwrap().unwrap();
    assert_eq!(stopped.state, RunState::Stopped);
    assert!(stopped
        .suspension
        .is_some_and(|place| place.system_call.is_none()));
    let tids: Vec<u64> = process
        .threads()
        .unwrap()
        .iter()
        .map(|thread| thread.tid().into())
        .collect();
    let mut all = vec![u64::from(target.pid())];
    all.extend(&target.addresses()[..6]);
    all.sort_unstable();
    assert_eq!(tids, all);
    assert_eq!(process.thread(u32::MAX).status().unwrap(), None);
}

#[test]
fn real_time_priorities_are_known() {
    let target = Target::spawn(|| {
        let parameter = libc::sched_param { sched_priority: 37 };
        // SAFETY: a live structure.
        let set = unsafe { libc::sched_setscheduler(0, libc::SCHED_RR, &parameter) };
        vec![u64::from(set == 0)]
    });
    let scheduling = status_of(target.pid()).unwrap().scheduling;
    if target.addresses() == [0] {
        assert_eq!(
            (scheduling.policy, scheduling.real_time_priority),
            (Policy::Other, 0)
        );
        eprintln!("SKIPPED a real-time policy: it is not permitted here");
        return;
    }
    assert_eq!(scheduling.policy, Policy::RoundRobin);
    assert_eq!(scheduling.real_time_priority, 37);
    assert_eq!(scheduling.effective_real_time_priority, 37);
}
