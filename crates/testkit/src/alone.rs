//! Tests that run alone, in a process of their own: those whose forked children
//! use Rust's threads, also the library's. A child that is forked while another
//! test's thread begins or ends can wait for ever, see [`crate::thread`].

use std::env;
use std::process::Command;

const ALONE: &str = "INTROSPECTION_ALONE";

/// Whether the caller is the only test of this process, and is to go on. If not,
/// it has been run so and may return. What it wrote to standard error is written
/// again.
///
/// # Panics
/// If it failed there.
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
