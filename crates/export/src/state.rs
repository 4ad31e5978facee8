//! The names of what is behind a page.

use process_introspection::{Backing, ExtentBacking};
use serde::{Serialize, Serializer};

/// What is behind the addresses of a record.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// Memory.
    Ram,
    /// A device's memory.
    Device,
    /// The kernel's zero page.
    Zero,
    /// Memory, whose address was not asked for.
    Resident,
    /// Nothing yet, or no more.
    NotPresent,
    /// In swap.
    Swapped,
    /// A guard region.
    Guard,
    /// Lost to a memory error.
    Poisoned,
    /// Being moved to another frame.
    Migrating,
    /// A marker of the kernel's and nothing else.
    Marker,
    /// Mapped, and no more can be known from here.
    Unknown,
    /// Not mapped.
    Unmapped,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Ram,
        Self::Device,
        Self::Zero,
        Self::Resident,
        Self::NotPresent,
        Self::Swapped,
        Self::Guard,
        Self::Poisoned,
        Self::Migrating,
        Self::Marker,
        Self::Unknown,
        Self::Unmapped,
    ];

    /// Its name in every format.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ram => "ram",
            Self::Device => "device",
            Self::Zero => "zero",
            Self::Resident => "resident",
            Self::NotPresent => "not-present",
            Self::Swapped => "swapped",
            Self::Guard => "guard",
            Self::Poisoned => "poisoned",
            Self::Migrating => "migrating",
            Self::Marker => "marker",
            Self::Unknown => "unknown",
            Self::Unmapped => "unmapped",
        }
    }
}

impl From<Backing> for State {
    fn from(backing: Backing) -> Self {
        match backing {
            Backing::Ram(_) => Self::Ram,
            Backing::Device(_) => Self::Device,
            Backing::Zero(_) => Self::Zero,
            Backing::Resident => Self::Resident,
            Backing::NotPresent => Self::NotPresent,
            Backing::Swapped(_) => Self::Swapped,
            Backing::Guard => Self::Guard,
            Backing::Poisoned => Self::Poisoned,
            Backing::Migrating => Self::Migrating,
            Backing::Marker => Self::Marker,
            _ => Self::Unknown,
        }
    }
}

impl From<ExtentBacking> for State {
    fn from(backing: ExtentBacking) -> Self {
        match backing {
            ExtentBacking::Ram(_) => Self::Ram,
            ExtentBacking::Device(_) => Self::Device,
            ExtentBacking::Zero(_) => Self::Zero,
            ExtentBacking::Missing(reason) => reason.into(),
            ExtentBacking::Unmapped => Self::Unmapped,
            _ => Self::Unknown,
        }
    }
}

impl Serialize for State {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
