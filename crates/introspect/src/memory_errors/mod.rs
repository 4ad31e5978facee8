//! Addresses in messages about memory errors: the kernel's, rasdaemon's and
//! mcelog's. The forms are in `forms`. Pure; knows no file and no process, and of
//! this crate nothing, so that the fuzz target can include it.

mod check;
mod forms;
mod numbers;

use process_introspection::{PageSize, Pfn, PhysAddr};

use check::{Check, SCALABLE};
use forms::{forms, Number, Place, Reading, Record, Unit};
pub(crate) use forms::{Form, Says, Why};
use numbers::{
    after, decimal, first_decimal, hexadecimal, hexadecimal_after, is_number, is_word, occurrences,
    Found,
};

/// A number that a message calls an address.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Reported {
    /// The number as the message has it: of bytes or of a page frame.
    pub(crate) number: u64,
    /// The address that it stands for; without meaning where it is refused.
    pub(crate) address: PhysAddr,
    pub(crate) says: Says,
    /// The message's line, counted from 1.
    pub(crate) line: u64,
    pub(crate) form: &'static Form,
}

/// What became of a line.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A part of a message that is in the table.
    Understood,
    /// It looks like a message about a memory error with an address, and is none
    /// of the table's.
    NotUnderstood,
    /// About something else.
    Other,
}

/// Reads messages line by line. A machine check needs several.
#[derive(Debug)]
pub(crate) struct MemoryErrors {
    page: PageSize,
    lines: u64,
    kernels: Check,
    mcelogs: Check,
    /// The line is between those of a check of mcelog's.
    in_mcelogs: bool,
    amds: Check,
    /// The CPU's family, from the line before an address of AMD's decoder.
    amd_family: Option<u64>,
    /// What an address on another line is, by the last line that said it.
    sort: Option<Says>,
}

fn form_of(is: impl Fn(&Reading) -> bool) -> &'static Form {
    let form = forms().find(|form| is(&form.reading));
    form.expect("a row of the table")
}

impl MemoryErrors {
    /// For messages of a machine with base pages of this size.
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
            sort: None,
        }
    }

    /// Number of lines read.
    pub(crate) fn lines(&self) -> u64 {
        self.lines
    }

    /// Reads a line, of any bytes; `each` gets the addresses that are then
    /// known.
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

    /// There are no more lines.
    pub(crate) fn end(&mut self, mut each: impl FnMut(Reported)) {
        for check in [&mut self.kernels, &mut self.mcelogs, &mut self.amds] {
            finish(check, &mut each);
        }
    }

    /// The numbers of one form in a line.
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
                let Some((address, says)) = self.meaning(number, rest, place) else {
                    continue;
                };
                taken.push(at);
                found_any = true;
                each(Reported {
                    number,
                    address,
                    says,
                    line: self.lines,
                    form,
                });
            }
        }
        found_any
    }

    /// The address that a number stands for, and what it is; `None` if the line
    /// lacks its other half.
    fn meaning(&self, number: u64, rest: &str, place: &Place) -> Option<(PhysAddr, Says)> {
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
        // A driver of EDAC that does not know says page 0 and offset 0.
        let not_known = match place.unit {
            Unit::Byte | Unit::CheckByte => number == 0 || number == u64::MAX,
            Unit::Frame => false,
            Unit::FrameAndOffset(_) => number == 0 && offset == Some(0),
        };
        let says = match (address, not_known) {
            (_, true) => Says::Refused(Why::NotKnown),
            (None, _) => Says::Refused(Why::Impossible),
            (Some(_), false) => place.says,
        };
        Some((PhysAddr::new(address.unwrap_or(0)), says))
    }

    /// A machine check in one line.
    fn record(
        &self,
        line: &str,
        record: &Record,
        form: &'static Form,
        each: &mut impl FnMut(Reported),
    ) -> bool {
        let Some(rest) = after(line, record.address) else {
            return false;
        };
        let Some(Found { number, rest }) = hexadecimal(rest) else {
            return false;
        };
        let field = |text: &str| hexadecimal_after(line, text);
        let vendor = after(line, record.vendor).and_then(|rest| match rest {
            _ if rest.starts_with("AMD") => Some(2),
            _ if rest.starts_with("Hygon") => Some(9),
            _ => first_decimal(rest),
        });
        let status = match record.status {
            "MC" => behind_bank(line, ", MC", ": "),
            text => field(text),
        };
        let misc = match record.misc {
            "" => rest
                .strip_prefix('/')
                .and_then(hexadecimal)
                .map(|found| found.number),
            text => field(text),
        };
        let mut check = Check {
            line: self.lines,
            address: Some(number),
            misc,
            status,
            ipid: field(record.ipid),
            capabilities: field(record.capabilities),
            of_umc: line.contains(UMC),
            ..Check::new(form)
        };
        // Where the bank has no name, IPID is needed.
        let cpuid = match record.cpuid {
            "" => None,
            text => after(line, text).and_then(|rest| match record.cpuid {
                "PROCESSOR: " => cpuid_behind(rest),
                _ => hexadecimal(rest).map(|found| found.number),
            }),
        };
        match record.cpuid {
            "" => check.vendor = vendor,
            _ => check.set_processor(vendor, cpuid),
        }
        finish(&mut check, each);
        true
    }

    /// Lines of the kernel's `__print_mce`.
    fn kernel_check(&mut self, line: &str, each: &mut impl FnMut(Reported)) -> bool {
        let check = &mut self.kernels;
        if line.contains("EDAC ") {
            return false;
        }
        if line.contains("Machine Check") {
            if let Some(status) = behind_bank(line, " Bank ", ": ") {
                finish(check, each);
                check.status = Some(status);
                return true;
            }
        }
        let marked = line.contains(HARDWARE_ERROR);
        if let (Some(rest), true) = (after(line, "PROCESSOR "), marked || check.address.is_some()) {
            check.set_processor(first_decimal(rest), cpuid_behind(rest));
            finish(check, each);
            return marked;
        }
        let Some(address) = hexadecimal_after(line, "ADDR ") else {
            // Where a continued line was torn.
            if let (true, Some(misc)) = (marked, hexadecimal_after(line, "MISC ")) {
                check.misc = check.misc.or(Some(misc));
            }
            return false;
        };
        if !marked && !has_unmarked_check(line) {
            return false;
        }
        if check.address.is_some() {
            finish(check, each);
        }
        check.line = self.lines;
        check.address = Some(address);
        check.misc = hexadecimal_after(line, "MISC ").or(check.misc);
        check.ipid = hexadecimal_after(line, "IPID ");
        true
    }

    /// Lines of mcelog.
    fn mcelog_check(&mut self, line: &str, each: &mut impl FnMut(Reported)) -> bool {
        if line.contains(HARDWARE_ERROR) || line.contains("EDAC ") || line.contains("Machine Check")
        {
            return false;
        }
        let check = &mut self.mcelogs;
        let message = message_of(line);
        let begins = is_begin(message);
        if begins {
            finish(check, each);
        }
        let (address, misc) = (
            hexadecimal_after(line, "ADDR "),
            hexadecimal_after(line, "MISC "),
        );
        if address.is_some() && has_unmarked_check(line) {
            return false;
        }
        // Other programs print these words, too.
        self.in_mcelogs |= begins;
        let of_mcelog = self.in_mcelogs || line.len() == message.len() || line.contains("mcelog");
        let is_place = match message.split_ascii_whitespace().next() {
            Some("MISC") => misc.is_some() && (of_mcelog || address.is_some()),
            Some("ADDR") => of_mcelog,
            Some("CPU") => begins,
            _ => false,
        };
        if is_place && (address.is_some() || misc.is_some()) {
            if check.address.is_some() {
                finish(check, each);
            }
            check.misc = misc.or(check.misc);
            if let Some(address) = address {
                (check.address, check.line) = (Some(address), self.lines);
            }
            return true;
        }
        if check.address.is_none() {
            return false;
        }
        if message.starts_with("STATUS ") {
            check.status = hexadecimal_after(message, "STATUS ");
        } else if message.starts_with("MCGCAP ") {
            check.capabilities = hexadecimal_after(message, "MCGCAP ");
        } else if let Some(rest) = message.strip_prefix("PROCESSOR ") {
            check.set_processor(first_decimal(rest), cpuid_behind(rest));
        } else if let Some(vendor) = message.strip_prefix("CPUID Vendor ") {
            check.vendor = match vendor {
                _ if vendor.starts_with("AMD") => Some(2),
                _ if vendor.starts_with("Hygon") => Some(9),
                _ => check.vendor,
            };
            // In decimal, unlike elsewhere.
            let family = after(vendor, "Family ").and_then(first_decimal);
            check.is_scalable = matches!(check.vendor, Some(2 | 9)) && family >= Some(SCALABLE);
            finish(check, each);
            self.in_mcelogs = false;
        } else {
            return false;
        }
        true
    }

    /// Lines of AMD's decoder.
    fn amd_check(&mut self, line: &str, each: &mut impl FnMut(Reported)) -> bool {
        if !line.contains(HARDWARE_ERROR) {
            return false;
        }
        let check = &mut self.amds;
        // "MC4_ADDR: 0x" before it was "Error Addr: 0x".
        let address = hexadecimal_after(line, "Error Addr: 0x")
            .or_else(|| behind_bank(line, "MC", "_ADDR: 0x"));
        if let Some(address) = address {
            finish(check, each);
            (check.address, check.line) = (Some(address), self.lines);
            // Other vendors' checks do not come here.
            check.vendor = Some(2);
            check.is_scalable = self
                .amd_family
                .take()
                .is_none_or(|family| family >= SCALABLE);
            return true;
        }
        // "CPU:2 (17:31:0) MC17_STATUS[": family, model, stepping.
        let cpu = after(line, "CPU:").and_then(|cpu| cpu.split_once(" ("));
        if let (true, Some((_, cpu))) = (line.contains("_STATUS["), cpu) {
            finish(check, each);
            let family = cpu.split(':').next().and_then(hexadecimal);
            self.amd_family = family.map(|found| found.number);
            return true;
        }
        if check.address.is_none() {
            return false;
        }
        if let Some(ipid) = hexadecimal_after(line, "IPID: 0x") {
            check.ipid = Some(ipid);
            if ipid != 0 {
                finish(check, each);
            }
            return true;
        }
        if line.contains(UMC) {
            check.of_umc = true;
            finish(check, each);
            return true;
        }
        // "MC4 Error (node 0): ": only of CPUs without the scalable MCA.
        if has_numbered(line, "MC", " Error") {
            check.is_scalable = false;
            finish(check, each);
            return true;
        }
        false
    }

    /// An address whose sort another line says before.
    fn typed(&mut self, line: &str, form: &'static Form, each: &mut impl FnMut(Reported)) -> bool {
        if let Some(sort) = after(line, "address_type: ") {
            self.sort = Some(match sort {
                _ if sort.starts_with("Supervisor Physical") => Says::Physical,
                _ if sort.starts_with("Guest Physical") => Says::Refused(Why::Guest),
                _ if sort.starts_with("Virtual") => Says::Refused(Why::Virtual),
                _ => Says::Refused(Why::NoSort),
            });
            return true;
        }
        let Some(number) = message_of(line)
            .strip_prefix("address: 0x")
            .and_then(hexadecimal)
        else {
            return false;
        };
        let Some(sort) = self.sort.take() else {
            return false;
        };
        let number = number.number;
        each(Reported {
            number,
            address: PhysAddr::new(number),
            says: if number == 0 || number == u64::MAX {
                Says::Refused(Why::NotKnown)
            } else {
                sort
            },
            line: self.lines,
            form,
        });
        true
    }
}

/// What the kernel puts before each line of a hardware error (`HW_ERR`,
/// include/linux/printk.h).
const HARDWARE_ERROR: &str = "[Hardware Error]:";
/// The bank's name, in drivers/edac/mce_amd.c and rasdaemon's mce-amd-smca.c.
const UMC: &str = "Unified Memory Controller";

/// Whether an address stands in a line of the kernel's from before it marked
/// them: mcelog has no TSC there, but behind a bank.
fn has_unmarked_check(line: &str) -> bool {
    occurrences(line, "TSC ").next().is_some() && !line.contains("BANK")
}

/// Reports a check if its address is known, and begins the next.
fn finish(check: &mut Check, each: &mut impl FnMut(Reported)) {
    let next = Check::new(check.form);
    let check = std::mem::replace(check, next);
    if let Some((number, address, says)) = check.says() {
        each(Reported {
            number,
            address,
            says,
            line: check.line,
            form: check.form,
        });
    }
}

/// Where numbers begin that stand behind a text, or before the texts behind it
/// if that is empty.
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

/// Whether a number stands between these texts: `MC4 Error`.
fn has_numbered(line: &str, text: &str, behind: &str) -> bool {
    let mut rests = occurrences(line, text).map(|at| &line[at + text.len()..]);
    rests.any(|rest| {
        let after = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        after.len() < rest.len() && after.starts_with(behind)
    })
}

/// The CPUID behind a vendor: `2:830f10`, `0:0x306f2`.
fn cpuid_behind(text: &str) -> Option<u64> {
    let (_, cpuid) = text.split_once(':')?;
    hexadecimal(cpuid).map(|found| found.number)
}

/// The number behind a bank's: `Bank 7: 8c00004000010091`, `MC4_ADDR: 0x8e13f2c0`.
fn behind_bank(line: &str, text: &str, behind: &str) -> Option<u64> {
    let mut rests = line
        .match_indices(text)
        .map(|(at, _)| &line[at + text.len()..]);
    rests.find_map(|rest| {
        let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        Some(hexadecimal(rest.strip_prefix(behind)?)?.number)
    })
}

/// The message without what logs put before it: `host mcelog: `, `[ 1.5] `.
fn message_of(line: &str) -> &str {
    // journalctl -o json and json-pretty, dmesg --json, journalctl -o export.
    for field in ["\"MESSAGE\"", "\"msg\""] {
        let value = line.find(field).map(|at| &line[at + field.len()..]);
        if let Some((_, message)) = value.and_then(|value| value.split_once('"')) {
            return message.trim_start();
        }
    }
    if let Some(message) = line.strip_prefix("MESSAGE=") {
        return message.trim_start();
    }
    let message = line.rsplit_once(": ").map_or(line, |(before, message)| {
        // Fields that end in a colon belong to the message.
        match before.ends_with("address") {
            true => &line[before.len() - "address".len()..],
            false => message,
        }
    });
    let message = message.trim_start();
    // The level of a message: dmesg --raw.
    let message = match message
        .strip_prefix('<')
        .and_then(|rest| rest.split_once('>'))
    {
        Some((level, rest)) if first_decimal(level).is_some() => rest.trim_start(),
        _ => message,
    };
    match message
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("] "))
    {
        Some((_, rest)) => rest.trim_start(),
        None => message,
    }
}

/// The first line of a check of mcelog's: `CPU 2 BANK 8`, `CPU 0 4 northbridge`,
/// or `CPU 1` alone.
fn is_begin(message: &str) -> bool {
    let mut words = message.split_ascii_whitespace();
    let number =
        |word: Option<&str>| word.is_some_and(|word| word.bytes().all(|b| b.is_ascii_digit()));
    words.next() == Some("CPU")
        && number(words.next())
        && matches!(
            words.next(),
            None | Some("BANK" | "0" | "1" | "2" | "3" | "4" | "5" | "6")
        )
}

/// Words of messages about memory errors, in lower case.
const TOPICS: [&str; 23] = [
    "memory error",
    "memory failure",
    "memory corruption",
    "hardware error",
    "machine check",
    "corrected err",
    "correctable",
    "corrected memory",
    "soft offlin",
    "soft_offlin",
    "offlining page",
    "hwpoison",
    "poison",
    "mce",
    "mcelog",
    "ecc",
    "edac",
    "cper",
    "ghes",
    "dimm",
    "dram",
    "cxl",
    "rasdaemon",
];
/// Words before an address, in lower case.
const PLACES: [&str; 11] = [
    "addr",
    "address",
    "paddr",
    "pfn",
    "page",
    "frame",
    "hpa",
    "dpa",
    "spa",
    "error_address",
    "phys",
];

/// Whether a line looks like a message about a memory error with an address.
fn looks_like_one(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    let has_topic = TOPICS
        .iter()
        .any(|topic| occurrences(&line, topic).next().is_some());
    has_topic
        && PLACES.iter().any(|place| {
            occurrences(&line, place).any(|at| {
                let rest = &line[at + place.len()..];
                let rest = rest
                    .trim_start_matches(['s', ':', '=', ' ', '\t', '(', '<', '[', '"', '#', '@']);
                let rest = rest.strip_prefix("at ").unwrap_or(rest);
                let digits = rest.strip_prefix("0x").unwrap_or(rest);
                let length = digits.bytes().take_while(u8::is_ascii_hexdigit).count();
                let has_digit = digits[..length].bytes().any(|byte| byte.is_ascii_digit());
                has_digit && (length >= 4 || rest.len() > digits.len())
            })
        })
}

#[cfg(test)]
mod tests;
