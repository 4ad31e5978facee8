//! `owner --from-log`: lines that name no memory, and those that are left out.

mod support;

use std::fs;

use serde_json::Value;
use support::{run, Run};
use testkit::machine::is_root_or_skip;

/// Searches owners of the memory that a log names.
fn owners_of(log: impl AsRef<[u8]>) -> Run {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), log).unwrap();
    let path = file.path().to_str().unwrap();
    run(&["owner", "--from-log", path, "--format", "json"])
}

#[test]
fn a_log_without_addresses_needs_no_pass_and_gives_no_records() {
    if !is_root_or_skip("a_log_without_addresses_needs_no_pass_and_gives_no_records") {
        return;
    }
    let log = tempfile::NamedTempFile::new().unwrap();
    fs::write(log.path(), "systemd[1]: Started.\n").unwrap();
    let path = log.path().to_str().unwrap();
    let run = run(&["owner", "--from-log", path, "--watch", "--format", "json"]);
    assert_eq!(run.status, 0, "{run:?}");
    assert_eq!(run.array(), [Value::Null; 0], "{run:?}");
    assert_eq!(run.stderr, "introspect: 1 line names no physical memory\n");
}

#[test]
fn a_log_of_which_nothing_is_understood_fails() {
    if !is_root_or_skip("a_log_of_which_nothing_is_understood_fails") {
        return;
    }
    let of = |bytes: &[u8]| {
        let log = tempfile::NamedTempFile::new().unwrap();
        fs::write(log.path(), bytes).unwrap();
        run(&[
            "owner",
            "--from-log",
            log.path().to_str().unwrap(),
            "--format",
            "json",
        ])
    };
    let unknown = of(b"BMC: ECC error at address 0x8e13f2c0\n");
    assert_eq!(unknown.status, 1, "{unknown:?}");
    assert_eq!(unknown.array(), [Value::Null; 0], "{unknown:?}");
    let says = |text| assert!(unknown.stderr.contains(text), "{unknown:?}");
    says("1 line looks like a message about memory errors and cannot be read:\n");
    says(":1: BMC: ECC error at address 0x8e13f2c0\n");
    says("no message about a memory error was understood");
    // A message without address that is understood is no error.
    let refused = of(b"cxl_dram: memdev=mem1 dpa=8e13f2c0\n");
    assert_eq!(refused.status, 0, "{refused:?}");
    let xz = of(b"\xfd7zXZ\0\0\0");
    assert_eq!((xz.status, &*xz.stdout), (1, ""), "{xz:?}");
    assert!(
        xz.stderr.contains(" | introspect owner --from-log -"),
        "{xz:?}"
    );
    let cut = of(b"\x1f\x8b\x08\0\0");
    assert_eq!((cut.status, &*cut.stdout), (1, ""), "{cut:?}");
}

#[test]
fn a_line_that_is_too_long_is_cut_before_a_number_that_may_go_on() {
    if !is_root_or_skip("a_line_that_is_too_long_is_cut_before_a_number_that_may_go_on") {
        return;
    }
    // Lines are read up to 64 KiB, here within the number.
    let filler = "x ".repeat((32 << 10) - 12);
    let text = format!("{filler}Memory failure: 0x8e13f123: recovery\nnothing\n");
    let number = text.find("0x8e13f123").unwrap();
    assert!((number + 4..number + 10).contains(&(64 << 10)));
    let run = owners_of(text);
    assert_eq!(run.stderr, "introspect: 2 lines name no physical memory\n");
}

#[test]
fn what_is_left_out_is_listed_once_and_bounded() {
    if !is_root_or_skip("what_is_left_out_is_listed_once_and_bounded") {
        return;
    }
    let mut text = String::new();
    for number in 0x1000..0x1014 {
        text.push_str(&format!("cxl_dram: memdev=mem1 dpa={number:x}\n"));
        text.push_str(&format!("BMC: ECC error at address {number:#x}\n"));
    }
    text.push_str("cxl_dram: memdev=mem1 dpa=40 hpa=8e13f000\n");
    text.push_str("cxl_dram: memdev=mem1 hpa=ffffffffffffffff\n");
    let run = owners_of(text);
    assert_eq!(run.status, 0, "{run:?}");
    for said in [
        "42 lines name 1 page of physical memory\n",
        "0x1000 is left out (",
        ":1, cxl-device): it is an address within",
        "12 numbers are left out as well\n",
        "1 message is left out: the address is not known",
        "20 lines look like messages about memory errors",
        ":2: BMC: ECC error at address 0x1000\n",
        "and 12 lines more\n",
    ] {
        assert!(run.stderr.contains(said), "{said}: {run:?}");
    }
    assert!(!run.stderr.contains("0x40 "), "{run:?}");
}
