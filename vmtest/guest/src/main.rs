//! First program of a virtual machine of `cargo xtask vmtest`: sets up the machine, runs
//! the tests that were packed with it, prints their results, and powers off; or it prints
//! snapshots of itself. Under other names it is one of the few programs that tests start. It
//! knows no test.
//!
//! Two conditions protect other machines: the program changes a machine only as process
//! 1 and only with a word on the kernel's command line.

mod command_line;
mod machine;
mod persistent;
mod programs;
mod snapshots;
mod suite;

use std::process::ExitCode;

fn main() -> ExitCode {
    // SAFETY: no pointer is passed.
    if unsafe { libc::getpid() } != 1 {
        return programs::run();
    }
    machine::mount_proc();
    let Some(words) = command_line::Words::of_a_guest() else {
        eprintln!("vmtest-guest: this machine was not started by `cargo xtask vmtest`");
        return ExitCode::from(2);
    };
    let closing = match machine::set_up(&words) {
        Ok(()) if words.has("program") => suite::one_program(),
        Ok(()) if words.has("snapshots") => snapshots::run(&words),
        Ok(()) => suite::run(&words),
        Err(error) => format!("vmtest: not set up: {error}"),
    };
    println!("{closing}");
    machine::power_off()
}
