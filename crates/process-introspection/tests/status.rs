//! Lists of processes, their names and status and that of their threads, compared with
//! the files of `/proc` as the standard library reads them, and with what the processes
//! know of themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use process_introspection::{
    all_unique_pids, children_of, program_of, status_of, Policy, Process, RunState, UniquePid,
    Wait, WordSize,
};
use testkit::machine::is_root_or_skip;
use testkit::target::{Report, Target};

fn status_text(process: &str) -> BTreeMap<String, String> {
    let text = fs::read(format!("/proc/{process}/status")).unwrap();
    let text = String::from_utf8_lossy(&text).into_owned();
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    lines
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect()
}

/// Fields of `stat`, the first of which is field 3.
fn stat_fields(process: &str) -> Vec<String> {
    let text = fs::read(format!("/proc/{process}/stat")).unwrap();
    let text = String::from_utf8_lossy(&text).into_owned();
    let (_, rest) = text.rsplit_once(") ").unwrap();
    rest.split(' ').map(str::to_owned).collect()
}

fn gettid() -> u64 {
    // SAFETY: takes no memory.
    unsafe { libc::gettid() as u64 }
}

/// Repeats a comparison of two readings that other processes may change in between.
fn soon<T: PartialEq + std::fmt::Debug>(mut both: impl FnMut() -> (T, T)) {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let (ours, theirs) = both();
        if ours == theirs {
            return;
        }
        assert!(Instant::now() < until, "{ours:?}\n{theirs:?}");
    }
}

#[test]
fn the_list_has_every_process_of_proc_and_each_by_its_unique_pid() {
    let zombie = Target::spawn(Vec::new);
    zombie.kill();
    soon(|| {
        let ours: BTreeSet<u32> = all_unique_pids()
            .unwrap()
            .iter()
            .map(|pid| pid.pid())
            .collect();
        let names = fs::read_dir("/proc").unwrap();
        let names = names.map(|entry| entry.unwrap().file_name());
        let theirs = names
            .filter_map(|name| name.to_str()?.parse().ok())
            .collect();
        (ours, theirs)
    });
    let listed = all_unique_pids().unwrap();
    assert!(listed.is_sorted_by_key(|unique| unique.pid()));
    for pid in [std::process::id(), zombie.pid()] {
        assert!(listed.contains(&UniquePid::of(pid).unwrap()), "{pid}");
    }
}

#[test]
fn children_are_those_of_all_threads_and_zombies_and_not_their_children() {
    let parent = Target::spawn_reporting(|report| {
        let fork = || {
            // SAFETY: the child only waits.
            let child = unsafe { libc::fork() };
            if child == 0 {
                // SAFETY: takes no memory.
                unsafe {
                    libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                    loop {
                        libc::pause();
                    }
                }
            }
            child as u64
        };
        let first = fork();
        let zombie = fork();
        // SAFETY: our child.
        unsafe { libc::kill(zombie as i32, libc::SIGKILL) };
        // SAFETY: as above.
        let grandparent = unsafe { libc::fork() };
        if grandparent == 0 {
            fork();
            // SAFETY: takes no memory.
            unsafe {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                loop {
                    libc::pause();
                }
            }
        }
        testkit::thread::start(move || {
            report.send(&[first, zombie, grandparent as u64, fork()]);
            report.wait();
        });
        loop {
            // SAFETY: takes no memory.
            unsafe { libc::pause() };
        }
    });
    let mut expected: Vec<u32> = parent.addresses().iter().map(|&pid| pid as u32).collect();
    expected.sort_unstable();
    let pids = |list: Vec<UniquePid>| -> Vec<u32> { list.iter().map(|pid| pid.pid()).collect() };
    assert_eq!(pids(children_of(parent.pid()).unwrap()), expected);
    let unique = UniquePid::of(parent.pid()).unwrap();
    assert_eq!(pids(children_of(unique).unwrap()), expected);
    let process = Process::open(parent.pid()).unwrap();
    assert_eq!(pids(process.children().unwrap()), expected);
    assert!(children_of(expected[0]).unwrap().is_empty());
    let own = children_of(0).unwrap();
    assert!(own.contains(&unique));
    drop(parent);
    assert!(children_of(unique).unwrap_err().is_gone());
}

#[test]
fn the_program_is_the_executable_also_a_deleted_one_and_that_of_a_process_without_first_thread() {
    let own = fs::read_link("/proc/self/exe").unwrap().into_os_string();
    assert_eq!(program_of(0).unwrap(), own);
    assert_eq!(Process::current().unwrap().program().unwrap(), own);
    let dir = tempfile::tempdir().unwrap();
    let name = OsString::from_vec(b"a \n(b) \xff".to_vec());
    let path = dir.path().join(name);
    fs::copy("/bin/sleep", &path).unwrap();
    let mut child = Command::new(&path).arg("20").spawn().unwrap();
    // The parent can go on before the program of the child has changed.
    soon(|| {
        (
            program_of(child.id()).unwrap(),
            path.clone().into_os_string(),
        )
    });
    fs::remove_file(&path).unwrap();
    let mut deleted = path.into_os_string();
    deleted.push(" (deleted)");
    assert_eq!(program_of(child.id()).unwrap(), deleted);
    child.kill().unwrap();
    child.wait().unwrap();
    let target = without_first_thread();
    assert_eq!(program_of(target.pid()).unwrap(), own);
}

#[test]
fn what_has_no_program_has_its_name() {
    let target = Target::spawn(|| {
        // SAFETY: a string.
        unsafe { libc::prctl(libc::PR_SET_NAME, c"a) b\nc (d".as_ptr()) };
        Vec::new()
    });
    target.kill();
    assert_eq!(program_of(target.pid()).unwrap(), "a) b\nc (d");
    match status_of(2) {
        Ok(status) if status.is_kernel_thread => {
            assert_eq!(program_of(2).unwrap(), "kthreadd");
            assert_eq!(
                (status.word_size, status.has_random_addresses),
                (None, None)
            );
            assert_eq!((status.base_address, status.private_memory), (None, None));
        }
        other => eprintln!("SKIPPED a kernel thread: {other:?}"),
    }
}

#[test]
fn the_status_is_that_of_the_files_whatever_the_process_is_called() {
    let before = SystemTime::now();
    let target = Target::spawn_reporting(|report| {
        // SAFETY: a string; numbers; a live structure; all of them this process's own.
        unsafe {
            libc::prctl(libc::PR_SET_NAME, c"x) S 1 2\n(".as_ptr());
            libc::umask(0o123);
            libc::signal(libc::SIGUSR1, libc::SIG_IGN);
            let mut set = std::mem::zeroed();
            libc::sigemptyset(&mut set);
            libc::sigaddset(&mut set, libc::SIGUSR2);
            libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
            libc::kill(libc::getpid(), libc::SIGUSR2);
            libc::setsid();
            let mut timer = std::mem::zeroed();
            let clock = libc::CLOCK_MONOTONIC;
            libc::timer_create(clock, std::ptr::null_mut(), &mut timer);
        }
        for _ in 0..3 {
            testkit::thread::start(|| loop {
                std::thread::sleep(Duration::from_secs(1000));
            });
        }
        let mut spent = Duration::ZERO;
        while spent < Duration::from_millis(60) {
            spent = cpu_time();
        }
        // SAFETY: takes no memory.
        report.send(&[
            spent.as_millis() as u64,
            unsafe { libc::getauxval(libc::AT_PHDR) } as u64,
        ]);
        report.wait();
    });
    let process = target.pid().to_string();
    let (lines, stat) = (status_text(&process), stat_fields(&process));
    let status = status_of(target.pid()).unwrap();
    assert_eq!(
        status,
        Process::open(target.pid()).unwrap().status().unwrap()
    );
    assert_eq!(status.pid, target.pid());
    assert_eq!(status.parent, std::process::id());
    assert_eq!(
        (status.process_group, status.session),
        (target.pid(), target.pid())
    );
    assert_eq!(status.state, RunState::Sleeping);
    assert_eq!((status.threads, lines["Threads"].as_str()), (4, "4"));
    assert!(!status.is_kernel_thread && !status.is_zombie() && !status.is_dumping_core);
    assert!(status.has_not_executed);
    assert_eq!(status.umask, Some(0o123));
    let ids = |name: &str| -> Vec<u32> {
        lines[name]
            .split('\t')
            .map(|id| id.parse().unwrap())
            .collect()
    };
    let users = status.users;
    assert_eq!([users.real, users.effective, users.saved], ids("Uid")[..3]);
    let groups = status.groups;
    assert_eq!(
        [groups.real, groups.effective, groups.saved],
        ids("Gid")[..3]
    );
    assert!(status.ignored_signals.contains(libc::SIGUSR1 as u32));
    assert!(status.pending_signals.contains(libc::SIGUSR2 as u32));
    let mask = |name: &str| u64::from_str_radix(&lines[name], 16).unwrap();
    assert_eq!(status.ignored_signals.0, mask("SigIgn"));
    assert_eq!(status.pending_signals.0, mask("ShdPnd"));
    let files = fs::read_dir(format!("/proc/{process}/fd")).unwrap().count();
    assert_eq!(status.descriptors, Some(files as u32));
    if let Ok(timers) = fs::read_to_string(format!("/proc/{process}/timers")) {
        let count = timers
            .lines()
            .filter(|line| line.starts_with("ID:"))
            .count();
        assert_eq!(count, 1);
        assert_eq!(status.timers, Some(1));
    }
    let memory =
        |name: &str| -> u64 { lines[name].trim_end_matches(" kB").parse::<u64>().unwrap() * 1024 };
    assert_eq!(
        status.private_memory,
        Some(memory("RssAnon") + memory("VmSwap"))
    );
    let spent = Duration::from_millis(target.addresses()[0]);
    let cpu = status.user_time + status.system_time;
    assert!(
        cpu + Duration::from_millis(30) >= spent && cpu < spent * 4,
        "{cpu:?} {spent:?}"
    );
    let started = SystemTime::UNIX_EPOCH + status.started_since_epoch.unwrap();
    let slack = Duration::from_millis(50);
    assert!(started + slack >= before && started <= SystemTime::now() + slack);
    // Field n is at n - 3.
    assert_eq!(status.initial_stack.unwrap().as_u64().to_string(), stat[25]);
    // This program's header lies before its program headers.
    let header = if usize::BITS == 64 { 64 } else { 52 };
    assert_eq!(
        status.base_address.unwrap().as_u64() + header,
        target.addresses()[1]
    );
    assert!(status.word_size.is_some_and(WordSize::is_own));
    assert!(status.has_random_addresses.is_some());
}

/// CPU time of the calling process.
fn cpu_time() -> Duration {
    // SAFETY: a live structure.
    unsafe {
        let mut time = std::mem::zeroed::<libc::timespec>();
        libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time);
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    }
}

#[test]
fn ones_own_descriptors_are_counted_without_those_of_the_call() {
    if !testkit::alone::is_alone("ones_own_descriptors_are_counted_without_those_of_the_call") {
        return;
    }
    let count = || fs::read_dir("/proc/self/fd").unwrap().count() as u32 - 1;
    assert_eq!(status_of(0).unwrap().descriptors, Some(count()));
    let _file = fs::File::open("/dev/null").unwrap();
    assert_eq!(
        status_of(std::process::id()).unwrap().descriptors,
        Some(count())
    );
}

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

fn without_first_thread() -> Target {
    Target::spawn_reporting(|report: Report| {
        // SAFETY: takes no memory.
        let leader = unsafe { libc::getpid() };
        testkit::thread::start(move || {
            while !stat_fields(&leader.to_string())[0].starts_with('Z') {
                std::thread::yield_now();
            }
            report.send(&[gettid()]);
            report.wait();
        });
        // SAFETY: ends this thread only; its stack is not used again.
        unsafe { libc::syscall(libc::SYS_exit, 0) };
    })
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
    let test = "a_thread_waits_for_what_its_system_call_says";
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

/// Two of three threads live, while others begin and end all the time.
#[test]
fn living_threads_are_all_listed_while_a_thousand_others_come_and_go() {
    let test = "living_threads_are_all_listed_while_a_thousand_others_come_and_go";
    if !testkit::alone::is_alone(test) {
        return;
    }
    const LIVING: usize = 300;
    let target = Target::spawn_reporting(|report| {
        let (tell, told) = std::sync::mpsc::channel();
        for _ in 0..LIVING {
            let tell = tell.clone();
            testkit::thread::start(move || {
                tell.send(gettid()).unwrap();
                loop {
                    std::thread::sleep(Duration::from_secs(1000));
                }
            });
        }
        let tids: Vec<u64> = (0..LIVING).map(|_| told.recv().unwrap()).collect();
        report.send(&tids);
        loop {
            for _ in 0..50 {
                testkit::thread::start(|| ());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    let process = Process::open(target.pid()).unwrap();
    let living: BTreeSet<u32> = target.addresses().iter().map(|&tid| tid as u32).collect();
    let (mut passes, mut seen, mut ended) = (0, BTreeSet::new(), 0);
    while seen.len() < LIVING + 1000 {
        let threads = process.threads().unwrap();
        let tids: Vec<u32> = threads.iter().map(|thread| thread.tid()).collect();
        assert!(tids.is_sorted_by(|a, b| a < b));
        let found: BTreeSet<u32> = tids.into_iter().collect();
        assert!(living.is_subset(&found));
        for thread in threads
            .iter()
            .filter(|thread| !living.contains(&thread.tid()))
        {
            match thread.status().unwrap() {
                Some(status) => assert_eq!(status.tid, thread.tid()),
                None => ended += 1,
            }
        }
        seen.extend(found);
        passes += 1;
    }
    println!(
        "{} threads in {passes} passes, {ended} ended before their status",
        seen.len()
    );
}

/// Without rights the facts that need them are unknown, and never another process's.
#[test]
fn without_the_right_to_read_a_process_its_public_facts_remain() {
    let test = "without_the_right_to_read_a_process_its_public_facts_remain";
    if !is_root_or_skip(test) {
        return;
    }
    let target = Target::spawn(Vec::new);
    let reader = Target::spawn(|| {
        become_nobody();
        let status = status_of(target.pid()).unwrap();
        let unknown = [
            status.base_address.is_none(),
            status.initial_stack.is_none(),
            status.descriptors.is_none(),
            status.word_size.is_none(),
            status.has_random_addresses.is_none(),
        ];
        let known = [
            status.threads == 1,
            status.users.real == 0,
            status.private_memory.is_some(),
            status.umask.is_some(),
        ];
        let name = program_of(target.pid());
        let answers = [
            unknown.iter().all(|&is| is),
            known.iter().all(|&is| is),
            name.is_err_and(|error| error.is_permission_denied()),
            Process::open(target.pid()).is_err_and(|error| error.is_permission_denied()),
            children_of(target.pid()).is_ok_and(|children| children.is_empty()),
            all_unique_pids().is_ok_and(|all| all.iter().any(|pid| pid.pid() == target.pid())),
            program_of(0).is_ok() && status_of(0).is_ok_and(|own| own.initial_stack.is_some()),
        ];
        answers.map(u64::from).to_vec()
    });
    assert_eq!(reader.addresses(), [1; 7]);
}

fn become_nobody() {
    // SAFETY: no group is read.
    unsafe {
        assert_eq!(libc::setgroups(0, std::ptr::null()), 0);
        assert_eq!(libc::setgid(65534), 0);
        assert_eq!(libc::setuid(65534), 0);
        // As a program of that user is. Before Linux 5.14 a process that is not could
        // find no other (fs/proc/fd.c, `proc_fdinfo_access_allowed`).
        assert_eq!(libc::prctl(libc::PR_SET_DUMPABLE, 1), 0);
    }
}

/// Mounts a `/proc` in a mount namespace of the calling process's own.
fn mount_proc(options: &std::ffi::CStr) -> bool {
    // SAFETY: live strings; a mount namespace of this process's own.
    unsafe {
        let propagation = libc::MS_REC | libc::MS_PRIVATE;
        let none = std::ptr::null();
        libc::unshare(libc::CLONE_NEWNS) == 0
            && libc::mount(none, c"/".as_ptr(), none, propagation, none.cast()) == 0
            && libc::mount(
                c"proc".as_ptr(),
                c"/proc".as_ptr(),
                c"proc".as_ptr(),
                0,
                options.as_ptr().cast(),
            ) == 0
    }
}

#[test]
fn hidden_processes_are_refused_and_not_listed() {
    if !is_root_or_skip("hidden processes") {
        return;
    }
    let target = Target::spawn(Vec::new);
    // Where unique PIDs are made of start times (bit 62), those of hidden processes are
    // hidden, too.
    let has_pidfs = UniquePid::of(target.pid()).unwrap().as_i64() >> 62 == 0;
    for (options, lists_all) in [(c"hidepid=1", has_pidfs), (c"hidepid=2", false)] {
        let reader = Target::spawn(|| {
            if !mount_proc(options) {
                return vec![2];
            }
            // Root's group sees everything.
            become_nobody();
            let is_denied = |error: process_introspection::Error| error.is_permission_denied();
            let listed = all_unique_pids().unwrap();
            let own = listed.iter().any(|pid| pid.pid() == std::process::id());
            vec![
                u64::from(status_of(target.pid()).is_err_and(is_denied)),
                u64::from(program_of(target.pid()).is_err_and(is_denied)),
                u64::from(own),
                u64::from(listed.iter().any(|pid| pid.pid() == target.pid()) == lists_all),
                u64::from(status_of(0).is_ok()),
            ]
        });
        match reader.addresses() {
            [2] => eprintln!("SKIPPED {options:?}: this /proc cannot be mounted here"),
            answers => assert_eq!(answers, [1; 5], "{options:?}"),
        }
    }
}

#[test]
fn a_proc_of_another_pid_namespace_lists_nothing_and_one_of_its_own_that_namespace() {
    if !is_root_or_skip("a PID namespace") {
        return;
    }
    // A child of the first process of a namespace: ours is not in it.
    let outer = Target::spawn_reporting(|report| {
        // SAFETY: takes no memory.
        assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWPID) }, 0);
        // SAFETY: the child of a process with one thread.
        if unsafe { libc::fork() } != 0 {
            loop {
                // SAFETY: takes no memory.
                unsafe { libc::pause() };
            }
        }
        // SAFETY: takes no memory.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        let is_denied = |error: process_introspection::Error| error.is_permission_denied();
        let denied = all_unique_pids().is_err_and(is_denied);
        let denied_children = children_of(0).is_err_and(is_denied);
        let mounted = mount_proc(c"");
        let listed = all_unique_pids().map_or(0, |all| all.len() as u64);
        let status = status_of(1).map_or(u64::MAX, |status| u64::from(status.parent));
        report.send(&[
            u64::from(denied && denied_children),
            u64::from(mounted),
            listed,
            status,
        ]);
        report.wait();
    });
    assert_eq!(outer.addresses()[0], 1);
    match outer.addresses()[1..] {
        [0, ..] => eprintln!("SKIPPED a /proc of the namespace: it cannot be mounted here"),
        // The parent is outside of the namespace.
        ref answers => assert_eq!(answers, [1, 1, 0]),
    }
}
