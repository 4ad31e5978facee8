//! Messages about memory errors: the table against the parser, and lines around and between
//! messages.

#[path = "../../src/memory_errors/mod.rs"]
#[allow(dead_code)]
mod memory_errors;

use memory_errors::forms::{forms, Number, Reading, Sample, Unit};
use memory_errors::{Line, MemoryErrors, Reason, Reported, Verdict};
use process_introspection::PageSize;
use Verdict::{Physical, Presumed, Refused};

/// Prefixes of messages in several kinds of logs.
const BEFORE: [&str; 7] = [
    "",
    "[ 1190.612345] ",
    "<3>[ 1190.612345] ",
    "[Mon Jan  5 10:00:00 2026] ",
    "Jan  5 10:00:00 host kernel: [   71.3] ",
    "2026-01-02T03:04:05.678901+00:00 db-7 kernel: ",
    "Jan 05 10:00:00 host mcelog[812]: ",
];

fn read(text: &str) -> Vec<Reported> {
    let mut errors = MemoryErrors::new(PageSize::SIZE_4K);
    let mut found = Vec::new();
    for line in text.lines() {
        errors.line(line.as_bytes(), |reported| found.push(reported));
    }
    errors.end(|reported| found.push(reported));
    found
}

/// Returns addresses, or numbers that are refused.
fn given(text: &str) -> Vec<(u64, Verdict)> {
    let number = |reported: &Reported| match reported.verdict {
        Refused(_) => (reported.number, reported.verdict),
        verdict => (reported.address.as_u64(), verdict),
    };
    read(text).iter().map(number).collect()
}

fn result(line: &str) -> Line {
    MemoryErrors::new(PageSize::SIZE_4K).line(line.as_bytes(), |_| ())
}

#[test]
fn every_sample_of_the_table_gives_what_its_row_says_behind_every_prefix() {
    for form in forms() {
        for Sample(text, number, verdict) in form.samples {
            for before in BEFORE {
                // mcelog's client prints to a terminal.
                if form.name == "mcelog-page-list" && !before.is_empty() {
                    continue;
                }
                let text: Vec<_> = text.lines().map(|line| format!("{before}{line}")).collect();
                let text = text.join("\n");
                let found = read(&text);
                let names: Vec<_> = found.iter().map(|reported| reported.form.name).collect();
                assert_eq!(given(&text), [(*number, *verdict)], "{}: {text}", form.name);
                assert_eq!(names, [form.name], "{text}");
            }
        }
        if !matches!(form.reading, Reading::Companion(_)) {
            assert!(!form.samples.is_empty(), "{} has no sample", form.name);
        }
    }
}

#[test]
fn every_text_of_the_table_is_in_a_sample() {
    for form in forms() {
        let Reading::Place(place) = &form.reading else {
            continue;
        };
        for text in place.before.iter().chain(place.behind) {
            let shown = form.samples.iter().any(|sample| sample.0.contains(text));
            assert!(
                shown
                    || form.name == "guest"
                    || form.name == "physical-address"
                    || form.name == "reported-address",
                "{}: {text}",
                form.name
            );
        }
    }
}

#[test]
fn names_in_the_table_are_unique() {
    let mut names: Vec<_> = forms().map(|form| form.name).collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count);
}

/// The document is generated from the table: `cargo xtask generate` writes it.
#[test]
fn the_document_lists_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/MESSAGES.md");
    let text = document();
    if std::env::var_os("GENERATE").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    assert_eq!(
        std::fs::read_to_string(path).unwrap(),
        text,
        "cargo xtask generate"
    );
}

fn document() -> String {
    let mut text = "\
# Messages about memory errors

`introspect owner --from-log` and `--kmsg` read addresses from these messages. The table is generated from
`crates/introspect/src/memory_errors/forms/`, where each row has invented sample messages that a test reads. For a range
of kernels, both ends were read and those of 3.0, 3.10, 4.9, 4.14, 4.18, 4.19, 5.10, 6.1, 6.12, 6.18 and 7.2 that lie
between: the first or last kernel with a message can be a neighbour of the one in its row.

*physical*: the number is a physical address of the system. *presumed*: the message does not name the type of the
address, which is presumed to be physical. *refused*: the number is no physical address, and the command reports the
reason. In every form, 0 and all ones mean that the address is unknown.

| form | printed by | number | meaning |
|---|---|---|---|
"
    .to_owned();
    for form in forms() {
        let number = match &form.reading {
            Reading::Place(place) => {
                let unit = match place.unit {
                    Unit::Byte | Unit::CheckByte => "address",
                    Unit::Frame => "page frame",
                    Unit::FrameAndOffset(_) => "page frame and offset",
                };
                let base = match place.number {
                    Number::Hex | Number::Bare => "hexadecimal, 0x or not",
                    Number::Prefixed => "hexadecimal with 0x",
                    Number::Decimal => "decimal",
                };
                format!("{unit}, {base}")
            }
            Reading::Companion(_) => continue,
            _ => "address, hexadecimal".to_owned(),
        };
        let verdict = |verdict: Verdict| match verdict {
            Physical => "physical".to_owned(),
            Presumed => "presumed".to_owned(),
            Refused(why) => format!("refused: {}", why.reason()),
        };
        let what = match &form.reading {
            Reading::Place(place) => verdict(place.verdict),
            Reading::Typed => "by the line `address_type` before it".to_owned(),
            Reading::AmdCheck => {
                "presumed; refused if the bank is or can be a unified memory controller".to_owned()
            }
            _ => "by vendor, status, MISC, IPID and bank: physical, presumed or refused".to_owned(),
        };
        text.push_str(&format!(
            "| {} | {} | {number} | {what} |\n",
            form.name, form.source
        ));
    }
    text
}

#[test]
fn a_machine_check_of_intels_says_by_misc_whether_its_address_is_physical() {
    let check = |rest: &str, vendor: &str| {
        given(&format!(
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
        (0x3fd7c8ac40, Physical),
    );
    is(" ADDR 1234567880 MISC 8c", "0", (0x1234567880, Physical));
    is(
        " ADDR ffffffff81000000 MISC 4c",
        "0",
        (0xffffffff81000000, Refused(Reason::OtherMode)),
    );
    // A memory controller's status: the address is a physical one.
    is(" ADDR 1234567880", "0", (0x1234567880, Physical));
    // Bits of a memory encryption key above the address.
    is(
        " ADDR 30001234567880 MISC 8c",
        "0",
        (0x1234567880, Physical),
    );
    // AMD's MISC does not describe the address, its IPID does.
    is(
        " ADDR 1234567880 MISC d01a0ffe00000000",
        "2",
        (0x1234567880, Presumed),
    );
    // With scalable MCA, an address without IPID can be a controller's.
    let scalable =
        "[Hardware Error]: TSC 0 ADDR 1234567880\n[Hardware Error]: PROCESSOR 2:830f10 TIME 1";
    assert_eq!(given(scalable), [(0x1234567880, Refused(Reason::NoType))]);
    let controller = " ADDR 3d4bc0 SYND 4d00 IPID 9600050f00 ";
    is(controller, "2", (0x3d4bc0, Refused(Reason::Normalized)));
    assert_eq!(check("", "0"), []);
    // Without type.
    let alone = "mce: [Hardware Error]: TSC 1a4b2c ADDR 1234567880 ";
    assert_eq!(given(alone), [(0x1234567880, Presumed)]);
}

#[test]
fn messages_are_found_in_records_of_logs() {
    for (before, behind) in [
        (
            "{\"PRIORITY\":\"3\",\"SYSLOG_IDENTIFIER\":\"mcelog\",\"MESSAGE\":\"",
            "\",\"_PID\":\"812\"}",
        ),
        ("\t\"MESSAGE\" : \"", "\","),
        ("         \"msg\": \"", "\""),
        ("MESSAGE=", ""),
    ] {
        let wrapped = |text: &str| {
            let lines = text.lines().map(|line| format!("{before}{line}{behind}"));
            lines.collect::<Vec<_>>().join("\n")
        };
        let failure = "Memory failure: 0x8e13f: recovery action for clean LRU page: Recovered";
        assert_eq!(
            given(&wrapped(failure)),
            [(0x8e13f000, Physical)],
            "{before}"
        );
        let check = "CPU 2 BANK 8\nMISC 0 ADDR 8e13f2c0\nSTATUS 8c0000400001009f MCGSTATUS 0";
        assert_eq!(given(&wrapped(check)), [(0x8e13f2c0, Physical)], "{before}");
    }
}

#[test]
fn a_status_without_an_address_is_not_the_next_checks() {
    let text = "mce: [Hardware Error]: CPU 1: Machine Check: 0 Bank 0: 8000004000010005\n\
                mce: [Hardware Error]: TSC 1a4b2c \n\
                mce: [Hardware Error]: PROCESSOR 0:306f2 TIME 1700000000 SOCKET 0 APIC 2 microcode 49\n\
                mce: [Hardware Error]: TSC 1a4b2c ADDR 1234567880 MISC 8c";
    assert_eq!(given(text), [(0x1234567880, Physical)]);
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
    let normalized = (0x3d4bc0a40, Refused(Reason::Normalized));
    assert_eq!(given(text), [normalized, (0xf97141a40, Physical)]);
}

#[test]
fn each_number_names_its_line() {
    let text = "nothing\nMemory failure: 0x8e13f: recovery action for clean LRU page: Recovered\n\
                CPU 2 BANK 8\nMISC 0 ADDR 1e9f000\nSTATUS 8c00004000010151 MCGSTATUS 0";
    let lines: Vec<_> = read(text).iter().map(|reported| reported.line).collect();
    assert_eq!(lines, [2, 4]);
}

#[test]
fn one_line_can_have_several_numbers_each_of_its_sort() {
    let line = "cxl_general_media: memdev=mem1 host=0000:0d:00.0 serial=3 log=Warning : time=1 uuid=0 len=128 dpa=40 dpa_flags='' \
                descriptor='' hpa=8e13f2c0 hpa_alias0=ffffffffffffffff region=region0 region_uuid=0";
    let mut found = given(line);
    found.sort_unstable();
    assert_eq!(
        found,
        [
            (0x40, Refused(Reason::Device)),
            (0x8e13f2c0, Physical),
            (u64::MAX, Refused(Reason::NotKnown)),
        ]
    );
    let arm = "arm_event: virtual fault address: 0x0000ffff88410000 physical fault address: 0x000000008e13f2c0 \
               physical fault address: 0x000000008e140000";
    let physical = |(_, verdict): &&(u64, Verdict)| *verdict == Physical;
    let found = given(arm);
    assert_eq!(found.iter().filter(physical).count(), 2, "{found:?}");
}

#[test]
fn lines_about_something_else_give_nothing_and_are_not_counted() {
    for line in [
        "systemd[1]: Started Session 5 of User root.",
        "page: refcount:1 mapcount:0 mapping:0000000000000000 index:0x1 pfn:0x8e13f",
        "mce: CPU0: Thermal monitoring enabled (TM1)",
        "mce: [Hardware Error]: Machine check events logged",
        "mce: Memory error not recovered",
        "mce: Using 10 MCE banks",
        "EDAC MC: Ver: 3.0.0",
        "EDAC MC0: Giving out device to module skx_edac controller Skylake Socket#0 IMC#0: DEV 0000:64:0a.0 (INTERRUPT)",
        "{1}[Hardware Error]: Hardware error from APEI Generic Hardware Error Source: 4",
        "{1}[Hardware Error]:   node: 0 card: 1 module: 2 rank: 0 bank: 5 device: 0 row: 4660 column: 24",
        "{1}[Hardware Error]:   error_type: 2, single-bit ECC",
        "sr 1:0:0:0: address: 0x12345678c0 of something",
        "eth0: ADDR 00:1b:63:84:45:e6",
        "drv: ADDR 1000",
        "BIOS-e820: [mem 0x0000000000100000-0x00000000bffdffff] usable",
        "",
    ] {
        assert_eq!(given(line), [], "{line}");
        assert_eq!(result(line), Line::Other, "{line}");
    }
    // Companions of a message are no separate messages.
    let mask = "{1}[Hardware Error]:   physical_address_mask: 0x00003fffffffffff";
    assert_eq!((given(mask), result(mask)), (vec![], Line::Understood));
}

#[test]
fn lines_that_look_like_memory_errors_and_are_not_understood_are_told_apart() {
    for line in [
        "BMC: uncorrectable ECC error, system addr 0x8e13f2c0",
        "Memory failure: 0xfffffffffffffffff: nonsense at page 0x8e13f",
        "platform: memory error, frame #8e13f",
        "EDAC MC0: CE DIMM_A1 address=8e13f2c0",
        "1 2026-01-02 1 Corrected error(s): at DIMM_A1 location: 0:1:0:-1, addr -4096, grain 5 page 8e13f",
    ] {
        assert_eq!(given(line), [], "{line}");
        assert_eq!(result(line), Line::NotUnderstood, "{line}");
    }
}

#[test]
fn no_bytes_make_it_panic() {
    let mut pieces: Vec<Vec<u8>> = Vec::new();
    for form in forms() {
        for sample in form.samples {
            let words = sample.0.split_inclusive(' ');
            pieces.extend(words.map(|word| word.as_bytes().to_vec()));
        }
    }
    pieces.extend([
        b"\xff\xc3".to_vec(),
        b"\xe2\x80".to_vec(),
        b"\n".to_vec(),
        "\u{e9}".into(),
    ]);
    let mut errors = MemoryErrors::new(PageSize::SIZE_4K);
    // A simple generator: the lines are the same in each run.
    let mut seed = 1u64;
    for _ in 0..20_000 {
        let mut line = Vec::new();
        for _ in 0..6 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let mut piece = &pieces[(seed >> 33) as usize % pieces.len()][..];
            piece = &piece[..piece.len() - (seed >> 60) as usize % piece.len().max(1)];
            line.extend_from_slice(piece);
        }
        errors.line(&line, |_| ());
    }
    errors.end(|_| ());
}
