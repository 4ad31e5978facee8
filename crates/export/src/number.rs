//! Numbers as text: hexadecimal, device numbers, sizes in the largest exact unit. Written by
//! hand because most fields are numbers, and the standard library's formatting takes several
//! times as long.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use process_introspection::{Device, PhysAddr, VirtAddr};

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Number that is written in hexadecimal: an address, an offset, flags. In JSON and CSV a
/// string with `0x`, because JSON numbers lose bits past 2^53.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Hex(pub u64);

impl Hex {
    /// Writes the text with `0x` into `buffer`.
    pub(crate) fn prefixed(self, buffer: &mut [u8; 18]) -> &[u8] {
        let at = hexadecimal_at(self.0, 1, buffer, 18) - 2;
        buffer[at..at + 2].copy_from_slice(b"0x");
        &buffer[at..]
    }

    /// Writes the digits alone into `buffer`.
    pub(crate) fn plain(self, buffer: &mut [u8; 18]) -> &[u8] {
        let at = hexadecimal_at(self.0, 1, buffer, 18);
        &buffer[at..]
    }
}

impl From<VirtAddr> for Hex {
    fn from(address: VirtAddr) -> Self {
        Self(address.as_u64())
    }
}

impl From<PhysAddr> for Hex {
    fn from(address: PhysAddr) -> Self {
        Self(address.as_u64())
    }
}

/// Difference of addresses, in hexadecimal with its sign: `-0x1000`. In JSON a string, for
/// the same reason.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SignedHex(pub i64);

impl SignedHex {
    /// Returns the text with `0x`, and with `-` before that if it is negative.
    pub(crate) fn text(self) -> String {
        let sign = if self.0 < 0 { "-" } else { "" };
        format!("{sign}{:#x}", self.0.unsigned_abs())
    }
}

/// Finite number that need not be whole. Whole numbers are exact up to 2^53.
#[derive(Copy, Clone, Debug, Default)]
pub struct Real(f64);

impl Real {
    /// Wraps a number; `None` unless it is finite.
    pub fn new(number: f64) -> Option<Self> {
        // Equal numbers have equal bits, as 0 and -0 have not.
        number.is_finite().then_some(Self(number + 0.0))
    }

    /// Returns a part of a whole, 0 to 1; `None` if the whole is 0.
    pub fn ratio(part: u64, whole: u64) -> Option<Self> {
        Self::new(part as f64 / whole as f64)
    }

    /// Returns a number of thousandths.
    pub fn thousandths(number: i32) -> Self {
        Self(f64::from(number) / 1000.0)
    }

    /// Returns the number.
    pub const fn get(self) -> f64 {
        self.0
    }

    /// Returns its bits in the order of the numbers.
    pub(crate) fn rank(self) -> u64 {
        let bits = self.0.to_bits();
        match self.0 < 0.0 {
            true => !bits,
            false => bits | 1 << 63,
        }
    }
}

impl From<u64> for Real {
    fn from(number: u64) -> Self {
        Self(number as f64)
    }
}

impl From<i64> for Real {
    fn from(number: i64) -> Self {
        Self(number as f64)
    }
}

impl PartialEq for Real {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}

impl Eq for Real {}

/// Prints the fewest digits that are this number, without an exponent.
impl fmt::Display for Real {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Number of the device that contains an object, as in the kernel's `maps` file: `fe:00`;
/// `00:00` without an object.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct DeviceNumber(pub Device);

impl DeviceNumber {
    /// Writes the text into `buffer`.
    pub(crate) fn text(self, buffer: &mut [u8; 18]) -> &[u8] {
        let colon = hexadecimal_at(self.0.minor.into(), 2, buffer, 18) - 1;
        buffer[colon] = b':';
        let at = hexadecimal_at(self.0.major.into(), 2, buffer, colon);
        &buffer[at..]
    }
}

impl DeviceNumber {
    /// Reads the text of a device number, `fe:00`; `None` if it is none.
    pub fn from_text(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once(':')?;
        let number = |digits| u32::from_str_radix(digits, 16).ok();
        Some(Self(Device {
            major: number(major)?,
            minor: number(minor)?,
        }))
    }
}

/// Time of day: microseconds since 1970-01-01, UTC. As text in the form of RFC 3339.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(pub i64);

impl From<SystemTime> for Time {
    fn from(time: SystemTime) -> Self {
        let micros = |since: Duration| i64::try_from(since.as_micros()).unwrap_or(i64::MAX);
        Self(match time.duration_since(UNIX_EPOCH) {
            Ok(since) => micros(since),
            Err(before) => -micros(before.duration()),
        })
    }
}

impl From<Time> for SystemTime {
    fn from(time: Time) -> Self {
        let micros = Duration::from_micros(time.0.unsigned_abs());
        let moved = match time.0 {
            0.. => UNIX_EPOCH.checked_add(micros),
            _ => UNIX_EPOCH.checked_sub(micros),
        };
        moved.unwrap_or(UNIX_EPOCH)
    }
}

/// Prints `2026-11-25T18:04:05.123456Z`. Years before 1970 and after 9999 have no such
/// form: their number of microseconds stands for them.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// The last microsecond of 9999.
        const LAST: i64 = 253_402_300_799_999_999;
        match self.0 {
            0..=LAST => humantime::format_rfc3339_micros((*self).into()).fmt(f),
            other => other.fmt(f),
        }
    }
}

impl fmt::Display for DeviceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(ascii(self.text(&mut [0; 18])))
    }
}

impl From<Device> for DeviceNumber {
    fn from(device: Device) -> Self {
        Self(device)
    }
}

/// Writes hexadecimal digits that end at `end`, at least `least`. Returns where they begin.
#[inline]
fn hexadecimal_at(number: u64, least: usize, buffer: &mut [u8; 18], end: usize) -> usize {
    let (mut at, mut rest) = (end, number);
    while rest != 0 || end - at < least {
        at -= 1;
        buffer[at] = DIGITS[(rest & 0xf) as usize];
        rest >>= 4;
    }
    at
}

/// Writes a number in decimal into `buffer`.
pub(crate) fn decimal(number: u64, buffer: &mut [u8; 21]) -> &[u8] {
    let at = decimal_at(number, buffer, 21);
    &buffer[at..]
}

/// Maximum number of bytes of a [`size`]: a number of each unit and a sign.
pub(crate) const SIZE: usize = 48;

/// Numbers below this are written with one unit.
const MOST_ALONE: u64 = 100_000;
/// Units of sizes, each 1024 times the one before.
const UNITS: [&str; 7] = ["", "K", "M", "G", "T", "P", "E"];

/// Writes an exact size into `buffer`: in the largest unit of which it is a multiple, where
/// that takes at most five digits, `132K`; else as the next larger or smaller multiple of the
/// unit that is its magnitude, and the rest, `1G+4K` or `2T-4K`.
pub(crate) fn size(bytes: u64, buffer: &mut [u8; SIZE]) -> &[u8] {
    let at = size_at(bytes, buffer, SIZE);
    &buffer[at..]
}

/// Writes a size that ends at `end`. Returns where it begins.
fn size_at(bytes: u64, buffer: &mut [u8; SIZE], end: usize) -> usize {
    if let Some(at) = with_one_unit(bytes, buffer, end) {
        return at;
    }
    let magnitude = bytes.ilog2() / 10 * 10;
    let rest = bytes & ((1 << magnitude) - 1);
    let less = (1 << magnitude) - rest;
    let sum = size_at(rest, buffer, end);
    let mut other = [0; SIZE];
    // A sum below a minus would need its signs turned round.
    let difference = with_one_unit(less, &mut other, SIZE);
    let (mut at, next) = match difference {
        Some(from) if SIZE - from < end - sum => {
            let at = end - (SIZE - from);
            buffer[at..end].copy_from_slice(&other[from..]);
            (at, 1)
        }
        _ => (sum, 0),
    };
    at -= 1;
    buffer[at] = if next == 1 { b'-' } else { b'+' };
    // 1024 of a unit are 1 of the next.
    match ((bytes >> magnitude) + next, magnitude) {
        (1024, ..60) => with_unit(1, magnitude + 10, buffer, at),
        (number, _) => with_unit(number, magnitude, buffer, at),
    }
}

fn with_one_unit(bytes: u64, buffer: &mut [u8; SIZE], end: usize) -> Option<usize> {
    let shift = match bytes {
        0 => 0,
        _ => bytes.trailing_zeros() / 10 * 10,
    };
    let number = bytes >> shift;
    (number < MOST_ALONE).then(|| with_unit(number, shift, buffer, end))
}

fn with_unit(number: u64, shift: u32, buffer: &mut [u8; SIZE], end: usize) -> usize {
    let letter = UNITS[(shift / 10) as usize];
    let at = end - letter.len();
    buffer[at..end].copy_from_slice(letter.as_bytes());
    decimal_at(number, buffer, at)
}

/// Returns a size that is rounded down, in at most five characters: three digits or more,
/// and the unit; exact where that is shorter.
pub fn rough(bytes: u64) -> String {
    let exponent = (bytes.checked_ilog2().unwrap_or(0) / 10) as usize;
    let unit = match (bytes, exponent) {
        (0, _) => "",
        (_, 0) => "B",
        _ => UNITS[exponent],
    };
    let shift = 10 * exponent;
    let (whole, rest) = (bytes >> shift, bytes & ((1 << shift) - 1));
    let hundredths = (u128::from(rest) * 100) >> shift;
    match (whole, hundredths) {
        _ if rest == 0 => format!("{whole}{unit}"),
        (..10, _) => format!("{whole}.{hundredths:02}{unit}"),
        (10..100, _) => format!("{whole}.{}{unit}", hundredths / 10),
        _ => format!("{whole}{unit}"),
    }
}

/// Writes a number that ends at `end`. Returns where it begins.
fn decimal_at(number: u64, buffer: &mut [u8], end: usize) -> usize {
    let (mut at, mut rest) = (end, number);
    loop {
        at -= 1;
        buffer[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            return at;
        }
    }
}

/// Returns ASCII as text.
pub(crate) fn ascii(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}
