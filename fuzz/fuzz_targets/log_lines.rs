//! Addresses out of logs, two ways. Messages that are written here as the kernel
//! and rasdaemon write them give what was put into them, by a reading of its own
//! of what their fields mean. Any other text gives no number that does not stand
//! in it, and lines about something else between its lines change nothing.
#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use process_introspection::{MemoryErrors, NotPhysical, PageSize, PhysAddr, Reported};

/// What the fields of a machine check can be.
#[derive(Arbitrary, Copy, Clone, Debug)]
struct Check {
    address: u64,
    misc: u64,
    ipid: u64,
    /// Which of the two numbers are as they are.
    sort: u8,
}

#[derive(Arbitrary, Copy, Clone, Debug)]
enum Message {
    /// About a page frame; how it is put.
    Frame {
        frame: u64,
        form: u8,
    },
    Edac {
        page: u64,
        offset: u64,
    },
    Firmware {
        address: u64,
    },
    Event {
        address: u64,
        of_rasdaemon: bool,
    },
    /// In three lines of the kernel's; which fields it has.
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
    /// In one line, of three sorts.
    Record {
        check: Check,
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

/// What stands before a message, in logs of several sorts.
const BEFORE: [&str; 4] = [
    "",
    "[ 1190.612345] ",
    "Jan  5 10:00:00 host kernel: [   71.3] ",
    "2024-01-02T03:04:05.678901+00:00 db-7 kernel: ",
];

/// The address that a frame has.
fn of_frame(frame: u64, offset: u64, page: PageSize) -> Option<Reported> {
    let address = u128::from(frame) * u128::from(page.bytes()) + u128::from(offset);
    let fits = offset < page.bytes() && address >> 64 == 0;
    fits.then_some(Reported::Physical(PhysAddr::new(address as u64)))
}

impl Check {
    /// None, a memory controller's, or any.
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

    /// By the manuals: whether the address is physical.
    fn means(&self, misc: u64, ipid: u64, vendor: u8) -> Reported {
        let physical = PhysAddr::new(self.address % (1 << 52));
        if ipid != 0 {
            return match (ipid / (1 << 32)) % (1 << 12) {
                0x96 => Reported::Not(self.address, NotPhysical::Normalized),
                _ => Reported::Presumed(physical),
            };
        }
        match (vendor, misc, (misc / 64) % 8) {
            (2 | 9, ..) | (_, 0, _) => Reported::Presumed(physical),
            (_, _, 2) => Reported::Physical(physical),
            _ => Reported::Not(self.address, NotPhysical::OtherMode),
        }
    }
}

impl Message {
    /// Its lines, and what they say.
    fn written(self, page: PageSize) -> (Vec<String>, Option<Reported>) {
        let exactly =
            |address: u64| (address != 0).then_some(Reported::Physical(PhysAddr::new(address)));
        match self {
            Self::Frame { frame, form } => {
                let line = match form % 7 {
                    0 => format!("Memory failure: {frame:#x}: recovery action for clean LRU page: Recovered"),
                    1 => format!("Memory failure: {frame:#x}: Killing dax-pmd:5421 due to hardware memory corruption"),
                    2 => format!("soft_offline: {frame:#x}: invalidated"),
                    3 => format!("Soft offlining pfn {frame:#x} at process virtual address 0x3fff88410000"),
                    4 => format!("Injecting memory failure for pfn {frame:#x} at process virtual address 0x20ffd000"),
                    5 => format!("kworker-77 [1] .... 12.5: memory_failure_event: pfn {frame:#x}: recovery action for dirty LRU page: Recovered"),
                    _ => format!("rasdaemon: memory_failure_event: 2024-01-02 03:04:05 +0000 pfn={frame:#x} page_type=dirty LRU page action_result=Recovered"),
                };
                (vec![line], of_frame(frame, 0, page))
            }
            Self::Edac { page: at, offset } => {
                let line = format!(
                    "EDAC MC1: 1 CE memory read error on CPU_SrcID#1_Ha#0_Chan#1_DIMM#0 (channel:1 slot:0 \
                     page:{at:#x} offset:{offset:#x} grain:32 syndrome:0x0 -  area:DRAM err_code:0001:0091)"
                );
                // A driver that does not know says 0 and 0.
                let says = (at, offset) != (0, 0);
                (vec![line], of_frame(at, offset, page).filter(|_| says))
            }
            Self::Firmware { address } => {
                let line = format!("{{1}}[Hardware Error]:   physical_address: {address:#018x}");
                (vec![line], exactly(address))
            }
            Self::Event {
                address,
                of_rasdaemon,
            } => {
                let line = match of_rasdaemon {
                    false => format!("mc_event: 1 Corrected error: memory read error on DIMM_A1 (mc:0 location:1:0:-1 address:{address:#010x} grain:32 syndrome:0x00000000 area:DRAM)"),
                    true => format!("rasdaemon: mc_event store: 1 Corrected error: memory read error on DIMM_A1 mc: 0 location: 1:0 address: {address:#010x} grain: 5 area:DRAM)"),
                };
                (vec![line], exactly(address))
            }
            Self::Check {
                check,
                has_misc,
                has_ipid,
            } => {
                let Check { address, misc, .. } = check;
                let vendor = check.vendor();
                let ipid = check.ipid();
                let mut tsc = format!("mce: [Hardware Error]: TSC 1a4b2c ADDR {address:x} ");
                if has_misc {
                    tsc += &format!("MISC {misc:x} ");
                }
                if has_ipid {
                    tsc += &format!("SYND 4d00 IPID {ipid:x} ");
                }
                let lines = vec![
                    "mce: [Hardware Error]: CPU 1: Machine Check: 0 Bank 7: 8c00004000010091".to_owned(),
                    tsc,
                    format!("mce: [Hardware Error]: PROCESSOR {vendor:x}:306f2 TIME 1700000000 SOCKET 0 APIC 2 microcode 49"),
                ];
                let misc = if has_misc { misc } else { 0 };
                let ipid = if has_ipid { ipid } else { 0 };
                (lines, Some(check.means(misc, ipid, vendor)))
            }
            Self::Amd { check, has_ipid } => {
                let (address, ipid) = (check.address, check.ipid());
                let mut lines = vec![
                    "[Hardware Error]: CPU:2 (17:31:0) MC17_STATUS[Over|CE|MiscV|AddrV|-|-|SyndV|CECC|-|-|-]: 0xdc2040000000011b".to_owned(),
                    format!("[Hardware Error]: Error Addr: {address:#018x}"),
                ];
                if has_ipid {
                    lines.push(format!(
                        "[Hardware Error]: IPID: {ipid:#018x}, Syndrome: 0x4d0000000a800102"
                    ));
                }
                lines.push("[Hardware Error]: cache level: L3/GEN, tx: GEN, mem-tx: RD".to_owned());
                let ipid = if has_ipid { ipid } else { 0 };
                (lines, Some(check.means(0, ipid, 2)))
            }
            Self::Record { check, sort } => {
                let Check { address, misc, .. } = check;
                let vendor = check.vendor();
                let ipid = check.ipid();
                let begins = "mce_record: CPU: 1, MCGc/s: f000c14/0, MC7: 8c00004000010091";
                let (line, ipid, vendor) = match sort % 3 {
                    0 => (format!("{begins}, IPID: {ipid:016x}, ADDR/MISC/SYND: {address:016x}/{misc:016x}/0000000000000000, RIP: 00:<0000000000000000>, TSC: 1, PROCESSOR: {vendor:x}:306f2, TIME: 1, SOCKET: 0, APIC: 2"), ipid, vendor),
                    1 => (format!("{begins}, IPID: {ipid:016x}, ADDR: {address:016x}, MISC: {misc:016x}, SYND: 0000000000000000, RIP: 00:<0000000000000000>, TSC: 1, PPIN: 0, vendor: {vendor:x}, CPUID: 306f2, time: 1, socket: 0, APIC: 2, microcode: 1"), ipid, vendor),
                    _ => (format!("mce_record: 2024-01-02 03:04:05 +0000 bank=7, status= 8c00004000010091, MEMORY CONTROLLER RD_CHANNEL1_ERR, mci=Corrected_error, mca=x, cpu_type= Intel Xeon v3, cpu= 1, socketid= 0, misc= {misc:x}, addr= {address:x}, mcgstatus= 0, mcgcap= f000c14, apicid= 2"), 0, 0),
                };
                // 0 where there is no address.
                let said = (address != 0).then(|| check.means(misc, ipid, vendor));
                (vec![line], said)
            }
            Self::Other { which } => (
                vec![OTHERS[usize::from(which) % OTHERS.len()].to_owned()],
                None,
            ),
        }
    }
}

fn read<'a>(page: PageSize, lines: impl Iterator<Item = &'a [u8]>) -> Vec<Reported> {
    let mut errors = MemoryErrors::new(page);
    let mut found = Vec::new();
    for line in lines {
        errors.line(line, |reported| found.push(reported));
    }
    errors.end(|reported| found.push(reported));
    found
}

/// As something that can be sorted.
fn sorted(found: Vec<Reported>) -> Vec<String> {
    let mut found: Vec<_> = found
        .iter()
        .map(|reported| format!("{reported:?}"))
        .collect();
    found.sort_unstable();
    found
}

fn messages(page: PageSize, messages: &[(u8, Message)]) {
    let (mut text, mut expected) = (Vec::new(), Vec::new());
    for &(before, message) in messages {
        let (lines, says) = message.written(page);
        let before = BEFORE[usize::from(before) % BEFORE.len()];
        text.extend(lines.into_iter().map(|line| format!("{before}{line}")));
        expected.extend(says);
    }
    // AMD's lines can wait for the next ones: the order is theirs.
    let found = read(page, text.iter().map(|line| line.as_bytes()));
    assert_eq!(sorted(found), sorted(expected), "{text:#?}");
}

/// Every number that a text can mean in hexadecimal.
fn numbers(text: &[u8]) -> Vec<u64> {
    let runs = text.split(|byte| !byte.is_ascii_hexdigit());
    let numbers = runs.filter_map(|digits| std::str::from_utf8(digits).ok());
    numbers
        .filter_map(|digits| u64::from_str_radix(digits, 16).ok())
        .collect()
}

fn any_text(page: PageSize, text: &[u8]) {
    let lines = || text.split(|&byte| byte == b'\n');
    let found = read(page, lines());
    let numbers = numbers(text);
    let stands = |number: u64| numbers.contains(&number);
    for reported in &found {
        let masked = |address: u64| numbers.iter().any(|number| number % (1 << 52) == address);
        let holds = match *reported {
            Reported::Not(number, _) => stands(number),
            Reported::Presumed(address) => masked(address.as_u64()),
            Reported::Physical(address) => {
                let address = address.as_u64();
                let offset = address % page.bytes();
                let of_page = stands(address / page.bytes()) && (offset == 0 || stands(offset));
                stands(address) || masked(address) || of_page
            }
            _ => false,
        };
        assert!(
            holds,
            "{reported:?} is not in {:?}",
            String::from_utf8_lossy(text)
        );
    }
    let other = OTHERS[0].as_bytes();
    let with_others = lines().flat_map(|line| [other, line, other]);
    assert_eq!(read(page, with_others), found);
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
