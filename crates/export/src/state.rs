//! States of memory by name.

use process_introspection::{Backing, ExtentBacking};

use crate::types::closed_list;

/// State of the memory at the addresses of a record.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// RAM.
    Ram,
    /// Memory of a device.
    Device,
    /// Zero page of the kernel.
    Zero,
    /// In memory; its address was not requested.
    Resident,
    /// No memory yet, or no longer.
    NotPresent,
    /// In a swap area.
    Swapped,
    /// Guard region.
    Guard,
    /// Lost to a memory error.
    Poisoned,
    /// Being migrated to another frame.
    Migrating,
    /// Marker entry of the kernel without memory.
    Marker,
    /// Mapped; nothing more is known.
    Unknown,
    /// In no mapping.
    Unmapped,
}

impl State {
    /// All states.
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

    /// Returns its name in every format.
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

closed_list!(State);
