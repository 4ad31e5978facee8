//! Snapshots of this machine by `/program`, the command, and the files of their lake on the
//! console: for each a line `file PATH`, lines of hexadecimal digits, and a line `end SIZE`.

use std::fmt::Write;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;
use std::{fs, io, thread};

use crate::command_line::Words;

const LAKE: &str = "/tmp/lake";

/// Processes beside the command: names in `/bin` and arguments.
const PROCESSES: [(&str, &str); 5] = [
    ("scatter", "48"),
    ("scatter", "16"),
    ("sleep", "600"),
    ("sleep", "600"),
    ("cat", "-"),
];

/// Bytes of a line of digits.
const LINE: usize = 64;

/// Returns the closing line.
pub(crate) fn run(words: &Words) -> String {
    match take(words) {
        Ok(()) => "vmtest: closing: all files".to_owned(),
        Err(error) => format!("vmtest: closing: {error}"),
    }
}

fn take(words: &Words) -> io::Result<()> {
    let host = words.value("host").unwrap_or("guest");
    fs::write("/proc/sys/kernel/hostname", host)?;
    let children = PROCESSES.map(|(name, argument)| {
        let mut command = Command::new(format!("/bin/{name}"));
        command.arg(argument).stdin(std::process::Stdio::piped());
        command.spawn()
    });
    let children: Vec<Child> = children.into_iter().collect::<io::Result<_>>()?;
    // Their memory is there soon.
    thread::sleep(Duration::from_secs(5));
    let mut snapshot = Command::new("/program");
    snapshot.args([
        "snapshot", "--all", "--frames", "--every", "3s", "--count", "2",
    ]);
    let status = snapshot.args(["--output", LAKE]).status()?;
    for mut child in children {
        child.kill()?;
        child.wait()?;
    }
    if !status.success() {
        return Err(io::Error::other(format!("snapshot: {status}")));
    }
    print(Path::new(LAKE))
}

/// Prints the files of a folder, and of folders in it.
fn print(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            print(&path)?;
            continue;
        }
        let bytes = fs::read(&path)?;
        let name = path.strip_prefix(LAKE).unwrap_or(&path);
        println!("file {}", name.display());
        for line in bytes.chunks(LINE) {
            let mut digits = String::new();
            for byte in line {
                let _ = write!(digits, "{byte:02x}");
            }
            println!("{digits}");
        }
        println!("end {}", bytes.len());
    }
    Ok(())
}
