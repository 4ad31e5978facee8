//! Numbers as text: hexadecimal, decimal, and sizes.

mod samples;

use process_introspection::Device;
use process_introspection_export::{
    DeviceNumber, ExtentRecord, Format, Hex, MappingUsageRecord, UsageRecord, VirtualRecord,
};
use proptest::prelude::*;
use samples::written;

/// Returns the record of an extent with this address and size.
fn extent(vaddr: u64, size: u64) -> ExtentRecord {
    ExtentRecord {
        vaddr: Hex(vaddr),
        size,
        ..samples::extent()
    }
}

/// Returns a cell of the only row of a table.
fn cell(table: &str, column: usize) -> String {
    let row = table.lines().nth(1).unwrap();
    row.split_ascii_whitespace().nth(column).unwrap().to_owned()
}

/// Returns a size as tables have it.
fn size(bytes: u64) -> String {
    cell(&written(Format::Table, None, &[extent(0, bytes)]), 1)
}

/// Returns a size as tables with many sizes have it.
fn rough(bytes: u64) -> String {
    let usage = UsageRecord {
        virt: bytes,
        ..samples::usage(true)
    };
    let record = MappingUsageRecord {
        usage,
        ..samples::mapping_usage(b"", true)
    };
    cell(&written(Format::Table, None, &[record]), 1)
}

proptest! {
    #[test]
    fn numbers_are_written_as_the_standard_library_writes_them(number: u64, shift in 0u32..64) {
        let number = number >> shift;
        let json = written(Format::JsonLines, None, &[extent(number, number)]);
        let fields = format!("{{\"vaddr\":\"{number:#x}\",\"size\":{number},");
        prop_assert!(json.starts_with(&fields), "{}", json);
        let table = written(Format::Table, None, &[extent(number, 1)]);
        prop_assert_eq!(cell(&table, 0), format!("{number:x}"));
    }

    #[test]
    fn a_device_number_is_written_as_the_library_writes_it(major: u32, minor: u32) {
        let device = Device { major, minor };
        let record = VirtualRecord {
            dev: DeviceNumber(device),
            ..samples::virtual_region(b"")
        };
        let json = written(Format::JsonLines, None, &[record]);
        let field = format!("\"dev\":\"{device}\"");
        prop_assert!(json.contains(&field), "{}", json);
    }

    #[test]
    fn a_size_is_exact(bytes: u64, shift in 0u32..64, less: u16) {
        let bytes = (bytes >> shift << (shift / 2)).wrapping_sub(u64::from(less) << 12);
        let text = size(bytes);
        let mut sum = 0i128;
        for term in text.split_inclusive(['+', '-']).collect::<Vec<_>>().iter().rev() {
            // Read from behind: a sign is the end of the term before it.
            let value = value(term.trim_end_matches(['+', '-']));
            sum = match term.chars().last() {
                Some('+') => value + sum,
                Some('-') => value - sum,
                _ => value,
            };
        }
        prop_assert_eq!(sum, i128::from(bytes), "{}", text);
    }
}

fn value(term: &str) -> i128 {
    let digits = term.trim_end_matches(|c: char| c.is_ascii_uppercase());
    let unit = ["", "K", "M", "G", "T", "P", "E"]
        .iter()
        .position(|letter| *letter == &term[digits.len()..]);
    digits.parse::<i128>().unwrap() << (10 * unit.unwrap())
}

#[test]
fn a_size_is_short_and_exact() {
    for (bytes, expected) in [
        (0, "0"),
        (1234, "1234"),
        (132 << 10, "132K"),
        (10_304 << 10, "10304K"),
        (2 << 20, "2M"),
        (1 << 30, "1G"),
        (16 << 40, "16T"),
        (1 << 63, "8E"),
        ((1 << 30) + 4096, "1G+4K"),
        ((2 << 40) - 4096, "2T-4K"),
        ((1 << 40) - 4096, "1T-4K"),
        ((3 << 30) + (5 << 20) + 4096, "3G+5124K"),
        ((1 << 40) + (2 << 30) - 4096, "1T+2G-4K"),
        (123_456, "120K+576"),
        (u64::MAX, "16E-1"),
    ] {
        assert_eq!(size(bytes), expected);
    }
}

#[test]
fn a_rough_size_is_never_more_and_never_wide() {
    for (bytes, text) in [
        (0, "0"),
        (1023, "1023B"),
        (4096, "4K"),
        (4097, "4.00K"),
        (68_500, "66.8K"),
        (132 << 10, "132K"),
        ((1 << 20) - 1, "1023K"),
        (3 << 19, "1.50M"),
        (u64::MAX, "15.9E"),
    ] {
        assert_eq!(rough(bytes), text, "{bytes}");
        assert!(rough(bytes).len() <= 5);
    }
}
