//! One guest: started under QEMU, without hardware virtualization, its console
//! written to a file. Judges nothing.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::kernels::Arch;
use super::table::Row;
use super::{persistent, usage, Extent};
use crate::run::Result;

/// How long a guest may take in all.
const LIMIT: Duration = Duration::from_secs(900);

/// A running QEMU: killed and reaped when dropped.
pub(super) struct Guest(pub(super) Child);

impl Guest {
    /// Waits until it has ended, or ends it at `until`; the processor time that it
    /// has used, and whether it ended by itself.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn end(mut self, until: Instant) -> io::Result<(Duration, bool)> {
        let mut by_itself = true;
        loop {
            if let Some(used) = usage::of_ended(self.0.id()) {
                return Ok((used, by_itself));
            }
            if by_itself && Instant::now() > until {
                by_itself = false;
                self.0.kill()?;
            }
            sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a guest has left.
pub(super) struct Ended {
    /// All that it said.
    pub(super) console: String,
    /// The processor time of the emulator.
    pub(super) used: Duration,
}

/// Starts `row` and waits until it has powered off.
///
/// # Errors
/// QEMU cannot be started. That a guest had to be stopped stands in the
/// console's last line.
pub(crate) fn run(
    row: &Row,
    kernel: &Path,
    image: &Path,
    extent: &Extent,
    log: &Path,
) -> Result<Ended> {
    let shown = |error: std::io::Error| format!("{}: {error}", log.display());
    let console = File::create(log).map_err(shown)?;
    let errors = console.try_clone().map_err(shown)?;
    let (emulator, options, console_name) = machine(row.kernel.arch);
    let mut words = vec![format!("vmtest.guest vmtest.scale={}", extent.scale)];
    let program = extent.program.iter();
    words.extend(program.map(|name| format!("vmtest.program={name}")));
    words.extend(extent.times.then(|| "vmtest.times".to_owned()));
    words.extend(row.persistent.map(persistent::command_line));
    let environment = row.environment.iter();
    words.extend(environment.map(|(name, value)| format!("vmtest.env={name}={value}")));
    let line = format!(
        "console={console_name} quiet loglevel=2 panic=-1 mitigations=off {} {}",
        words.join(" "),
        row.command_line
    );
    let mut command = Command::new(emulator);
    command
        .args(options)
        .args(["-smp", "2", "-m", &row.memory.to_string()])
        .args(["-nodefaults", "-display", "none", "-serial", "stdio"])
        .args(["-no-reboot", "-append", &line])
        .arg("-kernel")
        .arg(kernel)
        .arg("-initrd")
        .arg(image)
        .args(row.options)
        .stdin(Stdio::null())
        .stdout(console)
        .stderr(errors);
    let child = command.spawn();
    let guest = Guest(child.map_err(|error| {
        format!("{emulator} (in Debian's qemu-system-x86, -arm and -misc): {error}")
    })?);
    let (used, by_itself) = guest.end(Instant::now() + LIMIT).map_err(shown)?;
    let stopped = match by_itself {
        true => String::new(),
        false => format!("\nstopped after {} s\n", LIMIT.as_secs()),
    };
    let console = fs::read(log).map_err(shown)?;
    let console = String::from_utf8_lossy(&console).into_owned() + &stopped;
    Ok(Ended { console, used })
}

/// The program, its options and the name of its console. Never KVM.
pub(super) fn machine(arch: Arch) -> (&'static str, &'static [&'static str], &'static str) {
    // With cx16 QEMU 7.2 crashed 6.12 guests in 5 of 44 boots. Without the last
    // two the kernel clears and copies pages not by bytes but by words: an
    // emulator takes as long for either.
    const CPU: &str = "max,-cx16,-erms,-fsrm";
    const X86: &[&str] = &["-accel", "tcg,thread=multi", "-cpu", CPU];
    match arch {
        Arch::Amd64 | Arch::I386 => ("qemu-system-x86_64", X86, "ttyS0"),
        Arch::Arm64 => (
            "qemu-system-aarch64",
            &[
                "-accel",
                "tcg,thread=multi",
                "-M",
                "virt",
                "-cpu",
                "max,pauth-impdef=on",
            ],
            "ttyAMA0",
        ),
        Arch::Riscv64 => (
            "qemu-system-riscv64",
            &[
                "-accel",
                "tcg,thread=multi",
                "-M",
                "virt",
                "-bios",
                "default",
            ],
            "ttyS0",
        ),
    }
}
