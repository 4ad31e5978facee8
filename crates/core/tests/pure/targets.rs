//! Numbers of the C interface that refer to a process.

use process_introspection_core::{Errno, Target};

#[test]
fn a_pid64_is_the_caller_a_pid_a_unique_pid_or_nobody() {
    assert_eq!(Target::from_pid64(0), Ok(Target::Caller));
    assert_eq!(Target::from_pid64(7), Ok(Target::Pid(7)));
    assert_eq!(
        Target::from_pid64(5 << 32 | 7),
        Ok(Target::Unique { pid: 7, mark: 5 })
    );
    for nobody in [
        -1,
        i64::MIN,
        1 << 31,
        (1 << 32) - 1,
        5 << 32,
        5 << 32 | 1 << 31,
    ] {
        assert_eq!(
            Target::from_pid64(nobody).unwrap_err().errno(),
            Errno::ESRCH,
            "{nobody:#x}"
        );
    }
}
