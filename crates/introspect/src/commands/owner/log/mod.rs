//! `--from-log` and `--kmsg`: the pages that the lines of a log name, and warnings about
//! lines that cannot be read. The meaning of lines is in `memory_errors`.

mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use process_introspection::{with_user_rights, PageSize, PhysAddr, PhysRange};
use process_introspection_export::NamedBy;

use crate::failure::{warn, Failure};
use crate::memory_errors::{Line, MemoryErrors, Reason, Reported, Verdict};
use crate::text::{counted, printable};
use source::Unreadable;

/// Longest line; the rest of a line is skipped.
const MAX_LINE: usize = 64 << 10;
/// Largest number of pages and of refused numbers that are kept.
const MAX_PAGES: usize = 1 << 20;
/// Size of the buffer for a record of the kernel's log (PRINTK_MESSAGE_MAX is 2048).
const RECORD: usize = 16 << 10;
/// Largest number of lines and numbers that are shown; others are counted.
const MAX_SHOWN: usize = 8;
/// Longest part of a line that is shown, in bytes.
const MAX_SHOWN_LINE: usize = 160;

/// A line of a log.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    /// Index of the log.
    log: usize,
    line: u64,
    form: &'static str,
}

/// Logs and the pages that they name.
#[derive(Debug)]
pub(crate) struct Log {
    errors: MemoryErrors,
    page: PageSize,
    /// Names of the logs, as on the command line.
    names: Vec<String>,
    /// The first line that names a page, and the number of such lines.
    pages: BTreeMap<PhysAddr, (Place, u64)>,
    lines: u64,
    understood: bool,
    presumed: u64,
    /// Messages with a number that means an unknown address.
    unknown: u64,
    /// Numbers that are no physical addresses, with the reason and the first line.
    refused: BTreeMap<(u64, Reason), Place>,
    /// Lines that look like messages about memory errors but cannot be read: the first
    /// ones, and their number.
    not_understood: (Vec<String>, u64),
}

/// Pages that logs name, and the lines that name them.
#[derive(Debug, Default)]
pub(crate) struct NamedPages {
    names: Vec<String>,
    pages: BTreeMap<PhysAddr, (Place, u64)>,
}

impl NamedPages {
    /// Returns the pages, ascending.
    pub(crate) fn pages(&self, page: PageSize) -> impl Iterator<Item = PhysRange> + '_ {
        self.pages
            .keys()
            .map(move |&start| PhysRange::page_of(start, page))
    }

    /// Returns the first line that names a page of this memory, and the number of such
    /// lines.
    pub(crate) fn by(&self, range: PhysRange) -> Option<NamedBy<'_>> {
        let pages = self.pages.range(range.start()..range.end());
        let mut pages = pages.map(|(_, &named)| named);
        let (mut first, mut lines) = pages.next()?;
        for (place, more) in pages {
            first = first.min(place);
            lines += more;
        }
        Some(NamedBy {
            log: &self.names[first.log],
            line: first.line,
            form: first.form,
            lines,
        })
    }
}

impl Log {
    pub(crate) fn new(page: PageSize) -> Self {
        Self {
            errors: MemoryErrors::new(page),
            page,
            names: Vec::new(),
            pages: BTreeMap::new(),
            lines: 0,
            understood: false,
            presumed: 0,
            unknown: 0,
            refused: BTreeMap::new(),
            not_understood: (Vec::new(), 0),
        }
    }

    /// Reads a file, `-` for standard input.
    pub(crate) fn read(&mut self, path: &Path) -> Result<(), Failure> {
        let name = printable(path.as_os_str());
        let cannot = |error| Failure::io(format_args!("read {name}"), &error);
        let text = match path == Path::new("-") {
            true => source::text(io::stdin(), &name),
            false => {
                let file = with_user_rights(|| File::open(path)).map_err(cannot)?;
                source::text(file, &name)
            }
        };
        let text = text.map_err(|unreadable| match unreadable {
            Unreadable::Io(error) => cannot(error),
            Unreadable::Format(said) => Failure::Message(said),
        })?;
        self.begin(name.clone());
        self.text(text).map_err(cannot)??;
        self.end()
    }

    /// Reads the present contents of the kernel's log.
    pub(crate) fn read_kernel_log(&mut self) -> Result<(), Failure> {
        let cannot = |error| Failure::io("read the kernel's log, /dev/kmsg", &error);
        let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(flags)
            .open("/dev/kmsg");
        let mut file = opened.map_err(cannot)?;
        let mut record = vec![0; RECORD];
        self.begin("/dev/kmsg".to_owned());
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
                    // The record was overwritten before it was read.
                    io::ErrorKind::BrokenPipe | io::ErrorKind::Interrupted => {}
                    _ => return Err(cannot(error)),
                },
            }
        }
        self.end()
    }

    fn begin(&mut self, name: String) {
        self.names.push(name);
        self.errors = MemoryErrors::new(self.page);
    }

    fn end(&mut self) -> Result<(), Failure> {
        let mut found = Vec::new();
        self.errors.end(|reported| found.push(reported));
        self.lines += self.errors.lines();
        self.note(&found)
    }

    fn text(&mut self, mut from: impl BufRead) -> io::Result<Result<(), Failure>> {
        let mut line = Vec::new();
        loop {
            line.clear();
            let most = MAX_LINE as u64;
            if from.by_ref().take(most).read_until(b'\n', &mut line)? == 0 {
                return Ok(Ok(()));
            }
            if line.len() == MAX_LINE && line.last() != Some(&b'\n') {
                from.skip_until(b'\n')?;
                // The last word may be a part of a number.
                let end = line.iter().rposition(|byte| !byte.is_ascii_alphanumeric());
                line.truncate(end.unwrap_or(0));
            }
            if let Err(failure) = self.line(line.strip_suffix(b"\n").unwrap_or(&line)) {
                return Ok(Err(failure));
            }
        }
    }

    fn line(&mut self, line: &[u8]) -> Result<(), Failure> {
        let mut found = Vec::new();
        match self.errors.line(line, |reported| found.push(reported)) {
            Line::Understood => self.understood = true,
            Line::NotUnderstood => {
                let (shown, count) = &mut self.not_understood;
                *count += 1;
                if shown.len() < MAX_SHOWN {
                    let text = String::from_utf8_lossy(&line[..line.len().min(MAX_SHOWN_LINE)]);
                    let name = self.names.last().map_or("", String::as_str);
                    let text = printable(text.trim().as_ref());
                    shown.push(format!("{name}:{}: {text}", self.errors.lines()));
                }
            }
            Line::Other => {}
        }
        self.note(&found)
    }

    fn note(&mut self, found: &[Reported]) -> Result<(), Failure> {
        let is_taken = |reported: &Reported| !matches!(reported.verdict, Verdict::Refused(_));
        // A line with a known address can have other numbers, too.
        let taken: BTreeSet<u64> = (found.iter().filter(|reported| is_taken(reported)))
            .map(|reported| reported.line)
            .collect();
        for reported in found {
            let place = Place {
                log: self.names.len() - 1,
                line: reported.line,
                form: reported.form.name,
            };
            match reported.verdict {
                Verdict::Refused(_) if taken.contains(&reported.line) => continue,
                Verdict::Refused(Reason::NotKnown) => {
                    self.unknown += 1;
                    continue;
                }
                Verdict::Refused(why) => {
                    if self.refused.len() < MAX_PAGES {
                        self.refused.entry((reported.number, why)).or_insert(place);
                    }
                    continue;
                }
                Verdict::Presumed => self.presumed += 1,
                Verdict::Physical => {}
            }
            let page = PhysRange::page_of(reported.address, self.page).start();
            let (first, lines) = self.pages.entry(page).or_insert((place, 0));
            *first = place.min(*first);
            *lines += 1;
            if self.pages.len() > MAX_PAGES {
                return Err(Failure::Message(format!(
                    "the log names over {MAX_PAGES} pages: give a part of it"
                )));
            }
        }
        Ok(())
    }

    /// Returns the named pages, and an error if there were lines that look like messages
    /// about memory errors and none was understood. Writes a summary to standard error.
    pub(crate) fn finish(self) -> (NamedPages, Option<Failure>) {
        self.summary().into_iter().for_each(warn);
        let (_, count) = self.not_understood;
        let failure = (count > 0 && !self.understood).then(|| {
            Failure::Message(
                "no message about a memory error was understood: give the addresses as PADDR"
                    .to_owned(),
            )
        });
        let named = NamedPages {
            names: self.names,
            pages: self.pages,
        };
        (named, failure)
    }

    fn summary(&self) -> Vec<String> {
        let lines = counted(self.lines, "line names", "lines name");
        let pages = match self.pages.len() {
            0 => "no".to_owned(),
            several => counted(several as u64, "page of", "pages of"),
        };
        let mut summary = vec![format!("{lines} {pages} physical memory")];
        if self.presumed > 0 {
            let messages = counted(
                self.presumed,
                "message does not say that its",
                "messages do not say that their",
            );
            summary.push(format!("{messages} address is physical, which is presumed"));
        }
        if self.unknown > 0 {
            let messages = counted(self.unknown, "message is", "messages are");
            summary.push(format!(
                "{messages} left out: the address is not known (0 or all ones)"
            ));
        }
        // Another message can have named the number as an address.
        let is_named = |number: u64| {
            let page = PhysRange::page_of(PhysAddr::new(number), self.page);
            self.pages.contains_key(&page.start())
        };
        let refused: Vec<_> = (self.refused.iter())
            .filter(|((number, _), _)| !is_named(*number))
            .collect();
        for ((number, why), place) in refused.iter().take(MAX_SHOWN) {
            summary.push(format!(
                "{number:#x} is left out ({}:{}, {}): {}",
                self.names[place.log],
                place.line,
                place.form,
                why.reason()
            ));
        }
        if let Some(more @ 1..) = refused.len().checked_sub(MAX_SHOWN) {
            let more = counted(more as u64, "number is", "numbers are");
            summary.push(format!("{more} left out as well"));
        }
        let (shown, count) = &self.not_understood;
        if *count > 0 {
            let lines = counted(
                *count,
                "line looks like a message",
                "lines look like messages",
            );
            summary.push(format!("{lines} about memory errors and cannot be read:"));
            summary.extend(shown.iter().map(|line| format!("  {line}")));
            if let Some(more @ 1..) = count.checked_sub(shown.len() as u64) {
                summary.push(format!("  and {} more", counted(more, "line", "lines")));
            }
        }
        summary
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(text: &str) -> Log {
        let mut log = Log::new(PageSize::SIZE_4K);
        log.begin("log".to_owned());
        log.text(text.as_bytes()).unwrap().unwrap();
        log.end().unwrap();
        log
    }

    #[test]
    fn memory_names_the_first_line_of_all_that_name_it() {
        let text =
            "Memory failure: 0x8e140: recovery\nnothing\nMemory failure: 0x8e13f: recovery\n\
                    EDAC MC0: 1 CE (page:0x8e13f offset:0x2c0 grain:32)\n";
        let (named, _) = log(text).finish();
        let range = |start, end| PhysRange::new(PhysAddr::new(start), PhysAddr::new(end)).unwrap();
        let by = |start, end| {
            named
                .by(range(start, end))
                .map(|by| (by.line, by.form, by.lines))
        };
        assert_eq!(by(0x8e13f000, 0x8e140000), Some((3, "memory-failure", 2)));
        assert_eq!(by(0x8e13f000, 0x8e141000), Some((1, "memory-failure", 3)));
        assert_eq!(by(0x8e141000, 0x8e142000), None);
    }
}
