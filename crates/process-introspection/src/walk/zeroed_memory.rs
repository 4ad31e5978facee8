//! The zeroed memory (`.bss`) of executables and shared libraries: the anonymous
//! mappings that directly follow the data of an image. This module keeps the state of a
//! walk for this purpose; it reads program headers and no page.

use process_introspection_core::elf_file::{ElfFile, Segment, SEGMENT_SIZE};
use process_introspection_core::error::Result;
use process_introspection_core::vma::{Device, Vma, VmaCursor, VmaName};
use process_introspection_core::{image, ProcessHandle};

/// Maximum number of mappings of one `.bss`: one, and more if parts of it were
/// protected.
const MOST_MAPPINGS: usize = 4;

/// Number of images that are remembered, equal to the number of objects that the core
/// remembers.
const IMAGES: usize = 4;

/// Size in bytes of a read of program headers; most images have about a dozen.
const READ: usize = 8 * SEGMENT_SIZE;

/// Finder of the zeroed memory among the mappings of a walk, in their order.
#[derive(Debug)]
pub(crate) struct ZeroedMemory {
    images: Vec<Image>,
    next: usize,
    expected: Expected,
    /// True before the first mapping of a walk, if the mapping before it matters and
    /// was not read.
    is_first: bool,
}

/// An image and its zeroed memory.
#[derive(Debug)]
struct Image {
    device: Device,
    inode: u64,
    zeroed: Vec<Zeroed>,
}

impl ZeroedMemory {
    /// Returns a state without any image. A walk that skips the contents of files knows
    /// no image.
    pub(crate) fn new(skips_file_contents: bool) -> Self {
        Self {
            images: Vec::new(),
            next: 0,
            expected: Expected::NOTHING,
            is_first: !skips_file_contents,
        }
    }

    /// Returns true if the next mapping is zeroed memory of an image. `image` is the
    /// file, if the walk opened it for this mapping.
    ///
    /// # Errors
    /// ESRCH if the process's memory is gone; EMFILE, ENFILE and ENOMEM.
    pub(crate) fn contains(
        &mut self,
        process: &ProcessHandle,
        vma: &Vma,
        name: VmaName<'_>,
        image: Option<ElfFile>,
    ) -> Result<bool> {
        let is_first = std::mem::replace(&mut self.is_first, false);
        if vma.has_object() {
            return self.enter_object(process, vma, image).map(|()| false);
        }
        if !can_be_zeroed(vma, name) {
            return Ok(false);
        }
        if is_first {
            self.look_before(process, vma)?;
        }
        Ok(self.expected.accepts(vma))
    }

    /// Records which zeroed memory may follow a mapping of an object.
    fn enter_object(
        &mut self,
        process: &ProcessHandle,
        vma: &Vma,
        image: Option<ElfFile>,
    ) -> Result<()> {
        let page = process.page_size().bytes();
        if let Some(file) = image {
            let mut zeroed = Vec::new();
            let mut last = None;
            file.each_segment::<READ>(&mut |segment| add(&mut zeroed, &mut last, segment, page));
            file.check_reads()?;
            let image = Image {
                device: vma.device,
                inode: vma.inode,
                zeroed,
            };
            match self.images.get_mut(self.next) {
                Some(oldest) => *oldest = image,
                None => self.images.push(image),
            }
            self.next = (self.next + 1) % IMAGES;
        }
        let is_this = |image: &&Image| (image.device, image.inode) == (vma.device, vma.inode);
        let image = self.images.iter().find(is_this);
        let zeroed = image.map_or(&[][..], |image| &image.zeroed);
        self.expected = Expected::after(vma, zeroed);
        Ok(())
    }

    /// Finds the image before the first mapping of a walk, so that this mapping has the
    /// same kind as in a walk that begins below.
    #[cold]
    fn look_before(&mut self, process: &ProcessHandle, first: &Vma) -> Result<()> {
        let mut vmas = VmaCursor::new([0; 4096]);
        let mut passed = Vec::new();
        let mut start = first.range.start().as_u64();
        while passed.len() < MOST_MAPPINGS {
            let Some(vma) = vmas.area_before(process, start)? else {
                break;
            };
            if vma.has_object() {
                let image = image::open(process, vma, vmas.name())?;
                self.enter_object(process, &vma, image)?;
                passed
                    .iter()
                    .rev()
                    .for_each(|vma| _ = self.expected.accepts(vma));
                break;
            }
            if !can_be_zeroed(&vma, vmas.name()) {
                break;
            }
            start = vma.range.start().as_u64();
            passed.push(vma);
        }
        Ok(())
    }
}

fn can_be_zeroed(vma: &Vma, name: VmaName<'_>) -> bool {
    !vma.has_object() && !vma.shared && name.is_none()
}

/// Memory of an image that is not in its file, in whole pages.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
struct Zeroed {
    /// End, in the file, of the part that is mapped directly before it.
    file_end: u64,
    /// Size in bytes.
    size: u64,
}

/// Adds the zeroed memory of a segment. Segments come in the order of the program
/// headers, which is that of their addresses. `last` is, for the last segment that has
/// a part in the file, the end of that part in the file, and in linked addresses the
/// end of that part with its zeroed memory.
fn add(zeroed: &mut Vec<Zeroed>, last: &mut Option<(u64, u64)>, segment: &Segment, page: u64) {
    let end_of = |size| {
        let end = segment.address.checked_add(size)?.checked_add(page - 1)?;
        Some(end & !(page - 1))
    };
    let (Some(start), Some(end)) = (end_of(segment.file_size), end_of(segment.memory_size)) else {
        return;
    };
    if segment.file_size > 0 {
        *last = segment.file_end(page).map(|file_end| (file_end, start));
    }
    // A segment without any byte in the file belongs to the one before if it follows
    // directly.
    let Some((file_end, _)) = last.filter(|&(_, expected)| start == expected && start < end) else {
        return;
    };
    *last = Some((file_end, end));
    let size = end - start;
    // Sizes beyond all address spaces are errors of the file.
    if file_end.max(size) / page > u64::from(u32::MAX) {
        return;
    }
    match zeroed.iter_mut().find(|zeroed| zeroed.file_end == file_end) {
        Some(same) => same.size += size,
        None => zeroed.push(Zeroed { file_end, size }),
    }
}

/// Zeroed memory that is expected after the last mapping.
#[derive(Copy, Clone, Debug)]
struct Expected {
    /// Start of its next mapping.
    at: u64,
    /// Highest end of its last mapping, unless other memory was merged with that.
    end: u64,
    mappings_left: usize,
}

impl Expected {
    const NOTHING: Self = Self {
        at: 0,
        end: 0,
        mappings_left: 0,
    };

    /// Returns the memory that follows a mapping of a file with this zeroed memory.
    fn after(vma: &Vma, zeroed: &[Zeroed]) -> Self {
        let at = vma.range.end().as_u64();
        let file_end = vma.offset.checked_add(vma.range.size());
        let found = zeroed
            .iter()
            .find(|zeroed| Some(zeroed.file_end) == file_end);
        match found.filter(|_| !vma.shared) {
            Some(zeroed) => Self {
                at,
                end: at.saturating_add(zeroed.size),
                mappings_left: MOST_MAPPINGS,
            },
            None => Self::NOTHING,
        }
    }

    /// Returns true if this mapping, without an object and a name, begins in it.
    fn accepts(&mut self, vma: &Vma) -> bool {
        let start = vma.range.start().as_u64();
        if self.mappings_left == 0 || start != self.at || start >= self.end {
            *self = Self::NOTHING;
            return false;
        }
        self.at = vma.range.end().as_u64();
        self.mappings_left -= 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use process_introspection_core::pure;

    const PAGE: u64 = 0x1000;

    fn segment(offset: u64, address: u64, file_size: u64, memory_size: u64) -> Segment {
        Segment {
            offset,
            address,
            file_size,
            memory_size,
            flags: 0,
        }
    }

    fn zeroed(segments: &[Segment]) -> Vec<Zeroed> {
        let (mut zeroed, mut last) = (Vec::new(), None);
        for segment in segments {
            add(&mut zeroed, &mut last, segment, PAGE);
        }
        zeroed
    }

    #[test]
    fn what_the_file_lacks_of_a_segment_is_zeroed_memory() {
        let found = |file_end, size| vec![Zeroed { file_end, size }];
        let text = segment(0, 0, 0x1800, 0x1800);
        let data = segment(0x2e10, 0x3e10, 0x300, 0x2300);
        assert_eq!(zeroed(&[text, data]), found(0x4000, 0x2000));
        // Memory that ends within the last page of the file is no memory of its own.
        assert_eq!(zeroed(&[segment(0x2e10, 0x3e10, 0x300, 0x400)]), []);
        // A separate segment, directly behind the data or elsewhere.
        let data = segment(0x1000, 0x1000, 0x1000, 0x1000);
        let behind = segment(0x2000, 0x2000, 0, 0x3000);
        assert_eq!(zeroed(&[text, data, behind]), found(0x2000, 0x3000));
        assert_eq!(zeroed(&[data, segment(0x2000, 0x8000, 0, 0x3000)]), []);
    }

    #[test]
    fn impossible_sizes_are_no_memory_and_no_overflow() {
        for hostile in [
            segment(u64::MAX, u64::MAX, u64::MAX, u64::MAX),
            segment(0, u64::MAX - 5, 1, 5),
            segment(u64::MAX - 0x1000, 0, 0x1000, 0x9000),
            segment(0, 0, 1, u64::MAX - 0x1000),
            segment(1 << 60, 0, 1, 0x9000),
        ] {
            assert_eq!(zeroed(&[hostile]), [], "{hostile:?}");
        }
    }

    fn vma(start: u64, end: u64, offset: u64, inode: u64) -> Vma {
        let line = format!("{start:x}-{end:x} rw-p {offset:x} 00:00 {inode} ");
        pure::parse(line.as_bytes()).unwrap().0
    }

    fn after_data() -> Expected {
        let zeroed = zeroed(&[segment(0x2e10, 0x3e10, 0x300, 0x4300)]);
        Expected::after(&vma(0x13000, 0x14000, 0x3000, 5), &zeroed)
    }

    #[test]
    fn zeroed_memory_follows_the_data_mapping_by_mapping() {
        let mut expected = after_data();
        assert!(expected.accepts(&vma(0x14000, 0x15000, 0, 0)));
        assert!(expected.accepts(&vma(0x15000, 0x16000, 0, 0)));
        // The last mapping may have been merged with the memory behind it.
        assert!(expected.accepts(&vma(0x16000, 0x1a000, 0, 0)));
        assert!(!expected.accepts(&vma(0x1a000, 0x1b000, 0, 0)));
    }

    #[test]
    fn what_does_not_follow_the_data_is_not_its_zeroed_memory() {
        assert!(!after_data().accepts(&vma(0x15000, 0x16000, 0, 0)));
        let mut expected = after_data();
        assert!(!expected.accepts(&vma(0x20000, 0x21000, 0, 0)));
        let again = expected.accepts(&vma(0x14000, 0x15000, 0, 0));
        assert!(!again, "mappings ascend");
        assert!(!Expected::NOTHING.clone().accepts(&vma(0, 0x1000, 0, 0)));
    }
}
