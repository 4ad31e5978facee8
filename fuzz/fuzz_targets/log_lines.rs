//! Addresses from logs, two tests. Messages in the formats of the kernel, rasdaemon,
//! `ras-mc-ctl` and mcelog must result in the numbers they were made of, by an
//! independent reading of their fields. Any other text must not result in a number
//! that it does not contain, and lines about something else between its lines must
//! change nothing.
#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use process_introspection::PageSize;

// The parser belongs to the command, which is not a library.
#[path = "../../crates/introspect/src/memory_errors/mod.rs"]
#[allow(dead_code)]
mod memory_errors;

use memory_errors::{Line, MemoryErrors, Reason, Reported, Verdict};

/// Expected result: the address, or the number if it is refused.
type Given = (u64, Verdict);

/// Fields of a machine check.
#[derive(Arbitrary, Copy, Clone, Debug)]
struct Check {
    address: u64,
    misc: u64,
    ipid: u64,
    status: u64,
    /// Selects the numbers that are not adjusted.
    sort: u8,
}

#[derive(Arbitrary, Copy, Clone, Debug)]
enum Message {
    /// A page frame, and its form.
    Frame {
        frame: u64,
        form: u8,
    },
    /// A page frame and an offset, and their form.
    Edac {
        page: u64,
        offset: u64,
        form: u8,
    },
    /// An address, and its form.
    Address {
        address: u64,
        form: u8,
    },
    /// A number that is not a physical address, and its form.
    Refused {
        number: u64,
        form: u8,
    },
    /// Host and device address.
    Cxl {
        host: u64,
        alias: u64,
        device: u64,
        form: u8,
    },
    /// Three lines of the kernel, and their fields.
    Check {
        check: Check,
        has_misc: bool,
        has_ipid: bool,
    },
    /// AMD's own lines.
    Amd {
        check: Check,
        has_ipid: bool,
    },
    /// Lines of mcelog, and their form.
    Mcelog {
        check: Check,
        form: u8,
    },
    /// One line, of four forms.
    Record {
        check: Check,
        sort: u8,
    },
    /// Two lines of rasdaemon for RISC-V.
    Typed {
        address: u64,
        sort: u8,
    },
    Other {
        which: u8,
    },
}

const OTHERS: [&str; 4] = [
    "systemd[1]: Started Session 5 of User root.",
    "page: refcount:1 mapcount:0 mapping:0000000000000000 index:0x1 pfn:0x8e13f",
    "mce: CPU0: Thermal monitoring enabled (TM1)",
    "",
];

/// Prefixes of messages, in several sorts of logs.
const BEFORE: [&str; 5] = [
    "",
    "[ 1190.612345] ",
    "Jan  5 10:00:00 host kernel: [   71.3] ",
    "2024-01-02T03:04:05.678901+00:00 db-7 kernel: ",
    "Jan 05 10:00:00 host mcelog[812]: ",
];

/// Returns the address of a frame.
fn of_frame(frame: u64, offset: u64, page: PageSize) -> Option<u64> {
    let address = u128::from(frame) * u128::from(page.bytes()) + u128::from(offset);
    (offset < page.bytes() && address >> 64 == 0).then_some(address as u64)
}

/// Returns the address, or nothing for 0 and all ones.
fn known(address: u64, verdict: Verdict) -> Given {
    match address {
        0 | u64::MAX => (address, Verdict::Refused(Reason::NotKnown)),
        _ => (address, verdict),
    }
}

/// The lower 52 bits of an address register.
fn register(address: u64) -> Given {
    match known(address, Verdict::Physical) {
        (_, Verdict::Physical) => (address % (1 << 52), Verdict::Physical),
        given => given,
    }
}

impl Check {
    /// None, one of a memory controller, or any.
    fn ipid(&self) -> u64 {
        match self.sort % 4 {
            0 | 1 => 0,
            2 => 0x96_0000_0000 | (self.ipid & 0xffff_f000_ffff_ffff),
            _ => self.ipid,
        }
    }

    /// Intel, AMD, Hygon, or any.
    fn vendor(&self) -> u8 {
        [0, 2, 9, self.sort][usize::from(self.sort / 4 % 4)]
    }

    /// Family 6 or AMD's 17h.
    fn cpuid(&self) -> u32 {
        [0x306f2, 0x830f10][(self.ipid % 2) as usize]
    }

    /// Hygon's CPUs and AMD's family 17h have IPIDs.
    fn needs_ipid(&self) -> bool {
        self.vendor() == 9 || (self.vendor() == 2 && self.cpuid() == 0x830f10)
    }

    /// Valid and of a memory controller, valid, or any.
    fn status(&self) -> u64 {
        match self.sort / 16 % 4 {
            0 => 0x8c00_0040_0001_0091,
            1 | 2 => self.status | 0x0c00_0000_0000_0000,
            _ => self.status,
        }
    }

    /// With Intel's address modes, without them, or any.
    fn capabilities(&self) -> u64 {
        [0x100_0c14, 0x1c09, self.status, 0x100_0c14][usize::from(self.sort / 64)]
    }

    /// Returns whether the address is physical, by the manuals. `None` stands for a
    /// field that the message does not have.
    fn means(
        &self,
        misc: u64,
        ipid: u64,
        (vendor, needs_ipid): (u8, bool),
        status: Option<u64>,
        cap: Option<u64>,
    ) -> Given {
        let bit = |number: u64, at: u32| number / 2u64.pow(at) % 2 == 1;
        let refused = |why| (self.address, Verdict::Refused(why));
        let physical = (self.address % (1 << 52), Verdict::Physical);
        let presumed = (self.address % (1 << 52), Verdict::Presumed);
        if self.address == 0 || self.address == u64::MAX {
            return refused(Reason::NotKnown);
        }
        if status.is_some_and(|status| !bit(status, 58)) {
            return refused(Reason::NotValid);
        }
        if ipid != 0 {
            return match (ipid / (1 << 32)) % (1 << 12) {
                0x96 => refused(Reason::Normalized),
                _ => presumed,
            };
        }
        if needs_ipid {
            return refused(Reason::NoType);
        }
        if vendor == 2 || vendor == 9 {
            return presumed;
        }
        let misc_holds = misc != 0 && status.is_none_or(|status| bit(status, 59));
        let mode = (misc / 64) % 8;
        match (misc_holds, cap.map(|cap| bit(cap, 24))) {
            (false, _) | (_, Some(false)) => {}
            (true, _) if mode == 2 => return physical,
            (true, None) if mode == 0 => {}
            _ => return refused(Reason::OtherMode),
        }
        // Bits 7 to 15 without 12: only bit 7.
        let code = status.unwrap_or(0) % (1 << 16);
        match code - code % 128 - if bit(code, 12) { 1 << 12 } else { 0 } {
            128 => physical,
            _ => presumed,
        }
    }
}

impl Message {
    /// Returns its lines, and the expected results.
    fn written(self, page: PageSize) -> (Vec<String>, Vec<Given>) {
        match self {
            Self::Frame { frame, form } => {
                let line = match form % 16 {
                    0 => format!("Memory failure: {frame:#x}: recovery action for clean LRU page: Recovered"),
                    1 => format!("Memory failure: {frame:#x}: Killing dax-pmd:5421 due to hardware memory corruption"),
                    2 => format!("soft_offline: {frame:#x}: invalidated"),
                    3 => format!("Soft offlining pfn {frame:#x} at process virtual address 0x3fff88410000"),
                    4 => format!("Injecting memory failure for pfn {frame:#x} at process virtual address 0x20ffd000"),
                    5 => format!("kworker-77 [1] .... 12.5: memory_failure_event: pfn {frame:#x}: recovery action for dirty LRU page: Recovered"),
                    6 => format!("rasdaemon: memory_failure_event: 2024-01-02 03:04:05 +0000 pfn={frame:#x} page_type=dirty LRU page action_result=Recovered"),
                    7 => format!("MCE {frame:#x}: recovery action for dirty LRU page: Recovered"),
                    8 => format!("Soft offline: {frame:#x}: page already poisoned"),
                    9 => format!("Memory failure: buffer overflow when queuing memory failure at {frame:#x}"),
                    10 => format!("Injecting memory failure at pfn {frame:#x}"),
                    11 => format!("RAS: Soft-offlining pfn: {frame:#x}"),
                    12 => format!("4 2024-01-02 03:04:05 +0000 error: pfn={frame:#x}, page_type=dirty LRU page, action_result=Recovered"),
                    13 => format!("EDAC FSL_DDR MC0: PFN: {frame:#010x}"),
                    14 => format!("EDAC e752x MC0: CE page {frame:#x}, row 1 : Memory read retry"),
                    _ => format!("Unpoison: {frame:#x}: software-unpoisoned page"),
                };
                let given = match of_frame(frame, 0, page) {
                    Some(address) => (address, Verdict::Physical),
                    None => (frame, Verdict::Refused(Reason::Impossible)),
                };
                (vec![line], vec![given])
            }
            Self::Edac {
                page: at,
                offset,
                form,
            } => {
                let line = match form % 3 {
                    0 => format!(
                        "EDAC MC1: 1 CE memory read error on CPU_SrcID#1_Ha#0_Chan#1_DIMM#0 (channel:1 slot:0 \
                         page:{at:#x} offset:{offset:#x} grain:32 syndrome:0x0 -  area:DRAM err_code:0001:0091)"
                    ),
                    1 => format!("EDAC MC0: UE page {at:#x}, offset {offset:#x}, grain 8, row 1, labels \"\": e7xxx_edac"),
                    _ => format!("Kernel panic - not syncing: UE on mc#0csrow#1 (csrow:1 page:{at:#x} offset:{offset:#x} grain:8)"),
                };
                let given = match of_frame(at, offset, page) {
                    // A driver without the information prints 0 and 0.
                    Some(0) => (0, Verdict::Refused(Reason::NotKnown)),
                    Some(address) => (address, Verdict::Physical),
                    None => (at, Verdict::Refused(Reason::Impossible)),
                };
                (vec![line], vec![given])
            }
            Self::Address { address, form } => {
                let line = match form % 18 {
                    0 => format!("{{1}}[Hardware Error]:   physical_address: {address:#018x}"),
                    1 => format!("mc_event: 1 Corrected error: memory read error on DIMM_A1 (mc:0 location:1:0:-1 address:{address:#010x} grain:32 syndrome:0x00000000 area:DRAM)"),
                    2 => format!("rasdaemon: mc_event: 1 Corrected error: memory read error on DIMM_A1 (mc: 0 location: 1:0 address: {address:#010x} grain: 5 area:DRAM)"),
                    3 => format!("7 2024-01-02 03:04:05 +0000 1 Corrected error(s): read error at DIMM mc: 0 location: 3:1:0:-1, addr {address}, grain 5, syndrome 0 "),
                    4 => format!("{{3}}[Hardware Error]:    physical fault address: {address:#018x}"),
                    5 => format!("extlog_mem_event: {{1}} corrected error: single-bit ECC physical addr: {address:016x} (mask lsb: 6) FRU: 0 DIMM"),
                    6 => format!("rasdaemon: extlog_mem_event: 1 corrected error: single-bit ECC physical addr: {address:#x} mask: 0x3f DIMM"),
                    7 => format!("1 2024-01-02 03:04:05 +0000 error: type=single-bit ECC, severity=corrected, address={address:#010x}, fru_id=0, fru_text='', "),
                    8 => format!("rasdaemon: Corrected Errors at {address:#x} exceeded threshold"),
                    9 => format!("rasdaemon: Result of offlining page at {address:#x}: offlined"),
                    10 => format!("EDAC FSL_DDR MC0: Err addr: {address:#010x}"),
                    11 => format!("EDAC sbridge MC0: ADDR {address:x} "),
                    12 => format!("EDAC skx MC0: ADDR {address:#x} "),
                    13 => format!("mce: Uncorrected hardware memory error in user-access at {address:x}"),
                    14 => format!("MCE: CPU3: machine check (Severe)  UE Load/Store paddr: {address:016x} [Recovered]"),
                    15 => format!("mcelog: pre soft trigger run for page {address}"),
                    16 => format!("mcelog: Offlining page {address:016x}"),
                    _ => format!("uncorrectable memory error at physical address {address:#x}"),
                };
                let given = match form % 18 {
                    10..=13 => register(address),
                    _ => known(address, Verdict::Physical),
                };
                (vec![line], vec![given])
            }
            Self::Refused { number, form } => {
                let (line, why) = match form % 7 {
                    0 => (format!("{{3}}[Hardware Error]:    virtual fault address: {number:#018x}"), Reason::Virtual),
                    1 => (format!("MCE: Killing db:5421 due to hardware memory corruption fault at {number:#x}"), Reason::Virtual),
                    2 => (format!("Invalid address {number:#x} in IA32_MC7_ADDR"), Reason::CalledInvalid),
                    3 => (format!("{{1}}[Hardware Error]:   target_address: {number:#018x}"), Reason::NoType),
                    4 => (format!("EDAC MC0: 1 CE Can't discover the memory rank for ch addr {number:#010x} on any memory"), Reason::Controller),
                    5 => (format!("ERR_ADDR={number:#x}"), Reason::NoType),
                    _ => (format!("MCE: CPU3: machine check (Severe)  UE Load/Store DAR: {number:016x} [Recovered]"), Reason::Virtual),
                };
                (vec![line], vec![known(number, Verdict::Refused(why))])
            }
            Self::Cxl {
                host,
                alias,
                device,
                form,
            } => {
                let line = match form % 3 {
                    0 => format!("cxl_poison: memdev=mem1 host=0000:0d:00.0 serial=3 region=region0 hpa={host:#x} hpa_alias0={alias:#x} dpa={device:#x} dpa_length=0x40"),
                    1 => format!("rasdaemon: cxl_dram: memdev:mem1 dpa:{device:#x} dpa_flags: hpa:{host:#x} hpa_alias0:{alias:#x} region:region0 "),
                    _ => format!("1 2024-01-02 03:04:05 +0000 error: memdev=mem1, hpa={host:#x}, dpa={device:#x}, dpa_length=0x40, hpa_alias0={alias:#x}, "),
                };
                let given = vec![
                    known(host, Verdict::Physical),
                    known(alias, Verdict::Physical),
                    known(device, Verdict::Refused(Reason::Device)),
                ];
                (vec![line], given)
            }
            Self::Check {
                check,
                has_misc,
                has_ipid,
            } => {
                let Check { address, misc, .. } = check;
                let (vendor, ipid, status) = (check.vendor(), check.ipid(), check.status());
                let cpuid = check.cpuid();
                let mut tsc = format!("mce: [Hardware Error]: TSC 1a4b2c ADDR {address:x} ");
                if has_misc {
                    tsc += &format!("MISC {misc:x} ");
                }
                if has_ipid {
                    tsc += &format!("SYND 4d00 IPID {ipid:x} ");
                }
                let lines = vec![
                    format!("mce: [Hardware Error]: CPU 1: Machine Check: 0 Bank 7: {status:016x}"),
                    tsc,
                    format!("mce: [Hardware Error]: PROCESSOR {vendor}:{cpuid:x} TIME 1700000000 SOCKET 0 APIC 2 microcode 49"),
                ];
                let misc = if has_misc { misc } else { 0 };
                let ipid = if has_ipid { ipid } else { 0 };
                (
                    lines,
                    vec![check.means(misc, ipid, (vendor, check.needs_ipid()), Some(status), None)],
                )
            }
            Self::Amd { check, has_ipid } => {
                let (address, ipid) = (check.address, check.ipid());
                let family = [0x17, 0x10, 0x19, 0x10][(check.misc % 4) as usize];
                let mut lines = vec![
                    format!("[Hardware Error]: CPU:2 ({family:x}:31:0) MC17_STATUS[Over|CE|MiscV|AddrV|-|-|SyndV|CECC|-|-|-]: 0xdc2040000000011b"),
                    format!("[Hardware Error]: Error Addr: {address:#018x}"),
                ];
                if has_ipid {
                    lines.push(format!(
                        "[Hardware Error]: IPID: {ipid:#018x}, Syndrome: 0x4d0000000a800102"
                    ));
                }
                lines.push("[Hardware Error]: cache level: L3/GEN, tx: GEN, mem-tx: RD".to_owned());
                let ipid = if has_ipid { ipid } else { 0 };
                (
                    lines,
                    vec![check.means(0, ipid, (2, family != 0x10), None, None)],
                )
            }
            Self::Mcelog { check, form } => {
                let Check { address, misc, .. } = check;
                let (status, cap) = (check.status(), check.capabilities());
                let amd = form / 3 % 2 == 1;
                let vendor = if amd { "AMD" } else { "Intel" };
                let lines = match form % 3 {
                    0 => vec![
                        "CPU 2 BANK 8 TSC 1a4b2c ".to_owned(),
                        format!("MISC {misc:x} ADDR {address:x} "),
                        "TIME 1700000000 Tue Nov 14 22:13:20 2023".to_owned(),
                        format!("STATUS {status:x} MCGSTATUS 0"),
                        format!("MCGCAP {cap:x} APICID 4 SOCKETID 0 "),
                        format!("CPUID Vendor {vendor} Family 6 Model 26 Step 5"),
                    ],
                    1 => vec![
                        format!("CPU 2 BANK 8 TSC 1a4b2c MISC {misc:x} ADDR {address:x} "),
                        format!("STATUS {status:x} MCGSTATUS 0"),
                    ],
                    _ => vec![
                        "CPU 1".to_owned(),
                        "BANK 7".to_owned(),
                        "TSC 0x1a4b2c".to_owned(),
                        format!("MISC {misc:#x}"),
                        format!("ADDR {address:#x}"),
                        format!("STATUS {status:#x}"),
                        format!("PROCESSOR {}:0x306f2", if amd { 2 } else { 0 }),
                        format!("MCGCAP {cap:#x}"),
                    ],
                };
                let (cap, says_vendor) = (Some(cap).filter(|_| form % 3 != 1), form % 3 != 1);
                let vendor = if amd && says_vendor { 2 } else { 0 };
                (
                    lines,
                    vec![check.means(misc, 0, (vendor, false), Some(status), cap)],
                )
            }
            Self::Record { check, sort } => {
                let Check { address, misc, .. } = check;
                let (vendor, ipid, status, cap) = (
                    check.vendor(),
                    check.ipid(),
                    check.status(),
                    check.capabilities(),
                );
                let cpuid = check.cpuid();
                // The other two name the bank.
                let needs_ipid = check.needs_ipid() && sort % 4 < 2;
                let begins = format!("mce_record: CPU: 1, MCGc/s: {cap:x}/0, MC7: {status:016x}");
                let (line, ipid, vendor) = match sort % 4 {
                    0 => (format!("{begins}, IPID: {ipid:016x}, ADDR/MISC/SYND: {address:016x}/{misc:016x}/0000000000000000, RIP: 00:<0000000000000000>, TSC: 1, PROCESSOR: {vendor}:{cpuid:x}, TIME: 1, SOCKET: 0, APIC: 2"), ipid, vendor),
                    1 => (format!("{begins}, IPID: {ipid:016x}, ADDR: {address:016x}, MISC: {misc:016x}, SYND: 0000000000000000, RIP: 00:<0000000000000000>, TSC: 1, PPIN: 0, vendor: {vendor}, CPUID: {cpuid:x}, time: 1, socket: 0, APIC: 2, microcode: 1"), ipid, vendor),
                    2 => (format!("mce_record: 2024-01-02 03:04:05 +0000 bank=7, status= {status:x}, MEMORY CONTROLLER RD_CHANNEL1_ERR, mci=Corrected_error, mca=x, cpu_type= Intel Xeon v3, cpu= 1, socketid= 0, misc= {misc:x}, addr= {address:x}, ipid= {ipid:x}, mcgstatus= 0, mcgcap= {cap:x}, apicid= 2"), ipid, 0),
                    _ => (format!("3 2024-01-02 03:04:05 +0000 error: x, CPU {vendor}, bank bank=7, mcgcap={cap:#010x}, status={status:#010x}, addr={address:#010x}, misc={misc:#010x}, cpuid=0x000306f2"), 0, vendor),
                };
                (
                    vec![line],
                    vec![check.means(misc, ipid, (vendor, needs_ipid), Some(status), Some(cap))],
                )
            }
            Self::Typed { address, sort } => {
                let (name, verdict) = [
                    ("Supervisor Physical Address", Verdict::Physical),
                    ("Guest Physical Address", Verdict::Refused(Reason::Guest)),
                    ("Virtual Address", Verdict::Refused(Reason::Virtual)),
                    ("Unknown", Verdict::Refused(Reason::NoType)),
                ][usize::from(sort % 4)];
                let lines = vec![
                    format!(" address_type: {name}"),
                    format!(" address: {address:#x}"),
                ];
                (lines, vec![known(address, verdict)])
            }
            Self::Other { which } => (
                vec![OTHERS[usize::from(which) % OTHERS.len()].to_owned()],
                Vec::new(),
            ),
        }
    }
}

fn read<'a>(page: PageSize, lines: impl Iterator<Item = &'a [u8]>) -> Vec<Reported> {
    let mut errors = MemoryErrors::new(page);
    let mut found = Vec::new();
    for (count, line) in (1..).zip(lines) {
        let before = found.len();
        let became = errors.line(line, |reported| found.push(reported));
        // A reported number comes from a line that was read, and a number of this line
        // from a message that was understood.
        let now = &found[before..];
        assert!(now
            .iter()
            .all(|reported| (1..=count).contains(&reported.line)));
        let of_this = now.iter().any(|reported| reported.line == count);
        assert!(!of_this || became == Line::Understood);
    }
    errors.end(|reported| found.push(reported));
    found
}

fn given(reported: &Reported) -> Given {
    match reported.verdict {
        Verdict::Refused(_) => (reported.number, reported.verdict),
        verdict => (reported.address.as_u64(), verdict),
    }
}

fn messages(page: PageSize, messages: &[(u8, Message)]) {
    let (mut text, mut expected) = (Vec::new(), Vec::new());
    for &(before, message) in messages {
        let (lines, verdict) = message.written(page);
        let before = BEFORE[usize::from(before) % BEFORE.len()];
        text.extend(lines.into_iter().map(|line| format!("{before}{line}")));
        expected.extend(verdict);
    }
    // Machine checks wait for their next lines and determine the order.
    let found = read(page, text.iter().map(|line| line.as_bytes()));
    let mut found: Vec<_> = found.iter().map(given).collect();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected, "{text:#?}");
}

/// Returns every number that a text can contain, in hexadecimal or in decimal.
fn numbers(text: &[u8]) -> Vec<u64> {
    let runs = text.split(|byte| !byte.is_ascii_hexdigit());
    let digits = runs.filter_map(|digits| std::str::from_utf8(digits).ok());
    digits
        .flat_map(|digits| [u64::from_str_radix(digits, 16).ok(), digits.parse().ok()])
        .flatten()
        .collect()
}

fn any_text(page: PageSize, text: &[u8]) {
    let lines = || text.split(|&byte| byte == b'\n');
    let found = read(page, lines());
    let numbers = numbers(text);
    let stands = |number: u64| numbers.contains(&number);
    for reported in &found {
        let masked = |address: u64| numbers.iter().any(|number| number % (1 << 52) == address);
        let (number, verdict) = given(reported);
        let of_page = stands(number / page.bytes())
            && (number % page.bytes() == 0 || stands(number % page.bytes()));
        let holds = match verdict {
            Verdict::Refused(_) => stands(number),
            _ => stands(number) || masked(number) || of_page,
        };
        assert!(
            holds,
            "{reported:?} is not in {:?}",
            String::from_utf8_lossy(text)
        );
    }
    let other = OTHERS[0].as_bytes();
    let with_others = lines().flat_map(|line| [other, line, other]);
    let all = |found: &[Reported]| found.iter().map(given).collect::<Vec<_>>();
    assert_eq!(all(&read(page, with_others)), all(&found));
}

fuzz_target!(|data: &[u8]| {
    let Some((&first, rest)) = data.split_first() else {
        return;
    };
    let sizes = [4 << 10, 16 << 10, 64 << 10].map(PageSize::from_bytes);
    let Some(page) = sizes[usize::from(first >> 1) % sizes.len()] else {
        unreachable!("sizes of base pages");
    };
    // Texts of real lines begin with 0.
    if first & 1 == 0 {
        return any_text(page, rest);
    }
    let mut from = Unstructured::new(rest);
    let read = Vec::<(u8, Message)>::arbitrary(&mut from);
    messages(page, &read.unwrap_or_default());
});
