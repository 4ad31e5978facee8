//! Lists of processes, their names and status and that of their threads, compared with
//! the files of `/proc` as the standard library reads them, and with what the processes
//! know of themselves.

mod lists;
mod rights;
mod states;

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant, SystemTime};

use process_introspection::{status_of, Process, RunState, WordSize};
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
