//! The balloon of a guest, whose size the guest sets itself: one of its ports is connected to
//! the monitor of its emulator (QMP, the QEMU Machine Protocol). Knows no test.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::machine::{is_disposable_or_skip, skip};

/// Name of the port, as the row of guests has it.
const PORT: &str = "vmtest.monitor";

/// Time in which the driver must have reached a new size.
const LIMIT: Duration = Duration::from_secs(120);

/// Balloon of this machine. It is empty again when dropped.
#[derive(Debug)]
pub struct Balloon {
    monitor: BufReader<File>,
    /// The machine's memory in bytes.
    memory: u64,
    /// Bytes that the balloon takes.
    wanted: u64,
}

impl Balloon {
    /// Opens the empty balloon of a guest; prints that the test is skipped if there is none.
    pub fn open_or_skip(test: &str) -> Option<Self> {
        if !is_disposable_or_skip(test) {
            return None;
        }
        let Some(port) = port() else {
            return skip(test, "the guest has no balloon whose size it can set");
        };
        let monitor = File::options().read(true).write(true).open(port);
        let mut monitor = BufReader::new(monitor.expect("the port opens"));
        command(&mut monitor, r#"{"execute": "qmp_capabilities"}"#);
        let answer = command(&mut monitor, r#"{"execute": "query-balloon"}"#);
        let digits = answer.split(|character: char| !character.is_ascii_digit());
        let memory = digits.filter_map(|number| number.parse().ok()).max();
        Some(Self {
            monitor,
            memory: memory.expect("the size of the memory"),
            wanted: 0,
        })
    }

    /// Waits until the balloon takes so many bytes of the machine, whole MiB.
    ///
    /// # Panics
    /// The driver does not reach that.
    pub fn resize(&mut self, bytes: u64) {
        let before = taken().expect("the kernel counts pages of balloons");
        let after = before + bytes - self.wanted;
        let rest = self.memory - bytes;
        let text = format!(r#"{{"execute": "balloon", "arguments": {{"value": {rest}}}}}"#);
        command(&mut self.monitor, &text);
        self.wanted = bytes;
        let until = Instant::now() + LIMIT;
        while taken() != Some(after) {
            let now = taken();
            assert!(Instant::now() < until, "{before} to {after}: {now:?}");
            sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Balloon {
    fn drop(&mut self) {
        if self.wanted > 0 && !std::thread::panicking() {
            self.resize(0);
        }
    }
}

/// Returns the bytes that balloons took and have not given back, by the events of vmstat.
pub fn taken() -> Option<u64> {
    let text = fs::read_to_string("/proc/vmstat").ok()?;
    let pages = |name: &str| -> Option<u64> {
        let mut lines = text.lines().filter_map(|line| line.split_once(' '));
        lines.find(|(key, _)| *key == name)?.1.parse().ok()
    };
    // SAFETY: no pointer is passed.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as u64;
    Some((pages("balloon_inflate")? - pages("balloon_deflate")?) * page)
}

/// Returns the port of the monitor.
fn port() -> Option<PathBuf> {
    let ports = fs::read_dir("/sys/class/virtio-ports").ok()?.flatten();
    let mut ports = ports.filter(|port| {
        let name = fs::read_to_string(port.path().join("name")).unwrap_or_default();
        name.trim() == PORT
    });
    Some(PathBuf::from("/dev").join(ports.next()?.file_name()))
}

/// Passes a command to the monitor and returns its answer. Events, and the greeting, are
/// lines without one.
fn command(monitor: &mut BufReader<File>, text: &str) -> String {
    writeln!(monitor.get_ref(), "{text}").expect("the monitor takes a command");
    loop {
        let mut line = String::new();
        let read = monitor.read_line(&mut line).expect("the monitor answers");
        assert!(read > 0, "{text}: the monitor is gone");
        assert!(!line.contains(r#""error""#), "{text}: {line}");
        if line.starts_with(r#"{"return""#) {
            return line;
        }
    }
}
