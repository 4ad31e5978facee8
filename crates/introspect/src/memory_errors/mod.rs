//! Addresses in messages about memory errors: the kernel's, rasdaemon's and mcelog's. The
//! forms of messages are in `forms`. Performs no I/O and must not know any other module of
//! this crate, because a test and a fuzz target include it.

mod check;
pub(crate) mod forms;
mod line_text;
mod machine_checks;
mod numbers;

use process_introspection::{PageSize, Pfn, PhysAddr};

use check::Check;
use forms::{forms, Number, Place, Reading, Unit};
pub(crate) use forms::{Form, Reason, Verdict};
use line_text::{looks_like_one, message_of};
use machine_checks::finish;
use numbers::{
    after, decimal, hexadecimal, hexadecimal_after, is_number, is_word, occurrences, Found,
};

/// A number that a message calls an address.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Reported {
    /// The number in the message, of bytes or of a page frame.
    pub(crate) number: u64,
    /// The address; without meaning if the number is refused.
    pub(crate) address: PhysAddr,
    pub(crate) verdict: Verdict,
    /// Line of the message, counted from 1.
    pub(crate) line: u64,
    pub(crate) form: &'static Form,
}

/// Result of reading a line.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// Part of a message that is in the table.
    Understood,
    /// Looks like a message about a memory error with an address, but is not in the table.
    NotUnderstood,
    /// Any other line.
    Other,
}

/// Reads messages line by line. A machine check can have several lines.
#[derive(Debug)]
pub(crate) struct MemoryErrors {
    page: PageSize,
    lines: u64,
    kernels: Check,
    mcelogs: Check,
    /// The line is within a check of mcelog's.
    in_mcelogs: bool,
    amds: Check,
    /// Family of the CPU, from the line before an address of AMD's decoder.
    amd_family: Option<u64>,
    /// Meaning of the address on the next line, from an `address_type` line.
    address_type: Option<Verdict>,
}

fn form_of(is: impl Fn(&Reading) -> bool) -> &'static Form {
    let form = forms().find(|form| is(&form.reading));
    form.expect("a row of the table")
}

impl MemoryErrors {
    /// Reader for messages of a machine with base pages of this size.
    pub(crate) fn new(page: PageSize) -> Self {
        let check = |is: fn(&Reading) -> bool| Check::new(form_of(is));
        Self {
            page,
            lines: 0,
            kernels: check(|reading| matches!(reading, Reading::KernelCheck)),
            mcelogs: check(|reading| matches!(reading, Reading::McelogCheck)),
            in_mcelogs: false,
            amds: check(|reading| matches!(reading, Reading::AmdCheck)),
            amd_family: None,
            address_type: None,
        }
    }

    /// Returns the number of lines read.
    pub(crate) fn lines(&self) -> u64 {
        self.lines
    }

    /// Reads a line, of any bytes; calls `each` for the addresses that are known then.
    pub(crate) fn line(&mut self, line: &[u8], mut each: impl FnMut(Reported)) -> Line {
        self.lines += 1;
        let line = String::from_utf8_lossy(line);
        let line = line.trim_end();
        let mut taken = Vec::new();
        let mut understood = false;
        for form in forms() {
            understood |= match &form.reading {
                Reading::Place(place) => self.places(line, place, form, &mut taken, &mut each),
                Reading::Record(record) => self.record(line, record, form, &mut each),
                Reading::KernelCheck => self.kernel_check(line, &mut each),
                Reading::McelogCheck => self.mcelog_check(line, &mut each),
                Reading::AmdCheck => self.amd_check(line, &mut each),
                Reading::Typed => self.typed(line, form, &mut each),
                Reading::Companion(texts) => texts.iter().any(|text| line.contains(text)),
            };
        }
        match understood {
            true => Line::Understood,
            false if looks_like_one(line) => Line::NotUnderstood,
            false => Line::Other,
        }
    }

    /// Ends the last message.
    pub(crate) fn end(&mut self, mut each: impl FnMut(Reported)) {
        for check in [&mut self.kernels, &mut self.mcelogs, &mut self.amds] {
            finish(check, &mut each);
        }
    }

    /// Reads the numbers of one form in a line.
    fn places(
        &self,
        line: &str,
        place: &Place,
        form: &'static Form,
        taken: &mut Vec<usize>,
        each: &mut impl FnMut(Reported),
    ) -> bool {
        let needed = place.needs.is_empty() || place.needs.iter().any(|text| line.contains(text));
        if !needed {
            return false;
        }
        let mut found_any = false;
        for before in place.before {
            for at in starts_of_numbers(line, before, place) {
                let rest = &line[at..];
                let found = match place.number {
                    Number::Hex => hexadecimal(rest).filter(|_| is_number(rest)),
                    Number::Bare => hexadecimal(rest),
                    Number::Prefixed => rest.strip_prefix("0x").and_then(hexadecimal),
                    Number::Decimal => decimal(rest),
                };
                let Some(Found { number, rest }) = found else {
                    continue;
                };
                let goes_on = place.behind.is_empty()
                    || place.behind.iter().any(|text| rest.starts_with(text));
                if !goes_on || taken.contains(&at) {
                    continue;
                }
                let Some((address, verdict)) = self.meaning(number, rest, place) else {
                    continue;
                };
                taken.push(at);
                found_any = true;
                each(Reported {
                    number,
                    address,
                    verdict,
                    line: self.lines,
                    form,
                });
            }
        }
        found_any
    }

    /// Returns the address that a number means, and its verdict; `None` if the line lacks
    /// the offset in the page.
    fn meaning(&self, number: u64, rest: &str, place: &Place) -> Option<(PhysAddr, Verdict)> {
        let offset = match place.unit {
            Unit::FrameAndOffset(texts) => Some(
                texts
                    .iter()
                    .find_map(|text| hexadecimal_after(rest, text))?,
            ),
            _ => None,
        };
        let shift = self.page.shift();
        let address = match place.unit {
            Unit::Byte => Some(number),
            Unit::CheckByte => Some(number & ((1 << 52) - 1)),
            Unit::Frame | Unit::FrameAndOffset(_) => {
                let fits = number >> (64 - shift) == 0 && offset.unwrap_or(0) >> shift == 0;
                let start = Pfn::new(number).address(self.page).as_u64();
                fits.then_some(start | offset.unwrap_or(0))
            }
        };
        // An EDAC driver prints page 0 and offset 0 for an unknown address.
        let not_known = match place.unit {
            Unit::Byte | Unit::CheckByte => number == 0 || number == u64::MAX,
            Unit::Frame => false,
            Unit::FrameAndOffset(_) => number == 0 && offset == Some(0),
        };
        let verdict = match (address, not_known) {
            (_, true) => Verdict::Refused(Reason::NotKnown),
            (None, _) => Verdict::Refused(Reason::Impossible),
            (Some(_), false) => place.verdict,
        };
        Some((PhysAddr::new(address.unwrap_or(0)), verdict))
    }

    /// Reads an address whose type is on the line before.
    fn typed(&mut self, line: &str, form: &'static Form, each: &mut impl FnMut(Reported)) -> bool {
        if let Some(sort) = after(line, "address_type: ") {
            self.address_type = Some(match sort {
                _ if sort.starts_with("Supervisor Physical") => Verdict::Physical,
                _ if sort.starts_with("Guest Physical") => Verdict::Refused(Reason::Guest),
                _ if sort.starts_with("Virtual") => Verdict::Refused(Reason::Virtual),
                _ => Verdict::Refused(Reason::NoType),
            });
            return true;
        }
        let Some(number) = message_of(line)
            .strip_prefix("address: 0x")
            .and_then(hexadecimal)
        else {
            return false;
        };
        let Some(sort) = self.address_type.take() else {
            return false;
        };
        let number = number.number;
        each(Reported {
            number,
            address: PhysAddr::new(number),
            verdict: if number == 0 || number == u64::MAX {
                Verdict::Refused(Reason::NotKnown)
            } else {
                sort
            },
            line: self.lines,
            form,
        });
        true
    }
}

/// Returns where numbers begin that follow a text, or that precede the texts behind them
/// if the text is empty.
fn starts_of_numbers<'a>(line: &'a str, before: &'a str, place: &'a Place) -> Vec<usize> {
    if !before.is_empty() {
        let behind = occurrences(line, before).map(|at| at + before.len());
        return behind
            .map(|at| at + (line[at..].len() - line[at..].trim_start_matches([' ', '\t']).len()))
            .collect();
    }
    let ends = place.behind.iter().filter_map(|text| line.find(text));
    ends.map(|end| line[..end].rfind(|c| !is_word(c)).map_or(0, |at| at + 1))
        .filter(|&at| line.is_char_boundary(at))
        .collect()
}
