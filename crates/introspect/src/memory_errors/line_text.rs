//! Text of log lines: the message in a line, and whether it looks like one about memory
//! errors. Performs no I/O.

use super::numbers::{first_decimal, occurrences};

/// Returns the message without the prefixes of logs: `host mcelog: `, `[ 1.5] `.
pub(super) fn message_of(line: &str) -> &str {
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
        // A field that ends with a colon belongs to the message.
        match before.ends_with("address") {
            true => &line[before.len() - "address".len()..],
            false => message,
        }
    });
    let message = message.trim_start();
    // Level of the message: dmesg --raw.
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

/// Returns whether a line looks like a message about a memory error with an address.
pub(super) fn looks_like_one(line: &str) -> bool {
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
