//! The texts `RANGE`, `ADDR`, `PADDR` and `SIZE`. Performs no I/O.

use std::fmt;
use std::str::FromStr;

use process_introspection::{AddrRange, PageSize, PhysAddr, PhysRange};

/// A range of addresses: `START-END`, `START+SIZE`, or one address, which means its page.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum RangeText {
    /// From one address to before another.
    Span(AddrRange),
    /// The page that holds this address.
    Page(u64),
}

/// An address, in hexadecimal.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address(pub(crate) u64);

/// A physical address in hexadecimal, or `pfn:` and the number of a page frame,
/// decimal or in hexadecimal with `0x`.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum PhysicalText {
    /// An address.
    Address(u64),
    /// A page frame.
    Frame(u64),
}

/// Physical memory: an address or `pfn:` and a page frame, which mean a page, or a range
/// of addresses.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum PhysicalRangeText {
    /// A page.
    Page(PhysicalText),
    /// From one address to before another.
    Span(AddrRange),
}

/// A number of bytes, not 0: decimal, in hexadecimal with `0x`, or with one of
/// the units K, M, G, T (of 1024).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

/// Error of a text that is none of these.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Invalid {
    /// No hexadecimal number of 64 bits.
    Address,
    /// No number of a page frame.
    Frame,
    /// No size of 64 bits.
    Size,
    /// The range or size is empty.
    Empty,
    /// The range ends before it starts.
    Backwards,
    /// The range ends after the end of the address space.
    TooLong,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Address => "an address is a hexadecimal number of at most 64 bits",
            Self::Frame => "the number of a page frame is a decimal number, or a hexadecimal one with 0x",
            Self::Size => "a size is a decimal number, a hexadecimal one with 0x, or a decimal one with K, M, G or T",
            Self::Empty => "it holds no byte",
            Self::Backwards => "its start is greater than its end",
            Self::TooLong => "it goes past the end of the address space",
        })
    }
}

impl std::error::Error for Invalid {}

impl RangeText {
    /// Returns the address, if the text is one address.
    pub(crate) fn address(self) -> Option<u64> {
        match self {
            Self::Page(address) => Some(address),
            Self::Span(_) => None,
        }
    }

    /// Returns the addresses.
    pub(crate) fn resolve(self, page: PageSize) -> AddrRange {
        match self {
            Self::Span(range) => range,
            Self::Page(address) => AddrRange::inclusive(address, address)
                .unwrap_or_default()
                .widened(page),
        }
    }
}

impl FromStr for RangeText {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (start, end) = if let Some((start, size)) = text.split_once('+') {
            let (Address(start), Size(size)) = (start.parse()?, size.parse()?);
            (start, start.checked_add(size).ok_or(Invalid::TooLong)?)
        } else if let Some((start, end)) = text.split_once('-') {
            let (Address(start), Address(end)) = (start.parse()?, end.parse()?);
            (start, end)
        } else {
            let Address(address) = text.parse()?;
            return Ok(Self::Page(address));
        };
        let range = AddrRange::new(start, end).ok_or(Invalid::Backwards)?;
        if range.is_empty() {
            return Err(Invalid::Empty);
        }
        Ok(Self::Span(range))
    }
}

impl FromStr for Address {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        hexadecimal(after_0x(text).unwrap_or(text))
            .map(Self)
            .ok_or(Invalid::Address)
    }
}

impl PhysicalText {
    /// Returns the address; `None` if it has more than 64 bits.
    pub(crate) fn resolve(self, page: PageSize) -> Option<PhysAddr> {
        match self {
            Self::Address(address) => Some(PhysAddr::new(address)),
            Self::Frame(frame) => frame.checked_mul(page.bytes()).map(PhysAddr::new),
        }
    }
}

impl FromStr for PhysicalText {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let Some(number) = text.strip_prefix("pfn:") else {
            return text.parse().map(|Address(address)| Self::Address(address));
        };
        let frame = match after_0x(number) {
            Some(digits) => hexadecimal(digits),
            None => decimal(number),
        };
        frame.map(Self::Frame).ok_or(Invalid::Frame)
    }
}

impl PhysicalRangeText {
    /// Returns the first address; `None` if it has more than 64 bits.
    pub(crate) fn first(self, page: PageSize) -> Option<PhysAddr> {
        match self {
            Self::Page(place) => place.resolve(page),
            Self::Span(range) => Some(PhysAddr::new(range.start().as_u64())),
        }
    }

    /// Returns the addresses; `None` if they have more than 64 bits.
    pub(crate) fn resolve(self, page: PageSize) -> Option<PhysRange> {
        match self {
            Self::Page(place) => {
                let address = place.resolve(page)?;
                Some(PhysRange::page_of(address, page))
            }
            Self::Span(range) => {
                let [start, end] =
                    [range.start(), range.end()].map(|bound| PhysAddr::new(bound.as_u64()));
                PhysRange::new(start, end)
            }
        }
    }
}

impl FromStr for PhysicalRangeText {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text.starts_with("pfn:") || !text.contains(['-', '+']) {
            return text.parse().map(Self::Page);
        }
        match text.parse()? {
            RangeText::Span(range) => Ok(Self::Span(range)),
            RangeText::Page(address) => Ok(Self::Page(PhysicalText::Address(address))),
        }
    }
}

impl FromStr for Size {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let size = match after_0x(text) {
            Some(digits) => hexadecimal(digits),
            None => decimal_with_unit(text),
        };
        match size {
            None => Err(Invalid::Size),
            Some(0) => Err(Invalid::Empty),
            Some(size) => Ok(Self(size)),
        }
    }
}

fn after_0x(text: &str) -> Option<&str> {
    text.strip_prefix("0x").or(text.strip_prefix("0X"))
}

/// Parses digits without a sign.
fn hexadecimal(digits: &str) -> Option<u64> {
    let valid = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    valid
        .then(|| u64::from_str_radix(digits, 16).ok())
        .flatten()
}

fn decimal_with_unit(text: &str) -> Option<u64> {
    let shift = match text.as_bytes().last()? {
        b'K' | b'k' => 10,
        b'M' | b'm' => 20,
        b'G' | b'g' => 30,
        b'T' | b't' => 40,
        _ => 0,
    };
    let digits = text.len() - usize::from(shift > 0);
    decimal(&text[..digits])?.checked_mul(1 << shift)
}

/// Parses digits without a sign.
fn decimal(digits: &str) -> Option<u64> {
    let valid = digits.bytes().all(|byte| byte.is_ascii_digit());
    valid.then(|| digits.parse().ok()).flatten()
}
