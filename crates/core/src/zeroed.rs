//! The zeroed memory (`.bss`) behind the data of executables and shared libraries,
//! as it lies in memory. Knows how VMAs follow each other, not what they are called.

use crate::elf::Zeroed;
use crate::vma::Vma;

/// `.bss` is one area behind the data, more where parts of it were protected.
pub(crate) const MOST_ZEROED_AREAS: u8 = 4;

/// Whether an area can be an image's zeroed memory.
pub(crate) fn can_be_zeroed(vma: &Vma) -> bool {
    !vma.has_object() && !vma.shared
}

/// The zeroed memory that is expected behind the areas seen last.
#[derive(Copy, Clone, Debug)]
pub(crate) struct ZeroedMemory {
    /// Where its next area begins, and where the last one ends at the latest,
    /// if nothing else has been merged to it.
    at: u64,
    end: u64,
    areas_left: u8,
}

impl ZeroedMemory {
    pub(crate) const NONE: Self = Self {
        at: 0,
        end: 0,
        areas_left: 0,
    };

    /// What follows an area of a file that has this zeroed memory.
    pub(crate) fn behind(vma: &Vma, zeroed: &[Option<Zeroed>; 2], page: u64) -> Self {
        let at = vma.range.end().as_u64();
        let file_end = vma.offset.checked_add(vma.range.size());
        let size = file_end.and_then(|file_end| {
            let mut zeroed = zeroed.iter().flatten();
            zeroed.find_map(|zeroed| zeroed.behind(file_end, page))
        });
        match size.filter(|_| !vma.shared) {
            Some(size) => Self {
                at,
                end: at.saturating_add(size),
                areas_left: MOST_ZEROED_AREAS,
            },
            None => Self::NONE,
        }
    }

    /// Whether this area, one without an object or a name, begins in it.
    pub(crate) fn takes(&mut self, vma: &Vma) -> bool {
        let start = vma.range.start().as_u64();
        if self.areas_left == 0 || start != self.at || start >= self.end {
            *self = Self::NONE;
            return false;
        }
        self.at = vma.range.end().as_u64();
        self.areas_left -= 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::AddrRange;
    use crate::elf::{Segment, ZeroedFinder, WRITE};
    use crate::vma::{Device, Protection};

    const PAGE: u64 = 0x1000;

    fn area(start: u64, end: u64, offset: u64, inode: u64) -> Vma {
        Vma {
            range: AddrRange::new(start, end).unwrap(),
            protection: Protection::default(),
            shared: false,
            offset,
            device: Device::default(),
            inode,
            page_size: None,
        }
    }

    fn behind_data() -> ZeroedMemory {
        let mut finder = ZeroedFinder::default();
        let data = Segment {
            offset: 0x2e10,
            address: 0x3e10,
            file_size: 0x300,
            memory_size: 0x4300,
            flags: WRITE,
        };
        finder.feed(&data, PAGE);
        ZeroedMemory::behind(&area(0x13000, 0x14000, 0x3000, 5), &finder.found(), PAGE)
    }

    #[test]
    fn zeroed_memory_follows_the_data_area_by_area() {
        let mut memory = behind_data();
        assert!(memory.takes(&area(0x14000, 0x15000, 0, 0)));
        assert!(memory.takes(&area(0x15000, 0x16000, 0, 0)));
        // The last one may have been merged with what lies behind it.
        assert!(memory.takes(&area(0x16000, 0x1a000, 0, 0)));
        assert!(!memory.takes(&area(0x1a000, 0x1b000, 0, 0)));
    }

    #[test]
    fn what_does_not_follow_the_data_is_not_its_zeroed_memory() {
        assert!(!behind_data().takes(&area(0x15000, 0x16000, 0, 0)));
        let mut memory = behind_data();
        assert!(!memory.takes(&area(0x20000, 0x21000, 0, 0)));
        assert!(!memory.takes(&area(0x14000, 0x15000, 0, 0)), "areas ascend");
        let mut nothing = ZeroedMemory::NONE;
        assert!(!nothing.takes(&area(0, 0x1000, 0, 0)));
    }
}
