//! The system calls of one address as strace sees them: the library's and those of
//! the bare list, each in a process of its own.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use clap::ValueEnum;
use process_introspection::Process;

use crate::floors::calls::Bare;
use crate::library::{CLibrary, Record};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[arg(long)]
    library: PathBuf,
    #[arg(value_enum)]
    who: Who,
    /// The target; 0 is this process, at an address of its own
    pid: u32,
    address: u64,
}

/// The caller of the system calls.
#[derive(Copy, Clone, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Who {
    /// The C library.
    Library,
    /// The bare list.
    Bare,
    /// The Rust library, with a process that stays open.
    Kept,
}

/// Runs in the traced process: queries one address between two calls of getppid,
/// after one query before.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, String> {
    let library = CLibrary::open(&arguments.library)?;
    let mut bare = Bare::new(arguments.pid);
    let mut records = InOnePage::default();
    let own = std::env::args().next().unwrap_or_default().into_bytes();
    let address = match arguments.pid {
        0 => own.as_ptr() as u64,
        _ => arguments.address,
    };
    let kept = Process::open(arguments.pid).map_err(|error| error.to_string())?;
    let mut ask = || match (arguments.who, arguments.pid) {
        (Who::Library, pid) => {
            assert_eq!(
                library.physical(pid, address, address + 1, &mut records.0),
                1
            );
        }
        (Who::Kept, _) => {
            let found = kept.physical_address(address).expect("an address");
            assert!(found.is_some());
        }
        (Who::Bare, 0) => _ = black_box(bare.own(address)),
        (Who::Bare, pid) => _ = black_box(bare.other(pid, address)),
    };
    ask();
    mark();
    ask();
    mark();
    Ok(ExitCode::SUCCESS)
}

/// A record across the border of two pages requires one more check of the buffer.
#[derive(Default)]
#[repr(align(4096))]
struct InOnePage([Record; 4]);

const MARK: &str = "getppid";

fn mark() {
    // SAFETY: takes no memory.
    unsafe { libc::getppid() };
}

/// Returns the names of the calls for one address, in their order.
pub(crate) fn traced(
    bench: &Path,
    library: &Path,
    who: Who,
    pid: u32,
    address: u64,
) -> Result<Vec<String>, String> {
    let who = who.to_possible_value().map(|who| who.get_name().to_owned());
    let output = Command::new("strace")
        // `-n` would need a newer strace; names are enough.
        .args(["-q", "-e", "signal=none", "--"])
        .arg(bench)
        .args(["calls", "--library"])
        .arg(library)
        .args([
            who.unwrap_or_default(),
            pid.to_string(),
            address.to_string(),
        ])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("strace: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("strace ended with {}: {text}", output.status));
    }
    between_marks(&text).ok_or_else(|| "strace did not show both marks".to_owned())
}

fn between_marks(text: &str) -> Option<Vec<String>> {
    let names = text
        .lines()
        .filter_map(|line| line.split_once('(').map(|call| call.0));
    let mut parts = names.map(str::to_owned).collect::<Vec<_>>();
    let first = parts.iter().position(|name| name == MARK)?;
    let second = first + 1 + parts[first + 1..].iter().position(|name| name == MARK)?;
    parts.truncate(second);
    Some(parts.split_off(first + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_those_between_the_two_marks() {
        let text = "execve(\"x\") = 0\nclose(3) = 0\ngetppid() = 1\n\
                    openat(AT_FDCWD, \"getppid(\") = 3\nclose(3) = 0\ngetppid() = 1\nexit(0)\n";
        assert_eq!(between_marks(text).unwrap(), ["openat", "close"]);
        assert_eq!(between_marks("getppid() = 1\n"), None);
    }
}
