//! The guest's side: fills memory of every kind with patterns, asks a library
//! where it is, posts the answer for the host to look, and begins anew. It is
//! packed as the program of a guest of `cargo xtask truth`.

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
