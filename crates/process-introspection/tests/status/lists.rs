//! Lists of processes, children and threads, and the names of programs.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::process::Command;
use std::time::Duration;

use process_introspection::{
    all_unique_pids, children_of, program_of, status_of, Process, UniquePid,
};
use testkit::target::Target;

use super::{gettid, soon, without_first_thread};

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

/// Two of three threads live, while others begin and end all the time.
#[test]
fn living_threads_are_all_listed_while_a_thousand_others_come_and_go() {
    let test = "lists::living_threads_are_all_listed_while_a_thousand_others_come_and_go";
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
