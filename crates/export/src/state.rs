//! States of memory by name.

use process_introspection::{Backing, ExtentBacking};

use crate::types::word_list;

word_list! {
    /// State of the memory at the addresses of a record.
    #[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
    #[non_exhaustive]
    pub enum State {
        /// RAM.
        Ram = "ram",
        /// Memory of a device.
        Device = "device",
        /// Zero page of the kernel.
        Zero = "zero",
        /// In memory; its address was not requested.
        Resident = "resident",
        /// No memory yet, or no longer.
        NotPresent = "not-present",
        /// In a swap area.
        Swapped = "swapped",
        /// Guard region.
        Guard = "guard",
        /// Lost to a memory error.
        Poisoned = "poisoned",
        /// Being migrated to another frame.
        Migrating = "migrating",
        /// Marker entry of the kernel without memory.
        Marker = "marker",
        /// Mapped; nothing more is known.
        Unknown = "unknown",
        /// In no mapping.
        Unmapped = "unmapped",
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
