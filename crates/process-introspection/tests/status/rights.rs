//! What remains known of a process that the caller may not read, or not see.

use process_introspection::{
    all_unique_pids, children_of, program_of, status_of, Process, UniquePid,
};
use testkit::machine::is_root_or_skip;
use testkit::target::Target;

use super::become_nobody;

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
