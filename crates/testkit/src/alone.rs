//! Tests that run alone, in a process of their own: those whose forked children
//! use Rust's threads, also the library's. A child that is forked while another
//! test's thread begins or ends can wait forever, see [`crate::thread`].

use std::env;
use std::process::Command;

const ALONE: &str = "INTROSPECTION_ALONE";

/// Returns whether the caller is the only test of this process and must continue. If
/// not, it was run in a process of its own, its standard error was repeated, and it
/// may return.
///
/// # Panics
/// If the test failed there.
pub fn is_alone(test: &str) -> bool {
    if env::var_os(ALONE).is_some_and(|alone| alone == *test) {
        return true;
    }
    let this = env::current_exe().expect("this program");
    let run = Command::new(this)
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(ALONE, test)
        .output()
        .expect("this program, run anew");
    let [out, err] =
        [run.stdout, run.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(
        run.status.success() && out.contains("1 passed"),
        "{out}\n{err}"
    );
    eprint!("{err}");
    false
}
