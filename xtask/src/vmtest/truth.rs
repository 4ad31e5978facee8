//! Boots a guest whose RAM is a file, and compares the file with the addresses that
//! the guest's libraries report: `cargo xtask truth`. Knows how the guest is
//! started; the package `truth` knows what is written, posted and checked.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};
use std::sync::mpsc::{channel, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use truth::judge::{Counts, Judge};
use truth::ram::{Ram, LOW};
use truth::slot::{INTERFACES, KINDS};

use super::boot::{machine, Guest};
use super::image::Image;
use super::kernels::Arch;
use super::packages::Unpacked;
use super::report::Report;
use super::table::{PERSISTENT_OF_TRUTH as PERSISTENT, TRUTH};
use super::{add_modules, cache, directory, packages, persistent, programs};
use crate::run::Result;

/// Duration, and the number of pages.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Duration in seconds
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u64,
    /// Fail if fewer pages than this are checked
    #[arg(long, value_name = "N", default_value_t = 5_000_000)]
    pages: u64,
}

/// MiB of RAM.
const MEMORY: u64 = TRUTH.memory as u64;

/// Maximum time of a guest besides the duration of its rounds.
const PATIENCE: Duration = Duration::from_secs(180);

pub(crate) fn truth(arguments: &Arguments) -> Result<()> {
    let kernel = packages::newest(&cache(), &TRUTH.kernel)?;
    let counts = run(&kernel, arguments.seconds)?;
    for (pages, kind) in counts.by_kind.iter().zip(KINDS) {
        println!("{pages:>12} pages  {kind}");
    }
    for (pages, interface) in counts.by_interface.iter().zip(INTERFACES) {
        println!("{pages:>12} pages  by {interface}");
    }
    println!("{:>12} pages  above 4 GiB", counts.high);
    println!(
        "{:>12} pages  false on purpose, and seen to be",
        counts.controls.iter().sum::<u64>()
    );
    println!("{:>12} pages checked, none wrong", counts.pages());
    enough(&counts, arguments.pages)
}

fn enough(counts: &Counts, pages: u64) -> Result<()> {
    match counts.pages() < pages {
        true => Err(format!("{} pages checked, not {pages}", counts.pages())),
        false => Ok(()),
    }
}

/// A row of the matrix: each kind of memory and each interface is a test, which
/// holds if pages of it were checked and none is wrong.
pub(super) fn row(kernel: &Unpacked, seconds: u64, pages: u64) -> Result<Report> {
    let counts = run(kernel, seconds)?;
    enough(&counts, pages)?;
    Ok(Report {
        ok: KINDS.len() + INTERFACES.len(),
        notes: vec![format!(
            "{} pages checked, none wrong; {} false on purpose, and seen to be",
            counts.pages(),
            counts.controls.iter().sum::<u64>()
        )],
        ..Report::default()
    })
}

/// A RAM file, removed when dropped.
struct RamFile(PathBuf);

impl RamFile {
    /// In `/dev/shm` if that exists: the kernel would write a disk's file back.
    fn create() -> Result<(Self, File)> {
        let name = format!("introspection-truth-{}", std::process::id());
        let memory = Path::new("/dev/shm");
        let place = if memory.is_dir() {
            memory
        } else {
            &directory()
        };
        let path = place.join(name);
        let failed = |error| format!("{}: {error}", path.display());
        let mut options = File::options();
        let file = options.read(true).write(true).create_new(true).open(&path);
        let file = file.map_err(failed)?;
        let this = Self(path.clone());
        file.set_len(MEMORY << 20).map_err(failed)?;
        Ok((this, file))
    }
}

impl Drop for RamFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Boots `kernel` for `seconds` of rounds, and checks every byte that its
/// libraries report.
///
/// # Errors
/// Anything that is wrong or could not be tried. The guest's console is kept.
fn run(kernel: &Unpacked, seconds: u64) -> Result<Counts> {
    fs::create_dir_all(directory()).map_err(|error| error.to_string())?;
    let image = directory().join("truth.cpio");
    pack(kernel, &image)?;
    let mut has_come_up = false;
    let mut counts = attempt(&kernel.image, &image, seconds, &mut has_come_up);
    if !has_come_up {
        // Emulated kernels sometimes die while they boot.
        eprintln!("truth: did not come up; once more");
        counts = attempt(&kernel.image, &image, seconds, &mut has_come_up);
    }
    let _ = fs::remove_file(image);
    counts
}

fn attempt(kernel: &Path, image: &Path, seconds: u64, has_come_up: &mut bool) -> Result<Counts> {
    let (ram, file) = RamFile::create()?;
    let mut guest = start(kernel, image, &ram.0, seconds)?;
    let lines = console(guest.0.stdout.take().ok_or("no console")?)?;
    let ram_of_guest = Ram::map(&file).map_err(|error| format!("RAM: {error}"))?;
    let mut judge = Judge::new(ram_of_guest, persistent::ranges(PERSISTENT));
    let until = Instant::now() + Duration::from_secs(seconds) + PATIENCE;
    let posted = follow(&mut judge, &lines, until, has_come_up)?;
    guest.end(until).map_err(|error| error.to_string())?;
    verdict(judge.counts(), posted)
}

fn pack(kernel: &Unpacked, to: &Path) -> Result<()> {
    let [guest, program] = programs::of_truth(&directory().join("build"))?;
    let mut image = Image::new(&["dev", "modules", "options", "proc", "sys", "tmp"]);
    image.add_file("init", &guest)?;
    image.add_file("program", &program)?;
    add_modules(&mut image, &TRUTH, kernel)?;
    persistent::add_file_system(&mut image, &directory().join("images"))?;
    image.write(to)
}

fn start(kernel: &Path, image: &Path, ram: &Path, seconds: u64) -> Result<Guest> {
    let (program, options, console) = machine(Arch::Amd64);
    let line = format!(
        "console={console} quiet loglevel=2 panic=-1 vmtest.guest vmtest.program \
         truth.seconds={seconds} {} {} hugepagesz=1G hugepages=1 hugepagesz=2M hugepages={}",
        TRUTH.command_line,
        persistent::command_line(PERSISTENT),
        64 + KINDS.len()
    );
    let backend = format!(
        "memory-backend-file,id=ram,size={MEMORY}M,share=on,mem-path={}",
        ram.display()
    );
    let child = Command::new(program)
        .args(options)
        .args(["-smp", "2", "-m", &MEMORY.to_string()])
        .args(["-object", &backend, "-machine"])
        .arg(format!("pc,memory-backend=ram,max-ram-below-4g={LOW}"))
        .args(["-nodefaults", "-display", "none", "-serial", "stdio"])
        .args(["-no-reboot", "-append", &line, "-kernel"])
        .arg(kernel)
        .arg("-initrd")
        .arg(image)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn();
    let child = child.map_err(|error| format!("{program} (qemu-system-x86): {error}"))?;
    Ok(Guest(child))
}

/// Lines of the console as they come; all of them also go to a file.
fn console(from: ChildStdout) -> Result<Receiver<String>> {
    let consoles = directory().join("consoles");
    let path = consoles.join("truth.log");
    let file = fs::create_dir_all(consoles).and_then(|()| File::create(&path));
    let mut file = file.map_err(|error| format!("{}: {error}", path.display()))?;
    let (send, lines) = channel();
    // Ends with the guest.
    thread::spawn(move || {
        for line in BufReader::new(from)
            .split(b'\n')
            .map_while(|line| line.ok())
        {
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            let _ = writeln!(file, "{line}");
            if send.send(line).is_err() {
                return;
            }
        }
    });
    Ok(lines)
}

/// Checks what is posted until the guest is done; returns the number of pages that
/// the guest has posted. Sets `has_come_up` when its first program has started.
fn follow(
    judge: &mut Judge,
    lines: &Receiver<String>,
    until: Instant,
    has_come_up: &mut bool,
) -> Result<u64> {
    loop {
        let wait = match judge.look() {
            true => Duration::ZERO,
            false => Duration::from_micros(100),
        };
        if Instant::now() > until {
            return Err("the guest does not come to an end".to_owned());
        }
        let line = match lines.recv_timeout(wait) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => {
                return Err("the guest ended before it was done".to_owned());
            }
        };
        *has_come_up |= line.starts_with("vmtest: guest ");
        let Some(told) = line.strip_prefix("truth: ") else {
            continue;
        };
        match told.split_ascii_whitespace().collect::<Vec<_>>()[..] {
            ["slot", kind, "at", paddr] => {
                let number = paddr.strip_prefix("0x").unwrap_or(paddr);
                let paddr = u64::from_str_radix(number, 16);
                let both = kind.parse().ok().zip(paddr.ok());
                let (kind, paddr) = both.ok_or_else(|| line.clone())?;
                judge.add(kind, paddr)?;
            }
            ["begun"] => {}
            ["done", ..] => {
                let mut words = told.split_ascii_whitespace();
                let pages = words.find_map(|word| word.strip_prefix("pages=")?.parse().ok());
                eprintln!("truth: {told}");
                return pages.ok_or(line);
            }
            _ => return Err(with_examples(line, judge.counts())),
        }
    }
}

fn with_examples(what: String, counts: &Counts) -> String {
    let mut text = what;
    for example in &counts.examples {
        text += &format!("\n  {example}");
    }
    text
}

fn verdict(counts: &Counts, posted: u64) -> Result<Counts> {
    let missing: Vec<&str> = KINDS
        .iter()
        .zip(counts.by_kind)
        .chain(INTERFACES.iter().zip(counts.by_interface))
        .filter(|(_, pages)| *pages == 0)
        .map(|(what, _)| *what)
        .collect();
    let what = if counts.wrong > 0 {
        format!("{} of {} pages are wrong", counts.wrong, counts.pages())
    } else if counts.pages() != posted {
        format!("{} pages were checked, {posted} posted", counts.pages())
    } else if !missing.is_empty() {
        format!("never checked: {}", missing.join(", "))
    } else if let Some(kind) = counts.controls.iter().position(|&pages| pages == 0) {
        format!("no control of {} was posted", KINDS[kind])
    } else if counts.high == 0 {
        "nothing lay above 4 GiB".to_owned()
    } else {
        return Ok(counts.clone());
    };
    Err(with_examples(what, counts))
}
