//! Executables and shared libraries as they lie in memory: the zeroed memory
//! behind their data, and by how much they were moved. Knows how areas follow
//! each other, not what they are called.

use crate::elf::{Segment, Zeroed, EXECUTE, WRITE};
use crate::elf_file::ElfFile;
use crate::error::Result;
use crate::process::Process;
use crate::vma::{Vma, VmaCursor};

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

/// How many places an area's file could be linked to that are weighed.
const MOST_CANDIDATES: usize = 4;

/// By how much an area's file was moved when it was loaded, modulo 2^64;
/// `None` if no segment holds what lies at `address`, which is in the area.
///
/// The last page of one segment's bytes and the first of the next one's can be
/// the same page of the file, mapped twice. What an area of such a page was
/// linked to is told by where the file's other segments are: `areas`, which has
/// given the area, looks for them and is left at the area again.
pub(crate) fn relocation<N: AsRef<[u8]> + AsMut<[u8]>>(
    process: &Process,
    file: &ElfFile,
    vma: &Vma,
    address: u64,
    areas: &mut VmaCursor<N>,
) -> Result<Option<u64>> {
    let page = process.page_size().bytes();
    let (start, size) = (vma.range.start().as_u64(), vma.range.size());
    let mut candidates = [None; MOST_CANDIDATES];
    let mut partly = None;
    let offset = vma.offset.saturating_add(address.wrapping_sub(start));
    file.each_segment(&mut |segment| {
        let moved = start.wrapping_sub(segment.linked_address(vma.offset));
        if segment.holds(vma.offset, size, page) {
            add(&mut candidates, moved, fits(segment, vma));
        } else if offset.wrapping_sub(segment.offset) < segment.file_size {
            // Mapped as a file, not as an image.
            partly = partly.or(Some(moved));
        }
    });
    let [first, second, ..] = candidates;
    match (first, second) {
        (Some(only), None) => return Ok(Some(only.moved)),
        (None, _) => return Ok(partly),
        _ => {}
    }
    let segments = (0..file.parts())
        .filter_map(|index| file.segment(index))
        .filter(|segment| segment.file_size > 0);
    for segment in segments.take(MOST_SEGMENTS_CHECKED) {
        for candidate in candidates.iter_mut().flatten() {
            let there = is_there(process, vma, &segment, candidate.moved, areas)?;
            candidate.segments += u32::from(there);
        }
    }
    areas.seek(process, start)?;
    let best = candidates.into_iter().flatten().reduce(|best, other| {
        if other.rank() > best.rank() {
            other
        } else {
            best
        }
    });
    Ok(best.map(|best| best.moved))
}

/// Each costs a look at the process's areas for each candidate.
const MOST_SEGMENTS_CHECKED: usize = 16;

#[derive(Copy, Clone)]
struct Candidate {
    moved: u64,
    /// Whether the area allows what its segment wanted.
    fits: bool,
    /// How many of the file's segments lie where they then would.
    segments: u32,
}

impl Candidate {
    fn rank(&self) -> (u32, bool) {
        (self.segments, self.fits)
    }
}

fn add(candidates: &mut [Option<Candidate>], moved: u64, fits: bool) {
    for candidate in candidates {
        match candidate {
            Some(same) if same.moved == moved => {
                same.fits |= fits;
                return;
            }
            Some(_) => {}
            None => {
                *candidate = Some(Candidate {
                    moved,
                    fits,
                    segments: 0,
                });
                return;
            }
        }
    }
}

fn fits(segment: &Segment, vma: &Vma) -> bool {
    let wants = |flag| segment.flags & flag != 0;
    wants(EXECUTE) == vma.protection.execute() && wants(WRITE) == vma.protection.write()
}

/// Whether a file's segment is mapped where it is if the file was moved so.
fn is_there<N: AsRef<[u8]> + AsMut<[u8]>>(
    process: &Process,
    of_file: &Vma,
    segment: &Segment,
    moved: u64,
    areas: &mut VmaCursor<N>,
) -> Result<bool> {
    let mask = !(process.page_size().bytes() - 1);
    let at = (segment.address & mask).wrapping_add(moved);
    let found = areas.seek(process, at)?;
    Ok(found.is_some_and(|vma| {
        let into = at.wrapping_sub(vma.range.start().as_u64());
        vma.range.contains(at.into())
            && (vma.device, vma.inode) == (of_file.device, of_file.inode)
            && vma.offset.checked_add(into) == Some(segment.offset & mask)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::AddrRange;
    use crate::elf::ZeroedFinder;
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
