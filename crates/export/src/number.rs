//! Numbers as text: hexadecimal, device numbers, sizes in the largest exact
//! unit. Written by hand because these are most of what a record is, and the
//! formatting machinery takes several times as long.

use process_introspection::{Device, PhysAddr, VirtAddr};
use serde::{Serialize, Serializer};

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// A number that is written in hexadecimal: an address, an offset, flags. In
/// JSON and CSV a string with `0x`, because JSON numbers lose bits past 2^53.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Hex(pub u64);

impl Hex {
    /// The text with `0x`, in `buffer`.
    pub(crate) fn prefixed(self, buffer: &mut [u8; 18]) -> &str {
        let mut at = self.digits(buffer);
        at -= 2;
        buffer[at..at + 2].copy_from_slice(b"0x");
        ascii(&buffer[at..])
    }

    /// The digits alone, in `buffer`.
    pub(crate) fn plain(self, buffer: &mut [u8; 18]) -> &str {
        let at = self.digits(buffer);
        ascii(&buffer[at..])
    }

    /// Fills the end of `buffer` with digits, at least one; where they begin.
    fn digits(self, buffer: &mut [u8; 18]) -> usize {
        let (mut at, mut rest) = (buffer.len(), self.0);
        loop {
            at -= 1;
            buffer[at] = DIGITS[(rest & 0xf) as usize];
            rest >>= 4;
            if rest == 0 {
                return at;
            }
        }
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

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.prefixed(&mut [0; 18]))
    }
}

/// A difference of addresses, in hexadecimal with its sign: `-0x1000`. In JSON
/// a string, for the same reason.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SignedHex(pub i64);

impl SignedHex {
    /// The text with `0x`, and with `-` before that if it is negative.
    pub(crate) fn text(self) -> String {
        let sign = if self.0 < 0 { "-" } else { "" };
        let mut digits = [0; 18];
        format!("{sign}{}", Hex(self.0.unsigned_abs()).prefixed(&mut digits))
    }
}

impl Serialize for SignedHex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text())
    }
}

/// The number of the device that holds an object, as the kernel's `maps` file writes
/// it: `fe:00`; `00:00` without an object.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct DeviceNumber(pub Device);

impl DeviceNumber {
    /// The text, in `buffer`.
    pub(crate) fn text(self, buffer: &mut [u8; 18]) -> &str {
        let mut at = buffer.len();
        for (last, number) in [(true, self.0.minor), (false, self.0.major)] {
            if !last {
                at -= 1;
                buffer[at] = b':';
            }
            let (mut rest, mut count) = (number, 0);
            while rest != 0 || count < 2 {
                at -= 1;
                buffer[at] = DIGITS[(rest & 0xf) as usize];
                rest >>= 4;
                count += 1;
            }
        }
        ascii(&buffer[at..])
    }
}

impl From<Device> for DeviceNumber {
    fn from(device: Device) -> Self {
        Self(device)
    }
}

impl Serialize for DeviceNumber {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.text(&mut [0; 18]))
    }
}

/// A number in decimal, in `buffer`.
pub(crate) fn decimal(number: u64, buffer: &mut [u8; 21]) -> &str {
    let at = decimal_at(number, buffer, 21);
    ascii(&buffer[at..])
}

/// A size in the largest of the units G, M, K and bytes that is exact.
pub(crate) fn size(bytes: u64, buffer: &mut [u8; 21]) -> &str {
    let unit = match bytes.trailing_zeros() {
        64 => None,
        30.. => Some((30, b'G')),
        20.. => Some((20, b'M')),
        10.. => Some((10, b'K')),
        _ => None,
    };
    let Some((shift, letter)) = unit else {
        return decimal(bytes, buffer);
    };
    buffer[20] = letter;
    let at = decimal_at(bytes >> shift, buffer, 20);
    ascii(&buffer[at..])
}

/// About so many bytes, rounded down, in at most five characters: three digits
/// or more, and the unit; exact where that is shorter.
pub(crate) fn rough(bytes: u64) -> String {
    const UNITS: [char; 6] = ['K', 'M', 'G', 'T', 'P', 'E'];
    let exponent = (bytes.checked_ilog2().unwrap_or(0) / 10) as usize;
    let Some(&unit) = exponent.checked_sub(1).and_then(|at| UNITS.get(at)) else {
        let unit = if bytes == 0 { "" } else { "B" };
        return format!("{bytes}{unit}");
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

fn decimal_at(number: u64, buffer: &mut [u8; 21], end: usize) -> usize {
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

fn ascii(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_are_written_as_the_standard_library_writes_them(number: u64, shift in 0u32..64) {
            let number = number >> shift;
            prop_assert_eq!(Hex(number).prefixed(&mut [0; 18]).to_owned(), format!("{number:#x}"));
            prop_assert_eq!(Hex(number).plain(&mut [0; 18]).to_owned(), format!("{number:x}"));
            prop_assert_eq!(decimal(number, &mut [0; 21]).to_owned(), number.to_string());
        }

        #[test]
        fn a_device_number_is_written_as_the_library_writes_it(major: u32, minor: u32) {
            let device = Device { major, minor };
            prop_assert_eq!(DeviceNumber(device).text(&mut [0; 18]).to_owned(), device.to_string());
        }

        #[test]
        fn a_size_is_exact(bytes: u64, shift in 0u32..64) {
            let bytes = bytes >> shift << (shift / 2);
            let mut buffer = [0; 21];
            let text = size(bytes, &mut buffer);
            let digits = text.trim_end_matches(['K', 'M', 'G']);
            let unit = match &text[digits.len()..] { "G" => 30, "M" => 20, "K" => 10, _ => 0 };
            prop_assert_eq!(digits.parse::<u64>().unwrap() << unit, bytes);
        }
    }

    #[test]
    fn a_size_has_the_largest_exact_unit() {
        let text = |bytes| size(bytes, &mut [0; 21]).to_owned();
        assert_eq!(text(0), "0");
        assert_eq!(text(1234), "1234");
        assert_eq!(text(132 << 10), "132K");
        assert_eq!(text(2 << 20), "2M");
        assert_eq!(text(1 << 30), "1G");
        assert_eq!(text((1 << 30) + 4096), "1048580K");
        assert_eq!(text(u64::MAX), u64::MAX.to_string());
        assert_eq!(text(1 << 63), "8589934592G");
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
}
