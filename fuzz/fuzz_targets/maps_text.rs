//! The text of `maps`, cut anywhere by reads, against a parser that has the whole text
//! and splits it at newlines and spaces.
#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use process_introspection_core::pure::{parse, Lines};
use process_introspection_core::vma::Vma;
use process_introspection_core::Errno;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    /// Number of bytes of a name that are requested.
    capacity: u16,
    /// Number of bytes of each read, repeated.
    reads: [u8; 4],
    text: &'a [u8],
}

/// Contents of a line.
#[derive(Debug, PartialEq, Eq)]
struct Fields<'a> {
    range: (u64, u64),
    flags: [bool; 4],
    offset: u64,
    device: (u32, u32),
    inode: u64,
    name: &'a [u8],
}

/// Parses digits: lower case, and at most 64 bits.
fn hexadecimal(digits: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(digits).ok()?;
    let valid = |digit| matches!(digit, '0'..='9' | 'a'..='f');
    if digits.len() > 16 || !digits.chars().all(valid) {
        return None;
    }
    u64::from_str_radix(digits, 16).ok()
}

fn split_at(line: &[u8], byte: u8) -> Option<(&[u8], &[u8])> {
    let at = line.iter().position(|&other| other == byte)?;
    Some((&line[..at], &line[at + 1..]))
}

fn naive(line: &[u8]) -> Option<Fields<'_>> {
    let (range, rest) = split_at(line, b' ')?;
    let (start, end) = split_at(range, b'-')?;
    let range = (hexadecimal(start)?, hexadecimal(end)?);
    let flags = rest.get(..4)?;
    let rest = rest[4..].strip_prefix(b" ")?;
    let (offset, rest) = split_at(rest, b' ')?;
    let (device, rest) = split_at(rest, b' ')?;
    let (major, minor) = split_at(device, b':')?;
    let device = (
        hexadecimal(major)?.try_into().ok()?,
        hexadecimal(minor)?.try_into().ok()?,
    );
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (inode, name) = rest.split_at(digits);
    if range.0 > range.1 || digits > 20 {
        return None;
    }
    let spaces = name.iter().take_while(|&&byte| byte == b' ').count();
    Some(Fields {
        range,
        flags: [
            flags[0] == b'r',
            flags[1] == b'w',
            flags[2] == b'x',
            flags[3] == b's',
        ],
        offset: hexadecimal(offset)?,
        device,
        inode: std::str::from_utf8(inode).ok()?.parse().ok()?,
        name: &name[spaces..],
    })
}

fn fields<'a>(vma: &Vma, name: &'a [u8]) -> Fields<'a> {
    let protection = vma.protection;
    assert_eq!(vma.page_size, None, "the text does not tell it");
    Fields {
        range: (vma.range.start().as_u64(), vma.range.end().as_u64()),
        flags: [
            protection.read(),
            protection.write(),
            protection.execute(),
            vma.shared,
        ],
        offset: vma.offset,
        device: (vma.device.major, vma.device.minor),
        inode: vma.inode,
        name,
    }
}

/// Returns the stored part of a name: the beginning of its text, newlines unescaped.
fn stored(name: &[u8], capacity: usize) -> Vec<u8> {
    let mut rest = &name[..name.len().min(capacity)];
    let mut bytes = Vec::new();
    while let Some((&first, others)) = rest.split_first() {
        match rest.strip_prefix(br"\012") {
            Some(others) => (rest, _) = (others, bytes.push(b'\n')),
            None => (rest, _) = (others, bytes.push(first)),
        }
    }
    bytes
}

/// The kernel pads the inode to column 73; it never writes a thousand spaces.
fn is_padded_like_the_kernels(line: &[u8]) -> bool {
    !line
        .windows(256)
        .any(|part| part.iter().all(|&byte| byte == b' '))
}

fuzz_target!(|input: Input<'_>| {
    let capacity = usize::from(input.capacity % 5000);
    let mut name = vec![0xa5; capacity];
    let mut lines = Lines::new();
    let (mut unread, mut reads) = (input.text, input.reads.iter().cycle());
    let mut read = |buffer: &mut [u8]| {
        assert!(!buffer.is_empty(), "nothing is read into nothing");
        let most = 1 + usize::from(*reads.next().expect("a cycle")) * 3;
        let count = most.min(buffer.len()).min(unread.len());
        let (now, later) = unread.split_at(count);
        buffer[..count].copy_from_slice(now);
        unread = later;
        Ok(count)
    };
    let mut rest = input.text;
    while !rest.is_empty() {
        let (line, is_whole) = match split_at(rest, b'\n') {
            Some((line, behind)) => {
                rest = behind;
                (line, true)
            }
            None => (std::mem::take(&mut rest), false),
        };
        if !is_padded_like_the_kernels(line) {
            return;
        }
        let expected = naive(line);
        let at_once = parse(line);
        assert_eq!(
            at_once.as_ref().map(|(vma, at)| fields(vma, &line[*at..])),
            expected
        );
        let found = lines.next(&mut name, &mut read);
        match (expected, is_whole) {
            (Some(expected), true) => {
                let line = found.expect("a line").expect("not the end");
                let bytes = stored(expected.name, capacity);
                assert_eq!(&name[..line.name_len], bytes);
                assert_eq!(line.name_complete, expected.name.len() <= capacity);
                assert_eq!(name.get(bytes.len()).copied().unwrap_or_default(), 0);
                let text = expected.name;
                assert_eq!(fields(&line.vma, text), expected);
            }
            (_, _) => {
                assert_eq!(found.expect_err("no line").errno(), Errno::EIO);
                return;
            }
        }
    }
    assert_eq!(lines.next(&mut name, &mut read), Ok(None));
    assert_eq!(lines.next(&mut name, &mut read), Ok(None));
});
