//! One guest under QEMU, without hardware virtualization; its console is written to
//! a file. Knows no test.

use std::fs::{self, File};
use std::io;
use std::path::{self, Path};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::kernels::Arch;
use super::persistent;
use super::row::Row;
use crate::run::Result;

/// Maximum duration of a guest.
const LIMIT: Duration = Duration::from_secs(900);

/// Divisor of the sizes of the tests' largest targets.
const SCALE: u32 = 16;

/// A running QEMU: killed and reaped when dropped.
pub(super) struct Guest(pub(super) Child);

impl Guest {
    /// Waits until it has ended, or ends it at `until`; returns whether it ended by
    /// itself.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn end(mut self, until: Instant) -> io::Result<bool> {
        while self.0.try_wait()?.is_none() {
            if Instant::now() > until {
                return Ok(false);
            }
            sleep(Duration::from_millis(100));
        }
        Ok(true)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts `row`, waits until it has powered off, and returns its console. `words` of the
/// command line are for the guest's first program.
///
/// # Errors
/// QEMU cannot be started. The last line of the console says if a guest had to be
/// stopped.
pub(crate) fn run(
    row: &Row,
    kernel: &Path,
    image: &Path,
    words: &str,
    log: &Path,
) -> Result<String> {
    let shown = |error: std::io::Error| format!("{}: {error}", log.display());
    let console = File::create(log).map_err(shown)?;
    let errors = console.try_clone().map_err(shown)?;
    let (emulator, options, console_name) = machine(row.kernel.arch);
    let mut words = vec![format!("vmtest.guest vmtest.scale={SCALE} {words}")];
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
        .arg(path::absolute(kernel).map_err(shown)?)
        .arg("-initrd")
        .arg(path::absolute(image).map_err(shown)?)
        .args(row.options)
        // Sockets of the row's options.
        .current_dir(log.parent().unwrap_or(log))
        .stdin(Stdio::null())
        .stdout(console)
        .stderr(errors);
    let child = command.spawn();
    let guest = Guest(child.map_err(|error| {
        format!("{emulator} (in Debian's qemu-system-x86, -arm and -misc): {error}")
    })?);
    let by_itself = guest.end(Instant::now() + LIMIT).map_err(shown)?;
    let stopped = match by_itself {
        true => String::new(),
        false => format!("\nstopped after {} s\n", LIMIT.as_secs()),
    };
    let console = fs::read(log).map_err(shown)?;
    Ok(String::from_utf8_lossy(&console).into_owned() + &stopped)
}

/// The emulator, its options and the name of its console. Never KVM.
pub(super) fn machine(arch: Arch) -> (&'static str, &'static [&'static str], &'static str) {
    // With cx16 QEMU 7.2 crashed 6.12 guests in 5 of 44 boots. Without erms and fsrm
    // the kernel clears and copies pages by words, not by bytes, and an emulator
    // takes the same time for a word as for a byte.
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
