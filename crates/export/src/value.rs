//! Values of fields.

use process_introspection::FrameFlags;

use crate::name::Name;
use crate::number::{DeviceNumber, Hex, Real, SignedHex, Time};

/// Value of a field.
#[derive(Copy, Clone, Debug)]
pub enum Value<'a> {
    /// No value.
    Null,
    /// Number.
    Number(u64),
    /// Number that need not be whole.
    Real(Real),
    /// Number that is written in hexadecimal.
    Hex(Hex),
    /// Signed number that is written in hexadecimal.
    SignedHex(SignedHex),
    /// Decimal number of more than 53 bits.
    Decimal(u64),
    /// True or false.
    Truth(bool),
    /// Word that this program or the kernel chose: printable ASCII.
    Word(&'a str),
    /// Text that anybody could have chosen.
    Text(&'a str),
    /// Device number.
    Device(DeviceNumber),
    /// Name of any bytes; null if it is empty.
    Name(Name<'a>),
    /// Time of day.
    Time(Time),
    /// List of texts that anybody could have chosen.
    Texts(&'a [String]),
    /// List of numbers.
    Numbers(&'a [u64]),
    /// Flags of a page frame.
    Flags(FlagNames),
    /// Names of flags, each with a number of pages.
    Counts(&'a FlagCounts),
}

/// A number that can have more than 53 bits; in JSON a string, because JSON numbers
/// lose bits past 2^53.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Decimal(pub u64);

/// Text that anybody could have chosen.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Text<'a>(pub &'a str);

/// Flags of a page frame as the kernel exports them.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct FlagNames(pub FrameFlags);

impl FlagNames {
    /// Returns the names, in the order of the bits; `bitN` for a bit without one.
    pub fn names(self) -> impl Iterator<Item = String> {
        self.0.set_bits().map(flag_name)
    }
}

/// Returns the kernel's name of a bit in kpageflags, `bitN` without one.
pub(crate) fn flag_name(bit: u32) -> String {
    FrameFlags::name_of(bit).map_or_else(|| format!("bit{bit}"), str::to_owned)
}

/// Names of flags, each with the number of pages that have it, in the order of the bits.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct FlagCounts(pub Vec<(String, u64)>);

impl Value<'_> {
    /// Returns a list as one text, for formats without lists.
    pub(crate) fn joined(self) -> String {
        let with_bars = |parts: Vec<String>| parts.join("|");
        match self {
            Self::Texts(texts) => texts.join(" > "),
            Self::Numbers(numbers) => with_bars(numbers.iter().map(u64::to_string).collect()),
            Self::Flags(flags) => with_bars(flags.names().collect()),
            Self::Counts(FlagCounts(counts)) => {
                let flags = counts.iter();
                with_bars(
                    flags
                        .map(|(name, count)| format!("{name}:{count}"))
                        .collect(),
                )
            }
            _ => String::new(),
        }
    }
}
