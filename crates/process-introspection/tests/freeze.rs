//! A process that is frozen stands still, and always runs on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use process_introspection::{Error, Frozen, Process};
use testkit::machine::is_root_or_skip;
use testkit::memory;
use testkit::target::Target;

/// A process of which each thread counts, in memory that is seen here, with
/// pauses that leave the machine to others.
struct Counting {
    target: Target,
    counters: Vec<&'static AtomicU64>,
}

impl Counting {
    fn new(threads: usize) -> Self {
        let at = memory::map(memory::page(), libc::MAP_SHARED | libc::MAP_ANONYMOUS, -1);
        // SAFETY: the page is mapped, zeroed, and never unmapped.
        let counter = |index: usize| unsafe { &*((at as *const AtomicU64).add(index)) };
        let counters: Vec<_> = (0..threads).map(counter).collect();
        let of_child = counters.clone();
        let target = Target::spawn_reporting(move |report| {
            let count = |counter: &AtomicU64| loop {
                counter.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_micros(200));
            };
            for &counter in &of_child[1..] {
                testkit::thread::start(move || count(counter));
            }
            report.send(&[]);
            count(of_child[0]);
        });
        let counting = Self { target, counters };
        assert!(counting.runs(), "it counts");
        counting
    }

    fn pid(&self) -> u32 {
        self.target.pid()
    }

    fn counted(&self) -> Vec<u64> {
        let count = |counter: &&AtomicU64| counter.load(Ordering::Relaxed);
        self.counters.iter().map(count).collect()
    }

    /// Whether all threads get on, within what a busy machine may take.
    fn runs(&self) -> bool {
        let before = self.counted();
        within(Duration::from_secs(20), || {
            self.counted()
                .iter()
                .zip(&before)
                .all(|(now, before)| now > before)
        })
    }

    /// Whether the kernel says of all threads that they are stopped, and none gets
    /// on while another process does.
    fn stands(&self) -> bool {
        self.is_still(|| states(self.pid()).iter().all(|&state| state == 'T'))
    }

    /// As [`Counting::stands`], where something else says that they are held.
    fn is_still(&self, is_held: impl Fn() -> bool) -> bool {
        let held_before = is_held();
        let before = self.counted();
        let other = Counting::new(1);
        let goal = other.counted()[0] + 20;
        let gets_on = within(Duration::from_secs(20), || other.counted()[0] >= goal);
        assert!(gets_on, "the other process");
        held_before && self.counted() == before && is_held()
    }

    fn freeze(&self) -> Result<Frozen, Error> {
        Process::open(self.pid()).unwrap().freeze()
    }
}

fn within(limit: Duration, mut reached: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    loop {
        if reached() {
            return true;
        }
        if begun.elapsed() > limit {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn states(pid: u32) -> Vec<char> {
    let mut states = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
        let stat = fs::read_to_string(task.unwrap().path().join("stat")).unwrap();
        states.extend(stat.rsplit(") ").next().unwrap().chars().next());
    }
    states
}

fn signal(pid: u32, signal: i32) {
    // SAFETY: takes no memory.
    assert_eq!(unsafe { libc::kill(pid as i32, signal) }, 0);
}

#[test]
fn all_threads_stand_still_and_run_on() {
    for threads in [1, 3] {
        let counting = Counting::new(threads);
        let frozen = counting.freeze().unwrap();
        let since = Instant::now();
        assert!(!frozen.was_stopped_before());
        assert_eq!(states(counting.pid()), vec!['T'; threads]);
        assert!(counting.stands());
        let stood = since.elapsed();
        assert!(frozen.release() >= stood);
        assert!(counting.runs());
        // Dropped, too.
        drop(counting.freeze().unwrap());
        assert!(counting.runs());
    }
}

#[test]
fn what_was_stopped_before_stays_stopped() {
    let counting = Counting::new(2);
    signal(counting.pid(), libc::SIGSTOP);
    assert!(within(Duration::from_secs(20), || states(counting.pid())
        == ['T', 'T']));
    let frozen = counting.freeze().unwrap();
    assert!(frozen.was_stopped_before());
    assert_eq!(frozen.release(), Duration::ZERO);
    assert_eq!(states(counting.pid()), ['T', 'T']);
    signal(counting.pid(), libc::SIGCONT);
    assert!(counting.runs());
}

#[test]
fn oneself_and_the_first_process_are_refused() {
    let error = Process::current().unwrap().freeze().unwrap_err();
    assert_eq!(error.errno(), libc::EDEADLK);
    assert!(
        error.to_string().contains("the calling process itself"),
        "{error}"
    );
    let by_number = Process::open(std::process::id()).unwrap();
    assert_eq!(by_number.freeze().unwrap_err().errno(), libc::EDEADLK);
    // Its memory cannot be looked at everywhere.
    match Process::open(1u32) {
        Ok(first) => {
            let error = first.freeze().unwrap_err();
            assert!(error.is_permission_denied(), "{error}");
            assert!(!states(1).contains(&'T'));
        }
        Err(error) => eprintln!("SKIPPED the first process is refused: {error}"),
    }
}

#[test]
fn what_may_not_be_signalled_is_said_to_be_refused() {
    if !is_root_or_skip("what_may_not_be_signalled_is_said_to_be_refused") {
        return;
    }
    let counting = Counting::new(1);
    let pid = counting.pid();
    // In a child, which becomes another user after it has opened the target.
    let mut other = Target::spawn(|| {
        let process = Process::open(pid).unwrap();
        // SAFETY: takes no memory; this thread's user only, of its only one.
        assert_eq!(unsafe { libc::syscall(libc::SYS_setuid, 65534) }, 0);
        let refused = process.freeze().map(drop).unwrap_err();
        vec![
            refused.errno() as u64,
            u64::from(refused.to_string().contains("CAP_KILL")),
        ]
    });
    assert_eq!(other.addresses(), [libc::EPERM as u64, 1]);
    other.release();
    assert!(counting.runs());
}

#[test]
fn what_a_tracer_has_running_is_refused_and_what_it_has_stopped_is_left() {
    let counting = Counting::new(1);
    let pid = counting.pid() as i32;
    // ptrace is a thread's.
    // SAFETY: takes no memory.
    let seized = unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid, 0usize, 0usize) };
    assert_eq!(seized, 0, "{}", std::io::Error::last_os_error());
    let error = counting.freeze().unwrap_err();
    assert_eq!(error.errno(), libc::EBUSY, "{error}");
    assert!(counting.runs());
    // SAFETY: takes no memory; the wait writes to a live integer.
    unsafe {
        assert_eq!(libc::ptrace(libc::PTRACE_INTERRUPT, pid, 0usize, 0usize), 0);
        let mut status = 0;
        assert_eq!(libc::waitpid(pid, &mut status, libc::__WALL), pid);
    }
    assert!(counting.freeze().unwrap().was_stopped_before());
    assert_eq!(states(counting.pid()), ['t']);
    // SAFETY: takes no memory.
    unsafe { libc::ptrace(libc::PTRACE_DETACH, pid, 0usize, 0usize) };
    assert!(counting.runs());
}

#[test]
fn what_dies_while_it_stands_is_gone() {
    let counting = Counting::new(2);
    let process = Process::open(counting.pid()).unwrap();
    let frozen = process.freeze().unwrap();
    counting.target.kill();
    let error = process
        .virtual_regions(..)
        .unwrap()
        .find_map(Result::err)
        .expect("its memory is gone");
    assert!(error.is_gone(), "{error}");
    frozen.release();
    // What has ended does not change: nothing to stop, and no error.
    assert!(counting.freeze().unwrap().was_stopped_before());
}

/// Descriptors, and children of whatever kind.
fn resources() -> (usize, String) {
    let count = fs::read_dir("/proc/self/fd").unwrap().count();
    (
        count,
        fs::read_to_string("/proc/thread-self/children").unwrap(),
    )
}

#[test]
fn neither_descriptors_nor_children_are_left() {
    let counting = Counting::new(1);
    let pid = counting.pid();
    // In a process of its own: other tests have theirs.
    let target = Target::spawn(|| {
        let process = Process::open(pid).unwrap();
        let before = resources();
        let frozen = process.freeze().unwrap();
        assert_ne!(resources().1, before.1, "there is a watchdog");
        frozen.release();
        drop(process.freeze().unwrap());
        assert_eq!(resources(), before);
        vec![]
    });
    drop(target);
    assert!(counting.runs());
}

#[test]
fn whoever_freezes_and_is_killed_lets_go() {
    let counting = Counting::new(2);
    let pid = counting.pid();
    for how in [libc::SIGKILL, libc::SIGABRT, libc::SIGINT] {
        let mut freezing = Target::spawn(|| {
            // SAFETY: no handler; whatever this was started with, it ends it.
            unsafe { libc::signal(how, libc::SIG_DFL) };
            std::mem::forget(Process::open(pid).unwrap().freeze().unwrap());
            vec![]
        });
        assert!(counting.stands());
        signal(freezing.pid(), how);
        assert!(counting.runs(), "after signal {how}");
        freezing.release();
    }
}

#[test]
fn a_signal_to_the_whole_process_group_leaves_the_watchdog() {
    let counting = Counting::new(1);
    let pid = counting.pid();
    let freezing = Target::spawn(|| {
        // SAFETY: takes no memory.
        unsafe { libc::setpgid(0, 0) };
        std::mem::forget(Process::open(pid).unwrap().freeze().unwrap());
        vec![]
    });
    assert!(counting.stands());
    // SAFETY: takes no memory; the group is the child's own.
    let killed = unsafe { libc::kill(-(freezing.pid() as i32), libc::SIGKILL) };
    assert_eq!(killed, 0);
    assert!(counting.runs());
}

#[test]
fn whoever_freezes_and_executes_lets_go() {
    let counting = Counting::new(1);
    let pid = counting.pid();
    let mut freezing = Target::spawn_then(
        || {
            std::mem::forget(Process::open(pid).unwrap().freeze().unwrap());
            vec![]
        },
        || {
            use std::os::unix::process::CommandExt;
            panic!("{}", Command::new("sleep").arg("60").exec());
        },
    );
    assert!(counting.stands());
    freezing.release();
    assert!(counting.runs());
}

#[test]
fn the_watchdog_holds_nobodys_pipe_open() {
    let counting = Counting::new(1);
    let mut reader = Command::new("cat")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let frozen = counting.freeze().unwrap();
    drop(reader.stdin.take());
    let ended = within(Duration::from_secs(20), || {
        reader.try_wait().unwrap().is_some()
    });
    frozen.release();
    let _ = reader.kill();
    let _ = reader.wait();
    assert!(ended, "cat has seen the end of its input");
}

/// A cgroup (v2) for a test; removed when dropped, with its processes gone.
struct Cgroup(PathBuf);

impl Cgroup {
    fn new(test: &str) -> Option<Self> {
        if !is_root_or_skip(test) {
            return None;
        }
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let mount = mounts.lines().find_map(|line| {
            let fields: Vec<_> = line.split(' ').collect();
            (fields[2] == "cgroup2").then(|| PathBuf::from(fields[1]))
        });
        let made = mount.map(|mount| {
            mount.join(format!(
                "process-introspection-{}-{test}",
                std::process::id()
            ))
        });
        match made {
            Some(dir) if fs::create_dir(&dir).is_ok() => Some(Self(dir)),
            _ => {
                eprintln!("SKIPPED {test}: needs a cgroup2 file system to write to");
                None
            }
        }
    }

    fn take(&self, pid: u32) {
        fs::write(self.0.join("cgroup.procs"), pid.to_string()).unwrap();
    }

    fn set_frozen(&self, frozen: bool) {
        fs::write(self.0.join("cgroup.freeze"), u8::from(frozen).to_string()).unwrap();
    }

    fn is_frozen(&self) -> bool {
        let events = fs::read_to_string(self.0.join("cgroup.events")).unwrap();
        events.contains("frozen 1")
    }

    fn is_asked_to_freeze(&self) -> bool {
        fs::read_to_string(self.0.join("cgroup.freeze")).unwrap() == "1\n"
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::write(self.0.join("cgroup.freeze"), "0");
        let root: &Path = self.0.parent().unwrap();
        let procs = fs::read_to_string(self.0.join("cgroup.procs")).unwrap_or_default();
        for pid in procs.lines() {
            let _ = fs::write(root.join("cgroup.procs"), pid);
        }
        within(Duration::from_secs(20), || fs::remove_dir(&self.0).is_ok());
    }
}

#[test]
fn a_process_alone_in_its_cgroup_is_frozen_unseen() {
    let Some(cgroup) = Cgroup::new("a_process_alone_in_its_cgroup_is_frozen_unseen") else {
        return;
    };
    let counting = Counting::new(3);
    cgroup.take(counting.pid());
    let frozen = counting.freeze().unwrap();
    assert!(cgroup.is_frozen());
    // Not stopped by a signal, which its parent would be told.
    assert!(!states(counting.pid()).contains(&'T'));
    assert!(counting.is_still(|| cgroup.is_frozen()));
    frozen.release();
    assert!(!cgroup.is_asked_to_freeze());
    assert!(counting.runs());
    // The watchdog knows this way, too.
    let pid = counting.pid();
    let freezing = Target::spawn(|| {
        std::mem::forget(Process::open(pid).unwrap().freeze().unwrap());
        vec![]
    });
    assert!(cgroup.is_frozen());
    drop(freezing);
    assert!(counting.runs());
    assert!(!cgroup.is_asked_to_freeze());
}

#[test]
fn a_cgroup_with_other_processes_is_not_frozen() {
    let Some(cgroup) = Cgroup::new("a_cgroup_with_other_processes_is_not_frozen") else {
        return;
    };
    let (counting, other) = (Counting::new(2), Counting::new(1));
    cgroup.take(counting.pid());
    cgroup.take(other.pid());
    let frozen = counting.freeze().unwrap();
    assert!(counting.stands() && other.runs());
    assert!(!cgroup.is_asked_to_freeze());
    frozen.release();
    assert!(counting.runs());
}

#[test]
fn a_cgroup_with_one_below_is_not_frozen() {
    let Some(cgroup) = Cgroup::new("a_cgroup_with_one_below_is_not_frozen") else {
        return;
    };
    let below = Cgroup(cgroup.0.join("below"));
    fs::create_dir(&below.0).unwrap();
    let (counting, other) = (Counting::new(1), Counting::new(1));
    cgroup.take(counting.pid());
    below.take(other.pid());
    let frozen = counting.freeze().unwrap();
    assert!(counting.stands() && other.runs());
    frozen.release();
    assert!(counting.runs());
}

#[test]
fn what_was_frozen_before_stays_frozen() {
    let Some(cgroup) = Cgroup::new("what_was_frozen_before_stays_frozen") else {
        return;
    };
    let counting = Counting::new(2);
    cgroup.take(counting.pid());
    cgroup.set_frozen(true);
    assert!(within(Duration::from_secs(20), || cgroup.is_frozen()));
    let frozen = counting.freeze().unwrap();
    assert!(frozen.was_stopped_before());
    frozen.release();
    assert!(counting.is_still(|| cgroup.is_frozen()));
    cgroup.set_frozen(false);
    assert!(counting.runs());
}

/// Killed and reaped when dropped.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_parent_of_what_is_stopped_by_a_signal_is_told() {
    // The documentation names this effect of SIGSTOP.
    let sleeping = Killed(Command::new("sleep").arg("60").spawn().unwrap());
    let pid = sleeping.0.id() as i32;
    let frozen = Process::open(sleeping.0.id()).unwrap().freeze().unwrap();
    let wait = |options| {
        let mut status = 0;
        // SAFETY: writes to a live integer; the child is ours.
        let waited = unsafe { libc::waitpid(pid, &mut status, options | libc::WNOHANG) };
        (waited == pid).then_some(status)
    };
    assert!(wait(libc::WUNTRACED).is_some_and(|status| libc::WIFSTOPPED(status)));
    frozen.release();
    assert!(wait(libc::WCONTINUED).is_some_and(|status| libc::WIFCONTINUED(status)));
}
