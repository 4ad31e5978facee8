//! System calls of a child: each has the result that was decided, and is counted.

use std::io;

use testkit::trace::count;
use testkit::tracee::{run, Answer, Call, Less};

fn parent() -> libc::c_long {
    // SAFETY: takes no memory.
    unsafe { libc::syscall(libc::SYS_getppid) }
}

#[test]
fn a_call_gives_what_was_decided() {
    let mut made = 0;
    run(
        || {
            assert_eq!(parent(), 4711);
            assert_eq!(parent(), -1);
            assert_eq!(io::Error::last_os_error().raw_os_error(), Some(libc::EIO));
            assert_eq!(parent(), 7);
            assert_eq!(parent(), 1);
            assert!(parent() > 1);
        },
        &mut |call: &Call| {
            if call.number != libc::SYS_getppid {
                return Answer::Make;
            }
            made += 1;
            match made {
                1 => Answer::Give(4711),
                2 => Answer::Give(-i64::from(libc::EIO)),
                3 => Answer::MakeAndGive(7),
                4 => Answer::MakeAndGiveLess(Less::AtMost(1)),
                _ => Answer::Make,
            }
        },
    )
    .unwrap();
    assert_eq!(made, 5);
}

#[test]
fn a_read_can_be_made_shorter_and_its_file_is_told() {
    run(
        || {
            use std::io::Read;
            let mut file = std::fs::File::open("/proc/self/status").unwrap();
            let mut bytes = [0; 5];
            assert_eq!(file.read(&mut bytes).unwrap(), 3);
            assert_eq!(&bytes, b"Nam\0\0");
            assert_eq!(file.read(&mut bytes).unwrap(), 5);
            assert_eq!(&bytes[..3], b"e:\t");
        },
        &mut {
            let mut shortened = false;
            move |call: &Call| {
                let is_open = call.number == libc::SYS_openat;
                assert!(!is_open || !call.string(1).is_empty());
                let is_status = call.number == libc::SYS_read
                    && call
                        .descriptor(0)
                        .is_some_and(|file| file.ends_with("/status"));
                if is_status && !std::mem::replace(&mut shortened, true) {
                    return Answer::MakeOfAtMost(3);
                }
                Answer::Make
            }
        },
    )
    .unwrap_or_else(|_| panic!());
}

#[test]
fn what_the_code_calls_is_counted_and_nothing_else() {
    let calls = count(
        || 3,
        |&times| {
            for _ in 0..times {
                // SAFETY: takes no memory.
                unsafe { libc::syscall(libc::SYS_getppid) };
            }
        },
    );
    assert_eq!((calls.of(libc::SYS_getppid), calls.total()), (3, 3));
}
