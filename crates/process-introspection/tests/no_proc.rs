//! Mounts of `/proc` that are not as usual: none, one that hides processes.

use std::ffi::CStr;

use process_introspection::Process;
use testkit::machine::is_root_or_skip;
use testkit::target::Target;

/// Mounts within a mount namespace of the child's own.
fn mount(kind: &CStr, options: &CStr) -> bool {
    // SAFETY: NUL-terminated strings; this child has one thread.
    unsafe {
        libc::unshare(libc::CLONE_NEWNS) == 0
            && libc::mount(
                c"none".as_ptr(),
                c"/".as_ptr(),
                std::ptr::null(),
                libc::MS_REC | libc::MS_PRIVATE,
                std::ptr::null(),
            ) == 0
            && libc::mount(
                kind.as_ptr(),
                c"/proc".as_ptr(),
                kind.as_ptr(),
                0,
                options.as_ptr().cast(),
            ) == 0
    }
}

#[test]
fn without_proc_nothing_is_supported_and_that_is_said() {
    if !is_root_or_skip("no /proc") {
        return;
    }
    let target = Target::spawn(|| {
        // SAFETY: takes no memory.
        let parent = unsafe { libc::getppid() } as u32;
        let mounted = mount(c"tmpfs", c"size=4k");
        let unsupported = |result: Result<Process, process_introspection::Error>| {
            u64::from(result.is_err_and(|error| error.is_unsupported()))
        };
        vec![
            u64::from(mounted),
            unsupported(Process::current()),
            unsupported(Process::open(parent)),
        ]
    });
    assert_eq!(target.addresses(), [1; 3]);
}

#[test]
fn a_hidden_process_is_refused_not_gone() {
    if !is_root_or_skip("hidepid") {
        return;
    }
    for options in [c"hidepid=2", c"hidepid=4"] {
        let target = Target::spawn(|| {
            // SAFETY: takes no memory.
            let parent = unsafe { libc::getppid() } as u32;
            let mounted = mount(c"proc", options);
            // SAFETY: takes no memory; this child has one thread.
            unsafe {
                libc::setgroups(0, std::ptr::null());
                libc::setgid(65534);
                libc::setuid(65534);
                // As a program of that user's own would be.
                libc::prctl(libc::PR_SET_DUMPABLE, 1);
            }
            let error = Process::open(parent).err();
            vec![
                u64::from(mounted),
                u64::from(
                    error
                        .as_ref()
                        .is_some_and(|error| error.is_permission_denied()),
                ),
                u64::from(error.is_some_and(|error| error.to_string().contains("hidepid"))),
                u64::from(Process::current().is_ok()),
            ]
        });
        assert_eq!(target.addresses(), [1; 4], "{options:?}");
    }
}
