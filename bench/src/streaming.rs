//! Growth of a process while it streams all records of a range: a process of its
//! own, whose peak is reset before the walk.

use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::ValueEnum;
use process_introspection::Process;
use testkit::{memory, oracle};

use crate::cpus::Cpus;
use crate::library::CLibrary;
use crate::targets::Memory;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[arg(long)]
    library: PathBuf,
    #[arg(value_enum)]
    interface: Interface,
    pid: u32,
    start: u64,
    end: u64,
}

/// The interface that streams.
#[derive(Copy, Clone, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Interface {
    /// The C library's cursor.
    C,
    /// The Rust library's iterator.
    Rust,
}

/// Runs in the process that streams: prints by how many KiB its peak exceeds its
/// size before.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, String> {
    let Arguments {
        interface,
        pid,
        start,
        end,
        ..
    } = *arguments;
    let library = CLibrary::open(&arguments.library)?;
    // The kernel counts pages by CPU, exactly only for a process that stays.
    if let Some(one) = Cpus::allowed().nth(0) {
        one.run_on();
    }
    // The kernel chooses how much of a program's file it maps at each fault, which
    // is not measured here.
    for area in oracle::areas(std::process::id()) {
        if area.has_object() {
            memory::advise(area.start, area.end - area.start, libc::MADV_POPULATE_READ);
        }
    }
    // VmHWM becomes what VmRSS is (Documentation/filesystems/proc.rst).
    fs::write("/proc/self/clear_refs", "5").map_err(|error| format!("clear_refs: {error}"))?;
    let before = status("VmRSS")?;
    let count = match interface {
        Interface::C => library.stream(pid, start, end),
        Interface::Rust => {
            let process = Process::open(pid).map_err(|error| error.to_string())?;
            let regions = process.physical_regions(start..end);
            let mut count = 0;
            for region in regions.map_err(|error| error.to_string())? {
                black_box(region.map_err(|error| error.to_string())?);
                count += 1;
            }
            count
        }
    };
    let after = status("VmHWM")?;
    if count == 0 {
        return Err("no records".to_owned());
    }
    println!("{}", after.saturating_sub(before));
    Ok(ExitCode::SUCCESS)
}

/// Returns a size of this process's status, in KiB.
pub(crate) fn status(name: &str) -> Result<u64, String> {
    let text = fs::read_to_string("/proc/self/status").map_err(|error| error.to_string())?;
    size(&text, name).ok_or_else(|| format!("no {name} in /proc/self/status"))
}

/// Returns a size of a process's status, in KiB.
pub(crate) fn size(text: &str, name: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// Runs such a process, and returns its growth in KiB.
pub(crate) fn growth(library: &Path, interface: Interface, memory: &Memory) -> Result<f64, String> {
    let bench = std::env::current_exe().map_err(|error| error.to_string())?;
    let name = interface
        .to_possible_value()
        .map(|value| value.get_name().to_owned());
    let output = Command::new(bench)
        .args(["stream", "--library"])
        .arg(library)
        .arg(name.unwrap_or_default())
        .args(
            [u64::from(memory.pid()), memory.start, memory.end()].map(|number| number.to_string()),
        )
        .output()
        .map_err(|error| error.to_string())?;
    let printed = String::from_utf8_lossy(&output.stdout);
    printed.trim().parse().map_err(|_| {
        format!(
            "a walk that streams failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_found_by_their_whole_names() {
        let text = "Name:\tVmRSS\nVmHWM:\t    2048 kB\nVmRSS:\t     512 kB\n";
        assert_eq!(size(text, "VmRSS"), Some(512));
        assert_eq!(size(text, "VmHWM"), Some(2048));
        assert_eq!(size(text, "Vm"), None);
    }

    #[test]
    fn touching_memory_shows_in_the_peak() {
        let before = status("VmHWM").unwrap();
        let memory = std::hint::black_box(vec![1u8; 64 << 20]);
        assert!(status("VmHWM").unwrap() >= before.max(60 << 10));
        drop(memory);
    }
}
