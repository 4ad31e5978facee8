//! Decoder of `/proc/PID/pagemap` entries. Pure; reads nothing and knows no mapping.

use crate::addr::Pfn;
use crate::backing::SwapPlace;

/// One entry of `/proc/PID/pagemap`, for one base page: the kernel's 64 bits
/// (Documentation/admin-guide/mm/pagemap.rst).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Entry(u64);

/// Meaning of an entry that is not present.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NonPresent {
    /// No memory: the page was never touched, or was dropped.
    Empty,
    /// A guard region (`MADV_GUARD_INSTALL`, Linux 6.13).
    Guard,
    /// Place in a swap area.
    Swap(SwapPlace),
    /// Marker of a page whose contents are lost.
    Poisoned,
    /// Another marker of the kernel, with its bits.
    Marker(u64),
    /// Entry that names a frame: a page that is in migration, poisoned, in a device's
    /// private memory or a device's exclusively. The types' numbers depend on the
    /// kernel's configuration and do not distinguish these. In a configuration with more
    /// than 22 swap areas it can also be a place in one of the others.
    Frame(Pfn),
}

impl Entry {
    pub(crate) const PRESENT: u64 = 1 << 63;
    pub(crate) const SWAP: u64 = 1 << 62;
    pub(crate) const FILE: u64 = 1 << 61;
    const GUARD: u64 = 1 << 58;
    const UFFD_WP: u64 = 1 << 57;
    pub(crate) const EXCLUSIVE: u64 = 1 << 56;
    pub(crate) const FRAME: u64 = (1 << 55) - 1;

    const SWAP_TYPE_BITS: u32 = 5;
    /// Number of swap areas that every configuration supports: 32 less 4 device, 3
    /// migration, 1 poison and 1 marker types, and in 5.19 to 6.2 one for pages that
    /// could not be read from swap (include/linux/swap.h, `MAX_SWAPFILES`, Linux 5.10 to
    /// 7.2).
    const FEWEST_SWAP_AREAS: u64 = 22;
    /// Type of markers, `SWP_PTE_MARKER`, the last type, since 5.19; its offset is a few
    /// bits (include/linux/swapops.h). On older kernels the type could name a
    /// device-private frame, but no such frame has a number as low as these bits.
    const MARKER_TYPE: u64 = 31;
    /// Type of markers in 5.19 to 6.2, where type 31 is `SWP_SWAPIN_ERROR` and the only
    /// marker is userfaultfd's, which also has bit 57.
    const EARLY_MARKER_TYPE: u64 = 30;
    const MARKER_UFFD_WP: u64 = 1 << 0;
    const MARKER_POISONED: u64 = 1 << 1;
    /// Bit of a guard marker, since 6.13; since 6.15 bit 58 of the entry is also set.
    const MARKER_GUARD: u64 = 1 << 2;
    const MARKER_BITS: u64 = 0x1f;

    /// Wraps the kernel's 64 bits.
    pub const fn from_raw(raw: u64) -> Self {
        Self(raw)
    }

    /// The kernel's 64 bits.
    pub const fn raw(self) -> u64 {
        self.0
    }

    /// Returns whether the page is resident and mapped (bit 63).
    pub const fn is_present(self) -> bool {
        self.0 & Self::PRESENT != 0
    }

    /// Returns whether the entry contains neither memory nor anything else.
    pub const fn is_empty(self) -> bool {
        self.0 & (Self::PRESENT | Self::SWAP) == 0
    }

    /// Returns whether the page belongs to a file or to shared memory (bit 61); clear
    /// on private copies of file pages.
    pub const fn is_file(self) -> bool {
        self.0 & Self::FILE != 0
    }

    /// Returns whether the page is mapped once (bit 56).
    pub(crate) const fn is_exclusive(self) -> bool {
        self.0 & Self::EXCLUSIVE != 0
    }

    /// Returns bits 0 to 54: the frame, if the page is present.
    pub(crate) const fn frame_bits(self) -> Pfn {
        Pfn::new(self.0 & Self::FRAME)
    }

    /// Returns the entry of the page `pages` higher that the same huge entry maps.
    pub(crate) const fn further(self, pages: u64) -> Self {
        let frame = (self.0 & Self::FRAME).wrapping_add(pages) & Self::FRAME;
        Self(self.0 & !Self::FRAME | frame)
    }

    /// Returns the frame of a present page; 0 for callers who cannot see frames.
    pub const fn frame(self) -> Option<Pfn> {
        if self.is_present() {
            Some(Pfn::new(self.0 & Self::FRAME))
        } else {
            None
        }
    }

    /// Returns the meaning of an entry that is not present; `None` if it is present.
    pub const fn non_present(self) -> Option<NonPresent> {
        if self.is_present() {
            return None;
        }
        if self.0 & Self::SWAP == 0 {
            return Some(NonPresent::Empty);
        }
        if self.0 & Self::GUARD != 0 {
            return Some(NonPresent::Guard);
        }
        let area = self.0 & ((1 << Self::SWAP_TYPE_BITS) - 1);
        let offset = (self.0 & Self::FRAME) >> Self::SWAP_TYPE_BITS;
        Some(if area < Self::FEWEST_SWAP_AREAS {
            NonPresent::Swap(SwapPlace {
                area: area as u8,
                offset,
            })
        } else if area == Self::MARKER_TYPE && offset & !Self::MARKER_BITS == 0 {
            if offset & Self::MARKER_POISONED != 0 {
                NonPresent::Poisoned
            } else if offset & Self::MARKER_GUARD != 0 {
                NonPresent::Guard
            } else {
                NonPresent::Marker(offset)
            }
        } else if area == Self::EARLY_MARKER_TYPE
            && offset == Self::MARKER_UFFD_WP
            && self.0 & Self::UFFD_WP != 0
        {
            NonPresent::Marker(offset)
        } else {
            NonPresent::Frame(Pfn::new(offset))
        })
    }
}
