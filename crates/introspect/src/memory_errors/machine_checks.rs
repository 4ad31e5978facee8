//! Reads machine checks, in one line or in several lines. What the registers mean is in
//! `check`. Performs no I/O.

use super::check::{Check, SCALABLE};
use super::forms::{Form, Record};
use super::line_text::message_of;
use super::numbers::{after, first_decimal, hexadecimal, hexadecimal_after, occurrences, Found};
use super::{MemoryErrors, Reported};

impl MemoryErrors {
    /// Reads a machine check in one line.
    pub(super) fn record(
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
        let vendor = after(line, record.vendor)
            .and_then(|rest| vendor_named(rest).or_else(|| first_decimal(rest)));
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
        // Without a name of the bank, IPID is needed.
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

    /// Reads lines of the kernel's `__print_mce`.
    pub(super) fn kernel_check(&mut self, line: &str, each: &mut impl FnMut(Reported)) -> bool {
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
            // A continued line was split.
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

    /// Reads lines of mcelog.
    pub(super) fn mcelog_check(&mut self, line: &str, each: &mut impl FnMut(Reported)) -> bool {
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
        // Other programs print these words as well.
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
            check.vendor = vendor_named(vendor).or(check.vendor);
            // Decimal, unlike elsewhere.
            let family = after(vendor, "Family ").and_then(first_decimal);
            check.is_scalable = matches!(check.vendor, Some(2 | 9)) && family >= Some(SCALABLE);
            finish(check, each);
            self.in_mcelogs = false;
        } else {
            return false;
        }
        true
    }

    /// Reads lines of AMD's decoder.
    pub(super) fn amd_check(&mut self, line: &str, each: &mut impl FnMut(Reported)) -> bool {
        if !line.contains(HARDWARE_ERROR) {
            return false;
        }
        let check = &mut self.amds;
        // Older kernels print "MC4_ADDR: 0x".
        let address = hexadecimal_after(line, "Error Addr: 0x")
            .or_else(|| behind_bank(line, "MC", "_ADDR: 0x"));
        if let Some(address) = address {
            finish(check, each);
            (check.address, check.line) = (Some(address), self.lines);
            // The decoder handles only AMD's checks.
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
        // "MC4 Error (node 0): ": only CPUs without the scalable MCA.
        if has_numbered(line, "MC", " Error") {
            check.is_scalable = false;
            finish(check, each);
            return true;
        }
        false
    }
}

/// Prefix of each line of a hardware error (`HW_ERR`, include/linux/printk.h).
const HARDWARE_ERROR: &str = "[Hardware Error]:";
/// Name of the bank in drivers/edac/mce_amd.c and rasdaemon's mce-amd-smca.c.
const UMC: &str = "Unified Memory Controller";

/// Returns whether a line is the kernel's although it has no prefix, as in old kernels:
/// mcelog prints TSC only after a bank.
fn has_unmarked_check(line: &str) -> bool {
    occurrences(line, "TSC ").next().is_some() && !line.contains("BANK")
}

/// Reports a check if its address is known, and begins the next one.
pub(super) fn finish(check: &mut Check, each: &mut impl FnMut(Reported)) {
    let next = Check::new(check.form);
    let check = std::mem::replace(check, next);
    if let Some((number, address, verdict)) = check.verdict() {
        each(Reported {
            number,
            address,
            verdict,
            line: check.line,
            form: check.form,
        });
    }
}

/// Returns the number of the vendor that a text begins with (see [`Check::vendor`]).
fn vendor_named(text: &str) -> Option<u64> {
    match text {
        _ if text.starts_with("AMD") => Some(2),
        _ if text.starts_with("Hygon") => Some(9),
        _ => None,
    }
}

/// Returns whether there is a number between these texts: `MC4 Error`.
fn has_numbered(line: &str, text: &str, behind: &str) -> bool {
    let mut rests = occurrences(line, text).map(|at| &line[at + text.len()..]);
    rests.any(|rest| {
        let after = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        after.len() < rest.len() && after.starts_with(behind)
    })
}

/// Returns the CPUID after a vendor: `2:830f10`, `0:0x306f2`.
fn cpuid_behind(text: &str) -> Option<u64> {
    let (_, cpuid) = text.split_once(':')?;
    hexadecimal(cpuid).map(|found| found.number)
}

/// Returns the number after a bank: `Bank 7: 8c00004000010091`, `MC4_ADDR: 0x8e13f2c0`.
fn behind_bank(line: &str, text: &str, behind: &str) -> Option<u64> {
    let mut rests = line
        .match_indices(text)
        .map(|(at, _)| &line[at + text.len()..]);
    rests.find_map(|rest| {
        let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        Some(hexadecimal(rest.strip_prefix(behind)?)?.number)
    })
}

/// Returns whether this is the first line of mcelog's check: `CPU 2 BANK 8`,
/// `CPU 0 4 northbridge`, or `CPU 1` alone.
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
