//! Physical addresses from a log of messages: where the lines come from, and
//! what is said of those that give none. What lines mean the library knows.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use process_introspection::{MemoryErrors, PageSize, PhysAddr, PhysRange, Reported};

use crate::count::counted;
use crate::failure::Failure;
use crate::target::printable;

/// Longer lines are cut: no message of the kernel's is as long.
const LONGEST: u64 = 64 << 10;
/// More pages are not gathered.
const MOST_PAGES: usize = 1 << 20;
/// A record of the kernel's log is shorter (PRINTK_MESSAGE_MAX is 2048).
const RECORD: usize = 16 << 10;

/// What a log has told.
#[derive(Debug)]
pub(crate) struct Log {
    errors: MemoryErrors,
    page: PageSize,
    pages: BTreeSet<PhysAddr>,
    lines: u64,
    presumed: u64,
    /// Numbers that are no physical addresses, and why.
    others: BTreeSet<(&'static str, u64)>,
}

impl Log {
    pub(crate) fn new(page: PageSize) -> Self {
        Self {
            errors: MemoryErrors::new(page),
            page,
            pages: BTreeSet::new(),
            lines: 0,
            presumed: 0,
            others: BTreeSet::new(),
        }
    }

    /// Reads a file, `-` for standard input.
    pub(crate) fn read(&mut self, path: &Path) -> Result<(), Failure> {
        let cannot =
            |error| Failure::io(format_args!("read {}", printable(path.as_os_str())), &error);
        if path == Path::new("-") {
            return self.lines(io::stdin().lock()).map_err(cannot)?;
        }
        let file = File::open(path).map_err(cannot)?;
        self.lines(BufReader::new(file)).map_err(cannot)?
    }

    /// Reads what the kernel's log holds now.
    pub(crate) fn read_kernels(&mut self) -> Result<(), Failure> {
        let cannot = |error| Failure::io("read the kernel's log, /dev/kmsg", &error);
        let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(flags)
            .open("/dev/kmsg");
        let mut file = opened.map_err(cannot)?;
        let mut record = vec![0; RECORD];
        loop {
            match file.read(&mut record) {
                Ok(0) => break,
                // "6,339,5140900,-;message", then lines with a dictionary
                // (Documentation/ABI/testing/dev-kmsg).
                Ok(size) => {
                    let text = record[..size].split(|&byte| byte == b'\n').next();
                    let text = text.unwrap_or_default();
                    let at = text.iter().position(|&byte| byte == b';');
                    self.line(&text[at.map_or(0, |at| at + 1)..])?;
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => break,
                    // Overwritten before it was read: the next read goes on.
                    io::ErrorKind::BrokenPipe | io::ErrorKind::Interrupted => {}
                    _ => return Err(cannot(error)),
                },
            }
        }
        Ok(())
    }

    fn lines(&mut self, mut from: impl BufRead) -> io::Result<Result<(), Failure>> {
        let mut line = Vec::new();
        loop {
            line.clear();
            if from.by_ref().take(LONGEST).read_until(b'\n', &mut line)? == 0 {
                return Ok(Ok(()));
            }
            if let Err(failure) = self.line(line.strip_suffix(b"\n").unwrap_or(&line)) {
                return Ok(Err(failure));
            }
        }
    }

    fn line(&mut self, line: &[u8]) -> Result<(), Failure> {
        self.lines += 1;
        let mut found = Vec::new();
        self.errors.line(line, |reported| found.push(reported));
        self.note(found)
    }

    fn note(&mut self, found: Vec<Reported>) -> Result<(), Failure> {
        for reported in found {
            match reported {
                Reported::Not(number, why) if self.others.len() < MOST_PAGES => {
                    self.others.insert((why.reason(), number));
                }
                Reported::Presumed(_) => self.presumed += 1,
                _ => {}
            }
            if let Some(address) = reported.address() {
                let page = PhysRange::page_of(address, self.page).start();
                if self.pages.insert(page) && self.pages.len() > MOST_PAGES {
                    return Err(Failure::Message(format!(
                        "the log names over {MOST_PAGES} pages: give a part of it"
                    )));
                }
            }
        }
        Ok(())
    }

    /// The pages that were named; says on standard error what there was.
    pub(crate) fn finish(mut self) -> Result<Vec<PhysRange>, Failure> {
        let mut found = Vec::new();
        self.errors.end(|reported| found.push(reported));
        self.note(found)?;
        let lines = counted(self.lines, "line names", "lines name");
        let pages = match self.pages.len() {
            0 => "no".to_owned(),
            several => counted(several as u64, "page of", "pages of"),
        };
        let mut said = format!("introspect: {lines} {pages} physical memory\n");
        if self.presumed > 0 {
            let checks = counted(
                self.presumed,
                "machine check does not say that its",
                "machine checks do not say that their",
            );
            said.push_str(&format!(
                "introspect: {checks} address is physical; it is taken for that\n"
            ));
        }
        for (why, number) in &self.others {
            said.push_str(&format!("introspect: {number:#x} is left out: {why}\n"));
        }
        // Where nobody can be told, the records still tell.
        let _ = io::stderr().write_all(said.as_bytes());
        let page = |&start: &PhysAddr| PhysRange::page_of(start, self.page);
        Ok(self.pages.iter().map(page).collect())
    }
}
