//! The physical addresses in messages about memory errors: the kernel's, and
//! those of rasdaemon. Pure; knows no file and no process.
//!
//! What the messages look like, as of Linux 5.10 to 6.18 and rasdaemon 0.6 to
//! 0.8:
//!
//! | message | where it is written |
//! |---|---|
//! | `mce: [Hardware Error]: TSC 0 ADDR 1234 MISC 86`, then `… PROCESSOR 0:306f2 …` | arch/x86/kernel/cpu/mce/core.c `__print_mce` |
//! | `mce: Uncorrected hardware memory error in user-access at 1234` | the same, `kill_me_maybe` |
//! | `[Hardware Error]: Error Addr: 0x0000000000001234`, then `… IPID: 0x…` | drivers/edac/mce_amd.c `amd_decode_mce` |
//! | `EDAC MC0: 1 CE … (… page:0x1 offset:0x234 grain:8 …)` | drivers/edac/edac_mc.c `edac_ce_error`, `edac_ue_error` |
//! | `physical_address: 0x0000000000001234` | drivers/firmware/efi/cper.c `cper_print_mem` |
//! | `Memory failure: 0x1: …` (a page frame) | mm/memory-failure.c |
//! | `soft_offline: 0x1: …` (a page frame) | the same |
//! | `Injecting memory failure for pfn 0x1 at process virtual address …`, `Soft offlining pfn 0x1 at …` | mm/madvise.c `madvise_inject_error` |
//! | `Injecting memory failure at pfn 0x1` | mm/hwpoison-inject.c |
//! | `mc_event: … address:0x00001234 grain:…` | include/ras/ras_event.h |
//! | `mce_record: … ADDR/MISC/SYND: 1234/86/0`, from 6.10 on `ADDR: 1234, MISC: 86, …` | include/trace/events/mce.h |
//! | `memory_failure_event: pfn 0x1: recovery action …` | include/ras/ras_event.h |
//! | `mc_event: … address: 0x00001234 grain: …` | rasdaemon's ras-mc-handler.c |
//! | `mce_record: … misc= 86, addr= 1234, …` | rasdaemon's ras-mce-handler.c |
//! | `memory_failure_event: … pfn=0x1 page_type=…` | rasdaemon's ras-memory-failure-handler.c |

use process_introspection_core::{PageSize, Pfn, PhysAddr};

/// What a message says of an address.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reported {
    /// That it is physical.
    Physical(PhysAddr),
    /// Not what sort of address it is. It is physical unless the machine check
    /// is not of memory.
    Presumed(PhysAddr),
    /// That this number is no physical address of the system's.
    Not(u64, NotPhysical),
}

impl Reported {
    /// The physical address; `None` if it is none.
    pub const fn address(self) -> Option<PhysAddr> {
        match self {
            Self::Physical(address) | Self::Presumed(address) => Some(address),
            Self::Not(..) => None,
        }
    }
}

/// Why the address of a machine check is no physical one.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NotPhysical {
    /// It is linear, an offset in a segment, or of another sort: bits 6 to 8 of
    /// MISC (Intel's manual, volume 3, "IA32_MCi_MISC MSRs").
    OtherMode,
    /// It is a memory controller's own (AMD since family 17h: a normalized one).
    /// The message of EDAC that follows has the system's.
    Normalized,
}

impl NotPhysical {
    /// In words.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::OtherMode => "by its MISC it is no physical address",
            Self::Normalized => {
                "it is the memory controller's own; EDAC's message has the system's"
            }
        }
    }
}

/// An address of a machine check, before it is known what sort it is.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Default)]
struct Check {
    address: u64,
    misc: Option<u64>,
    ipid: Option<u64>,
    /// As in `PROCESSOR`: 0 is Intel, 2 AMD, 9 Hygon (arch/x86/include/asm/processor.h).
    vendor: Option<u64>,
}

impl Check {
    fn reported(self) -> Reported {
        // The physical address has at most 52 bits on x86; above can stand the
        // number of a memory encryption key (MCI_ADDR_PHYSADDR).
        let address = PhysAddr::new(self.address & ((1 << 52) - 1));
        // Bits 32 to 43 are the sort of hardware: 0x96 is a memory controller
        // (drivers/edac/mce_amd.c, arch/x86/kernel/cpu/mce/amd.c).
        let normalized = |ipid: u64| ipid >> 32 & 0xfff == 0x96;
        if self.ipid.is_some_and(|ipid| ipid != 0) {
            return match self.ipid.is_some_and(normalized) {
                true => Reported::Not(self.address, NotPhysical::Normalized),
                false => Reported::Presumed(address),
            };
        }
        // AMD has other things in MISC.
        let is_amd = matches!(self.vendor, Some(2 | 9));
        match self.misc {
            Some(misc) if !is_amd && misc != 0 => match misc >> 6 & 7 {
                2 => Reported::Physical(address),
                _ => Reported::Not(self.address, NotPhysical::OtherMode),
            },
            _ => Reported::Presumed(address),
        }
    }
}

/// Reads messages line by line. A line can need the next to be understood.
#[derive(Clone, Debug)]
pub struct MemoryErrors {
    page: PageSize,
    /// A machine check whose next lines say more.
    check: Option<Check>,
}

impl MemoryErrors {
    /// For messages of a machine with base pages of this size.
    ///
    /// ```
    /// use process_introspection::{MemoryErrors, PageSize, PhysAddr, Reported};
    ///
    /// let mut errors = MemoryErrors::new(PageSize::SIZE_4K);
    /// let mut found = Vec::new();
    /// errors.line(b"Memory failure: 0x8e13f: recovery action for clean LRU page: Recovered", |r| {
    ///     found.push(r)
    /// });
    /// errors.end(|reported| found.push(reported));
    /// assert_eq!(found, [Reported::Physical(PhysAddr::new(0x8e13f000))]);
    /// ```
    pub fn new(page: PageSize) -> Self {
        Self { page, check: None }
    }

    /// Reads a line, of any bytes; `each` gets the addresses that are then
    /// known.
    pub fn line(&mut self, line: &[u8], mut each: impl FnMut(Reported)) {
        let line = String::from_utf8_lossy(line);
        let line = &*line;
        if line.contains("[Hardware Error]:") {
            self.hardware_error(line, &mut each);
        } else if let Some(check) = recorded(line) {
            each(check.reported());
        }
        if let Some(address) = hex_after(line, "memory error in user-access at ") {
            each(Reported::Physical(PhysAddr::new(address)));
        }
        let frame = FRAMES.iter().find_map(|(before, behind)| {
            let rest = after(line, before)?;
            let (digits, rest) = hexadecimal(rest)?;
            rest.starts_with(behind).then_some(digits)
        });
        if let Some(reported) = frame.and_then(|frame| self.frame(frame, 0)) {
            each(reported);
        }
        if let Some(page) = hex_after(line, " page:0x").or(hex_after(line, "(page:0x")) {
            // A driver that does not know says 0 and 0.
            let offset = hex_after(line, " offset:0x");
            let offset = offset.filter(|&offset| page != 0 || offset != 0);
            if let Some(reported) = offset.and_then(|offset| self.frame(page, offset)) {
                each(reported);
            }
        }
        let of_memory = line.contains(" grain:") && !line.contains("page:0x");
        let stated = hex_after(line, "physical_address: 0x").or_else(|| {
            let address = hex_after(line, " address:0x").or(hex_after(line, " address: 0x"));
            address.filter(|_| of_memory)
        });
        if let Some(address) = stated {
            if address != 0 {
                each(Reported::Physical(PhysAddr::new(address)));
            }
        }
    }

    /// There are no more lines.
    pub fn end(&mut self, mut each: impl FnMut(Reported)) {
        if let Some(check) = self.check.take() {
            each(check.reported());
        }
    }

    /// A line of a machine check that consists of several.
    fn hardware_error(&mut self, line: &str, each: &mut impl FnMut(Reported)) {
        let address = hex_after(line, " ADDR ").or(hex_after(line, "Error Addr: 0x"));
        if let Some(address) = address {
            // What was before has no more lines.
            self.end(&mut *each);
            self.check = Some(Check {
                address,
                misc: hex_after(line, " MISC "),
                ipid: hex_after(line, " IPID "),
                vendor: None,
            });
            return;
        }
        let Some(check) = &mut self.check else { return };
        if let Some(ipid) = hex_after(line, "IPID: 0x") {
            check.ipid = Some(ipid);
        } else if let Some(vendor) = hex_after(line, "PROCESSOR ") {
            check.vendor = Some(vendor);
        } else {
            return;
        }
        self.end(each);
    }

    /// `None` if there can be no such place.
    fn frame(&self, frame: u64, offset: u64) -> Option<Reported> {
        let shift = self.page.shift();
        let fits = frame >> (64 - shift) == 0 && offset >> shift == 0;
        let address = Pfn::new(frame).address(self.page).as_u64() | offset;
        fits.then_some(Reported::Physical(PhysAddr::new(address)))
    }
}

/// What stands before the number of a page frame, and behind it.
const FRAMES: [(&str, &str); 8] = [
    ("Memory failure: 0x", ""),
    ("soft_offline: 0x", ""),
    ("soft offline: 0x", ""),
    ("Soft offlining pfn 0x", " at "),
    ("Injecting memory failure for pfn 0x", ""),
    ("Injecting memory failure at pfn 0x", ""),
    ("pfn 0x", ": recovery action"),
    ("pfn=0x", " page_type="),
];

/// A machine check that stands in one line: of the tracepoint, or rasdaemon's.
fn recorded(line: &str) -> Option<Check> {
    let vendor = hex_after(line, "PROCESSOR: ").or(hex_after(line, "vendor: "));
    let ipid = hex_after(line, "IPID: ");
    let check = if let Some(rest) = after(line, "ADDR/MISC/SYND: ") {
        let (address, rest) = hexadecimal(rest)?;
        let misc = rest.strip_prefix('/').and_then(hexadecimal);
        Check {
            address,
            misc: misc.map(|(misc, _)| misc),
            ipid,
            vendor,
        }
    } else if let (Some(address), true) = (hex_after(line, ", ADDR: "), line.contains(", MC")) {
        let misc = hex_after(line, ", MISC: ");
        Check {
            address,
            misc,
            ipid,
            vendor,
        }
    } else {
        let address = hex_after(line, ", addr= ")?;
        let misc = hex_after(line, ", misc= ");
        Check {
            address,
            misc,
            ipid: hex_after(line, ", ipid= "),
            vendor,
        }
    };
    // The tracepoint has 0 where there is no address.
    (check.address != 0).then_some(check)
}

/// What follows a text.
fn after<'a>(line: &'a str, text: &str) -> Option<&'a str> {
    line.find(text).map(|at| &line[at + text.len()..])
}

/// The number in hexadecimal that follows a text.
fn hex_after(line: &str, text: &str) -> Option<u64> {
    hexadecimal(after(line, text)?).map(|(number, _)| number)
}

/// A number in hexadecimal, and what follows it, which is no part of a word.
fn hexadecimal(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_hexdigit());
    let (digits, rest) = text.split_at(end.unwrap_or(text.len()));
    let ends = !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
    let number = u64::from_str_radix(digits, 16).ok();
    number.filter(|_| ends).map(|number| (number, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Reported::{Not, Physical, Presumed};

    fn read(text: &str) -> Vec<Reported> {
        let mut errors = MemoryErrors::new(PageSize::SIZE_4K);
        let mut found = Vec::new();
        for line in text.lines() {
            errors.line(line.as_bytes(), |reported| found.push(reported));
        }
        errors.end(|reported| found.push(reported));
        found
    }

    fn physical(address: u64) -> Reported {
        Physical(PhysAddr::new(address))
    }

    fn presumed(address: u64) -> Reported {
        Presumed(PhysAddr::new(address))
    }

    #[test]
    fn a_machine_check_of_intels_says_by_misc_whether_its_address_is_physical() {
        let check = |rest: &str, vendor: &str| {
            read(&format!(
                "[  71.1] mce: [Hardware Error]: Machine check events logged\n\
                 [  71.2] mce: [Hardware Error]: CPU 1: Machine Check: 0 Bank 7: 8c00004000010091\n\
                 [  71.3] mce: [Hardware Error]: TSC 1a4b2c{rest} \n\
                 [  71.4] mce: [Hardware Error]: PROCESSOR {vendor}:306f2 TIME 1700000000 SOCKET 0 APIC 2 microcode 49\n"
            ))
        };
        let is = |rest, vendor, expected| assert_eq!(check(rest, vendor), [expected], "{rest}");
        is(
            " ADDR 3fd7c8ac40 MISC 140141486",
            "0",
            physical(0x3fd7c8ac40),
        );
        is(" ADDR 1234567880 MISC 8c", "0", physical(0x1234567880));
        is(
            " ADDR ffffffff81000000 MISC 4c",
            "0",
            Not(0xffffffff81000000, NotPhysical::OtherMode),
        );
        is(" ADDR 1234567880", "0", presumed(0x1234567880));
        // A key of memory encryption above the address.
        is(" ADDR 30001234567880 MISC 8c", "0", physical(0x1234567880));
        // AMD's MISC has nothing to say of it, its IPID has.
        is(
            " ADDR 1234567880 MISC d01a0ffe00000000",
            "2",
            presumed(0x1234567880),
        );
        let controller = " ADDR 3d4bc0 SYND 4d00 IPID 9600050f00 ";
        is(controller, "2", Not(0x3d4bc0, NotPhysical::Normalized));
        assert_eq!(check("", "0"), []);
    }

    #[test]
    fn amds_own_messages_are_read_to_the_line_that_says_whose_address_it_is() {
        let text = "\
[Hardware Error]: Corrected error, no action required.
[Hardware Error]: CPU:2 (17:31:0) MC17_STATUS[Over|CE|MiscV|AddrV|-|-|SyndV|CECC|-|-|-]: 0xdc2040000000011b
[Hardware Error]: Error Addr: 0x00000003d4bc0a40
[Hardware Error]: IPID: 0x0000009600150f00, Syndrome: 0x4d0000000a800102
[Hardware Error]: Unified Memory Controller Ext. Error Code: 0, DRAM ECC error.
EDAC MC0: 1 CE on mc#0csrow#1channel#1 (csrow:1 channel:1 page:0xf97141 offset:0xa40 grain:64 syndrome:0xa)
[Hardware Error]: cache level: L3/GEN, tx: GEN, mem-tx: RD";
        assert_eq!(
            read(text),
            [
                Not(0x3d4bc0a40, NotPhysical::Normalized),
                physical(0xf97141a40)
            ]
        );
        // Before family 17h there is no IPID.
        let old = "[Hardware Error]: Error Addr: 0x00000001c2d93ff0\n\
                   [Hardware Error]: MC4 Error (node 0): DRAM ECC error detected on the NB.";
        assert_eq!(read(old), [presumed(0x1c2d93ff0)]);
    }

    #[test]
    fn edac_gives_a_page_and_an_offset() {
        let line = "EDAC MC1: 1 CE memory read error on CPU_SrcID#1_Ha#0_Chan#1_DIMM#0 (channel:1 slot:0 \
                    page:0x3fd7c8a offset:0xc40 grain:32 syndrome:0x0 -  area:DRAM err_code:0001:0091)";
        assert_eq!(read(line), [physical(0x3fd7c8ac40)]);
        let line = "EDAC MC0: 1 UE on unknown memory (csrow:0 page:0x0 offset:0x0 grain:0)";
        assert_eq!(read(line), []);
    }

    #[test]
    fn memory_failure_gives_page_frames() {
        for line in [
            "Memory failure: 0x8e13f: recovery action for clean LRU page: Recovered",
            "[ 1190.6] Memory failure: 0x8e13f: Killing dax-pmd:5421 due to hardware memory corruption",
            "Injecting memory failure for pfn 0x8e13f at process virtual address 0x20ffd000",
            "Injecting memory failure at pfn 0x8e13f",
            "Soft offlining pfn 0x8e13f at process virtual address 0x3fff88410000",
            "soft_offline: 0x8e13f: invalidated",
            "Memory failure: soft_offline: 0x8e13f: unknown page type: 0x0",
            "kworker-77 [1] .... 12.5: memory_failure_event: pfn 0x8e13f: recovery action for dirty LRU page: Recovered",
            "rasdaemon: memory_failure_event: 2024-01-02 03:04:05 +0000 pfn=0x8e13f page_type=dirty LRU page action_result=Recovered",
        ] {
            assert_eq!(read(line), [physical(0x8e13f000)], "{line}");
        }
        for line in [
            "mce: Memory error not recovered",
            "page: refcount:1 mapcount:0 mapping:0000000000000000 index:0x1 pfn:0x8e13f",
            "Memory failure: 0xfffffffffffffffff: nonsense",
        ] {
            assert_eq!(read(line), [], "{line}");
        }
    }

    #[test]
    fn tracepoints_and_rasdaemon_give_addresses() {
        for line in [
            "mc_event: 1 Corrected error: memory read error on DIMM_A1 (mc:0 location:1:0:-1 address:0x12345678c0 grain:32 syndrome:0x00000000 area:DRAM)",
            "rasdaemon: mc_event store: 1 Corrected error: memory read error on DIMM_A1 mc: 0 location: 1:0 address: 0x12345678c0 grain: 5 area:DRAM)",
            "{1}[Hardware Error]:   physical_address: 0x00000012345678c0",
            "mce: Uncorrected hardware memory error in user-access at 12345678c0",
            "mce_record: CPU: 1, MCGc/s: f000c14/0, MC7: 8c00004000010091, IPID: 0000000000000000, ADDR/MISC/SYND: 00000012345678c0/000000000000008c/0000000000000000, RIP: 00:<0000000000000000>, TSC: 1, PROCESSOR: 0:306f2, TIME: 1, SOCKET: 0, APIC: 2",
            "mce_record: CPU: 1, MCGc/s: f000c14/0, MC7: 8c00004000010091, IPID: 0000000000000000, ADDR: 00000012345678c0, MISC: 000000000000008c, SYND: 0000000000000000, RIP: 00:<0000000000000000>, TSC: 1, PPIN: 0, vendor: 0, CPUID: 306f2, time: 1, socket: 0, APIC: 2, microcode: 1",
            "mce_record: 2024-01-02 03:04:05 +0000 bank=7, status= 8c00004000010091, MEMORY CONTROLLER RD_CHANNEL1_ERR, mci=Corrected_error, mca=x, cpu_type= Intel Xeon v3, cpu= 1, socketid= 0, misc= 8c, addr= 12345678c0, mcgstatus= 0, mcgcap= f000c14, apicid= 2",
        ] {
            assert_eq!(read(line), [physical(0x12345678c0)], "{line}");
        }
        for line in [
            "{1}[Hardware Error]:   physical_address_mask: 0x00003fffffffffff",
            "mce_record: CPU: 1, MCGc/s: f000c14/0, MC7: 8, IPID: 0, ADDR/MISC/SYND: 0/0/0, RIP: 00:<0>",
            "sr 1:0:0:0: address: 0x12345678c0 of something",
        ] {
            assert_eq!(read(line), [], "{line}");
        }
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let pieces: [&[u8]; 14] = [
            b"[Hardware Error]:",
            b" ADDR ",
            b" MISC ",
            b"Error Addr: 0x",
            b"IPID: 0x",
            b"PROCESSOR ",
            b"ffffffffffffffff",
            b"0",
            b" page:0x",
            b" offset:0x",
            b" grain:",
            b"Memory failure: 0x",
            b"ADDR/MISC/SYND: ",
            b"\xff\xc3/",
        ];
        let mut errors = MemoryErrors::new(PageSize::SIZE_4K);
        // A simple generator, so that the lines are the same each time.
        let mut seed = 1u64;
        for _ in 0..20_000 {
            let mut line = Vec::new();
            for _ in 0..6 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                line.extend_from_slice(pieces[(seed >> 33) as usize % pieces.len()]);
            }
            errors.line(&line, |_| ());
        }
        errors.end(|_| ());
    }
}
