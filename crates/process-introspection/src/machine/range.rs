//! Ranges of physical addresses. Pure.

use process_introspection_core::{PageSize, Pfn, PhysAddr};

/// A range of physical addresses, in bytes; its end is not a part of it.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PhysRange {
    start: PhysAddr,
    end: PhysAddr,
}

impl PhysRange {
    /// From `start` to before `end`; `None` if it runs backwards.
    pub const fn new(start: PhysAddr, end: PhysAddr) -> Option<Self> {
        if start.as_u64() <= end.as_u64() {
            Some(Self { start, end })
        } else {
            None
        }
    }

    /// The page that holds an address. (Without its last byte if that is the
    /// last of all.)
    pub fn page_of(address: PhysAddr, page: PageSize) -> Self {
        let start = address.as_u64() & !(page.bytes() - 1);
        Self {
            start: PhysAddr::new(start),
            end: PhysAddr::new(start.saturating_add(page.bytes())),
        }
    }

    /// Returns the range of these frames.
    pub(crate) fn of_frames(frames: &std::ops::Range<u64>, page: PageSize) -> Self {
        // The last frame's end has more than 64 bits.
        let address = |frame: u64| match frame >> (64 - page.shift()) {
            0 => Pfn::new(frame).address(page),
            _ => PhysAddr::new(u64::MAX),
        };
        Self {
            start: address(frames.start),
            end: address(frames.end),
        }
    }

    /// Returns the address of its first byte.
    pub const fn start(self) -> PhysAddr {
        self.start
    }

    /// Returns the address behind its last byte.
    pub const fn end(self) -> PhysAddr {
        self.end
    }

    /// Returns its size in bytes.
    pub const fn size(self) -> u64 {
        self.end.as_u64() - self.start.as_u64()
    }

    /// Its last byte; `None` if it is empty.
    pub(crate) fn last(self) -> Option<PhysAddr> {
        (self.start < self.end).then(|| PhysAddr::new(self.end.as_u64() - 1))
    }
}
