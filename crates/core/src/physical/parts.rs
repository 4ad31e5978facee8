//! Enumerates the VMAs of a range, each with the context that a walk of its pages needs.
//! Reads no page.

use super::state::PageContext;
use crate::addr::{AddrRange, PageSize};
use crate::backing::Unlisted;
use crate::classify::Classifier;
use crate::device::DeviceCache;
use crate::elf_file::ElfFile;
use crate::error::Result;
use crate::mapping::{ClassifiedVma, MappingKind, PageSource};
use crate::pagemap::Part;
use crate::process::{Access, ProcessHandle};
use crate::vma::{Vma, VmaCursor, VmaName};

/// Part of one mapping that remains to be walked.
#[derive(Copy, Clone, Debug)]
pub struct VmaPart {
    pub(super) mapping: ClassifiedVma,
    pub(super) context: PageContext,
    /// Remaining addresses, and the possible sizes of their pages.
    pub(super) part: Part,
    /// Alignment of the largest page that it can contain, as far as is known.
    block: PageSize,
}

impl VmaPart {
    /// Returns the mapping that it is a part of.
    pub const fn mapping(&self) -> &ClassifiedVma {
        &self.mapping
    }

    /// Returns the addresses that remain to be walked, whole pages.
    pub fn left(&self) -> AddrRange {
        AddrRange::new(self.part.at, self.part.end).unwrap_or_default()
    }

    /// Keeps the first `bytes` of the remaining addresses, up to the next border that no
    /// page crosses, and returns the rest; `None` if that is empty.
    pub fn split_off(&mut self, bytes: u64) -> Option<Self> {
        let mask = self.block.bytes() - 1;
        let border = self.part.at.checked_add(bytes)?.checked_add(mask)? & !mask;
        if border >= self.part.end || border <= self.part.at {
            return None;
        }
        let mut rest = *self;
        rest.part.at = border;
        self.part.end = border;
        self.part.ahead = border;
        Some(rest)
    }

    /// Limits reading ahead to `end`. A walk reads the entries of small VMAs that follow
    /// each other closely in advance.
    pub fn read_ahead_to(&mut self, end: u64) {
        self.part.ahead = self.part.ahead.min(end).max(self.part.end);
    }
}

/// Enumerates the VMAs of a range. `N` is the storage for a name.
#[derive(Debug)]
pub struct VmaPartCursor<N> {
    vmas: VmaCursor<N>,
    objects: Classifier,
    devices: DeviceCache,
    /// Address below which every VMA was returned.
    next: u64,
    range: AddrRange,
    page: PageSize,
    frames: bool,
    whole_leaves: bool,
}

impl<N: AsRef<[u8]> + AsMut<[u8]>> VmaPartCursor<N> {
    /// Enumerates the VMAs of `range`, widened to whole pages, for a walk with `access`.
    ///
    /// # Errors
    /// EPERM if addresses are requested and frame numbers hidden.
    pub fn new(process: &ProcessHandle, range: AddrRange, access: Access, name: N) -> Result<Self> {
        let frames = access == Access::Frames;
        if frames {
            process.frames()?;
        }
        Ok(Self::start(process, range, frames, false, name))
    }

    /// Makes the cursor without a check, see `PhysicalCursor::start`.
    #[inline(always)]
    pub(super) fn start(
        process: &ProcessHandle,
        range: AddrRange,
        frames: bool,
        whole_leaves: bool,
        name: N,
    ) -> Self {
        let page = process.page_size();
        let range = range.widened(page);
        Self {
            vmas: VmaCursor::new(name),
            objects: Classifier::default(),
            devices: DeviceCache::default(),
            next: range.start().as_u64(),
            range,
            page,
            frames,
            whole_leaves,
        }
    }

    /// Disables reading the contents of files to find kinds: executables and shared
    /// libraries are then files like others, and their zeroed memory is anonymous. For
    /// walks that skip most of the VMAs.
    pub fn skip_file_contents(&mut self) {
        self.objects.skip_contents();
    }

    /// Returns the executable or shared library that was opened to find the kind of the
    /// mapping returned last; `None` also if the kind was known already. Requires a
    /// process that [keeps images](ProcessHandle::keeping_images).
    pub fn take_image(&mut self) -> Option<ElfFile> {
        self.objects.take_image()
    }

    /// Returns the requested range, in whole pages.
    pub fn range(&self) -> AddrRange {
        self.range
    }

    /// Returns the name of the VMA that was returned last.
    pub fn name(&self) -> VmaName<'_> {
        self.vmas.name()
    }

    /// Returns the next VMA; `None` past the last.
    ///
    /// # Errors
    /// ESRCH when the process's memory goes away before the end.
    pub fn next(&mut self, process: &ProcessHandle) -> Result<Option<VmaPart>> {
        let end = self.range.end().as_u64();
        if self.next >= end {
            return Ok(None);
        }
        let left = self.next;
        let Some(vma) = self.vmas.next_from(process, left)? else {
            self.next = end;
            return Ok(None);
        };
        let (vma_start, vma_end) = (vma.range.start().as_u64(), vma.range.end().as_u64());
        if vma_start >= end {
            self.next = end;
            return Ok(None);
        }
        let leaf = self.leaf(&vma);
        let block = leaf.unwrap_or(self.page.pmd());
        let mask = if self.whole_leaves { block } else { self.page }.bytes() - 1;
        let first = left == self.range.start().as_u64();
        let low = if first { left & !mask } else { left };
        let high = end.checked_add(mask).map_or(u64::MAX, |end| end & !mask);
        let mut mapping = self.objects.mapping(process, vma, self.vmas.name())?;
        if mapping.kind == MappingKind::Device && self.frames {
            match self.devices.locate(process, &vma, self.vmas.name())? {
                Some(unlisted) => mapping.unlisted = unlisted,
                None => {
                    mapping.unlisted = Unlisted::Nothing;
                    mapping.source = PageSource::Persistent;
                }
            }
        }
        let end = vma_end.min(high);
        // VMAs that follow each other closely share a read.
        let follows = vma_start == left && !first;
        self.next = end;
        Ok(Some(VmaPart {
            mapping,
            context: self.context(process, &mapping),
            part: Part {
                at: vma_start.max(low),
                end,
                ahead: if follows { high.max(end) } else { end },
                // Without frames one entry does not describe the others.
                leaf: leaf.filter(|_| self.frames),
                only_huge: mapping.vma.page_size.is_some_and(|size| size > self.page),
                hugetlb: is_hugetlb(&mapping, self.page),
            },
            block,
        }))
    }

    /// Returns the size of the huge pages that a VMA can have; `None` where the kernel
    /// does not report it (for an object, in the text).
    fn leaf(&self, vma: &Vma) -> Option<PageSize> {
        match vma.page_size {
            Some(size) if size > self.page => Some(size),
            None if vma.has_object() => None,
            _ => Some(self.page.pmd()),
        }
    }

    fn context(&self, process: &ProcessHandle, mapping: &ClassifiedVma) -> PageContext {
        PageContext {
            page: self.page,
            private: !mapping.vma.shared,
            has_object: mapping.vma.has_object(),
            unlisted: match mapping.unlisted {
                Unlisted::Unknown(reason) => Some(reason),
                _ => None,
            },
            source: mapping.source,
            hugetlb: is_hugetlb(mapping, self.page),
            // Both came with 6.11. Without the query the kernel is older, or the query is
            // forbidden and the flags of huge pages are read in vain.
            huge_file_bit: process.features().procmap_query(),
            frames: self.frames,
            zero: process.zero_frame().filter(|_| self.frames),
        }
    }
}

fn is_hugetlb(mapping: &ClassifiedVma, page: PageSize) -> bool {
    let by_size = mapping.vma.page_size.is_some_and(|size| size > page);
    match mapping.kind {
        // DAX devices have pages of that size, too.
        MappingKind::Device => false,
        kind => by_size || kind == MappingKind::HugeTlb,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vma::{Device, Protection};

    const MIB: u64 = 1 << 20;

    fn vma_part(start: u64, end: u64, block: u64) -> VmaPart {
        let page = PageSize::SIZE_4K;
        let vma = Vma {
            range: AddrRange::new(start, end).unwrap(),
            protection: Protection::default(),
            shared: false,
            offset: 0,
            device: Device { major: 0, minor: 0 },
            inode: 0,
            page_size: Some(page),
        };
        VmaPart {
            mapping: ClassifiedVma {
                vma,
                kind: MappingKind::Anonymous,
                source: PageSource::Anonymous,
                unlisted: Unlisted::Nothing,
            },
            context: PageContext {
                page,
                private: true,
                has_object: false,
                unlisted: None,
                source: PageSource::Anonymous,
                hugetlb: false,
                huge_file_bit: true,
                frames: true,
                zero: None,
            },
            part: Part {
                at: start,
                end,
                ahead: end + MIB,
                leaf: None,
                only_huge: false,
                hugetlb: false,
            },
            block: PageSize::from_bytes(block).unwrap(),
        }
    }

    #[test]
    fn an_area_is_cut_where_no_page_is() {
        let mut first = vma_part(MIB, 9 * MIB, 2 * MIB);
        let rest = first.split_off(2 * MIB).unwrap();
        assert_eq!(first.left(), AddrRange::new(MIB, 4 * MIB).unwrap());
        assert_eq!(rest.left(), AddrRange::new(4 * MIB, 9 * MIB).unwrap());
        // The rest is read by another part's walk.
        assert_eq!((first.part.ahead, rest.part.ahead), (4 * MIB, 10 * MIB));
        assert_eq!(first.mapping(), rest.mapping());
    }

    #[test]
    fn an_area_that_has_no_more_is_not_cut() {
        for bytes in [7 * MIB + 1, 8 * MIB, 9 * MIB, u64::MAX] {
            let mut whole = vma_part(MIB, 9 * MIB, 2 * MIB);
            assert!(whole.split_off(bytes).is_none(), "{bytes}");
            assert_eq!(whole.left(), AddrRange::new(MIB, 9 * MIB).unwrap());
        }
        // A page of a gibibyte cannot be split.
        assert!(vma_part(0, 1 << 30, 1 << 30).split_off(MIB).is_none());
    }

    #[test]
    fn reading_ahead_is_bounded_but_never_by_the_area_itself() {
        let mut bounded = vma_part(MIB, 9 * MIB, 2 * MIB);
        bounded.read_ahead_to(9 * MIB + 4096);
        assert_eq!(bounded.part.ahead, 9 * MIB + 4096);
        bounded.read_ahead_to(3 * MIB);
        assert_eq!(bounded.part.ahead, 9 * MIB);
    }
}
