//! The guest's side: fills memory of every kind with patterns, queries its addresses
//! from a library, posts the answer for the host to check, and starts again. It is the
//! program of the guest of `cargo xtask truth`.

#[cfg(c_library)]
mod area;
#[cfg(c_library)]
mod ask;
#[cfg(c_library)]
mod c_library;
#[cfg(c_library)]
mod rounds;

use std::process::ExitCode;

#[cfg(c_library)]
fn main() -> ExitCode {
    match rounds::run() {
        Ok(closing) => {
            println!("truth: done {closing}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            println!("truth: failed: {why}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(not(c_library))]
fn main() -> ExitCode {
    eprintln!("truth-guest: built without the C library; `cargo xtask truth` links it in");
    ExitCode::FAILURE
}
