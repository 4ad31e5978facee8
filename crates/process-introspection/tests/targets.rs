//! Which process is meant, and what becomes of a handle when the process
//! changes: threads, zombies, execs, exits, unique PIDs, other proc mounts.

use std::io::{Read, Write};
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use process_introspection::{Backing, Process, Target as Which, UniquePid};
use testkit::machine::is_root_or_skip;
use testkit::memory::{self, page};
use testkit::target::Target;

fn count(process: &Process) -> Result<usize, process_introspection::Error> {
    let mut count = 0;
    for mapping in process.virtual_regions(..)? {
        mapping?;
        count += 1;
    }
    Ok(count)
}

#[test]
fn nobody_has_a_pid_that_is_free_or_a_threads() {
    assert!(Process::open(u32::MAX).unwrap_err().is_gone());
    assert!(Process::open(0x7fff_ffff).unwrap_err().is_gone());
    let (tell, told) = std::sync::mpsc::channel();
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        // SAFETY: takes no memory.
        tell.send(unsafe { libc::gettid() }).unwrap();
        let _ = wait.recv();
    });
    let tid = told.recv().unwrap() as u32;
    let error = Process::open(tid).unwrap_err();
    assert!(error.is_gone(), "{error}");
    drop(go);
    thread.join().unwrap();
}

#[test]
fn a_zombie_and_a_kernel_thread_have_no_regions() {
    let target = Target::spawn(Vec::new);
    target.kill();
    let zombie = Process::open(target.pid()).unwrap();
    assert_eq!(count(&zombie).unwrap(), 0);
    assert_eq!(zombie.resident_regions(..).unwrap().count(), 0);
    if is_root_or_skip("a kernel thread") {
        assert_eq!(zombie.physical_regions(..).unwrap().count(), 0);
        assert_eq!(zombie.page_table(0..4096).unwrap().count(), 0);
        let kernel_thread = Process::open(2).unwrap();
        assert_eq!(count(&kernel_thread).unwrap(), 0);
        assert_eq!(kernel_thread.physical_regions(..).unwrap().count(), 0);
    }
}

#[test]
fn a_process_whose_first_thread_has_ended_is_read_through_another() {
    let target = Target::spawn_reporting(|report| {
        let at = memory::anonymous(page());
        memory::touch(at, 1, 1);
        // SAFETY: takes no memory.
        let leader = unsafe { libc::getpid() };
        testkit::thread::start(move || {
            // Until the first thread's status is that of a zombie.
            let is_zombie = || {
                let stat = std::fs::read_to_string(format!("/proc/{leader}/stat")).unwrap();
                stat.rsplit(") ")
                    .next()
                    .is_some_and(|rest| rest.starts_with('Z'))
            };
            while !is_zombie() {
                std::thread::yield_now();
            }
            // From a thread of such a process: its own memory, too.
            let own = Process::current().and_then(|own| count(&own));
            report.send(&[at, u64::from(own.is_ok_and(|count| count > 3))]);
            report.wait();
        });
        // SAFETY: ends this thread only; its stack is not used again.
        unsafe { libc::syscall(libc::SYS_exit, 0) };
    });
    assert_eq!(target.addresses()[1], 1);
    let process = Process::open(target.pid()).unwrap();
    let at = target.addresses()[0];
    let region = process
        .resident_regions(at..at + page())
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    assert_eq!(region.backing, Backing::Resident);
    assert!(count(&process).unwrap() > 3);
}

/// Killed and reaped when dropped.
struct Shell(std::process::Child);

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Without random addresses nothing but the memory itself tells two from each
/// other.
#[test]
fn an_exec_that_changes_no_address_ends_a_walk_too() {
    use std::os::unix::process::CommandExt;
    const AGAIN: &str = "echo; read line; exec sh -c \"$0\" \"$0\"";
    let mut command = Command::new("sh");
    command.args(["-c", AGAIN, AGAIN]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    // SAFETY: takes no memory.
    unsafe {
        command.pre_exec(|| {
            libc::personality(libc::ADDR_NO_RANDOMIZE as libc::c_ulong);
            Ok(())
        });
    }
    let mut shell = Shell(command.spawn().unwrap());
    let mut stdin = shell.0.stdin.take().unwrap();
    let mut stdout = shell.0.stdout.take().unwrap();
    let mut is_ready = || stdout.read_exact(&mut [0]).unwrap();
    is_ready();
    // From the second on they are alike, their environments too.
    stdin.write_all(b"\n").unwrap();
    is_ready();
    for no_query in [false, true] {
        let process = Process::open(shell.0.id()).unwrap();
        process.as_core().disable_features(no_query, true);
        let mut regions = process.virtual_regions(..).unwrap();
        assert!(regions.next().unwrap().is_ok());
        stdin.write_all(b"\n").unwrap();
        is_ready();
        let rest: Result<Vec<_>, _> = regions.collect();
        assert!(rest.unwrap_err().is_gone(), "{no_query}");
    }
}

#[test]
fn an_exec_ends_what_a_handle_can_tell() {
    for (no_query, no_scan) in [(false, false), (true, true)] {
        let mut target = Target::spawn_then(
            || {
                let at = memory::anonymous(64 * page());
                memory::touch(at, 64, 1);
                vec![at]
            },
            || {
                let arguments = [c"sleep".as_ptr(), c"1000".as_ptr(), std::ptr::null()];
                // SAFETY: NUL-terminated strings in a NULL-terminated array.
                unsafe { libc::execvp(c"sleep".as_ptr(), arguments.as_ptr()) };
            },
        );
        let process = Process::open(target.pid()).unwrap();
        process.as_core().disable_features(no_query, no_scan);
        let mut cut_short = process.resident_regions(..).unwrap();
        let mut mappings = process.virtual_regions(..).unwrap();
        assert!(cut_short.next().unwrap().is_ok());
        assert!(mappings.next().unwrap().is_ok());
        let before = std::fs::read_link(format!("/proc/{}/exe", target.pid())).unwrap();
        target.release();
        while std::fs::read_link(format!("/proc/{}/exe", target.pid())).unwrap() == before {
            std::thread::yield_now();
        }
        let ended = cut_short
            .by_ref()
            .find_map(Result::err)
            .expect("never a shortened list");
        assert!(ended.is_gone(), "{ended}");
        let ended = mappings
            .by_ref()
            .find_map(Result::err)
            .expect("never a shortened list");
        assert!(ended.is_gone(), "{ended}");
        assert!(mappings.next().is_none());
        assert!(count(&process).unwrap_err().is_gone());
        // The new program has its name before it has its mappings, and before its
        // memory's mark is whole: what is opened in between ends, too.
        let until = Instant::now() + Duration::from_secs(20);
        let has_mappings = || {
            let process = Process::open(target.pid());
            match process.and_then(|process| count(&process)) {
                Ok(count) => count > 3,
                Err(error) => {
                    assert!(error.is_gone(), "{error}");
                    false
                }
            }
        };
        while !has_mappings() {
            assert!(Instant::now() < until, "a program has mappings");
            std::thread::yield_now();
        }
    }
}

#[test]
fn an_exit_ends_what_a_handle_can_tell() {
    for (no_query, no_scan) in [(false, false), (true, true)] {
        let target = Target::spawn(|| vec![memory::anonymous(page())]);
        let process = Process::open(target.pid()).unwrap();
        process.as_core().disable_features(no_query, no_scan);
        let mut mappings = process.virtual_regions(..).unwrap();
        let mut pages = process.resident_regions(..).unwrap();
        assert!(mappings.next().unwrap().is_ok());
        assert!(pages.next().unwrap().is_ok());
        drop(target);
        assert!(mappings.find_map(Result::err).expect("an error").is_gone());
        assert!(pages.find_map(Result::err).expect("an error").is_gone());
        assert!(process.object_at(0x1000).unwrap_err().is_gone());
        if process.sees_frames() {
            assert!(process.physical_address(0x1000).unwrap_err().is_gone());
        }
    }
}

#[test]
fn a_unique_pid_is_its_process_and_no_other() {
    let target = Target::spawn(Vec::new);
    let unique = UniquePid::of(target.pid()).unwrap();
    assert_eq!(unique.pid(), target.pid());
    assert!(unique.as_i64() > i64::from(u32::MAX));
    assert!(count(&Process::open(unique).unwrap()).unwrap() > 0);
    assert_eq!(unique.to_string().parse::<UniquePid>().unwrap(), unique);
    assert!(target.pid().to_string().parse::<UniquePid>().is_err());
    let other = Target::spawn(Vec::new);
    assert_ne!(UniquePid::of(other.pid()).unwrap(), unique);
    // The same number, but another process's mark.
    let mark = (UniquePid::of(other.pid()).unwrap().as_i64() >> 32) as u32;
    let wrong = Which::Unique {
        pid: target.pid(),
        mark,
    };
    assert!(Process::open(wrong).unwrap_err().is_gone());
    drop(target);
    assert!(Process::open(unique).unwrap_err().is_gone());
}

#[test]
fn a_start_time_serves_where_there_is_no_pidfs() {
    let target = Target::spawn(Vec::new);
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", target.pid())).unwrap();
    let start: u64 = stat
        .rsplit(") ")
        .next()
        .unwrap()
        .split(' ')
        .nth(19)
        .unwrap()
        .parse()
        .unwrap();
    let mark = (start as u32 & ((1 << 30) - 1)) | 1 << 30;
    assert!(Process::open(Which::Unique {
        pid: target.pid(),
        mark
    })
    .is_ok());
    let wrong = Which::Unique {
        pid: target.pid(),
        mark: mark ^ 1,
    };
    assert!(Process::open(wrong).unwrap_err().is_gone());
}

#[test]
fn a_pidfd_and_a_proc_directory_are_as_good_as_a_pid() {
    let target = Target::spawn(Vec::new);
    // SAFETY: takes no memory; the descriptor is ours.
    let pidfd = unsafe {
        OwnedFd::from_raw_fd(libc::syscall(libc::SYS_pidfd_open, target.pid(), 0) as i32)
    };
    let by_pid = count(&Process::open(target.pid()).unwrap()).unwrap();
    assert_eq!(
        count(&Process::from_pidfd(pidfd.as_fd()).unwrap()).unwrap(),
        by_pid
    );
    let directory = format!("/proc/{}", target.pid());
    let by_directory = Process::from_proc_dir(&directory).unwrap();
    assert_eq!(count(&by_directory).unwrap(), by_pid);
    let null = std::fs::File::open("/dev/null").unwrap();
    let error = Process::from_pidfd(null.as_fd()).unwrap_err();
    assert_eq!(error.errno(), libc::EBADF, "{error}");
    drop(target);
    assert!(Process::from_pidfd(pidfd.as_fd()).unwrap_err().is_gone());
    assert!(Process::from_proc_dir(&directory).unwrap_err().is_gone());
    assert!(count(&by_directory).unwrap_err().is_gone());
}

/// Runs this test binary's test `name` as another program, under `command`.
fn again(command: &mut Command, name: &str) -> (bool, String) {
    let output = command
        .args(["--ignored", "--exact", "--nocapture", name])
        .stdin(Stdio::null())
        .output()
        .expect("the test binary");
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (
        output.status.success() && text.contains("1 passed"),
        text.into_owned(),
    )
}

#[test]
fn another_pid_namespace_is_seen_through_the_mount_it_has() {
    if !is_root_or_skip("another PID namespace") {
        return;
    }
    let mut unshare = Command::new("unshare");
    unshare
        .args(["--pid", "--fork"])
        .arg(std::env::current_exe().unwrap());
    let (passed, text) = again(&mut unshare, "inner_in_a_pid_namespace");
    assert!(passed, "{text}");
}

/// Under `unshare --pid` without a /proc of its own: PIDs are the namespace's,
/// directories the outer one's.
#[test]
#[ignore = "run by another test"]
fn inner_in_a_pid_namespace() {
    let target = Target::spawn(|| {
        let at = memory::anonymous(page());
        memory::touch(at, 1, 1);
        vec![at]
    });
    let at = target.addresses()[0];
    assert!(target.pid() < 1000, "PIDs begin anew");
    let process = Process::open(target.pid()).unwrap();
    let object = process
        .object_at(count as fn(&_) -> _ as usize as u64)
        .unwrap()
        .unwrap();
    let this = std::env::current_exe().unwrap();
    assert_eq!(object.mapping.name().as_path(), Some(this.as_path()));
    let region = process
        .physical_regions(at..at + page())
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    assert!(region.backing.is_backed());
    assert!(count(&Process::current().unwrap()).unwrap() > 3);
    assert!(UniquePid::of(target.pid()).is_ok());
}

#[test]
fn without_privilege_there_is_layout_but_no_address() {
    if !is_root_or_skip("giving up privileges") {
        return;
    }
    let as_root = Target::spawn(Vec::new);
    let pid = as_root.pid();
    let target = Target::spawn(|| {
        // SAFETY: takes no memory; this child has one thread.
        unsafe {
            assert_eq!(libc::setgroups(0, std::ptr::null()), 0);
            assert_eq!(libc::setgid(65534), 0);
            assert_eq!(libc::setuid(65534), 0);
            // As a program of that user's own would be.
            assert_eq!(libc::prctl(libc::PR_SET_DUMPABLE, 1), 0);
        }
        let at = memory::anonymous(page());
        memory::touch(at, 1, 1);
        let own = Process::current().unwrap();
        let physical = own.physical_regions(..).err();
        let resident = own
            .resident_regions(at..at + page())
            .unwrap()
            .next()
            .unwrap()
            .unwrap();
        let other = Process::open(pid).err();
        vec![
            u64::from(count(&own).unwrap() > 3),
            u64::from(physical.is_some_and(|error| error.is_frames_hidden())),
            u64::from(resident.backing == Backing::Resident),
            u64::from(
                own.page_table(at..at + page())
                    .is_err_and(|error| error.is_frames_hidden()),
            ),
            u64::from(
                own.physical_address(at)
                    .is_err_and(|error| error.is_frames_hidden()),
            ),
            u64::from(other.is_some_and(|error| error.is_permission_denied())),
        ]
    });
    assert_eq!(target.addresses(), [1; 6]);
}

#[test]
fn root_of_a_user_namespace_sees_no_frames() {
    let target = Target::spawn(|| {
        // SAFETY: takes no memory; this child has one thread.
        let unshared = unsafe { libc::unshare(libc::CLONE_NEWUSER) } == 0;
        let process = Process::current();
        let hidden = process.is_ok_and(|own| {
            own.physical_regions(..)
                .is_err_and(|error| error.is_permission_denied())
        });
        vec![u64::from(unshared), u64::from(hidden)]
    });
    if target.addresses()[0] == 0 {
        eprintln!("SKIPPED root of a user namespace: this kernel makes none");
        return;
    }
    assert_eq!(target.addresses()[1], 1);
}
