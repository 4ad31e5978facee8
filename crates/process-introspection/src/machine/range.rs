//! Ranges of physical addresses. Pure.

use process_introspection_core::{PageSize, Pfn, PhysAddr};

/// Range of physical addresses, in bytes, without its end.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PhysRange {
    start: PhysAddr,
    end: PhysAddr,
}

impl PhysRange {
    /// Returns the range from `start` up to but not including `end`; `None` if it runs
    /// backwards.
    pub const fn new(start: PhysAddr, end: PhysAddr) -> Option<Self> {
        if start.as_u64() <= end.as_u64() {
            Some(Self { start, end })
        } else {
            None
        }
    }

    /// Returns the page that contains an address. (Without its last byte if it is the last
    /// page of all.)
    pub fn page_of(address: PhysAddr, page: PageSize) -> Self {
        let start = address.as_u64() & !(page.bytes() - 1);
        Self {
            start: PhysAddr::new(start),
            end: PhysAddr::new(start.saturating_add(page.bytes())),
        }
    }

    /// Returns the range of these frames.
    pub fn of_frames(frames: &std::ops::Range<u64>, page: PageSize) -> Self {
        // The end of the last frame of all has more than 64 bits.
        let address = |frame: u64| match frame >> (64 - page.shift()) {
            0 => Pfn::new(frame).address(page),
            _ => PhysAddr::new(u64::MAX),
        };
        Self {
            start: address(frames.start),
            end: address(frames.end),
        }
    }

    /// Returns the address of the first byte.
    pub const fn start(self) -> PhysAddr {
        self.start
    }

    /// Returns the address after the last byte.
    pub const fn end(self) -> PhysAddr {
        self.end
    }

    /// Returns the size in bytes.
    pub const fn size(self) -> u64 {
        self.end.as_u64() - self.start.as_u64()
    }

    /// Returns the last byte; `None` if the range is empty.
    pub(crate) fn last(self) -> Option<PhysAddr> {
        (self.start < self.end).then(|| PhysAddr::new(self.end.as_u64() - 1))
    }
}
