//! Virtual regions: whole VMAs of a range, with their kinds. Knows nothing of pages.

use crate::addr::AddrRange;
use crate::classify::Classifier;
use crate::elf_file::ElfFile;
use crate::error::Result;
use crate::mapping::ClassifiedVma;
use crate::process::ProcessHandle;
use crate::vma::{VmaCursor, VmaName};

/// Walks the VMAs of a range: whole, in order, never overlapping, even while the target
/// maps and unmaps. `N` is the storage for a VMA's name.
#[derive(Debug)]
pub struct VirtualCursor<N> {
    vmas: VmaCursor<N>,
    objects: Classifier,
    next: u64,
    end: u64,
    first: bool,
}

impl<N: AsRef<[u8]> + AsMut<[u8]>> VirtualCursor<N> {
    /// Starts a walk of the VMAs that touch `range`, widened to whole pages.
    pub fn new(process: &ProcessHandle, range: AddrRange, name: N) -> Self {
        let range = range.widened(process.page_size());
        Self {
            vmas: VmaCursor::new(name),
            objects: Classifier::default(),
            next: range.start().as_u64(),
            end: range.end().as_u64(),
            first: true,
        }
    }

    /// Returns the next VMA, whole, except for the part that was reported already if VMAs
    /// have merged meanwhile.
    ///
    /// # Errors
    /// ESRCH when the process's memory goes away before the end; EMFILE,
    /// ENFILE and ENOMEM.
    pub fn next(&mut self, process: &ProcessHandle) -> Result<Option<ClassifiedVma>> {
        if self.next >= self.end {
            return Ok(None);
        }
        let vma = self.vmas.next_from(process, self.next)?;
        let Some(vma) = vma.filter(|vma| vma.range.start().as_u64() < self.end) else {
            self.next = self.end;
            return Ok(None);
        };
        let reported = if self.first { 0 } else { self.next };
        self.first = false;
        self.next = vma.range.end().as_u64();
        let mapping = self.objects.mapping(process, vma, self.vmas.name())?;
        Ok(Some(ClassifiedVma {
            vma: vma.starting_at(reported),
            ..mapping
        }))
    }

    /// Returns the executable or shared library that was opened to find the kind of the
    /// mapping returned last; `None` also if the kind was known already. Requires a
    /// process that [keeps images](ProcessHandle::keeping_images).
    pub fn take_image(&mut self) -> Option<ElfFile> {
        self.objects.take_image()
    }

    /// Returns the name of the VMA that was returned last.
    pub fn name(&self) -> VmaName<'_> {
        self.vmas.name()
    }
}
