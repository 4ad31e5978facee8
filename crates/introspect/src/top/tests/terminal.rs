//! The terminal after a panic: a child process enters it and panics, on a terminal that
//! util-linux's `script` creates.

use std::process::{Command, Stdio};

use crate::top::terminal::Terminal;

/// Variable that makes the test below the child that panics.
const CHILD: &str = "INTROSPECT_TEST_PANIC";

#[test]
#[ignore = "it is the child of the other test, and panics on its terminal"]
fn child_that_panics_in_the_view() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let _terminal = Terminal::enter().unwrap();
    // As in a sampler, whose panic unwinds nothing of the view.
    let _ = std::thread::spawn(|| panic!("as a test")).join();
    // As in a program that aborts: nothing is dropped.
    std::process::exit(134);
}

#[test]
fn a_panic_in_any_thread_restores_the_terminal() {
    let test = "a_panic_in_any_thread_restores_the_terminal";
    let there = Command::new("script")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    if !there.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED {test}: needs util-linux's script");
        return;
    }
    let program = std::env::current_exe().unwrap();
    let child = format!(
        "stty -a; '{}' --ignored --exact --nocapture top::tests::terminal::child_that_panics_in_the_view; \
         echo status $?; stty -a",
        program.display()
    );
    let output = Command::new("script")
        .args(["-qec", &child, "/dev/null"])
        .env("SHELL", "/bin/sh")
        .env("TERM", "xterm")
        .env(CHILD, "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let seen = String::from_utf8_lossy(&output.stdout).replace('\r', "");
    assert!(seen.contains("status 134\n"), "{seen:?}");
    let (entered, left) = ("\x1b[?1049h", "\x1b[?1049l");
    let (entered, left) = (seen.find(entered), seen.find(left));
    let message = seen.find("as a test");
    assert!(
        entered.is_some() && entered < left && left < message,
        "{seen:?}"
    );
    // Lines from the speed to the flags of local modes.
    let modes: Vec<_> = seen
        .split("speed ")
        .skip(1)
        .map(|after| {
            let end = after.find("echoctl").expect("its last flags");
            after[..end].to_owned()
        })
        .collect();
    assert_eq!(modes.len(), 2, "{seen:?}");
    assert_eq!(modes[0], modes[1], "modes of the terminal");
}
