//! Ratios of our walks to the bare kernel cost, measured in pairs in one run.
//!
//! Run it by `cargo xtask bench`, which builds the C library first and says
//! where it is. Each case has a target process of its own; floor and ours run
//! in turn, several rounds, and medians of the ratios are printed with their
//! spread. Absolute times of a shared machine say little.

mod c_library;
mod cases;
mod floor;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(library) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: bench LIBINTROSPECTION.SO (run it by `cargo xtask bench`)");
        return ExitCode::from(2);
    };
    // SAFETY: takes no memory.
    if unsafe { libc::geteuid() } != 0 {
        eprintln!("bench: physical addresses need root");
        return ExitCode::FAILURE;
    }
    let library = c_library::CLibrary::open(&library);
    let rows = cases::run(&library);
    report::print(&rows);
    if rows.iter().any(report::Row::is_missed) {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
