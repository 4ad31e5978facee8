//! RANGE and PID against naive implementations of the command's manual, in 128
//! bits.
#![no_main]

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use libfuzzer_sys::fuzz_target;
use process_introspection::{PageSize, Target};

#[path = "../../crates/introspect/src/options/pid.rs"]
mod pid;
#[allow(dead_code)] // Of physical addresses nothing is fuzzed here.
#[path = "../../crates/introspect/src/options/range.rs"]
mod range;

use pid::{target_of_number, TargetList, TargetText};
use range::{Address, Invalid, RangeText, Size};

const SPACE: u128 = 1 << 64;

/// Parses a number in this base, limited to the size of the address space.
fn number(digits: &str, base: u32) -> Option<u128> {
    let mut number = 0u128;
    for digit in digits.chars() {
        number = (number * u128::from(base) + u128::from(digit.to_digit(base)?)).min(SPACE);
    }
    (!digits.is_empty()).then_some(number)
}

fn without_0x(text: &str) -> Option<&str> {
    let lower = text.get(..2)?.to_ascii_lowercase();
    (lower == "0x").then(|| &text[2..])
}

fn naive_address(text: &str) -> Result<u128, Invalid> {
    let digits = without_0x(text).unwrap_or(text);
    let address = number(digits, 16).ok_or(Invalid::Address)?;
    (address < SPACE).then_some(address).ok_or(Invalid::Address)
}

fn naive_size(text: &str) -> Result<u128, Invalid> {
    let size = match without_0x(text) {
        Some(digits) => number(digits, 16),
        None => {
            let unit = match text.chars().last().map(|unit| unit.to_ascii_uppercase()) {
                Some('K') => 1 << 10,
                Some('M') => 1 << 20,
                Some('G') => 1 << 30,
                Some('T') => 1u128 << 40,
                _ => 1,
            };
            let digits = if unit == 1 {
                text
            } else {
                &text[..text.len() - 1]
            };
            number(digits, 10).map(|number| number * unit)
        }
    };
    match size {
        Some(0) => Err(Invalid::Empty),
        Some(size) if size < SPACE => Ok(size),
        _ => Err(Invalid::Size),
    }
}

/// Returns start and end; for one address, those of its page of 4 KiB.
fn naive_range(text: &str) -> Result<(u128, u128), Invalid> {
    let (start, end) = match (text.find('+'), text.find('-')) {
        (Some(at), _) => {
            let start = naive_address(&text[..at])?;
            let end = start + naive_size(&text[at + 1..])?;
            if end >= SPACE {
                return Err(Invalid::TooLong);
            }
            (start, end)
        }
        (None, Some(at)) => (naive_address(&text[..at])?, naive_address(&text[at + 1..])?),
        (None, None) => {
            let start = naive_address(text)? / 4096 * 4096;
            // No range contains the last byte of the address space.
            return Ok((start, (start + 4096).min(SPACE - 1)));
        }
    };
    match start.cmp(&end) {
        std::cmp::Ordering::Less => Ok((start, end)),
        std::cmp::Ordering::Equal => Err(Invalid::Empty),
        std::cmp::Ordering::Greater => Err(Invalid::Backwards),
    }
}

fn check_range(text: &str) {
    let parsed = text.parse::<RangeText>().map(|range| {
        let range = range.resolve(PageSize::SIZE_4K);
        (
            u128::from(range.start().as_u64()),
            u128::from(range.end().as_u64()),
        )
    });
    // The page with the last byte of the address space ends with it, or is invalid.
    assert_eq!(parsed, naive_range(text), "{text:?}");
    let address = text
        .parse::<Address>()
        .map(|Address(address)| u128::from(address));
    assert_eq!(address, naive_address(text), "{text:?}");
    let size = text.parse::<Size>().map(|Size(size)| u128::from(size));
    assert_eq!(size, naive_size(text), "{text:?}");
    if let Err(reason) = text.parse::<RangeText>() {
        assert!(!reason.to_string().is_empty());
    }
}

#[derive(Debug, PartialEq)]
enum Naive {
    Name,
    Process(Target),
    Nobody,
}

fn naive_pid(text: &[u8]) -> Naive {
    if text == b"self" {
        return Naive::Process(Target::Caller);
    }
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return Naive::Name;
    }
    let number = number(std::str::from_utf8(text).expect("digits"), 10).expect("digits");
    let (high, low) = ((number >> 32) as u64, number as u32);
    match (high, low) {
        (0, 0) => Naive::Process(Target::Caller),
        (0, 1..=0x7fff_ffff) => Naive::Process(Target::Pid(low)),
        (1..=0x7fff_ffff, 1..=0x7fff_ffff) => Naive::Process(Target::Unique {
            pid: low,
            mark: high as u32,
        }),
        _ => Naive::Nobody,
    }
}

fn check_pid(text: &[u8]) {
    let found = match TargetText::from(OsString::from_vec(text.to_vec())) {
        TargetText::This => Naive::Process(Target::Caller),
        TargetText::Number(number) => {
            assert_ne!(number, 0);
            target_of_number(number).map_or(Naive::Nobody, Naive::Process)
        }
        TargetText::TooLarge(digits) => {
            assert_eq!(digits.as_bytes(), text);
            Naive::Nobody
        }
        TargetText::Named(name) => {
            assert_eq!(name.as_encoded_bytes(), text);
            assert!(!text.starts_with(b"name:"));
            Naive::Name
        }
        TargetText::NamedExplicitly(name) => {
            assert_eq!([b"name:", name.as_encoded_bytes()].concat(), text);
            Naive::Name
        }
    };
    assert_eq!(found, naive_pid(text), "{text:?}");
}

/// Numbers with commas between them are a list, everything else is one process.
fn check_list(text: &[u8]) {
    let is_list = text.contains(&b',')
        && text
            .iter()
            .all(|byte| *byte == b',' || byte.is_ascii_digit());
    let parsed = TargetList::parse(OsString::from_vec(text.to_vec()));
    let target = |text: &[u8]| TargetText::from(OsString::from_vec(text.to_vec()));
    if !is_list {
        assert_eq!(parsed, Ok(TargetList(vec![target(text)])), "{text:?}");
        return;
    }
    let parts: Vec<_> = text.split(|byte| *byte == b',').collect();
    match parts.iter().any(|part| part.is_empty()) {
        true => assert!(parsed.is_err(), "{text:?}"),
        false => {
            let targets = parts.into_iter().map(target).collect();
            assert_eq!(parsed, Ok(TargetList(targets)), "{text:?}");
        }
    }
}

fuzz_target!(|text: &[u8]| {
    check_pid(text);
    check_list(text);
    if let Ok(text) = std::str::from_utf8(text) {
        check_range(text);
    }
});
